# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""place: where each requested VM goes, or why it goes nowhere; the order of a batch, and further attempts."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from .attempt import Attempt, Unit
from .fleet import Fleet
from .optimal import improve
from .policies import Policy, read_policy
from .requests import Batch, Kind, Vm

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
        batch = Batch(requests, hosts, apart=chosen.apart)
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
    if policy.name != "photon":
        ranks = {shape: rank for rank, shape in enumerate(dict.fromkeys(kind.shape for kind in singles))}
        # Kinds of one shape one after the other, of these first the members of groups.
        singles.sort(key=lambda k: (-fleet.size_of(k.shape), ranks[k.shape], not k.groups and k.spread is None))
        best = Attempt(batch, fleet, policy).run([*wholes, *[Unit(kind.vms) for kind in singles]])
        if not best.lost:
            return best
    vms = [vm for kind in singles for vm in kind.vms]
    in_list_order = _by_request(sorted(vms))
    units = [*wholes, *(_by_request(vms) if policy.name == "pack" else in_list_order)]
    if policy.name != "pack":
        best = Attempt(batch, fleet, policy).run(units)
    hopeless = _hopeless(best)
    attempts = _attempts(best, units, wholes, in_list_order) if len(batch.vms) <= RETRY_LIMIT else iter(())
    while best.lost.keys() - hopeless:
        attempt = next(attempts, None)
        if attempt is None:
            break
        if attempt.lost != best.lost and attempt.lost <= best.lost:
            best = attempt
    return best


def _attempts(first: Attempt, units: list[Unit], wholes: list[Unit], singles: list[Unit]) -> Iterator[Attempt]:
    """Yield further attempts: those without a place first, then the hardest first, then packed."""
    batch, fleet, policy = first.batch, first.fleet, first.policy
    urgent: Counter[int] = Counter()
    last = first
    for number in range(URGENT_ROUNDS):
        urgent.update(last.lost)
        order = sorted(units, key=lambda unit: -max([urgent[number] for number, _index in unit.vms]))
        last = Attempt(batch, fleet, policy, tight=number > 0).run(order)
        yield last
    hardest = [*wholes, *sorted(singles, key=lambda unit: _hardness(batch.kind_of[unit.vms[0][0]], batch, fleet))]
    yield Attempt(batch, fleet, policy, tight=True).run(hardest)
    if policy.name != "photon":  # its 95 % limit holds in its own order alone
        for order in ([*wholes, *singles], hardest):
            for tight in (False, True):
                yield Attempt(batch, fleet, policy, order="pack", tight=tight).run(order)


def _by_request(vms: list[Vm]) -> list[Unit]:
    return [Unit(list(alike)) for _number, alike in groupby(vms, key=itemgetter(0))]


def _units(batch: Batch, fleet: Fleet) -> tuple[list[Unit], list[Kind]]:
    """Return the VMs that hard affinity ties together, largest in all first, and the kinds of the others."""
    tying = {group for group, rules in batch.rules.items() if any(rule.ties for rule in rules)}
    singles: list[Kind] = []
    tied: dict[str, list[Kind]] = {}  # all groups that share a member have the same list
    for kind in batch.kinds:
        groups = [group for group in kind.groups if group in tying]
        if not groups:
            singles.append(kind)
            continue
        unit = tied.setdefault(groups[0], [])
        unit.append(kind)
        for group in groups[1:]:
            other = tied.setdefault(group, unit)
            if other is not unit:
                unit += other
                tied.update({name: unit for name, kinds in tied.items() if kinds is other})

    def size(kinds: list[Kind]) -> float:
        return fleet.size(
            sum(len(kind.vms) * kind.shape.vcpus for kind in kinds),
            sum(len(kind.vms) * kind.shape.memory for kind in kinds),
        )

    found = [(-size(kinds), sorted(vm for kind in kinds for vm in kind.vms)) for kinds in _distinct(tied.values())]
    return [Unit(vms, whole=True) for _size, vms in sorted(found)], singles


def _distinct(lists: Iterable[list[Kind]]) -> list[list[Kind]]:
    return list({id(kinds): kinds for kinds in lists}.values())


def _hardness(kind: Kind, batch: Batch, fleet: Fleet) -> tuple[int, int, float]:
    statics = kind.shape.statics
    apart = any(rule.parts for group in kind.groups for rule in batch.rules[group])
    pinned = statics.host is not None or statics.datastore is not None
    return -pinned, -apart - (kind.spread is not None), -fleet.size_of(kind.shape)


def _hopeless(attempt: Attempt) -> set[int]:
    """Return the requests without a place that fit on no host of the fleet even when it is as it was."""
    if not attempt.lost:
        return set()
    fresh, batch = Attempt(attempt.batch, attempt.fleet, attempt.policy).search, attempt.batch
    return {number for number in attempt.lost if fresh.queue(batch.kind_of[number].shape).find(0) is None}
