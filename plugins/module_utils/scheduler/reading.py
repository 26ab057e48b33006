# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of single values in fleets and requests; each raises SpecInvalid naming the item and the key."""

# A bool is not a whole number.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from fractions import Fraction
from typing import Any

from ..model.errors import PhotonError


def invalid(where: str, key: str, problem: str) -> PhotonError:
    """Return the error for one key of one item; ``data`` repeats both for programs."""
    return PhotonError("SpecInvalid", f"{where}: {key}: {problem}", {"item": where, "key": key})


class Item:
    """One mapping of the input. ``where``: its name in errors; ``known``: the keys that it may have."""

    __slots__ = ("get", "where")

    def __init__(self, values: Any, where: str, known: Collection[str] = ()) -> None:
        if not isinstance(values, Mapping):
            raise invalid(where, "type", f"must be a mapping, not {values!r}")
        self.get, self.where = values.get, where
        for key in values if known else ():
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
                raise invalid(where, str(key), f"is not a known key{hint}")

    def whole(self, key: str, default: int | None = None, minimum: int = 0) -> int:
        """Return a non-negative integer; booleans and floats are refused."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise invalid(self.where, key, "is required")
        if type(value) is not int:
            raise invalid(self.where, key, f"must be a whole number, not {value!r}")
        if value < minimum:
            raise invalid(self.where, key, f"must be at least {minimum}, not {value}")
        return value

    def optional(self, key: str) -> int | None:
        """Return a non-negative integer, or None where it is absent."""
        return None if self.get(key) is None else self.whole(key)

    def name(self, key: str) -> str:
        """Return a name that is not empty."""
        value = self.text(key)
        if value is None:
            raise invalid(self.where, key, "is required")
        return value

    def text(self, key: str) -> str | None:
        """Return a name that is not empty, or None where it is absent."""
        value = self.get(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise invalid(self.where, key, f"must be a name, not {value!r}")
        return value

    def choice(self, key: str, values: Collection[str], default: str | None = None) -> str:
        """Return one of several words."""
        value = default if self.get(key) is None else self.get(key)
        if value not in values:
            *others, last = values
            raise invalid(self.where, key, f"must be {', '.join(others)} or {last}, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false; absent or null is the default."""
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            raise invalid(self.where, key, f"must be true or false, not {value!r}")
        return default if value is None else value

    def names(self, key: str) -> tuple[str, ...]:
        """Return a list of names; absent or null is an empty one."""
        found = tuple(self.rows(key, "a list of names"))
        for name in found:
            if not isinstance(name, str):
                raise invalid(self.where, key, f"must be a list of names, but holds {name!r}")
        return found

    def rows(self, key: str, what: str = "a list") -> list[Any]:
        """Return a list of items; absent or null is an empty one."""
        value = self.get(key)
        if value is None:
            return []
        if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
            raise invalid(self.where, key, f"must be {what}, not {value!r}")
        return list(value)

    def ratio(self, key: str, default: float) -> Fraction | int:
        """Return an overcommit ratio exactly; below 1 it is refused, as in the original."""
        value = self.get(key)
        if value is None:
            value = default
        if type(value) not in (int, float) or not math.isfinite(value) or value < 1:
            raise invalid(self.where, key, f"must be a number of at least 1, not {value!r}")
        return int(value) if value == int(value) else Fraction(str(value))
