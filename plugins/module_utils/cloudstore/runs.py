# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs: a lease that a heartbeat renews for as long as the run lives. Leases end on the database's clock."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Collection
from typing import Any

from ..model.errors import PhotonError
from . import process
from .database import Database
from .grooming import KEPT, groom
from .journal import note_steps, tasks_of
from .lease import Lease
from .rows import Task
from .tables import tables

HEARTBEAT = "photon-lease"  # the thread's name
NOTE_EVERY = 1.0  # seconds
Notes = dict[tuple[str, int], tuple[str, Any]]  # state and result of steps, by task and sequence


class Run:
    """One controller's run. Call ``check()`` before each external change and ``end()`` at the end."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self.lease = lease
        self._database = database
        self._renewed = _now()
        self._renewing = threading.Lock()
        self._lost: PhotonError | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._notes: Notes = {}
        self._noting = threading.Lock()

    @property
    def id(self) -> str:
        return self.lease.id

    @property
    def ttl(self) -> float:
        return self.lease.ttl

    def check(self) -> None:
        """Raise LeaseLost when another run took over, CloudStoreLost when the database is gone.

        Cheap while the heartbeat keeps up; after a pause of this process the lease is renewed here first.
        """
        if self._is_due():
            with self._renewing:
                if self._is_due():  # no other thread renewed it in between
                    self.renew()
        if self._lost is not None:
            raise self._lost

    def renew(self) -> None:
        """Extend the lease now. Raises LeaseLost."""
        self._renew(self._database)

    def note(self, task_id: str, sequence: int, state: str, result: Any = None) -> None:
        """Have the heartbeat journal how far a step came, for those who watch: no run needs it to go on."""
        with self._noting:
            self._notes[task_id, sequence] = (state, result)

    def start(self) -> None:
        """Start the heartbeat."""
        if self.ttl > 0:
            self._thread = threading.Thread(target=self._beat, name=HEARTBEAT, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeat; the lease then expires by itself."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)  # a renewal that comes later finds the lease ended

    def end(self) -> None:
        """Give the lease up and groom; unfinished tasks are for the next run. A lost lease stays as it is."""
        self.stop()

        def work(connection: Any, now: float) -> None:
            self.lease.end(connection, now)
            groom(connection, now - KEPT)

        self._database.write(work)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _is_due(self) -> bool:
        return self._lost is None and _now() - self._renewed > self.ttl * 2 / 3

    def _renew(self, database: Database, notes: Notes | None = None) -> None:
        started = _now()

        def work(connection: Any, now: float) -> None:
            self.lease.renew(connection, now)
            note_steps(connection, now, notes or {})

        try:
            database.write(work)
        except PhotonError as error:
            if error.ends_run:
                self._lost = error
            raise
        self._renewed = max(self._renewed, started)

    def _beat(self) -> None:
        # A connection of its own: the run's may all be busy.
        own = Database(self._database.location, writable=True, file=self._database.file)
        try:
            renewed = _now()
            while self._lost is None and not self._stopping.wait(min(NOTE_EVERY, self.ttl / 3)):
                with self._noting:
                    notes, self._notes = self._notes, {}
                if notes or _now() - renewed >= self.ttl / 3:
                    renewed = _now()
                    with contextlib.suppress(PhotonError):  # check() raises what is final and renews otherwise
                        self._renew(own, notes)
        finally:
            own.close()


def begin(database: Database, holder: str, ttl: float) -> Run:
    """Record a new run with a lease of ``ttl`` seconds and start its heartbeat."""
    run = Run(database, Lease(str(uuid.uuid4()), ttl))
    row = {
        "id": run.id,
        "epoch": run.lease.epoch,
        "holder": holder,
        "process": process.own(),
        "ttl": ttl,
        "ended_at": None,
        "taken_over_by": None,
    }

    def work(connection: Any, now: float) -> None:
        connection.execute(tables().runs.insert(), [{**row, "started_at": now, "expires_at": now + ttl}])

    database.write(work)
    run.start()
    return run


def take_over(database: Database, run: Run) -> list[Task]:
    """Make the unfinished tasks of dead, expired and ended runs ours; their leases are lost from now on."""
    table, task = tables().runs, tables().tasks
    open_ones = task.select().where(task.c.ended_at.is_(None)).with_only_columns(task.c.run_id).distinct()

    def work(connection: Any, now: float) -> list[Task]:
        run.lease.renew(connection, now)
        mine = [task.c.run_id == run.id, task.c.ended_at.is_(None)]
        before = set(connection.execute(task.select().where(*mine).with_only_columns(task.c.id)).scalars())
        for row in connection.execute(
            table.select().where(table.c.id.in_(open_ones), table.c.id != run.id).order_by(table.c.id)
        ).all():
            conditions = [table.c.id == row.id, table.c.epoch == row.epoch]
            if row.ended_at is None and not process.is_dead(row.process):
                conditions.append(table.c.expires_at < now)
            taken = connection.execute(
                table.update().where(*conditions).values(epoch=table.c.epoch + 1, ended_at=now, taken_over_by=run.id)
            ).rowcount
            if taken:
                connection.execute(
                    task.update().where(task.c.run_id == row.id, task.c.ended_at.is_(None)).values(run_id=run.id)
                )
        found = tasks_of(connection, tables(), tables().tasks.c.run_id == run.id)
        return [t for t in found if t.ended_at is None and t.id not in before]

    return database.write(work)


def working(connection: Any, now: float, ids: Collection[str]) -> dict[str, str]:
    """``{id: holder}`` of those among these runs that live and have unfinished tasks."""
    table, task = tables().runs, tables().tasks
    unfinished = task.select().where(task.c.ended_at.is_(None)).with_only_columns(task.c.run_id)
    rows = connection.execute(table.select().where(table.c.id.in_(list(ids)), table.c.id.in_(unfinished)))
    holders = {row.id: row.holder for row in rows}
    return {key: holders[key] for key in sorted(live(connection, now) & holders.keys())}


def live(connection: Any, now: float) -> set[str]:
    """The runs whose lease is valid and whose process is not known to have ended."""
    table = tables().runs
    rows = connection.execute(
        table.select()
        .where(table.c.ended_at.is_(None), table.c.expires_at >= now)
        .with_only_columns(table.c.id, table.c.process)
    )
    return {row.id for row in rows if not process.is_dead(row.process)}


def _now() -> float:
    """Seconds on a clock that also runs while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
