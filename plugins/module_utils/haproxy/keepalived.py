# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render keepalived.conf for each balancer: unicast VRRP version 3, tracking HAProxy's health."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .render import HEADER, HEALTH_PORT

# The host knows the name of the interface that carries an address.
INTERFACE = "@INTERFACE "
INTERFACE_PATTERN = rf"{INTERFACE}([^@]+)@"
DOWN_FILE = "/run/photon-haproxy/down"
SCRIPT = "/usr/local/libexec/photon-haproxy-healthy"

# Runs every second, so it uses bash built-ins only.
SCRIPT_TEXT = f"""#!/bin/bash
# Health check run by keepalived: does HAProxy answer?
exec 3<>/dev/tcp/127.0.0.1/{HEALTH_PORT} || exit 1
printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3
IFS= read -r -t 1 answer <&3 && [[ $answer == *' 200 '* ]]
"""


def configurations(vips: Sequence[Mapping[str, Any]], balancers: Mapping[str, str]) -> dict[str, str]:
    """Return balancer -> keepalived.conf, with a placeholder for the interface, whose name only the host knows."""
    if not vips:
        return {}
    order = list(balancers)
    return {host: "\n".join(_lines(vips, balancers, host, order)) + "\n" for host in balancers}


def _lines(
    vips: Sequence[Mapping[str, Any]], balancers: Mapping[str, str], host: str, order: Sequence[str]
) -> Iterator[str]:
    yield from (
        HEADER,
        "global_defs {",
        f"    router_id {host}",
        "    vrrp_version 3",
        "    enable_script_security",
        "    script_user root",
        # After a network partition both hosts held the address, so the master repeats its gratuitous ARP every second.
        "    vrrp_garp_master_refresh 1",
        "    vrrp_garp_lower_prio_delay 1",
        "}",
        "vrrp_script haproxy_healthy {",
        f'    script "{SCRIPT}"',
        "    interval 1",
        "    timeout 1",
        "    fall 2",
        "    rise 2",
        "}",
        # haproxy.service writes this file whenever HAProxy ends; keepalived cannot track processes in containers.
        "track_file haproxy_down {",
        f'    file "{DOWN_FILE}"',
        "    weight 0",
        "}",
    )
    for vip in vips:
        address = ipaddress.ip_interface(vip["address"])
        priority = vip["priorities"].get(host, max(200 - 10 * order.index(host), 1))
        yield from (
            f"vrrp_instance {vip['name']} {{",
            "    state BACKUP",
            f"    interface {INTERFACE}{balancers[host]}@",
            f"    virtual_router_id {vip['router_id']}",
            f"    priority {priority}",
            f"    advert_int {vip['advertisement']}",
            *(["    nopreempt"] if not vip["preempt"] else []),
            f"    unicast_src_ip {balancers[host]}",
            "    unicast_peer {",
            *(f"        {peer}" for name, peer in balancers.items() if name != host),
            "    }",
            "    virtual_ipaddress {",
            f"        {address.with_prefixlen} dev {INTERFACE}{balancers[host]}@",
            "    }",
            "    track_script {",
            "        haproxy_healthy",
            "    }",
            "    track_file {",
            "        haproxy_down",
            "    }",
            "}",
        )
