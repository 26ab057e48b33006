# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of a run as text: one line for logs, bars for a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from .model import units
from .model.entities import KINDS

RATE_OVER = 10.0  # seconds
_RATE_FROM = 2.0  # seconds that must have passed before a rate means anything
_BAR = (8, 30)  # cells
_WITH_THE_PLAN = "RESERVE_RESOURCE"  # done before there is anything to watch
_GREEN, _PLAIN = "\x1b[32m", "\x1b[0m"


class Rates:
    """Bytes per second of the steps that report bytes, over the last seconds that were seen."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], deque[tuple[float, int]]] = {}

    def add(self, progress: Any) -> dict[tuple[str, str], float]:
        """Return ``{(kind, operation): bytes per second}`` once enough was seen."""
        rates = {}
        for step in progress.steps:
            if step.unit != "B":
                continue
            samples = self._seen.setdefault((step.kind, step.operation), deque())
            samples.append((progress.now, step.done))
            while len(samples) > 2 and samples[1][0] <= progress.now - RATE_OVER:
                samples.popleft()
            seconds = samples[-1][0] - samples[0][0]
            if seconds >= _RATE_FROM and step.done < step.of:
                rates[step.kind, step.operation] = (samples[-1][1] - samples[0][1]) / seconds
        return rates


def line(progress: Any, rates: dict[tuple[str, str], float]) -> str:
    """Return a run's progress (see cloudstore/progress.py) in one line."""
    parts = [f"{step.kind} {_verb(step)} {_numbers(step, rates)}" for step in _ordered(progress)]
    return f"photon: {_phase(progress)}" + (f": {'; '.join(parts)}" if parts else "")


def bars(
    progress: Any, rates: dict[tuple[str, str], float], width: int, *, unicode: bool = True, color: bool = True
) -> list[str]:
    """Return a run's progress as lines of at most ``width`` columns: what it does, then a bar per kind and step."""
    steps = list(_ordered(progress))
    labels = [f"{step.kind} {_verb(step)}" for step in steps]
    numbers = [_numbers(step, rates) for step in steps]
    first = max(map(len, labels), default=0)
    room = min(_BAR[1], width - first - max(map(len, numbers), default=0) - 5)
    lines = [_phase(progress)[:width]]
    for step, label, number in zip(steps, labels, numbers, strict=True):
        text = f"  {label:{first}} "
        if room < _BAR[0]:  # the numbers tell as much
            lines.append(f"{text}{number}"[:width])
        else:
            lines.append(f"{text}{_bar(step, room, unicode=unicode, color=color)} {number}")
    return lines


def _phase(progress: Any) -> str:
    elapsed = _duration(progress.now - progress.started_at)
    if progress.waiting is not None:
        waiting = progress.waiting
        since = time.strftime("%H:%M:%S", time.localtime(waiting.since))
        return f"waiting for run {waiting.run[:8]} by {waiting.by} since {since}, {elapsed}"
    if not progress.steps:
        return f"reading and planning, {elapsed}"
    ended = all(step.completed + step.failed == step.total for step in progress.steps)
    return f"{'finishing' if ended else 'applying'}, {elapsed}"


def _ordered(progress: Any) -> Iterator[Any]:
    """Yield the steps by kind, in the order in which kinds are applied."""
    shown = [step for step in progress.steps if step.operation != _WITH_THE_PLAN]
    yield from sorted(shown, key=lambda step: KINDS.index(step.kind) if step.kind in KINDS else len(KINDS))


def _verb(step: Any) -> str:
    """``create`` of CREATE_VM and CREATE_IMAGE_COPY, ``enter maintenance mode`` of ENTER_MAINTENANCE_MODE."""
    kind = step.kind.replace("-", "_")
    return step.operation.lower().removesuffix(f"_{kind}").replace("_", " ")


def _numbers(step: Any, rates: dict[tuple[str, str], float]) -> str:
    text = f"{step.completed}/{step.total}"
    if step.of and step.completed + step.failed < step.total:
        amount = units.show(step.done, step.unit) if step.unit == "B" else str(step.done)
        text = f"{amount} of {units.show(step.of, step.unit)}"
    rate = rates.get((step.kind, step.operation))
    text += f", {units.show(int(rate))}/s" if rate is not None else ""
    return text + (f", {step.failed} failed" if step.failed else "")


def _bar(step: Any, cells: int, *, unicode: bool, color: bool) -> str:
    ended = step.completed + step.failed
    part = step.done / step.of if step.of and ended < step.total else ended / step.total
    full = min(cells, int(part * cells))
    done, left = ("━", "╌") if unicode else ("#", "-")
    text, rest = done * full, left * (cells - full)
    return f"{_GREEN}{text}{_PLAIN}{rest}" if color and full else text + rest


def _duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
