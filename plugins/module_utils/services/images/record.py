# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of an image on one datastore as the CloudStore records it: a document in its image's scope."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from ...cloudstore import Claim
from ...model import entities, states
from ...model.entities import Document, name_key
from ..state import CurrentState

_NAMESPACE = uuid.UUID("0b1d63f4-6a3a-5d3e-9c40-6f6e2f0c5a11")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy: ``image`` and ``datastore`` are ids, ``size`` the bytes of the disk, ``template_uuid`` the instanceUuid
    of its template. Facts, empty until it was complete once: ``path`` (``[ds] dir/disk.vmdk``) and ``template_moid``.
    """

    id: str
    image: str
    datastore: str
    state: str
    size: int
    template_uuid: str
    path: str = ""
    template_moid: str = ""

    @classmethod
    def of(cls, document: Document) -> Copy:
        """The typed form of a copy's document."""
        body, seen = document.body, document.observed
        return cls(
            document.id,
            document.scope,
            body["datastore"],
            document.state,
            body["size"],
            body["template_uuid"],
            seen.get("path", ""),
            seen.get("template_moid", ""),
        )

    @property
    def space(self) -> int:
        """What it holds of its datastore: a failed one that left nothing holds nothing."""
        return self.size if self.state != states.ERROR or self.path else 0

    def path_on(self, store: Document) -> str:
        """Its path under the present name of its datastore."""
        return f"[{store.name}] {self.path.partition('] ')[2]}"

    def write_to(self, document: Document) -> Document:
        """The document with this copy's state, intent and facts."""
        body = {"datastore": self.datastore, "size": self.size, "template_uuid": self.template_uuid}
        observed = {"path": self.path, "template_moid": self.template_moid} if self.path else {}
        return replace(document, state=self.state, body=body, observed=observed)


def new_copy(image: Document, store: Document) -> Document:
    """A copy that is to be made; its name is reserved, so that of two runs one makes it."""
    body = {"datastore": store.id, "size": image.body["size"], "template_uuid": template_uuid(image.id, store.id)}
    return Document(
        entities.IMAGE_COPY,
        store.name,
        image.id,
        states.CREATING,
        managed_by=image.managed_by,
        name_key=name_key(entities.IMAGE_COPY, image.id, store.id),
        body=body,
    )


def template_uuid(image_id: str, datastore_id: str) -> str:
    """The instanceUuid of an image's template on a datastore: an interrupted run leaves nothing twice."""
    return str(uuid.uuid5(_NAMESPACE, f"{image_id}/{datastore_id}"))


def claim_of(document: Document, state: CurrentState) -> Claim:
    """The space of a copy on its datastore."""
    copy = Copy.of(document)
    known = state.get(copy.datastore) is not None and copy.space > 0
    return Claim(document.id, {copy.datastore: {"space": copy.space}} if known else {})


def template_row(copy: Copy, state: CurrentState) -> Any:
    """The template's row as its endpoint's last read shows it; None where it is not there, or was not read."""
    store = state.get(copy.datastore)
    inventory = state.inventories.get(store.scope) if store is not None else None
    return inventory.vm(copy.template_uuid, copy.template_moid or None) if inventory is not None else None


def is_complete(document: Document, state: CurrentState) -> bool:
    """Whether boot disks can be made from a copy; one on an endpoint that was not read counts as it is recorded."""
    copy = Copy.of(document)
    store = state.get(copy.datastore)
    if document.state != states.READY or not copy.path or store is None:
        return False
    if store.scope not in state.inventories or document.id in state.made:
        return True
    return template_row(copy, state) is not None


def complete_copies(image_id: str, state: CurrentState) -> list[Document]:
    """The complete copies of an image."""
    return [copy for copy in state.of(entities.IMAGE_COPY, image_id) if is_complete(copy, state)]


def template_uuids(state: CurrentState) -> set[str]:
    """The instanceUuids of the templates of all copies."""
    return {copy.body["template_uuid"] for copy in state.of(entities.IMAGE_COPY)}
