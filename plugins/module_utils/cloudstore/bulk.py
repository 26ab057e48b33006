# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements on many rows, written once for both databases and built once per process.

SQLite runs a statement once per row, which costs it little; PostgreSQL runs it once for all rows, passed as one JSON
parameter, so that a batch costs one round trip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from .library import load
from .location import SQLITE
from .tables import tables

TEXT, NUMBER, TIME = "Text", "BigInteger", "Double"
# Row locks of PostgreSQL; SQLite has one writer at a time and needs none.
SHARE, CHANGE = "share", "change"


class Bulk:
    """``build(tables, v)`` returns an insert, update or delete that uses each row's values as ``v.<column>``.

    ``columns``: ``{column of the rows: TEXT, NUMBER or TIME}``.
    """

    def __init__(self, columns: Mapping[str, str], build: Callable[[Any, Any], Any]) -> None:
        self._columns = columns
        self._build = build
        self._statements: dict[str, Any] = {}

    def execute(self, connection: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run it for the rows; returns how many rows of the table it changed."""
        if not rows:
            return 0
        dialect = connection.dialect.name
        if dialect == SQLITE:
            return self._execute_each(connection, rows)
        statement = self._statements.get(dialect)
        if statement is None:
            built = self._build(tables(), self._values(dialect)).execution_options(preserve_rowcount=True)
            statement = self._statements[dialect] = built
        return int(connection.execute(statement, {"rows": json.dumps(rows)}).rowcount)

    def _execute_each(self, connection: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Hand the rows to the driver as they are: SQLAlchemy's work per row costs more than SQLite's."""
        if SQLITE not in self._statements:
            compiled = self._build(tables(), self._values(SQLITE)).compile(dialect=connection.dialect)
            self._statements[SQLITE] = (compiled.string, [(n, compiled.params[n]) for n in compiled.positiontup])
        text, names = self._statements[SQLITE]
        values = [tuple([row.get(name, constant) for name, constant in names]) for row in rows]
        return int(connection.exec_driver_sql(text, values, execution_options={"preserve_rowcount": True}).rowcount)

    def _values(self, dialect: str) -> Any:
        if dialect != SQLITE:
            return _recordset(self._columns).c
        sa = load()
        return SimpleNamespace(
            **{name: sa.bindparam(name, type_=getattr(sa, kind)) for name, kind in self._columns.items()}
        )


class Insert(Bulk):
    """An insert of whole rows. A row whose key exists is omitted, and not counted."""

    def __init__(self, table: str, columns: Mapping[str, str]) -> None:
        def build(t: Any, v: Any) -> Any:
            sa, target = load(), getattr(t, table)
            if isinstance(v, SimpleNamespace):
                return target.insert().prefix_with("OR IGNORE").values({name: getattr(v, name) for name in columns})
            rows = sa.select(*(v[name] for name in columns))
            return (
                load("sqlalchemy.dialects.postgresql")
                .insert(target)
                .from_select(list(columns), rows)
                .on_conflict_do_nothing()
            )

        super().__init__(columns, build)


class Fetch:
    """Rows of a table whose column holds one of the given texts, in the order of the primary key.

    ``lock``: SHARE or CHANGE keeps them unchanged by others until the transaction ends. ``columns``: only these.
    """

    def __init__(
        self,
        table: str,
        column: str,
        *,
        lock: str | None = None,
        columns: Sequence[str] = (),
        only: Callable[[Any], Any] | None = None,
    ) -> None:
        self._table = table
        self._column = column
        self._lock = lock
        self._columns = columns
        self._only = only
        self._statements: dict[str, Any] = {}

    def rows(self, connection: Any, values: Iterable[str]) -> list[Any]:
        """Fetch the rows, locking them in one order everywhere to avoid deadlocks."""
        wanted = list(dict.fromkeys(values))
        if not wanted:
            return []
        dialect = connection.dialect.name
        statement = self._statements.get(dialect)
        if statement is None:
            statement = self._statements[dialect] = self._built(dialect)
        return list(connection.execute(statement, {"wanted": array(dialect, wanted)}).all())

    def _built(self, dialect: str) -> Any:
        table = getattr(tables(), self._table)
        chosen = contained(dialect, table.c[self._column], "wanted")
        statement = table.select().where(chosen).order_by(*table.primary_key.columns)
        if self._columns:
            statement = statement.with_only_columns(*(table.c[name] for name in self._columns))
        if self._only is not None:
            statement = statement.where(self._only(table))
        if self._lock == CHANGE:  # FOR NO KEY UPDATE
            return statement.with_for_update(key_share=True)
        return statement.with_for_update(read=True) if self._lock else statement


class Delete:
    """Delete the rows of a table that ``where(tables, contained)`` selects; ``contained(column)`` is the condition that
    the column holds one of the given texts."""

    def __init__(self, table: str, where: Callable[[Any, Callable[[Any], Any]], Any]) -> None:
        self._table = table
        self._where = where
        self._statements: dict[str, Any] = {}

    def execute(self, connection: Any, values: Iterable[str]) -> None:
        wanted = sorted(set(values))
        if not wanted:
            return
        dialect = connection.dialect.name
        statement = self._statements.get(dialect)
        if statement is None:
            condition = self._where(tables(), lambda column: contained(dialect, column, "wanted"))
            statement = self._statements[dialect] = getattr(tables(), self._table).delete().where(condition)
        connection.execute(statement, {"wanted": array(dialect, wanted)})


def contained(dialect: str, column: Any, name: str) -> Any:
    """The condition that a column holds one of the values of the parameter ``name`` (see array)."""
    sa = load()
    if dialect == SQLITE:
        values = sa.func.json_each(sa.bindparam(name, type_=sa.Text)).table_valued("value")
        return column.in_(sa.select(values.c.value))
    return column == sa.func.any(sa.bindparam(name, type_=sa.ARRAY(column.type)))


def array(dialect: str, values: Sequence[Any]) -> Any:
    """Values as one parameter."""
    return json.dumps(values) if dialect == SQLITE else list(values)


def _recordset(columns: Mapping[str, str]) -> Any:
    """PostgreSQL's view of the rows in the one JSON parameter."""
    sa = load()
    rows = sa.cast(sa.bindparam("rows", type_=sa.Text), sa.JSON)
    named = [sa.column(name, getattr(sa, kind)) for name, kind in columns.items()]
    return sa.func.json_to_recordset(rows).table_valued(*named).render_derived(name="v", with_types=True)
