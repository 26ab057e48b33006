# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check virtual addresses, and derive what each balancer needs to hold them (pure)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

_Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]  # noqa: UP007 - hosts have Python 3.9


def address(vip: Mapping[str, Any]) -> str:
    """Return a VIP's address without its network, in its canonical form; "" when it is invalid."""
    try:
        return str(ipaddress.ip_interface(vip["address"]).ip)
    except ValueError:
        return ""


def source(vip: Mapping[str, Any], host: str, balancers: Mapping[str, str]) -> str:
    """Return the address from which a balancer announces that it holds the VIP."""
    return str(ipaddress.ip_address(vip["addresses"].get(host, balancers[host])))


def interface(vip: Mapping[str, Any], host: str) -> str:
    """Return the declared interface that carries the VIP on a balancer; "" for that of its source address."""
    return vip["interfaces"].get(host) or vip["interface"] or ""


def priority(vip: Mapping[str, Any], host: str, order: Sequence[str]) -> int:
    """Return a balancer's VRRP priority; by default the first one of the group has the highest."""
    return int(vip["priorities"].get(host, max(200 - 10 * order.index(host), 1)))


def check(
    vips: Sequence[dict[str, Any]], balancers: Mapping[str, str], known: Mapping[str, str], problems: list[str]
) -> None:
    """Append what is wrong to ``problems``, and give each VIP without a ``router_id`` a free one.

    ``balancers`` and ``known`` map hosts to addresses, the latter all hosts of the inventory.
    """
    seen: dict[str, str] = {}
    for index, vip in enumerate(vips):
        path = f"haproxy_vips[{index}] ({vip['name']})"
        try:
            network = ipaddress.ip_interface(vip["address"])
        except ValueError as error:
            problems.append(f"{path}.address: {error}")
            continue
        if "/" not in vip["address"]:
            problems.append(
                f"{path}.address: {vip['address']} has no prefix length. Write it as {vip['address']}/24, for example."
            )
            continue
        problems += [f"{path}.address: {complaint}" for complaint in _address(network, known)]
        other = seen.setdefault(str(network.ip), vip["name"])
        if other != vip["name"]:
            problems.append(f"{path}.address: {network.ip} is the address of the VIP {other}")
        problems += [f"{path}.{complaint}" for complaint in _sources(vip, network, balancers)]
        problems += [f"{path}.{complaint}" for complaint in _priorities(vip, list(balancers))]
    _router_ids(vips, problems)


def _address(network: _Interface, known: Mapping[str, str]) -> Iterator[str]:
    ip, hosts = network.ip, network.network
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback or ip.is_link_local:
        yield f"{ip} is not an address that a host can hold for others"
    elif hosts.num_addresses > 2 and ip == hosts.network_address:
        yield f"{ip} is the address of the network {hosts} itself"
    elif ip.version == 4 and hosts.num_addresses > 2 and ip == hosts.broadcast_address:
        yield f"{ip} is the broadcast address of {hosts}"
    for host, text in known.items():
        if text == str(ip):
            yield f"{ip} is the address of {host}. A VIP needs an address of its own."


def _sources(vip: Mapping[str, Any], network: _Interface, balancers: Mapping[str, str]) -> Iterator[str]:
    for key in ("addresses", "interfaces"):
        yield from (f"{key}.{host}: {host} is not a balancer" for host in vip[key] if host not in balancers)
    owners: dict[str, str] = {}
    for host, default in balancers.items():
        text = str(vip["addresses"].get(host, default))
        where = f"addresses.{host}" if host in vip["addresses"] else "address"
        try:
            own = ipaddress.ip_address(text)
        except ValueError:
            yield f"{where}: VRRP needs the IP address of {host}, got {text!r}. Set haproxy_address of {host}."
            continue
        other = owners.setdefault(str(own), host)
        if other != host:
            yield f"{where}: {own} is the address of both {other} and {host}"
        if own.version != network.version:
            yield (
                f"{where}: {host} ({own}) and the VIP are not of one IP version. Set addresses.{host} to an address "
                f"that {host} has in {network.network}."
            )
        elif own not in network.network and not interface(vip, host):
            yield (
                f"{where}: {host} ({own}) is not in the VIP's network {network.network}. Set interface to the one that "
                f"carries the VIP, or addresses.{host} to an address that {host} has there."
            )


def _priorities(vip: Mapping[str, Any], balancers: Sequence[str]) -> Iterator[str]:
    valid = True
    for host, value in vip["priorities"].items():
        if host not in balancers:
            yield f"priorities.{host}: {host} is not a balancer"
        elif not str(value).isdigit() or not 1 <= int(value) <= 254:
            yield f"priorities.{host}: must be within 1..254, got {value!r}"
            valid = False
    owners: dict[int, str] = {}
    for host in balancers if valid else ():
        other = owners.setdefault(priority(vip, host, balancers), host)
        if other != host and len(balancers) <= 20:  # beyond, defaults repeat
            both = priority(vip, host, balancers)
            yield f"priorities: {other} and {host} both have priority {both}. Set different ones."


def _router_ids(vips: Sequence[dict[str, Any]], problems: list[str]) -> None:
    owners: dict[int, str] = {}
    for index, vip in enumerate(vips):
        if vip["router_id"]:
            other = owners.setdefault(vip["router_id"], vip["name"])
            if other != vip["name"]:
                problems.append(
                    f"haproxy_vips[{index}] ({vip['name']}).router_id: {vip['router_id']} is used by {other}"
                )
    for vip in vips:
        if not vip["router_id"] and address(vip):
            wanted = int(ipaddress.ip_interface(vip["address"]).ip) & 0xFF or 1
            # The address's last octet, or the next one that is free.
            choices = [*range(wanted, 256), *range(1, wanted)]
            vip["router_id"] = next((number for number in choices if number not in owners), wanted)
            owners[vip["router_id"]] = vip["name"]
