# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record that each copy of an image carries: what is known of its file, which never changes."""

from __future__ import annotations

from ...model.entities import Document
from .. import marks
from ..state import CurrentState

KEPT = ("file", "file_type", "sha256", "size", "settings")


def mark_of(image: Document, store: Document, state: CurrentState, owner: marks.Store) -> str:
    """Return the record of a copy on a datastore, whose id is a part of the copy's instanceUuid."""
    fields = {key: image.body[key] for key in KEPT if key in image.body}
    return marks.encode(image, {**fields, "datastore": store.id}, state, owner)
