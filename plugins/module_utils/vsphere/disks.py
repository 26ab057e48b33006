# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that outlive VMs: managed VMDKs, and first-class disks of a vCenter. Nothing here destroys an attached disk.

Each function serves both: ``managed.py`` and ``first_class.py`` have the calls. Attached disks of both kinds are read
with their VM (``read_heavy``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..model.errors import PhotonError
from . import first_class, managed
from .diskfiles import FCD, VMDK, DiskFile, NewDisk, Slot, datacenter, new_job
from .jobs import Job
from .rows import EndpointInventory
from .session import Session


def choose_backing(inventory: EndpointInventory, endpoint: str, wanted: str = "auto") -> str:
    """Return the backing of new disks: first-class disks where the endpoint has them. Raises UpdateNotSupported."""
    if wanted == FCD and inventory.no_first_class:
        raise PhotonError(
            "UpdateNotSupported",
            f"endpoint {endpoint} cannot hold first-class disks: {inventory.no_first_class}; set photon_disk_backing "
            "to auto or vmdk",
        )
    return VMDK if wanted == VMDK or inventory.no_first_class else FCD


def make_directory(session: Session, path: str, datacenter_moid: str) -> None:
    """Create a directory (``[ds] dir``) with its parents, unless it exists."""
    what, center = f"create directory {path}", datacenter(session, datacenter_moid)
    try:
        session.call(what, session.content.fileManager.MakeDirectory, path, center, True)
    except PhotonError as error:
        if error.data.get("fault") != "FileAlreadyExists":
            raise


def create_disk(disk: NewDisk, backing: str, key: Any = None, **options: Any) -> Job:
    """Create a disk; ``created_disk`` reads the outcome."""
    if disk.capacity <= 0 or disk.capacity % (1 << 20):
        raise PhotonError("SpecInvalid", f"disk {disk.name} of {disk.capacity} bytes is not a multiple of 1 MB")
    return (first_class if backing == FCD else managed).create(disk, key, options)


def created_disk(disk: NewDisk, backing: str, outcome: Any) -> DiskFile:
    """Read what ``create_disk`` made from its outcome, without a call. The uuid is read by ``read_uuid``."""
    if backing == FCD:
        return first_class.created(outcome, disk.datastore)
    return DiskFile(disk.name, VMDK, disk.path, disk.datastore, capacity=disk.capacity)


def read_uuid(session: Session, disk: DiskFile) -> str | None:
    """Read the uuid of a disk; None when it is gone."""
    return managed.read_uuid(session, disk)


def read_disk(session: Session, disk: DiskFile) -> DiskFile | None:
    """Read path, capacity and uuid of a detached disk again; None when it is gone."""
    found = first_class.read_all(session, [(disk.datastore, disk.id)]) if disk.backing == FCD else [disk]
    uuid = managed.read_uuid(session, found[0]) if found else None
    return replace(found[0], uuid=uuid) if uuid else None


def attach_disks(
    moid: str, vm: str, disks: Sequence[tuple[DiskFile, Slot]], key: Any = None, **options: Any
) -> list[tuple[Job, tuple[DiskFile, ...]]]:
    """Attach disks to a VM in any power state: one call for all managed VMDKs, one for each first-class disk.

    A missing controller is added first, and costs a read of the devices. Each job comes with the disks that it
    attaches; run the jobs of one VM one after another.
    """
    files = [(disk, slot) for disk, slot in disks if disk.backing == VMDK]
    fresh = {slot.bus for disk, slot in disks if slot.fresh}
    jobs = [
        (first_class.attach(moid, vm, disk, slot, key, options), (disk,)) for disk, slot in disks if disk.backing == FCD
    ]
    if files or fresh:
        jobs.insert(0, (managed.attach(moid, vm, files, fresh, key, options), tuple(disk for disk, _slot in files)))
    return jobs


def detach_backings(
    moid: str, vm: str, disks: Sequence[DiskFile], key: Any = None, **options: Any
) -> list[tuple[Job, tuple[DiskFile, ...]]]:
    """Take disks out of a VM and keep them; those that are not attached are done. Jobs as of ``attach_disks``."""
    files = tuple(disk for disk in disks if disk.backing == VMDK)
    jobs = [(first_class.detach(moid, vm, disk, key, options), (disk,)) for disk in disks if disk.backing == FCD]
    if files:
        jobs.insert(0, (managed.detach(moid, vm, files, key, options), files))
    return jobs


def grow_disk(disk: DiskFile, capacity: int, key: Any = None, **options: Any) -> Job:
    """Grow a detached disk to ``capacity`` bytes; no disk shrinks. One that is attached grows with its VM
    (``reconfigure``), which may run."""
    return (first_class if disk.backing == FCD else managed).grow(disk, capacity, key, options)


def delete_disk(disk: DiskFile, key: Any = None, **options: Any) -> Job:
    """Delete a detached disk; one that does not exist is done. One that a running VM has is refused."""
    return (first_class if disk.backing == FCD else managed).delete(disk, key, options)


def copy_disk(
    what: str, source: str, source_datacenter: str, target: str, target_datacenter: str, key: Any = None, **options: Any
) -> Job:
    """Let vSphere copy a VMDK with what its parents hold; the target's directory must exist and the file must not.

    ``progress`` in the options is called with percents.
    """

    def submit(session: Session) -> Any:
        return session.call(
            what,
            session.content.virtualDiskManager.CopyVirtualDisk_Task,
            source,
            datacenter(session, source_datacenter),
            target,
            datacenter(session, target_datacenter),
            None,
            False,
        )

    return new_job(what, submit, key, options, operation="copy_disk", host_units=4, timeout=4 * 3600.0)
