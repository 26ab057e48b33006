# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the plugin routed: a bridge on each host, and a static route to the pods of every other host.

A node's part of the pod network is derived from its address, so a new node adds one line on the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

CONFLIST = "/etc/cni/net.d/10-photon-routed.conflist"
UNIT = "photon-pod-routes.service"
ROUTES = "/etc/photon/pod-routes"
MASQUERADE = "/etc/photon/pod-masquerade.nft"
PROGRAM = "/usr/local/sbin/photon-pod-routes"
PROTOCOL = 98  # marks our routes; not assigned in /etc/iproute2/rt_protos
_TABLE = "photon_pods"

# Routes are replaced one by one, never flushed, so that no packets are lost.
_PROGRAM = f"""#!/bin/sh
# Reconciles the kernel's routes of protocol {PROTOCOL} with {ROUTES}; other routes are not touched.
set -eu
while read -r network via; do
  ip route replace "$network" via "$via" proto {PROTOCOL}
done < {ROUTES}
ip route show proto {PROTOCOL} | while read -r network rest; do
  grep -q "^$network " {ROUTES} || ip route delete "$network" proto {PROTOCOL}
done
nft -f {MASQUERADE}
"""

_UNIT = f"""[Unit]
Description=Routes to the pods of the cluster's other nodes
After=network-online.target
Wants=network-online.target
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={PROGRAM}

[Install]
WantedBy=multi-user.target
"""


def files(cluster: Mapping[str, Any], member: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the files of one member."""
    net = cluster["networks"]
    return [
        _file(CONFLIST, json.dumps(conflist(member["pod_network"], net["mtu"]), indent=2) + "\n", []),
        _file(ROUTES, routes(cluster, member), [UNIT]),
        _file(MASQUERADE, masquerade(member["pod_network"], net["pods"]), [UNIT]),
        _file(PROGRAM, _PROGRAM, [UNIT], "0755"),
        _file(f"/etc/systemd/system/{UNIT}", _UNIT, [UNIT]),
    ]


def units() -> dict[str, Any]:
    """Return the unit that sets the routes at boot and when they change."""
    return {UNIT: {"enabled": True, "state": "started"}}


def routes(cluster: Mapping[str, Any], member: Mapping[str, Any]) -> str:
    """Return one line per other node: its pod network and its address."""
    return "".join(
        f"{other['pod_network']} {other['address']}\n"
        for other in cluster["members"]
        if other["name"] != member["name"]
    )


def conflist(network: str, mtu: int | None) -> dict[str, Any]:
    """Return the configuration of the CNI plugins bridge, host-local and portmap."""
    bridge: dict[str, Any] = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": network}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    if mtu:
        bridge["mtu"] = mtu
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "photon-routed", "plugins": [bridge, portmap]}


def masquerade(own: str, pods: str) -> str:
    """Render nftables rules that masquerade traffic leaving the cluster; the table is replaced atomically."""
    return f"""table ip {_TABLE}
delete table ip {_TABLE}
table ip {_TABLE} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {own} ip daddr != {pods} masquerade
  }}
}}
"""


def _file(path: str, content: str, restarts: list[str], mode: str = "0644") -> dict[str, Any]:
    return {"path": path, "content": content, "mode": mode, "restarts": restarts}
