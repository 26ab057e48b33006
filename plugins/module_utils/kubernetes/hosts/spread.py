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
    """Evict one DNS replica when all of them run on one node and another node can run it; return the changes.

    Wait a moment for its successor, which kubeadm's anti-affinity places elsewhere.
    """
    api = api or Api.of_member()
    pods = _pods(api)
    crowded = crowded_node(pods, api.items("/api/v1/nodes"))
    if not crowded:
        return []
    if not check:
        name = pods[0]["metadata"]["name"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "kube-system"}}
        try:
            api.post(f"{_PODS}/{name}/eviction", body)
        except Refused as error:
            if error.status != _TOO_MANY:
                raise
            return []
        deadline = time.monotonic() + _SECONDS
        while time.monotonic() < deadline and sum(map(_ready, _pods(api))) < len(pods):
            time.sleep(_POLL_SECONDS)
    return [{"kind": "pods", "name": "coredns", "before": f"all on {crowded}", "after": "on several nodes"}]


def crowded_node(pods: Sequence[Item], nodes: Sequence[Item]) -> str:
    """Return the only node of several pods when another node can run them too, otherwise "" (pure)."""
    places = {pod["spec"].get("nodeName") for pod in pods}
    if len(pods) < 2 or len(places) != 1 or None in places:
        return ""
    tolerations = pods[0]["spec"].get("tolerations") or ()
    others = [node for node in nodes if node["metadata"]["name"] not in places and _fits(node, tolerations)]
    return str(places.pop()) if others else ""


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
