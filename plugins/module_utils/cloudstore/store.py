# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CloudStore: opened by its URL, read in one consistent look, changed in transactions that others cannot tear."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

from ..model.entities import Document
from ..model.errors import PhotonError
from ..model.quota import Counter
from . import process, runs, schema
from .base import dump
from .capacities import capacity_from_row
from .database import Database
from .digests import digest
from .documents import from_dict, from_row
from .journal import tasks_of
from .location import SQLITE, parse, refuse_ephemeral
from .rows import Change, GroupMember, Snapshot, Task
from .runs import Run
from .tables import tables
from .transaction import Transaction

Result = TypeVar("Result")
READ, WRITE, UPGRADE = "read", "write", "upgrade"
KEPT = 24 * 3600.0  # seconds that tombstones stay, the original's time


def open_store(url: str, *, mode: str = READ, allow_ephemeral: bool = False, by: str = "") -> CloudStore:
    """Open the CloudStore at ``url`` (see location.parse); ``by`` is who its history names.

    read: nothing is created or changed, and where there is no CloudStore yet the store is empty (``exists`` False).
    write: made when absent. upgrade: brought to this collection's schema version. Raises SchemaTooOld, SchemaTooNew,
    EphemeralCloudStore, CloudStoreUnavailable, CloudStoreNotFound (upgrade), MissingLibrary.
    """
    if mode not in (READ, WRITE, UPGRADE):
        raise PhotonError("InternalError", f"{mode!r} is no mode of a CloudStore: read, write or upgrade")
    location = parse(url)
    if location.dialect == SQLITE and not allow_ephemeral:
        refuse_ephemeral(location.target)
    by = by or process.describe()
    if mode != WRITE and location.dialect == SQLITE and not _has_content(location.target):
        if mode == UPGRADE:
            raise schema.nothing_to_upgrade()
        return CloudStore(None, None, by)
    database = Database(location, writable=mode != READ)
    try:
        if mode == UPGRADE:
            schema.upgrade(database)
        meta = schema.read_meta(database)
        if meta is None and mode == WRITE:
            meta = schema.create(database)
        if meta is None:
            database.close()
            return CloudStore(None, None, by)
        schema.check(int(meta["schema_version"]))
    except BaseException:
        database.close()
        raise
    return CloudStore(database, meta, by, writable=mode != READ)


