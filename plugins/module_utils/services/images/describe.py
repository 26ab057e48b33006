# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The own fields of images and of their copies, as resource_info and full results show them."""

from __future__ import annotations

from typing import Any

from ...model.entities import Document
from ..state import CurrentState
from .copies import progress
from .record import Copy, complete_copies


def describe(document: Document, view: Any) -> dict[str, Any]:
    """``size`` in bytes; tenant and project are None for an image of everybody. ``view`` is a fleet_view.View."""
    state: CurrentState = view.state
    copies = complete_copies(document.id, state)
    keys = ("file", "file_type", "sha256", "size", "replication")
    return {
        **{key: document.body.get(key) for key in keys},
        **_owner(document, state),
        "datastores": sorted(str(state.name_of(Copy.of(copy).datastore)) for copy in copies),
        **progress(document, state),
    }


def describe_copy(document: Document, view: Any) -> dict[str, Any]:
    """``size`` in bytes; ``view`` is a fleet_view.View."""
    state: CurrentState = view.state
    copy = Copy.of(document)
    image, store = state.must(copy.image), state.must(copy.datastore)
    return {
        **_owner(image, state),
        "image": state.path_of(image),
        "endpoint": state.name_of(store.scope),
        "datastore": store.name,
        "size": copy.size,
        "disk": copy.path_on(store) if copy.path else None,
    }


def item_of(document: Document, state: CurrentState) -> dict[str, Any]:
    """The fields of an image in a full result."""
    return {"replication": document.body.get("replication"), **progress(document, state)}


def _owner(image: Document, state: CurrentState) -> dict[str, Any]:
    project = state.get(image.scope)
    tenant = state.get(project.scope) if project else None
    return {"tenant": tenant.name if tenant else None, "project": project.name if project else None}
