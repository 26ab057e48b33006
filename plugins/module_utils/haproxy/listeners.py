# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find listeners that would share a port, and sections of haproxy.cfg that would share a name."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Union

from . import render

_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]  # noqa: UP007 - hosts have Python 3.9


def check(items: Mapping[str, Any], vips: Mapping[str, str], problems: list[str]) -> None:
    """Report two listeners on one port and address, and names that a service may not have."""
    _check_names(items, problems)
    taken = _Taken(problems)
    taken.listen("127.0.0.1", render.HEALTH_PORT, "the health check of keepalived")
    for index, service in enumerate(items["services"]):
        path = f"haproxy_services[{index}] ({service['name']})"
        for number, bind in enumerate(service["bind"]):
            taken.listen(render.bind_address(bind, vips), bind["port"], f"{path}.bind[{number}].port")
        if service["redirect_port"]:
            for address in dict.fromkeys(render.bind_address(bind, vips) for bind in service["bind"]):
                taken.listen(address, service["redirect_port"], f"{path}.redirect_port")
    statistics = items["statistics"]
    if statistics:
        taken.listen(render.canonical(statistics["address"]), statistics["port"], "haproxy_statistics.port")
        if statistics["certificate"] and statistics["certificate"] not in {c["name"] for c in items["certificates"]}:
            problems.append(
                f"haproxy_statistics.certificate: {statistics['certificate']!r} is not defined in haproxy_certificates"
            )


def _check_names(items: Mapping[str, Any], problems: list[str]) -> None:
    owners = dict.fromkeys(render.OWN_SECTIONS, "the role itself")
    for index, service in enumerate(items["services"]):
        path = f"haproxy_services[{index}] ({service['name']})"
        for section in render.sections(service):
            other = owners.setdefault(section, path)
            if other != path:
                problems.append(f"{path}.name: the section {section} of haproxy.cfg belongs to {other}. Rename it.")


class _Taken:
    """The listeners so far. ``*`` is 0.0.0.0; IPv6 listeners accept IPv6 alone."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems
        self._listeners: list[tuple[_Address, int, str]] = []

    def listen(self, text: str, port: int, path: str) -> None:
        """Add a listener; append to the problems when another one would get its connections."""
        address = ipaddress.ip_address("0.0.0.0" if text == "*" else text)
        for other, other_port, owner in self._listeners:
            same = address == other or address.is_unspecified or other.is_unspecified
            if port == other_port and address.version == other.version and same:
                self._problems.append(f"{path}: {text}:{port} is used by {owner}")
        self._listeners.append((address, port, path))
