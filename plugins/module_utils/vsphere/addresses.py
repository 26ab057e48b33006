# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the address under which a VM is reached from those that its guest reports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Union

_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]  # noqa: UP007 - ansible-test checks for older Pythons
_BRIDGES = range(17, 32)  # of 172.0.0.0/8: Docker and its like take their bridges' networks from here


def choose_address(adapters: Iterable[tuple[int, list[str]]], primary: str = "") -> str | None:
    """Return the routable address of the first adapter, IPv4 before IPv6; None when there is none.

    ``adapters``: (device key, addresses) of the guest's interfaces. Those without a virtual adapter (key below 0:
    bridges and tunnels of the guest) are skipped. Networks that container bridges use come last. ``primary`` is what
    the guest calls its own address; it counts where no adapter has a usable one.
    """
    found = [
        (key, address)
        for key, texts in adapters
        if key >= 0
        for address in map(_parse, texts)
        if address is not None and _is_routable(address)
    ]
    elsewhere = any(address.version == 4 and not _is_bridge(address) for _key, address in found)
    ranked = sorted(found, key=lambda each: (elsewhere and _is_bridge(each[1]), each[0], each[1].version))
    if ranked:
        return str(ranked[0][1])
    return usable_address(primary)


def usable_address(text: str) -> str | None:
    """Return an address whose interface is not known when it may be a VM's, else None."""
    address = _parse(text)
    return text if address is not None and _is_routable(address) and not _is_bridge(address) else None


def _parse(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_routable(address: _Address) -> bool:
    return not (address.is_link_local or address.is_loopback or address.is_unspecified or address.is_multicast)


def _is_bridge(address: _Address) -> bool:
    return address.version == 4 and address.packed[0] == 172 and address.packed[1] in _BRIDGES
