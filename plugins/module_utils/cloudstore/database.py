# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections and transactions on either database, repeated after conflicts, deadlocks and lost connections."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import stat
import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from ..model.errors import PhotonError
from . import errors
from .library import load
from .location import POSTGRESQL, SQLITE, Location

Result = TypeVar("Result")
CLOCK = {
    SQLITE: "((julianday('now') - 2440587.5) * 86400.0)",
    POSTGRESQL: "CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
}
PATIENCE = 180.0  # seconds that a transaction keeps trying to get through
SQLITE_TIMEOUT = 60.0  # seconds that SQLite itself waits for its turn, before PATIENCE is asked
PATIENCE_FOR_SERVER = 20.0  # seconds that a server may be away, as it is while a standby takes over
_SCHEMA_LOCK = 0x70686F746F6E  # the advisory lock of a process that creates or changes tables
_WRITE_LOCK = _SCHEMA_LOCK + 1  # the advisory lock that writers share, and that one of them can have alone
_DUPLICATES = 20  # attempts after another transaction inserted the same key first

File = tuple[int, int]  # device and inode


class Database:
    """One database, opened for writing or only for reading. Threads may share it.

    ``file`` identifies the SQLite file that a writer opened; once its path names another file or none, every write
    raises CloudStoreLost.
    """

    def __init__(self, location: Location, *, writable: bool, file: File | None = None) -> None:
        self.location = location
        self.dialect = location.dialect
        self._sa = load()
        self._writable = writable
        self._connected = False
        self.file = file
        if self.dialect == SQLITE:
            _refuse_other_than_file(location.target)
            if writable and file is None:
                _create_file(location.target)
                self.file = _identity(location.target)
            pool = self._sa.pool.QueuePool
            self.engine = self._sa.create_engine("sqlite://", creator=self._connect_sqlite, poolclass=pool)
            self._sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            load("psycopg")
            self.engine = self._sa.create_engine(
                "postgresql+psycopg://", creator=lambda: connect_postgresql(location, writable=writable)
            )

    def close(self) -> None:
        self.engine.dispose()

    @property
    def clock(self) -> Any:
        """The database's time as a SQL expression, seconds since the epoch."""
        return self._sa.literal_column(CLOCK[self.dialect], self._sa.Double)

    def time(self, connection: Any) -> float:
        """The database's time now."""
        return float(connection.execute(self._sa.select(self.clock)).scalar_one())

    def read(self, work: Callable[[Any], Result]) -> Result:
        """``work(connection)`` on one consistent state of the database."""
        if self.dialect == SQLITE and not self._writable:
            return self._read_file(work)
        return self._persist(lambda _alone: self._read_once(work))

    def write(
        self,
        work: Callable[[Any, float], Result],
        key: str | None = None,
        recall: Callable[[Any], Result] | None = None,
    ) -> Result:
        """Run ``work(connection, now)`` in one transaction; repeat it after a conflict of the database's own.

        ``key`` names the transaction: when one of that name was committed before, ``recall(connection)`` answers
        instead. On PostgreSQL each transaction has a name, so that one whose commit was not answered is recognised.
        Raises CloudStoreLost.
        """
        name = key or str(uuid.uuid4())
        unanswered: list[Result] = []

        def attempt(alone: bool) -> Result:
            with self.engine.connect() as connection, connection.begin() as transaction:
                now = self._begin(connection, name, named=key is not None, alone=alone)
                if now is None:
                    return unanswered[0] if unanswered else recall(connection) if recall else None  # type: ignore[return-value]
                result = work(connection, now)
                unanswered[:] = [result]
                self._refuse_lost()
                transaction.commit()
                return result

        return self._persist(attempt)

    def change_schema(self, work: Callable[[Any, float], Result]) -> Result:
        """``work(connection, now)`` while no other process changes the schema, whether tables exist or not."""

        def attempt(_alone: bool) -> Result:
            with self.engine.connect() as connection, connection.begin():
                if self.dialect != SQLITE:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
                return work(connection, self.time(connection))

        return self._persist(attempt)

    # -- transactions ------------------------------------------------------------------------------------------------

    def _begin(self, connection: Any, name: str, *, named: bool, alone: bool) -> float | None:
        """The time, or None when the transaction of this name is already committed.

        On PostgreSQL transactions run concurrently and share one advisory lock; ``alone`` takes it exclusively, so that
        a transaction that was in a deadlock succeeds.
        """
        if self.dialect == SQLITE and not named:
            return time.time()
        gate = ""
        if self.dialect != SQLITE:
            gate = f" FROM (SELECT pg_advisory_xact_lock{'' if alone else '_shared'}({_WRITE_LOCK})) AS gate"
        statement = self._sa.text(
            f"INSERT INTO commits (key, at) SELECT :key, {CLOCK[self.dialect]}{gate} "
            f"{'WHERE true ' if not gate else ''}ON CONFLICT DO NOTHING RETURNING at"
        )
        return connection.execute(statement, {"key": name}).scalar_one_or_none()

    def _refuse_lost(self) -> None:
        if self.file is not None and _identity(self.location.target) != self.file:
            raise PhotonError(
                "CloudStoreLost",
                f"the CloudStore {self.location.target} was removed or replaced while it was in use, and changes of "
                "this run are lost: restore a backup (see docs/cloudstore.md), or set photon_cloudstore_new: true to "
                "start with an empty one",
                {"file": self.location.target},
            )

    def _persist(self, attempt: Callable[[bool], Result]) -> Result:
        started, duplicates, delay, alone = time.monotonic(), 0, 0.002, False
        while True:
            try:
                result = attempt(alone)
                self._connected = True
                return result
            except errors.TryAgain as error:
                if time.monotonic() - started > PATIENCE:
                    raise errors.unavailable(self.location.shown, error, "run again") from error
            except self._sa.exc.DBAPIError as error:
                self._refuse_lost()
                answered = self.dialect == SQLITE or getattr(error.orig, "sqlstate", None)
                patience = PATIENCE if answered else PATIENCE_FOR_SERVER
                if not self._connected:
                    patience = min(patience, PATIENCE_FOR_SERVER / 2)
                alone = alone or errors.is_deadlock(error)
                if errors.is_duplicate(error) and duplicates < _DUPLICATES:
                    duplicates += 1
                elif not errors.is_transient(error):
                    raise errors.unavailable(self.location.shown, error) from error
                elif time.monotonic() - started > patience:
                    raise errors.unavailable(
                        self.location.shown,
                        error,
                        f"it did not answer for {patience:.0f} s; look for a process that "
                        "holds it (a paused controller, a backup), then run again",
                    ) from error
            time.sleep(delay * (0.5 + random.random()))  # jitter: competitors must not retry together
            delay = min(delay * 2, 0.5)

    def _read_once(self, work: Callable[[Any], Result]) -> Result:
        with self.engine.connect() as connection:
            if self.dialect != SQLITE:
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.execution_options(photon_read=True).begin():
                return work(connection)

    def _read_file(self, work: Callable[[Any], Result]) -> Result:
        """Read a SQLite file without creating any other file.

        Reading a database with a write-ahead log creates its helper files. While no log exists the file is complete and
        can be opened as immutable; whether it changed is checked afterwards.
        """
        for _attempt in range(100):
            before = self._file_state()
            if before is None:
                break
            try:
                result = self._read_once(work)
            except self._sa.exc.DBAPIError as error:
                if self._file_state() == before:  # else it was read during a change: repeat
                    raise errors.unavailable(self.location.shown, error) from error
                continue
            finally:
                self.engine.dispose()
            if self._file_state() == before:
                return result
        return self._persist(lambda _alone: self._read_once(work))

    def _file_state(self) -> tuple[int, int, int] | None:
        """Values that change when the file does; None while it has a log."""
        if os.path.exists(f"{self.location.target}-wal"):
            return None
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(self.location.target)
            return status.st_ino, status.st_size, status.st_mtime_ns
        return 0, 0, 0

    # -- connections -------------------------------------------------------------------------------------------------

    def _connect_sqlite(self) -> sqlite3.Connection:
        path = self.location.target
        options: dict[str, Any] = {
            "uri": True,
            "timeout": SQLITE_TIMEOUT,
            "isolation_level": None,
            "check_same_thread": False,
        }
        if not self._writable:
            immutable = "" if self._file_state() is None else "&immutable=1"
            return sqlite3.connect(f"file:{quote(path)}?mode=ro{immutable}", **options)
        self._refuse_lost()
        connection = sqlite3.connect(f"file:{quote(path)}?mode=rw", **options)
        try:
            self._refuse_lost()
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA cache_size=-32768")
        except BaseException:
            connection.close()
            raise
        return connection


