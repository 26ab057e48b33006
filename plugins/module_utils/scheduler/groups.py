# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups and spreading: where members are, and which hosts that leaves to the next one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

from .fleet import Fleet, Rule
from .requests import Requests, Spread

if TYPE_CHECKING:
    from .pools import Found, Test
    from .view import View

Column = Sequence[Any]


class GroupPlan:
    """The rules of one combination of groups, ready to ask: hard and preferred tests, and what a new member touches."""

    def __init__(self, groups: tuple[str, ...], ledger: Ledger) -> None:
        self.hard: list[tuple[str, Test]] = []
        self.preferred: list[Test] = []
        self.anchors: list[tuple[str, str, set[Any]]] = []  # (level, group, values of the members) of hard affinity
        self.tried: dict[Any, int] = {}  # pools of policy pack: where the next search for a member begins
        touched: dict[tuple[str, str], tuple[set[Any], Column]] = {}
        for group in groups:
            for rule in sorted(ledger.fleet.rules[group]):
                kind, level, hard = rule
                members, column = touched[group, level] = ledger.values(group, level), ledger.column(level)
                test = _test(rule, members, column)
                if hard:
                    self.hard.append((kind, test))
                    if kind == "affinity":
                        self.anchors.append((level, group, members))
                else:
                    self.preferred.append(test)
        self.touched = list(touched.values())
        self.test = _all([test for _kind, test in self.hard])
        self.strict = _all([*[test for _kind, test in self.hard], *self.preferred]) if self.preferred else self.test

    def commit(self, host: int) -> None:
        """Count a new member on the host."""
        for values, column in self.touched:
            values.add(column[host])


class Ledger:
    """Members of groups and of spread groups per host, rack and zone, starting with the VMs that exist."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._columns: dict[str, Column] = {
            "host": range(len(fleet.ids)),
            "rack": fleet.rack_values,
            "zone": fleet.zone_values,
        }
        self._values: dict[tuple[str, str], set[Any]] = {}
        self._counts: dict[tuple[str, str], Counter[Any]] = {}
        self._plans: dict[tuple[str, ...], GroupPlan] = {}
        self._demand: dict[str, tuple[int, int, int]] = {}

    def column(self, level: str) -> Column:
        """Per host position the host, rack or zone that it stands for."""
        return self._columns[level]

    def forget_plans(self) -> None:
        """Rules were added: read them again at the next use."""
        self._plans.clear()

    def plan(self, groups: tuple[str, ...]) -> GroupPlan:
        """The rules of a combination of groups, made at its first use."""
        found = self._plans.get(groups)
        if found is None:
            found = self._plans[groups] = GroupPlan(groups, self)
        return found

    def values(self, group: str, level: str) -> set[Any]:
        """The hosts, racks or zones that hold members of a group."""
        key = (group, level)
        found = self._values.get(key)
        if found is None:
            column = self._columns[level]
            found = self._values[key] = {column[host] for host in self.fleet.members.get(group, ())}
        return found

    def counts(self, spread: Spread) -> Counter[Any]:
        """How many members of a spread group each value of its level holds."""
        key = (spread.group, spread.level)
        if key not in self._counts:
            column = self._columns[spread.level]
            self._counts[key] = Counter(column[host] for host in self.fleet.spread.get(spread.group, ()))
        return self._counts[key]

    def read_demand(self, requests: Requests) -> None:
        """Sum what the members of each affinity group of this call need, so that the first one leaves room for all."""
        together = {g for g, rules in self.fleet.rules.items() if any(r.kind == "affinity" for r in rules)}
        if not together:
            return
        for (_count, shape, groups, _spread), count in requests.numbers:
            for group in groups:
                if group in together:
                    cpu, memory, disk = self._demand.get(group, (0, 0, 0))
                    self._demand[group] = (
                        cpu + count * shape.vcpus,
                        memory + count * shape.memory,
                        disk + count * sum(d.capacity for d in shape.disks),
                    )

    def roomy(self, view: View, level: str, group: str) -> Test:
        """Whether a host's rack or zone (or the host) could take the whole group."""
        cpu, memory, _disk = self._demand.get(group, (0, 0, 0))
        cpu_free, memory_free, column = self.fleet.cpu_free, self.fleet.memory_free, self._columns[level]
        domains, known = view.domains(level), {}

        def test(host: int) -> bool:
            value = column[host]
            verdict = known.get(value)
            if verdict is None:
                hosts = domains[value]
                verdict = known[value] = (
                    sum([cpu_free[h] for h in hosts]) >= cpu and sum([memory_free[h] for h in hosts]) >= memory
                )
            return verdict

        return test


class SpreadOrder:
    """The racks or zones of a view by number of members, fewest first; those without room for the shape drop out."""

    def __init__(self, view: View, spread: Spread, counts: Counter[Any], values: Sequence[Any]) -> None:
        self.view, self.spread, self.counts = view, spread, counts
        self.values = values  # those of as many members in the order in which they are tried
        held = counts.get
        self._heap = [(held(value, 0), n, value) for n, value in enumerate(self.values)]
        heapify(self._heap)
        self._full: list[Any] = []

    def find(self, position: float, test: Test | None) -> Found | None:
        """A host in the emptiest domain that takes the VM and keeps the skew."""
        heap, counts = self._heap, self.counts
        aside, found, least = [], None, min((counts[value] for value in self._full), default=None)
        while heap:
            count, tie, value = heap[0]
            if (now := counts[value]) != count:
                heappop(heap)
                heappush(heap, (now, tie, value))
                continue
            least = count if least is None else min(least, count)
            if self.spread.max_skew is not None and count + 1 - least > self.spread.max_skew:
                break
            pool = self.view.pool_of(self.spread.level, value)
            if (found := pool.find(position, test)) is not None:
                break
            heappop(heap)
            if test is None:
                self._full.append(value)
            else:
                aside.append((count, tie, value))
        for entry in aside:
            heappush(heap, entry)
        return found


def skew_limit(spread: Spread, counts: Counter[Any], values: Iterable[Any]) -> int | None:
    """The number of members that a domain may hold before one more, or None without a hard limit."""
    if spread.max_skew is None:
        return None
    return min((counts[value] for value in values), default=0) + spread.max_skew - 1


def _test(rule: Rule, members: set[Any], column: Column) -> Test:
    if rule.kind == "affinity":
        return lambda host: not members or column[host] in members
    if rule.level == "host":
        return lambda host: host not in members
    return lambda host: column[host] not in members


def _all(tests: list[Test]) -> Test | None:
    if not tests:
        return None
    if len(tests) == 1:
        return tests[0]
    return lambda host: all(test(host) for test in tests)
