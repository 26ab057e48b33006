# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate a load balancing declaration and render it into files, without contacting a host.

Pure except for reading certificate files and, when requested, resolving names.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import certificates as tls
from . import keepalived, render
from .contract import check

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")


class DeclarationError(Exception):
    """The declaration is invalid; ``problems`` has one line per mistake, each with its key path."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(
            "The load balancer declaration is invalid. No host was changed:\n  " + "\n  ".join(self.problems)
        )


def build(
    declaration: Mapping[str, Any],
    contract: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    address_of: Callable[[str], str],
    now: datetime.datetime,
) -> dict[str, Any]:
    """Build the configuration of all balancers.

    ``declaration`` has the role's variables without their prefix (services, vips, certificates ...), ``contract`` the
    entry points of argument_specs.yml, ``groups`` the inventory's groups. Returns ``haproxy`` (text, the same for all),
    ``keepalived`` (balancer -> text, empty without VIPs), ``services`` (name -> its servers' names), ``addresses``
    (balancer -> address) and ``vips`` (name -> address). Raises DeclarationError with every mistake.
    """
    problems: list[str] = []
    items = _read(declaration, contract, problems)
    if problems:  # the checks below rely on valid types
        raise DeclarationError(problems)
    balancers = list(groups.get(declaration["group"]) or ())
    if not balancers:
        problems.append(f"haproxy_group: the inventory group {declaration['group']} is empty. Add the balancers to it.")
    addresses = {host: address_of(host) for host in balancers}
    vips = _check_vips(items["vips"], addresses, problems)
    _check_certificates(items, now, declaration["certificate_days"], problems)
    for index, service in enumerate(items["services"]):
        path = f"haproxy_services[{index}] ({service['name']})"
        _check_references(service, items, vips, path, problems)
        service["servers"] = _servers(service, groups, address_of, path, problems)
        if declaration["check_names"]:
            _resolve(service["servers"], path, problems)
    _check_ports(items, vips, problems)
    if problems:
        raise DeclarationError(problems)
    return {
        "haproxy": render.configuration(items, vips, declaration),
        "keepalived": keepalived.configurations(items["vips"], addresses),
        "services": {s["name"]: [server["name"] for server in s["servers"]] for s in items["services"]},
        "addresses": addresses,
        "vips": vips,
    }


def _read(declaration: Mapping[str, Any], contract: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    items: dict[str, Any] = {}
    kinds = {"services": "service", "vips": "vip", "certificates": "certificate", "authorities": "authority"}
    for key, entry in kinds.items():
        seen: set[str] = set()
        items[key] = []
        for index, value in enumerate(declaration[key]):
            label = value.get("name") if isinstance(value, Mapping) else None
            path = f"haproxy_{key}[{index}]" + (f" ({label})" if label else "")
            item = check(contract[entry]["options"], value, path, problems)
            name = item.get("name")
            if name and not NAME.fullmatch(name):
                problems.append(f"{path}.name: must consist of letters, digits, '.', '-' and '_', got {name!r}")
            if name in seen:
                problems.append(f"{path}.name: {name!r} is defined twice")
            seen.add(name)
            items[key].append(item)
    items["statistics"] = None
    if declaration["statistics"]:
        items["statistics"] = check(
            contract["statistics"]["options"], declaration["statistics"], "haproxy_statistics", problems
        )
    return items


def _check_vips(vips: Sequence[Mapping[str, Any]], balancers: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    routers: dict[int, str] = {}
    for index, vip in enumerate(vips):
        path = f"haproxy_vips[{index}] ({vip['name']})"
        try:
            interface = ipaddress.ip_interface(vip["address"])
        except ValueError as error:
            problems.append(f"{path}.address: {error}")
            continue
        if "/" not in vip["address"]:
            problems.append(
                f"{path}.address: {vip['address']} has no prefix length. Write it as {vip['address']}/24, for example."
            )
            continue
        found[vip["name"]] = str(interface.ip)
        for host, address in balancers.items():
            try:
                inside = ipaddress.ip_address(address) in interface.network
            except ValueError:
                problems.append(
                    f"haproxy_address of {host}: must be an IP address because VIPs are declared, got {address!r}"
                )
                continue
            if not inside:
                problems.append(f"{path}.address: {host} ({address}) is not in the VIP's network {interface.network}")
            if address == str(interface.ip):
                problems.append(
                    f"{path}.address: {vip['address']} is the address of {host}. A VIP needs an address of its own."
                )
        vip["router_id"] = vip["router_id"] or int(interface.ip) & 0xFF
        if not 1 <= vip["router_id"] <= 255 or vip["router_id"] in routers:
            other = routers.get(vip["router_id"])
            problems.append(
                f"{path}.router_id: {vip['router_id']} is {'used by ' + other if other else 'not within 1..255'}"
            )
        routers[vip["router_id"]] = vip["name"]
        for host, priority in vip["priorities"].items():
            if host not in balancers:
                problems.append(f"{path}.priorities.{host}: {host} is not a balancer")
            elif not str(priority).isdigit() or not 1 <= int(priority) <= 254:
                problems.append(f"{path}.priorities.{host}: {priority!r} is not within 1..254")
        if not 0.01 <= vip["advertisement"] <= 40:
            problems.append(f"{path}.advertisement: {vip['advertisement']} is not within 0.01..40 seconds")
    return found


def _check_certificates(items: Mapping[str, Any], now: datetime.datetime, days: int, problems: list[str]) -> None:
    for key in ("certificates", "authorities"):
        for index, item in enumerate(items[key]):
            path = f"haproxy_{key}[{index}] ({item['name']})"
            try:
                tls.check(item, now, days if key == "certificates" else 0, with_key=key == "certificates")
            except tls.CertificateError as error:
                problems.append(f"{path}.{error}")
            except RuntimeError as error:
                problems.append(f"{path}: {error}")


def _check_references(
    service: Mapping[str, Any], items: Mapping[str, Any], vips: Mapping[str, str], path: str, problems: list[str]
) -> None:
    certificates = {item["name"] for item in items["certificates"]}
    authorities = {item["name"] for item in items["authorities"]}
    for index, name in enumerate(service["certificates"]):
        if name not in certificates:
            problems.append(f"{path}.certificates[{index}]: {name!r} is not defined in haproxy_certificates")
    upstream = service["tls"] or {}
    for where, name in (
        ("client_authority", service["client_authority"]),
        ("tls.authority", upstream.get("authority")),
    ):
        if name and name not in authorities:
            problems.append(f"{path}.{where}: {name!r} is not defined in haproxy_authorities")
    if upstream.get("verify") and not upstream.get("authority"):
        problems.append(
            f"{path}.tls.authority: is required to verify the back ends. Set it, or set tls.verify to false."
        )
    if service["client_authority"] and not service["certificates"]:
        problems.append(f"{path}.client_authority: requires TLS. Set certificates as well.")
    if service["redirect_port"] and not (service["mode"] == "http" and service["certificates"]):
        problems.append(f"{path}.redirect_port: requires mode http and certificates")
    _check_mode(service, path, problems)
    for index, bind in enumerate(service["bind"]):
        if bind["vip"] and bind["vip"] not in vips:
            problems.append(f"{path}.bind[{index}].vip: {bind['vip']!r} is not defined in haproxy_vips")
        if bind["address"] != "*" and not _is_address(bind["address"]):
            problems.append(f"{path}.bind[{index}].address: must be * or an IP address, got {bind['address']!r}")
    for index, network in enumerate(service["allowed_networks"]):
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            problems.append(f"{path}.allowed_networks[{index}]: {error}")


def _check_mode(service: Mapping[str, Any], path: str, problems: list[str]) -> None:
    """Report settings that require mode http."""
    if service["mode"] == "tcp":
        stickiness = service["stickiness"] or {}
        if stickiness.get("type") in ("cookie", "prefix"):
            problems.append(f"{path}.stickiness.type: {stickiness['type']} requires mode http. Use source in mode tcp.")
        if (service["limits"] or {}).get("request_rate"):
            problems.append(f"{path}.limits.request_rate: requires mode http. Use connection_rate in mode tcp.")
        if service["hsts"]:
            problems.append(f"{path}.hsts: requires mode http")


def _servers(
    service: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    address_of: Callable[[str], str],
    path: str,
    problems: list[str],
) -> list[dict[str, Any]]:
    """Return the service's servers: the group's hosts with the list's settings, then servers only in the list."""
    listed = {server["name"]: server for server in service["servers"]}
    if len(listed) != len(service["servers"]):
        problems.append(f"{path}.servers: a server name is defined twice")
    if service["group"] is None and not listed:
        problems.append(f"{path}: group or servers is required")
    members = list(groups.get(service["group"]) or ()) if service["group"] else []
    if service["group"] and not members:
        problems.append(f"{path}.group: the inventory group {service['group']} is empty or does not exist")
    servers = []
    for name in [*members, *(n for n in listed if n not in members)]:
        plain = {"name": name, "address": None, "port": None, "weight": 100, "backup": False, "max_connections": None}
        server = dict(listed.get(name, plain))
        where = f"{path}.servers[{name}]"
        if server["address"] is None:
            if name not in (groups.get("all") or members):
                problems.append(
                    f"{where}.address: is required because the inventory has no host named {server['name']}"
                )
                continue
            server["address"] = address_of(name)
        server["port"] = server["port"] or service["port"]
        if not server["port"] or not 1 <= server["port"] <= 65535:
            problems.append(
                f"{where}.port: must be a TCP port, got {server['port']}. Set the port of the service or of the server."
            )
        if not 0 <= server["weight"] <= 256:
            problems.append(f"{where}.weight: {server['weight']} is not within 0..256")
        if not NAME.fullmatch(name):
            problems.append(f"{where}.name: must consist of letters, digits, '.', '-' and '_', got {server['name']!r}")
        servers.append(server)
    return servers


def _resolve(servers: Sequence[Mapping[str, Any]], path: str, problems: list[str]) -> None:
    for server in servers:
        if not _is_address(server["address"]):
            try:
                socket.getaddrinfo(server["address"], None)
            except (OSError, UnicodeError) as error:
                problems.append(
                    f"{path}.servers[{server['name']}].address: {server['address']} does not resolve ({error})"
                )


def _check_ports(items: Mapping[str, Any], vips: Mapping[str, str], problems: list[str]) -> None:
    """Report two listeners on one port, on the same address or with one of them on all addresses."""
    taken: list[tuple[str, int, str]] = []

    def listen(address: str, port: int, path: str) -> None:
        if not 1 <= port <= 65535:
            problems.append(f"{path}: must be a TCP port, got {port}")
        for other_address, other_port, other in taken:
            if port == other_port and (address == other_address or "*" in (address, other_address)):
                problems.append(f"{path}: {address}:{port} is used by {other}")
        taken.append((address, port, path))

    for index, service in enumerate(items["services"]):
        path = f"haproxy_services[{index}] ({service['name']})"
        for number, bind in enumerate(service["bind"]):
            listen(render.bind_address(bind, vips), bind["port"], f"{path}.bind[{number}].port")
        if service["redirect_port"]:
            for address in dict.fromkeys(render.bind_address(bind, vips) for bind in service["bind"]):
                listen(address, service["redirect_port"], f"{path}.redirect_port")
    statistics = items["statistics"]
    if statistics:
        listen(statistics["address"], statistics["port"], "haproxy_statistics.port")
        if statistics["certificate"] and statistics["certificate"] not in {c["name"] for c in items["certificates"]}:
            problems.append(
                f"haproxy_statistics.certificate: {statistics['certificate']!r} is not defined in haproxy_certificates"
            )
    listen("127.0.0.1", render.HEALTH_PORT, "the role's own health port")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
