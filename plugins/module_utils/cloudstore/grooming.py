# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove rows that are no longer needed; cheap enough for the end of every run."""

from __future__ import annotations

from typing import Any

from .tables import tables

KEPT = 24 * 3600.0  # seconds that tombstones stay, the original's time
PLAN = "plan:"  # how the transaction keys of kept plans begin
PLANS_KEPT = 7 * KEPT  # an approval may wait over a weekend


def groom(connection: Any, before: float) -> dict[str, int]:
    """Remove tombstones, ended tasks and runs, and transaction keys older than ``before``: ``{table: number}``.

    Plans stay longer.
    """
    t = tables()
    key, at = t.commits.c.key, t.commits.c.at
    ended = t.tasks.c.ended_at < before
    old_tasks = t.tasks.select().where(ended).with_only_columns(t.tasks.c.id)
    buried = t.tombstones.select().where(t.tombstones.c.deleted_at < before).with_only_columns(t.tombstones.c.id)
    used = t.tasks.select().where(t.tasks.c.run_id == t.runs.c.id).exists()
    provided = t.providers.select().with_only_columns(t.providers.c.id)
    connection.execute(t.inventories.delete().where(t.inventories.c.provider.not_in(provided)))
    connection.execute(t.steps.delete().where(t.steps.c.task_id.in_(old_tasks)))
    connection.execute(t.history.delete().where(t.history.c.entity_id.in_(buried)))
    removed = {
        "tasks": t.tasks.delete().where(ended),
        "tombstones": t.tombstones.delete().where(t.tombstones.c.deleted_at < before),
        # A killed run never ends; its lease expired instead.
        "runs": t.runs.delete().where(t.runs.c.expires_at < before, ~used),
        "commits": t.commits.delete().where(at < before, ~key.startswith(PLAN) | (at < before + KEPT - PLANS_KEPT)),
    }
    return {table: connection.execute(statement).rowcount for table, statement in removed.items()}