class CloudStore:
    """One open CloudStore; a context manager. Threads may share it."""

    def __init__(
        self, database: Database | None, meta: dict[str, str] | None, by: str, *, writable: bool = False
    ) -> None:
        self._database = database
        self.by = by
        self.writable = writable
        self.schema_version = int(meta["schema_version"]) if meta else None
        # Without a CloudStore there is nothing to compare with, so any key does.
        self._digest_key = bytes.fromhex(meta["digest_key"]) if meta else secrets.token_bytes(32)
        self._run: Run | None = None

    def __enter__(self) -> CloudStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    @property
    def exists(self) -> bool:
        """False where a reader found no CloudStore yet."""
        return self._database is not None

    @property
    def database(self) -> Database:
        """Raises CloudStoreNotFound where there is none."""
        if self._database is None:
            raise PhotonError("CloudStoreNotFound", "there is no CloudStore yet: the first apply (site.yml) makes it")
        return self._database

    def digest(self, value: Any) -> str:
        """The keyed digest of a secret or of guest metadata: what is kept in its place."""
        return digest(self._digest_key, value)

    def now(self) -> float:
        """The database's time, seconds since the epoch."""
        return self.database.read(self.database.time)

    def snapshot(self, kinds: Iterable[str] | None = None, scope_ids: Iterable[str] | None = None) -> Snapshot:
        """Everything in one consistent read; documents of these kinds or in these scopes only, where given."""
        if self._database is None:
            return Snapshot()
        return self.database.read(lambda connection: self._snapshot(connection, kinds, scope_ids))

    def run(self, work: Callable[[Transaction], Result], *, key: str | None = None) -> Result:
        """``work(transaction)`` in one transaction, run again after a conflict: it must have no other effect.

        ``key`` makes it happen once: when a transaction of that key was committed before (by this or another process),
        its result is returned, which therefore has to be a JSON value.
        """
        if not self.writable:
            raise PhotonError("InternalError", "the CloudStore is open for reading only: open it with mode write")

        def attempt(connection: Any, now: float) -> Result:
            result = work(Transaction(connection, now=now, by=self.by, run=self._run))
            if key is not None and result is not None:
                commits = tables().commits
                connection.execute(commits.update().where(commits.c.key == key).values(result=dump(result)))
            return result

        return self.database.write(attempt, key, lambda connection: _recall(connection, key))

    def begin_run(self, holder: str | None = None, ttl: float = 30.0) -> Run:
        """Begin a run with a lease; the tasks that this store writes from now on are that run's."""
        self._run = runs.begin(self, holder or self.by, ttl)
        return self._run

    def take_over(self, run: Run) -> list[Task]:
        """The unfinished tasks of dead, expired and ended runs, which are this run's from now on."""
        return runs.take_over(self, run)

    def tasks(self, *, entity_id: str | None = None, states: Iterable[str] | None = None) -> list[Task]:
        """Tasks, oldest first: of one entity, in these states, or all."""
        if self._database is None:
            return []
        columns = tables().tasks.c
        condition = columns.id.is_not(None)
        if entity_id is not None:
            condition &= columns.entity_id == entity_id
        if states is not None:
            condition &= columns.state.in_(list(states))
        return self.database.read(lambda connection: tasks_of(connection, tables(), condition))

    def history(self, entity_id: str) -> list[Change]:
        """All changes of one entity, oldest first, deleted ones included."""
        if self._database is None:
            return []
        table = tables().history
        statement = table.select().where(table.c.entity_id == entity_id).order_by(table.c.version)
        rows = self.database.read(lambda connection: connection.execute(statement).all())
        return [Change(row.entity_id, row.version, row.at, row.by, row.what, json.loads(row.before)) for row in rows]

    def tombstones(self) -> list[Document]:
        """What was deleted in the last 24 hours (state DELETED, ``deleted_at`` set), oldest first."""
        if self._database is None:
            return []
        table = tables().tombstones
        statement = table.select().order_by(table.c.deleted_at, table.c.id)
        rows = self.database.read(lambda connection: connection.execute(statement).all())
        return [from_dict(json.loads(row.document)) for row in rows]

    def groom(self, max_age: float = KEPT) -> dict[str, int]:
        """Remove what is older than ``max_age`` seconds: tombstones with their history, finished tasks, ended runs,
        keys of transactions. Returns ``{what: number}``."""
        return self.database.write(lambda connection, now: _groom(connection, now - max_age))

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _snapshot(self, connection: Any, kinds: Iterable[str] | None, scope_ids: Iterable[str] | None) -> Snapshot:
        t = tables()
        statement = t.documents.select()
        if kinds is not None:
            statement = statement.where(t.documents.c.kind.in_(list(kinds)))
        snapshot = Snapshot(taken_at=self.database.time(connection))
        if scope_ids is not None:
            statement = statement.where(t.documents.c.scope.in_(sorted(set(scope_ids))))
        snapshot.documents = [from_row(row) for row in connection.execute(statement)]
        for row in connection.execute(t.counters.select()):
            snapshot.counters.setdefault(row.owner_id, {})[row.key] = Counter(row.unit, row.limit, row.usage)
        snapshot.capacity = {row.id: capacity_from_row(row) for row in connection.execute(t.capacity.select())}
        snapshot.groups = [GroupMember(*row) for row in connection.execute(t.group_members.select())]
        snapshot.open_tasks = tasks_of(connection, t, t.tasks.c.ended_at.is_(None))
        return snapshot


def _recall(connection: Any, key: str | None) -> Any:
    commits = tables().commits
    text = connection.execute(
        commits.select().where(commits.c.key == key).with_only_columns(commits.c.result)
    ).scalar_one()
    return None if text is None else json.loads(text)


def _groom(connection: Any, before: float) -> dict[str, int]:
    t = tables()
    done = t.tasks.c.ended_at < before
    old_tasks = t.tasks.select().where(done).with_only_columns(t.tasks.c.id)
    buried = t.tombstones.select().where(t.tombstones.c.deleted_at < before).with_only_columns(t.tombstones.c.id)
    used = t.tasks.select().with_only_columns(t.tasks.c.run_id)
    connection.execute(t.steps.delete().where(t.steps.c.task_id.in_(old_tasks)))
    connection.execute(t.history.delete().where(t.history.c.entity_id.in_(buried)))
    removed = {
        "tasks": t.tasks.delete().where(done),
        "tombstones": t.tombstones.delete().where(t.tombstones.c.deleted_at < before),
        "runs": t.runs.delete().where(t.runs.c.ended_at < before, t.runs.c.id.not_in(used)),
        "commits": t.commits.delete().where(t.commits.c.at < before),
    }
    return {what: connection.execute(statement).rowcount for what, statement in removed.items()}


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise PhotonError(
            "CloudStoreUnavailable", f"the CloudStore {path} cannot be read ({error.strerror}): check who may"
        ) from error
