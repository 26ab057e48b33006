# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a run came, read from its journal while it works.

For those who watch a run from another process: plain statements on the driver's own connection, because the import of
SQLAlchemy alone would cost more than all of them.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from . import process
from .database import CLOCK, connect_postgresql
from .journal import WAIT
from .library import load
from .location import SQLITE, parse

_RUNS = "SELECT id, process, started_at, {clock} FROM runs WHERE ended_at IS NULL"
# Tasks that a run took over from an interrupted one are older than itself.
_OURS = "FROM tasks t JOIN steps s ON s.task_id = t.id WHERE t.run_id = {run} AND t.queued_at >= {since}"
_STEPS = (
    "SELECT t.entity_kind, s.operation, s.state, count(*) {ours} "
    "GROUP BY t.entity_kind, s.operation, s.state ORDER BY min(s.sequence)"
)
_AMOUNTS = "SELECT t.entity_kind, s.operation, s.result {ours} AND s.result IS NOT NULL"
_WAIT = f"SELECT data, queued_at FROM tasks WHERE run_id = {{run}} AND operation = '{WAIT}' AND ended_at IS NULL"


@dataclass(slots=True)
class StepCount:
    """The steps of one operation on resources of one kind: how many there are, have ended well, have failed.

    ``done`` of ``of``, in ``unit`` (B or COUNT): the amounts that such steps report while they work.
    """

    kind: str
    operation: str
    total: int = 0
    completed: int = 0
    failed: int = 0
    done: int = 0
    of: int = 0
    unit: str = ""


@dataclass(slots=True)
class Waiting:
    """The run that another one waits for, who holds it, and since when (seconds since the epoch)."""

    run: str
    by: str
    since: float


@dataclass(slots=True)
class Progress:
    """One run at the database's time ``now``; without steps it still reads and plans."""

    run: str
    started_at: float
    now: float
    steps: list[StepCount] = field(default_factory=list)
    waiting: Waiting | None = None


class Reader:
    """Reads the journal of the CloudStore at ``url``; close it at the end.

    Raises CloudStoreUnavailable for what is not a URL, MissingLibrary.
    """

    def __init__(self, url: str) -> None:
        self._location = parse(url)
        self._connection: Any = None
        self._errors = sqlite3.Error if self._location.dialect == SQLITE else load("psycopg").Error

    def read(self, ancestor: int) -> Progress | None:
        """The run whose process descends from the process ``ancestor``; None where there is none, or none to be read.

        A SQLite file is closed at once: a run that ends while it is open could not tidy up.
        """
        try:
            if self._location.dialect != SQLITE:
                self._connection = self._connection or connect_postgresql(self._location, writable=False)
                with self._connection.transaction():
                    return _read(self._connection, self._location.dialect, ancestor)
            uri = f"file:{quote(self._location.target)}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=0.2)) as connection:
                return _read(connection, SQLITE, ancestor)
        except self._errors:  # there is no CloudStore yet, it is busy, or its server is away: the next look may succeed
            self.close()
            return None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _read(connection: Any, dialect: str, ancestor: int) -> Progress | None:
    for run, owner, started_at, now in connection.execute(_RUNS.format(clock=CLOCK[dialect])).fetchall():
        if process.is_below(owner, ancestor):
            return _of_run(connection, dialect, Progress(run, started_at, now))
    return None


def _of_run(connection: Any, dialect: str, found: Progress) -> Progress:
    mark = "?" if dialect == SQLITE else "%s"
    ours, values = _OURS.format(run=mark, since=mark), (found.run, found.started_at)
    counts: dict[tuple[str, str], StepCount] = {}
    for kind, operation, state, number in connection.execute(_STEPS.format(ours=ours), values).fetchall():
        count = counts.setdefault((kind, operation), StepCount(kind, operation))
        count.total += number
        count.completed += number if state == "COMPLETED" else 0
        count.failed += number if state == "ERROR" else 0
    for kind, operation, result in connection.execute(_AMOUNTS.format(ours=ours), values).fetchall():
        count, amounts = counts[kind, operation], json.loads(result)
        count.done += amounts.get("done", 0)
        count.of += amounts.get("of", 0)
        count.unit = amounts.get("unit", count.unit)
    found.steps = list(counts.values())
    for data, since in connection.execute(_WAIT.format(run=mark), (found.run,)).fetchall():
        found.waiting = Waiting(**json.loads(data), since=since)
    return found
