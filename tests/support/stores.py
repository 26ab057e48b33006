# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look into a CloudStore as no entry point does: the journal, and grooming at another time."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.photon.platform.plugins.module_utils.cloudstore import CloudStore, Task, grooming
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.journal import tasks_of
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.tables import tables


def tasks(store: CloudStore, *, entity_id: str | None = None, states: Iterable[str] | None = None) -> list[Task]:
    """Tasks, oldest first: of one entity, in these states, or all."""
    found = store.database.read(lambda connection: tasks_of(connection, tables(), tables().tasks.c.id.is_not(None)))
    wanted = None if states is None else set(states)
    return [t for t in found if entity_id in (None, t.entity_id) and (wanted is None or t.state in wanted)]


def groom(store: CloudStore, max_age: float = grooming.KEPT) -> dict[str, int]:
    """Remove what is older than ``max_age`` seconds: ``{table: number}``."""
    return store.database.write(lambda connection, now: grooming.groom(connection, now - max_age))
