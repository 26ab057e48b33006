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
from .bulk import NUMBER, TEXT, TIME, Bulk, Insert
from .errors import TryAgain
from .library import load
from .rows import Step, Task

_OPEN = ("QUEUED", "STARTED")
_MINE = {"of_id": TEXT, "of_run": TEXT}

_INSERT = Insert(
    "tasks",
    {
        "id": TEXT,
        "operation": TEXT,
        "entity_kind": TEXT,
        "entity_id": TEXT,
        "run_id": TEXT,
        "state": TEXT,
        "by": TEXT,
        "queued_at": TIME,
        "started_at": TIME,
        "ended_at": TIME,
        "data": TEXT,
        "error": TEXT,
    },
)
_INSERT_STEPS = Insert(
    "steps",
    {
        "task_id": TEXT,
        "sequence": NUMBER,
        "operation": TEXT,
        "state": TEXT,
        "started_at": TIME,
        "ended_at": TIME,
        "options": TEXT,
        "result": TEXT,
        "error": TEXT,
    },
)
_FINISH = Bulk(
    {**_MINE, "new_state": TEXT, "new_error": TEXT, "at": TIME},
    lambda t, v: _mine(t.tasks, v).values(state=v.new_state, error=v.new_error, ended_at=v.at),
)
_STEP = Bulk(
    {
        "of_task": TEXT,
        "of_sequence": NUMBER,
        "new_state": TEXT,
        "new_result": TEXT,
        "new_error": TEXT,
        "begun": TIME,
        "done": TIME,
    },
    lambda t, v: (
        t.steps.update()
        .where(t.steps.c.task_id == v.of_task, t.steps.c.sequence == v.of_sequence)
        .values(
            state=v.new_state,
            result=v.new_result,
            error=v.new_error,
            ended_at=v.done,
            started_at=load().func.coalesce(t.steps.c.started_at, v.begun),
        )
    ),
)
_COMPLETE_STEPS = Bulk(
    {"of_task": TEXT, "at": TIME},
    lambda t, v: (
        t.steps.update()
        .where(t.steps.c.task_id == v.of_task, t.steps.c.ended_at.is_(None))
        .values(state="COMPLETED", ended_at=v.at)
    ),
)
_FAIL_STEPS = Bulk(
    {"of_task": TEXT, "at": TIME, "new_error": TEXT},
    lambda t, v: (
        t.steps.update()
        .where(t.steps.c.task_id == v.of_task, t.steps.c.state == "STARTED")
        .values(state="ERROR", ended_at=v.at, error=v.new_error)
    ),
)


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
                    "of_task": task_id,
                    "of_sequence": sequence,
                    "new_state": state,
                    "new_result": dump_or_none(result),
                    "new_error": dump_or_none(as_error(error)),
                    "begun": None if state == "QUEUED" else self.now,
                    "done": None if state in _OPEN else self.now,
                }
            )
        _STEP.execute(self.connection, rows)

    def finish_tasks(self, outcomes: Mapping[str, PhotonError | Mapping[str, Any] | None]) -> None:
        """End tasks and unlock their entities: ``{task id: None}`` COMPLETED, ``{task id: error}`` ERROR.

        A completed task's open steps are completed with it; of a failed one the started step is the one that failed.
        Raises LeaseLost when one of them is not this run's.
        """
        errors = {key: as_error(error) for key, error in outcomes.items()}
        self._write_mine(
            _FINISH,
            [
                {
                    "of_id": key,
                    "new_state": "ERROR" if error else "COMPLETED",
                    "new_error": dump_or_none(error),
                    "at": self.now,
                }
                for key, error in errors.items()
            ],
        )
        _COMPLETE_STEPS.execute(
            self.connection, [{"of_task": key, "at": self.now} for key, error in errors.items() if not error]
        )
        _FAIL_STEPS.execute(
            self.connection,
            [{"of_task": key, "at": self.now, "new_error": dump(error)} for key, error in errors.items() if error],
        )

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _write_mine(self, statement: Bulk, rows: list[dict[str, Any]]) -> None:
        run = self.fence()
        if statement.execute(self.connection, [{**row, "of_run": run} for row in rows]) != len(rows):
            raise PhotonError(
                "LeaseLost",
                "a task has ended or belongs to another run: another controller took over. Look at the outcome of the "
                "other run, then run again",
                {"run": run},
            )


def _mine(table: Any, v: Any) -> Any:
    """An update of the run's own unfinished tasks."""
    return table.update().where(table.c.id == v.of_id, table.c.run_id == v.of_run, table.c.ended_at.is_(None))


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
    return {
        "id": task.id,
        "operation": task.operation,
        "entity_kind": task.entity_kind,
        "entity_id": task.entity_id,
        "run_id": task.run_id,
        "state": task.state,
        "by": task.by,
        "queued_at": task.queued_at,
        "started_at": task.started_at,
        "ended_at": task.ended_at,
        "data": dump(task.data),
        "error": dump_or_none(task.error),
    }


def _step_to_row(task_id: str, step: Step) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "sequence": step.sequence,
        "operation": step.operation,
        "state": step.state,
        "started_at": step.started_at,
        "ended_at": step.ended_at,
        "options": dump(step.options),
        "result": dump_or_none(step.result),
        "error": dump_or_none(step.error),
    }


def as_error(error: PhotonError | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """``{code, message, data}``."""
    if isinstance(error, PhotonError):
        return error.to_dict()
    return dict(error) if error else None


def tasks_of(connection: Any, tables: Any, condition: Any) -> list[Task]:
    """Read the tasks that meet a condition, oldest first, with their steps."""
    task, step = tables.tasks, tables.steps
    found = {
        row.id: Task(
            row.operation,
            row.entity_kind,
            row.entity_id,
            [],
            json.loads(row.data),
            row.id,
            row.run_id,
            row.state,
            row.by,
            load_or_none(row.error),
            row.queued_at,
            row.started_at,
            row.ended_at,
        )
        for row in connection.execute(task.select().where(condition).order_by(task.c.queued_at, task.c.id))
    }
    if found:
        chosen = task.select().where(condition).with_only_columns(task.c.id)
        rows = connection.execute(
            step.select().where(step.c.task_id.in_(chosen)).order_by(step.c.task_id, step.c.sequence)
        )
        for row in rows:
            found[row.task_id].steps.append(
                Step(
                    row.sequence,
                    row.operation,
                    row.state,
                    json.loads(row.options),
                    load_or_none(row.result),
                    load_or_none(row.error),
                    row.started_at,
                    row.ended_at,
                )
            )
    return list(found.values())
