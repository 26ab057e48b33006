# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""place: where each requested VM goes, or why it goes nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .engine import Engine
from .explain import summary
from .fleet import Fleet
from .policies import read_policy
from .requests import read


def place(
    requests: Iterable[Mapping[str, Any]],
    fleet: Mapping[str, Any],
    *,
    policy: str = "spread",
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    quality: str = "normal",
    time_budget: float | None = None,
) -> dict[str, Any]:
    """Place every VM of the requests on the fleet; see docs/scheduling.md for the keys of both.

    Returns ``placements``, one mapping per placed VM (request, index, host, zone, rack, datastores with one id per disk,
    score from 0 to 100, its parts), ``unplaced`` (request, index, code, eliminated, nearest, message) and ``summary``.
    The same input and seed give the same answer. Nothing is claimed. Raises SpecInvalid naming the item and the key.
    """
    columns = Fleet(fleet)
    wanted = read(requests, columns)
    engine = Engine(columns, read_policy(policy, weights, seed, quality, time_budget))
    placements: list[dict[str, Any]] = []
    unplaced: list[dict[str, Any]] = []
    for request in wanted:
        for index in range(request.count):
            answer = engine.place(request, index)
            (placements if "host" in answer else unplaced).append(answer)
    return {"placements": placements, "unplaced": unplaced, "summary": summary(engine, placements, unplaced)}
