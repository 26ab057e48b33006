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
    """Yield the persistent disks on an endpoint, each with its marks."""
    session, inventory = context.session(endpoint), state.inventories[endpoint.id]
    stores = [row for row in inventory.datastores.values() if row.accessible]
    if not inventory.no_first_class:
        for file in vsphere.find_unknown(session, stores, ()):
            if guestinfo.ID_KEY in file.marks:
                yield Carrier.of(entities.DISK, endpoint, file.name, file.marks, file)
    by_directory = {directory_of(row.name): row for row in stores}
    listed = vsphere.list_directories(session, {path: row.moid for path, row in by_directory.items()})
    for directory in by_directory.keys() - listed.keys():
        raise PhotonError("EndpointUnreachable", f"{endpoint.name}: {directory} could not be searched; run again")
    for directory, files in sorted(listed.items()):
        for path, found in files.items():
            if path.endswith(".vmdk"):
                identity = path.rpartition("/")[2].removesuffix(".vmdk")
                row = by_directory[directory]
                file = vsphere.DiskFile(identity, vsphere.VMDK, path, row, capacity=found.capacity)
                keys = {guestinfo.ID_KEY: identity, guestinfo.RECORD_KEY: _read(session, path, row)}
                yield Carrier.of(entities.DISK, endpoint, path, keys, file)


def rebuild_disks(rebuilding: Rebuilding) -> None:
    """Record each disk where its file is; ``place_disks`` follows once the VMs are recorded."""
    seen: dict[str, Carrier] = {}
    for carrier in rebuilding.unique(rebuilding.of(entities.DISK)):
        other = seen.setdefault(carrier.identity, carrier)
        if other is not carrier:
            step = "remove one of them, then rebuild again with force: the first is recorded"
            rebuilding.refuse(carrier, "two with one id", other.label, step)
            continue
        project = rebuilding.project_of(carrier)
        if project is None:
            continue
        try:
            disk = _disk(carrier, project, rebuilding)
        except PhotonError as error:
            step = "declare what it names, then rebuild again; it is left alone"
            rebuilding.refuse(carrier, "unusable record", error.message, step)
            continue
        record: Any = carrier.record
        fresh = rebuilding.planning.new(
            entities.DISK, disk.name, project.id, id=disk.id, managed_by=record.text("managed_by")
        )
        rebuilding.state.put(disk.write_to(fresh))


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


def _disk(carrier: Carrier, project: Document, rebuilding: Rebuilding) -> Disk:
    """The disk as its record describes it, detached. Raises SpecInvalid, FlavorNotFound, DiskNotFound."""
    record: Any = carrier.record
    file, state = carrier.thing, rebuilding.state
    flavor = rebuilding.flavor_of(flavors.PERSISTENT_DISK, record.text("flavor"))
    stores = state.of(entities.DATASTORE, carrier.endpoint.id)
    store = next((each for each in stores if each.observed.get("moid") == file.datastore.moid), None)
    if store is None:
        raise PhotonError("DatastoreNotFound", f"no declared host mounts its datastore {file.datastore.name}")
    uuid = vsphere.read_uuid(rebuilding.context.session(carrier.endpoint), file)
    if uuid is None:
        raise PhotonError("DiskNotFound", "its file is missing")
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
        path=file.path,
        uuid=uuid,
        size=file.capacity or record.number("capacity"),
        backing=file.backing,
        first_class=file.id or None,
        described=True,
        **{key: record.texts(key) for key in LISTS},
    )


def _read(session: Any, path: str, row: Any) -> str:
    """The record next to a managed VMDK; empty where there is none."""
    try:
        content = vsphere.read_file(session, file_of(path), row.datacenter, marks.LONGEST)
    except PhotonError as error:
        if error.code != "NotFound":
            raise
        return ""
    return content.decode("utf-8", "replace")
