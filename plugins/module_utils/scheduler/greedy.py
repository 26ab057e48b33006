# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Greedy: the order in which a batch is placed, and further attempts with other orders while VMs find no place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from .attempt import Attempt, Unit
from .fleet import Fleet
from .policies import Policy
from .requests import Batch, Request

# Batches of up to this many VMs are tried again while VMs find no place.
RETRY_LIMIT = 20_000
URGENT_ROUNDS = 3


def greedy(batch: Batch, fleet: Fleet, policy: Policy) -> Attempt:
    """Place a batch: affinity groups as wholes, largest first, then the others in list order (``pack``: largest first).

    While VMs find no place, try again with other orders. A further attempt counts only when every request gets as many
    places as before: list order decides who goes without.
    """
    wholes, singles = _units(batch, fleet)
    units = [*wholes, *(_largest_first(singles, batch, fleet) if policy.name == "pack" else singles)]
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
    together = {group for group in batch.rules if batch.hard_affinity(group)}
    leader = {group: group for group in together}  # a union-find over groups that share a member

    def lead(group: str) -> str:
        while leader[group] != group:
            leader[group] = group = leader[leader[group]]
        return group

    singles: list[int] = []
    tied: list[tuple[int, str]] = []
    for number, request in enumerate(batch.requests):
        groups = [group for group in request.groups if group in together] if together else ()
        if not groups:
            singles.append(number)
            continue
        tied.append((number, groups[0]))
        for group in groups[1:]:
            leader[lead(group)] = lead(groups[0])
    wholes: dict[str, list[int]] = defaultdict(list)
    for number, group in tied:
        wholes[lead(group)].append(number)

    def size(unit: list[int]) -> float:
        requests = [batch.requests[number] for number in unit]
        return fleet.size(
            sum(request.count * request.shape.vcpus for request in requests),
            sum(request.count * request.shape.memory for request in requests),
        )

    return sorted(wholes.values(), key=lambda unit: (-size(unit), unit)), singles


def _largest_first(singles: list[int], batch: Batch, fleet: Fleet) -> list[int]:
    """Sort requests by size; of the same size those of one shape together, and of these first the members of groups."""
    requests = batch.requests
    shapes = dict.fromkeys(requests[number].shape for number in singles)
    order = sorted(shapes, key=lambda shape: -fleet.size(shape.vcpus, shape.memory))
    ranks = {shape: 2 * rank for rank, shape in enumerate(order)}

    def key(number: int) -> int:
        request = requests[number]
        return ranks[request.shape] + (not request.groups and request.spread is None)

    return sorted(singles, key=key)


def _hardness(request: Request, batch: Batch, fleet: Fleet) -> tuple[int, int, float]:
    statics = request.shape.statics
    apart = any(rule.hard and rule.kind == "anti-affinity" for group in request.groups for rule in batch.rules[group])
    pinned = statics.host is not None or statics.datastore is not None
    return -pinned, -apart - (request.spread is not None), -fleet.size(request.shape.vcpus, request.shape.memory)


def _hopeless(attempt: Attempt) -> set[int]:
    """Return the requests without a place that fit on no host of the fleet even when it is as it was."""
    if not attempt.lost:
        return set()
    fresh = Attempt(attempt.batch, attempt.fleet, attempt.policy)
    fits: dict[object, bool] = defaultdict(bool)
    for shape in {attempt.batch.requests[number].shape for number in attempt.lost}:
        fits[shape] = fresh.search.queue(shape).find(0, None) is not None
    return {number for number in attempt.lost if not fits[attempt.batch.requests[number].shape]}
