# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that outlive VMs: managed VMDKs, and first-class disks of a vCenter. Nothing here destroys an attached disk.

Attached disks of both kinds are read with their VM (``read_heavy``) and grow with it (``reconfigure``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..model.errors import PhotonError
from . import api, devices, retrieve
from .jobs import Job, run_jobs
from .rows import FIRST_BUS, DatastoreRow, DiskRow
from .session import Session

FCD, VMDK = "fcd", "vmdk"
UUID_KEY = "disk.EnableUUID"  # with it a guest sees the uuids of its disks
PER_BUS, BUSES = 15, 4  # unit 7 of a SCSI bus is the controller's own
_OWN_UNIT = 7
_FIRST_CONTROLLER = 1000  # key of the SCSI controller on bus 0; the others follow
_GONE = frozenset({"NotFound", "FileNotFound", "ManagedObjectNotFound"})


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A detached persistent disk. ``path`` (``[ds] dir/disk.vmdk``) is where it is, ``id`` the first-class disk's."""

    name: str
    backing: str
    path: str
    datastore: DatastoreRow
    id: str = ""
    uuid: str = ""
    capacity: int = 0


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A disk to be created, ``capacity`` in bytes. A managed VMDK needs ``path``, in a directory that exists
    (``make_directory``); vSphere chooses that of a first-class disk. ``policy`` is a storage policy's id.
    """

    name: str
    capacity: int
    datastore: DatastoreRow
    path: str = ""
    thin: bool = True
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a disk in a VM. ``fresh``: no disk is on that bus, and its controller may be missing."""

    bus: int
    unit: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class ListedDisk:
    """A disk as a listing of its datastore shows it: the space that it takes and its capacity, in bytes."""

    size: int
    capacity: int
    thin: bool


def choose_backing(session: Session, wanted: str = "auto") -> str:
    """Return the backing of new disks: first-class disks where the endpoint has them. Raises UpdateNotSupported."""
    possible = session.is_vcenter and session.content.vStorageObjectManager is not None
    if wanted == FCD and not possible:
        raise PhotonError(
            "UpdateNotSupported",
            f"endpoint {session.spec.name} has no first-class disks; set photon_disk_backing to auto or vmdk",
        )
    return FCD if possible and wanted in (FCD, "auto") else VMDK


def make_directory(session: Session, path: str, datacenter: str) -> None:
    """Create a directory (``[ds] dir``) with its parents, unless it exists."""
    what = f"create directory {path}"
    try:
        session.call(what, session.content.fileManager.MakeDirectory, path, _datacenter(session, datacenter), True)
    except PhotonError as error:
        if error.data.get("fault") != "FileAlreadyExists":
            raise


def create_disk(disk: NewDisk, backing: str, key: Any = None, **options: Any) -> Job:
    """Create a disk; ``created_disk`` reads the outcome. A first-class one stays when a VM that has it is deleted."""
    what = f"create disk {disk.name} on datastore {disk.datastore.name}"
    if disk.capacity <= 0 or disk.capacity % (1 << 20):
        raise PhotonError("SpecInvalid", f"disk {disk.name} of {disk.capacity} bytes is not a multiple of 1 MB")
    vim = api.load().vim
    profile = [vim.vm.DefinedProfileSpec(profileId=disk.policy)] if disk.policy else []

    def submit(session: Session) -> Any:
        if backing == FCD:
            file = vim.vslm.CreateSpec.DiskFileBackingSpec(
                datastore=session.reference("Datastore", disk.datastore.moid),
                provisioningType="thin" if disk.thin else "lazyZeroedThick",
            )
            spec = vim.vslm.CreateSpec(
                name=disk.name,
                capacityInMB=disk.capacity >> 20,
                backingSpec=file,
                keepAfterDeleteVm=True,
                profile=profile,
            )
            return session.call(what, session.content.vStorageObjectManager.CreateDisk_Task, spec)
        managed = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin" if disk.thin else "preallocated",
            adapterType="lsiLogic",
            capacityKb=disk.capacity >> 10,
            profile=profile,
        )
        return session.call(
            what,
            session.content.virtualDiskManager.CreateVirtualDisk_Task,
            disk.path,
            _datacenter(session, disk.datastore.datacenter),
            managed,
        )

    return _job(what, submit, key, options, operation="create_disk", datastore=disk.datastore.moid)


