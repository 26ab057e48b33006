# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents inside a transaction: intent changes are compared with the version that was read, observations are not."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model.entities import Document
from ..model.errors import PhotonError
from .base import Base, concurrent, dump
from .bulk import CHANGE, SHARE, Bulk, Delete, Fetch, Insert, Update
from .errors import Conflict, TryAgain
from .rows import PROVIDERS
from .tables import tables

HISTORY_KEPT = 50  # versions of a living document

_PLAIN = ("name", "scope", "state", "managed_by", "name_key")
_CHANGING = (*_PLAIN, "version", "updated_at", "body", "observed")
_COLUMNS = ("id", "kind", "created_at", *_CHANGING)

_INSERT = Insert("documents", _COLUMNS)
_UPDATE = Update("documents", ("id",), _CHANGING)
_OBSERVE = Update("documents", ("id",), ("observed", "state"))
_HISTORY = Insert("history", ("entity_id", "version", "at", "by", "what", "before"))
_TRIM_HISTORY = Bulk(
    "history",
    ("entity_id", "version"),
    lambda history, oldest: history.delete().where(
        history.c.entity_id == oldest["entity_id"], history.c.version < oldest["version"]
    ),
)
_BURY = Insert("tombstones", ("id", "kind", "deleted_at", "deleted_by", "document"))
_ADD_PROVIDERS = Insert("providers", ("id", "kind"))
_DELETE = Delete("documents", "id")
# Everything that a deleted document held or provided.
_FORGET = (
    Delete("allocations", "consumer"),
    Delete("exclusives", "consumer"),
    Delete(
        "allocations",
        where=lambda t, wanted: t.allocations.c.inventory.in_(
            t.inventories.select().where(wanted(t.inventories.c.provider)).with_only_columns(t.inventories.c.id)
        ),
    ),
    Delete("inventories", "provider"),
    Delete("providers", "id"),
)
_BY_ID = Fetch("documents", "id")
_CONTENT = Fetch("documents", "scope")
_CHANGE = Fetch("documents", "id", lock=CHANGE)
_VERSIONS = Fetch("documents", "id", lock=SHARE, columns=("id", "kind", "name", "version"))
_BY_NAME_KEY = Fetch("documents", "name_key", columns=("id", "kind", "name"))


