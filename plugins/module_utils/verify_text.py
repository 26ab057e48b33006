# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of ``verify`` as text for people: findings by kind, each with its next step, and the totals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .plan_text import failure_lines, kind_lines, warning_lines

Row = Mapping[str, Any]


def verify_lines(outcome: Mapping[str, Any]) -> list[str]:
    """Return the result of module cloudstore with ``state: verified`` as lines."""
    if outcome.get("error_code"):
        return failure_lines(outcome)[:1]
    lines = kind_lines(outcome["findings"], _kind)
    omitted = outcome["found"] - len(outcome["findings"])
    if omitted > 0:
        lines += [f"and {omitted} more findings (result: full returns all of them)", ""]
    return [*lines, *warning_lines(outcome), *_totals(outcome)]


def _kind(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of one kind: findings with the same next step stand together, the step once below them."""
    groups: dict[tuple[str, bool], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["step"], row["repaired"]), []).append(row)
    for (step, repaired), members in groups.items():
        for row in members:
            sign = "*" if repaired else "!"
            yield f"  {sign} {row['name']}: {row['what']}: {row['found']}, expected {row['expected']}"
        yield f"      -> {'repaired' if repaired else step}"


def _totals(outcome: Mapping[str, Any]) -> Iterator[str]:
    compared, unread = outcome["endpoints"]["compared"], outcome["endpoints"]["not_compared"]
    names = f"CloudStore compared with {', '.join(compared)}" if compared else "CloudStore compared with no endpoint"
    yield names + (f", not with {', '.join(unread)}" if unread else "")
    repaired, left, repairable = outcome["repaired"], outcome["left"], outcome["repairable"]
    parts = [f"{repaired} repaired"] if repaired else []
    parts += [f"{repairable} to repair (--repair)"] if repairable else []
    parts += [f"{left - repairable} for you to decide"] if left > repairable else []
    yield ", ".join(parts) or "no differences"
