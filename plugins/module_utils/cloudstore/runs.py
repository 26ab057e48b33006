# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Leases: a run works on its tasks as long as nobody took them over. All times are the database's."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from ..model.errors import PhotonError
from . import process
from .journal import tasks_of
from .rows import Task
from .tables import tables

if TYPE_CHECKING:
    from .store import CloudStore


class Run:
    """One controller's run. ``renew()`` before each batch of external calls; ``end()`` when nothing is left to do."""

    def __init__(self, store: CloudStore, run_id: str, ttl: float) -> None:
        self._store = store
        self.id = run_id
        self.epoch = 1
        self.ttl = ttl

    @property
    def run_id(self) -> str:
        return self.id

    def renew(self) -> None:
        """Extend the lease by its time to live. Raises LeaseLost when another run took over."""
        self._store.database.write(lambda connection, _now: self.renew_in(connection))

    def renew_in(self, connection: Any) -> None:
        """As renew, inside a transaction of the caller."""
        table = tables().runs
        done = connection.execute(
            table.update()
            .where(table.c.id == self.id, table.c.epoch == self.epoch, table.c.ended_at.is_(None))
            .values(expires_at=self._store.database.clock + self.ttl)
        )
        if done.rowcount != 1:
            raise PhotonError(
                "LeaseLost",
                "another controller took this run over, since its lease ran out: nothing more is done "
                "here; look at that run's outcome, then run again",
                {"run": self.id},
            )

    def end(self) -> None:
        """Give the lease back. What is unfinished then is for the next run. A lost lease needs no end."""
        table = tables().runs
        self._store.database.write(
            lambda connection, now: (
                connection.execute(
                    table.update()
                    .where(table.c.id == self.id, table.c.epoch == self.epoch, table.c.ended_at.is_(None))
                    .values(ended_at=now)
                )
                and None
            )
        )


def begin(store: CloudStore, holder: str, ttl: float) -> Run:
    """Record a new run with a lease of ``ttl`` seconds."""
    run = Run(store, str(uuid.uuid4()), ttl)
    row = {
        "id": run.id,
        "epoch": 1,
        "holder": holder,
        "process": process.own(),
        "ttl": ttl,
        "ended_at": None,
        "taken_over_by": None,
    }

    def work(connection: Any, now: float) -> None:
        connection.execute(tables().runs.insert(), [{**row, "started_at": now, "expires_at": now + ttl}])

    store.database.write(work)
    return run


def take_over(store: CloudStore, run: Run) -> list[Task]:
    """Make the unfinished tasks of dead, expired and ended runs ours; their runs' leases are lost from now on."""
    table, task, clock = tables().runs, tables().tasks, store.database.clock
    open_ones = task.select().where(task.c.ended_at.is_(None)).with_only_columns(task.c.run_id).distinct()

    def work(connection: Any, _now: float) -> list[Task]:
        run.renew_in(connection)
        mine = [task.c.run_id == run.id, task.c.ended_at.is_(None)]
        before = set(connection.execute(task.select().where(*mine).with_only_columns(task.c.id)).scalars())
        for row in connection.execute(
            table.select().where(table.c.id.in_(open_ones), table.c.id != run.id).order_by(table.c.id)
        ).all():
            conditions = [table.c.id == row.id, table.c.epoch == row.epoch]
            if row.ended_at is None and not process.is_dead(row.process):
                conditions.append(table.c.expires_at < clock)
            taken = connection.execute(
                table.update().where(*conditions).values(epoch=table.c.epoch + 1, ended_at=clock, taken_over_by=run.id)
            ).rowcount
            if taken:
                connection.execute(
                    task.update().where(task.c.run_id == row.id, task.c.ended_at.is_(None)).values(run_id=run.id)
                )
        found = tasks_of(connection, tables(), tables().tasks.c.run_id == run.id)
        return [t for t in found if t.ended_at is None and t.id not in before]

    return store.database.write(work)
