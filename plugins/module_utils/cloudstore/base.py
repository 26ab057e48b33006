# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of a transaction share: the connection, the database's time, who acts; JSON as it is stored."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runs import Run


class Base:
    """``now`` is the database's time at the start of the transaction."""

    def __init__(self, connection: Any, *, now: float, by: str, run: Run | None) -> None:
        self.connection = connection
        self.now = now
        self.by = by
        self._run = run
        self._fenced = False


def dump(value: Any) -> str:
    """A JSON value as it is stored."""
    return _encode(value)


def dump_or_none(value: Any) -> str | None:
    return None if value is None else _encode(value)


def load_or_none(text: str | None) -> Any:
    return None if text is None else json.loads(text)


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
