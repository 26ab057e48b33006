# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's own fields as resource_info shows them."""

from __future__ import annotations

from typing import Any

from ...model import entities
from ...model.entities import Document
from ..disks.record import Disk as Persistent
from ..state import CurrentState
from . import networks
from .record import Vm


def describe(document: Document, view: Any) -> dict[str, Any]:
    """Amounts are vCPUs and bytes; ``view`` is a fleet_view.View."""
    state: CurrentState = view.state
    vm = Vm.of(document)
    place = vm.place
    host = state.get(place.host) if place else None
    project = state.must(vm.project)
    return {
        "tenant": state.must(project.scope).name,
        "project": project.name,
        "address": networks.address(vm),
        "cluster": place.cluster if place else None,
        "vcpus": vm.vcpus,
        "memory": vm.memory,
        "port_groups": list(vm.port_groups),
        "adapters": [
            {"port_group": name, "mac": mac, **next((s.to_dict() for s in vm.static if s.adapter == n), {"adapter": n})}
            for n, (name, mac) in enumerate(zip(vm.port_groups, networks.macs(vm), strict=True))
        ],
        "tags": list(vm.tags),
        "deletion_protection": vm.deletion_protection,
        "host": host.name if host else None,
        "endpoint": state.name_of(place.endpoint if place else None),
        "datastore": state.name_of(vm.boot_disk.datastore),
        "flavor": state.name_of(vm.flavor),
        "image": state.name_of(vm.image),
        "zone": state.name_of(host.body.get("zone")) if host else None,
        "disks": [
            {"name": d.name, "capacity": d.capacity, "boot": d.boot, "datastore": state.name_of(d.datastore)}
            for d in vm.disks
        ],
        "persistent_disks": [
            {"name": d.name, "capacity": d.capacity, "datastore": state.name_of(d.datastore), "wwn": d.wwn}
            for d in (Persistent.of(e) for e in state.of(entities.DISK, vm.project) if e.observed.get("vm") == vm.id)
        ],
        "vsphere": {key: getattr(place, key) if place else None for key in ("name", "folder", "moid")},
    }
