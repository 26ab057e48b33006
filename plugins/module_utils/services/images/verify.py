# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of images against vSphere."""

from __future__ import annotations

from collections.abc import Iterator

from ...model import entities
from ...model.entities import Document
from ..findings import Finding
from ..state import CurrentState


def verify(state: CurrentState) -> Iterator[Finding]:
    """Yield a finding per copy whose template is not in its endpoint any more."""
    for image in state.of(entities.IMAGE):
        for store_id, copy in image.body["copies"].items():
            store = state.get(store_id)
            inventory = state.inventories.get(store.scope) if store is not None else None
            if store is None or inventory is None or image.id in state.busy:
                continue
            if inventory.vm(copy.get("template_uuid", ""), copy.get("template_moid")) is None:
                name = f"{state.path_of(image)} on {state.path_of(store)}"
                step = "apply the image with its file declared: it is copied again"
                yield Finding(entities.IMAGE, name, "lost copy", "a template", "none", step)


def references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the documents that an image's record names."""
    if document.scope:
        yield "project", document.scope
    yield from (("datastore", store_id) for store_id in document.body["copies"])