def created_disk(disk: NewDisk, backing: str, outcome: Any) -> DiskFile:
    """Read what ``create_disk`` made from its outcome, without a call. The uuid is read by ``read_disk``."""
    if backing == FCD:
        return _first_class(outcome, disk.datastore)
    return DiskFile(disk.name, VMDK, disk.path, disk.datastore, capacity=disk.capacity)


def read_disk(session: Session, disk: DiskFile) -> DiskFile | None:
    """Read path, capacity and uuid of a detached disk again; None when it is gone."""
    what = f"read of disk {disk.name}"
    manager = session.content.virtualDiskManager
    try:
        if disk.backing == FCD:
            reference = session.reference("Datastore", disk.datastore.moid)
            method = session.content.vStorageObjectManager.RetrieveVStorageObject
            found = session.call(what, method, api.load().vim.vslm.ID(id=disk.id), reference, read=True).config
            disk = DiskFile(
                found.name, FCD, found.backing.filePath, disk.datastore, disk.id, "", found.capacityInMB << 20
            )
        center = _datacenter(session, disk.datastore.datacenter)
        uuid = session.call(what, manager.QueryVirtualDiskUuid, disk.path, center, read=True)
    except PhotonError as error:
        if error.data.get("fault") in _GONE:
            return None
        raise
    # As an attached device shows it: the disk manager groups the digits with spaces.
    digits = "".join(each for each in uuid.lower() if each in "0123456789abcdef")
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return DiskFile(disk.name, disk.backing, disk.path, disk.datastore, disk.id, uuid, disk.capacity)


def find_first_class(session: Session, datastore: DatastoreRow, names: Iterable[str]) -> list[DiskFile]:
    """Find first-class disks by name: what an interrupted create may have left. One call per disk of the datastore."""
    wanted, found = set(names), []
    what, manager = f"read of the disks on {datastore.name}", session.content.vStorageObjectManager
    reference = session.reference("Datastore", datastore.moid)
    for each in session.call(what, manager.ListVStorageObject, reference, read=True):
        row = read_disk(session, DiskFile("", FCD, "", datastore, each.id))
        if row and row.name in wanted:
            found.append(row)
    return found


def free_slots(present: Sequence[DiskRow], count: int, vm: str) -> list[Slot]:
    """Choose places for more disks: on the first SCSI bus, then on the next ones. Raises StateError beyond 60 disks."""
    taken = {(disk.bus, disk.unit) for disk in present}
    busy = {disk.bus for disk in present}
    slots = [
        Slot(bus, unit, bus not in busy)
        for bus in range(FIRST_BUS, FIRST_BUS + BUSES)
        for unit in range(PER_BUS + 1)
        if unit != _OWN_UNIT and (bus, unit) not in taken
    ]
    if len(slots) < count:
        raise PhotonError("StateError", f"VM {vm} has {len(present)} disks; at most {BUSES * PER_BUS} are possible")
    return slots[:count]


def attach_disks(
    moid: str, vm: str, disks: Sequence[tuple[DiskFile, Slot]], key: Any = None, **options: Any
) -> list[Job]:
    """Attach disks to a VM in any power state: one call for all managed VMDKs, one for each first-class disk.

    A missing controller is added first, and costs a read of the devices. Run the jobs of one VM one after another.
    """
    managed = [(disk, slot) for disk, slot in disks if disk.backing == VMDK]
    jobs = [_attach_first_class(moid, vm, disk, slot, key, options) for disk, slot in disks if disk.backing == FCD]
    fresh = {slot.bus for disk, slot in disks if slot.fresh}
    if managed or fresh:
        jobs.insert(0, _attach_managed(moid, vm, managed, fresh, key, options))
    return jobs


def detach_disk(moid: str, vm: str, disk: DiskFile, key: Any = None, **options: Any) -> Job:
    """Take a disk out of a VM and keep its file; one that is not attached is done."""
    what = f"detach disk {disk.name} from VM {vm}"

    def submit(session: Session) -> Any:
        reference = session.reference("VirtualMachine", moid)
        if disk.backing == FCD:
            return session.call(what, reference.DetachDisk_Task, api.load().vim.vslm.ID(id=disk.id))
        present = devices.read(session, moid)
        keys = [row.key for row in devices.disks_of(present.values()) if row.is_among([disk.path, disk.uuid])]
        if not keys:
            return None
        spec = api.load().vim.vm.ConfigSpec(deviceChange=devices.removals(present, keys))
        return session.call(what, reference.ReconfigVM_Task, spec)

    return _job(what, submit, key, options, operation="detach_disk", done_by=_GONE)


