# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Version 2: allocations per consumer instead of running totals; documents split into intent and observed facts.

Everything that version 1 counted is recomputed from the documents, so that totals that had drifted are right again.
Table and body layouts are written out here: later changes of the code must not change this upgrade.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from ..library import load

_VM_FACTS = ("endpoint", "host", "cluster", "address", "vsphere")
_HOST_FACTS = ("moid", "cluster", "drs", "vcpus", "memory", "port_groups", "datastores")
_DATASTORE_FACTS = ("moid", "url", "type", "capacity")
_SERIAL = {"sqlite": "INTEGER NOT NULL PRIMARY KEY", "postgresql": "BIGSERIAL NOT NULL PRIMARY KEY"}
_CREATE = (
    "ALTER TABLE documents ADD COLUMN observed TEXT NOT NULL DEFAULT '{}'",
    "CREATE TABLE providers (id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL)",
    (
        "CREATE TABLE inventories (id {serial}, provider TEXT NOT NULL, resource TEXT NOT NULL, unit TEXT NOT NULL, "
        '"limit" BIGINT, "foreign" BIGINT NOT NULL)'
    ),
    "CREATE UNIQUE INDEX inventories_resource ON inventories (provider, resource)",
    (
        "CREATE TABLE allocations (consumer TEXT NOT NULL, inventory BIGINT NOT NULL, amount BIGINT NOT NULL, "
        "PRIMARY KEY (consumer, inventory))"
    ),
    "CREATE INDEX allocations_inventory ON allocations (inventory, amount)",
    "CREATE TABLE exclusives (key TEXT NOT NULL PRIMARY KEY, consumer TEXT NOT NULL)",
    "CREATE INDEX exclusives_consumer ON exclusives (consumer)",
)
_INVENTORY = 'INSERT INTO inventories (provider, resource, unit, "limit", "foreign")'
_EXISTING = "IN (SELECT id FROM documents)"
_FILL = (
    "INSERT INTO providers SELECT id, kind FROM documents WHERE kind IN ('tenant', 'project', 'host', 'datastore')",
    (
        f'{_INVENTORY} SELECT owner_id, key, unit, "limit", 0 FROM counters '
        f'WHERE "limit" IS NOT NULL AND owner_id {_EXISTING}'
    ),
    *(
        f"{_INVENTORY} SELECT id, '{resource}', '{unit}', {column}_limit, {column}_foreign FROM capacity "
        f"WHERE kind = '{kind}' AND id {_EXISTING}"
        for kind, resource, column, unit in (
            ("host", "vcpus", "vcpu", "COUNT"),
            ("host", "memory", "memory", "B"),
            ("datastore", "space", "space", "B"),
        )
    ),
)
# Of a host or datastore without recorded capacity nothing more may be claimed.
_ADD_INVENTORY = (
    f"{_INVENTORY} SELECT :provider, :resource, :unit, CASE WHEN kind IN ('tenant', 'project') THEN NULL ELSE 0 END, 0 "
    "FROM providers WHERE id = :provider ON CONFLICT DO NOTHING"
)
_ALLOCATE = (
    "INSERT INTO allocations SELECT :consumer, id, :amount FROM inventories "
    "WHERE provider = :provider AND resource = :resource"
)
_CLEAN = (
    (
        "DELETE FROM history WHERE version <= (SELECT documents.version - 50 FROM documents "
        "WHERE documents.id = history.entity_id)"
    ),
    "DROP TABLE counters",
    "DROP TABLE capacity",
    "DROP TABLE group_members",
)

Document = dict[str, Any]  # a row of documents; its body is decoded


def upgrade(connection: Any) -> None:
    """Change a version 1 database into version 2 in the caller's transaction."""
    rows = connection.exec_driver_sql("SELECT id, kind, scope, state, body, created_at FROM documents")
    documents = {row.id: {**row._mapping, "body": json.loads(row.body)} for row in rows}
    for statement in _CREATE:
        serial = _SERIAL[connection.dialect.name]
        connection.exec_driver_sql(statement.replace("{serial}", serial))
    for statement in _FILL:
        connection.exec_driver_sql(statement)
    holdings = [*_holdings(documents), *_project_limits(connection, documents)]
    _run(connection, _ADD_INVENTORY, ({**row, "unit": _unit(row["resource"])} for row in holdings))
    _run(connection, _ALLOCATE, (row for row in holdings if row["amount"] > 0))
    keys = _exclusives(connection, documents)
    _run(
        connection,
        "INSERT INTO exclusives VALUES (:key, :consumer)",
        ({"key": key, "consumer": keys[key]} for key in sorted(keys)),
    )
    _split_documents(connection, documents)
    _split_tombstones(connection)
    _run(connection, "INSERT INTO meta VALUES ('store_id', :id)", [{"id": str(uuid.uuid4())}])
    for statement in _CLEAN:
        connection.exec_driver_sql(statement)


# -- allocations ----------------------------------------------------------------------------------------------------


def _holdings(documents: dict[str, Document]) -> Iterator[dict[str, Any]]:
    """Yield the amount that each VM holds of each resource of its project, host and datastores."""
    for vm in _vms(documents):
        body, held = vm["body"], defaultdict(int)
        if vm["scope"] in documents:
            for key, (amount, _unit_written) in body["cost"].items():
                held[vm["scope"], key] += amount
        if body.get("host") in documents:
            held[body["host"], "vcpus"] += body["vcpus"]
            held[body["host"], "memory"] += body["memory"]
            for disk in body["disks"]:
                datastore = disk.get("datastore") or body.get("datastore")
                if datastore in documents:
                    held[datastore, "space"] += disk["capacity"]
        for (provider, resource), amount in held.items():
            yield {"consumer": vm["id"], "provider": provider, "resource": resource, "amount": amount}


