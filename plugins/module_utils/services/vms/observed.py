# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observed VMs: a row of an endpoint's bulk read in the record's terms, its disks matched by identity."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from ...vsphere.guestinfo import RECORD_KEY
from ..state import CurrentState
from .record import Disk, Place, Vm

_POWER_STATES = {"poweredOn": "STARTED", "poweredOff": "STOPPED", "suspended": "SUSPENDED"}


@dataclass(slots=True)
class Observed:
    """A VM as vSphere shows it. ``row`` is the VmRow.

    Where the heavy properties were not read because nothing changed, ``detailed`` is False and disks are as recorded.
    ``disks``: the recorded disks at their real places by name, with ``capacity`` and ``keys`` (device keys) of each;
    ``missing`` the names of recorded disks that are not attached; ``foreign`` backing files of attached disks that no
    record knows, with their device keys.
    """

    row: Any
    endpoint: str
    host: Document | None
    detailed: bool
    folder: str | None = None  # its path below the VM folder, where it is known
    disks: dict[str, Disk] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    foreign: dict[str, int] = field(default_factory=dict)

    @property
    def power(self) -> str:
        """STARTED, STOPPED or SUSPENDED."""
        return _POWER_STATES[self.row.power_state]

    @property
    def own_files(self) -> frozenset[str]:
        """The backing files of the VM's own disks."""
        return frozenset(disk.path for disk in self.disks.values() if disk.path)

    def record(self, vm: Vm) -> Vm:
        """``vm``'s intent at the place and in the power state that vSphere shows.

        Without the change version where disks differ from the intent: the next run then compares in detail again.
        """
        row = self.row
        old = vm.place
        place = Place(
            endpoint=self.endpoint,
            host=self.host.id if self.host else None,
            name=row.name,
            folder=self.folder if self.folder is not None else old.folder if old else "",
            directory=old.directory if old else "",
            cluster=self.host.observed.get("cluster") if self.host else None,
            moid=row.moid,
            change_version=row.change_version if self._has_disks_of(vm) else None,
            vmx=row.vmx or _follow(old.vmx if old else None, vm.disks, self.disks),
            marked=RECORD_KEY in row.extra_config if row.extra_config is not None else bool(old and old.marked),
        )
        disks = tuple(disk.seen_at(self.disks[disk.name]) if disk.name in self.disks else disk for disk in vm.disks)
        nics = vm.nics if row.nics is None else tuple((nic.network, nic.mac) for nic in row.nics)
        return replace(vm, state=self.power, place=place, disks=disks, address=row.guest_address, nics=nics)

    def _has_disks_of(self, vm: Vm) -> bool:
        return all(disk.name in self.disks and self.disks[disk.name].capacity == disk.capacity for disk in vm.disks)

    def facts(self, vm: Vm) -> Vm:
        """As ``record``, with the change version as recorded: the plan that declares the VM still sees its drift."""
        now = self.record(vm)
        version = vm.place.change_version if vm.place else None
        return replace(now, place=replace(now.place, change_version=version))  # type: ignore[type-var]


def observe(vm: Vm, row: Any, endpoint_id: str, state: CurrentState) -> Observed:
    """The typed observation of a row that belongs to ``vm``."""
    host = state.hosts_of(endpoint_id).get(row.host)
    inventory = state.inventories.get(endpoint_id)
    folder = inventory.folders.get(row.folder) if inventory is not None else None
    seen = Observed(row, endpoint_id, host, row.disks is not None, folder.path if folder is not None else None)
    if row.disks is None:
        stores = {d.observed.get("moid"): d.id for d in state.of(entities.DATASTORE, endpoint_id)}
        here = [stores[moid] for moid in row.datastores if moid in stores]
        # A whole storage move is seen without the heavy properties: the VM has left every recorded datastore.
        moved = len(here) == 1 and all(disk.datastore not in here for disk in vm.disks)
        seen.disks = {
            d.name: replace(d, datastore=here[0], path=None, linked=None) if moved else _renamed(d, state)
            for d in vm.disks
        }
        return seen
    _match(vm, seen, state)
    return seen


def find(vm: Vm, state: CurrentState) -> Observed | None:
    """The VM in the last read: at its recorded endpoint, else where it alone is seen.

    Raises InvalidVmState when several VMs carry its instanceUuid and the record does not say which is ours, and the
    endpoint's own error when it cannot be read. An endpoint that another one replaced (DuplicateHost) is passed over.
    """
    place = vm.place
    if place is None:
        return None
    refused = state.unreachable.get(place.endpoint)
    if refused is not None and (refused.code != "DuplicateHost" or not state.elsewhere(vm.id, place.endpoint)):
        raise PhotonError(
            refused.code,
            f"its endpoint {state.must(place.endpoint).name} cannot be read; see the failure of that endpoint",
            refused.data,
        )
    inventory = state.inventories.get(place.endpoint)
    here = inventory.vms_of(vm.id) if inventory is not None else []
    if len(here) > 1:
        here = [row for row in here if row.moid == place.moid] or here
    if inventory is not None and not here:
        row = inventory.vm(vm.id, place.moid)
        here = [row] if row is not None else []
    found = [(place.endpoint, row) for row in here] or state.elsewhere(vm.id, place.endpoint)
    if len(found) > 1:
        names = ", ".join(f"{state.must(endpoint).name}/{row.name} ({row.moid})" for endpoint, row in found)
        raise PhotonError(
            "InvalidVmState",
            f"VM {vm.name}: {len(found)} VMs have its instanceUuid {vm.id}: {names}; remove the copies or give them "
            "another instanceUuid, then run again",
            {"vms": names},
        )
    return observe(vm, found[0][1], found[0][0], state) if found else None