def detach_managed(moid: str, vm: str, disks: Sequence[DiskFile], key: Any = None, **options: Any) -> Job:
    """Take managed VMDKs out of a VM in one call and keep their files; those that are not attached are done."""
    what = f"detach {len(disks)} disks from VM {vm}"
    wanted = frozenset(each for disk in disks for each in (disk.path, disk.uuid) if each)

    def submit(session: Session) -> Any:
        present = devices.read(session, moid)
        keys = [row.key for row in devices.disks_of(present.values()) if row.is_among(wanted)]
        if not keys:
            return None
        spec = api.load().vim.vm.ConfigSpec(deviceChange=devices.removals(present, keys))
        return session.call(what, session.reference("VirtualMachine", moid).ReconfigVM_Task, spec)

    return _job(what, submit, key, options, operation="detach_disk", done_by=_GONE)


def grow_disk(disk: DiskFile, capacity: int, key: Any = None, **options: Any) -> Job:
    """Grow a detached disk to ``capacity`` bytes; no disk shrinks."""
    what = f"grow disk {disk.name}"

    def submit(session: Session) -> Any:
        if disk.backing == FCD:
            return session.call(
                what,
                session.content.vStorageObjectManager.ExtendDisk_Task,
                api.load().vim.vslm.ID(id=disk.id),
                session.reference("Datastore", disk.datastore.moid),
                capacity >> 20,
            )
        return session.call(
            what,
            session.content.virtualDiskManager.ExtendVirtualDisk_Task,
            disk.path,
            _datacenter(session, disk.datastore.datacenter),
            capacity >> 10,
            False,
        )

    return _job(what, submit, key, options, operation="grow_disk", datastore=disk.datastore.moid)


def delete_disk(disk: DiskFile, key: Any = None, **options: Any) -> Job:
    """Delete a detached disk; one that does not exist is done. One that a running VM has is refused."""
    what = f"delete disk {disk.name}"

    def submit(session: Session) -> Any:
        if disk.backing == FCD:
            return session.call(
                what,
                session.content.vStorageObjectManager.DeleteVStorageObject_Task,
                api.load().vim.vslm.ID(id=disk.id),
                session.reference("Datastore", disk.datastore.moid),
            )
        return session.call(
            what,
            session.content.virtualDiskManager.DeleteVirtualDisk_Task,
            disk.path,
            _datacenter(session, disk.datastore.datacenter),
        )

    return _job(what, submit, key, options, operation="delete_disk", datastore=disk.datastore.moid, done_by=_GONE)


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
            _datacenter(session, source_datacenter),
            target,
            _datacenter(session, target_datacenter),
            None,
            False,
        )

    return _job(what, submit, key, options, operation="copy_disk", host_units=4, timeout=4 * 3600.0)


def list_disks(session: Session, datastores: Iterable[DatastoreRow]) -> dict[str, ListedDisk]:
    """List every disk on these datastores by path; one search per datastore. Raises the first search's error."""
    names = {row.moid: row.name for row in datastores}
    rows = retrieve.from_objects(session, "Datastore", sorted(names), ["browser"])
    found: dict[str, ListedDisk] = {}
    jobs = [_search(names[moid], each["browser"]) for _kind, moid, each in rows]
    for _job_done, outcome in run_jobs(session, jobs):
        if isinstance(outcome, PhotonError):
            raise outcome
        for folder in outcome or []:
            where = retrieve.text(folder, "folderPath").rstrip("/")
            where = where.replace("]/", "] ", 1) + (" " if where.endswith("]") else "/")
            found.update((where + name, disk) for name, disk in _listed(folder))
    return found


def list_directories(session: Session, directories: Mapping[str, str]) -> dict[str, dict[str, ListedDisk]]:
    """List the disks in these directories (``{[ds] dir: datastore's moid}``) by path, one search for each.

    One that does not exist is empty; one that cannot be searched is omitted.
    """
    if not directories:
        return {}
    rows = retrieve.from_objects(session, "Datastore", sorted(set(directories.values())), ["browser"])
    browsers = {moid: each["browser"] for _kind, moid, each in rows}
    jobs = [_search_one(path, browsers[moid]) for path, moid in directories.items() if moid in browsers]
    found: dict[str, dict[str, ListedDisk]] = {}
    for job, outcome in run_jobs(session, jobs):
        if not isinstance(outcome, PhotonError):
            found[job.key] = {f"{job.key}/{name}": disk for name, disk in _listed(outcome)}
        elif outcome.data.get("fault") == "FileNotFound":
            found[job.key] = {}
    return found