def _project_limits(connection: Any, documents: dict[str, Document]) -> Iterator[dict[str, Any]]:
    """Yield the limits of projects, which they hold of their tenants."""
    for row in connection.exec_driver_sql('SELECT owner_id, key, "limit" FROM counters WHERE "limit" IS NOT NULL'):
        project = documents.get(row.owner_id)
        if project is not None and project["kind"] == "project" and project["scope"] in documents:
            yield {"consumer": row.owner_id, "provider": project["scope"], "resource": row.key, "amount": row.limit}


def _exclusives(connection: Any, documents: dict[str, Document]) -> dict[str, str]:
    """Names in vSphere folders and places of hard anti-affinity groups, with the VM that has them.

    Where several VMs need one key the one that version 1 recorded keeps it.
    """
    recorded = {}
    for row in connection.exec_driver_sql("SELECT group_name, topology_key, entity_id FROM group_members"):
        prefix = "" if row.group_name.startswith("name:") else "anti-affinity:"
        recorded[f"{prefix}{row.group_name}:{row.topology_key}"] = row.entity_id
    keys: dict[str, str] = {}
    for vm in sorted(_vms(documents), key=lambda d: (d["created_at"], d["id"])):
        for key in _keys_of(vm, documents):
            if key not in keys or recorded.get(key) == vm["id"]:
                keys[key] = vm["id"]
    return keys


def _keys_of(vm: Document, documents: dict[str, Document]) -> Iterator[str]:
    body = vm["body"]
    host, vsphere = documents.get(body.get("host")), body.get("vsphere")
    if host is not None:
        for group in body.get("groups") or ():
            if group["hard"] and group["kind"] == "anti-affinity":
                place = {"host": host["id"], "rack": host["body"].get("rack"), "zone": host["body"].get("zone")}
                yield f"anti-affinity:{group['level']}:{group['name']}:{place[group['level']] or host['id']}"
        if vsphere and body.get("endpoint"):
            yield f"name:{body['endpoint']}:{vsphere['folder']}:{vsphere['name'].lower()}"


def _unit(resource: str) -> str:
    if resource in ("memory", "space", "vm.memory") or resource.endswith(".capacity"):
        return "B"
    return "COST" if resource.endswith(".cost") else "COUNT"


# -- documents ---------------------------------------------------------------------------------------------------------


def split(kind: str, state: str, body: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """State, body and observed facts of a version 1 document."""
    body = dict(body)
    if kind == "vm":
        observed = {key: body.pop(key) for key in _VM_FACTS if key in body}
        datastore = body.pop("datastore", None)
        disks = {
            disk["name"]: {
                "datastore": disk.get("datastore") or datastore,
                "path": None,
                "uuid": None,
                "unit": number if number < 7 else number + 1,  # 7 is the controller's own
            }
            for number, disk in enumerate(body.get("disks", []))
        }
        body["disks"] = [
            {key: value for key, value in disk.items() if key not in ("datastore", "path")}
            for disk in body.get("disks", [])
        ]
        body.setdefault("host_tags", [])
        placed = bool(observed.get("endpoint"))
        return state, body, {**observed, "disks": disks} if placed else {}
    if kind == "host":
        observed = {key: body.pop(key) for key in _HOST_FACTS if key in body}
        observed |= {"connected": state != "ERROR", "in_maintenance": state == "MAINTENANCE", "hardware_uuid": ""}
        return "READY" if state == "ERROR" else state, body, observed
    if kind == "datastore":
        observed = {key: body.pop(key) for key in _DATASTORE_FACTS if key in body}
        return "READY" if state == "ERROR" else state, body, {**observed, "accessible": state == "READY"}
    return state, body, {}


def _split_documents(connection: Any, documents: dict[str, Document]) -> None:
    rows = []
    for document in documents.values():
        state, body, observed = split(document["kind"], document["state"], document["body"])
        if observed or body != document["body"]:
            rows.append({"id": document["id"], "state": state, "body": _dump(body), "observed": _dump(observed)})
    _run(connection, "UPDATE documents SET state = :state, body = :body, observed = :observed WHERE id = :id", rows)


def _split_tombstones(connection: Any) -> None:
    rows = []
    for row in connection.exec_driver_sql("SELECT id, kind, document FROM tombstones"):
        document = json.loads(row.document)
        _state, document["body"], document["observed"] = split(row.kind, document["state"], document["body"])
        rows.append({"id": row.id, "document": _dump(document)})
    _run(connection, "UPDATE tombstones SET document = :document WHERE id = :id", rows)


# -- helpers -----------------------------------------------------------------------------------------------------------


def _vms(documents: dict[str, Document]) -> Iterator[Document]:
    return (document for document in documents.values() if document["kind"] == "vm")


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _run(connection: Any, statement: str, rows: Iterable[dict[str, Any]]) -> None:
    """Run a statement for each row; its parameters are the row's keys after colons."""
    rows = list(rows)
    if rows:
        connection.execute(load().text(statement), rows)
