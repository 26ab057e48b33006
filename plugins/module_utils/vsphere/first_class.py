# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First-class disks of a vCenter: objects with an id and metadata of their own, which stay when their VM is deleted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ..model.errors import PhotonError
from . import api, devices, retrieve
from .diskfiles import FCD, FIRST_CONTROLLER, GONE, DiskFile, NewDisk, Slot, new_job
from .jobs import Job, run_jobs
from .rows import DatastoreRow
from .session import Session


def refusal(session: Session) -> str:
    """Say why an endpoint cannot hold first-class disks of the platform; empty where it can."""
    about = session.content.about
    if not session.is_vcenter or session.content.vStorageObjectManager is None:
        return "an ESXi host has no first-class disks"
    if _numbers(about.apiVersion) < _numbers(api.METADATA_VERSION.partition("/")[2]):
        return f"its first-class disks have no metadata before API 7.0.2, and it speaks {about.apiVersion}"
    return ""


def create(disk: NewDisk, key: Any, options: dict[str, Any]) -> Job:
    """Create a disk with its metadata in one call; vSphere chooses where its file is."""
    what = f"create disk {disk.name} on datastore {disk.datastore.name}"
    vim = api.load().vim

    def submit(session: Session) -> Any:
        spec = vim.vslm.CreateSpec(
            name=disk.name,
            capacityInMB=disk.capacity >> 20,
            backingSpec=vim.vslm.CreateSpec.DiskFileBackingSpec(
                datastore=session.reference("Datastore", disk.datastore.moid),
                provisioningType="thin" if disk.thin else "lazyZeroedThick",
            ),
            keepAfterDeleteVm=True,
            profile=[vim.vm.DefinedProfileSpec(profileId=disk.policy)] if disk.policy else [],
            metadata=_pairs(disk.marks),
        )
        return session.call(what, session.first_class_disks.CreateDisk_Task, spec)

    return new_job(what, submit, key, options, operation="create_disk", datastore=disk.datastore.moid)


def created(element: Any, datastore: DatastoreRow) -> DiskFile:
    """Read what ``create`` made from its task's result."""
    text = retrieve.text
    return DiskFile(
        text(element, "config/name"),
        FCD,
        text(element, "config/backing/filePath"),
        datastore,
        text(element, "config/id/id"),
        capacity=int(text(element, "config/capacityInMB", "0")) << 20,
    )


def read_all(session: Session, wanted: Iterable[tuple[DatastoreRow, str]]) -> list[DiskFile]:
    """Read first-class disks by datastore and id, each with its metadata and without its uuid; those that are gone are
    omitted. One call for each, several at a time."""
    jobs = [_read(store, disk) for store, disk in wanted]
    found = []
    for _job, outcome in run_jobs(session, jobs):
        if isinstance(outcome, PhotonError):
            raise outcome
        if outcome is not None:
            found.append(outcome)
    return found


def find_unknown(session: Session, datastores: Iterable[DatastoreRow], known: Collection[str]) -> list[DiskFile]:
    """Read the first-class disks on these datastores whose ids are not among ``known``."""
    return read_all(session, [(store, disk) for store, disk in _listed(session, datastores) if disk not in known])


def find_disks(session: Session, datastores: Iterable[DatastoreRow], wanted: Collection[str]) -> list[DiskFile]:
    """Read the first-class disks of these ids, on whichever of the datastores they are."""
    return read_all(session, [(store, disk) for store, disk in _listed(session, datastores) if disk in wanted])


def attach(moid: str, vm: str, disk: DiskFile, slot: Slot, key: Any, options: dict[str, Any]) -> Job:
    """Attach a disk at a place whose controller exists."""
    what = f"attach disk {disk.name} to VM {vm}"

    def submit(session: Session) -> Any:
        return session.call(
            what,
            session.reference("VirtualMachine", moid).AttachDisk_Task,
            _id(disk.id),
            session.reference("Datastore", disk.datastore.moid),
            FIRST_CONTROLLER + slot.bus,
            slot.unit,
        )

    return new_job(what, submit, key if key is not None else disk.id, options, operation="attach_disks")


