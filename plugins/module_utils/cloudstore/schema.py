# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Existence and version of the schema: created by the first apply, changed only by an explicit upgrade."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from ..model.errors import PhotonError
from . import migrations
from .database import Database
from .library import load
from .tables import create_all, tables


def read_meta(database: Database) -> dict[str, str] | None:
    """Read the meta table; None where no CloudStore exists. Raises CloudStoreUnavailable for a foreign database."""
    return database.read(_meta)


def create(database: Database) -> dict[str, str]:
    """Create the tables where there are none, safe against other processes; returns the meta table."""

    def work(connection: Any, now: float) -> dict[str, str]:
        meta = _meta(connection)
        if meta is None:
            create_all(connection)
            meta = {
                "schema_version": str(migrations.VERSION),
                "digest_key": secrets.token_hex(32),
                "store_id": str(uuid.uuid4()),
                "created_at": str(now),
            }
            connection.execute(tables().meta.insert(), [{"key": key, "value": value} for key, value in meta.items()])
        return meta

    return database.change_schema(work)


def upgrade(database: Database) -> tuple[int, int]:
    """Bring the schema to the newest version, each version whole or not at all: ``(version before, version now)``."""

    def work(connection: Any, _now: float) -> tuple[int, int]:
        meta = _meta(connection)
        if meta is None:
            raise nothing_to_upgrade()
        found = int(meta["schema_version"])
        check(found, upgrading=True)
        for version in range(found + 1, migrations.VERSION + 1):
            migrations.UPGRADES[version](connection)
        meta_table = tables().meta
        connection.execute(
            meta_table.update().where(meta_table.c.key == "schema_version").values(value=str(migrations.VERSION))
        )
        return found, migrations.VERSION

    return database.change_schema(work)


def check(found: int, *, upgrading: bool = False) -> None:
    """Raise SchemaTooNew or SchemaTooOld, with the next step, unless this code works with version ``found``."""
    data = {"found": found, "supported": migrations.VERSION}
    if found > migrations.VERSION:
        raise PhotonError(
            "SchemaTooNew",
            f"the CloudStore has schema version {found}, this collection supports version "
            f"{migrations.VERSION}: install the collection that wrote it, or a newer one "
            "(ansible-galaxy collection install --upgrade photon.platform)",
            data,
        )
    if found < migrations.VERSION and not upgrading:
        raise PhotonError(
            "SchemaTooOld",
            f"the CloudStore has schema version {found}, this collection needs version "
            f"{migrations.VERSION}: back it up, then run ansible localhost -m photon.platform.cloudstore "
            "-a state=upgraded",
            data,
        )


def nothing_to_upgrade() -> PhotonError:
    return PhotonError(
        "CloudStoreNotFound", "no CloudStore exists that could be upgraded: the first apply (site.yml) creates one"
    )


def _meta(connection: Any) -> dict[str, str] | None:
    inspector = load().inspect(connection)
    if inspector.has_table("meta"):
        found = {row.key: row.value for row in connection.execute(tables().meta.select())}
        if "schema_version" in found:
            return found
    names = inspector.get_table_names()
    if names:
        raise PhotonError(
            "CloudStoreUnavailable",
            f"the database holds tables of another application ({', '.join(sorted(names)[:5])}): "
            "give the CloudStore a database of its own",
        )
    return None
