# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a persistent disk: in the metadata of a first-class disk, in a file next to a managed VMDK."""

from __future__ import annotations

from ...model.entities import Document
from ...vsphere import VMDK
from .. import marks
from ..state import CurrentState
from .record import Disk, directory_of

LISTS = ("datastore_tags", "tags", "affinity")


def mark_of(disk: Disk, document: Document, state: CurrentState, owner: marks.Store) -> str:
    """Return the record of a disk as it is meant to be; which VM has it is seen in vSphere."""
    fields = {
        "flavor": state.must(disk.flavor).name,
        "capacity": disk.capacity,
        "cost": {key: list(value) for key, value in disk.cost.items()},
        "deletion_protection": disk.deletion_protection,
        # A managed VMDK moves with its VM, and is found there by its uuid.
        "uuid": disk.uuid if disk.backing == VMDK else None,
        **{key: list(getattr(disk, key)) for key in LISTS},
    }
    return marks.encode(document, fields, state, owner)


def file_of(datastore: str, disk_id: str) -> str:
    """The file of the record of a managed VMDK on a datastore of that name, wherever its VM took it there."""
    return f"{directory_of(datastore)}/{disk_id}.json"
