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

_PLAIN = ("name", "scope", "state", "managed_by", "name_key")


class Documents(Base):
    """The part of Transaction that keeps documents, their history and their tombstones."""

    def get(self, ids: Iterable[str]) -> dict[str, Document]:
        """``{id: document}`` of those that exist."""
        table = self._tables.documents
        return {row.id: from_row(row) for row in self._rows(table, table.c.id, ids)}

    def find(self, kind: str, scope: str, name: str) -> Document | None:
        """The one document of that name, or None. Raises InvalidEntity when several share it."""
        table = self._tables.documents
        found = self.connection.execute(table.select().where(
            table.c.kind == kind, table.c.scope == scope, table.c.name == name)).all()
        if len(found) > 1:
            ids = ", ".join(sorted(row.id for row in found))
            raise PhotonError("InvalidEntity", f"{len(found)} entities of kind {kind} are named {name!r}: say which by id ({ids})")
        return from_row(found[0]) if found else None

    def list(self, kind: str, scope: str | None = None) -> list[Document]:
        """All documents of a kind, or those in one scope."""
        table = self._tables.documents
        statement = table.select().where(table.c.kind == kind)
        if scope is not None:
            statement = statement.where(table.c.scope == scope)
        return [from_row(row) for row in self.connection.execute(statement)]

    def insert(self, documents: Iterable[Document]) -> list[Document]:
        """Add new documents; returns them as version 1 with their times. Raises NameTaken (data: name, id)."""
        made = [replace(d, version=1, created_at=self.now, updated_at=self.now, deleted_at=None) for d in documents]
        if not made:
            return made
        self._refuse_taken({d.name_key: d for d in made if d.name_key is not None}, len([d for d in made if d.name_key]))
        self.connection.execute(self._tables.documents.insert(), [_to_row(d) for d in made])
        self._remember([(d.id, 1, "insert", "{}") for d in made])
        return made

    def update(self, documents: Iterable[Document]) -> list[Document]:
        """Replace documents; each must still have the version it was read with. Returns them with the next version.

        Raises StaleVersion (data: ids), the kind's NotFound code, NameTaken.
        """
        changed = {d.id: d for d in documents}
        if not changed:
            return []
        table, sa = self._tables.documents, self._sa
        old = {row.id: from_row(row) for row in self._rows(table, table.c.id, changed, lock=True)}
        self._refuse_stale(changed, old)
        claimed = {d.name_key: d for d in changed.values() if d.name_key is not None and d.name_key != old[d.id].name_key}
        self._refuse_taken(claimed, len(claimed))
        made = [replace(d, version=d.version + 1, created_at=old[d.id].created_at, updated_at=self.now) for d in changed.values()]
        statement = table.update().where(table.c.id == sa.bindparam("of_id"), table.c.version == sa.bindparam("of_version"))
        columns = ("name", "scope", "state", "managed_by", "version", "name_key", "updated_at", "body")
        rows = []
        for document in made:
            row = _to_row(document)
            rows.append({"of_id": document.id, "of_version": document.version - 1, **{name: row[name] for name in columns}})
        self.connection.execute(statement.values({name: sa.bindparam(name) for name in columns}), rows)
        self._remember([(d.id, d.version, "update", dump(_difference(old[d.id], d))) for d in made])
        return made

    def delete(self, documents: Iterable[Document]) -> None:
        """Turn documents into tombstones; their names, quota counters, capacity and group memberships become free.

        Raises StaleVersion and the kind's NotFound code.
        """
        gone = {d.id: d for d in documents}
        if not gone:
            return
        tables, sa = self._tables, self._sa
        old = {row.id: from_row(row) for row in self._rows(tables.documents, tables.documents.c.id, gone, lock=True)}
        self._refuse_stale(gone, old)
        buried = [replace(d, state="DELETED", version=d.version + 1, deleted_at=self.now) for d in old.values()]
        self.connection.execute(tables.tombstones.insert(), [
            {"id": d.id, "kind": d.kind, "deleted_at": self.now, "deleted_by": self.by, "document": dump(to_dict(d))} for d in buried])
        self._remember([(d.id, d.version, "delete", dump(to_dict(old[d.id]))) for d in buried])
        for table, column in ((tables.documents, "id"), (tables.counters, "owner_id"), (tables.capacity, "id"),
                              (tables.group_members, "entity_id")):
            self.connection.execute(table.delete().where(table.c[column] == sa.bindparam("of")), [{"of": key} for key in gone])

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _refuse_taken(self, claimed: Mapping[str, Document], number: int) -> None:
        if len(claimed) != number:
            raise PhotonError("NameTaken", "two of the new entities have the same name: give each its own")
        table = self._tables.documents
        for row in self._rows(table, table.c.name_key, claimed):
            document = claimed[row.name_key]
            raise PhotonError("NameTaken", f"there is already a {row.kind} named {row.name!r}: take another name, or change "
                              "the existing one", {"kind": row.kind, "name": document.name, "id": row.id})

    def _refuse_stale(self, wanted: Mapping[str, Document], found: Mapping[str, Document]) -> None:
        for key, document in wanted.items():
            if key not in found:
                raise PhotonError(entities.NOT_FOUND.get(document.kind, "NotFound"), f"the {document.kind} {document.name!r} is "
                                  "no longer there: somebody deleted it meanwhile; run again", {"id": key})
        stale = [d for key, d in wanted.items() if found[key].version != d.version]
        if stale:
            first = stale[0]
            raise PhotonError("StaleVersion", f"the {first.kind} {first.name!r} was changed by somebody else meanwhile (version "
                              f"{found[first.id].version}, read as {first.version}): run again", {"ids": [d.id for d in stale]})

    def _remember(self, changes: Iterable[tuple[str, int, str, str]]) -> None:
        self.connection.execute(self._tables.history.insert(), [
            {"entity_id": key, "version": version, "at": self.now, "by": self.by, "what": what, "before": before}
            for key, version, what, before in changes])


def from_row(row: Any) -> Document:
    return Document(row.kind, row.name, row.scope, row.state, row.managed_by, row.id, row.version, row.name_key,
                    row.created_at, row.updated_at, None, json.loads(row.body))


def to_dict(document: Document) -> dict[str, Any]:
    """A document as JSON, the way a tombstone and a delete's history keep it."""
    return {name: getattr(document, name) for name in Document.__slots__}


def from_dict(fields: Mapping[str, Any]) -> Document:
    return Document(**fields)


def _to_row(document: Document) -> dict[str, Any]:
    return {"id": document.id, "kind": document.kind, "scope": document.scope, "name": document.name, "state": document.state,
            "managed_by": document.managed_by, "version": document.version, "name_key": document.name_key,
            "created_at": document.created_at, "updated_at": document.updated_at, "body": dump(document.body)}


def _difference(old: Document, new: Document) -> dict[str, Any]:
    """What the changed fields held before; a change of what is kept in the body is named by its key."""
    before = {name: getattr(old, name) for name in _PLAIN if getattr(old, name) != getattr(new, name)}
    for key in {**old.body, **new.body}:
        if old.body.get(key) != new.body.get(key):
            before[f"body.{key}"] = old.body.get(key)
    return before
