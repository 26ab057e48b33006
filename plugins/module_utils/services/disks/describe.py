# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A persistent disk's own fields as resource_info shows them."""

from __future__ import annotations

from typing import Any

from ...model.entities import Document
from ..state import CurrentState
from .record import Disk


def describe(document: Document, view: Any) -> dict[str, Any]:
    """``capacity`` in bytes; ``attached_to`` is the name of a VM. ``view`` is a fleet_view.View."""
    state: CurrentState = view.state
    disk = Disk.of(document)
    project = state.must(disk.project)
    return {
        "tenant": state.must(project.scope).name,
        "project": project.name,
        "flavor": state.name_of(disk.flavor),
        "capacity": disk.capacity,
        "attached_to": state.name_of(disk.vm),
        "endpoint": state.name_of(disk.endpoint),
        "datastore": state.name_of(disk.datastore),
        "backing": disk.backing,
        "storage_policy": disk.policy or None,
        "path": disk.path,
        "uuid": disk.uuid,
        "wwn": disk.wwn,
        "affinity": list(disk.affinity),
        "tags": list(disk.tags),
        "deletion_protection": disk.deletion_protection,
    }