def connect_postgresql(location: Location, *, writable: bool) -> Any:
    """Open a connection of the driver. Raises CloudStoreUnavailable for a URL that libpq does not read."""
    psycopg = load("psycopg")
    # A controller that is paused inside a transaction must not hold its rows indefinitely.
    settings = "-c idle_in_transaction_session_timeout=60000"
    defaults = {
        "application_name": "photon-cloudstore",
        "connect_timeout": "10",
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
    }
    if writable:
        defaults["target_session_attrs"] = "read-write"
    try:
        given = psycopg.conninfo.conninfo_to_dict(location.target)
    except psycopg.ProgrammingError as error:
        raise errors.unavailable(location.shown, error, "correct photon_cloudstore_url") from error
    options = f"{settings} {given.get('options', '')}".strip()
    return psycopg.connect(**{**defaults, **given, "options": options})


def _begin_sqlite(connection: Any) -> None:
    reading = connection.get_execution_options().get("photon_read")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _identity(path: str) -> File | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refuse_other_than_file(path: str) -> None:
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise errors.unavailable(path, error) from error
    if not regular:
        raise PhotonError("CloudStoreUnavailable", f"the CloudStore {path} is not a regular file: name a file")


def _create_file(path: str) -> None:
    """Create the database's file, readable by its owner alone, and its folder where only that is missing."""
    if os.path.exists(path):
        return
    folder = os.path.dirname(path)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise errors.unavailable(path, error, f"create its folder first: mkdir -p {folder}") from error
