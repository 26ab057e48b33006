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
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from ..library import load

_VM_FACTS = ("endpoint", "host", "cluster", "address", "vsphere")
_HOST_FACTS = ("moid", "cluster", "drs", "vcpus", "memory", "port_groups", "datastores")
_DATASTORE_FACTS = ("moid", "url", "type", "capacity")
_PROVIDERS = ("tenant", "project", "host", "datastore")
_CAPACITY = {"host": (("vcpus", "vcpu", "COUNT"), ("memory", "memory", "B")), "datastore": (("space", "space", "B"),)}
_HISTORY_KEPT = 50
_DROPPED = ("counters", "capacity", "group_members")

Document = dict[str, Any]  # a row of documents; its body is decoded
Key = tuple[str, str]  # provider and resource


def upgrade(connection: Any) -> None:
    """Change a version 1 database into version 2 in the caller's transaction."""
    old, new = _old_tables(), _new_tables()
    documents = {row["id"]: row for row in map(_decoded, connection.execute(old.documents.select()).mappings())}
    inventories = _limits(connection, old, documents) | _capacities(connection, old, documents)
    held, keys = _holdings(documents), _exclusives(connection, old, documents)
    for consumer, key, amount in _project_limits(inventories, documents):
        held[consumer][key] += amount
    for amounts in held.values():
        for provider, resource in amounts:
            kind = documents[provider]["kind"]
            # Of a host or datastore without recorded capacity nothing more may be claimed.
            limit = None if kind in ("tenant", "project") else 0
            inventories.setdefault((provider, resource), (_unit(resource), limit, 0))

    connection.exec_driver_sql("ALTER TABLE documents ADD COLUMN observed TEXT NOT NULL DEFAULT '{}'")
    new.metadata.create_all(connection)
    _insert(connection, new.providers, [(d["id"], d["kind"]) for d in documents.values() if d["kind"] in _PROVIDERS])
    _insert(connection, new.inventories, [(*key, *row) for key, row in sorted(inventories.items())])
    numbers = {(row.provider, row.resource): row.id for row in connection.execute(new.inventories.select())}
    rows = [(c, numbers[key], amount) for c, amounts in held.items() for key, amount in amounts.items() if amount > 0]
    _insert(connection, new.allocations, rows)
    _insert(connection, new.exclusives, sorted(keys.items()))
    _split_documents(connection, new, documents)
    _split_tombstones(connection, old)
    _trim_history(connection)
    connection.execute(old.meta.insert(), [{"key": "store_id", "value": str(uuid.uuid4())}])
    for table in _DROPPED:
        connection.exec_driver_sql(f"DROP TABLE {table}")


# -- allocations ----------------------------------------------------------------------------------------------------


def _limits(connection: Any, old: Any, documents: dict[str, Document]) -> dict[Key, tuple[str, int | None, int]]:
    """``{(owner, key): (unit, limit, 0)}`` of the counters that have a limit."""
    return {
        (row.owner_id, row.key): (row.unit, row.limit, 0)
        for row in connection.execute(old.counters.select())
        if row.limit is not None and row.owner_id in documents
    }


def _capacities(connection: Any, old: Any, documents: dict[str, Document]) -> dict[Key, tuple[str, int | None, int]]:
    """``{(host or datastore, resource): (unit, limit, foreign)}``."""
    found = {}
    for row in connection.execute(old.capacity.select()).mappings():
        if row["id"] in documents:
            for resource, column, unit in _CAPACITY[row["kind"]]:
                found[row["id"], resource] = (unit, row[f"{column}_limit"], row[f"{column}_foreign"])
    return found


def _holdings(documents: dict[str, Document]) -> dict[str, dict[Key, int]]:
    """Compute the amounts that each VM holds of its project, host and datastores."""
    held: dict[str, dict[Key, int]] = defaultdict(lambda: defaultdict(int))
    for vm in _of_kind(documents, "vm"):
        body, mine = vm["body"], held[vm["id"]]
        if vm["scope"] in documents:
            for key, (amount, _unit_written) in body["cost"].items():
                mine[vm["scope"], key] += amount
        if body.get("host") in documents:
            mine[body["host"], "vcpus"] += body["vcpus"]
            mine[body["host"], "memory"] += body["memory"]
            for disk in body["disks"]:
                datastore = disk.get("datastore") or body.get("datastore")
                if datastore in documents:
                    mine[datastore, "space"] += disk["capacity"]
    return held


def _project_limits(
    inventories: dict[Key, tuple[str, int | None, int]], documents: dict[str, Document]
) -> Iterator[tuple[str, Key, int]]:
    """The limits of projects, which they hold of their tenants."""
    for (owner, resource), (_unit_written, limit, _foreign) in list(inventories.items()):
        project = documents[owner]
        if project["kind"] == "project" and limit is not None and project["scope"] in documents:
            yield owner, (project["scope"], resource), limit


