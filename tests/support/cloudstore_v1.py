# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CloudStore of schema version 1, as the code of that version wrote it on the simulated data centre.

The site: two tenants, three projects with limits, 15 VMs with extra disks and hard anti-affinity groups of levels host
and zone on two endpoints, one of them moved by vMotion, one resized, one deleted, and two that a killed run left
unfinished. Secrets, times and process names are replaced.
"""

from __future__ import annotations

import gzip
import json
import pathlib
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.cloudstore.database import Database
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.location import SQLITE, parse

FILE = pathlib.Path(__file__).parents[1] / "data" / "cloudstore_v1.json.gz"
CAPACITY = ", ".join(
    f"{what}_{part} BIGINT NOT NULL" for what in ("vcpu", "memory", "space") for part in ("limit", "claimed", "foreign")
)
SCHEMA = f"""
CREATE TABLE meta ("key" TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY ("key"));
CREATE TABLE documents (
  id TEXT NOT NULL, kind TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
  managed_by TEXT NOT NULL, version BIGINT NOT NULL, name_key TEXT, created_at DOUBLE PRECISION NOT NULL,
  updated_at DOUBLE PRECISION NOT NULL, body TEXT NOT NULL, PRIMARY KEY (id));
CREATE UNIQUE INDEX documents_name_key ON documents (name_key);
CREATE INDEX documents_name ON documents (kind, scope, name);
CREATE TABLE tombstones (
  id TEXT NOT NULL, kind TEXT NOT NULL, deleted_at DOUBLE PRECISION NOT NULL, deleted_by TEXT NOT NULL,
  document TEXT NOT NULL, PRIMARY KEY (id));
CREATE INDEX tombstones_deleted_at ON tombstones (deleted_at);
CREATE TABLE history (
  entity_id TEXT NOT NULL, version BIGINT NOT NULL, at DOUBLE PRECISION NOT NULL, "by" TEXT NOT NULL,
  what TEXT NOT NULL, "before" TEXT NOT NULL, PRIMARY KEY (entity_id, version));
CREATE TABLE counters (
  owner_id TEXT NOT NULL, "key" TEXT NOT NULL, unit TEXT NOT NULL, "limit" BIGINT, usage BIGINT NOT NULL,
  PRIMARY KEY (owner_id, "key"));
CREATE TABLE capacity (
  id TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, generation BIGINT NOT NULL, {CAPACITY},
  attributes TEXT NOT NULL, PRIMARY KEY (id));
CREATE TABLE group_members (
  group_name TEXT NOT NULL, topology_key TEXT NOT NULL, entity_id TEXT NOT NULL,
  PRIMARY KEY (group_name, topology_key));
CREATE INDEX group_members_entity ON group_members (entity_id);
CREATE TABLE runs (
  id TEXT NOT NULL, epoch BIGINT NOT NULL, holder TEXT NOT NULL, process TEXT NOT NULL, ttl DOUBLE PRECISION NOT NULL,
  started_at DOUBLE PRECISION NOT NULL, expires_at DOUBLE PRECISION NOT NULL, ended_at DOUBLE PRECISION,
  taken_over_by TEXT, PRIMARY KEY (id));
CREATE TABLE tasks (
  id TEXT NOT NULL, operation TEXT NOT NULL, entity_kind TEXT NOT NULL, entity_id TEXT NOT NULL, run_id TEXT NOT NULL,
  state TEXT NOT NULL, "by" TEXT NOT NULL, queued_at DOUBLE PRECISION NOT NULL, started_at DOUBLE PRECISION,
  ended_at DOUBLE PRECISION, data TEXT NOT NULL, error TEXT, PRIMARY KEY (id));
CREATE UNIQUE INDEX tasks_lock ON tasks (entity_id) WHERE ended_at IS NULL;
CREATE INDEX tasks_run ON tasks (run_id);
CREATE INDEX tasks_entity ON tasks (entity_id);
CREATE TABLE steps (
  task_id TEXT NOT NULL, sequence BIGINT NOT NULL, operation TEXT NOT NULL, state TEXT NOT NULL,
  started_at DOUBLE PRECISION, ended_at DOUBLE PRECISION, options TEXT NOT NULL, result TEXT, error TEXT,
  PRIMARY KEY (task_id, sequence)) -- without rowid on SQLite
;
CREATE TABLE commits ("key" TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, result TEXT, PRIMARY KEY ("key"));
CREATE INDEX commits_at ON commits (at);
"""

Tables = dict[str, list[dict[str, Any]]]


def rows() -> Tables:
    """Every row of every table, by the names of its columns."""
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        tables = json.load(file)
    return {
        name: [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] for name, table in tables.items()
    }


def load(url: str, tables: Tables) -> None:
    """Create a version 1 database with these rows at a URL."""
    database = Database(parse(url), writable=True)
    with database.engine.begin() as connection:
        sqlite = connection.dialect.name == SQLITE
        schema = SCHEMA.replace("-- without rowid on SQLite", "WITHOUT ROWID" if sqlite else "")
        if sqlite:
            schema = schema.replace("DOUBLE PRECISION", "DOUBLE")
        for statement in filter(str.strip, schema.split(";")):
            connection.exec_driver_sql(statement)
        for name, table in tables.items():
            sign = "?" if sqlite else "%s"
            for row in table:
                names = ", ".join(f'"{column}"' for column in row)
                signs = ", ".join([sign] * len(row))
                connection.exec_driver_sql(f"INSERT INTO {name} ({names}) VALUES ({signs})", tuple(row.values()))
    database.close()


def dump(url: str) -> Tables:
    """Every row of every table of the database at a URL, whatever its schema."""
    database = Database(parse(url), writable=True)
    import sqlalchemy

    with database.engine.connect() as connection:
        found = {}
        for name in sqlalchemy.inspect(connection).get_table_names():
            result = connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()
            found[name] = sorted((dict(row) for row in result), key=lambda row: json.dumps(row, default=str))
    database.close()
    return found
