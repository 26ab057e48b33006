# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""quality: optimal. Small batches are solved exactly, large ones packed by patterns; both report a proven bound."""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heapreplace
from typing import Any, NamedTuple

from .attempt import Attempt
from .exact import Infeasible, TooLarge, solve
from .fleet import Fleet
from .greedy import greedy
from .patterns import SECONDS, Plan, pack_plan
from .policies import Policy
from .requests import Batch, Shape
from .solver import Budget, highs


class Result(NamedTuple):
    """An answer (None: there is none better than the quick one), its method and bound, and why it may not be best."""

    attempt: Attempt | None
    method: str
    bound: int | None
    why: str | None


def place_optimal(batch: Batch, fleet: Fleet, policy: Policy) -> dict[str, Any]:
    """As place; ``summary`` gains method, bound, gap_percent and fallback (why it may not be the best, or None).

    The bound is on ``hosts_opened``, the hosts in use afterwards that were empty before, for policy pack; for other
    policies the exact method only finds places that the quick one misses. Raises MissingLibrary without highspy.
    """
    highs()  # its absence is an error even where the quick answer could not be better
    budget = Budget(policy.time_budget)
    quick = greedy(batch, fleet, policy)
    if not batch.requests or (policy.name != "pack" and not quick.lost):
        return _report(quick.answer(), Result(None, "normal", None, None))
    try:
        result = _exactly(batch, fleet, policy, budget)
    except TooLarge as reason:
        if policy.name != "pack":
            why = f"{reason}; only policy pack has a method for that size"
            return _report(quick.answer(), Result(None, "normal", None, why))
        result = _by_patterns(batch, fleet, policy, budget if policy.time_budget else Budget(SECONDS))
    first, answer = quick.answer(), None if result.attempt is None else result.attempt.answer()
    if answer is None or _badness(first) <= _badness(answer):
        return _report(first, result._replace(method="normal" if result.why else result.method))
    return _report(answer, result)


def _badness(answer: dict[str, Any]) -> tuple[int, int]:
    return len(answer["unplaced"]), answer["summary"]["hosts_opened"]


def _report(answer: dict[str, Any], result: Result) -> dict[str, Any]:
    summary, bound = answer["summary"], result.bound
    opened = summary["hosts_opened"]
    gap = None
    if bound is not None and not answer["unplaced"]:
        gap = round(100 * (opened - bound) / bound, 3) if bound else 0.0 if not opened else None
    summary.update(method=result.method, bound=bound, gap_percent=gap, fallback=result.why)
    return answer


def _exactly(batch: Batch, fleet: Fleet, policy: Policy, budget: Budget) -> Result:
    attempt = Attempt(batch, fleet, policy)
    try:
        solution = solve(attempt, pack=policy.name == "pack", budget=budget)
    except Infeasible:
        return Result(None, "exact", None, None)
    if solution.places is None:
        return Result(None, "exact", solution.bound, "the time budget was spent before the exact method had an answer")
    left: list[tuple[int, int]] = []
    for number, hosts in enumerate(solution.places):
        view = attempt.search.view(batch.requests[number].shape)
        for index, host in enumerate(hosts):
            stores = view.fit(host) if host is not None else None
            if stores is None:
                left.append((number, index))
            else:
                attempt.put(number, index, (host, stores))
    for number, index in left:
        attempt.place(number, [index])
    return Result(attempt, "exact", solution.bound, solution.why)


def _by_patterns(batch: Batch, fleet: Fleet, policy: Policy, budget: Budget) -> Result:
    attempt = Attempt(batch, fleet, policy)
    totals: Counter[Shape] = Counter()
    for request in batch.requests:
        totals[request.shape] += request.count
    shapes = list(totals)
    plan = pack_plan(attempt, shapes, [totals[shape] for shape in shapes], budget)
    _assign(attempt, plan, shapes)
    spent = f"the time budget of {policy.time_budget or SECONDS:g} s was spent before the bound was tight"
    return Result(attempt, "patterns", max(plan.bound, _largest_group(attempt)), None if plan.complete else spent)


def _assign(attempt: Attempt, plan: Plan, shapes: list[Shape]) -> None:
    """Give VMs the slots of their shape: groups that must stay apart first, largest first; then VMs without groups;
    then place all that found no slot by the policy, affinity groups as wholes."""
    requests = attempt.batch.requests
    slots: dict[Shape, list[list[int]]] = {}
    for order, (host, mix) in enumerate(plan.slots.items()):
        for number, times in mix.items():
            slots.setdefault(shapes[number], []).append([-times, order, host])
    for heap in slots.values():
        heapify(heap)
    sizes = Counter(group for request in requests for group in request.groups for _i in range(request.count))
    tied = {n for n, request in enumerate(requests) if request.spread is not None or _together(attempt, n)}
    numbers = [n for n in range(len(requests)) if n not in tied]
    left: dict[int, list[int]] = {n: list(range(requests[n].count)) for n in tied}
    for number in sorted(numbers, key=lambda n: -max((sizes[group] for group in requests[n].groups), default=0)):
        heap = slots.get(requests[number].shape, [])
        left[number] = [index for index in range(requests[number].count) if not _take(attempt, number, index, heap)]
    for number, indexes in sorted(left.items()):
        attempt.place(number, indexes)


def _take(attempt: Attempt, number: int, index: int, heap: list[list[int]]) -> bool:
    """Put a VM into a slot on the host with most slots of its shape left that its groups allow."""
    request = attempt.batch.requests[number]
    plan = attempt.state.plan(request.groups) if request.groups else None
    test = None if plan is None else plan.strict or plan.test
    fit = attempt.search.view(request.shape).fit
    for entry in sorted(heap)[:64] if plan is not None else heap[:1]:
        times, order, host = entry
        if times == 0:
            break
        if test is not None and not test(host):
            continue
        stores = fit(host)
        if stores is None:
            continue
        attempt.put(number, index, (host, stores))
        if entry is heap[0]:
            heapreplace(heap, [times + 1, order, host])
        else:
            entry[0] = times + 1
            heapify(heap)
        return True
    return False


def _together(attempt: Attempt, number: int) -> bool:
    rules = attempt.batch.rules
    return any(rule.kind == "affinity" for group in attempt.batch.requests[number].groups for rule in rules[group])


def _largest_group(attempt: Attempt) -> int:
    """Members of one group that must be on different hosts need as many hosts; busy hosts are not opened."""
    sizes: Counter[str] = Counter()
    for request in attempt.batch.requests:
        for group in request.groups:
            if any(rule.hard and rule.kind == "anti-affinity" for rule in attempt.batch.rules[group]):
                sizes[group] += request.count
    return max(0, max(sizes.values(), default=0) - sum(host.busy for host in attempt.fleet.hosts))
