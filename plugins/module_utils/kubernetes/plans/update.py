# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan hosts_update: the packages and reboots of a cluster's hosts and balancers, one after the other (pure).

Hosts that an interrupted run cordoned come first, then balancers, the control plane and workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model.clusters import READY
from ...model.errors import PhotonError
from .state import state

REQUIRED, NEVER = "required", "never"
Cluster = Mapping[str, Any]
Observed = Mapping[str, "Mapping[str, Any] | None"]


def plan(cluster: Cluster, observed: Observed, updates: Observed, reboot: str = REQUIRED) -> dict[str, Any]:
    """Plan an update, or resume an interrupted one.

    ``observed``: member -> result of module kubernetes_info, ``updates``: member or balancer -> result of module
    linux_update; None for an unreachable host. ``reboot``: required or never.

    Return source, balancers, control_plane and workers (hosts with work, in order), helper ({member: the control-plane
    member that drains it}), begun (members that an interrupted run left cordoned), cordoned (members that an
    administrator cordoned and that stay cordoned) and actions ([{host, action, reasons}]). Raise PhotonError with every
    reason: HostUnreachable, ClusterNotReady.
    """
    if reboot not in (REQUIRED, NEVER):
        raise PhotonError("SpecInvalid", f"hosts_update_reboot: must be one of {REQUIRED}, {NEVER}, got {reboot!r}")
    members = [member["name"] for member in cluster["members"]]
    balancers = [name for name in cluster["balancers"] if name not in members]  # others are updated as members
    hosts = [*balancers, *members]
    silent = [name for name in hosts if updates.get(name) is None]
    health = state(cluster, observed)
    reasons = [("HostUnreachable", f"{name} is unreachable. Check the host and its network.") for name in silent]
    if health["state"] != READY:
        reasons += [("ClusterNotReady", f"{reason}. Run cluster_repair first.") for reason in health["reasons"]]
    if reasons:
        lines = "\n".join(f"- {reason}" for _code, reason in reasons)
        raise PhotonError(
            reasons[0][0],
            f"the hosts of cluster {cluster['name']} cannot be updated. Nothing was changed:\n{lines}",
            {"reasons": [{"code": code, "reason": reason} for code, reason in reasons]},
        )
    nodes = {node["name"]: node for node in (observed[health["source"]] or {})["cluster"]["nodes"]}
    begun = [name for name in hosts if (nodes.get(name) or {}).get("cordoned")]
    work = {name: _reasons(updates[name] or {}, reboot, name in begun) for name in hosts}
    chosen = [*begun, *(name for name in hosts if work[name] and name not in begun)]
    return {
        "source": health["source"],
        "balancers": [name for name in chosen if name in balancers],
        "control_plane": [name for name in chosen if name in cluster["control_plane"]],
        "workers": [name for name in chosen if name in cluster["workers"]],
        "helper": {name: _helper(cluster, observed, name) for name in chosen if name in nodes},
        "begun": begun,
        "cordoned": [name for name in chosen if (nodes.get(name) or {}).get("unschedulable") and name not in begun],
        "actions": [{"host": name, "action": "update", "reasons": work[name]} for name in chosen],
    }


def _reasons(answer: Mapping[str, Any], reboot: str, begun: bool) -> list[str]:
    number = len(answer.get("updates") or ())
    found = [f"{number} packages have updates"] if number else []
    found += [f"reboot: {reason}" for reason in answer.get("reboot_reasons") or ()] if reboot != NEVER else []
    return [*found, *(["an interrupted run left it cordoned"] if begun else [])]


def _helper(cluster: Cluster, observed: Observed, name: str) -> str:
    """Return another control-plane member whose API answers, or the host itself when it is the only one."""
    others = [
        one
        for one in cluster["control_plane"]
        if one != name and ((observed.get(one) or {}).get("cluster") or {}).get("reachable")
    ]
    return (others or [name])[0]