class Documents(Base):
    """The part of Transaction that keeps documents, their history and their tombstones."""

    def get(self, ids: Iterable[str]) -> dict[str, Document]:
        """``{id: document}`` of those that exist."""
        return {row.id: from_row(row) for row in _BY_ID.rows(self.connection, ids)}

    def users(self, ids: Iterable[str], *, references: bool = False) -> dict[str, list[Document]]:
        """``{id: documents}`` that live in these documents; with ``references`` those whose body names them too.

        The documents themselves stay locked until the transaction ends, so that no user can be added.
        """
        wanted = list(ids)
        _CHANGE.rows(self.connection, wanted)
        found: dict[str, list[Document]] = {key: [] for key in wanted}
        for row in _CONTENT.rows(self.connection, wanted):
            found[row.scope].append(from_row(row))
        if references:
            table = tables().documents
            for key in wanted:
                statement = table.select().where(table.c.body.contains(key, autoescape=True), table.c.id != key)
                found[key] += [from_row(row) for row in self.connection.execute(statement)]
        return found

    def check_versions(self, versions: Mapping[str, int]) -> None:
        """Keep documents unchanged until the transaction ends: ``{id: version}`` as the plan read them.

        Raises Conflict (StaleVersion; data: ids) when one was changed or deleted. The transaction that adds tasks calls
        this for every document the plan used.
        """
        found = {row.id: row for row in _VERSIONS.rows(self.connection, versions)}
        _refuse_stale(versions, found)

    def insert(self, documents: Iterable[Document]) -> list[Document]:
        """Add new documents; returns them as version 1 with their times.

        Raises Conflict (NameTaken; data: kind, name, id) for a name that exists, StaleVersion for an id that exists.
        """
        made = [replace(d, version=1, created_at=self.now, updated_at=self.now, deleted_at=None) for d in documents]
        _refuse_twins(made)
        if _INSERT.execute(self.connection, [_to_row(d) for d in made]) != len(made):
            self._refuse_inserted(made)
        providers = [{"id": d.id, "kind": d.kind} for d in made if d.kind in PROVIDERS]
        _ADD_PROVIDERS.execute(self.connection, providers)
        self._remember([(d.id, 1, "insert", "{}") for d in made])
        self.inserted.update(d.id for d in made)
        return made

    def update(self, documents: Iterable[Document]) -> list[Document]:
        """Replace documents; each must have the version it was read with. Returns them as they are afterwards.

        ``observed`` stays as recorded: only observe and settle write it. A document without any change keeps its
        version. Raises Conflict: StaleVersion (data: ids) for one that was changed or deleted, ConcurrentTask for one
        that another run's task locks, NameTaken.
        """
        changed = {d.id: d for d in documents}
        old = self._unchanged(changed)
        named = [d for d in changed.values() if d.name_key is not None and d.name_key != old[d.id].name_key]
        _refuse_twins(named)
        self._refuse_taken(named)
        return self._change(old, {d.id: replace(d, observed=old[d.id].observed) for d in changed.values()})

    def delete(self, documents: Iterable[Document]) -> None:
        """Turn documents into tombstones and delete all they held or provided.

        Raises Conflict as update does.
        """
        gone = {d.id: d for d in documents}
        self._bury(self._unchanged(gone).values())

    def settle(self, documents: Iterable[Document]) -> list[str]:
        """Record results: write state, body and observed of documents that this run's open tasks lock.

        Versions are not compared, since the task is the lock: call it before finish_tasks. Returns the ids of documents
        that no longer exist; nothing is raised for them. Raises LeaseLost.
        """
        wanted = {d.id: d for d in documents}
        old = self._locked_by_us(wanted)
        self._change(
            old,
            {
                key: replace(row, state=wanted[key].state, body=wanted[key].body, observed=wanted[key].observed)
                for key, row in old.items()
            },
        )
        return [key for key in wanted if key not in old]

    def bury(self, documents: Iterable[Document]) -> list[str]:
        """Delete documents that this run's open tasks lock, with all they held; otherwise as settle."""
        wanted = {d.id: d for d in documents}
        old = self._locked_by_us(wanted)
        self._bury(old.values())
        return [key for key in wanted if key not in old]

    def observe(
        self, observed: Mapping[str, Mapping[str, Any]], states: Mapping[str, str] | None = None
    ) -> list[Document]:
        """Replace ``{id: observed}`` (and ``{id: state}``) of documents that exist and no other run works on.

        Best effort: other documents are skipped. The version stays and no history is written. Returns the documents
        that were written as they are now, locked until the transaction ends: compute their claims from these.
        """
        states = states or {}
        found = [from_row(row) for row in _CHANGE.rows(self.connection, [*observed, *states])]
        tasks = self.open_tasks(d.id for d in found)
        after = [
            replace(d, observed=dict(observed.get(d.id, d.observed)), state=states.get(d.id, d.state))
            for d in found
            if d.id not in tasks or self.is_ours(tasks[d.id])
        ]
        before = {d.id: d for d in found}
        _OBSERVE.execute(
            self.connection,
            [{"id": d.id, "observed": dump(d.observed), "state": d.state} for d in after if d != before[d.id]],
        )
        return after

    def forget(self, ids: Iterable[str]) -> None:
        """Delete everything that these ids held or provided; documents stay."""
        gone = list(ids)
        for statement in _FORGET:
            statement.execute(self.connection, gone)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _unchanged(self, wanted: Mapping[str, Document]) -> dict[str, Document]:
        """The present documents, locked; they have the wanted versions and no task of another run."""
        found = {row.id: from_row(row) for row in _CHANGE.rows(self.connection, wanted)}
        _refuse_stale({key: document.version for key, document in wanted.items()}, found)
        for task in self.open_tasks(found).values():
            if not self.is_ours(task):
                raise concurrent(task)
        return found

    def _locked_by_us(self, ids: Iterable[str]) -> dict[str, Document]:
        """The present documents of these ids, locked; each has an open task of this run."""
        self.fence()
        found = {row.id: from_row(row) for row in _CHANGE.rows(self.connection, ids)}
        tasks = self.open_tasks(found)
        unlocked = [key for key in found if key not in tasks or not self.is_ours(tasks[key])]
        if unlocked:
            raise PhotonError(
                "InternalError", f"results of entities that no task of this run locks: {', '.join(sorted(unlocked))}"
            )
        return found

    def _change(self, old: Mapping[str, Document], new: Mapping[str, Document]) -> list[Document]:
        made, changes = [], []
        for key, document in new.items():
            before = _difference(old[key], document)
            now = replace(
                document,
                version=old[key].version + bool(before),
                created_at=old[key].created_at,
                updated_at=self.now if before else old[key].updated_at,
                deleted_at=None,
            )
            made.append(now)
            if before:
                changes.append((key, now.version, "update", dump(before)))
        _UPDATE.execute(self.connection, [_to_row(document) for document in made if document != old[document.id]])
        self._remember(changes)
        return made

    def _bury(self, documents: Iterable[Document]) -> None:
        old = list(documents)
        buried = [replace(d, state="DELETED", version=d.version + 1, deleted_at=self.now) for d in old]
        _BURY.execute(
            self.connection,
            [
                {
                    "id": d.id,
                    "kind": d.kind,
                    "deleted_at": self.now,
                    "deleted_by": self.by,
                    "document": dump(to_dict(d)),
                }
                for d in buried
            ],
        )
        self._remember([(d.id, d.version + 1, "delete", dump(to_dict(d))) for d in old])
        _DELETE.execute(self.connection, [d.id for d in old])
        self.forget(d.id for d in old)

    def _refuse_inserted(self, made: list[Document]) -> None:
        """Say which key of a refused insert exists."""
        self._refuse_taken(made)
        existing = [row.id for row in _BY_ID.rows(self.connection, [d.id for d in made]) if row.created_at != self.now]
        if existing:
            raise Conflict(
                "StaleVersion",
                f"an entity with the id {existing[0]} was created concurrently: run again",
                {"ids": existing},
            )
        raise TryAgain("the document that held the name was deleted concurrently")

    def _refuse_taken(self, documents: Iterable[Document]) -> None:
        ours = {d.name_key: d for d in documents if d.name_key is not None}
        ids = {d.id for d in ours.values()}
        for row in _BY_NAME_KEY.rows(self.connection, ours):
            if row.id not in ids:
                raise _taken(row.kind, row.name, row.id)

    def _remember(self, changes: Iterable[tuple[str, int, str, str]]) -> None:
        rows = [
            {"entity_id": key, "version": version, "at": self.now, "by": self.by, "what": what, "before": before}
            for key, version, what, before in changes
        ]
        _HISTORY.execute(self.connection, rows)
        _TRIM_HISTORY.execute(
            self.connection,
            [
                {"entity_id": row["entity_id"], "version": row["version"] - HISTORY_KEPT + 1}
                for row in rows
                if row["version"] > HISTORY_KEPT
            ],
        )


