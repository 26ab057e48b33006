# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data for filters: templated containers as built-in ones, and the short form of an answer."""

# Exactly this type, not one that Ansible derives from it.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..model.errors import PhotonError


def plain(value: Any) -> Any:
    """Return the same data in exact dict, list, str, int, float, bool and None, whatever subclasses it came in."""
    kind = type(value)
    if kind is str or kind is int or value is None or kind is bool or kind is float:
        return value
    if isinstance(value, Mapping):
        return {_text(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    for exact in (str, bool, int, float):
        if isinstance(value, exact):
            return exact(value)
    return value


def counts(answer: dict[str, Any], result: str) -> dict[str, Any]:
    """Return the answer of place as it is ("full"), or with a row per request and host ("counts")."""
    if result == "full":
        return answer
    if result != "counts":
        raise PhotonError("SpecInvalid", f"result: must be full or counts, not {result!r}", {"key": "result"})
    placed = Counter((row["request"], row["host"]) for row in answer["placements"])
    unplaced: dict[str, dict[str, Any]] = {}
    for row in answer["unplaced"]:
        first = unplaced.setdefault(row["request"], {**row, "count": 0})
        first["count"] += 1
    return {
        "placements": [{"request": name, "host": host, "count": n} for (name, host), n in placed.items()],
        "unplaced": list(unplaced.values()),
        "summary": answer["summary"],
    }


def _text(key: Any) -> Any:
    return key if type(key) is str else str(key) if isinstance(key, str) else key
