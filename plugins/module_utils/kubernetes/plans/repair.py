# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan cluster_repair from the declared cluster and the observed state of each reachable host (pure).

The first pass applies the repairs that cluster_create makes. A second pass (``again``) resets members that are still
broken and joins them again, as far as etcd's quorum allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model.clusters import FATAL_ERROR
from ...model.errors import PhotonError
from . import create, quorum
from .state import expired, source_of, state

CONTROL_PLANE = "control_plane"
_AUTHORITIES = ("/ca.crt", "/front-proxy-ca.crt")
Cluster = Mapping[str, Any]
Observed = Mapping[str, "Mapping[str, Any] | None"]


def plan(cluster: Cluster, observed: Observed, again: bool = False) -> dict[str, Any]:
    """Plan a repair: the steps of create.plan for the reachable hosts, and in addition

    health (state and reasons, plans/state.py), renew (control-plane members with certificates that expired, or that
    were renewed but not reloaded while no API answers: nothing else is planned before that), gone ([{name, address,
    role, etcd}]: members to remove, as their hosts are unreachable and their nodes are not Ready), unreachable (hosts)
    and rejoin ([{host, reasons}]).
    Raise QuorumLost, and the errors of create.plan.
    """
    health = state(cluster, observed)
    if health["state"] == FATAL_ERROR:
        raise PhotonError(
            "QuorumLost", f"cluster {cluster['name']}: {health['reasons'][0]}. Run cluster_restore.", health
        )
    reached = [member["name"] for member in cluster["members"] if observed.get(member["name"]) is not None]
    extra = {
        "health": health,
        "renew": [],
        "gone": [],
        "rejoin": [],
        "unreachable": [member["name"] for member in cluster["members"] if member["name"] not in reached],
    }
    if not any(name in reached for name in cluster["control_plane"]):
        raise PhotonError(
            "HostUnreachable",
            f"no control-plane member of {cluster['name']} is reachable. Check the hosts and the network.",
        )
    ended = [name for name in reached if any(path.endswith(_AUTHORITIES) for path in expired(observed[name]))]
    if ended:
        raise PhotonError(
            "AuthorityEnded",
            f"the authority of {cluster['name']} has expired on {', '.join(ended)}. Delete and re-create the cluster.",
        )
    source = source_of(cluster, observed)
    renew = [
        name
        for name in cluster["control_plane"]
        if name in reached and (expired(observed[name]) or (source is None and _unread(observed[name])))
    ]
    renew = [name for name in renew if (observed[name] or {})["host"].get("etcd_data")]
    if renew:
        return {**extra, "state": health["state"], "renew": renew}
    steps = {**create.plan(cluster, observed, reached), **extra}
    if source is None:
        if _had_more_members(cluster, observed):
            # Its etcd waits for other members, so only start stopped services and re-create nothing.
            steps |= {"initialize": None, "join": {"control_plane": [], "worker": []}, "joiners": [], "restart": []}
            steps |= {"source": None, "nodes": False, "objects": False, "material": []}
        return steps
    steps["gone"] = _gone(cluster, observed, source)
    for name, reasons in _rejoining(cluster, observed, source, steps, again).items():
        _rejoin(cluster, steps, name, reasons)
    return steps


def _unread(answer: Mapping[str, Any] | None) -> bool:
    """Return whether a static pod runs with outdated files."""
    return bool(((answer or {}).get("host") or {}).get("stale"))


def _had_more_members(cluster: Cluster, observed: Observed) -> bool:
    etcd = [((observed.get(name) or {}).get("etcd") or {}).get("members") or () for name in cluster["control_plane"]]
    data = [
        name for name in cluster["control_plane"] if ((observed.get(name) or {}).get("host") or {}).get("etcd_data")
    ]
    return len(data) > 1 or any(len(members) > 1 for members in etcd)


def _gone(cluster: Cluster, observed: Observed, source: str) -> list[dict[str, Any]]:
    look = observed[source] or {}
    nodes = {node["name"]: node for node in look["cluster"]["nodes"]}
    etcd = (look.get("etcd") or {}).get("members") or ()
    voters, gone = quorum.voters_of(etcd), []
    for member in cluster["members"]:
        name, node = member["name"], nodes.get(member["name"])
        voter = quorum.member_of(etcd, member) if member["role"] == CONTROL_PLANE else None
        if observed.get(name) is not None or (node is None and voter is None):
            continue
        if (node and node["ready"]) or (voter and voter["healthy"]):
            continue  # only the connection from the controller is broken
        if voter and not voter["learner"]:
            key = voter["name"] or ",".join(voter["peer_urls"])
            if quorum.refusal(voters, key):
                continue  # keep it as a member until others answer again
            del voters[key]
        gone.append({**{key: member[key] for key in ("name", "address", "role")}, "etcd": voter is not None})
    return gone


def _rejoining(
    cluster: Cluster, observed: Observed, source: str, steps: Mapping[str, Any], again: bool
) -> dict[str, list[str]]:
    """Return members that only a new join repairs; control-plane members one at a time."""
    look = observed[source] or {}
    nodes = {node["name"]: node for node in look["cluster"]["nodes"]}
    etcd = (look.get("etcd") or {}).get("members") or ()
    joining = {*steps["join"]["control_plane"], *steps["join"]["worker"]}
    found: dict[str, list[str]] = {}
    for member in cluster["members"]:
        name, answer = member["name"], observed.get(member["name"])
        if answer is None or name == source or name in joining:
            continue
        host, node = answer.get("host") or {}, nodes.get(name)
        reasons = [f"{path} is lost" for path in host.get("missing") or () if path.endswith(_AUTHORITIES)]
        voter = quorum.member_of(etcd, member) if member["role"] == CONTROL_PLANE else None
        if again and name not in steps["prepare"]:
            reasons += [f"is not Ready: {node['reason']}"] if node and not node["ready"] else []
            reasons += ["its etcd does not answer"] if voter and not voter["healthy"] else []
        if not reasons:
            continue
        if voter and not voter["learner"]:
            key = voter["name"] or ",".join(voter["peer_urls"])
            first = any(one in cluster["control_plane"] for one in found)
            if first or steps["join"]["control_plane"] or quorum.refusal(quorum.voters_of(etcd), key):
                continue
        found[name] = reasons
    return found


def _rejoin(cluster: Cluster, steps: dict[str, Any], name: str, reasons: list[str]) -> None:
    member = next(one for one in cluster["members"] if one["name"] == name)
    steps["settle"] = [one for one in steps["settle"] if one != name]
    steps["material"] = [one for one in steps["material"] if one != name]
    steps["lost"] = {host: lost for host, lost in steps["lost"].items() if host != name}
    steps["join"][member["role"]].append(name)
    steps["joiners"].append({key: member[key] for key in ("name", "address", "role")})
    steps["restart"].append(name)
    steps["serving"] = list(dict.fromkeys([*steps["serving"], name]))
    steps["nodes"] = True
    steps["state"] = create.CREATING
    steps["rejoin"].append({"host": name, "reasons": reasons})
    steps["actions"] = [one for one in steps["actions"] if one["host"] != name or one["action"] == "prepare"]
    steps["actions"].append({"host": name, "action": "rejoin", "reasons": reasons})