def _taken(kind: str, name: str, key: str) -> Conflict:
    return Conflict(
        "NameTaken",
        f"a {kind} named {name!r} exists already: choose another name, or change the existing {kind}",
        {"kind": kind, "name": name, "id": key, "ids": [key]},
    )


def _refuse_twins(documents: Iterable[Document]) -> None:
    """Planning again does not help against two equal names in one batch, so this is not a Conflict."""
    seen: dict[str, Document] = {}
    for document in documents:
        if document.name_key is not None and seen.setdefault(document.name_key, document) is not document:
            raise PhotonError(
                "NameTaken",
                f"two entities of kind {document.kind} are named {document.name!r}: choose another name for one",
                {"kind": document.kind, "name": document.name, "id": seen[document.name_key].id},
            )


def _refuse_stale(wanted: Mapping[str, int], found: Mapping[str, Any]) -> None:
    """``found``: documents or rows that have kind, name and version."""
    missing = [key for key in wanted if key not in found]
    stale = [key for key, version in wanted.items() if key in found and found[key].version != version]
    if not missing and not stale:
        return
    if missing:
        words = f"the entity {missing[0]} was deleted concurrently"
    else:
        row = found[stale[0]]
        words = (
            f"the {row.kind} {row.name!r} was changed concurrently (version {row.version}, read as version "
            f"{wanted[stale[0]]})"
        )
    raise Conflict("StaleVersion", f"{words}: run again", {"ids": [*missing, *stale]})


def from_row(row: Any) -> Document:
    return Document(**{**row._mapping, "body": json.loads(row.body), "observed": json.loads(row.observed)})


def to_dict(document: Document) -> dict[str, Any]:
    """A document as JSON, the way a tombstone and a delete's history keep it."""
    return {name: getattr(document, name) for name in Document.__slots__}


def from_dict(fields: Mapping[str, Any]) -> Document:
    return Document(**fields)


def _to_row(document: Document) -> dict[str, Any]:
    row = {name: getattr(document, name) for name in _COLUMNS}
    return {**row, "body": dump(document.body), "observed": dump(document.observed)}


def _difference(old: Document, new: Document) -> dict[str, Any]:
    """The previous values of the changed fields, observed facts excepted; of the body's fields by their keys."""
    before = {name: getattr(old, name) for name in _PLAIN if getattr(old, name) != getattr(new, name)}
    for key in {**old.body, **new.body}:
        if old.body.get(key) != new.body.get(key):
            before[f"body.{key}"] = old.body.get(key)
    return before
