# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""place: where each requested VM goes, or why it goes nowhere."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .engine import Engine
from .explain import Reasons, summary
from .fleet import Fleet
from .policies import Policy, read_policy
from .requests import Request, read

# A call that leaves VMs out is tried again with the hardest ones first, up to this many VMs.
RETRY_LIMIT = 20_000


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
    # Hundreds of thousands of small results, none of them a cycle: the collector would only walk them again and again.
    collecting = gc.isenabled()
    gc.disable()
    try:
        chosen = read_policy(policy, weights, seed, quality, time_budget)
        columns = Fleet(fleet)
        wanted = read(requests, columns)
        return _place(wanted, columns, chosen)
    finally:
        if collecting:
            gc.enable()


def _place(wanted: list[Request], fleet: Fleet, policy: Policy) -> dict[str, Any]:
    total = sum(request.count for request in wanted)
    saved = fleet.free() if total <= RETRY_LIMIT else None
    order = sorted(range(len(wanted)), key=lambda n: _size(wanted[n], fleet)) if policy.name == "pack" else range(len(wanted))
    answer = _run(wanted, order, fleet, policy)
    if answer["unplaced"] and saved is not None:
        fleet.restore(saved)
        hardest = sorted(range(len(wanted)), key=lambda n: _hardness(wanted[n], fleet))
        second = _run(wanted, hardest, fleet, policy)
        # Fewer than all would mean that list order no longer says who goes without.
        if not second["unplaced"]:
            return second
    return answer


def _run(wanted: list[Request], order: Sequence[int], fleet: Fleet, policy: Policy) -> dict[str, Any]:
    engine = Engine(fleet, policy)
    engine.ledger.read_demand(wanted)
    reasons = Reasons(engine)
    find, commit, parts_of = engine.find, engine.commit, engine.parts
    ids, zones, racks, store_ids = fleet.ids, fleet.zones, fleet.racks, fleet.store_ids
    results: list[list[dict[str, Any]]] = [[] for _request in wanted]
    unplaced: list[dict[str, Any]] = []
    for number in order:
        request = wanted[number]
        name, result = request.id, results[number]
        for index in range(request.count):
            found, view, plan = find(request, index)
            if found is None:
                unplaced.append(reasons.of(request, index, view))
                continue
            score, parts = parts_of(request, found, plan)
            commit(request, found, plan)
            host, stores = found
            result.append({
                "request": name, "index": index, "host": ids[host], "zone": zones[host], "rack": racks[host],
                "datastores": [store_ids[store] for store in stores], "score": score, "parts": parts,
            })
    placements = [placement for result in results for placement in result]
    return {"placements": placements, "unplaced": unplaced, "summary": summary(engine, placements, unplaced)}


def _size(request: Request, fleet: Fleet) -> float:
    """Larger requests first: minus the share of an average host in the dimension where the request is largest."""
    cpu, memory = fleet.average
    return -max(request.shape.vcpus / cpu, request.shape.memory / memory)


def _hardness(request: Request, fleet: Fleet) -> tuple[int, int, float]:
    statics = request.shape.statics
    rules = {rule for group in request.groups for rule in fleet.rules[group] if rule.hard}
    together = any(rule.kind == "affinity" for rule in rules)
    apart = any(rule.kind == "anti-affinity" for rule in rules)
    pinned = statics.host is not None or statics.datastore is not None
    return (-pinned, -2 * together - apart - (request.spread is not None), _size(request, fleet))
