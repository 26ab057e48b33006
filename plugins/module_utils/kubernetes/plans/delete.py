# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan cluster_delete (pure). Hosts of another cluster are refused, all others are reset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model.clusters import PENDING_DELETE
from ...model.errors import PhotonError


def plan(cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return {state, reset: hosts}; PhotonError with every reason: HostUnreachable, HostOfAnotherCluster.

    A host belongs to the cluster when it trusts the authority of a control-plane member of the named cluster. When no
    such member is left, as after an interrupted run, a worker is identified by its kubelet's API endpoint.
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
                ("HostUnreachable", name, "is unreachable. Check it, or remove it from the inventory group.")
            )
        elif host.get("cluster_name") and host["cluster_name"] != cluster["name"]:
            refused.append(("HostOfAnotherCluster", name, f"belongs to cluster {host['cluster_name']}"))
        elif own and host.get("cluster_id") and host["cluster_id"] not in own:
            refused.append(("HostOfAnotherCluster", name, "trusts another cluster's authority"))
        elif not own and member["role"] == "worker" and host.get("server") not in (None, "", server):
            refused.append(("HostOfAnotherCluster", name, f"its kubelet uses {host['server']}"))
    if refused:
        lines = "\n".join(f"- {name}: {reason}" for _code, name, reason in refused)
        raise PhotonError(
            refused[0][0],
            f"cluster {cluster['name']}: no host was changed:\n{lines}",
            {"reasons": [{"code": code, "host": name, "reason": reason} for code, name, reason in refused]},
        )
    reset = [member["name"] for member in cluster["members"] if hosts[member["name"]].get("state") != "clean"]
    return {"state": PENDING_DELETE, "reset": reset}
