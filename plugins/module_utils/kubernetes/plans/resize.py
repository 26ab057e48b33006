# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan cluster_resize from the declared cluster and the status of one control-plane member (pure).

Existing members are not queried: adding a worker involves only that worker and one control-plane member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...model.clusters import READY, RESIZING
from ...model.errors import PhotonError
from .. import versions
from . import quorum, rotate

CONTROL_PLANE, WORKER = "control_plane", "worker"
_CONTROL_PLANE_ROLE = "control-plane"


def plan(cluster: Mapping[str, Any], source: str, look: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Plan a resize, or resume an interrupted one.

    ``look`` is the result of module kubernetes_info on ``source`` (cluster, etcd), ``known`` the inventory's hosts.

    Return state (RESIZING or READY), source, join {control_plane, worker} (hosts), lost and leave (members removed
    before and after others join: {name, address, role, ready, etcd, reset}), touched (hosts to observe and prepare),
    routes (further hosts whose routes change), balancers (bool: the control plane changes) and actions.
    Raise PhotonError: ClusterNotFound, HostOfAnotherCluster, UpgradeNeeded, RotationNeeded, QuorumAtRisk, SpecInvalid.
    """
    there = look["cluster"]
    _check(cluster, source, there)
    for name, reason in rotate.needed(cluster, {source: look}):
        raise PhotonError("RotationNeeded", f"cluster {cluster['name']}: {name} {reason} Nothing was changed.")
    nodes = {node["name"]: node for node in there["nodes"]}
    etcd = (look.get("etcd") or {}).get("members") or ()
    declared = {member["name"]: member for member in cluster["members"]}
    join: dict[str, list[str]] = {CONTROL_PLANE: [], WORKER: []}
    for name, member in declared.items():
        voter = quorum.member_of(etcd, member) if member["role"] == CONTROL_PLANE else None
        whole = name in nodes and (member["role"] == WORKER or (voter is not None and not voter["learner"]))
        if not whole or not nodes[name]["settled"]:
            join[member["role"]].append(name)
    leaving = [_leaver(node, etcd, known) for name, node in nodes.items() if name not in declared]
    leaving += _without_node(cluster, etcd, leaving, known)
    leaving.sort(key=lambda one: (one["role"] != WORKER, one["name"]))
    lost = [one for one in leaving if not one["ready"]]
    leave = [one for one in leaving if one["ready"]]
    if (
        cluster["workers"]
        and not (set(cluster["workers"]) & set(nodes))
        and any(one["role"] == WORKER for one in leave)
    ):
        raise PhotonError(
            "SpecInvalid",
            f"cluster {cluster['name']}: every worker would be removed and no declared worker has joined. Check "
            f"the inventory group {cluster['groups']['workers']}, or add the new workers first.",
        )
    _check_skew(cluster, nodes, join[WORKER])
    _check_quorum(cluster, etcd, lost, join[CONTROL_PLANE], leave)
    changes = bool(join[CONTROL_PLANE] or join[WORKER] or leaving)
    joining = [*join[CONTROL_PLANE], *join[WORKER]]
    routed = changes and cluster["networks"]["plugin"] == "routed"
    actions = [{"host": one["name"], "action": "remove", "reasons": ["is no longer declared"]} for one in leaving]
    return {
        "state": RESIZING if changes else READY,
        "source": source,
        "join": join,
        "lost": lost,
        "leave": leave,
        "touched": [source, *(name for name in joining if name != source)] if joining else [],
        "routes": [name for name in nodes if name in declared and name != source and name not in joining]
        if routed
        else [],
        "balancers": bool(join[CONTROL_PLANE]) or any(one["role"] == CONTROL_PLANE for one in leaving),
        "actions": actions
        + [
            {
                "host": name,
                "action": "join",
                "reasons": ["its join is incomplete" if name in nodes else "has not joined"],
            }
            for name in joining
        ],
    }


def _check(cluster: Mapping[str, Any], source: str, there: Mapping[str, Any]) -> None:
    name = cluster["name"]
    if not there.get("reachable"):
        raise PhotonError(
            "ClusterNotFound", f"cluster {name} does not answer on {source}: {there.get('error')}. Run cluster_status."
        )
    if there.get("cluster_name") and there["cluster_name"] != name:
        raise PhotonError(
            "HostOfAnotherCluster",
            f"{source} belongs to cluster {there['cluster_name']}, not to {name}. Check the inventory groups.",
        )
    if there.get("declared_version") and there["declared_version"] != cluster["version"]:
        raise PhotonError(
            "UpgradeNeeded",
            f"cluster {name} runs {there['declared_version']}, {cluster['version']} is declared. Run cluster_upgrade.",
        )


def _check_skew(cluster: Mapping[str, Any], nodes: Mapping[str, Any], joining: Iterable[str]) -> None:
    """Refuse workers that are newer than an API server, which is at least as new as the kubelet of its host."""
    servers = [node["version"] for node in nodes.values() if _CONTROL_PLANE_ROLE in node["roles"] and node["version"]]
    mistakes = "; ".join(versions.check_skew(servers, dict.fromkeys(joining, cluster["version"])))
    if mistakes:
        raise PhotonError(
            "UpgradeNeeded",
            f"cluster {cluster['name']}: {mistakes}. Nothing was changed. Complete cluster_upgrade first.",
        )


def _leaver(node: Mapping[str, Any], etcd: Any, known: Iterable[str]) -> dict[str, Any]:
    address = (node["addresses"] or [""])[0]
    member = quorum.member_of(etcd, {"name": node["name"], "address": address})
    control = _CONTROL_PLANE_ROLE in node["roles"] or member is not None
    return {
        "name": node["name"],
        "address": address,
        "role": CONTROL_PLANE if control else WORKER,
        "ready": bool(node["ready"]) and (member is None or bool(member["healthy"])),
        "etcd": member is not None,
        "reset": node["name"] in set(known),
    }


def _without_node(cluster: Mapping[str, Any], etcd: Any, leaving: Any, known: Iterable[str]) -> list[dict[str, Any]]:
    """Return etcd members without a node, left by an incomplete removal."""
    ours = [quorum.member_of(etcd, host) for host in (*cluster["members"], *leaving)]
    return [
        {
            "name": one["name"],
            "address": one["peer_urls"][0].rpartition("//")[2].rpartition(":")[0] if one["peer_urls"] else "",
            "role": CONTROL_PLANE,
            "ready": False,
            "etcd": True,
            "reset": one["name"] in set(known),
        }
        for one in etcd
        if one not in ours
    ]


def _check_quorum(cluster: Mapping[str, Any], etcd: Any, lost: Any, joining: Any, leave: Any) -> None:
    """Check etcd's quorum for each step in the order of execution."""
    voters = quorum.voters_of(etcd)
    learners = {one["name"] for one in etcd if one["learner"]}

    def without(one: Mapping[str, Any]) -> None:
        name = one["name"]
        if not one["etcd"] or name in learners or name not in voters:
            return
        refused = quorum.refusal(voters, name)
        if refused:
            raise PhotonError(
                "QuorumAtRisk",
                f"cluster {cluster['name']}: {name} cannot leave: {refused}. Nothing was changed. Run cluster_repair.",
                {"host": name},
            )
        del voters[name]

    for one in lost:
        without(one)
    for name in joining:
        if name in voters:  # its etcd member exists, only its node is not settled
            continue
        answering = sum(voters.values())
        if answering < len(
            voters
        ):  # kubeadm refuses joins in this state, and another voter would only raise the majority
            raise PhotonError(
                "QuorumAtRisk",
                f"cluster {cluster['name']}: {name} cannot join while {len(voters) - answering} of "
                f"{len(voters)} members of etcd do not answer. Nothing was changed. Run cluster_repair first.",
                {"host": name},
            )
        voters[name] = True
    for one in leave:
        without(one)
