# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task journal inside a transaction: written before the first external call, by the lease's holder alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model.errors import PhotonError
from .base import Base, concurrent, dump, dump_or_none, load_or_none
from .bulk import Bulk, Insert, Update
from .errors import TryAgain
from .library import load
from .rows import Step, Task

RUN, WAIT = "run", "WAIT_FOR_RUN"  # kind and operation of a run's task while it waits for another run
_OPEN = ("QUEUED", "STARTED")
_TASK = (
    "id", "operation", "entity_kind", "entity_id", "run_id", "state", "by", "queued_at", "started_at", "ended_at",
)  # fmt: skip
_STEP = ("sequence", "operation", "state", "started_at", "ended_at")

_INSERT = Insert("tasks", (*_TASK, "data", "error"))
_INSERT_STEPS = Insert("steps", ("task_id", *_STEP, "options", "result", "error"))
_FINISH = Update("tasks", ("id", "run_id"), ("state", "error", "ended_at"), lambda task: task.c.ended_at.is_(None))
_SET_STEP = Bulk(
    "steps",
    ("task_id", "sequence", "state", "result", "error", "started_at", "ended_at"),
    lambda step, new: (
        step.update()
        .where(step.c.task_id == new["task_id"], step.c.sequence == new["sequence"])
        .values({name: new[name] for name in ("state", "result", "error", "ended_at")})
        .values(started_at=load().func.coalesce(step.c.started_at, new["started_at"]))
    ),
)
_COMPLETE_STEPS = Update("steps", ("task_id",), ("state", "ended_at"), lambda step: step.c.ended_at.is_(None))
_NOTE_STEPS = Update(
    "steps", ("task_id", "sequence"), ("state", "result", "ended_at"), lambda step: step.c.ended_at.is_(None)
)
_FAIL_STEPS = Update("steps", ("task_id",), ("state", "ended_at", "error"), lambda step: step.c.state == "STARTED")


class Journal(Base):
    """The part of Transaction that keeps tasks. Every write renews the lease or raises LeaseLost."""

    def add_tasks(self, tasks: Iterable[Task]) -> list[Task]:
        """Write tasks with their steps; an unfinished task locks its entity. Returns the tasks as recorded.

        Raises Conflict (ConcurrentTask; data: entity_id, task_id, operation) for a locked entity.
        """
        run = self.fence()
        made = [
            replace(
                t,
                run_id=run,
                by=t.by or self.by,
                queued_at=self.now,
                started_at=self.now if t.state == "STARTED" else None,
            )
            for t in tasks
        ]
        _refuse_twins(made)
        if _INSERT.execute(self.connection, [_to_row(t) for t in made]) != len(made):
            for row in self.open_tasks(t.entity_id for t in made).values():
                if row.id not in {t.id for t in made}:
                    raise concurrent(row)
            raise TryAgain("the other task ended concurrently")
        _INSERT_STEPS.execute(self.connection, [_step_to_row(t.id, s) for t in made for s in t.steps])
        return made

    def steps(self, changes: Iterable[tuple[Any, ...]]) -> None:
        """Record ``(task id, sequence, state[, result[, error]])``: STARTED, COMPLETED or ERROR, each with its time."""
        self.fence()
        rows = []
        for task_id, sequence, state, *rest in changes:
            result, error = [*rest, None, None][:2]
            rows.append(
                {
                    "task_id": task_id,
                    "sequence": sequence,
                    "state": state,
                    "result": dump_or_none(result),
                    "error": dump_or_none(as_error(error)),
                    "started_at": None if state == "QUEUED" else self.now,
                    "ended_at": None if state in _OPEN else self.now,
                }
            )
        _SET_STEP.execute(self.connection, rows)

    def finish_tasks(self, outcomes: Mapping[str, PhotonError | Mapping[str, Any] | None]) -> None:
        """End tasks and unlock their entities: ``{task id: None}`` COMPLETED, ``{task id: error}`` ERROR.

        A completed task's open steps are completed with it; of a failed one the started step is the one that failed.
        Raises LeaseLost when one of them is not this run's.
        """
        run = self.fence()
        rows = []
        for key, outcome in outcomes.items():
            state, error = "ERROR" if outcome else "COMPLETED", dump_or_none(as_error(outcome))
            rows.append(
                {"id": key, "run_id": run, "task_id": key, "state": state, "error": error, "ended_at": self.now}
            )
        if _FINISH.execute(self.connection, rows) != len(rows):
            raise PhotonError(
                "LeaseLost",
                "a task has ended or belongs to another run: another controller took over. Look at the outcome of the "
                "other run, then run again",
                {"run": run},
            )
        _COMPLETE_STEPS.execute(self.connection, [row for row in rows if row["state"] == "COMPLETED"])
        _FAIL_STEPS.execute(self.connection, [row for row in rows if row["state"] == "ERROR"])


def _refuse_twins(tasks: list[Task]) -> None:
    seen: dict[str, Task] = {}
    for task in tasks:
        if seen.setdefault(task.entity_id, task) is not task:
            raise PhotonError(
                "ConcurrentTask",
                f"two tasks for the {task.entity_kind} {task.entity_id} in one batch: "
                f"{seen[task.entity_id].operation} and {task.operation}",
                {"entity_id": task.entity_id, "operation": task.operation},
            )


def _to_row(task: Task) -> dict[str, Any]:
    row = {name: getattr(task, name) for name in _TASK}
    return {**row, "data": dump(task.data), "error": dump_or_none(task.error)}


def _step_to_row(task_id: str, step: Step) -> dict[str, Any]:
    row = {name: getattr(step, name) for name in _STEP}
    result, error = dump_or_none(step.result), dump_or_none(step.error)
    return {**row, "task_id": task_id, "options": dump(step.options), "result": result, "error": error}


def as_error(error: PhotonError | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """``{code, message, data}``."""
    if isinstance(error, PhotonError):
        return error.to_dict()
    return dict(error) if error else None


def note_steps(connection: Any, now: float, notes: Mapping[tuple[str, int], tuple[str, Any]]) -> None:
    """Record ``{(task id, sequence): (state, result)}`` of steps that have not ended."""
    _NOTE_STEPS.execute(
        connection,
        [
            {
                "task_id": task_id,
                "sequence": sequence,
                "state": state,
                "result": dump_or_none(result),
                "ended_at": None if state in _OPEN else now,
            }
            for (task_id, sequence), (state, result) in notes.items()
        ],
    )


def tasks_of(connection: Any, tables: Any, condition: Any) -> list[Task]:
    """Read the tasks that meet a condition, oldest first, with their steps."""
    task, step = tables.tasks, tables.steps
    found = {
        row.id: Task(**{**row._mapping, "data": json.loads(row.data), "error": load_or_none(row.error)})
        for row in connection.execute(task.select().where(condition).order_by(task.c.queued_at, task.c.id))
    }
    if found:
        chosen = task.select().where(condition).with_only_columns(task.c.id)
        in_order = step.select().where(step.c.task_id.in_(chosen)).order_by(step.c.task_id, step.c.sequence)
        for row in connection.execute(in_order):
            fields = {name: getattr(row, name) for name in _STEP}
            options, result, error = json.loads(row.options), load_or_none(row.result), load_or_none(row.error)
            found[row.task_id].steps.append(Step(**fields, options=options, result=result, error=error))
    return list(found.values())
