# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render keepalived.conf for each balancer: unicast VRRP version 3, tracking HAProxy's health."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import vips as virtual
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


def configurations(
    vips: Sequence[Mapping[str, Any]], balancers: Mapping[str, str], settings: Mapping[str, Any]
) -> dict[str, str]:
    """Return balancer -> keepalived.conf, with placeholders for interfaces, whose names only the host knows."""
    if not vips:
        return {}
    return {host: "\n".join(_lines(vips, balancers, host, settings)) + "\n" for host in balancers}


def _lines(
    vips: Sequence[Mapping[str, Any]], balancers: Mapping[str, str], host: str, settings: Mapping[str, Any]
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
        *(f"    {line}" for line in settings["keepalived_extra_global"]),
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
        yield from _instance(vip, balancers, host)
    if settings["keepalived_extra_config"]:
        yield from ("# haproxy_keepalived_extra_config", *settings["keepalived_extra_config"].splitlines())


def _instance(vip: Mapping[str, Any], balancers: Mapping[str, str], host: str) -> Iterator[str]:
    source = virtual.source(vip, host, balancers)
    peers = [virtual.source(vip, name, balancers) for name in balancers if name != host]
    link = f"{INTERFACE}{source}@"
    # keepalived takes unicast without a peer for a mistake.
    unicast = [f"    unicast_src_ip {source}", "    unicast_peer {", *(f"        {peer}" for peer in peers), "    }"]
    yield from (
        f"vrrp_instance {vip['name']} {{",
        "    state BACKUP",
        f"    interface {link}",
        f"    virtual_router_id {vip['router_id']}",
        f"    priority {virtual.priority(vip, host, list(balancers))}",
        f"    advert_int {vip['advertisement']}",
        *(["    nopreempt"] if not vip["preempt"] else []),
        *(unicast if peers else []),
        "    virtual_ipaddress {",
        f"        {ipaddress.ip_interface(vip['address']).with_prefixlen} dev {virtual.interface(vip, host) or link}",
        "    }",
        "    track_script {",
        "        haproxy_healthy",
        "    }",
        "    track_file {",
        "        haproxy_down",
        "    }",
        *(f"    {line}" for line in vip["extra"]),
        "}",
    )
