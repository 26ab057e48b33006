# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put images on datastores: a template VM per copy, whose disk is the parent of boot disks.

The first copy goes through the import lease (HttpNfcLease), in which the host itself unpacks the stream-optimised disk;
the file as it is would not be a usable disk. vSphere makes further copies from the first one. A template carries
``photon.image`` (the file's SHA-256) only once it is complete, so an incomplete one never counts as a copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ..model.errors import PhotonError
from . import api, devices, guestinfo, inventory, retrieve, tls, vms
from .disks import copy_disk
from .jobs import Job, run_jobs, task_error
from .rows import DiskRow, VmRow
from .session import CONVERSATION_ERRORS, Session
from .sharedimage import DiskStream

IMAGE_KEY = "photon.image"
_READY_WITHIN = 120.0
_PROGRESS_EVERY = 10.0  # a lease ends after 300 s without a sign of life
_MEMORY = 256 << 20  # a template is never started
Report = Callable[[int, int], None]


@dataclass(slots=True, kw_only=True)
class TemplateSpec(vms.VmSpec):
    """The template that holds a copy of an image; its ``document_id`` is the image's.

    ``sha256`` is the file's, ``capacity`` the disk's size in bytes, ``record`` what it carries as photon.record.
    """

    sha256: str
    capacity: int
    vcpus: int = 1
    memory: int = _MEMORY
    controller: str = "lsilogic"
    annotation: str = "Parent of boot disks: do not start or change it"
    record: str = ""

    def __post_init__(self) -> None:
        self.extra_config = {guestinfo.TEMPLATE_KEY: self.uuid}
        if self.record:
            self.extra_config[guestinfo.RECORD_KEY] = self.record

    def with_disk(self, path: str | None = None) -> TemplateSpec:
        """The template with its disk: an existing file, or a new one to import into."""
        return replace(self, disks=[vms.DiskSpec(self.name, self.capacity, path=path)])


@dataclass(slots=True)
class Template:
    """An existing copy: ``path`` (``[ds] dir/disk.vmdk``) is what boot disks name as their parent."""

    uuid: str
    moid: str
    path: str


def import_image(session: Session, disk: DiskStream, spec: TemplateSpec, report: Report | None = None) -> Template:
    """Upload the disk of an OVA or stream-optimised VMDK as a template, or find that it is there already.

    ``report(sent, length)`` is called with the bytes that were sent, again and again. What an earlier run left
    unfinished is removed first. On a failure the lease is aborted and nothing stays. Raises the errors of reading the
    file, ImageUploadError (the transfer broke or the file changed), VCenterImportError and those of the fault table.
    """
    found = _find(session, spec)
    if found:
        return found
    what = f"import of image {spec.name} to datastore {spec.datastore.name}"
    config = vms.create_spec(spec.with_disk())
    lease = session.call(
        what,
        session.reference("ResourcePool", spec.host.pool).ImportVApp,
        api.load().vim.vm.VmImportSpec(configSpec=config, resPoolEntity=None),
        session.reference("Folder", spec.folder),
        session.reference("HostSystem", spec.host.moid),
    )
    entity = None
    try:
        entity, urls = _ready(session, lease, what)
        _upload(session, lease, urls, disk, what, report)
        session.call(what, lease.HttpNfcLeaseComplete)
    except Exception as error:
        _give_up(session, lease, entity, spec, error)
        raise
    _one(session, vms.reconfigure(entity, spec.name, extra_config={IMAGE_KEY: spec.sha256}, uuid=spec.uuid))
    return _finish(session, spec, entity)


def copy_image(session: Session, source: Template, source_datacenter: str, spec: TemplateSpec) -> Template:
    """Make one more copy on another datastore of the same endpoint: vSphere copies the disk into a template's folder.

    ``spec`` describes the new template. It is created first, without a disk: so everything that an interrupted run
    leaves belongs to a VM of that uuid, and is removed with it.
    """
    found = _find(session, spec)
    if found:
        return found
    what = f"copy of image {spec.name} to datastore {spec.datastore.name}"
    moid = _one(session, vms.create_vm(spec))
    try:
        target = f"{_home(session, moid)}/{spec.name}.vmdk"
        budgets = {"host": spec.host.moid, "datastore": spec.datastore.moid}
        _one(
            session,
            copy_disk(what, source.path, source_datacenter, target, spec.host.datacenter, **budgets),
        )
        _one(session, _attach(moid, target, spec))
    except PhotonError as error:
        if not error.data.get("unknown") and not session.stopped:
            _remove(session, moid, spec, error)
        raise
    return _finish(session, spec, moid)


def delete_template(moid: str, name: str, uuid: str, **options: Any) -> Job:
    """Remove a copy with its folder: ``destroy``, then the other files of the folder.

    The boot disks that are its children must be deleted before.
    """
    home: list[tuple[str, str]] = []
    job = vms.destroy(moid, name, uuid, **options)
    destroy, follow = job.submit, job.then

    def submit(session: Session) -> Any:
        if directory := _home(session, moid):
            home.append((directory, _datacenter_of(session, moid)))
        return destroy(session)

    def then(result: Any) -> Job | None:
        if home:
            return _delete_folder(*home[0], key=job.key, then=follow)
        return follow(result) if follow else None

    job.submit, job.then = submit, then
    return job


def _delete_folder(path: str, datacenter: str, **options: Any) -> Job:
    """Delete a directory and all in it (``[ds] dir``); one that does not exist is done."""
    what = f"delete {path}"

    def submit(session: Session) -> Any:
        return session.call(
            what, session.content.fileManager.DeleteDatastoreFile_Task, path, _datacenter(session, datacenter)
        )

    # A vSAN directory goes with its last file and cannot be deleted as one.
    return Job(what=what, submit=submit, done_by=frozenset({"FileNotFound", "CannotDeleteFile"}), **options)


def _find(session: Session, spec: TemplateSpec) -> Template | None:
    """Find the complete template of that uuid; an incomplete one is destroyed, so that it can be created again.

    Raises InvalidImageState when it was made from another file: its disk may have children, so it is left alone.
    """
    for row in inventory.lookup_vms(session, uuids=[spec.uuid], names=[spec.name], folder=spec.folder, heavy=True):
        keys = row.extra_config or {}
        if not _is_ours(row, spec):
            continue
        if keys.get(IMAGE_KEY) == spec.sha256 and row.disks:
            return Template(spec.uuid, row.moid, _first(row.disks).path)
        if keys.get(IMAGE_KEY, spec.sha256) != spec.sha256:
            raise PhotonError(
                "InvalidImageState",
                f"template {row.name} on datastore {spec.datastore.name} was made "
                f"from another file (SHA-256 {keys[IMAGE_KEY]}): delete the image first, or give the "
                "new file a new name",
                {"template": row.uuid},
            )
        _one(session, delete_template(row.moid, row.name, row.uuid))
    return None


def _attach(moid: str, path: str, spec: TemplateSpec) -> Job:
    """Give the template its disk, and the mark of a complete template, in one change."""
    what = f"attach {path} to template {spec.name}"
    config = api.load().vim.vm.ConfigSpec(
        deviceChange=vms.disk_changes(spec.with_disk(path)),
        extraConfig=vms.options_of({IMAGE_KEY: spec.sha256}),
    )
    return Job(
        what,
        what,
        lambda session: session.call(what, session.reference("VirtualMachine", moid).ReconfigVM_Task, config),
    )


def _ready(session: Session, lease: Any, what: str) -> tuple[str, list[Any]]:
    """Wait until the lease can be used; returns its VM's moid and the device URLs of its disks."""
    deadline, pause = time.monotonic() + _READY_WITHIN, 0.02
    while True:
        rows = retrieve.from_objects(session, "HttpNfcLease", [lease._moId], ["state", "error", "info"])
        values = rows[0][2] if rows else {"state": "done"}
        if values.get("state") == "ready":
            urls = retrieve.children(values["info"], "deviceUrl")
            disks = [each for each in urls if retrieve.text(each, "disk") == "true"]
            return retrieve.text(values["info"], "entity"), disks
        if values.get("state") in ("error", "done"):
            raise _lease_error(what, values.get("error"))
        if time.monotonic() > deadline:
            raise PhotonError(
                "VCenterImportError",
                f"{what}: the host did not open its import lease within "
                f"{_READY_WITHIN:g} s; check its load, then run again",
                {"what": what},
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def _lease_error(what: str, error: Any) -> PhotonError:
    if not retrieve.is_object(error):
        return PhotonError(
            "VCenterImportError", f"{what}: vSphere ended the import; see the event log of the endpoint", {"what": what}
        )
    return task_error(what, error)


def _upload(
    session: Session, lease: Any, urls: list[Any], reader: DiskStream, what: str, report: Report | None
) -> None:
    """POST the disk's stream to the one URL of the lease and report the progress to the lease."""
    if len(urls) != 1:
        raise PhotonError(
            "VCenterImportError", f"{what}: the lease offers {len(urls)} disks instead of one", {"what": what}
        )
    url = urlsplit(retrieve.text(urls[0], "url"))
    host, port = url.hostname or "", url.port or 443
    if host in ("", "*"):  # an ESXi host leaves it to the client to know its address
        host, port = session.spec.address, url.port or session.spec.port
    length = reader.image.length
    sent, reported = 0, time.monotonic()

    def body() -> Iterator[bytes]:
        nonlocal sent, reported
        for chunk in reader:
            session.check_guard()
            if session.interrupted():
                raise PhotonError("Interrupted", f"{what}: the run was interrupted; run again", {"what": what})
            yield chunk
            sent += len(chunk)
            if report is not None:
                report(sent, length)
            if time.monotonic() - reported > _PROGRESS_EVERY:
                reported = time.monotonic()
                session.call(what, lease.HttpNfcLeaseProgress, min(99, 100 * sent // length))

    connection = session.connection(host, port, retrieve.text(urls[0], "sslThumbprint"))
    path = url.path + (f"?{url.query}" if url.query else "")
    headers = {"Content-Type": "application/x-vnd.vmware-streamVmdk", "Content-Length": str(length)}
    if host == session.spec.address:  # a vCenter's hosts know the lease by its URL, not by our session
        headers["Cookie"] = session.cookie
    try:
        connection.request("POST", path, body(), headers)
        answer = connection.getresponse()
        reason = answer.read(500).decode("utf-8", "replace").strip()
    except CONVERSATION_ERRORS as error:
        _raise_fault(session, lease, what)
        failure = tls.failure(f"{what} ({host}:{port})", error, {"what": what})
        code = failure.code if failure.code == "EndpointCertificateError" else "ImageUploadError"
        raise PhotonError(code, failure.message, failure.data) from error
    finally:
        connection.close()
    if answer.status not in (200, 201):
        _raise_fault(session, lease, what)
        raise PhotonError(
            "ImageUploadError",
            f"{what}: the host refused the disk with HTTP {answer.status} "
            f"{reason}; check that "
            "the file is complete and the datastore has space",
            {"what": what, "status": answer.status},
        )


def _raise_fault(session: Session, lease: Any, what: str) -> None:
    """Raise the lease's own reason for a broken transfer, where it has one, such as a full datastore."""
    for _kind, _moid, values in retrieve.from_objects(session, "HttpNfcLease", [lease._moId], ["state", "error"]):
        if values.get("state") == "error" and retrieve.is_object(values.get("error")):
            raise task_error(what, values["error"])


def _give_up(session: Session, lease: Any, entity: str | None, spec: TemplateSpec, error: Exception) -> None:
    """Abort the lease, which removes the incomplete VM; if the VM stays, remove it."""
    what = f"abort of the import of image {spec.name}"
    fault = api.load().vim.fault.VimFault(msg=str(error)[:200])
    try:
        session.call(what, lease.HttpNfcLeaseAbort, fault)
    except PhotonError as second:
        error.add_note(f"{what}: {second}")
    if entity is not None:
        _remove(session, entity, spec, error)


def _remove(session: Session, moid: str, spec: TemplateSpec, error: Exception) -> None:
    """Remove a VM that this call created. A failure here is noted on the first one, which it must not hide."""
    try:
        for _kind, _moid, values in retrieve.from_objects(session, "VirtualMachine", [moid], ["config.instanceUuid"]):
            _one(session, delete_template(moid, spec.name, values.get("config.instanceUuid", "")))
    except PhotonError as second:
        error.add_note(f"removal of {spec.name}: {second}")


def _finish(session: Session, spec: TemplateSpec, moid: str) -> Template:
    """Make the VM a template on a vCenter, so that it cannot be started, and return where its disk is."""
    if session.is_vcenter:
        session.call(f"mark {spec.name} as a template", session.reference("VirtualMachine", moid).MarkAsTemplate)
    disks = devices.disks_of(devices.read(session, moid).values())
    if disks:
        return Template(spec.uuid, moid, _first(disks).path)
    raise PhotonError(
        "VCenterImportError",
        f"image {spec.name} on datastore {spec.datastore.name}: the import ended "
        "without a VM that has a disk; run again",
        {"template": spec.uuid},
    )


def _is_ours(row: VmRow, spec: TemplateSpec) -> bool:
    """Compare the uuid, or the mark where a server chose another instanceUuid."""
    keys = row.extra_config or {}
    return keys.get(guestinfo.ID_KEY) == spec.document_id and spec.uuid in (row.uuid, keys.get(guestinfo.TEMPLATE_KEY))


def _datacenter(session: Session, moid: str) -> Any:
    """The datacenter of a path: names of datastores repeat across a vCenter's datacenters."""
    return session.reference("Datacenter", moid) if session.is_vcenter else None


def _home(session: Session, moid: str) -> str:
    """The directory of a VM's files, ``[ds] dir``; empty when it has none or does not exist."""
    path = "config.files.vmPathName"
    rows = retrieve.from_objects(session, "VirtualMachine", [moid], [path])
    return rows[0][2].get(path, "").rpartition("/")[0] if rows else ""


def _datacenter_of(session: Session, moid: str) -> str:
    """The datacenter that a VM lives in: one call per folder above it."""
    kind = "VirtualMachine"
    while kind != "Datacenter":
        rows = retrieve.from_objects(session, kind, [moid], ["parent"])
        if not rows or not rows[0][2].get("parent"):
            return ""
        moid = rows[0][2]["parent"]
        kind = "Datacenter" if retrieve.from_objects(session, "Datacenter", [moid], ["name"]) else "Folder"
    return moid


def _first(disks: list[DiskRow]) -> DiskRow:
    """The disk that is the image: the first on the first SCSI bus."""
    return min(disks, key=lambda disk: (disk.bus is None, disk.bus or 0, disk.unit))


def _one(session: Session, job: Job) -> Any:
    """Run one job, and those that follow it; the first one's result, or the first error raised."""
    outcomes = [outcome for _job, outcome in run_jobs(session, [job])]
    for outcome in outcomes:
        if isinstance(outcome, PhotonError):
            raise outcome
    return outcomes[0]
