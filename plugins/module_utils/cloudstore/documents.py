# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents inside a transaction: inserted, updated against the version that was read, deleted to a tombstone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from .base import Base, dump
from .bulk import NUMBER, TEXT, TIME, Bulk, Fetch, Insert
from .errors import TryAgain
from .tables import tables

_PLAIN = ("name", "scope", "state", "managed_by", "name_key")
_COLUMNS = {
    "id": TEXT,
    "kind": TEXT,
    "scope": TEXT,
    "name": TEXT,
    "state": TEXT,
    "managed_by": TEXT,
    "version": NUMBER,
    "name_key": TEXT,
    "created_at": TIME,
    "updated_at": TIME,
    "body": TEXT,
}
_CHANGING = ("scope", "name", "state", "managed_by", "version", "name_key", "updated_at", "body")

_INSERT = Insert("documents", _COLUMNS)
_UPDATE = Bulk(
    {"of_id": TEXT, "of_version": NUMBER, **{f"new_{name}": _COLUMNS[name] for name in _CHANGING}},
    lambda t, v: (
        t.documents.update()
        .where(t.documents.c.id == v.of_id, t.documents.c.version == v.of_version)
        .values({name: getattr(v, f"new_{name}") for name in _CHANGING})
    ),
)
_HISTORY = Insert(
    "history", {"entity_id": TEXT, "version": NUMBER, "at": TIME, "by": TEXT, "what": TEXT, "before": TEXT}
)
_BURY = Insert("tombstones", {"id": TEXT, "kind": TEXT, "deleted_at": TIME, "deleted_by": TEXT, "document": TEXT})
_DELETE = Bulk({"of_id": TEXT}, lambda t, v: t.documents.delete().where(t.documents.c.id == v.of_id))
_FORGET = (
    Bulk({"of_id": TEXT}, lambda t, v: t.counters.delete().where(t.counters.c.owner_id == v.of_id)),
    Bulk({"of_id": TEXT}, lambda t, v: t.capacity.delete().where(t.capacity.c.id == v.of_id)),
    Bulk({"of_id": TEXT}, lambda t, v: t.group_members.delete().where(t.group_members.c.entity_id == v.of_id)),
)
_BY_ID = Fetch("documents", "id")
_LOCKED = Fetch("documents", "id", lock=True)
_BY_NAME_KEY = Fetch("documents", "name_key")


class Documents(Base):
    """The part of Transaction that keeps documents, their history and their tombstones."""

    def get(self, ids: Iterable[str]) -> dict[str, Document]:
        """``{id: document}`` of those that exist."""
        return {row.id: from_row(row) for row in _BY_ID.rows(self.connection, ids)}

    def find(self, kind: str, scope: str, name: str) -> Document | None:
        """The one document of that name, or None. Raises InvalidEntity when several share it."""
        table = tables().documents
        found = self.connection.execute(
            table.select().where(table.c.kind == kind, table.c.scope == scope, table.c.name == name)
        ).all()
        if len(found) > 1:
            ids = ", ".join(sorted(row.id for row in found))
            raise PhotonError(
                "InvalidEntity", f"{len(found)} entities of kind {kind} are named {name!r}: say which by id ({ids})"
            )
        return from_row(found[0]) if found else None

    def list(self, kind: str, scope: str | None = None) -> list[Document]:
        """All documents of a kind, or those in one scope."""
        table = tables().documents
        statement = table.select().where(table.c.kind == kind)
        if scope is not None:
            statement = statement.where(table.c.scope == scope)
        return [from_row(row) for row in self.connection.execute(statement)]

    def insert(self, documents: Iterable[Document]) -> list[Document]:
        """Add new documents; returns them as version 1 with their times.

        Raises NameTaken (data: kind, name, id); nothing is added then.
        """
        made = [replace(d, version=1, created_at=self.now, updated_at=self.now, deleted_at=None) for d in documents]
        _refuse_twins(made)
        if _INSERT.execute(self.connection, [_to_row(d) for d in made]) != len(made):
            self._refuse_inserted(made)
        self._remember([(d.id, 1, "insert", "{}") for d in made])
        return made

    def update(self, documents: Iterable[Document]) -> list[Document]:
        """Replace documents; each must still have the version it was read with. Returns them with the next version.

        Raises StaleVersion (data: ids), the kind's NotFound code, NameTaken; nothing is changed then.
        """
        changed = {d.id: d for d in documents}
        old = {row.id: from_row(row) for row in _LOCKED.rows(self.connection, changed)}
        _refuse_stale(changed, old)
        named = [d for d in changed.values() if d.name_key is not None and d.name_key != old[d.id].name_key]
        _refuse_twins(named)
        self._refuse_taken(named)
        made = [
            replace(d, version=d.version + 1, created_at=old[d.id].created_at, updated_at=self.now)
            for d in changed.values()
        ]
        rows = []
        for document in made:
            row = _to_row(document)
            rows.append(
                {
                    "of_id": document.id,
                    "of_version": document.version - 1,
                    **{f"new_{name}": row[name] for name in _CHANGING},
                }
            )
        _UPDATE.execute(self.connection, rows)
        self._remember([(d.id, d.version, "update", dump(_difference(old[d.id], d))) for d in made])
        return made

    def delete(self, documents: Iterable[Document]) -> None:
        """Turn documents into tombstones; their names, quota counters, capacity and group memberships become free.

        Raises StaleVersion and the kind's NotFound code; nothing is changed then.
        """
        gone = {d.id: d for d in documents}
        old = {row.id: from_row(row) for row in _LOCKED.rows(self.connection, gone)}
        _refuse_stale(gone, old)
        buried = [replace(d, state="DELETED", version=d.version + 1, deleted_at=self.now) for d in old.values()]
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
        self._remember([(d.id, d.version, "delete", dump(to_dict(old[d.id]))) for d in buried])
        rows = [{"of_id": key} for key in sorted(gone)]
        for statement in (_DELETE, *_FORGET):
            statement.execute(self.connection, rows)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _refuse_inserted(self, made: list[Document]) -> None:
        """Some rows were left out since their key is taken: take the others away again and say which it was."""
        known = _BY_ID.rows(self.connection, [d.id for d in made])
        ours = {d.id: d.name_key for d in made}
        _DELETE.execute(self.connection, [{"of_id": row.id} for row in known if self._is_new(row, ours)])
        self._refuse_taken(made)
        for row in _BY_ID.rows(self.connection, ours):
            raise PhotonError(
                "NameTaken",
                f"there is already an entity with the id {row.id} (the {row.kind} {row.name!r})",
                {"kind": row.kind, "name": row.name, "id": row.id},
            )
        raise TryAgain("what held the name has gone meanwhile")

    def _is_new(self, row: Any, ours: Mapping[str, str | None]) -> bool:
        return row.version == 1 and row.created_at == self.now and row.name_key == ours[row.id]

    def _refuse_taken(self, documents: Iterable[Document]) -> None:
        claimed = {d.name_key: d for d in documents if d.name_key is not None}
        for row in _BY_NAME_KEY.rows(self.connection, claimed):
            raise _taken(row.kind, row.name, row.id)

    def _remember(self, changes: Iterable[tuple[str, int, str, str]]) -> None:
        _HISTORY.execute(
            self.connection,
            [
                {"entity_id": key, "version": version, "at": self.now, "by": self.by, "what": what, "before": before}
                for key, version, what, before in changes
            ],
        )


