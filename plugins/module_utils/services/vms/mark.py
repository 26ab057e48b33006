# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record that a VM carries in its extraConfig: its intent, with names instead of ids."""

from __future__ import annotations

from typing import Any

from ...model.entities import Document
from .. import marks
from ..state import CurrentState
from .record import Disk, Group, Static, Vm

# Fields of the record under the names of a Vm's own.
TEXTS = ("spread_over", "spread_group", "zone")
LISTS = ("port_groups", "tags", "host_tags")
FLAGS = ("deletion_protection", "metadata_declared")


def mark_of(vm: Vm, document: Document, state: CurrentState, store: marks.Store) -> str:
    """Return the record of a VM as it is meant to be; ``document`` has its identity and its owner."""
    image = state.must(vm.image)
    fields: dict[str, Any] = {
        "flavor": state.must(vm.flavor).name,
        "image": state.path_of(image),
        "vcpus": vm.vcpus,
        "memory": vm.memory,
        "max_skew": vm.max_skew,
        "cost": {key: list(value) for key, value in vm.cost.items()},
        "disks": [_disk(disk, state) for disk in vm.disks],
        "groups": [group.to_dict() for group in vm.groups],
        "static": [each.to_dict() for each in vm.static],
        **{key: getattr(vm, key) for key in (*TEXTS, *FLAGS)},
        **{key: list(getattr(vm, key)) for key in LISTS},
    }
    return marks.encode(document, fields, state, store)


def _disk(disk: Disk, state: CurrentState) -> dict[str, Any]:
    plain = ("name", "kind", "capacity", "boot")
    return {
        **{key: getattr(disk, key) for key in plain},
        "flavor": state.must(disk.flavor).name,
        "datastore_tags": list(disk.datastore_tags),
    }


def group_of(row: marks.Fields) -> Group:
    """Read an affinity group."""
    return Group(row.text("name"), row.text("kind"), row.text("level"), row.flag("hard"))


def static_of(row: marks.Fields) -> Static:
    """Read a static address."""
    return Static(row.number("adapter"), row.text("address"), row.optional("gateway"), row.texts("dns"))
