# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks as the endpoints show them: on which VM, at which file, how large, or gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...model import entities, states
from ...model.errors import PhotonError
from ...vsphere import ListedDisk, find_disks, list_directories
from ..planning import Planning
from ..state import CurrentState
from .record import Disk


@dataclass(slots=True)
class Seen:
    """What the last read shows of a disk; ``disk`` is its record at its real place and in its real state.

    ``gone``: its datastore was listed and does not have its file. ``vm_row`` and ``row`` are the VM that has it
    attached and its device there, ``row`` None where the VM was not read in detail. ``stranger`` is the name of a VM
    outside the disk's project that has it.
    """

    disk: Disk
    gone: bool = False
    vm_row: Any = None
    row: Any = None
    stranger: str = ""

    @property
    def under_snapshot(self) -> bool:
        return self.row is not None and len(self.row.files) > 1


@dataclass(slots=True)
class Sight:
    """All persistent disks among the VMs that were read in detail."""

    state: CurrentState
    attached: dict[str, tuple[str, Any, Any]] = field(default_factory=dict)  # by disk: endpoint, VmRow, DiskRow
    _stores: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, state: CurrentState) -> Sight:
        sight = cls(state)
        if state.of(entities.DISK):
            for endpoint_id, inventory in state.inventories.items():
                for vm_row in inventory.vms.values():
                    sight.add(endpoint_id, vm_row)
        return sight

    def add(self, endpoint_id: str, vm_row: Any) -> None:
        for row in vm_row.disks or ():
            document = self.state.disk_of(row)
            if document is not None:
                self.attached[document.id] = (endpoint_id, vm_row, row)

    def see(self, disk: Disk) -> Seen:
        """The disk as it is. Raises the endpoint's error where it could not be read."""
        state = self.state
        if disk.endpoint is None:
            return Seen(disk)
        if disk.endpoint not in state.inventories:
            raise unread(disk, state)
        if disk.id in self.attached:
            return self._attached(disk, *self.attached[disk.id])
        if disk.id in state.moved_disks:
            store_id, path = state.moved_disks[disk.id]
            disk = replace(disk, datastore=store_id, path=path)
        vm_row = self._recorded_vm(disk)
        vm = disk.vm if vm_row is not None else None
        file, listed = self._file(disk)
        if listed and file is None and vm is None:
            missing = replace(disk, vm=None, state=states.ERROR)
            return Seen(missing, gone=not disk.is_unfinished)
        if listed and file is None and vm is not None and not disk.is_unfinished:
            return Seen(replace(disk, state=states.ERROR), gone=True, vm_row=vm_row)
        size = file.capacity if file is not None and file.capacity and vm is None else disk.size
        policy = state.disk_policies.get(disk.id, disk.policy)
        now = replace(disk, vm=vm, path=self._path(disk), size=size, policy=policy)
        return Seen(now if now.is_unfinished else now.settled(), vm_row=vm_row)

    def _attached(self, disk: Disk, endpoint_id: str, vm_row: Any, row: Any) -> Seen:
        owner = self.state.get(vm_row.uuid)
        ours = owner is not None and owner.kind == entities.VM and owner.scope == disk.project
        now = replace(
            disk,
            endpoint=endpoint_id,
            datastore=self._store(endpoint_id, row.datastore) or disk.datastore,
            path=row.files[-1] if row.files else row.path,
            uuid=row.uuid or disk.uuid,
            size=row.capacity or disk.size,
            vm=vm_row.uuid if ours else None,
            policy=self.state.disk_policies.get(disk.id, disk.policy) if row.policy is None else row.policy,
        )
        now = replace(now, state=states.ATTACHED)
        file, listed = self._file(now)
        if listed and file is None:
            return Seen(replace(now, state=states.ERROR), True, vm_row, row)
        return Seen(now, False, vm_row, row, "" if ours else vm_row.name)

    def _recorded_vm(self, disk: Disk) -> Any:
        """The recorded VM's row, where that VM did not change since it was recorded with the disk."""
        owner = self.state.get(disk.vm)
        if owner is None:
            return None
        inventory = self.state.inventories.get(owner.observed.get("endpoint", ""))
        if inventory is None:
            return None
        row = inventory.vm(owner.id, (owner.observed.get("vsphere") or {}).get("moid"))
        return row if row is not None and row.disks is None else None

    def _file(self, disk: Disk) -> tuple[Any, bool]:
        """The disk's file in the listing of its datastore, and whether its directory was listed."""
        listing = self.state.disk_files.get(disk.datastore or "", {})
        path = self._path(disk) or ""
        folder = path.rpartition("/")[0]
        return (listing[folder].get(path), True) if folder in listing else (None, False)

    def _path(self, disk: Disk) -> str | None:
        """The disk's path under the present name of its datastore."""
        store = self.state.get(disk.datastore)
        if store is None or disk.path is None:
            return disk.path
        return f"[{store.name}] {disk.path.partition('] ')[2]}"

    def _store(self, endpoint_id: str, moid: str | None) -> str | None:
        if endpoint_id not in self._stores:
            stores = self.state.of(entities.DATASTORE, endpoint_id)
            self._stores[endpoint_id] = {d.observed.get("moid"): d.id for d in stores}
        return self._stores[endpoint_id].get(moid or "")


