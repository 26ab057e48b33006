# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CloudStore: opened by its URL, read in consistent snapshots, changed in transactions."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from ..model.entities import Document
from ..model.errors import PhotonError
from . import process, runs, schema
from .base import dump
from .database import Database
from .documents import from_dict, from_row
from .grooming import PLAN
from .journal import tasks_of
from .library import load
from .location import SQLITE, Location, parse, refuse_ephemeral
from .rows import PROVIDERS, Change, Inventory, Snapshot, Task
from .runs import Run
from .tables import tables
from .transaction import Transaction

Result = TypeVar("Result")
READ, WRITE, UPGRADE = "read", "write", "upgrade"


def open_store(url: str, *, mode: str = READ, allow_ephemeral: bool = False, by: str = "") -> CloudStore:
    """Open the CloudStore at ``url`` (see location.parse); ``by`` is the author that its history names.

    read: nothing is created or changed; where no CloudStore exists the store is empty (``exists`` False).
    write: created when absent. upgrade: brought to this collection's schema version. Raises SchemaTooOld, SchemaTooNew,
    EphemeralCloudStore, CloudStoreUnavailable, CloudStoreNotFound (upgrade), MissingLibrary.
    """
    if mode not in (READ, WRITE, UPGRADE):
        raise PhotonError("InternalError", f"the mode {mode!r} of a CloudStore must be read, write or upgrade")
    location = parse(url)
    if location.dialect == SQLITE and not allow_ephemeral:
        refuse_ephemeral(location.target)
    by = by or process.describe()
    if mode != WRITE and location.dialect == SQLITE and not _has_content(location.target):
        if mode == UPGRADE:
            raise schema.nothing_to_upgrade()
        return CloudStore(location, None, None, by)
    database = Database(location, writable=mode != READ)
    try:
        if mode == UPGRADE:
            schema.upgrade(database)
        meta = schema.read_meta(database)
        if meta is None and mode == WRITE:
            meta = schema.create(database)
        if meta is None:
            database.close()
            return CloudStore(location, None, None, by)
        schema.check(int(meta["schema_version"]))
    except BaseException:
        database.close()
        raise
    return CloudStore(location, database, meta, by, writable=mode != READ)


class CloudStore:
    """One open CloudStore; a context manager. Threads may share it.

    ``location`` names it for people, ``store_id`` is its identity; None where it does not exist.
    """

    def __init__(
        self,
        location: Location,
        database: Database | None,
        meta: dict[str, str] | None,
        by: str,
        *,
        writable: bool = False,
    ) -> None:
        self.location = location.shown
        self._database = database
        self.by = by
        self.writable = writable
        self.schema_version = int(meta["schema_version"]) if meta else None
        self.store_id = meta["store_id"] if meta else None
        # Without a CloudStore there is nothing to compare digests with: any key works.
        self._digest_key = bytes.fromhex(meta["digest_key"]) if meta else secrets.token_bytes(32)
        self._rules_tag = meta.get("rules_tag", "") if meta else ""
        self._run: Run | None = None

    def __enter__(self) -> CloudStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and stop the heartbeat of a run that was not ended."""
        if self._run is not None:
            self._run.stop()
        if self._database is not None:
            self._database.close()

    @property
    def exists(self) -> bool:
        """False where a reader found no CloudStore."""
        return self._database is not None

    @property
    def database(self) -> Database:
        """Raises CloudStoreNotFound where there is none."""
        if self._database is None:
            raise PhotonError("CloudStoreNotFound", "there is no CloudStore yet: the first apply (site.yml) creates it")
        return self._database

    @property
    def rules_tag(self) -> str:
        """The tag in the names of this CloudStore's DRS rules; a rebuilt one has that of the lost one."""
        return self._rules_tag or self.digest("DRS rules")[:8]

    def digest(self, value: Any) -> str:
        """The keyed digest of a secret or of guest metadata, stored instead of the value."""
        return digest(self._digest_key, value)

    def snapshot(self, kinds: Iterable[str] | None = None, *, allocations: bool = False) -> Snapshot:
        """Everything in one consistent read; with ``kinds`` the documents of these kinds only.

        ``allocations`` adds who holds what (``held``) and the rows that claims lock (``providers``).
        """
        if self._database is None:
            return Snapshot()
        return self._database.read(lambda connection: _snapshot(self.database, connection, kinds, allocations))

    def run(self, work: Callable[[Transaction], Result], *, key: str | None = None) -> Result:
        """Call ``work(transaction)`` in one transaction; repeated after a deadlock, it must have no other effect.

        ``key`` makes it happen once: when a transaction of that key was committed before (by this or another process),
        its result is returned, which must be a JSON value. Raises Conflict when others changed what it was made from.
        """
        if not self.writable:
            raise PhotonError("InternalError", "the CloudStore is open for reading only: open it with mode write")

        lease = self._run.lease if self._run else None

        def attempt(connection: Any, now: float) -> Result:
            result = work(Transaction(connection, now=now, by=self.by, lease=lease))
            if key is not None and result is not None:
                commits = tables().commits
                connection.execute(commits.update().where(commits.c.key == key).values(result=dump(result)))
            return result

        return self.database.write(attempt, key, lambda connection: _recall(connection, key))

    def keep_plan(self, plan: Mapping[str, Any]) -> str:
        """Keep a plan (a JSON value) for some days; its keyed digest is its id, and nobody else can make one."""
        plan_id = self.digest(plan)
        self.run(lambda _transaction: plan, key=f"{PLAN}{plan_id}")
        return plan_id

    def kept_plan(self, plan_id: str) -> Any:
        """Return the plan of this id, or None where there is none or where it was altered."""
        if self._database is None:
            return None
        plan = self._database.read(lambda connection: _recall(connection, f"{PLAN}{plan_id}"))
        return plan if plan is not None and hmac.compare_digest(self.digest(plan), plan_id) else None

    def begin_run(self, ttl: float = 30.0) -> Run:
        """Begin a run with a lease; the tasks that this store writes from now on are that run's.

        A store has one run at a time: the lease of an earlier one is not renewed any more.
        """
        if self._run is not None:
            self._run.stop()
        user = process.describe()
        self._run = runs.begin(self.database, self.by if self.by == user else f"{user} ({self.by})", ttl)
        return self._run

    def take_over(self, run: Run) -> list[Task]:
        """The unfinished tasks of dead, expired and ended runs, which are this run's from now on."""
        return runs.take_over(self.database, run)

    def working(self, run_ids: Collection[str]) -> dict[str, str]:
        """``{run id: holder}`` of those among these runs that live and have unfinished tasks."""
        return self.database.read(lambda connection: runs.working(connection, self.database.time(connection), run_ids))

    def history(self, entity_id: str) -> list[Change]:
        """All changes of one entity, oldest first, deleted ones included."""
        if self._database is None:
            return []
        table = tables().history
        statement = table.select().where(table.c.entity_id == entity_id).order_by(table.c.version)
        rows = self.database.read(lambda connection: connection.execute(statement).all())
        return [Change(row.entity_id, row.version, row.at, row.by, row.what, json.loads(row.before)) for row in rows]

    def tombstones(self) -> list[Document]:
        """Entities deleted in the last 24 hours (state DELETED, ``deleted_at`` set), oldest first."""
        if self._database is None:
            return []
        table = tables().tombstones
        statement = table.select().order_by(table.c.deleted_at, table.c.id)
        rows = self.database.read(lambda connection: connection.execute(statement).all())
        return [from_dict(json.loads(row.document)) for row in rows]


