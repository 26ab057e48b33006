# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit: the amounts that are left while VMs are placed, and where the members of groups are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .fleet import Fleet, Rule
from .policies import Policy
from .requests import Batch, Request, Spread

Test = Callable[[int], bool]
Stores = tuple[int, ...]

MOST_STEPS = 250


class GroupPlan:
    """The rules of one combination of groups, ready to ask.

    ``hard``: (kind, test of a host); ``test``: all of them; ``strict``: the preferred ones too; ``anchors``: level and
    members per domain of each hard affinity; ``counted``: members per domain with the level's column.
    """

    def __init__(self, groups: tuple[str, ...], state: State) -> None:
        self.hard: list[tuple[str, Test]] = []
        self.preferred: list[Test] = []
        self.anchors: list[tuple[str, Counter[Any]]] = []
        counted: dict[tuple[str, str], tuple[Counter[Any], Sequence[Any]]] = {}
        for group in groups:
            for rule in sorted(state.batch.rules[group]):
                members, column = state.members(group, rule.level), state.fleet.domains[rule.level]
                counted[group, rule.level] = members, column
                if not rule.hard:
                    self.preferred.append(_test(rule, members, column))
                    continue
                self.hard.append((rule.kind, _test(rule, members, column)))
                if rule.kind == "affinity":
                    self.anchors.append((rule.level, members))
        self.counted = list(counted.values())
        tests = [test for _kind, test in self.hard]
        self.test = all_of(tests)
        self.strict = all_of([*tests, *self.preferred]) if self.preferred else None


class State:
    """Free amounts and members, which ``add`` changes.

    ``levels``: a host's load in steps as large as an average VM, so that hosts within a step count as equally loaded.
    """

    def __init__(self, fleet: Fleet, batch: Batch, policy: Policy) -> None:
        self.fleet, self.batch, self.policy = fleet, batch, policy
        self.cpu_free = [host.cpu_free for host in fleet.hosts]
        self.memory_free = [host.memory_free for host in fleet.hosts]
        self.store_free = [store.free for store in fleet.datastores]
        self.cpu_limits = [host.cpu_limit or 1 for host in fleet.hosts]
        self.memory_limits = [host.memory_limit or 1 for host in fleet.hosts]
        self.placed = [0] * len(fleet.hosts)
        self._members: dict[tuple[str, str], Counter[Any]] = {}
        self._spread: dict[tuple[str | None, str], Counter[Any]] = {}
        self._plans: dict[tuple[str, ...], GroupPlan] = {}
        self.steps = _steps(fleet, batch)
        self._cpu_factor, self._memory_factor = (weight * self.steps / 1000 for weight in policy.weights[:2])
        self.levels = bytearray(len(fleet.hosts))
        for host in range(len(fleet.hosts)):
            self.measure(host)

    def plan(self, groups: tuple[str, ...]) -> GroupPlan:
        """Return the rules of a combination of groups."""
        found = self._plans.get(groups)
        if found is None:
            found = self._plans[groups] = GroupPlan(groups, self)
        return found

    def members(self, group: str, level: str) -> Counter[Any]:
        """Return how many members of a group each host, rack or zone holds; those without any are absent."""
        return self._count(self._members, self.fleet.members, group, level)

    def spread_members(self, spread: Spread) -> Counter[Any]:
        """Return how many members of a spread group each host, rack or zone holds."""
        return self._count(self._spread, self.fleet.spread_members, spread.group, spread.level)

    def add(self, request: Request, host: int, stores: Stores, times: int = 1) -> tuple[int, int]:
        """Count a VM on its host and datastores (``times`` -1: take it back); return the host's free shares of CPU and
        memory in thousandths."""
        shape = request.shape
        self.cpu_free[host] -= times * shape.vcpus
        self.memory_free[host] -= times * shape.memory
        for disk, store in zip(shape.disks, stores, strict=True):
            self.store_free[store] -= times * disk.capacity
        self.placed[host] += times
        if request.groups:
            for members, column in self.plan(request.groups).counted:
                count(members, column[host], times)
        if request.spread is not None:
            count(self.spread_members(request.spread), self.fleet.domains[request.spread.level][host], times)
        return self.measure(host)

    def storage_used(self, host: int) -> float:
        """Return the share of the host's datastores in use."""
        stores = self.fleet.hosts[host].datastores
        capacity = sum(self.fleet.datastores[store].capacity for store in stores)
        return 1 - sum(self.store_free[store] for store in stores) / capacity if capacity else 0.0

    def measure(self, host: int) -> tuple[int, int]:
        """Update the host's level; return its free shares of CPU and memory in thousandths."""
        cpu = 1000 * self.cpu_free[host] // self.cpu_limits[host]
        memory = 1000 * self.memory_free[host] // self.memory_limits[host]
        level, other = (1000 - cpu) * self._cpu_factor, (1000 - memory) * self._memory_factor
        level = int(level if level > other else other)
        if self.policy.weights[2]:
            level = max(level, int(self.storage_used(host) * self.policy.weights[2] * self.steps))
        self.levels[host] = level if level < self.steps else self.steps
        return cpu, memory

    def _count(self, known: dict[Any, Counter[Any]], existing: dict[str, list[int]], group: Any, level: str) -> Any:
        found = known.get((group, level))
        if found is None:
            column = self.fleet.domains[level]
            found = known[group, level] = Counter(column[host] for host in existing.get(group, ()))
        return found


def count(members: Counter[Any], value: Any, times: int) -> None:
    """Change a number of members; a domain without any is removed."""
    members[value] += times
    if not members[value]:
        del members[value]


def all_of(tests: list[Test]) -> Test | None:
    """Return one test for several, or None for none."""
    if len(tests) < 2:
        return tests[0] if tests else None
    return lambda host: all(test(host) for test in tests)


def _test(rule: Rule, members: Counter[Any], column: Sequence[Any]) -> Test:
    if rule.kind == "affinity":
        return lambda host: not members or column[host] in members
    if rule.level == "host":
        return lambda host: host not in members
    return lambda host: column[host] not in members


def _steps(fleet: Fleet, batch: Batch) -> int:
    """Return the number of steps from empty to full; large fleets have fewer, as each step of a host costs time."""
    most = max(16, min(MOST_STEPS, 65_536 // (len(fleet.hosts) or 1)))
    sizes: Counter[Any] = Counter()
    for request in batch.requests:
        sizes[request.shape] += request.count
    size = sum(number * fleet.size(shape.vcpus, shape.memory) for shape, number in sizes.items())
    return most if not size else min(most, max(4, int(sum(sizes.values()) / size)))