def detach(moid: str, vm: str, disk: DiskFile, key: Any, options: dict[str, Any]) -> Job:
    """Take a disk out of a VM; one that is not attached is done."""
    what = f"detach disk {disk.name} from VM {vm}"

    def submit(session: Session) -> Any:
        return session.call(what, session.reference("VirtualMachine", moid).DetachDisk_Task, _id(disk.id))

    return new_job(what, submit, key, options, operation="detach_disk", done_by=GONE)


def grow(disk: DiskFile, capacity: int, key: Any, options: dict[str, Any]) -> Job:
    """Grow a disk that no VM has."""
    what = f"grow disk {disk.name}"

    def submit(session: Session) -> Any:
        store = session.reference("Datastore", disk.datastore.moid)
        return session.call(what, session.first_class_disks.ExtendDisk_Task, _id(disk.id), store, capacity >> 20)

    return new_job(what, submit, key, options, operation="grow_disk", datastore=disk.datastore.moid)


def delete(disk: DiskFile, key: Any, options: dict[str, Any]) -> Job:
    """Delete a disk that no VM has; one that does not exist is done."""
    what = f"delete disk {disk.name}"

    def submit(session: Session) -> Any:
        store = session.reference("Datastore", disk.datastore.moid)
        return session.call(what, session.first_class_disks.DeleteVStorageObject_Task, _id(disk.id), store)

    return new_job(what, submit, key, options, operation="delete_disk", datastore=disk.datastore.moid, done_by=GONE)


def describe(disk: DiskFile, marks: Mapping[str, str], key: Any, options: dict[str, Any]) -> Job:
    """Set keys of a disk's metadata; an empty value deletes its key."""
    what = f"describe disk {disk.name}"
    kept = {key: value for key, value in marks.items() if value}

    def submit(session: Session) -> Any:
        return session.call(
            what,
            session.first_class_disks.VCenterUpdateVStorageObjectMetadataEx_Task,
            _id(disk.id),
            session.reference("Datastore", disk.datastore.moid),
            _pairs(kept),
            sorted(marks.keys() - kept.keys()),
        )

    return new_job(what, submit, key, options, operation="describe_disk", datastore=disk.datastore.moid)


def _listed(session: Session, datastores: Iterable[DatastoreRow]) -> Iterator[tuple[DatastoreRow, str]]:
    for store in datastores:
        what, reference = f"read of the disks on {store.name}", session.reference("Datastore", store.moid)
        for each in session.call(what, session.first_class_disks.ListVStorageObject, reference, read=True):
            yield store, each.id


def _read(store: DatastoreRow, disk: str) -> Job:
    what = f"read of disk {disk} on {store.name}"

    def submit(session: Session) -> DiskFile | None:
        reference = session.reference("Datastore", store.moid)
        try:
            found = session.call(
                what, session.first_class_disks.RetrieveVStorageObject, _id(disk), reference, read=True
            ).config
        except PhotonError as error:
            if error.data.get("fault") in GONE:
                return None
            raise
        marks = {each.key: each.value for each in found.metadata}
        return DiskFile(found.name, FCD, found.backing.filePath, store, disk, "", found.capacityInMB << 20, marks)

    return Job((store.moid, disk), what, submit)


def set_policy(disk: DiskFile, policy: str, key: Any, options: dict[str, Any]) -> Job:
    """Give a disk a storage policy by its id; an empty one is the datastore's default."""
    what = f"set the storage policy of disk {disk.name}"

    def submit(session: Session) -> Any:
        store = session.reference("Datastore", disk.datastore.moid)
        method = session.first_class_disks.UpdateVStorageObjectPolicy_Task
        return session.call(what, method, _id(disk.id), store, devices.profile(policy))

    return new_job(what, submit, key, options, operation="set_policy", datastore=disk.datastore.moid)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version)[:3])


def _id(disk: str) -> Any:
    return api.load().vim.vslm.ID(id=disk)


def _pairs(marks: Mapping[str, str]) -> list[Any]:
    pair = api.load().vim.KeyValue
    return [pair(key=key, value=value) for key, value in sorted(marks.items())]
