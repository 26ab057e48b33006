# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of images as a plan: where they belong, where there is room, and the copy that a new VM waits for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ...cloudstore import Task
from ...model import entities, states, units
from ...model.entities import Document
from ...model.errors import PhotonError
from ..fleet.image_datastores import image_datastores_of
from ..fleet.plan import cloud_hosts
from ..fleet.record import DatastoreFacts, HostFacts, effective_state
from ..placement import foreign_usage, own_usage
from ..planning import CREATE, UPDATE, Action, Planning, delete_action, record_action, task_of
from ..state import CurrentState
from .record import Copy, claim_of, complete_copies, is_complete, new_copy, template_row

EAGER, ON_DEMAND = "EAGER", "ON_DEMAND"
CREATE_COPY, DELETE_COPY = "CREATE_IMAGE_COPY", "DELETE_IMAGE_COPY"
COPY = "COPY_IMAGE"  # the step of a VM that waits for its image's copy


@dataclass(slots=True, kw_only=True)
class CopyImage(Action):
    """Make one copy, from a complete one on the same endpoint or from the image's ``file``.

    ``on_demand``: a new VM needs it; ``waiting`` are the tasks of the VMs that wait for it.
    """

    copy: Copy
    file: str | None
    on_demand: bool = False
    waiting: list[Task] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class DeleteCopy(Action):
    """Delete one copy."""

    copy: Copy


class Room:
    """What is free on the datastores for the copies of one plan."""

    def __init__(self, state: CurrentState) -> None:
        foreign, own = foreign_usage(state), own_usage(state)
        self._free = {
            store.id: DatastoreFacts.of(store).capacity - foreign[store.id].space - own[store.id].space
            for store in state.of(entities.DATASTORE)
        }

    def take(self, image: Document, store: Document, held: int) -> PhotonError | None:
        """Take the space of a copy that holds ``held`` bytes already, or say why it cannot be had."""
        need, free = max(0, image.body["size"] - held), self._free[store.id]
        if need <= free:
            self._free[store.id] -= need
            return None
        return PhotonError(
            "NotEnoughDatastoreCapacity",
            f"a copy of image {image.name} needs {units.show(need)}, and {max(0, free) >> 20} MB are free: make room "
            "on the datastore, or set usable_for_vms: false",
        )


def targets_of(replication: str, state: CurrentState) -> list[Document]:
    """The datastores that get a copy without being asked: image datastores, for EAGER all that serve VMs as well."""
    seeds = image_datastores_of(state)
    if replication != EAGER:
        return seeds
    known = {store.id for store in seeds}
    return seeds + [store for store in usable_datastores(state) if store.id not in known]


def usable_datastores(state: CurrentState) -> list[Document]:
    """The datastores that VMs may be placed on."""
    mounted = {store for host in cloud_hosts(state) for store in HostFacts.of(host).datastores}
    return [
        store
        for store in state.of(entities.DATASTORE)
        if store.id in mounted and store.body["usable_for_vms"] and effective_state(store) == states.READY
    ]


def plan_missing(
    image: Document, targets: Iterable[Document], planning: Planning, path: str
) -> tuple[list[CopyImage], dict[str, PhotonError]]:
    """Plan the copies that these datastores lack; returns them, and why others cannot be made, by their names.

    Datastores of endpoints that could not be read are left for a later run.
    """
    state = planning.state
    made: list[CopyImage] = []
    refused: dict[str, PhotonError] = {}
    room = None
    for store in targets:
        current = state.copy_of(image.id, store.id)
        if store.scope in state.unreachable or (current is not None and is_complete(current, state)):
            continue
        room = room or Room(state)
        error = _without_source(image, store, state)
        error = error or room.take(image, store, Copy.of(current).space if current is not None else 0)
        if error is not None:
            refused[f"{state.path_of(image)}/{state.path_of(store)}"] = error
        else:
            made.append(plan_copy(image, store, planning, path))
    return made, refused


