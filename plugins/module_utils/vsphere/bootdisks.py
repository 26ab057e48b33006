# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grow a boot disk that is a child of an image's disk: no child grows, so a copy of it does and takes its place.

The VM must be off. Until the one call that swaps the two, it keeps the disk that it has. The copy has the uuid of the
old disk, so whoever knows the disk by that knows the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import PhotonError
from . import api, devices, retrieve
from .diskfiles import datacenter
from .disks import copy_disk
from .jobs import Job
from .rows import FIRST_BUS, DiskRow
from .session import Session
from .vms import options_of, reconfigure

_GONE = frozenset({"FileNotFound"})
_SUFFIX = "_full.vmdk"  # no name of a disk has an underscore


@dataclass(slots=True)
class BootDisk:
    """The disk to grow: found by ``uuid`` or ``path``, else by its ``unit`` on the first bus; ``capacity`` in bytes.

    ``datacenter`` is a moid, ``vm`` the VM's name, ``policy`` the id of the disk's storage policy. ``extra_config`` is
    written with the new disk.
    """

    moid: str
    vm: str
    capacity: int
    datacenter: str
    uuid: str | None = None
    path: str | None = None
    unit: int | None = None
    policy: str = ""
    extra_config: Mapping[str, str] = field(default_factory=dict)


def grow_boot_disk(disk: BootDisk, *, then: Callable[[Any], Job | None] | None = None, **options: Any) -> Job:
    """Grow a boot disk; one that is no child of another disk grows in place.

    Each job before the last has ``part`` in its data; ``then`` follows the last. A job's outcome is StateError for a VM
    with snapshots, DiskNotFound for a disk that the VM does not have.
    """
    work = _Work(disk, then, options)
    return work.job("look at", work.clear, work.after_clear, part=True, done_by=_GONE)


class _Work:
    """The jobs of one disk; ``found`` is the disk as it was read, ``target`` the file of its copy."""

    def __init__(self, disk: BootDisk, then: Callable[[Any], Job | None] | None, options: dict[str, Any]) -> None:
        self.disk, self._then, self._options = disk, then, options
        self.found: DiskRow
        self.target = ""

    def job(self, verb: str, submit: Callable[[Session, str], Any], then: Any, *, part: bool, **more: Any) -> Job:
        what = f"{verb} the boot disk of VM {self.disk.vm}"
        options = {"data": {"part": part}, **self._options, **more}
        return Job(what=what, submit=lambda session: submit(session, what), then=then, **options)

    def clear(self, session: Session, what: str) -> Any:
        """Find the disk, and remove what an interrupted copy of it left."""
        rows = retrieve.from_objects(session, "VirtualMachine", [self.disk.moid], [devices.PATH, "snapshot"])
        values = rows[0][2] if rows else {}
        found = self.found = self._choose(devices.disks_of(values.get(devices.PATH, [])))
        if len(found.files) < 2:
            return None
        if "snapshot" in values:
            raise PhotonError(
                "StateError",
                f"VM {self.disk.vm} has snapshots, so its boot disk cannot grow: delete them, then run again",
            )
        self.target = found.path.removesuffix(".vmdk") + _SUFFIX
        method, center = session.content.virtualDiskManager.DeleteVirtualDisk_Task, self.disk.datacenter
        return session.call(what, method, self.target, datacenter(session, center))

    def after_clear(self, _result: Any) -> Job:
        if not self.target:
            sizes = {self.found.key: self.disk.capacity}
            more = {"extra_config": self.disk.extra_config, **self._options, "then": self._then}
            return reconfigure(self.disk.moid, self.disk.vm, extend_disks=sizes, **more)
        source, center = self.found.path, self.disk.datacenter
        what = f"copy the boot disk of VM {self.disk.vm}"
        options = {"data": {"part": True}, **self._options}
        return copy_disk(what, source, center, self.target, center, **options, then=self.after_copy)

    def after_copy(self, _result: Any) -> Job:
        return self.job("grow", self.extend, self.after_extend, part=True)

    def extend(self, session: Session, what: str) -> Any:
        manager, center = session.content.virtualDiskManager, datacenter(session, self.disk.datacenter)
        uuid = session.call(what, manager.QueryVirtualDiskUuid, self.found.path, center, read=True)
        session.call(what, manager.SetVirtualDiskUuid, self.target, center, uuid)
        return session.call(what, manager.ExtendVirtualDisk_Task, self.target, center, self.disk.capacity >> 10, False)

    def after_extend(self, _result: Any) -> Job:
        return self.job("exchange", self.swap, self._then, part=False)

    def swap(self, session: Session, what: str) -> Any:
        vim, old = api.load().vim, self.found
        present = devices.read(session, self.disk.moid)
        [removal] = devices.removals(present, [old.key]) or [None]
        if removal is None or old.path not in {row.path for row in devices.disks_of(present.values())}:
            raise self._gone()
        kind = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
        removal.fileOperation = "destroy"
        removal.device.backing = kind(fileName=old.path, diskMode="persistent")
        new = vim.vm.device.VirtualDisk(
            key=-1,
            controllerKey=removal.device.controllerKey,
            unitNumber=old.unit,
            capacityInKB=self.disk.capacity >> 10,
            backing=kind(fileName=self.target, diskMode="persistent"),
        )
        spec = vim.vm.ConfigSpec(
            deviceChange=[removal, devices.added(new, policy=self.disk.policy)],
            extraConfig=options_of(self.disk.extra_config),
        )
        return session.call(what, session.reference("VirtualMachine", self.disk.moid).ReconfigVM_Task, spec)

    def _choose(self, rows: list[DiskRow]) -> DiskRow:
        names = [name for name in (self.disk.uuid, self.disk.path) if name]
        found = next((row for row in rows if names and row.is_among(names)), None)
        found = found or next((row for row in rows if (row.bus, row.unit) == (FIRST_BUS, self.disk.unit)), None)
        if found is None:
            raise self._gone()
        return found

    def _gone(self) -> PhotonError:
        return PhotonError(
            "DiskNotFound", f"VM {self.disk.vm} has its boot disk no more: it was detached concurrently; run again"
        )
