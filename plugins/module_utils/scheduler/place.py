# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""place: where each requested VM goes, or why it goes nowhere; the order of a batch, and further attempts."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .attempt import Attempt, Unit
from .fleet import Fleet
from .optimal import improve
from .policies import Policy, read_policy
from .requests import Batch, Request, Shape

# Batches of up to this many VMs are tried again while VMs find no place.
RETRY_LIMIT = 20_000
URGENT_ROUNDS = 3


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

    Returns ``placements``, one mapping per placed VM (request, index, host, zone, rack, datastores with one id per
    disk, score from 0 to 100, its parts), ``unplaced`` (request, index, code, eliminated, nearest, message) and
    ``summary``. The same input and seed give the same answer. Nothing is claimed. Raises SpecInvalid naming the item
    and the key.
    """
    chosen = read_policy(policy, weights, seed, quality, time_budget)
    # Few reference cycles arise, and without the collector 100,000 VMs take a sixth less time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        hosts = Fleet(fleet)
        batch = Batch(requests, hosts)
        quick = place_batch(batch, hosts, chosen)
        if chosen.quality == "optimal":
            return improve(quick)
        return quick.answer()
    finally:
        if collecting:
            gc.enable()


def place_batch(batch: Batch, fleet: Fleet, policy: Policy) -> Attempt:
    """Place a batch: affinity groups as wholes, largest first, then the others, largest first.

    When VMs find no place that way, list order decides who goes without (under ``pack`` the size): a further attempt
    with another order counts only when every request gets as many places as before.
    """
    wholes, singles = _units(batch, fleet)
    units = [*wholes, *(singles if policy.name == "photon" else _largest_first(singles, batch, fleet))]
    best = Attempt(batch, fleet, policy).run(units)
    if best.lost and policy.name == "spread":
        units = [*wholes, *singles]
        best = Attempt(batch, fleet, policy).run(units)
    hopeless = _hopeless(best)
    if sum(request.count for request in batch.requests) > RETRY_LIMIT:
        return best
    attempts = _attempts(best, units, wholes, singles)
    while best.lost.keys() - hopeless:
        attempt = next(attempts, None)
        if attempt is None:
            break
        if attempt.lost != best.lost and attempt.lost <= best.lost:
            best = attempt
    return best


def _attempts(first: Attempt, units: list[Unit], wholes: list[list[int]], singles: list[int]) -> Iterator[Attempt]:
    """Yield further attempts: those without a place first, then the hardest first, then packed."""
    batch, fleet, policy = first.batch, first.fleet, first.policy
    urgent: Counter[int] = Counter()
    last = first
    for number in range(URGENT_ROUNDS):
        urgent.update(last.lost)
        order = sorted(
            units, key=lambda unit: -(urgent[unit] if isinstance(unit, int) else max(urgent[number] for number in unit))
        )
        last = Attempt(batch, fleet, policy, tight=number > 0).run(order)
        yield last
    hardest = [*wholes, *sorted(singles, key=lambda number: _hardness(batch.requests[number], batch, fleet))]
    yield Attempt(batch, fleet, policy, tight=True).run(hardest)
    if policy.name != "photon":  # its 95 % limit holds in its own order alone
        for order in ([*wholes, *singles], hardest):
            for tight in (False, True):
                yield Attempt(batch, fleet, policy, order="pack", tight=tight).run(order)


def _units(batch: Batch, fleet: Fleet) -> tuple[list[list[int]], list[int]]:
    """Return the requests that hard affinity ties together, largest in all first, and the others one by one."""
    tying = {group for group, rules in batch.rules.items() if any(rule.ties for rule in rules)}
    singles: list[int] = []
    tied: dict[str, list[int]] = {}  # all groups that share a member have the same list
    for number, request in enumerate(batch.requests):
        groups = [group for group in request.groups if group in tying] if request.groups else ()
        if not groups:
            singles.append(number)
            continue
        unit = tied.setdefault(groups[0], [])
        unit.append(number)
        for group in groups[1:]:
            other = tied.setdefault(group, unit)
            if other is not unit:
                unit += other
                tied.update({name: unit for name, members in tied.items() if members is other})

    def size(unit: list[int]) -> float:
        requests = [batch.requests[number] for number in unit]
        return fleet.size(
            sum(request.count * request.shape.vcpus for request in requests),
            sum(request.count * request.shape.memory for request in requests),
        )

    wholes = {id(unit): sorted(unit) for unit in tied.values()}
    return sorted(wholes.values(), key=lambda unit: (-size(unit), unit)), singles


def _largest_first(singles: list[int], batch: Batch, fleet: Fleet) -> list[int]:
    """Sort requests by size; of the same size those of one shape together, and of these first the members of groups."""
    shapes: dict[Shape, tuple[list[int], list[int]]] = {}
    for number in singles:
        _id, _count, shape, groups, spread = batch.requests[number]
        if shape not in shapes:
            shapes[shape] = ([], [])
        shapes[shape][not groups and spread is None].append(number)
    order = sorted(shapes, key=lambda shape: -fleet.size(shape.vcpus, shape.memory))
    return [number for shape in order for part in shapes[shape] for number in part]


def _hardness(request: Request, batch: Batch, fleet: Fleet) -> tuple[int, int, float]:
    statics = request.shape.statics
    apart = any(rule.parts for group in request.groups for rule in batch.rules[group])
    pinned = statics.host is not None or statics.datastore is not None
    return -pinned, -apart - (request.spread is not None), -fleet.size(request.shape.vcpus, request.shape.memory)


def _hopeless(attempt: Attempt) -> set[int]:
    """Return the requests without a place that fit on no host of the fleet even when it is as it was."""
    if not attempt.lost:
        return set()
    fresh, requests = Attempt(attempt.batch, attempt.fleet, attempt.policy).search, attempt.batch.requests
    return {number for number in attempt.lost if fresh.queue(requests[number].shape).find(0, None) is None}
