# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plugin routed: a bridge on each host, and a plain route to the pods of each other host.

A node's part of the pods' network follows from its own address, so a new node is one more line on the others.
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
PROTOCOL = 98  # of our routes, to tell them from others (/etc/iproute2/rt_protos has none of this number)
_TABLE = "photon_pods"

# Routes are replaced one by one, never flushed: a new node costs the others no packet.
_PROGRAM = f"""#!/bin/sh
# Makes the kernel's routes of protocol {PROTOCOL} those of {ROUTES}, and leaves all others alone.
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
    """The files of one member."""
    net = cluster["networks"]
    return [
        _file(CONFLIST, json.dumps(conflist(member["pod_network"], net["mtu"]), indent=2) + "\n", []),
        _file(ROUTES, routes(cluster, member), [UNIT]),
        _file(MASQUERADE, masquerade(member["pod_network"], net["pods"]), [UNIT]),
        _file(PROGRAM, _PROGRAM, [UNIT], "0755"),
        _file(f"/etc/systemd/system/{UNIT}", _UNIT, [UNIT]),
    ]


def units() -> dict[str, Any]:
    """The unit that sets the routes at boot, and when they change."""
    return {UNIT: {"enabled": True, "state": "started"}}


def routes(cluster: Mapping[str, Any], member: Mapping[str, Any]) -> str:
    """A line per other node: the network of its pods and its address."""
    return "".join(
        f"{other['pod_network']} {other['address']}\n"
        for other in cluster["members"]
        if other["name"] != member["name"]
    )


def conflist(network: str, mtu: int | None) -> dict[str, Any]:
    """The configuration of the CNI plugins bridge, host-local and portmap."""
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
    """nftables: the host's own address for pods that speak to the world; the table is replaced in one step."""
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
