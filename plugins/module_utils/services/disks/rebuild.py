# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks out of their records: in the metadata of first-class disks, in files next to managed VMDKs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ... import vsphere
from ...model import entities, flavors, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ...vsphere import guestinfo
from .. import marks
from ..context import Context
from ..rebuilding import Carrier, Rebuilding
from ..state import CurrentState
from .mark import LISTS, file_of
from .observed import Sight
from .record import Disk, directory_of


def read_carriers(endpoint: Document, state: CurrentState, context: Context) -> Iterator[Carrier]:
    """Yield the persistent disks on an endpoint, each with its marks.

    Of a managed VMDK that its VM took elsewhere only the record is left; ``thing`` has no path then.
    """
    session, inventory = context.session(endpoint), state.inventories[endpoint.id]
    stores = [row for row in inventory.datastores.values() if row.accessible]
    if not inventory.no_first_class:
        for file in vsphere.find_unknown(session, stores, ()):
            if guestinfo.ID_KEY in file.marks:
                yield Carrier.of(entities.DISK, endpoint, file.name, file.marks, file)
    rows = {directory_of(row.name): row for row in stores}
    wanted = {path: row.moid for path, row in rows.items()}
    disks, records = vsphere.list_directories(session, wanted), vsphere.list_names(session, wanted, "*.json")
    for directory, row in sorted(rows.items()):
        if directory not in disks or directory not in records:
            raise PhotonError("EndpointUnreachable", f"{endpoint.name}: {directory} could not be searched; run again")
        files = {_stem(path): (path, found.capacity) for path, found in disks[directory].items()}
        described = set(map(_stem, records[directory]))
        for identity in sorted(files.keys() | described):
            path, capacity = files.get(identity, ("", 0))
            record = _read(session, row, identity) if identity in described else ""
            keys = {guestinfo.ID_KEY: identity, guestinfo.RECORD_KEY: record}
            file = vsphere.DiskFile(identity, vsphere.VMDK, path, row, capacity=capacity)
            yield Carrier.of(entities.DISK, endpoint, f"{directory}/{identity}", keys, file)


def rebuild_disks(rebuilding: Rebuilding) -> None:
    """Record each disk where its file is; ``place_disks`` follows once the VMs are recorded."""
    state, seen = rebuilding.state, {}
    attached = _attached(rebuilding)
    for carrier in rebuilding.unique(rebuilding.of(entities.DISK)):
        project = rebuilding.project_of(carrier)
        if project is None:
            continue
        try:
            disk = _disk(carrier, project, attached, rebuilding)
        except PhotonError as error:
            step = "correct it, or declare what it names, then rebuild again; it is left alone"
            rebuilding.refuse(carrier, "unusable record", error.message, step)
            continue
        other = seen.setdefault(carrier.identity, disk)
        if other.path != disk.path:
            step = "remove one of them, then rebuild again with force; the first is recorded"
            rebuilding.refuse(carrier, "two with one id", str(other.path), step)
        elif other is disk or carrier.thing.datastore.moid == _moid(disk, state):
            # Of the records of a disk that moved, that on its own datastore is the last.
            record: Any = carrier.record
            owner = record.text("managed_by")
            fresh = rebuilding.planning.new(entities.DISK, disk.name, project.id, id=disk.id, managed_by=owner)
            state.put(disk.write_to(fresh))


def place_disks(rebuilding: Rebuilding) -> None:
    """Note which VMs have the disks."""
    state = rebuilding.state
    sight = Sight.of(state)
    for document in state.of(entities.DISK):
        seen = sight.see(Disk.of(document))
        if seen.stranger:
            name = state.path_of(document)
            rebuilding.report(entities.DISK, name, "attached elsewhere", seen.stranger, "detach it there")
        state.put(replace(seen.disk, wanted_vm=seen.disk.vm).write_to(document))


def _disk(carrier: Carrier, project: Document, attached: dict[str, Any], rebuilding: Rebuilding) -> Disk:
    """The disk as its record describes it, detached. Raises SpecInvalid, FlavorNotFound, DiskNotFound."""
    record: Any = carrier.record
    file, state = carrier.thing, rebuilding.state
    flavor = rebuilding.flavor_of(flavors.PERSISTENT_DISK, record.text("flavor"))
    row = attached.get(file.path) if file.path else attached.get(record.optional("uuid") or "")
    path = file.path or (row.files[-1] if row is not None and row.files else None)
    uuid = row.uuid if row is not None else None
    if path and not uuid:
        uuid = vsphere.read_uuid(rebuilding.context.session(carrier.endpoint), file)
    if not path or not uuid:
        raise PhotonError("DiskNotFound", "there is a record, and its file is missing")
    moid = row.datastore if row is not None and row.datastore else file.datastore.moid
    stores = state.of(entities.DATASTORE, carrier.endpoint.id)
    store = next((each for each in stores if each.observed.get("moid") == moid), None)
    if store is None:
        raise PhotonError("DatastoreNotFound", f"no declared host mounts the datastore of {path}")
    size = row.capacity if row is not None else file.capacity
    return Disk(
        carrier.identity,
        record.text("name"),
        project.id,
        states.DETACHED,
        flavor.id,
        record.number("capacity"),
        record.cost("cost"),
        deletion_protection=record.flag("deletion_protection"),
        endpoint=carrier.endpoint.id,
        datastore=store.id,
        path=path,
        uuid=uuid,
        size=size or record.number("capacity"),
        backing=file.backing,
        first_class=file.id or None,
        described=True,
        **{key: record.texts(key) for key in LISTS},
    )


def _attached(rebuilding: Rebuilding) -> dict[str, Any]:
    """The disks of all VMs (DiskRow) by their uuids and files."""
    rows = [row for each in rebuilding.state.inventories.values() for vm in each.vms.values() for row in vm.disks or ()]
    return {key: row for row in rows for key in (row.uuid, *row.files) if key}


def _moid(disk: Disk, state: CurrentState) -> str:
    return str(state.must(str(disk.datastore)).observed.get("moid"))


def _stem(path: str) -> str:
    """The id in the name of a disk's file or record."""
    return path.rpartition("/")[2].rpartition(".")[0]


def _read(session: Any, row: Any, identity: str) -> str:
    """The record of a managed VMDK; empty where it was deleted since it was listed."""
    try:
        content = vsphere.read_file(session, file_of(row.name, identity), row.datacenter, marks.LONGEST)
    except PhotonError as error:
        if error.code != "NotFound":
            raise
        return ""
    return content.decode("utf-8", "replace")
