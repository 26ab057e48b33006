# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the newest schema. A change here needs a new version and a migration (see migrations/)."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from .library import load


@lru_cache(maxsize=1)
def tables() -> SimpleNamespace:
    """SQLAlchemy's table objects by name, and ``metadata``."""
    sa = load()
    metadata = sa.MetaData()
    number, text, time = sa.BigInteger(), sa.Text(), sa.Double()

    def column(name: str, kind: object, **options: object) -> object:
        return sa.Column(name, kind, nullable=bool(options.pop("nullable", False)), **options)

    def columns(kind: object, *names: str) -> list[object]:
        return [column(name, kind) for name in names]

    sa.Table("meta", metadata, column("key", text, primary_key=True), column("value", text))
    sa.Table(
        "documents",
        metadata,
        column("id", text, primary_key=True),
        *columns(text, "kind", "scope", "name", "state", "managed_by"),
        column("version", number),
        column("name_key", text, nullable=True),
        *columns(time, "created_at", "updated_at"),
        column("body", text),
        column("observed", text, server_default="{}"),
        sa.Index("documents_name_key", "name_key", unique=True),
        sa.Index("documents_name", "kind", "scope", "name"),
    )
    sa.Table(
        "tombstones",
        metadata,
        column("id", text, primary_key=True),
        column("kind", text),
        column("deleted_at", time),
        *columns(text, "deleted_by", "document"),
        sa.Index("tombstones_deleted_at", "deleted_at"),
    )
    sa.Table(
        "history",
        metadata,
        column("entity_id", text, primary_key=True),
        column("version", number, primary_key=True),
        column("at", time),
        *columns(text, "by", "what", "before"),
    )
    # Claims lock these rows.
    sa.Table("providers", metadata, column("id", text, primary_key=True), column("kind", text))
    # A number stands for provider and resource in each allocation: sums read a sixth of the bytes.
    serial = number.with_variant(sa.Integer, "sqlite")
    sa.Table(
        "inventories",
        metadata,
        column("id", serial, autoincrement=True, primary_key=True),
        *columns(text, "provider", "resource", "unit"),
        column("limit", number, nullable=True),
        column("foreign", number),
        sa.Index("inventories_resource", "provider", "resource", unique=True),
    )
    sa.Table(
        "allocations",
        metadata,
        column("consumer", text, primary_key=True),
        column("inventory", number, primary_key=True),
        column("amount", number),
        # Sums are read from this index alone.
        sa.Index("allocations_inventory", "inventory", "amount"),
    )
    sa.Table(
        "exclusives",
        metadata,
        column("key", text, primary_key=True),
        column("consumer", text),
        sa.Index("exclusives_consumer", "consumer"),
    )
    sa.Table(
        "runs",
        metadata,
        column("id", text, primary_key=True),
        column("epoch", number),
        *columns(text, "holder", "process"),
        *columns(time, "ttl", "started_at", "expires_at"),
        column("ended_at", time, nullable=True),
        column("taken_over_by", text, nullable=True),
    )
    tasks = sa.Table(
        "tasks",
        metadata,
        column("id", text, primary_key=True),
        *columns(text, "operation", "entity_kind", "entity_id", "run_id", "state", "by"),
        column("queued_at", time),
        column("started_at", time, nullable=True),
        column("ended_at", time, nullable=True),
        column("data", text),
        column("error", text, nullable=True),
        sa.Index("tasks_entity", "entity_id"),
        sa.Index("tasks_run", "run_id"),
    )
    # An entity's unfinished task is its lock (see create_all): a lock cannot outlive its task.
    lock = sa.Index("tasks_lock", tasks.c.entity_id, unique=True)
    sa.Table(
        "steps",
        metadata,
        column("task_id", text, primary_key=True),
        column("sequence", number, primary_key=True),
        *columns(text, "operation", "state"),
        column("started_at", time, nullable=True),
        column("ended_at", time, nullable=True),
        column("options", text),
        column("result", text, nullable=True),
        column("error", text, nullable=True),
    )
    sa.Table(
        "commits",
        metadata,
        column("key", text, primary_key=True),
        column("at", time),
        column("result", text, nullable=True),
        sa.Index("commits_at", "at"),
    )
    sa.Table(
        "raw_digests",
        metadata,
        column("sha256", text, primary_key=True),
        column("chunk", number, primary_key=True),
        column("digest", text),
    )
    return SimpleNamespace(metadata=metadata, lock=lock, **metadata.tables)


def create_all(connection: Any) -> None:
    """Create all tables and indexes.

    Options of one dialect are set here: in tables() they would make every run import the dialect it does not use.
    """
    t, dialect = tables(), connection.dialect.name
    t.lock.dialect_options[dialect]["where"] = t.tasks.c.ended_at.is_(None)
    if dialect == "sqlite":
        t.steps.dialect_options[dialect]["with_rowid"] = False
    t.metadata.create_all(connection)
