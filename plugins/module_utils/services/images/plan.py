# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as a plan. Pure: only CurrentState is changed.

An image is READY once one copy exists; a missing copy (a new image datastore, a failed upload, a template that was
deleted in vSphere) is created by the next run. A template's instanceUuid follows from image and datastore, so an
interrupted run leaves nothing twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...cloudstore import Step, Task
from ...model import entities, states
from ...model.authorization import authorize, permits
from ...model.entities import Document
from ...model.errors import PhotonError
from ..fleet.image_datastores import image_datastores_of
from ..planning import CREATE, KEEP, UPDATE, Action, Planning, compare, delete_action, differing, record_action
from ..state import CurrentState
from ..vms.record import Vm

_NAMESPACE = uuid.UUID("0b1d63f4-6a3a-5d3e-9c40-6f6e2f0c5a11")
Item = Mapping[str, Any]
Copies = dict[str, dict[str, Any]]  # by datastore id: {path, template_moid, template_uuid}


@dataclass(slots=True, kw_only=True)
class CopyImage(Action):
    """Bring an image to the datastores ``targets`` (ids), from its file or from a copy on the same endpoint."""

    file: str | None
    targets: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DeleteImage(Action):
    """Delete an image with all its copies."""


def plan_images(planning: Planning) -> None:
    """Add an action or a failure for each declared image."""
    targets = image_datastores_of(planning.state)
    for item in planning.declaration.images:
        failing = planning.plan.failing(entities.IMAGE, item["name"], item.get("path", ""))
        with failing if item.get("project") else planning.creating(entities.IMAGE, item):
            _plan_image(item, targets, planning)


def plan_delete(current: Document, planning: Planning, reason: str, path: str = "") -> None:
    """Delete an image; one in use becomes PENDING_DELETE and is deleted with its last VM."""
    state = planning.state
    chain = state.chain(current)[:-1]
    authorize(planning.actor, "delete", entities.IMAGE, *chain)
    needs, users = tuple(d.id for d in chain), users_of(current, state)
    if users:
        if current.state != states.PENDING_DELETE:
            document = replace(current, state=states.PENDING_DELETE)
            reason = f"{reason}; {len(users)} VMs still use it"
            record_action(
                planning, current, document, lambda d: {"state": d.state}, path=path, reason=reason, needs=needs
            )
        return
    task = _task("DELETE_IMAGE", current.id, [Step(0, "DELETE_IMAGE", "STARTED")], {})
    delete_action(planning, current, reason, path, DeleteImage, needs=needs, task=task)


def plan_unused(planning: Planning) -> None:
    """Delete the images in PENDING_DELETE whose last VM is gone, those that the actor may delete."""
    state = planning.state
    for image in state.of(entities.IMAGE):
        unused = image.state == states.PENDING_DELETE and not users_of(image, state)
        if unused and permits(planning.actor, "delete", entities.IMAGE, *state.chain(image)[:-1]):
            plan_delete(image, planning, "its last user is gone")


def files_to_read(planning: Planning, stat: Callable[[str], Any]) -> list[str]:
    """The declared files whose content must be read: new images, and files whose size or time changed.

    ``stat(path)`` -> ``[size, mtime_ns]`` or None.
    """
    paths = []
    for item in planning.declaration.images:
        if item.get("state") == "absent" or not item.get("file"):
            continue
        current = planning.state.declared(entities.IMAGE, item)
        if current is None or _stat(current) != stat(item["file"]):
            paths.append(item["file"])
    return paths


def users_of(image: Document, state: CurrentState) -> list[Document]:
    """The VMs whose boot disk is a child of the image."""
    return [vm for vm in state.of(entities.VM) if Vm.of(vm).image == image.id]


def template_uuid(image_id: str, datastore_id: str) -> str:
    """The instanceUuid of an image's template on a datastore."""
    return str(uuid.uuid5(_NAMESPACE, f"{image_id}/{datastore_id}"))


# -- single items ------------------------------------------------------------------------------------------------


