# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Derive the state of an observed cluster (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model.clusters import CREATING, FATAL_ERROR, READY, RECOVERABLE_ERROR, RESIZING
from . import quorum

_KUBE_PROXY = "kube-proxy"
_REMEDIES = {"NOSPACE": " Its database is full, so that the API changes nothing. Run cluster_maintain"}
Cluster = Mapping[str, Any]
Observed = Mapping[str, "Mapping[str, Any] | None"]


def state(cluster: Cluster, observed: Observed) -> dict[str, Any]:
    """Return {state, reasons, source}: the worst state that applies; ``source`` is a member whose API answers, or None.

    ``observed``: host -> result of module kubernetes_info (host, cluster, etcd; optionally certificates), None for an
    unreachable host.
    """
    source = source_of(cluster, observed)
    lost = quorum.lost(cluster, observed)
    if lost:
        return {"state": FATAL_ERROR, "reasons": [lost], "source": source}
    if source is None:
        return {"state": _without_api(cluster, observed), "reasons": _silent(cluster, observed), "source": None}
    look = observed[source] or {}
    broken, growing = _broken(cluster, observed, look), _growing(cluster, look)
    lacking = missing(cluster, look["cluster"])
    if lacking and not broken:
        first = [f"{name} is missing in the API" for name in lacking]
        return {"state": CREATING, "reasons": [*first, *growing], "source": source}
    if broken:
        return {"state": RECOVERABLE_ERROR, "reasons": [*broken, *growing], "source": source}
    if growing:
        workers = {node["name"] for node in look["cluster"]["nodes"]} & set(cluster["workers"])
        first = bool(cluster["workers"]) and not workers
        return {"state": CREATING if first else RESIZING, "reasons": growing, "source": source}
    return {"state": READY, "reasons": [], "source": source}


def source_of(cluster: Cluster, observed: Observed) -> str | None:
    """Return the first control-plane member that holds data and whose API answers."""
    for name in cluster["control_plane"]:
        answer = observed.get(name) or {}
        there = answer.get("cluster") or {}
        if (answer.get("host") or {}).get("etcd_data") and there.get("reachable") and there.get("nodes"):
            return name
    return None


def missing(cluster: Cluster, there: Mapping[str, Any]) -> list[str]:
    """Return the names of kubeadm's objects that are missing; kube-proxy may be left out."""
    without = _KUBE_PROXY if cluster["networks"].get("proxy_mode") == "none" else ""
    return [name for name in there.get("missing") or () if name != without]


def expired(answer: Mapping[str, Any] | None) -> list[str]:
    """Return the paths of expired certificates."""
    return [one["path"] for one in (answer or {}).get("certificates") or () if one["days_left"] < 0]


def _without_api(cluster: Cluster, observed: Observed) -> str:
    holds = any(((observed.get(name) or {}).get("host") or {}).get("etcd_data") for name in cluster["control_plane"])
    unknown = [name for name in cluster["control_plane"] if observed.get(name) is None]
    return RECOVERABLE_ERROR if holds or unknown else CREATING


def _silent(cluster: Cluster, observed: Observed) -> list[str]:
    reasons = []
    for name in cluster["control_plane"]:
        answer = observed.get(name)
        if answer is None:
            reasons.append(f"{name} is unreachable")
        elif (answer.get("host") or {}).get("state") == "clean":
            reasons.append(f"{name} is not a member")
        else:
            reasons.append(f"{name}: {(answer.get('cluster') or {}).get('error') or 'its API has no nodes yet'}")
    return reasons


def _broken(cluster: Cluster, observed: Observed, look: Mapping[str, Any]) -> list[str]:
    reasons = []
    nodes = {node["name"]: node for node in look["cluster"]["nodes"]}
    members = (look.get("etcd") or {}).get("members") or ()
    for member in cluster["members"]:
        name, node = member["name"], nodes.get(member["name"])
        answer = observed.get(name)
        if answer is None:
            reasons.append(f"{name} is unreachable")
        elif node and (answer.get("host") or {}).get("state") == "clean":
            reasons.append(f"{name} was reset or lost its disk")
        if node and not node["ready"]:
            reasons.append(f"{name} is not Ready: {node['reason']}")
        if member["role"] == "control_plane" and node:
            voter = quorum.member_of(members, member)
            if voter is None:
                reasons.append(f"{name} is not a member of etcd")
            elif voter["learner"] or not voter["healthy"]:
                reasons.append(f"{name}'s etcd " + ("is a learner" if voter["learner"] else "does not answer"))
            alarms = (voter or {}).get("alarms") or ()
            reasons += [f"{name}'s etcd has the alarm {alarm}.{_REMEDIES.get(alarm, '')}" for alarm in alarms]
        if answer:
            reasons += [f"{name}: {path} has expired" for path in expired(answer)]
            unread = (answer.get("host") or {}).get("stale") or ()
            reasons += [f"{name}: {one['pod']} has not read {one['path']} since it changed" for one in unread]
    if missing(cluster, look["cluster"]):  # init is incomplete
        return reasons
    reasons += [
        f"{one['kind']} {one['namespace']}/{one['name']}: {one['available']} of {one['wanted']} pods are available"
        for one in look["cluster"].get("addons") or ()
        if one["available"] < one["wanted"]
    ]
    return reasons


def _growing(cluster: Cluster, look: Mapping[str, Any]) -> list[str]:
    nodes = {node["name"] for node in look["cluster"]["nodes"]}
    declared = [member["name"] for member in cluster["members"]]
    reasons = [f"{name} has not joined" for name in declared if name not in nodes]
    return reasons + [f"{name} is no longer declared" for name in sorted(nodes - set(declared))]
