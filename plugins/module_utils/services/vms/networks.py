# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static addresses of guests: the network configuration that cloud-init reads, and what a VM alone may have.

A guest knows its adapters by their MAC addresses. Adapters that exist keep theirs; those that a VM with static
addresses is yet to get have one that the platform chooses, in the range that vSphere leaves to its users.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from ..planning import Planning
from .record import Static, Vm

Nics = tuple[tuple[str, str], ...]  # (port group, MAC address) per adapter


def configuration(vm: Vm) -> dict[str, Any] | None:
    """cloud-init's network configuration, version 2; None for a VM without static addresses."""
    if not vm.static:
        return None
    static = {each.adapter: each for each in vm.static}
    adapters = {f"adapter{n}": _adapter(mac, static.get(n)) for n, mac in enumerate(macs(vm)) if mac}
    return {"version": 2, "ethernets": adapters}


def macs(vm: Vm) -> list[str | None]:
    """The MAC address of the adapter of each port group; None where it is not known."""
    matched, spare = _match(vm.port_groups, vm.nics)
    rest = iter(spare)
    return [mac if mac is not None else next(rest, (None, None))[1] for mac in matched]


def with_new_adapters(vm: Vm, seen: Nics, planning: Planning) -> Vm:
    """The VM with the adapters that it has (``seen``) and, where it has static addresses, those that it is to get."""
    nics = list(seen)
    if vm.static:
        matched, spare = _match(vm.port_groups, seen)
        missing = [name for name, mac in zip(vm.port_groups, matched, strict=True) if mac is None]
        nics += [(name, _choose(vm.id, n, planning)) for n, name in enumerate(missing[len(spare) :], len(seen))]
    return replace(vm, nics=tuple(nics))


def exclusive_keys(vm: Vm) -> Iterator[str]:
    """What no other VM may have: the addresses in their port groups, and the MAC addresses."""
    if not vm.static or vm.place is None:
        return
    for each in vm.static:
        yield _address_key(vm.place.endpoint, vm, each)
    for _name, mac in vm.nics:
        yield f"mac:{mac}"


def conflict(vm: Vm, label: str, endpoint: str, planning: Planning) -> PhotonError | None:
    """Take the addresses of a VM on an endpoint for this plan. Return IpAddressInUse where another VM has one.

    A VM that this plan deletes has none any more, and one that it declares has what is declared.
    """
    state = planning.state
    for each in vm.static:
        key = _address_key(endpoint, vm, each)
        holder = state.get(planning.taken.setdefault(key, vm.id))
        if holder is None or holder.id == vm.id:
            holder = state.get(state.exclusives.get(key))
            if holder is not None and _is_planned(holder, planning):
                holder = None
        if holder is not None and holder.id != vm.id:
            return PhotonError(
                "IpAddressInUse",
                f"VM {label}: {_ip(each)} in port group {vm.port_groups[each.adapter]} is the address of VM "
                f"{state.path_of(holder)}: choose another one, or take it off that VM first",
            )
    return None


def shown(vm: Vm) -> list[str]:
    """The static addresses for people: ``lan: 10.0.0.5/24, gateway 10.0.0.1, dns 10.0.0.2``."""
    lines = []
    for each in vm.static:
        gateway = f", gateway {each.gateway}" if each.gateway else ""
        dns = f", dns {' '.join(each.dns)}" if each.dns else ""
        lines.append(f"{vm.port_groups[each.adapter]}: {each.address}{gateway}{dns}")
    return lines


def address(vm: Vm) -> str | None:
    """The address that the guest reported, else the first static one."""
    return vm.address or next((_ip(each) for each in vm.static), None)


def to_read(planning: Planning) -> set[str]:
    """The ids of the VMs that are to have static addresses and whose adapters were never recorded."""
    found = set()
    for item in planning.declaration.vms:
        current = planning.state.declared(entities.VM, item) if item.get("static") else None
        if current is not None and not current.observed.get("nics"):
            found.add(current.id)
    return found


def _match(names: Sequence[str], nics: Nics) -> tuple[list[str | None], list[tuple[str, str]]]:
    """The MAC address of an adapter on each port group, None where there is none, and the adapters that are left."""
    left, found = list(nics), []
    for name in names:
        nic = next((nic for nic in left if nic[0] == name), None)
        if nic is not None:
            left.remove(nic)
        found.append(nic[1] if nic is not None else None)
    return found, left


def _adapter(mac: str, static: Static | None) -> dict[str, Any]:
    match: dict[str, Any] = {"match": {"macaddress": mac.lower()}}
    if static is None:
        return {**match, "dhcp4": True}
    found = {**match, "dhcp4": False, "addresses": [static.address]}
    if static.gateway:
        anywhere = "::/0" if ":" in static.gateway else "0.0.0.0/0"
        found["routes"] = [{"to": anywhere, "via": static.gateway}]
    if static.dns:
        found["nameservers"] = {"addresses": list(static.dns)}
    return found


def _choose(vm_id: str, number: int, planning: Planning) -> str:
    """A MAC address between 00:50:56:00:00:00 and 00:50:56:3f:ff:ff that no other adapter has."""
    for attempt in range(1 << 22):
        digest = hashlib.sha256(f"{vm_id}/{number}/{attempt}".encode()).digest()
        mac = f"00:50:56:{digest[0] & 0x3F:02x}:{digest[1]:02x}:{digest[2]:02x}"
        holder, owner = planning.state.exclusives.get(f"mac:{mac}", vm_id), f"{vm_id}/{number}"
        if holder == vm_id and planning.taken.setdefault(f"mac:{mac}", owner) == owner:
            return mac
    raise PhotonError("InvalidNetworkConfig", "every MAC address of the range that vSphere leaves to its users is used")


def _is_planned(vm: Document, planning: Planning) -> bool:
    """Whether this plan decides about the addresses of a VM."""
    return any(
        planning.state.declared(entities.VM, item) is vm
        for item in planning.declaration.vms
        if planning.whole or item.get("static") is not None
    )


def _address_key(endpoint: str, vm: Vm, static: Static) -> str:
    return f"address:{endpoint}:{vm.port_groups[static.adapter]}:{_ip(static)}"


def _ip(static: Static) -> str:
    return str(ipaddress.ip_interface(static.address).ip)
