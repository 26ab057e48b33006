# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image's own fields as resource_info shows them."""

from __future__ import annotations

from typing import Any

from ...model.entities import Document
from ..state import CurrentState


def describe(document: Document, view: Any) -> dict[str, Any]:
    """``size`` in bytes; tenant and project are None for an image of everybody. ``view`` is a fleet_view.View."""
    state: CurrentState = view.state
    project = state.get(document.scope)
    tenant = state.get(project.scope) if project else None
    keys = ("file", "file_type", "sha256", "size", "replication")
    return {
        **{key: document.body.get(key) for key in keys},
        "tenant": tenant.name if tenant else None,
        "project": project.name if project else None,
        "datastores": sorted(map(state.name_of, document.body["copies"])),
    }