def plan_copy(
    image: Document, store: Document, planning: Planning, path: str = "", *, on_demand: bool = False
) -> CopyImage:
    """Add the action that makes a copy, or makes one again that failed, was interrupted or is gone."""
    state = planning.state
    current = state.copy_of(image.id, store.id)
    fresh = current or replace(new_copy(image, store), name=state.path_of(store))
    copy = replace(Copy.of(fresh), state=states.CREATING, size=image.body["size"], path="", template_moid="")
    document = state.put(copy.write_to(fresh))
    action = CopyImage(
        verb=CREATE if current is None else UPDATE,
        kind=entities.IMAGE_COPY,
        name=state.path_of(document),
        document=document,
        reason=_reason(current, on_demand),
        before={"state": current.state} if current is not None else {},
        after={"state": states.READY},
        changes=["state"] if current is not None else [],
        path=path,
        needs=(image.id, store.id, store.scope),
        task=task_of(entities.IMAGE_COPY, CREATE_COPY, document.id, (CREATE_COPY,)),
        claim=claim_of(document, state),
        copy=copy,
        file=state.image_files.get(image.id),
        on_demand=on_demand,
    )
    planning.copies[document.id] = action
    return planning.plan.add(action)


def copy_for(image: Document, store: Document, planning: Planning, path: str) -> tuple[Document, CopyImage | None]:
    """The copy that the boot disk of a new VM is made from, and the action that makes it for such VMs where there is
    none. Raises ImageUploadError where it cannot be made."""
    state = planning.state
    current = state.copy_of(image.id, store.id)
    if current is not None and (current.id in planning.copies or is_complete(current, state)):
        action = planning.copies.get(current.id)
        return current, action if action is not None and action.on_demand else None
    if (error := _without_source(image, store, state)) is not None:
        raise error
    action = plan_copy(image, store, planning, path, on_demand=True)
    return action.document, action


def refresh(image: Document, planning: Planning) -> None:
    """Follow the datastores' names: copies are named by them, and their paths begin with them."""
    state = planning.state
    for document in complete_copies(image.id, state):
        copy = Copy.of(document)
        store = state.must(copy.datastore)
        path = copy.path_on(store)
        if path != copy.path:
            document = state.put(document.with_observed(path=path))
            planning.plan.observed[document.id] = document.observed
        if document.name != state.path_of(store):
            renamed = replace(document, name=state.path_of(store))
            record_action(
                planning, document, renamed, lambda d: {"name": d.name}, reason="its datastore was renamed",
                needs=(image.id,),
            )  # fmt: skip


def plan_delete(current: Document, planning: Planning, reason: str) -> DeleteCopy:
    """Delete a copy. Its image decides whether it may: children of its disk would be lost."""
    task = task_of(entities.IMAGE_COPY, DELETE_COPY, current.id, (DELETE_COPY,))
    return delete_action(planning, current, reason, "", DeleteCopy, task=task, copy=Copy.of(current))


def progress(image: Document, state: CurrentState) -> dict[str, str]:
    """``{seedingProgress, replicationProgress}``: the parts of the image datastores, and of these and all datastores
    for VMs, that have a complete copy, such as ``100.0%``."""
    seeds = {store.id for store in image_datastores_of(state)}
    every = seeds | {store.id for store in usable_datastores(state)}
    have = {Copy.of(copy).datastore for copy in complete_copies(image.id, state)}
    return {"seedingProgress": _percent(seeds, have), "replicationProgress": _percent(every, have)}


def _percent(wanted: set[str], have: set[str]) -> str:
    return f"{100 * len(wanted & have) / len(wanted) if wanted else 0:.1f}%"


def _without_source(image: Document, store: Document, state: CurrentState) -> PhotonError | None:
    """Say why a copy cannot be made on a datastore: neither a file nor a copy on its endpoint."""
    on_endpoint = (state.must(Copy.of(copy).datastore).scope for copy in complete_copies(image.id, state))
    if state.image_files.get(image.id) or store.scope in on_endpoint:
        return None
    return PhotonError(
        "ImageUploadError",
        f"image {image.name} has no copy on endpoint {state.name_of(store.scope)} and its file is not declared: "
        "declare the image with its file",
    )


def _reason(current: Document | None, on_demand: bool) -> str:
    if current is None:
        return "needed by a new VM" if on_demand else "declared"
    if current.state == states.READY:
        return "deleted in vSphere"
    return "it failed" if current.state == states.ERROR else "it was interrupted"


def row_of(copy: Copy, state: CurrentState) -> Any:
    """The template of a copy in its endpoint's last read; raises the reason where that was not read."""
    endpoint = state.must(copy.datastore).scope
    if endpoint in state.unreachable:
        raise state.unreachable[endpoint]
    if endpoint not in state.inventories:
        raise PhotonError("EndpointUnreachable", f"endpoint {state.name_of(endpoint)} was not read: run again")
    return template_row(copy, state)
