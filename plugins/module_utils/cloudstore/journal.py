# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The task journal inside a transaction: written before the first external call, only by the run that holds the lease."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model.errors import PhotonError
from .base import Base, dump, dump_or_none, load_or_none
from .rows import Step, Task

_OPEN = ("QUEUED", "STARTED")


class Journal(Base):
    """The part of Transaction that keeps tasks. Every write renews the run's lease, and fails with LeaseLost without it."""

    def add_tasks(self, tasks: Iterable[Task]) -> list[Task]:
        """Write tasks with their steps; each entity is locked by its unfinished task.

        Returns the tasks as recorded. Raises ConcurrentTask (data: entity_id, task_id, operation) for a locked entity.
        """
        run = self.fence()
        made = [replace(t, run_id=run, by=t.by or self.by, queued_at=self.now) for t in tasks]
        if not made:
            return made
        self._refuse_locked(made)
        self.connection.execute(self._tables.tasks.insert(), [
            {"id": t.id, "operation": t.operation, "entity_kind": t.entity_kind, "entity_id": t.entity_id, "run_id": run,
             "state": t.state, "by": t.by, "queued_at": t.queued_at, "started_at": t.started_at, "ended_at": t.ended_at,
             "data": dump(t.data), "error": dump_or_none(t.error)} for t in made])
        steps = [{"task_id": t.id, "sequence": s.sequence, "operation": s.operation, "state": s.state, "started_at": s.started_at,
                  "ended_at": s.ended_at, "options": dump(s.options), "result": dump_or_none(s.result),
                  "error": dump_or_none(s.error)} for t in made for s in t.steps]
        if steps:
            self.connection.execute(self._tables.steps.insert(), steps)
        return made

    def start_tasks(self, ids: Iterable[str]) -> None:
        """QUEUED -> STARTED. Raises LeaseLost when one of them is not this run's."""
        self._change_tasks(ids, {"state": "STARTED", "started_at": self.now, "ended_at": None, "error": None})

    def set_task_data(self, data: Mapping[str, Mapping[str, Any]]) -> None:
        """Replace ``{task id: data}``."""
        table, sa = self._tables.tasks, self._sa
        rows = [{"of_id": key, "new_data": dump(value)} for key, value in data.items()]
        self._write_tasks(table.update().values(data=sa.bindparam("new_data")), rows)

    def step(self, task_id: str, sequence: int, state: str, *, result: Mapping[str, Any] | None = None,
             error: PhotonError | Mapping[str, Any] | None = None) -> None:
        """One step's new state; see steps()."""
        self.steps([(task_id, sequence, state, result, error)])

    def steps(self, changes: Iterable[tuple[Any, ...]]) -> None:
        """Many ``(task id, sequence, state[, result[, error]])``: STARTED, COMPLETED or ERROR, each with its time."""
        self.fence()
        rows = []
        for task_id, sequence, state, *rest in changes:
            result, error = [*rest, None, None][:2]
            rows.append({"of_task": task_id, "of_sequence": sequence, "new_state": state, "new_result": dump_or_none(result),
                         "new_error": dump_or_none(as_error(error)), "begun": None if state == "QUEUED" else self.now,
                         "done": None if state in _OPEN else self.now})
        if not rows:
            return
        table, sa = self._tables.steps, self._sa
        begun = sa.bindparam("begun", type_=sa.Double)
        self.connection.execute(table.update().where(
            table.c.task_id == sa.bindparam("of_task"), table.c.sequence == sa.bindparam("of_sequence")).values(
            state=sa.bindparam("new_state"), result=sa.bindparam("new_result"), error=sa.bindparam("new_error"),
            started_at=sa.func.coalesce(table.c.started_at, begun), ended_at=sa.bindparam("done")), rows)

    def finish_tasks(self, outcomes: Mapping[str, PhotonError | Mapping[str, Any] | None]) -> None:
        """End tasks and unlock their entities: ``{task id: None}`` COMPLETED, ``{task id: error}`` ERROR.

        A completed task's open steps are completed with it; of a failed one the started step is the one that failed.
        Raises LeaseLost when one of them is not this run's.
        """
        table, sa = self._tables.tasks, self._sa
        errors = {key: as_error(error) for key, error in outcomes.items()}
        rows = [{"of_id": key, "new_state": "ERROR" if error else "COMPLETED", "new_error": dump_or_none(error)}
                for key, error in errors.items()]
        self._write_tasks(table.update().values(state=sa.bindparam("new_state"), error=sa.bindparam("new_error"),
                                                ended_at=self.now), rows)
        done = [{"of_task": key} for key, error in errors.items() if not error]
        failed = [{"of_task": key, "new_error": dump(error)} for key, error in errors.items() if error]
        steps = self._tables.steps
        if done:
            self.connection.execute(steps.update().where(
                steps.c.task_id == sa.bindparam("of_task"), steps.c.ended_at.is_(None)).values(
                state="COMPLETED", ended_at=self.now), done)
        if failed:
            self.connection.execute(steps.update().where(
                steps.c.task_id == sa.bindparam("of_task"), steps.c.state == "STARTED").values(
                state="ERROR", ended_at=self.now, error=sa.bindparam("new_error")), failed)

    def fence(self) -> str:
        """Renew this run's lease inside the transaction, so that nobody takes over before it ends; returns the run's id.

        Raises LeaseLost.
        """
        if self._run is None:
            raise PhotonError("InternalError", "a task is written outside of a run: begin_run first")
        if not self._fenced:
            self._run.renew_in(self.connection)
            self._fenced = True
        return self._run.id

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _refuse_locked(self, tasks: list[Task]) -> None:
        table = self._tables.tasks
        held = {row.entity_id: row for row in self._rows(table, table.c.entity_id, {t.entity_id for t in tasks})
                if row.ended_at is None}
        seen: dict[str, Task] = {}
        for task in tasks:
            other = held.get(task.entity_id) or seen.get(task.entity_id)
            if other is not None:
                raise PhotonError(
                    "ConcurrentTask", f"the {task.entity_kind} {task.entity_id} is busy with {other.operation} (task {other.id}): wait "
                    "until it ends, then run again", {"entity_id": task.entity_id, "task_id": other.id, "operation": other.operation})
            seen[task.entity_id] = task

    def _change_tasks(self, ids: Iterable[str], values: Mapping[str, Any]) -> None:
        self._write_tasks(self._tables.tasks.update().values(values), [{"of_id": key} for key in ids])

    def _write_tasks(self, statement: Any, rows: list[dict[str, Any]]) -> None:
        run = self.fence()
        if not rows:
            return
        table = self._tables.tasks
        statement = statement.where(table.c.id == self._sa.bindparam("of_id"), table.c.run_id == run, table.c.ended_at.is_(None))
        done = self.connection.execute(statement, rows)
        if done.rowcount not in (len(rows), -1):
            raise PhotonError("LeaseLost", "a task is finished already or belongs to another run: another controller took over; "
                              "look at its outcome, then run again", {"run": run})


def as_error(error: PhotonError | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """``{code, message, data}``."""
    if isinstance(error, PhotonError):
        return error.to_dict()
    return dict(error) if error else None


def tasks_of(connection: Any, tables: Any, condition: Any) -> list[Task]:
    """The tasks that meet a condition, oldest first, with their steps."""
    task, step = tables.tasks, tables.steps
    found = {
        row.id: Task(row.operation, row.entity_kind, row.entity_id, [], json.loads(row.data), row.id, row.run_id, row.state,
                     row.by, load_or_none(row.error), row.queued_at, row.started_at, row.ended_at)
        for row in connection.execute(task.select().where(condition).order_by(task.c.queued_at, task.c.id))}
    if found:
        chosen = task.select().where(condition).with_only_columns(task.c.id)
        rows = connection.execute(step.select().where(step.c.task_id.in_(chosen)).order_by(step.c.task_id, step.c.sequence))
        for row in rows:
            found[row.task_id].steps.append(Step(
                row.sequence, row.operation, row.state, json.loads(row.options), load_or_none(row.result),
                load_or_none(row.error), row.started_at, row.ended_at))
    return list(found.values())
