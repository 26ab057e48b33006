# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images out of their copies in vSphere."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ...model import entities, states
from ...model.entities import Document, name_key
from ...model.errors import PhotonError
from ...vsphere import inspect_image
from ...vsphere.guestinfo import RECORD_KEY, SITE_KEY, TEMPLATE_KEY
from ...vsphere.images import IMAGE_KEY
from .. import marks
from ..fleet.record import DatastoreFacts
from ..rebuilding import Carrier, Rebuilding
from .record import Copy, new_copy

_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def describe_old(carriers: list[Carrier], rebuilding: Rebuilding) -> None:
    """Give copies of earlier versions, which carry no record, that of the one declared image whose file they hold."""
    old = [c for c in carriers if c.kind == entities.IMAGE and not c.thing.extra_config.get(RECORD_KEY)]
    items: dict[str, list[tuple[Any, Any]]] = {}
    for item in rebuilding.planning.declaration.images if old else ():
        try:
            facts = inspect_image(rebuilding.context.path(item["file"])) if item.get("file") else None
        except PhotonError:
            continue  # the copies stay without a record, and are reported
        if facts is not None:
            items.setdefault(facts["sha256"], []).append((item, facts))
    for carrier in old:
        keys = carrier.thing.extra_config
        found = items.get(keys.get(IMAGE_KEY, ""), [])
        if len(found) == 1:
            item, facts = found[0]
            names = {key: item[key] for key in ("name", "tenant", "project") if item.get(key)}
            owner = {"managed_by": keys.get(SITE_KEY, ""), "file": item["file"].rpartition("/")[2]}
            carrier.record, carrier.whole = marks.Fields({**facts, **names, **owner}), False


def restore_datastores(rebuilding: Rebuilding) -> None:
    """Give datastores the ids that the copies on them were made with, before they are planned."""
    state, taken = rebuilding.state, set()
    for carrier in rebuilding.of(entities.IMAGE):
        store_id, row = carrier.record.optional("datastore") or "", _datastore(carrier, rebuilding)  # type: ignore[union-attr]
        where = (carrier.endpoint.id, row.moid if row is not None else "")
        if row is None or not store_id or where in taken or state.get(store_id) is not None:
            continue
        taken.add(where)
        key = name_key(entities.DATASTORE, carrier.endpoint.id, row.name)
        state.put(
            Document(
                entities.DATASTORE,
                row.name,
                carrier.endpoint.id,
                managed_by=rebuilding.planning.managed_by,
                id=store_id,
                name_key=key,
                body={"tags": []},
                observed=DatastoreFacts.seen(row).observed(),
            )
        )


def rebuild_images(rebuilding: Rebuilding) -> None:
    """Record each image with the copies that carry it."""
    state = rebuilding.state
    items = rebuilding.planning.declaration.images
    declared = {(item.get("tenant") or "", item.get("project") or "", item["name"]): item for item in items}
    for carrier in sorted(rebuilding.unique(rebuilding.of(entities.IMAGE)), key=_is_clone):
        try:
            fields, store = _fields(carrier), _recorded_datastore(carrier, rebuilding)
        except PhotonError as error:
            rebuilding.refuse(carrier, "unusable copy", error.message, "delete it in vSphere: it is made again")
            continue
        record = carrier.record
        tenant, project = record.optional("tenant") or "", record.optional("project") or ""  # type: ignore[union-attr]
        owner = rebuilding.project_of(carrier) if project else None
        if project and owner is None:
            continue
        image = state.get(carrier.identity)
        if image is None:
            name = record.text("name")  # type: ignore[union-attr]
            item = declared.get((tenant, project, name), {})
            image = rebuilding.planning.new(
                entities.IMAGE,
                name,
                owner.id if owner is not None else "",
                id=carrier.identity,
                managed_by=record.text("managed_by"),  # type: ignore[union-attr]
                state=states.READY,
                body={**fields, "replication": item.get("replication") or "EAGER"},
            )
        if image.body["sha256"] != fields["sha256"]:
            step = "delete it in vSphere: it is made again"
            rebuilding.refuse(carrier, "two files of one image", fields["sha256"], step)
            continue
        if state.copy_of(image.id, store.id) is not None:
            step = "delete the clone in vSphere, or clear its photon.id; it is left alone"
            rebuilding.refuse(carrier, "two copies on one datastore", carrier.label, step)
            continue
        state.put(image)
        row, fresh = carrier.thing, replace(new_copy(image, store), name=state.path_of(store))
        copy = replace(Copy.of(fresh), state=states.READY, template_uuid=row.uuid, path=_first(row).path)
        state.put(replace(copy, template_moid=row.moid).write_to(fresh))


def _is_clone(carrier: Carrier) -> bool:
    """Whether a template was cloned by hand: it has another instanceUuid than its keys name."""
    return carrier.thing.uuid != carrier.thing.extra_config.get(TEMPLATE_KEY)


def _fields(carrier: Carrier) -> dict[str, Any]:
    """What the record says of the file. Raises SpecInvalid where the copy is incomplete or of another file."""
    record: Any = carrier.record
    digest = record.text("sha256")
    if not _SHA256.match(digest) or carrier.thing.extra_config.get(IMAGE_KEY) != digest:
        raise PhotonError("SpecInvalid", "it is incomplete, or was made from another file than its record says")
    return {
        "file": record.text("file"),
        "file_type": record.text("file_type"),
        "sha256": digest,
        "size": record.number("size"),
        "settings": record.table("settings"),
    }


def _recorded_datastore(carrier: Carrier, rebuilding: Rebuilding) -> Document:
    store = _datastore(carrier, rebuilding)
    stores = rebuilding.state.of(entities.DATASTORE, carrier.endpoint.id)
    document = next((d for d in stores if store is not None and d.observed.get("moid") == store.moid), None)
    if document is None:
        raise PhotonError("SpecInvalid", "its datastore is not one that a declared host mounts")
    return document


def _datastore(carrier: Carrier, rebuilding: Rebuilding) -> Any:
    disk = _first(carrier.thing)
    stores = rebuilding.state.inventories[carrier.endpoint.id].datastores
    return stores.get(disk.datastore or "") if disk is not None else None


def _first(row: Any) -> Any:
    """The disk that is the image."""
    return min(row.disks or (), key=lambda disk: (disk.bus is None, disk.bus or 0, disk.unit), default=None)