def unread(disk: Disk, state: CurrentState) -> PhotonError:
    """Why nothing is known of a disk."""
    error = state.unreachable.get(disk.endpoint or "")
    reason = error.message if error is not None else "its endpoint was not read"
    return PhotonError("DependencyFailed", f"disk {disk.name} is left as it was: {reason}; run again")


def read_planned(planning: Planning, context: Any) -> None:
    """List the disks' files where the plan is about VMs or disks."""
    if planning.whole or planning.declaration.disks or planning.declaration.vms:
        context.read_disks(planning.state)


def read_files(state: CurrentState, context: Any) -> None:
    """List the directories of the recorded disks on every datastore that has one, one search for each.

    A detached first-class disk that is not in its directory any more is looked for by its id.
    """
    wanted: dict[str, dict[str, tuple[str, set[str]]]] = {}  # by endpoint and datastore: moid and directories
    for disk in map(Disk.of, state.of(entities.DISK)):
        store = state.get(disk.datastore)
        inventory = state.inventories.get(disk.endpoint or "")
        if store is None or inventory is None or disk.path is None:
            continue
        row = inventory.datastores.get(store.observed.get("moid", ""))
        if row is not None and row.accessible:
            folder = f"[{row.name}] {disk.path.partition('] ')[2].rpartition('/')[0]}"
            wanted.setdefault(str(disk.endpoint), {}).setdefault(store.id, (row.moid, set()))[1].add(folder)
    for endpoint_id, stores in wanted.items():
        session = context.session(state.must(endpoint_id))
        found = list_directories(session, {folder: moid for moid, folders in stores.values() for folder in folders})
        for store_id, (_moid, folders) in stores.items():
            listing: Mapping[str, Any] = {folder: found[folder] for folder in folders if folder in found}
            state.disk_files[store_id] = dict(listing)
        _follow_moved(endpoint_id, session, state)


def _follow_moved(endpoint_id: str, session: Any, state: CurrentState) -> None:
    """Note where the first-class disks are now that their datastores' listings do not show."""
    sight, missing = Sight(state), {}
    for disk in map(Disk.of, state.of(entities.DISK)):
        if disk.endpoint == endpoint_id and disk.first_class and disk.vm is None and sight.see(disk).gone:
            missing[disk.first_class] = disk.id
    if not missing:
        return
    stores = {d.observed.get("moid"): d.id for d in state.of(entities.DATASTORE, endpoint_id)}
    rows = [row for moid, row in state.inventories[endpoint_id].datastores.items() if moid in stores and row.accessible]
    for file in find_disks(session, rows, missing):
        state.moved_disks[missing[file.id]] = (stores[file.datastore.moid], file.path)
        folder, listing = file.path.rpartition("/")[0], state.disk_files.setdefault(stores[file.datastore.moid], {})
        listing.setdefault(folder, {})[file.path] = ListedDisk(0, file.capacity, thin=True)
