# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What place answered, in lines for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .reading import rows


def explain(result: Mapping[str, Any], *, limit: int = 50) -> list[str]:
    """What place answered, in lines for people: first what found no place and why, then the places with their score's
    parts.

    At most ``limit`` lines of each kind, then how many more there are. Requests that fail for one reason share a line.
    """
    alike: dict[tuple[str, str, str], int] = {}
    for row in rows(result, "unplaced", "result"):
        removed = ", ".join(f"{number} {name}" for name, number in row["eliminated"])
        alike[row["request"], f"{row['code']}: {row['message']}", removed] = (
            alike.get((row["request"], f"{row['code']}: {row['message']}", removed), 0) + 1
        )
    failed = [
        f"{name}{f' ({times} VMs)' if times > 1 else ''}: no place: {why}"
        + (f" (hosts removed: {removed})" if removed else "")
        for (name, why, removed), times in alike.items()
    ]
    placed = []
    for row in rows(result, "placements", "result"):
        parts = ", ".join(f"{key} {value:g}" for key, value in row["parts"].items())
        zone = f" in zone {row['zone']}" if row.get("zone") else ""
        placed.append(f"{row['request']}[{row['index']}]: {row['host']}{zone}: score {row['score']:g} ({parts})")
    return [*_cut(failed, limit, "without a place"), *_cut(placed, limit, "placed")]


def _cut(lines: list[str], limit: int, what: str) -> list[str]:
    more = len(lines) - limit
    return lines if more <= 0 else [*lines[:limit], f"... and {more} more {what}"]
