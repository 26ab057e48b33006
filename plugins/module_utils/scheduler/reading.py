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


def whole(item: Mapping[str, Any], key: str, where: str, default: int | None = None, minimum: int = 0) -> int:
    """Return a non-negative integer; booleans and floats are refused."""
    value = item.get(key)
    if value is None:
        if default is None:
            raise invalid(where, key, "is required")
        return default
    if type(value) is not int:
        raise invalid(where, key, f"must be a whole number, not {value!r}")
    if value < minimum:
        raise invalid(where, key, f"must be at least {minimum}, not {value}")
    return value


def text(item: Mapping[str, Any], key: str, where: str, *, required: bool = False) -> str | None:
    """Return a name that is not empty, or None where it is absent."""
    value = item.get(key)
    if value is None:
        if required:
            raise invalid(where, key, "is required")
        return None
    if not isinstance(value, str) or not value:
        raise invalid(where, key, f"must be a name, not {value!r}")
    return value


def names(item: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """Return a list of names; absent or null is an empty one."""
    value = item.get(key)
    if value is None:
        return ()
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise invalid(where, key, f"must be a list of names, not {value!r}")
    found = tuple(value)
    for name in found:
        if not isinstance(name, str):
            raise invalid(where, key, f"must be a list of names, but holds {name!r}")
    return found


def ratio(item: Mapping[str, Any], key: str, where: str, default: float) -> Fraction | int:
    """Return an overcommit ratio exactly; below 1 it is refused, as in the original."""
    value = item.get(key, default)
    if value is None:
        value = default
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int:
        if value < 1:
            raise invalid(where, key, f"must be at least 1, not {value}")
        return value
    if type(value) is not float or not math.isfinite(value) or value < 1:
        raise invalid(where, key, f"must be a number of at least 1, not {value!r}")
    return Fraction(str(value))


def known_keys(item: Any, known: Collection[str], where: str) -> None:
    """Refuse anything but a mapping, and unknown keys with the closest known one."""
    if not isinstance(item, Mapping):
        raise invalid(where, "type", f"must be a mapping, not {item!r}")
    for key in item:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(known))}"
            raise invalid(where, str(key), f"is not a known key{hint}")


def rows(container: Mapping[str, Any], key: str, where: str) -> list[Any]:
    """Return a list of items; absent or null is an empty one."""
    value = container.get(key)
    if value is None:
        return []
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        raise invalid(where, key, f"must be a list, not {value!r}")
    return list(value)
