# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cluster_repair has to do: pure, from the declared cluster and one look at each host that can be reached.

The original replaced lost workers alone; here every member is repaired. It is gentle first: what a create would mend is
mended. What is not whole after that (``again``) is thrown away and joins anew, as etcd's majority allows.
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
    """The steps of a repair: those of create.plan for the hosts that were reached, and besides

    health (state and reasons, plans/state.py), renew (control-plane members with certificates that have ended, or that
    were renewed and nothing has read, while no API answers: nothing else is planned before that), gone ([{name,
    address, role, etcd}]: members that leave the cluster, as their hosts cannot be reached and their nodes are not
    Ready), unreachable (hosts) and rejoin ([{host, reasons}]).
    Raises QuorumLost, and what create.plan raises.
    """
    health = state(cluster, observed)
    if health["state"] == FATAL_ERROR:
        raise PhotonError(
            "QuorumLost", f"cluster {cluster['name']}: {health['reasons'][0]}; run cluster_restore", health
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
            "HostUnreachable", f"no control-plane member of {cluster['name']} can be reached: look at the way to it"
        )
    ended = [name for name in reached if any(path.endswith(_AUTHORITIES) for path in expired(observed[name]))]
    if ended:
        raise PhotonError(
            "AuthorityEnded",
            f"the authority of {cluster['name']} has ended on {', '.join(ended)}: all of it has to be made anew",
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
            # Its etcd waits for others: nothing is made anew, what stands still is started.
            steps |= {"initialize": None, "join": {"control_plane": [], "worker": []}, "joiners": [], "restart": []}
            steps |= {"source": None, "nodes": False, "objects": False, "material": []}
        return steps
    steps["gone"] = _gone(cluster, observed, source)
    for name, reasons in _rejoining(cluster, observed, source, steps, again).items():
        _rejoin(cluster, steps, name, reasons)
    return steps


def _unread(answer: Mapping[str, Any] | None) -> bool:
    """Does a static pod run with what it read before it changed?"""
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
            continue  # only the way to it is broken
        if voter and not voter["learner"]:
            key = voter["name"] or ",".join(voter["peer_urls"])
            if quorum.refusal(voters, key):
                continue  # it stays a member until others answer again
            del voters[key]
        gone.append({**{key: member[key] for key in ("name", "address", "role")}, "etcd": voter is not None})
    return gone


def _rejoining(
    cluster: Cluster, observed: Observed, source: str, steps: Mapping[str, Any], again: bool
) -> dict[str, list[str]]:
    """Members that nothing but a new join makes whole; of the control plane one at a time."""
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
    steps["actions"].append({"host": name, "action": "join anew", "reasons": reasons})
