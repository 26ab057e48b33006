# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements on many rows, written once for both databases and built once per process.

SQLite runs a statement once per row, which costs it little; PostgreSQL runs it once for all rows, passed as one JSON
parameter, so that a batch costs one round trip.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .library import load
from .location import SQLITE
from .tables import tables

# Row locks of PostgreSQL; SQLite has one writer at a time and needs none.
SHARE, CHANGE = "share", "change"
_ROW = "row_"  # begins the names of SQLite's parameters: SQLAlchemy reserves those of columns


class Bulk:
    """``build(table, row)`` returns an insert, update or delete that uses each row's values as ``row[column]``.

    ``columns``: the columns of the table that the rows have.
    """

    def __init__(self, table: str, columns: Sequence[str], build: Callable[[Any, Any], Any]) -> None:
        self._table = table
        self._columns = columns
        self._build = build
        self._statement = functools.cache(self._built)

    def execute(self, connection: Any, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run it for the rows; returns how many rows of the table it changed."""
        if not rows:
            return 0
        statement = self._statement(connection.dialect.name)
        if connection.dialect.name != SQLITE:
            return int(connection.execute(statement, {"rows": json.dumps(rows)}).rowcount)
        # Hand the rows to the driver as they are: SQLAlchemy's work per row costs more than SQLite's.
        text, names = statement
        values = [tuple([row.get(name, constant) for name, constant in names]) for row in rows]
        return int(connection.exec_driver_sql(text, values, execution_options={"preserve_rowcount": True}).rowcount)

    def _built(self, dialect: str) -> Any:
        """PostgreSQL's statement; for SQLite its text, and each parameter's column with the value of a constant."""
        sa, table = load(), getattr(tables(), self._table)
        if dialect != SQLITE:
            rows = sa.cast(sa.bindparam("rows", type_=sa.Text), sa.JSON)
            named = [sa.column(name, table.c[name].type) for name in self._columns]
            values = sa.func.json_to_recordset(rows).table_valued(*named).render_derived(name="v", with_types=True).c
            return self._build(table, values).execution_options(preserve_rowcount=True)
        parameters = {name: sa.bindparam(_ROW + name, type_=table.c[name].type) for name in self._columns}
        compiled = self._build(table, parameters).compile(dialect=load("sqlalchemy.dialects.sqlite").dialect())
        return compiled.string, [(name.removeprefix(_ROW), compiled.params[name]) for name in compiled.positiontup]


class Insert(Bulk):
    """An insert of whole rows. A row whose key exists is omitted, and not counted."""

    def __init__(self, table: str, columns: Sequence[str]) -> None:
        def build(target: Any, row: Any) -> Any:
            if isinstance(row, dict):
                return target.insert().prefix_with("OR IGNORE").values(row)
            rows = load().select(*(row[name] for name in columns))
            insert = load("sqlalchemy.dialects.postgresql").insert(target)
            return insert.from_select(list(columns), rows).on_conflict_do_nothing()

        super().__init__(table, columns, build)


class Update(Bulk):
    """Set ``columns`` of the rows of a table whose ``key`` columns have the given values.

    ``only(table)``: a further condition on the table's rows.
    """

    def __init__(
        self, table: str, key: Sequence[str], columns: Sequence[str], only: Callable[[Any], Any] | None = None
    ) -> None:
        def build(target: Any, row: Any) -> Any:
            conditions = [target.c[name] == row[name] for name in key] + ([only(target)] if only is not None else [])
            return target.update().where(*conditions).values({name: row[name] for name in columns})

        super().__init__(table, (*key, *columns), build)


class Fetch:
    """Rows of a table whose column holds one of the given texts, in the order of the primary key.

    ``lock``: SHARE or CHANGE keeps them unchanged by others until the transaction ends. ``columns``: only these.
    ``only(table)``: a further condition.
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
        self._statement = functools.cache(self._built)

    def rows(self, connection: Any, values: Iterable[str]) -> list[Any]:
        """Fetch the rows, locking them in one order everywhere to avoid deadlocks."""
        wanted = list(dict.fromkeys(values))
        if not wanted:
            return []
        dialect = connection.dialect.name
        return list(connection.execute(self._statement(dialect), {"wanted": array(dialect, wanted)}).all())

    def _built(self, dialect: str) -> Any:
        table = getattr(tables(), self._table)
        chosen = contained(dialect, table.c[self._column])
        statement = table.select().where(chosen).order_by(*table.primary_key.columns)
        if self._columns:
            statement = statement.with_only_columns(*(table.c[name] for name in self._columns))
        if self._only is not None:
            statement = statement.where(self._only(table))
        if self._lock == CHANGE:  # FOR NO KEY UPDATE
            return statement.with_for_update(key_share=True)
        return statement.with_for_update(read=True) if self._lock else statement


class Delete:
    """Delete the rows of a table whose column holds one of the given texts.

    ``where(tables, contained)`` replaces that condition; ``contained(column)`` says that a column holds one of them.
    """

    def __init__(
        self, table: str, column: str = "", where: Callable[[Any, Callable[[Any], Any]], Any] | None = None
    ) -> None:
        def build(dialect: str) -> Any:
            chosen = functools.partial(contained, dialect)
            target = getattr(tables(), table)
            return target.delete().where(where(tables(), chosen) if where is not None else chosen(target.c[column]))

        self._statement = functools.cache(build)

    def execute(self, connection: Any, values: Iterable[str]) -> None:
        wanted = sorted(set(values))
        if wanted:
            dialect = connection.dialect.name
            connection.execute(self._statement(dialect), {"wanted": array(dialect, wanted)})


def contained(dialect: str, column: Any) -> Any:
    """The condition that a column holds one of the values of the parameter ``wanted`` (see array)."""
    sa = load()
    if dialect == SQLITE:
        values = sa.func.json_each(sa.bindparam("wanted", type_=sa.Text)).table_valued("value")
        return column.in_(sa.select(values.c.value))
    return column == sa.func.any(sa.bindparam("wanted", type_=sa.ARRAY(column.type)))


def array(dialect: str, values: Sequence[Any]) -> Any:
    """Values as one parameter."""
    return json.dumps(values) if dialect == SQLITE else list(values)
