# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static addresses of VMs' network adapters: checked, and one for each member of a range of VMs."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Union

from .declared import Item
from .fields import Checker

_Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]  # noqa: UP007 - ansible-test checks older Pythons
_EXAMPLE = "10.0.0.5/24"


def split(checker: Checker, item: Item) -> list[list[Item]] | None:
    """Leave the names of the port groups in the item; per member of it the static configurations, None where the port
    groups are omitted.

    A configuration is ``{adapter: position among the port groups, address: "10.0.0.5/24", gateway, dns}``.
    """
    rows, names = item["port_groups"], item["name"] or []
    if rows is None:
        return None
    item["port_groups"] = [row["name"] for row in rows]
    members: list[list[Item]] = [[] for _name in names]
    routes: dict[int, int] = {}  # the adapter that has the gateway, by IP version
    for number, row in enumerate(rows):
        path = f"{item['path']}.port_groups[{number}]"
        if row["address"] is None:
            for key in ("gateway", "dns"):
                if row[key] is not None:
                    checker.add(f"{path}.{key}", f"has no effect without address: add address: {_EXAMPLE}")
            continue
        for member, address in enumerate(_interfaces(checker, row, names, path)):
            if address is None:
                continue
            gateway = _gateway(checker, row, address, path)
            if gateway is not None and routes.setdefault(address.version, number) != number:
                other = routes[address.version]
                checker.add(f"{path}.gateway", f"port_groups[{other}] has one already: a guest has one default route")
            members[member].append(
                {"adapter": number, "address": str(address), "gateway": gateway, "dns": _dns(checker, row, path)}
            )
    meta_data = (item["metadata"] or {}).get("meta_data")
    if any(members) and isinstance(meta_data, Mapping) and "network" in meta_data:
        checker.add(
            f"{item['path']}.metadata.meta_data.network", "cannot be combined with an address in port_groups: keep one"
        )
    return members


def refuse_twice(checker: Checker, vms: list[Item]) -> None:
    """Add a mistake for each address that two VMs declare in one port group; one for all that an item repeats."""
    seen: dict[tuple[str, str], str] = {}
    for vm in vms:
        for each in vm["static"] or () if vm["state"] != "absent" else ():
            key = vm["port_groups"][each["adapter"]], each["address"].partition("/")[0]
            path = f"{vm['path']}.port_groups[{each['adapter']}].address"
            if key in seen:
                checker.add(path, f"{key[1]} is the address of {seen[key]} already", "IpAddressInUse")
            seen.setdefault(key, f"{vm['name']} ({vm['path']})")


def _interfaces(checker: Checker, row: Mapping[str, Any], names: list[str], path: str) -> list[_Interface | None]:
    """An address per member; None for one that is wrong."""
    texts = row["address"]
    if len(texts) != len(names):
        checker.add(
            f"{path}.address",
            f"has {len(texts)} members, the name has {len(names)}: write as many, such as 10.0.0.[5:14]/24 for ten VMs",
        )
        return []
    return [_interface(checker, text, path) for text in texts]


def _interface(checker: Checker, text: str, path: str) -> _Interface | None:
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        found = None
    if found is None or "/" not in text:
        checker.add(f"{path}.address", f"{text!r} is not an address with its prefix length: write {_EXAMPLE}")
        return None
    network = found.network
    if found.version == 4 and network.prefixlen < 31 and found.ip in (network[0], network[-1]):
        which = "network's own" if found.ip == network[0] else "broadcast"
        checker.add(f"{path}.address", f"{text} is the {which} address of {network}: choose one between the two ends")
        return None
    return found


def _gateway(checker: Checker, row: Mapping[str, Any], address: _Interface, path: str) -> str | None:
    given = row["gateway"]
    gateway = _ip(checker, given, f"{path}.gateway") if given is not None else None
    if gateway is None:
        return None
    reachable = gateway in address.network or (gateway.version == address.version == 6 and gateway.is_link_local)
    if not reachable or gateway == address.ip:
        what = "is the VM's own address" if gateway == address.ip else f"is not in the network {address.network}"
        checker.add(f"{path}.gateway", f"{given} {what}: give an address that the VM reaches directly")
    return str(gateway)


def _dns(checker: Checker, row: Mapping[str, Any], path: str) -> list[str]:
    servers = [_ip(checker, text, f"{path}.dns[{number}]") for number, text in enumerate(row["dns"] or [])]
    return [str(server) for server in servers if server is not None]


def _ip(checker: Checker, text: str, path: str) -> Any:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        checker.add(path, f"{text!r} is not an IP address: write one such as 10.0.0.1")
        return None
