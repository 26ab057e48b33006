# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""quality: optimal. Small batches are solved exactly, large ones packed by patterns; both report a proven bound."""

from __future__ import annotations

from collections import Counter
from heapq import nlargest
from typing import Any, NamedTuple

from .attempt import Attempt
from .exact import small_enough, solve
from .patterns import SECONDS, Plan, pack_plan
from .requests import Kind, Shape, Vm
from .solver import Budget, highs

MAX_SLOTS = 64  # hosts that are tried for a member of a group


class Result(NamedTuple):
    """An answer (None: there is none better than the quick one), its method and bound, and why it may not be best."""

    attempt: Attempt | None
    method: str = "normal"
    bound: int | None = None
    why: str | None = None


def improve(quick: Attempt) -> dict[str, Any]:
    """As place, from a quick answer; ``summary`` gains method, bound, gap_percent and fallback (why it may not be the
    best, or None).

    The bound is on ``hosts_opened``, the hosts in use afterwards that were empty before, for policy pack; for other
    policies the exact method only finds places that the quick one misses. Raises MissingLibrary without highspy.
    """
    highs()  # its absence is an error even where the quick answer could not be better
    batch, fleet, policy, result = quick.batch, quick.fleet, quick.policy, Result(None)
    if batch.vms and (policy.name == "pack" or quick.lost):
        if small_enough(batch, fleet):
            result = _exactly(Attempt(batch, fleet, policy))
        elif policy.name == "pack":
            result = _by_patterns(Attempt(batch, fleet, policy))
        else:
            requests, hosts = len(batch.ids), len(fleet.hosts)
            why = f"{requests} requests on {hosts} hosts are too many for the exact method; "
            result = Result(None, why=why + "only policy pack has a method for that size")
    answer = quick.answer()
    if result.attempt is not None:
        better = result.attempt.answer()
        if _badness(better) < _badness(answer):
            return _report(better, result)
    return _report(answer, result._replace(method="normal") if result.why else result)


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


def _exactly(attempt: Attempt) -> Result:
    solution = solve(attempt, pack=attempt.policy.name == "pack", budget=Budget(attempt.policy.time_budget))
    if solution.places is None:
        return Result(None, "exact", solution.bound, solution.why)
    left: list[Vm] = []
    for vm, host in solution.places.items():
        stores = attempt.search.queue(attempt.batch.kind_of[vm[0]].shape).fit(host)
        # No datastores where other disks took them.
        if stores is None or not attempt.place([vm], lambda _start, found=(host, stores): found):
            left.append(vm)
    for vm in left:
        attempt.place([vm])
    return Result(attempt, "exact", solution.bound, solution.why)


def _by_patterns(attempt: Attempt) -> Result:
    seconds = attempt.policy.time_budget or SECONDS
    totals: Counter[Shape] = Counter()
    for kind in attempt.batch.kinds:
        totals[kind.shape] += len(kind.vms)
    plan = pack_plan(attempt, list(totals), list(totals.values()), Budget(seconds))
    _assign(attempt, plan, list(totals))
    spent = f"the time budget of {seconds:g} s was spent before the bound was tight"
    return Result(attempt, "patterns", max(plan.bound, _largest_group(attempt)), None if plan.complete else spent)


def _assign(attempt: Attempt, plan: Plan, shapes: list[Shape]) -> None:
    """Give VMs the slots of their shape: groups that must stay apart first, largest first; then VMs without groups;
    then place all that found no slot by the policy."""
    batch = attempt.batch
    slots: dict[Shape, list[list[int]]] = {}
    for host, mix in plan.slots.items():
        for number, times in mix.items():
            slots.setdefault(shapes[number], []).append([times, host])
    sizes: Counter[str] = Counter()
    for kind in batch.kinds:
        sizes.update(dict.fromkeys(kind.groups, len(kind.vms)))
    left = []
    for kind in sorted(batch.kinds, key=lambda kind: -max((sizes[group] for group in kind.groups), default=0)):
        together = any(rule.kind == "affinity" for group in kind.groups for rule in batch.rules[group])
        mine = [] if together or kind.spread is not None else slots.get(kind.shape, [])
        left += [vm for vm in kind.vms if not _take(attempt, kind, vm, mine)]
    for vm in sorted(left):
        attempt.place([vm])


def _take(attempt: Attempt, kind: Kind, vm: Vm, slots: list[list[int]]) -> bool:
    """Put a VM into a slot; a member of groups on the host with most slots left that its groups allow."""
    fit, test = attempt.search.queue(kind.shape).fit, None
    if kind.groups:
        plan = attempt.state.plan(kind.groups)
        test = plan.strict or plan.test
    while slots and not slots[-1][0]:
        slots.pop()
    for slot in nlargest(MAX_SLOTS, slots) if kind.groups else slots[-1:]:
        times, host = slot
        stores = fit(host) if times and (test is None or test(host)) else None
        if stores is not None:
            slot[0] -= 1
            return attempt.place([vm], lambda _start, found=(host, stores): found)
    return False


def _largest_group(attempt: Attempt) -> int:
    """Members of one group that must be on different hosts need as many hosts; busy hosts are not opened."""
    sizes: Counter[str] = Counter()
    for kind in attempt.batch.kinds:
        for group in kind.groups:
            if any(rule.parts for rule in attempt.batch.rules[group]):
                sizes[group] += len(kind.vms)
    return max(0, max(sizes.values(), default=0) - sum(host.busy for host in attempt.fleet.hosts))