def digest(key: bytes, value: Any) -> str:
    """Return the HMAC-SHA-256 in hex of a JSON value; the order of its keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _snapshot(database: Database, connection: Any, kinds: Iterable[str] | None, allocations: bool) -> Snapshot:
    t = tables()
    documents = t.documents.select()
    if kinds is not None:
        documents = documents.where(t.documents.c.kind.in_(list(kinds)))
    found = Snapshot(taken_at=database.time(connection))
    found.documents = [from_row(row) for row in connection.execute(documents)]
    providers = {row.id: row.kind for row in connection.execute(t.providers.select())}
    # A provider that lost its row still has its limits.
    kind_of = {d.id: d.kind for d in found.documents if d.kind in PROVIDERS} | providers
    inventories = connection.execute(t.inventories.select()).all()
    if allocations:
        found.providers = providers
        found.held = _held(connection, {row.id: (row.provider, row.resource) for row in inventories})
    used = _used(connection)
    for row in inventories:
        if row.provider in kind_of:
            inventory = Inventory(row.provider, kind_of[row.provider], row.resource, row.unit, row.limit, row.foreign)
            found.inventories.setdefault(row.provider, {})[row.resource] = inventory
            if row.id in used:
                found.usage.setdefault(row.provider, {})[row.resource] = used[row.id]
    found.exclusives = {row.key: row.consumer for row in connection.execute(t.exclusives.select())}
    found.open_tasks = tasks_of(connection, t, t.tasks.c.ended_at.is_(None))
    found.live_runs = runs.live(connection, found.taken_at)
    return found


def _used(connection: Any) -> dict[int, int]:
    """The sum of the allocations of each inventory."""
    sa, held = load(), tables().allocations.c
    sums = sa.select(held.inventory, sa.func.sum(held.amount)).group_by(held.inventory)
    return {inventory: int(amount) for inventory, amount in connection.execute(sums)}


def _held(connection: Any, inventories: Mapping[int, tuple[str, str]]) -> dict[str, dict[tuple[str, str], int]]:
    """Every allocation by consumer; of an inventory that does not exist under its number."""
    found: dict[str, dict[tuple[str, str], int]] = {}
    for consumer, inventory, amount in connection.execute(tables().allocations.select()):
        key = inventories.get(inventory) or ("", f"inventory {inventory}")
        found.setdefault(consumer, {})[key] = amount
    return found


def _recall(connection: Any, key: str | None) -> Any:
    commits = tables().commits
    text = connection.execute(
        commits.select().where(commits.c.key == key).with_only_columns(commits.c.result)
    ).scalar_one_or_none()
    return None if text is None else json.loads(text)


def _has_content(path: str) -> bool:
    try:
        return os.stat(path).st_size > 0
    except FileNotFoundError:
        return False
    except OSError as error:
        raise PhotonError(
            "CloudStoreUnavailable", f"the CloudStore {path} cannot be read ({error.strerror}): check its permissions"
        ) from error
