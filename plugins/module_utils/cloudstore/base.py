# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State shared by the parts of a transaction: connection, time, author and lease; JSON as it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..model.errors import PhotonError
from .bulk import Fetch
from .errors import Conflict
from .lease import Lease

_OPEN_TASKS = Fetch("tasks", "entity_id", only=lambda table: table.c.ended_at.is_(None))


class Base:
    """``now`` is the database's time at the start of the transaction."""

    def __init__(self, connection: Any, *, now: float, by: str, lease: Lease | None) -> None:
        self.connection = connection
        self.now = now
        self.by = by
        self._lease = lease
        self._fenced = False
        self.inserted: set[str] = set()  # new documents that hold nothing yet

    def fence(self) -> str:
        """Renew this run's lease, so that no other run takes over before the transaction ends; returns the run's id.

        Raises LeaseLost.
        """
        if self._lease is None:
            raise PhotonError("InternalError", "a task is written outside of a run: call begin_run first")
        if not self._fenced:
            self._lease.renew(self.connection, self.now)
            self._fenced = True
        return self._lease.id

    def open_tasks(self, entity_ids: Iterable[str]) -> dict[str, Any]:
        """``{entity id: row}`` of the unfinished tasks, which lock their entities."""
        return {row.entity_id: row for row in _OPEN_TASKS.rows(self.connection, entity_ids)}

    def is_ours(self, task: Any) -> bool:
        return self._lease is not None and task.run_id == self._lease.id


def concurrent(task: Any) -> Conflict:
    """The Conflict of an entity that an unfinished task locks."""
    return Conflict(
        "ConcurrentTask",
        f"the {task.entity_kind} {task.entity_id} is locked by the task {task.id} ({task.operation}): wait until it "
        "ends, then run again",
        {
            "ids": [task.entity_id],
            "entity_id": task.entity_id,
            "task_id": task.id,
            "operation": task.operation,
        },
    )


def dump(value: Any) -> str:
    """A JSON value as it is stored."""
    return "{}" if value == {} else _encode(value)  # an encoder costs 20 us, and most steps have no options


def dump_or_none(value: Any) -> str | None:
    return None if value is None else _encode(value)


def load_or_none(text: str | None) -> Any:
    return None if text is None else json.loads(text)


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
