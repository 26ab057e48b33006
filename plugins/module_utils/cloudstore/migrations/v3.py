# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Version 3: the copies of an image are documents of their own, with their space on the datastore; raw digests.

Table and body layouts are written out here: later changes of the code must not change this upgrade.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from ..library import load

_CREATE = (
    "CREATE TABLE raw_digests (sha256 TEXT NOT NULL, chunk BIGINT NOT NULL, digest TEXT NOT NULL, "
    "PRIMARY KEY (sha256, chunk))"
)
_INSERT = (
    "INSERT INTO documents (id, kind, scope, name, state, managed_by, version, name_key, created_at, updated_at, "
    "body, observed) VALUES (:id, 'image-copy', :scope, :name, 'READY', :managed_by, 1, :name_key, :at, :at, :body, "
    ":observed)"
)
# Of a datastore without recorded capacity nothing more may be claimed.
_ADD_INVENTORY = (
    'INSERT INTO inventories (provider, resource, unit, "limit", "foreign") '
    "SELECT id, 'space', 'B', 0, 0 FROM providers WHERE id = :datastore ON CONFLICT DO NOTHING"
)
_ALLOCATE = (
    "INSERT INTO allocations SELECT :id, id, :size FROM inventories WHERE provider = :datastore AND resource = 'space'"
)

Row = dict[str, Any]


def upgrade(connection: Any) -> None:
    """Change a version 2 database into version 3 in the caller's transaction."""
    connection.exec_driver_sql(_CREATE)
    rows = connection.exec_driver_sql("SELECT id, kind, name, managed_by, body, updated_at FROM documents")
    documents = {row.id: {**row._mapping, "body": json.loads(row.body)} for row in rows}
    images = [document for document in documents.values() if document["kind"] == "image"]
    copies = [copy for image in images for copy in _copies(image, documents)]
    _run(connection, _INSERT, copies)
    _run(connection, _ADD_INVENTORY, copies)
    _run(connection, _ALLOCATE, (copy for copy in copies if copy["size"] > 0))
    bodies = ({"id": image["id"], "body": _dump(_without_copies(image["body"]))} for image in images)
    _run(connection, "UPDATE documents SET body = :body WHERE id = :id", bodies)
    _change_tombstones(connection)


def _copies(image: Row, documents: dict[str, Row]) -> Iterator[Row]:
    """Yield the row of each complete copy whose datastore is recorded."""
    for store_id, copy in image["body"].get("copies", {}).items():
        store = documents.get(store_id)
        if store is None or not copy.get("path"):
            continue
        size = int(image["body"].get("size") or 0)
        body = {"datastore": store_id, "size": size, "template_uuid": copy.get("template_uuid") or ""}
        yield {
            "id": str(uuid.uuid4()),
            "scope": image["id"],
            "name": store["name"],
            "managed_by": image["managed_by"],
            "name_key": f"image-copy/{image['id']}/{store_id}",
            "at": image["updated_at"],
            "body": _dump(body),
            "observed": _dump({"path": copy["path"], "template_moid": copy.get("template_moid") or ""}),
            "datastore": store_id,
            "size": size,
        }


def _change_tombstones(connection: Any) -> None:
    rows = []
    for row in connection.exec_driver_sql("SELECT id, document FROM tombstones WHERE kind = 'image'"):
        document = json.loads(row.document)
        document["body"] = _without_copies(document["body"])
        rows.append({"id": row.id, "document": _dump(document)})
    _run(connection, "UPDATE tombstones SET document = :document WHERE id = :id", rows)


def _without_copies(body: Row) -> Row:
    return {key: value for key, value in body.items() if key != "copies"}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _run(connection: Any, statement: str, rows: Iterable[Row]) -> None:
    """Run a statement for each row; its parameters are those of the row's keys that it names after colons."""
    text = load().text(statement)
    names = set(text.compile().params)
    chosen = [{name: row[name] for name in names} for row in rows]
    if chosen:
        connection.execute(text, chosen)
