# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate a load balancing declaration and render it into files, without contacting a host.

Pure except for reading certificate files and, when requested, resolving names.
"""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..model.errors import PhotonError
from . import certificates as tls
from . import keepalived, listeners, render, rules
from . import vips as virtual
from .contract import check, convert


class DeclarationError(PhotonError):
    """The declaration is invalid; ``problems`` has one line per mistake, each with its key path."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__(
            "SpecInvalid",
            "The load balancer declaration is invalid. No host was changed:\n  " + "\n  ".join(self.problems),
            {"mistakes": self.problems},
        )


def with_platform_services(given: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the declaration with the chosen ready-made services that have hosts before the user's own."""
    declaration = dict(given)
    ready, wanted = declaration.pop("ready_made", {}), declaration.pop("platform_services", [])
    overrides, authority = declaration.pop("platform_overrides", {}), declaration.pop("platform_authority", "")
    unknown = [
        f"haproxy_platform_services: unknown service {name}, must be one of {', '.join(ready)}"
        for name in wanted
        if name not in ready
    ]
    unknown += [
        f"haproxy_platform_overrides.{name}: is not listed in haproxy_platform_services"
        for name in overrides
        if name not in wanted
    ]
    if unknown:
        raise DeclarationError(unknown)
    services = []
    for name in wanted:
        service = {**ready[name], "name": name, **overrides.get(name, {})}
        if service.get("tls") and authority:
            service["tls"] = {"authority": authority, **service["tls"]}
        if groups.get(service["group"]):  # an override may have changed the group
            services.append(service)
    return {**declaration, "services": [*services, *declaration["services"]]}


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
    ``keepalived`` (balancer -> text, empty without VIPs), ``lists`` (file name -> text of the lists of certificates),
    ``services`` (name -> its servers' names), ``vips`` (name -> address). Raises DeclarationError with every mistake.
    """
    problems: list[str] = []
    items = _read(declaration, contract, problems)
    if problems:  # the checks below rely on valid types
        raise DeclarationError(problems)
    balancers = list(groups.get(declaration["group"]) or ())
    if not balancers:
        problems.append(f"haproxy_group: the inventory group {declaration['group']} is empty. Add the balancers to it.")
    addresses = {host: address_of(host) for host in balancers}
    _check_addresses(addresses, problems)
    others = [host for host in groups.get("all") or () if host not in addresses] if items["vips"] else []
    known = {host: render.canonical(address) for host, address in addresses.items()}
    known |= {host: render.canonical(address_of(host)) for host in others}
    virtual.check(items["vips"], addresses, known, problems)
    vips = {vip["name"]: virtual.address(vip) for vip in items["vips"]}
    _check_certificates(items, now, items["settings"]["certificate_days"], problems)
    for index, service in enumerate(items["services"]):
        path = f"haproxy_services[{index}] ({service['name']})"
        _check_references(service, items, vips, path, problems)
        service["servers"] = _servers(service, groups, address_of, path, problems)
        if declaration["check_names"]:
            _resolve(service["servers"], path, problems)
    listeners.check(items, vips, problems)
    if problems:
        raise DeclarationError(problems)
    return {
        "haproxy": render.configuration(items, vips),
        "keepalived": keepalived.configurations(items["vips"], addresses, items["settings"]),
        "lists": render.certificate_lists(items),
        "services": {s["name"]: [server["name"] for server in s["servers"]] for s in items["services"]},
        "vips": vips,
    }


def _read(declaration: Mapping[str, Any], contract: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    items: dict[str, Any] = {"settings": _settings(declaration, contract["main"]["options"], problems)}
    kinds = {"services": "service", "vips": "vip", "certificates": "certificate", "authorities": "authority"}
    for key, entry in kinds.items():
        seen: set[str] = set()
        items[key] = []
        for index, value in enumerate(declaration[key]):
            label = value.get("name") if isinstance(value, Mapping) else None
            path = f"haproxy_{key}[{index}]" + (f" ({label})" if label else "")
            item = check(contract[entry]["options"], value, path, entry, problems)
            if item.get("name") in seen:
                problems.append(f"{path}.name: {item['name']!r} is defined twice")
            seen.add(item.get("name", ""))
            items[key].append(item)
    items["statistics"] = None
    if declaration["statistics"]:
        options = contract["statistics"]["options"]
        items["statistics"] = check(options, declaration["statistics"], "haproxy_statistics", "statistics", problems)
    return items


def _settings(declaration: Mapping[str, Any], options: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Return the variables that are single values or lists of such."""
    settings = {}
    for variable, option in options.items():
        name = variable.removeprefix("haproxy_")
        if name in declaration and "dict" not in (option.get("type"), option.get("elements")):
            settings[name] = convert(option, declaration[name], variable, f"haproxy.{name}", problems)
    return settings


def _check_addresses(balancers: Mapping[str, str], problems: list[str]) -> None:
    owners: dict[str, str] = {}
    for host, address in balancers.items():
        complaint = rules.host(address)
        if complaint:
            problems.append(f"haproxy_address of {host}: {complaint}")
        other = owners.setdefault(render.canonical(address), host)
        if other != host:
            problems.append(f"haproxy_address of {host}: {address} is the address of {other} too. Set one per host.")


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
            f"{path}.tls.authority: is required to verify the back ends. Set it (haproxy_platform_authority for the "
            "ready-made services), or set tls.verify to false."
        )
    if service["client_authority"] and not service["certificates"]:
        problems.append(f"{path}.client_authority: requires TLS. Set certificates as well.")
    if service["redirect_port"] and not (service["mode"] == "http" and service["certificates"]):
        problems.append(f"{path}.redirect_port: requires mode http and certificates")
    _check_mode(service, path, problems)
    if not service["bind"]:
        problems.append(f"{path}.bind: must have at least one entry")
    for index, bind in enumerate(service["bind"]):
        if bind["vip"] and bind["vip"] not in vips:
            problems.append(f"{path}.bind[{index}].vip: {bind['vip']!r} is not defined in haproxy_vips")


def _check_mode(service: Mapping[str, Any], path: str, problems: list[str]) -> None:
    """Report settings that require mode http, or TLS."""
    if service["hsts"] and not service["certificates"]:
        problems.append(f"{path}.hsts: requires TLS. Set certificates as well.")
    if service["mode"] == "tcp":
        stickiness = service["stickiness"] or {}
        if stickiness.get("type") in ("cookie", "prefix"):
            problems.append(f"{path}.stickiness.type: {stickiness['type']} requires mode http. Use source in mode tcp.")
        if (service["limits"] or {}).get("request_rate"):
            problems.append(f"{path}.limits.request_rate: requires mode http. Use connection_rate in mode tcp.")
        if service["hsts"]:
            problems.append(f"{path}.hsts: requires mode http")
        if service["balance"] == "uri":
            problems.append(f"{path}.balance: uri requires mode http")
        if service["retry_on"]:
            problems.append(f"{path}.retry_on: requires mode http")


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
        if not server["port"]:
            problems.append(f"{where}.port: is missing. Set the port of the service or of the server.")
        # A host of the inventory did not pass the contract.
        complaints = {"name": rules.name(name), "address": rules.host(server["address"])}
        problems += [f"{where}.{key}: {complaint}" for key, complaint in complaints.items() if complaint]
        servers.append(server)
    return servers


def _resolve(servers: Sequence[Mapping[str, Any]], path: str, problems: list[str]) -> None:
    for server in servers:
        if rules.address(server["address"]):
            try:
                socket.getaddrinfo(server["address"], None)
            except (OSError, UnicodeError) as error:
                problems.append(
                    f"{path}.servers[{server['name']}].address: {server['address']} does not resolve ({error})"
                )
