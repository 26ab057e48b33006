# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CloudStore's tables by hand: dumped, put back, and changed behind the platform's back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.tables import tables

Dump = dict[str, list[tuple[Any, ...]]]


class Tables:
    """The tables of the CloudStore at ``url``; a new connection for each call."""

    def __init__(self, url: str) -> None:
        self.url = url

    def dump(self) -> Dump:
        """Every row of every table."""
        with self._begin() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(table.select())), key=repr)
                for table in tables().metadata.sorted_tables
            }

    def restore(self, dump: Dump) -> None:
        """Put every table back as it was."""
        with self._begin() as connection:
            for table in tables().metadata.sorted_tables:
                connection.execute(table.delete())
                names = [column.name for column in table.columns]
                if rows := [dict(zip(names, row, strict=True)) for row in dump[table.name]]:
                    connection.execute(table.insert(), rows)

    def execute(self, statement: str, **values: Any) -> int:
        """One SQL statement; answers how many rows it changed."""
        with self._begin() as connection:
            return connection.execute(sqlalchemy.text(statement), values).rowcount

    def one(self, statement: str, **values: Any) -> Any:
        """The first column of the first row of a query."""
        with self._begin() as connection:
            return connection.execute(sqlalchemy.text(statement), values).scalar_one()

    @contextmanager
    def _begin(self) -> Iterator[sqlalchemy.Connection]:
        engine = sqlalchemy.create_engine(self.url, poolclass=sqlalchemy.NullPool)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()
