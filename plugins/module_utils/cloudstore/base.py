# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a transaction share: the connection, the database's time, who acts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .library import load
from .tables import tables

if TYPE_CHECKING:
    from .runs import Run

_CHUNK = 500  # values in one IN list: far below either database's limit on parameters


class Base:
    """``now`` is the database's time at the start of the transaction."""

    def __init__(self, connection: Any, *, now: float, by: str, run: Run | None) -> None:
        self.connection = connection
        self.now = now
        self.by = by
        self._run = run
        self._fenced = False
        self._sa = load()
        self._tables = tables()

    def _rows(self, table: Any, column: Any, values: Iterable[Any], *, lock: bool = False) -> list[Any]:
        """The rows whose column holds one of the values; ``lock`` keeps them ours, taken in the order of the primary key."""
        found: list[Any] = []
        for chunk in chunks(sorted(set(values))):
            statement = self._sa.select(table).where(column.in_(chunk))
            if lock:
                statement = statement.order_by(*table.primary_key.columns).with_for_update()
            found += self.connection.execute(statement).all()
        return found


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start: start + _CHUNK]


def dump(value: Any) -> str:
    """A JSON value as it is stored."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def dump_or_none(value: Any) -> str | None:
    return None if value is None else dump(value)


def load_or_none(text: str | None) -> Any:
    return None if text is None else json.loads(text)