def _plan_image(item: Item, targets: list[Document], planning: Planning) -> None:
    state, current, path = planning.state, planning.state.declared(entities.IMAGE, item), item.get("path", "")
    if item.get("state") == "absent":
        if current is not None:
            plan_delete(current, planning, "declared absent", path)
        return
    scope = state.require_project(item).id if item.get("project") else ""
    fresh = current or planning.new(entities.IMAGE, item["name"], scope, body={"copies": {}})
    chain = state.chain(fresh)[:-1]
    authorize(planning.actor, "update" if current else "create", entities.IMAGE, *chain)
    if not targets:
        raise PhotonError(
            "NoConstraintMatchingDatastore",
            f"image {item['name']} has no datastore to go to: declare hosts with datastores, or set "
            "photon_image_datastores",
        )
    content, stat = _content(item, fresh, planning)
    kept = _kept_copies(fresh, state)
    reachable = [d for d in targets if d.scope not in state.unreachable]
    missing = [d.id for d in reachable if d.id not in kept]
    if not kept and not missing:
        raise PhotonError(
            "DependencyFailed",
            f"image {item['name']} cannot be copied anywhere: no endpoint with image datastores could be read",
        )
    body = {**fresh.body, **content, "copies": kept}
    observed = {"stat": stat}
    planned = replace(fresh, state=states.READY, body={**body, "copies": {**kept, **{i: {} for i in missing}}},
                      observed=observed)  # fmt: skip
    written = replace(fresh, state=states.READY if kept else states.CREATING, body=body, observed=observed)
    before, after, changes = compare(_view(fresh, state) if current else None, _view(planned, state))
    verb = CREATE if current is None else UPDATE if changes or body != fresh.body else KEEP
    if verb == KEEP and observed != fresh.observed:
        planning.plan.observed[fresh.id] = observed
    state.put(planned)
    steps = [Step(0, "UPLOAD_IMAGE", "STARTED"), Step(1, "REPLICATE_IMAGE")]
    planning.plan.add(
        CopyImage(
            verb=verb,
            kind=entities.IMAGE,
            name=state.path_of(planned),
            document=written,
            path=path,
            reason="declared" if current is None else _reason(fresh, kept, missing, changes),
            before=before,
            after=after,
            changes=changes if current else [],
            needs=(*(d.id for d in chain), *missing),
            task=_task("CREATE_IMAGE", fresh.id, steps, {"targets": missing}) if missing else None,
            file=item.get("file"),
            targets=missing,
        )
    )


def _kept_copies(image: Document, state: CurrentState) -> Copies:
    """The recorded copies that still exist, their paths under the datastore's present name.

    A copy on an endpoint that could not be read counts as existing.
    """
    kept: Copies = {}
    for store_id, copy in image.body["copies"].items():
        store = state.get(store_id)
        if store is None:
            continue
        inventory = state.inventories.get(store.scope)
        gone = inventory is not None and inventory.vm(copy.get("template_uuid", ""), copy.get("template_moid")) is None
        if copy.get("path") and not gone:
            kept[store_id] = {**copy, "path": f"[{store.name}] {copy['path'].partition('] ')[2]}"}
    return kept


def _reason(image: Document, kept: Copies, missing: list[str], changes: list[str]) -> str:
    lost = set(image.body["copies"]) - set(kept)
    if lost:
        return f"{len(lost)} of its copies were deleted in vSphere"
    return "copies are missing" if missing else differing(changes) if changes else "its datastore was renamed"


def _view(image: Document, state: CurrentState) -> dict[str, Any]:
    names = sorted(state.path_of(d) if (d := state.get(i)) else i for i in image.body["copies"])
    return {"replication": image.body.get("replication"), "copies": names, "state": image.state}


def _content(item: Item, fresh: Document, planning: Planning) -> tuple[dict[str, Any], Any]:
    """The fields that come from the file, and its size and time. An image's content never changes."""
    path, replication = item.get("file"), item.get("replication") or fresh.body.get("replication")
    if replication is None:
        raise PhotonError(
            "InvalidImageReplicationType",
            f"image {item['name']} does not exist yet: set replication to EAGER or ON_DEMAND",
        )
    if not path and "sha256" not in fresh.body:
        raise PhotonError("ImageUploadError", f"image {item['name']} does not exist yet: set its file or url")
    if path is None or path not in planning.files:  # neither new nor changed since it was read
        return {"replication": replication}, _stat(fresh)
    facts = planning.files[path]
    if isinstance(facts, PhotonError):
        raise PhotonError(facts.code, f"image {item['name']}: {facts.message}", facts.data)
    if fresh.body.get("sha256") not in (None, facts["sha256"]):
        raise PhotonError(
            "UpdateNotSupported",
            f"image {item['name']}: the content of {path} differs from the file that the image was created from; "
            "declare it under a new name, and the old one absent",
        )
    content = {key: value for key, value in facts.items() if key != "stat"}
    return {"replication": replication, **content}, facts["stat"]


def _stat(image: Document) -> Any:
    return image.observed.get("stat") or image.body.get("stat")


def _task(operation: str, image_id: str, steps: Iterable[Step], data: dict[str, Any]) -> Task:
    return Task(operation, entities.IMAGE, image_id, state="STARTED", steps=list(steps), data=data)
