# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the replicas of the cluster's DNS server on several nodes, so that no single one takes DNS with it.

They start before the other members join and never move by themselves.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from .api import Api, Refused

_PODS = "/api/v1/namespaces/kube-system/pods"
_SELECTED = f"{_PODS}?labelSelector=k8s-app%3Dkube-dns"
_SECONDS, _POLL_SECONDS = 60, 0.5
_TOO_MANY = 429  # the PodDisruptionBudget does not allow another eviction now
Item = Mapping[str, Any]


def spread(check: bool, api: Api | None = None) -> list[dict[str, Any]]:
    """Move DNS replicas, one after the other, from nodes with several to nodes without; return the changes.

    A replica is evicted, and kubeadm's anti-affinity places its successor on another node. Check mode returns the first
    move only, as the later ones depend on it.
    """
    api = api or Api.of_member()
    nodes = api.items("/api/v1/nodes")
    changes: list[dict[str, Any]] = []
    for _turn in range(len(pods := _pods(api))):
        name, node = surplus(pods, nodes)
        if not name or not (check or _evict(api, name, len(pods))):
            break
        changes.append({"kind": "pods", "name": "coredns", "before": f"{name} on {node}", "after": "on another node"})
        if check:
            break
        pods = _pods(api)
    return changes


def surplus(pods: Sequence[Item], nodes: Sequence[Item]) -> tuple[str, str]:
    """Return a replica to move and its node, when that has several and another that can run it has none (pure).

    ("", "") when no move helps, or while a replica has no node yet.
    """
    places = [pod["spec"].get("nodeName") for pod in pods]
    if not pods or None in places:
        return "", ""
    tolerations = pods[0]["spec"].get("tolerations") or ()
    free = [node for node in nodes if node["metadata"]["name"] not in places and _fits(node, tolerations)]
    crowded = max(places, key=places.count)
    if places.count(crowded) < 2 or not free:
        return "", ""
    return pods[places.index(crowded)]["metadata"]["name"], crowded


def _evict(api: Api, name: str, replicas: int) -> bool:
    """Evict a pod and wait a moment for its successor; return False when a PodDisruptionBudget forbids it now."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "kube-system"}}
    try:
        api.post(f"{_PODS}/{name}/eviction", body)
    except Refused as error:
        if error.status != _TOO_MANY:
            raise
        return False
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and sum(map(_ready, _pods(api))) < replicas:
        time.sleep(_POLL_SECONDS)
    return True


def _pods(api: Api) -> list[Item]:
    return [pod for pod in api.items(_SELECTED) if not pod["metadata"].get("deletionTimestamp")]


def _fits(node: Item, tolerations: Sequence[Item]) -> bool:
    spec = node.get("spec") or {}
    if spec.get("unschedulable") or not _ready(node):
        return False
    taints = [taint for taint in spec.get("taints") or () if taint["effect"] != "PreferNoSchedule"]
    return all(any(_tolerates(one, taint) for one in tolerations) for taint in taints)


def _tolerates(toleration: Item, taint: Item) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint["key"]
    return toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")


def _ready(item: Item) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