def _search_one(path: str, browser: str) -> Job:
    what = f"listing of the disks in {path}"

    def submit(session: Session) -> Any:
        reference = session.reference("HostDatastoreBrowser", browser)
        return session.call(what, reference.SearchDatastore_Task, path, _search_spec(), read=True)

    return Job(key=path, what=what, submit=submit, operation="list_disks")


def _listed(folder: Any) -> Iterator[tuple[str, ListedDisk]]:
    for file in retrieve.children(folder, "file"):
        yield (
            retrieve.text(file, "path"),
            ListedDisk(
                int(retrieve.text(file, "fileSize", "0")),
                int(retrieve.text(file, "capacityKb", "0")) << 10,
                retrieve.text(file, "thin") == "true",
            ),
        )


def _search_spec() -> Any:
    kind = api.load().vim.host.DatastoreBrowser
    return kind.SearchSpec(
        query=[
            kind.VmDiskQuery(
                details=kind.VmDiskQuery.Details(diskType=False, capacityKb=True, hardwareVersion=False, thin=True)
            )
        ],
        details=kind.FileInfo.Details(fileType=True, fileSize=True, modification=False, fileOwner=False),
        matchPattern=["*"],
    )


def _search(datastore: str, browser: str) -> Job:
    what = f"listing of the disks on datastore {datastore}"

    def submit(session: Session) -> Any:
        reference = session.reference("HostDatastoreBrowser", browser)
        return session.call(what, reference.SearchDatastoreSubFolders_Task, f"[{datastore}]", _search_spec(), read=True)

    return Job(key=datastore, what=what, submit=submit, operation="list_disks")


def _attach_managed(
    moid: str, vm: str, disks: Sequence[tuple[DiskFile, Slot]], fresh: set[int], key: Any, options: dict[str, Any]
) -> Job:
    what = f"attach {len(disks)} disks to VM {vm}"
    vim = api.load().vim

    def submit(session: Session) -> Any:
        present = devices.read(session, moid) if fresh else {}
        missing = sorted(bus for bus in fresh if _FIRST_CONTROLLER + bus not in present)
        changes = [
            _added(vim.vm.device.ParaVirtualSCSIController(key=-1 - bus, busNumber=bus, sharedBus="noSharing"))
            for bus in missing
        ]
        changes += [
            _added(
                vim.vm.device.VirtualDisk(
                    key=-100 - at,
                    controllerKey=-1 - slot.bus if slot.bus in missing else _FIRST_CONTROLLER + slot.bus,
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

    return _job(what, submit, key if key is not None else moid, options, operation="attach_disks")


def _attach_first_class(moid: str, vm: str, disk: DiskFile, slot: Slot, key: Any, options: dict[str, Any]) -> Job:
    what = f"attach disk {disk.name} to VM {vm}"

    def submit(session: Session) -> Any:
        return session.call(
            what,
            session.reference("VirtualMachine", moid).AttachDisk_Task,
            api.load().vim.vslm.ID(id=disk.id),
            session.reference("Datastore", disk.datastore.moid),
            _FIRST_CONTROLLER + slot.bus,
            slot.unit,
        )

    return _job(what, submit, key if key is not None else disk.id, options, operation="attach_disks")


def _first_class(element: Any, datastore: DatastoreRow) -> DiskFile:
    text = retrieve.text
    return DiskFile(
        text(element, "config/name"),
        FCD,
        text(element, "config/backing/filePath"),
        datastore,
        text(element, "config/id/id"),
        capacity=int(text(element, "config/capacityInMB", "0")) << 20,
    )


def _datacenter(session: Session, moid: str) -> Any:
    """The datacenter of a path: names of datastores repeat across a vCenter's datacenters."""
    return session.reference("Datacenter", moid) if session.is_vcenter else None


def _added(device: Any) -> Any:
    return api.load().vim.vm.device.VirtualDeviceSpec(operation="add", device=device)


def _job(what: str, submit: Any, key: Any, options: dict[str, Any], **defaults: Any) -> Job:
    return Job(key=what if key is None else key, what=what, submit=submit, **(defaults | options))
