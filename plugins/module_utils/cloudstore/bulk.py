# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for many rows at once, written once for both databases and built once per process.

SQLite runs a statement once per row, which costs it little; PostgreSQL runs it once for all rows, which come as one
JSON parameter, so that a batch costs one round trip.
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
        statement = self._statements.get(dialect)
        if statement is None:
            built = self._build(tables(), self._values(dialect)).execution_options(preserve_rowcount=True)
            statement = self._statements[dialect] = built
        parameters = rows if dialect == SQLITE else {"rows": json.dumps(rows)}
        return int(connection.execute(statement, parameters).rowcount)

    def _values(self, dialect: str) -> Any:
        if dialect != SQLITE:
            return _recordset(self._columns).c
        sa = load()
        return SimpleNamespace(
            **{name: sa.bindparam(name, type_=getattr(sa, kind)) for name, kind in self._columns.items()}
        )


class Insert(Bulk):
    """An insert of whole rows. A row whose key is taken is left out, and not counted."""

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


class Guarded(Bulk):
    """An update of rows by their primary key, each only where its guard holds.

    ``key``: ``{column of the table: column of the rows}``; ``guard(table's columns, v)`` a list of conditions;
    ``values(table's columns, v)`` what is set.
    """

    def __init__(
        self,
        table: str,
        key: Mapping[str, str],
        columns: Mapping[str, str],
        guard: Callable[[Any, Any], list[Any]],
        values: Callable[[Any, Any], Mapping[str, Any]],
    ) -> None:
        self._table, self._key, self._guard, self._set = table, key, guard, values
        self._at_once: Any = None

        def build(t: Any, v: Any) -> Any:
            c = getattr(t, table).c
            same = [c[name] == getattr(v, of) for name, of in key.items()]
            return getattr(t, table).update().where(*same, *guard(c, v)).values(values(c, v))

        super().__init__(columns, build)

    def all_at_once(self, connection: Any, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Update all rows, or none where one is missing or its guard fails, in one round trip; False for none.

        Always False on SQLite, where reading the rows first costs as little.
        """
        if connection.dialect.name == SQLITE:
            return False
        if self._at_once is None:
            self._at_once = self._built_at_once()
        return bool(
            connection.execute(self._at_once, {"rows": json.dumps(rows), "number": len(rows)}).rowcount == len(rows)
        )

    def _built_at_once(self) -> Any:
        sa, table = load(), getattr(tables(), self._table)
        v = _recordset(self._columns)
        same = sa.and_(*(table.c[name] == v.c[of] for name, of in self._key.items()))
        columns = [table.c[name].label(f"key_{name}") for name in self._key]
        fits = sa.and_(*self._guard(table.c, v.c)).label("fits")
        # The rows are locked in one order, and judged as they are then, whatever the statement's snapshot shows.
        locked = (
            sa.select(*columns, *v.c, fits)
            .select_from(table.join(v, same))
            .order_by(*table.primary_key.columns)
            .with_for_update(of=table)
            .cte("locked")
        )
        fitting = sa.select(sa.func.count()).select_from(locked).where(locked.c.fits).scalar_subquery()
        return (
            table.update()
            .where(
                *(table.c[name] == locked.c[f"key_{name}"] for name in self._key),
                fitting == sa.bindparam("number", type_=sa.BigInteger),
            )
            .values(self._set(table.c, locked.c))
        )


class Fetch:
    """Rows of a table whose column holds one of the given texts, in the order of the primary key."""

    def __init__(
        self, table: str, column: str, *, lock: bool = False, only: Callable[[Any], Any] | None = None
    ) -> None:
        self._table = table
        self._column = column
        self._lock = lock
        self._only = only
        self._statements: dict[str, Any] = {}

    def rows(self, connection: Any, values: Iterable[str]) -> list[Any]:
        """With ``lock`` they stay ours until the transaction ends; they are taken in one order by everybody."""
        wanted = list(dict.fromkeys(values))
        if not wanted:
            return []
        dialect = connection.dialect.name
        statement = self._statements.get(dialect)
        if statement is None:
            statement = self._statements[dialect] = self._built(dialect)
        return list(
            connection.execute(statement, {"wanted": json.dumps(wanted) if dialect == SQLITE else wanted}).all()
        )

    def _built(self, dialect: str) -> Any:
        sa, table = load(), getattr(tables(), self._table)
        column = table.c[self._column]
        if dialect == SQLITE:
            texts = sa.func.json_each(sa.bindparam("wanted", type_=sa.Text)).table_valued("value")
            chosen = column.in_(sa.select(texts.c.value))
        else:
            chosen = column == sa.func.any(sa.bindparam("wanted", type_=sa.ARRAY(sa.Text)))
        statement = table.select().where(chosen).order_by(*table.primary_key.columns)
        if self._only is not None:
            statement = statement.where(self._only(table))
        return statement.with_for_update() if self._lock else statement


def _recordset(columns: Mapping[str, str]) -> Any:
    """PostgreSQL's view of the rows in the one JSON parameter."""
    sa = load()
    rows = sa.cast(sa.bindparam("rows", type_=sa.Text), sa.JSON)
    named = [sa.column(name, getattr(sa, kind)) for name, kind in columns.items()]
    return sa.func.json_to_recordset(rows).table_valued(*named).render_derived(name="v", with_types=True)