def _taken(kind: str, name: str, key: str) -> PhotonError:
    return PhotonError(
        "NameTaken",
        f"there is already a {kind} named {name!r}: take another name, or change the existing one",
        {"kind": kind, "name": name, "id": key},
    )


def _refuse_twins(documents: Iterable[Document]) -> None:
    seen: dict[str, Document] = {}
    for document in documents:
        if document.name_key is not None and seen.setdefault(document.name_key, document) is not document:
            raise _taken(document.kind, document.name, seen[document.name_key].id)


def _refuse_stale(wanted: Mapping[str, Document], found: Mapping[str, Document]) -> None:
    for key, document in wanted.items():
        if key not in found:
            raise PhotonError(
                entities.NOT_FOUND.get(document.kind, "NotFound"),
                f"the {document.kind} {document.name!r} is no longer there: somebody deleted it meanwhile; run again",
                {"id": key},
            )
    stale = [d for key, d in wanted.items() if found[key].version != d.version]
    if stale:
        first = stale[0]
        raise PhotonError(
            "StaleVersion",
            f"the {first.kind} {first.name!r} was changed by somebody else meanwhile "
            f"(version {found[first.id].version}, read as {first.version}): run again",
            {"ids": [d.id for d in stale]},
        )


def from_row(row: Any) -> Document:
    return Document(
        row.kind,
        row.name,
        row.scope,
        row.state,
        row.managed_by,
        row.id,
        row.version,
        row.name_key,
        row.created_at,
        row.updated_at,
        None,
        json.loads(row.body),
    )


def to_dict(document: Document) -> dict[str, Any]:
    """A document as JSON, the way a tombstone and a delete's history keep it."""
    return {name: getattr(document, name) for name in Document.__slots__}


def from_dict(fields: Mapping[str, Any]) -> Document:
    return Document(**fields)


def _to_row(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "kind": document.kind,
        "scope": document.scope,
        "name": document.name,
        "state": document.state,
        "managed_by": document.managed_by,
        "version": document.version,
        "name_key": document.name_key,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
        "body": dump(document.body),
    }


def _difference(old: Document, new: Document) -> dict[str, Any]:
    """What the changed fields held before; a change of what is kept in the body is named by its key."""
    before = {name: getattr(old, name) for name in _PLAIN if getattr(old, name) != getattr(new, name)}
    for key in {**old.body, **new.body}:
        if old.body.get(key) != new.body.get(key):
            before[f"body.{key}"] = old.body.get(key)
    return before
