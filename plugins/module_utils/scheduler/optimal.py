# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""quality: optimal. Small batches are solved exactly, large ones packed by patterns; both report a proven bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heapify, heapreplace
from typing import Any

from .batch import Batch
from .engine import Engine
from .exact import Infeasible, TooLarge, solve
from .fleet import Fleet
from .patterns import Plan, TooVaried, pack_plan
from .policies import Policy
from .requests import Request, Requests, Shape
from .solver import Budget, highs

Answer = dict[str, Any]
Greedy = Callable[[list[Request], Fleet, Policy], Answer]


def place_optimal(wanted: Requests, fleet: Fleet, policy: Policy, greedy: Greedy) -> Answer:
    """As place; ``summary`` gains method, bound, gap_percent and fallback (why the quick answer was kept, or None).

    The bound is on ``hosts_opened``, the hosts in use afterwards that were empty before, for policy pack; for other
    policies the exact method only finds places that the quick one misses. Raises MissingLibrary without highspy.
    """
    highs()  # asked for, so its absence is an error even where the quick answer could not be better
    budget = Budget(policy.time_budget)
    saved = fleet.free()
    quick = greedy(wanted, fleet, policy)
    after = fleet.free()
    if not wanted or (policy.name != "pack" and not quick["unplaced"]):
        return _report(quick, "normal", None, None)
    fleet.restore(saved)
    try:
        slow, method, bound, why = _exactly(wanted, fleet, policy, budget, quick)
    except TooLarge as reason:
        fleet.restore(saved)
        if policy.name != "pack":
            fleet.restore(after)
            return _report(quick, "normal", None, f"{reason}; only policy pack has a method for that size")
        slow, method, bound, why = _by_patterns(wanted, fleet, policy, budget)
    if slow is None or _badness(quick) <= _badness(slow):
        fleet.restore(after)
        return _report(quick, "normal" if why else method, bound, why)
    return _report(slow, method, bound, why)


def _badness(answer: Answer) -> tuple[int, int]:
    return len(answer["unplaced"]), answer["summary"]["hosts_opened"]


def _report(answer: Answer, method: str, bound: int | None, why: str | None) -> Answer:
    summary = answer["summary"]
    opened = summary["hosts_opened"]
    gap = None
    if bound is not None and not answer["unplaced"]:
        gap = round(100 * (opened - bound) / bound, 3) if bound else 0.0 if not opened else None
    summary.update(method=method, bound=bound, gap_percent=gap, fallback=why)
    return answer


def _exactly(
    wanted: Requests, fleet: Fleet, policy: Policy, budget: Budget, quick: Answer
) -> tuple[Answer | None, str, int | None, str | None]:
    batch = Batch(wanted, fleet, policy)
    try:
        solution = solve(batch.engine, wanted, pack=policy.name == "pack", budget=budget)
    except Infeasible:
        return None, "exact", None, None
    if solution.places is None:
        return (
            None,
            "exact",
            solution.bound,
            f"the time budget of {policy.time_budget or 'the exact method'} s is spent",
        )
    left: list[tuple[int, int]] = []
    for number, hosts in enumerate(solution.places):
        for index, host in enumerate(hosts):
            stores = batch.engine.view(wanted[number].shape).fit(host) if host is not None else None
            if stores is None:
                left.append((number, index))
            else:
                batch.put(number, index, (host, stores))
    for number, index in left:
        batch.fill_some(number, [index])
    return batch.close(), "exact", solution.bound, solution.why


def _by_patterns(
    wanted: Requests, fleet: Fleet, policy: Policy, budget: Budget
) -> tuple[Answer | None, str, int | None, str | None]:
    batch = Batch(wanted, fleet, policy)
    totals: Counter[Shape] = Counter()
    for request in wanted:
        totals[request.shape] += request.count
    shapes = list(totals)
    try:
        plan = pack_plan(batch.engine, shapes, [totals[shape] for shape in shapes], budget)
    except TooVaried as reason:
        return None, "normal", None, f"{reason} are too many for patterns"
    bound = max(plan.bound, _largest_group(wanted, batch.engine))
    _assign(batch, plan, shapes)
    why = None if plan.complete else f"the time budget of {policy.time_budget} s was spent before the bound was tight"
    return batch.close(), "patterns", bound, why


def _assign(batch: Batch, plan: Plan, shapes: list[Shape]) -> None:
    """VMs to the slots of their shape: groups that must stay apart first, largest first; then what groups do not bind;
    then, by the policy, whatever found no slot."""
    slots: dict[Shape, list[list[int]]] = {}
    for order, (host, mix) in enumerate(plan.slots.items()):
        for number, times in mix.items():
            slots.setdefault(shapes[number], []).append([-times, order, host])
    sizes = Counter(group for request in batch.wanted for group in request.groups for _i in range(request.count))
    numbers = sorted(
        (
            n
            for n, request in enumerate(batch.wanted)
            if request.spread is None and not _together(batch.engine, request)
        ),
        key=lambda n: -max((sizes[group] for group in batch.wanted[n].groups), default=0),
    )
    for heap in slots.values():
        heapify(heap)
    done: dict[int, set[int]] = {}
    for number in numbers:
        request = batch.wanted[number]
        heap = slots.get(request.shape, [])
        for index in range(request.count):
            if _take(batch, number, index, heap):
                done.setdefault(number, set()).add(index)
    for number, request in enumerate(batch.wanted):
        rest = [index for index in range(request.count) if index not in done.get(number, ())]
        if rest:
            batch.fill_some(number, rest)


def _take(batch: Batch, number: int, index: int, heap: list[list[int]]) -> bool:
    """Put a VM into a slot on the host with most slots of its shape left that its groups allow."""
    request, engine = batch.wanted[number], batch.engine
    plan = engine.ledger.plan(request.groups) if request.groups else None
    fit = engine.view(request.shape).fit
    tried = 0
    for entry in sorted(heap)[:64] if plan is not None else heap[:1]:
        times, order, host = entry
        if times == 0:
            break
        tried += 1
        if plan is not None and plan.strict is not None and not plan.strict(host):
            continue
        stores = fit(host)
        if stores is None:
            continue
        batch.put(number, index, (host, stores))
        if entry is heap[0]:
            heapreplace(heap, [times + 1, order, host])
        else:
            entry[0] = times + 1
            heapify(heap)
        return True
    return False


def _together(engine: Engine, request: Request) -> bool:
    return any(rule.kind == "affinity" for group in request.groups for rule in engine.fleet.rules[group])


def _largest_group(wanted: Requests, engine: Engine) -> int:
    """Members of one group that must be on different hosts need as many hosts; those that are busy already are free."""
    sizes: Counter[str] = Counter()
    for request in wanted:
        for group in request.groups:
            if any(rule.hard and rule.kind == "anti-affinity" for rule in engine.fleet.rules[group]):
                sizes[group] += request.count
    return max(0, max(sizes.values(), default=0) - sum(engine.fleet.busy))
