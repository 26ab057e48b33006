# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed VMDKs: files in a directory of ours, on both kinds of endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..model.errors import PhotonError
from . import api, devices
from .diskfiles import FIRST_CONTROLLER, GONE, UUID_KEY, DiskFile, NewDisk, Slot, datacenter, new_job, uuid_of
from .jobs import Job
from .session import Session


def create(disk: NewDisk, key: Any, options: dict[str, Any]) -> Job:
    """Create the file."""
    what = f"create disk {disk.name} on datastore {disk.datastore.name}"
    vim = api.load().vim
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
        diskType="thin" if disk.thin else "preallocated",
        adapterType="lsiLogic",
        capacityKb=disk.capacity >> 10,
        profile=[vim.vm.DefinedProfileSpec(profileId=disk.policy)] if disk.policy else [],
    )

    def submit(session: Session) -> Any:
        method = session.content.virtualDiskManager.CreateVirtualDisk_Task
        return session.call(what, method, disk.path, datacenter(session, disk.datastore.datacenter), spec)

    return new_job(what, submit, key, options, operation="create_disk", datastore=disk.datastore.moid)


def read_uuid(session: Session, disk: DiskFile) -> str | None:
    """Read the uuid of a disk's file; None when it is gone."""
    what, center = f"read of disk {disk.name}", datacenter(session, disk.datastore.datacenter)
    try:
        text = session.call(what, session.content.virtualDiskManager.QueryVirtualDiskUuid, disk.path, center, read=True)
    except PhotonError as error:
        if error.data.get("fault") in GONE:
            return None
        raise
    return uuid_of(text)


def attach(
    moid: str, vm: str, disks: Sequence[tuple[DiskFile, Slot]], fresh: set[int], key: Any, options: dict[str, Any]
) -> Job:
    """Attach files in one call, and add the controllers of the ``fresh`` buses that are missing."""
    what = f"attach {len(disks)} disks to VM {vm}" if disks else f"add controllers to VM {vm}"
    vim = api.load().vim

    def submit(session: Session) -> Any:
        present = devices.read(session, moid) if fresh else {}
        missing = sorted(bus for bus in fresh if FIRST_CONTROLLER + bus not in present)
        changes = [
            devices.added(vim.vm.device.ParaVirtualSCSIController(key=-1 - bus, busNumber=bus, sharedBus="noSharing"))
            for bus in missing
        ]
        changes += [
            devices.added(
                vim.vm.device.VirtualDisk(
                    key=-100 - at,
                    controllerKey=-1 - slot.bus if slot.bus in missing else FIRST_CONTROLLER + slot.bus,
                    unitNumber=slot.unit,
                    capacityInKB=disk.capacity >> 10,
                    backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=disk.path, diskMode="persistent"),
                )
            )
            for at, (disk, slot) in enumerate(disks)
        ]
        if not changes:
            return None
        sees_uuids = vim.option.OptionValue(key=UUID_KEY, value="TRUE")
        spec = vim.vm.ConfigSpec(deviceChange=changes, extraConfig=[sees_uuids])
        return session.call(what, session.reference("VirtualMachine", moid).ReconfigVM_Task, spec)

    return new_job(what, submit, key if key is not None else moid, options, operation="attach_disks")


def detach(moid: str, vm: str, disks: Sequence[DiskFile], key: Any, options: dict[str, Any]) -> Job:
    """Take files out of a VM in one call; those that are not attached are done."""
    what = f"detach {', '.join(disk.name for disk in disks[:3])}{' ...' if len(disks) > 3 else ''} from VM {vm}"
    wanted = frozenset(each for disk in disks for each in (disk.path, disk.uuid) if each)

    def submit(session: Session) -> Any:
        present = devices.read(session, moid)
        keys = [row.key for row in devices.disks_of(present.values()) if row.is_among(wanted)]
        if not keys:
            return None
        spec = api.load().vim.vm.ConfigSpec(deviceChange=devices.removals(present, keys))
        return session.call(what, session.reference("VirtualMachine", moid).ReconfigVM_Task, spec)

    return new_job(what, submit, key, options, operation="detach_disk", done_by=GONE)


def grow(disk: DiskFile, capacity: int, key: Any, options: dict[str, Any]) -> Job:
    """Grow a file that no VM has."""
    what = f"grow disk {disk.name}"

    def submit(session: Session) -> Any:
        method = session.content.virtualDiskManager.ExtendVirtualDisk_Task
        center = datacenter(session, disk.datastore.datacenter)
        return session.call(what, method, disk.path, center, capacity >> 10, False)

    return new_job(what, submit, key, options, operation="grow_disk", datastore=disk.datastore.moid)


def delete(disk: DiskFile, key: Any, options: dict[str, Any]) -> Job:
    """Delete a file; one that does not exist is done."""
    what = f"delete disk {disk.name}"

    def submit(session: Session) -> Any:
        method = session.content.virtualDiskManager.DeleteVirtualDisk_Task
        return session.call(what, method, disk.path, datacenter(session, disk.datastore.datacenter))

    return new_job(what, submit, key, options, operation="delete_disk", datastore=disk.datastore.moid, done_by=GONE)
