# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit: the amounts that are left while VMs are placed, and where the members of groups are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .fleet import Fleet, Rule
from .policies import Policy
from .requests import Batch, Kind
from .transfer import Transfers

Test = Callable[[int], bool]
Stores = tuple[int, ...]
Members = dict[Any, int]  # VMs of a group per host, rack or zone; those without any are absent

MOST_STEPS = 250


class GroupPlan:
    """The rules of one combination of groups, as tests of a host.

    ``hard``: (kind, test); ``preferred``: tests; ``test``: all hard ones; ``strict``: the preferred ones too;
    ``anchors``: level and members per domain of each hard affinity; ``counted``: members per domain with the level's
    column.
    """

    def __init__(self, groups: tuple[str, ...], state: State) -> None:
        self.hard: list[tuple[str, Test]] = []
        self.preferred: list[Test] = []
        self.anchors: list[tuple[str, Members]] = []
        counted: dict[tuple[str, str], tuple[Members, Sequence[Any]]] = {}
        for group in groups:
            for rule in sorted(state.batch.rules[group]):
                members, column = state.members(group, rule.level), state.fleet.domains[rule.level]
                counted[group, rule.level] = members, column
                test = _test(rule, members, column)
                if not rule.hard:
                    self.preferred.append(test)
                    continue
                self.hard.append((rule.kind, test))
                if rule.kind == "affinity":
                    self.anchors.append((rule.level, members))
        self.counted = list(counted.values())
        self.test = all_of([test for _kind, test in self.hard])
        self.strict = all_of([*filter(None, [self.test]), *self.preferred]) if self.preferred else None


class State:
    """Free amounts and members of groups, which ``add`` changes.

    ``levels``: under ``spread`` a host's load in steps as large as an average VM, so that hosts within a step count as
    equally loaded; under other policies 0, for their order is fixed.
    """

    def __init__(self, fleet: Fleet, batch: Batch, policy: Policy) -> None:
        self.fleet, self.batch, self.policy = fleet, batch, policy
        self.cpu_free = [host.cpu_free for host in fleet.hosts]
        self.memory_free = [host.memory_free for host in fleet.hosts]
        self.store_free = [store.free for store in fleet.datastores]
        self.placed = [0] * len(fleet.hosts)
        self.transfers = Transfers(fleet) if any(fleet.copyable.values()) else None
        self._limits = [(host.cpu_limit or 1, host.memory_limit or 1) for host in fleet.hosts]
        self._members: dict[tuple[str, str, str], Members] = {}
        self._plans: dict[tuple[str, ...], GroupPlan] = {}
        self.steps, self._weights = _steps(fleet, batch), policy.weights
        self._rising = policy.name == "spread"
        self.levels = bytearray(len(fleet.hosts))
        if self._rising:
            for host in range(len(fleet.hosts)):
                self.measure(host)

    def plan(self, groups: tuple[str, ...]) -> GroupPlan:
        """Return the rules of a combination of groups."""
        found = self._plans.get(groups)
        if found is None:
            found = self._plans[groups] = GroupPlan(groups, self)
        return found

    def members(self, group: str, level: str, what: str = "group") -> Members:
        """Return how many VMs of a group (or item, or project) each host, rack or zone holds."""
        found = self._members.get((what, group, level))
        if found is None:
            column, found = self.fleet.domains[level], {}
            self._members[what, group, level] = found
            for host in self.fleet.members.get((what, group), ()):
                count(found, column[host], 1)
        return found

    def add(self, kind: Kind, host: int, stores: Stores, times: int = 1) -> tuple[int, int, float]:
        """Count VMs of a kind on their host and datastores (``times`` -1: take one back); measure the host."""
        shape = kind.shape
        self.cpu_free[host] -= times * shape.vcpus
        self.memory_free[host] -= times * shape.memory
        for disk, store in zip(shape.disks, stores):  # noqa: B905 - of the same length; called for each VM
            self.store_free[store] -= times * disk.capacity
        if self.transfers is not None and self.transfers.matter(shape):
            for store, need in self.transfers.add(shape, stores, times).items():
                self.store_free[store] -= need
        self.placed[host] += times
        if kind.groups:
            for members, column in self.plan(kind.groups).counted:
                count(members, column[host], times)
        for what, group, level in kind.counted:
            count(self.members(group, level, what), self.fleet.domains[level][host], times)
        return self.measure(host)

    def measure(self, host: int) -> tuple[int, int, float]:
        """Return a host's free shares of CPU and memory and its load, the largest weighted share in use; all in
        thousandths. Update its level."""
        cpu_limit, memory_limit = self._limits[host]
        cpu, memory = 1000 * self.cpu_free[host] // cpu_limit, 1000 * self.memory_free[host] // memory_limit
        load, other = (1000 - cpu) * self._weights[0], (1000 - memory) * self._weights[1]
        if other > load:
            load = other
        if self._rising:
            level = load
            if self._weights[2]:
                level = max(level, 1000 * self.storage_used(host) * self._weights[2])
            self.levels[host] = int(level * self.steps / 1000) if level < 1000 else self.steps
        return cpu, memory, load

    def storage_used(self, host: int) -> float:
        """Return the share of the host's datastores in use."""
        stores = self.fleet.hosts[host].datastores
        capacity = sum(self.fleet.datastores[store].capacity for store in stores)
        return 1 - sum(self.store_free[store] for store in stores) / capacity if capacity else 0.0


def count(members: Members, value: Any, times: int) -> None:
    """Change a number of members; a domain without any is removed."""
    number = members.get(value, 0) + times
    if number:
        members[value] = number
    else:
        del members[value]


def all_of(tests: list[Test]) -> Test | None:
    """Return one test for several, or None for none."""
    if len(tests) < 2:
        return tests[0] if tests else None
    return lambda host: all(test(host) for test in tests)


def _test(rule: Rule, members: Members, column: Sequence[Any]) -> Test:
    if rule.kind == "affinity":
        return lambda host: not members or column[host] in members
    return lambda host: column[host] not in members


def _steps(fleet: Fleet, batch: Batch) -> int:
    """Return the number of steps from empty to full: one per average VM, fewer in large fleets for speed."""
    most = max(16, min(MOST_STEPS, 65_536 // (len(fleet.hosts) or 1)))
    sizes = [len(kind.vms) * fleet.size(kind.shape.vcpus, kind.shape.memory) for kind in batch.kinds]
    return min(most, max(4, int(len(batch.vms) / sum(sizes)))) if any(sizes) else most
