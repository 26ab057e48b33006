# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan or an outcome as text for people: changes by kind, counts, failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .model import units
from .model.entities import KINDS
from .model.names import collapse

SIGNS = {"create": "+", "update": "~", "delete": "-"}
WORDS = {"create": "to create", "update": "to change", "delete": "to delete", "keep": "unchanged"}
DONE = {"create": "created", "update": "changed", "delete": "deleted", "keep": "unchanged"}
TITLES = {"deployment": "platform settings"}
_WIDEST = 100


def plan_lines(outcome: Mapping[str, Any]) -> list[str]:
    """Return a module's result in check mode with ``result: full`` (see services/report.py) as lines."""
    return [*kind_lines(outcome.get("plan", []), _kind), *_end(outcome, WORDS, "blocked")]


def kind_lines(
    rows: Iterable[Mapping[str, Any]], show: Callable[[list[Mapping[str, Any]]], Iterable[str]]
) -> list[str]:
    """Return for each kind of the rows its name, the lines that ``show`` makes of them and an empty line."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    order = sorted(by_kind, key=lambda kind: KINDS.index(kind) if kind in KINDS else len(KINDS))
    return [line for kind in order for line in (TITLES.get(kind, kind), *show(by_kind[kind]), "")]


def outcome_lines(outcome: Mapping[str, Any], *, planned: bool = False) -> list[str]:
    """Return a module's result as lines: changes by kind, as in a plan, counts, and failures last.

    ``planned``: it was in check mode.
    """
    rows, others = [], []
    for change in outcome.get("changes", []):
        verb, _blank, rest = change.partition(" ")
        kind = next((kind for kind in (*KINDS, "drs rule") if rest.startswith(f"{kind} ")), None)
        if verb in SIGNS and kind:
            name, bracket, reason = rest.removeprefix(kind).strip().partition(" (")
            rows.append({"kind": kind, "verb": verb, "name": name, "reason": f"{bracket}{reason}"})
        else:
            others.append(change)
    lines = [*kind_lines(rows, _done), *others, *([""] if others else [])]
    return [*lines, *(_end(outcome, WORDS, "blocked") if planned else _end(outcome, DONE, "failed"))]


def _done(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of one kind: changes of one verb and reason are one line, as in a plan."""
    groups: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        groups.setdefault((row["verb"], row["reason"]), []).append(row["name"])
    for (verb, reason), names in groups.items():
        yield f"  {SIGNS[verb]} {', '.join(names)}{reason}"


def _end(outcome: Mapping[str, Any], words: Mapping[str, str], failed: str) -> list[str]:
    """Warnings, counts, failures."""
    counts, failures = totals(outcome, words, failed), failure_lines(outcome)
    lines = [*warning_lines(outcome), *counts, *(["", *failures] if counts and failures else failures)]
    return lines[:-1] if lines and not lines[-1] else lines


def failure_lines(outcome: Mapping[str, Any]) -> list[str]:
    """Return one line per failure: kind, name, key path, code and message."""
    rows = outcome.get("failures", [])
    if not rows and outcome.get("error_code"):
        return [f"{outcome['error_code']}: {outcome.get('msg', '')}", ""]
    lines = []
    for row in rows:
        where = f" ({row['path']})" if row["path"] else ""
        lines.append(f"! {row['kind']} {row['name']}{where}: {row['error_code']}: {row['message']}")
    return [*lines, ""] if lines else []


def warning_lines(outcome: Mapping[str, Any]) -> list[str]:
    """One line per warning."""
    lines = [f"warning: {text}" for text in outcome.get("warnings", [])]
    return [*lines, ""] if lines else []


def totals(outcome: Mapping[str, Any], words: Mapping[str, str], failed: str) -> list[str]:
    """``12 to create, 3 unchanged, 1 blocked``; empty where nothing was planned."""
    if "counts" not in outcome:
        return []
    numbers = dict.fromkeys(words, 0)
    for verbs in outcome["counts"].values():
        for verb, number in verbs.items():
            numbers[verb] += number
    failures = sum(row.get("count", 1) for row in outcome.get("failures", []))
    parts = [f"{number} {words[verb]}" for verb, number in numbers.items() if number]
    parts += [f"{failures} {failed}"] if failures else []
    return [", ".join(parts) or "nothing is declared"]


def _kind(steps: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of one kind: like steps are one line, with their names as ranges."""
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for step in steps:
        fields = tuple(_fields(step)) if step["verb"] == "update" else ()
        groups.setdefault((step["verb"], step["reason"], fields), []).append(step)
    for (verb, reason, fields), members in groups.items():
        names = _listed(step["name"] for step in members)
        shown_reason = "" if reason == "declared" or (verb == "update" and fields) else reason
        yield f"  {SIGNS[verb]} {names}" + (f"   ({shown_reason})" if shown_reason else "")
        yield from (f"      {field}" for field in fields)
        if verb == "create" and members[0]["kind"] == "vm":
            yield from _places(members)


def _fields(step: Mapping[str, Any]) -> Iterator[str]:
    for key, value in step["after"].items():
        before = step["before"].get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):  # only the members that differ
            for name in dict.fromkeys([*before, *value]):
                if before.get(name) != value.get(name):
                    yield f"{key}.{name}: {_text(before.get(name), name)} -> {_text(value.get(name), name)}"
        else:
            yield f"{key}: {_text(before, key)} -> {_text(value, key)}"
    for change in step["changes"]:
        if change not in step["after"]:
            yield change


def _places(members: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the places of new VMs: one line per host and datastore."""
    places: dict[tuple[str, str], list[str]] = {}
    for step in members:
        place = str(step["after"].get("host")), str(step["after"].get("datastore"))
        places.setdefault(place, []).append(step["name"].rpartition("/")[2])
    width = max(len(host) for host, _datastore in places)
    for (host, datastore), names in sorted(places.items()):
        yield f"      {host:{width}}  {_listed(names)}   on {datastore}"


def _listed(names: Iterable[str]) -> str:
    """Names as ranges; of very many ranges the first ones and the number of the others."""
    ranges = list(collapse(names))
    text = ", ".join(ranges[:_WIDEST])
    return text if len(ranges) <= _WIDEST else f"{text} and {len(ranges) - _WIDEST} more"


def _text(value: Any, key: str = "") -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_text(member, name)}" for name, member in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_text(member) for member in value) + "]"
    if isinstance(value, int) and not isinstance(value, bool) and key.rpartition(".")[2] in ("memory", "capacity"):
        return units.exact(value)
    return "none" if value is None else str(value)
