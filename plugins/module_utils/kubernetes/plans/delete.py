# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends a cluster: pure. Hosts that belong to another one are refused, all others are reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model.clusters import PENDING_DELETE
from ...model.errors import PhotonError


def plan(cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """{state, reset: hosts}; PhotonError with every reason: HostUnreachable, HostOfAnotherCluster.

    A host belongs to the cluster when it trusts the authority of one of its control-plane members of that name. Where
    none is left, as after a run that was killed, a worker is told by the endpoint that its kubelet talks to.
    """
    hosts = {name: (answer or {}).get("host") or {} for name, answer in observed.items()}
    end = cluster["endpoint"]
    server = f"https://{end['host']}:{end['port']}"
    own = {
        hosts[name].get("cluster_id")
        for name in cluster["control_plane"]
        if name in hosts and hosts[name].get("cluster_name") == cluster["name"]
    }
    refused = []
    for member in cluster["members"]:
        name = member["name"]
        host = hosts.get(name) or {}
        if observed.get(name) is None:
            refused.append(
                ("HostUnreachable", name, "cannot be reached: look at it, or take it out of the inventory group")
            )
        elif host.get("cluster_name") and host["cluster_name"] != cluster["name"]:
            refused.append(("HostOfAnotherCluster", name, f"belongs to cluster {host['cluster_name']}"))
        elif own and host.get("cluster_id") and host["cluster_id"] not in own:
            refused.append(("HostOfAnotherCluster", name, "trusts another cluster's authority"))
        elif not own and member["role"] == "worker" and host.get("server") not in (None, "", server):
            refused.append(("HostOfAnotherCluster", name, f"its kubelet talks to {host['server']}"))
    if refused:
        lines = "\n".join(f"- {name}: {reason}" for _code, name, reason in refused)
        raise PhotonError(
            refused[0][0],
            f"cluster {cluster['name']}: no host was touched, because\n{lines}",
            {"reasons": [{"code": code, "host": name, "reason": reason} for code, name, reason in refused]},
        )
    reset = [member["name"] for member in cluster["members"] if hosts[member["name"]].get("state") != "clean"]
    return {"state": PENDING_DELETE, "reset": reset}