def refuse_unreadable(label: str, seen: Observed) -> None:
    """Raises InvalidVmState for a VM whose files are out of reach, or that was made a template."""
    if not seen.row.readable:
        raise PhotonError(
            "InvalidVmState",
            f"VM {label}: its configuration cannot be read ({seen.row.connection_state}), so nothing is changed; "
            "bring its host or datastore back, then run again",
        )
    if seen.row.template:
        raise PhotonError(
            "InvalidVmState",
            f"VM {label} was converted to a template in vSphere; convert it back to a virtual machine, then run again",
        )


def _match(vm: Vm, seen: Observed, state: CurrentState) -> None:
    """Match attached disks with recorded ones: by backing uuid, backing file, unit number, those never read by name."""
    stores = {d.observed.get("moid"): d.id for d in state.of(entities.DATASTORE, seen.endpoint)}
    # A persistent disk is neither one of the VM's own disks nor one of others.
    attached, found = [each for each in seen.row.disks if state.disk_of(each) is None], {}
    for same in (_same_uuid, _same_path, _same_unit, _same_name):
        for disk in vm.disks:
            match = None if disk.name in found else next((each for each in attached if same(disk, each)), None)
            if match is not None:
                attached.remove(match)
                found[disk.name] = match
    for disk in vm.disks:
        match = found.get(disk.name)
        if match is None:
            seen.missing.append(disk.name)
            continue
        seen.keys[disk.name] = match.key
        seen.disks[disk.name] = replace(
            disk,
            capacity=match.capacity,
            datastore=stores.get(match.datastore),
            path=match.path,
            uuid=match.uuid or disk.uuid,
            unit=match.unit,
            linked=len(match.files) > 1,
            policy=disk.policy if match.policy is None else match.policy,
        )
    seen.foreign = {each.path: each.key for each in attached}


def _same_uuid(disk: Disk, seen: Any) -> bool:
    return bool(disk.uuid) and seen.uuid == disk.uuid


def _same_path(disk: Disk, seen: Any) -> bool:
    return bool(disk.path) and disk.path in seen.files and not (disk.uuid and seen.uuid and disk.uuid != seen.uuid)


def _same_unit(disk: Disk, seen: Any) -> bool:
    """The unit number decides where neither uuid nor file is known to be another's; the size too, while the uuid was
    never read."""
    if (
        disk.unit is None
        or (seen.bus, seen.unit) != (0, disk.unit)
        or (disk.uuid and seen.uuid and disk.uuid != seen.uuid)
    ):
        return False
    never_read = not disk.uuid and disk.capacity == seen.capacity
    return never_read or disk.path is None or _file(disk.path) == _file(seen.path)


def _same_name(disk: Disk, seen: Any) -> bool:
    """A new VM's disk that was never read may be seen in another directory and at another unit after a restore."""
    return not disk.uuid and disk.path is not None and _file(disk.path) == _file(seen.path)


def _renamed(disk: Disk, state: CurrentState) -> Disk:
    """The disk with its path under the present name of its datastore."""
    store = state.get(disk.datastore)
    if disk.path is None or store is None:
        return disk
    return replace(disk, path=f"[{store.name}] {disk.path.partition('] ')[2]}")


def _follow(vmx: str | None, recorded: tuple[Disk, ...], seen: dict[str, Disk]) -> str | None:
    """The configuration file's path under its datastore's present name, taken from the disks in its directory."""
    for disk in recorded:
        now = seen.get(disk.name)
        if vmx and disk.path and now is not None and now.path and datastore_of(disk.path) == datastore_of(vmx):
            return f"[{datastore_of(now.path)}] {vmx.partition('] ')[2]}" if _same_rest(disk.path, now.path) else vmx
    return vmx


def datastore_of(path: str) -> str:
    """The datastore's name in ``[ds] dir/file``."""
    return path.partition("]")[0].lstrip("[")


def _same_rest(one: str, other: str) -> bool:
    return one.partition("] ")[2] == other.partition("] ")[2]


def _file(path: str) -> str:
    """A backing file's name without its datastore and directory, which a storage move changes."""
    return path.rpartition("/")[2]