def _exclusives(connection: Any, old: Any, documents: dict[str, Document]) -> dict[str, str]:
    """Names in vSphere folders and places of hard anti-affinity groups, with the VM that has them.

    Where several VMs need one key the one that version 1 recorded keeps it.
    """
    recorded = {}
    for row in connection.execute(old.group_members.select()):
        prefix = "" if row.group_name.startswith("name:") else "anti-affinity:"
        recorded[f"{prefix}{row.group_name}:{row.topology_key}"] = row.entity_id
    keys: dict[str, str] = {}
    for vm in sorted(_of_kind(documents, "vm"), key=lambda d: (d["created_at"], d["id"])):
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


def _split_documents(connection: Any, new: Any, documents: dict[str, Document]) -> None:
    sa = load()
    rows = []
    for document in documents.values():
        state, body, observed = split(document["kind"], document["state"], document["body"])
        if observed or body != document["body"]:
            rows.append({"of_id": document["id"], "s": state, "b": _dump(body), "o": _dump(observed)})
    if rows:
        values = {name: sa.bindparam(name[0]) for name in ("state", "body", "observed")}
        statement = new.documents.update().where(new.documents.c.id == sa.bindparam("of_id"))
        connection.execute(statement.values(values), rows)


def _split_tombstones(connection: Any, old: Any) -> None:
    sa = load()
    rows = []
    for row in connection.execute(old.tombstones.select()):
        document = json.loads(row.document)
        _state, document["body"], document["observed"] = split(row.kind, document["state"], document["body"])
        rows.append({"of_id": row.id, "d": _dump(document)})
    if rows:
        statement = old.tombstones.update().where(old.tombstones.c.id == sa.bindparam("of_id"))
        connection.execute(statement.values(document=sa.bindparam("d")), rows)


def _trim_history(connection: Any) -> None:
    connection.exec_driver_sql(
        f"DELETE FROM history WHERE version <= (SELECT documents.version - {_HISTORY_KEPT} FROM documents "
        "WHERE documents.id = history.entity_id)"
    )


# -- helpers -----------------------------------------------------------------------------------------------------------


def _of_kind(documents: dict[str, Document], kind: str) -> Iterator[Document]:
    return (document for document in documents.values() if document["kind"] == kind)


def _decoded(row: Any) -> Document:
    return {**row, "body": json.loads(row["body"])}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _insert(connection: Any, table: Any, rows: list[tuple[Any, ...]]) -> None:
    names = [column.name for column in table.columns if not (table.name == "inventories" and column.name == "id")]
    if rows:
        connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])


def _old_tables() -> Any:
    sa = load()
    columns = {
        "meta": "key value",
        "documents": "id kind scope state body created_at",
        "tombstones": "id kind document",
        "counters": "owner_id key unit limit",
        "capacity": "id kind vcpu_limit vcpu_foreign memory_limit memory_foreign space_limit space_foreign",
        "group_members": "group_name topology_key entity_id",
    }
    return SimpleNamespace(**{name: sa.table(name, *map(sa.column, names.split())) for name, names in columns.items()})


def _new_tables() -> Any:
    sa = load()
    metadata = sa.MetaData()
    number, text = sa.BigInteger(), sa.Text()

    def column(name: str, kind: Any, **options: Any) -> Any:
        return sa.Column(name, kind, nullable=bool(options.pop("nullable", False)), **options)

    providers = sa.Table("providers", metadata, column("id", text, primary_key=True), column("kind", text))
    inventories = sa.Table(
        "inventories",
        metadata,
        column("id", number.with_variant(sa.Integer, "sqlite"), autoincrement=True, primary_key=True),
        column("provider", text),
        column("resource", text),
        column("unit", text),
        column("limit", number, nullable=True),
        column("foreign", number),
        sa.Index("inventories_resource", "provider", "resource", unique=True),
    )
    allocations = sa.Table(
        "allocations",
        metadata,
        column("consumer", text, primary_key=True),
        column("inventory", number, primary_key=True),
        column("amount", number),
        sa.Index("allocations_inventory", "inventory", "amount"),
    )
    exclusives = sa.Table(
        "exclusives",
        metadata,
        column("key", text, primary_key=True),
        column("consumer", text),
        sa.Index("exclusives_consumer", "consumer"),
    )
    documents = sa.table("documents", *map(sa.column, ("id", "state", "body", "observed")))
    return SimpleNamespace(
        metadata=metadata,
        providers=providers,
        inventories=inventories,
        allocations=allocations,
        exclusives=exclusives,
        documents=documents,
    )
