# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of images against vSphere."""

from __future__ import annotations

from collections.abc import Iterator

from ...model import entities, states
from ...model.entities import Document
from ..findings import Finding
from ..state import CurrentState
from .record import is_complete


def verify_copies(state: CurrentState) -> Iterator[Finding]:
    """Yield a finding per copy whose template is not in its endpoint any more."""
    for document in state.of(entities.IMAGE_COPY):
        if document.state != states.READY or document.id in state.busy or state.get(document.body["datastore"]) is None:
            continue
        if not is_complete(document, state):
            step = "apply the image with its file declared: it is copied again"
            name = state.path_of(document)
            yield Finding(entities.IMAGE_COPY, name, "lost copy", "a template", "none", step)


def references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the document that an image's record names."""
    if document.scope:
        yield "project", document.scope


def copy_references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the documents that a copy's record names."""
    yield from (("image", document.scope), ("datastore", document.body["datastore"]))
