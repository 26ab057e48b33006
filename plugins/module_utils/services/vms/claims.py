# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a VM holds of quotas, hosts, datastores and exclusive keys: one function of its record."""

from __future__ import annotations

from collections.abc import Iterator

from ...cloudstore import Claim
from ...model.entities import Document
from ..state import CurrentState
from .networks import exclusive_keys
from .record import Vm


def claim_of(document: Document, state: CurrentState) -> Claim:
    """Everything that a VM's record stands for; on an undeclared host it holds its quota and storage alone."""
    vm = Vm.of(document)
    amounts: dict[str, dict[str, int]] = {vm.project: {key: amount for key, (amount, _unit) in vm.cost.items()}}
    keys: set[str] = set()
    if vm.place is not None:
        host = state.get(vm.place.host)
        if host is not None:
            amounts[host.id] = {"vcpus": vm.vcpus, "memory": vm.memory}
            keys.update(_anti_affinity_slots(vm, host))
        for disk in vm.disks:
            if state.get(disk.datastore) is not None:
                table = amounts.setdefault(str(disk.datastore), {"space": 0})
                table["space"] += disk.capacity
        keys.update(exclusive_keys(vm))
        keys.add(name_slot(vm.place.endpoint, vm.place.folder, vm.place.name))
    return Claim(vm.id, amounts, frozenset(keys))


def name_slot(endpoint_id: str, folder: str, name: str) -> str:
    """The exclusive key of a VM's name in its vSphere folder."""
    return f"name:{endpoint_id}:{folder}:{name.lower()}"


def _anti_affinity_slots(vm: Vm, host: Document) -> Iterator[str]:
    """One member of a hard anti-affinity group per host, rack or zone."""
    for group in vm.groups:
        if group.hard and group.kind == "anti-affinity":
            domain = {"host": host.id, "rack": host.body.get("rack"), "zone": host.body.get("zone")}[group.level]
            yield f"anti-affinity:{group.level}:{group.name}:{domain or host.id}"
