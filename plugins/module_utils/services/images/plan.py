# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as a plan. Pure: only CurrentState is changed.

An image is READY once one copy is complete; what its replication asks for and is missing (a new datastore, a failed
upload, a template that was deleted in vSphere) is made by the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...cloudstore import Task
from ...model import entities, states
from ...model.authorization import authorize, permits
from ...model.entities import Document
from ...model.errors import PhotonError
from ..planning import CREATE, KEEP, UPDATE, Action, Planning, compare, delete_action, differing, record_action, task_of
from ..state import CurrentState
from ..vms.record import Vm
from . import copies
from .record import complete_copies

Item = Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class ReplicateImage(Action):
    """Keep an image; its task, where it has one, lasts until the copies that the plan makes of it are there."""


@dataclass(slots=True, kw_only=True)
class DeleteImage(Action):
    """Delete an image, whose copies go before it."""


def plan_images(planning: Planning) -> None:
    """Add an action or a failure for each declared image."""
    for item in planning.declaration.images:
        failing = planning.plan.failing(entities.IMAGE, item["name"], item.get("path", ""))
        with failing if item.get("project") else planning.creating(entities.IMAGE, item):
            _plan_image(item, planning)


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
    for copy in state.of(entities.IMAGE_COPY, current.id):
        copies.plan_delete(copy, planning, reason)
    task = _task("DELETE_IMAGE", current.id, "DELETE_IMAGE")
    delete_action(planning, current, reason, path, DeleteImage, needs=needs, task=task)


def plan_unused(planning: Planning) -> None:
    """Delete the images in PENDING_DELETE whose last VM is gone, those that the actor may delete."""
    state = planning.state
    for image in state.of(entities.IMAGE):
        unused = image.state == states.PENDING_DELETE and not users_of(image, state)
        if unused and permits(planning.actor, "delete", entities.IMAGE, *state.chain(image)[:-1]):
            plan_delete(image, planning, "its last user is gone")


def waits_for_last_user(planning: Planning) -> bool:
    """Whether an image is in PENDING_DELETE: all its copies must be seen when it goes."""
    return any(image.state == states.PENDING_DELETE for image in planning.state.of(entities.IMAGE))


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


# -- single items ------------------------------------------------------------------------------------------------


def _plan_image(item: Item, planning: Planning) -> None:
    state, current, path = planning.state, planning.state.declared(entities.IMAGE, item), item.get("path", "")
    if item.get("state") == "absent":
        if current is not None:
            plan_delete(current, planning, "declared absent", path)
        return
    scope = state.require_project(item).id if item.get("project") else ""
    fresh = current or planning.new(entities.IMAGE, item["name"], scope)
    chain = state.chain(fresh)[:-1]
    authorize(planning.actor, "update" if current else "create", entities.IMAGE, *chain)
    content, stat = _content(item, fresh, planning)
    targets = copies.targets_of(content["replication"], state)
    if not targets:
        raise PhotonError(
            "NoConstraintMatchingDatastore",
            f"image {item['name']} has no datastore to go to: declare hosts with datastores, or set "
            "photon_image_datastores",
        )
    if item.get("file"):
        state.image_files[fresh.id] = item["file"]
    image = replace(fresh, state=states.READY, body={**fresh.body, **content}, observed={"stat": stat})
    state.put(image)
    at = len(planning.plan.actions)
    made, refused = copies.plan_missing(image, targets, planning, path)
    complete = bool(complete_copies(image.id, state))
    if not complete and not made:
        if current is not None:
            state.put(current)
        else:
            state.drop(image.id)
        raise next(iter(refused.values()), _unreachable(image))
    for name, error in refused.items():
        planning.plan.fail(entities.IMAGE_COPY, name, error, path)
    written = image if complete else replace(image, state=states.CREATING)
    before, after, changes = compare(_view(fresh) if current else None, _view(image))
    verb = CREATE if current is None else UPDATE if changes or image.body != fresh.body else KEEP
    if verb == KEEP and image.observed != fresh.observed:
        planning.plan.observed[fresh.id] = image.observed
    action = ReplicateImage(
        verb=verb,
        kind=entities.IMAGE,
        name=state.path_of(image),
        document=written,
        path=path,
        reason="declared" if current is None else differing(changes) or "its file is known again",
        before=before,
        after=after,
        changes=changes if current else [],
        needs=tuple(d.id for d in chain),
        task=_task("CREATE_IMAGE", fresh.id, "UPLOAD_IMAGE", "REPLICATE_IMAGE") if made else None,
    )
    planning.plan.actions.insert(at, action)
    copies.refresh(image, planning)


def _unreachable(image: Document) -> PhotonError:
    return PhotonError(
        "DependencyFailed",
        f"image {image.name} cannot be copied anywhere: no endpoint with image datastores could be read",
    )


def _view(image: Document) -> dict[str, Any]:
    return {"replication": image.body.get("replication"), "state": image.state}


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


def _task(operation: str, image_id: str, *steps: str) -> Task:
    task = task_of(entities.IMAGE, operation, image_id, steps)
    task.steps[0].state = "STARTED"
    return task
