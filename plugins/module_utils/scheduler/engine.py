# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: takes VMs one by one, in list order, and keeps count of what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from .constraints import Candidates
from .explain import reasons
from .fleet import Fleet, Rule
from .policies import Policy
from .requests import Request, Shape, Spread, Statics


class Engine:
    """State of one call: the fleet's columns (which shrink as VMs are placed), members of groups per topology value."""

    def __init__(self, fleet: Fleet, policy: Policy) -> None:
        self.fleet = fleet
        self.policy = policy
        self.candidates: dict[Statics, Candidates] = {}
        self.members: dict[tuple[str, str], Counter[Any]] = {}
        self.spread: dict[tuple[str, str], Counter[Any]] = {}
        self.rules: dict[tuple[str, ...], list[tuple[str, Rule]]] = {}
        self.used: set[int] = set()

    def place(self, request: Request, index: int) -> dict[str, Any]:
        """The placement of one VM, or the mapping that says why there is none."""
        shape = request.shape
        candidates = self.candidates.get(shape.statics)
        if candidates is None:
            candidates = self.candidates[shape.statics] = Candidates(shape.statics, self.fleet)
        rules = self._rules_of(request.groups)
        tests = self.tests(request, candidates)
        wishes = [self._test(group, rule) for group, rule in rules if not rule.hard]
        fitting = []
        for host in candidates.hosts:
            if all(test(host) for _name, test in tests):
                stores = self.fit(shape, candidates, host)
                if stores is not None:
                    fitting.append((sum(not wish(host) for wish in wishes), self._rank(host, shape), host, stores))
        if not fitting:
            return reasons(self, request, index, candidates, tests)
        broken, _rank, host, stores = min(fitting)
        return self._commit(request, index, host, stores, broken)

    def tests(self, request: Request, candidates: Candidates) -> list[tuple[str, Callable[[int], bool]]]:
        """The hard rules of the request's groups and spreading as (constraint, test of a host)."""
        found = [
            (rule.kind, self._test(group, rule)) for group, rule in self._rules_of(request.groups) if rule.hard
        ]
        if request.spread and request.spread.max_skew is not None:
            found.append(("max_skew", self._skew_test(request.spread, candidates.hosts)))
        return sorted(found, key=lambda pair: pair[0])

    def fit(self, shape: Shape, candidates: Candidates, host: int) -> tuple[int, ...] | None:
        """The datastores for the shape's disks when it fits on the host now, else None."""
        fleet = self.fleet
        if fleet.cpu_free[host] < shape.vcpus or fleet.memory_free[host] < shape.memory:
            return None
        return self.fit_disks(shape, candidates, host)

    def fit_disks(self, shape: Shape, candidates: Candidates, host: int) -> tuple[int, ...] | None:
        """A datastore per disk, the emptiest first; with several disks every combination is tried before giving up."""
        mine, free = self.fleet.stores[host], self.fleet.store_free
        options = [
            sorted((s for s in mine if s in allowed), key=lambda s: -free[s]) for allowed in candidates.stores
        ]
        order = sorted(range(len(shape.disks)), key=lambda d: (len(options[d]), -shape.disks[d].capacity))
        chosen: dict[int, int] = {}
        taken: Counter[int] = Counter()

        def fill(depth: int) -> bool:
            if depth == len(order):
                return True
            disk = order[depth]
            need = shape.disks[disk].capacity
            for store in sorted(options[disk], key=lambda s: taken[s] - free[s]):
                if free[store] - taken[store] < need:
                    break
                chosen[disk] = store
                taken[store] += need
                if fill(depth + 1):
                    return True
                taken[store] -= need
            return False

        return tuple(chosen[d] for d in range(len(order))) if fill(0) else None

    def utilization(self, host: int) -> tuple[float, float, float]:
        """Shares of CPU, memory and the host's datastores in use, each from 0 to 1."""
        fleet = self.fleet
        capacity = sum(fleet.store_capacity[s] for s in fleet.stores[host])
        free = sum(fleet.store_free[s] for s in fleet.stores[host])
        return (
            1 - fleet.cpu_free[host] / fleet.cpu_limit[host] if fleet.cpu_limit[host] else 1.0,
            1 - fleet.memory_free[host] / fleet.memory_limit[host] if fleet.memory_limit[host] else 1.0,
            1 - free / capacity if capacity else 0.0,
        )

    def _rank(self, host: int, shape: Shape) -> float:
        cpu, memory, _storage = self.utilization(host)
        return max(cpu, memory) if self.policy.name != "pack" else -max(cpu, memory)

    def _rules_of(self, groups: tuple[str, ...]) -> list[tuple[str, Rule]]:
        found = self.rules.get(groups)
        if found is None:
            found = [(group, rule) for group in groups for rule in sorted(self.fleet.rules[group])]
            self.rules[groups] = found
            for group, rule in found:
                self._members(group, rule.level)
        return found

    def _members(self, group: str, level: str) -> Counter[Any]:
        key = (group, level)
        if key not in self.members:
            self.members[key] = Counter(self.fleet.value(level, h) for h in self.fleet.members.get(group, ()))
        return self.members[key]

    def _test(self, group: str, rule: Rule) -> Callable[[int], bool]:
        members, value = self._members(group, rule.level), self.fleet.value
        if rule.kind == "affinity":
            return lambda host: not members or value(rule.level, host) in members
        return lambda host: value(rule.level, host) not in members

    def _spread_counts(self, spread: Spread) -> Counter[Any]:
        key = (spread.group, spread.level)
        if key not in self.spread:
            self.spread[key] = Counter(self.fleet.value(spread.level, h) for h in self.fleet.spread.get(spread.group, ()))
        return self.spread[key]

    def _skew_test(self, spread: Spread, hosts: Iterable[int]) -> Callable[[int], bool]:
        counts, value = self._spread_counts(spread), self.fleet.value
        least = min((counts[v] for v in {value(spread.level, h) for h in hosts}), default=0)
        assert spread.max_skew is not None
        limit = least + spread.max_skew
        return lambda host: counts[value(spread.level, host)] < limit

    def _commit(self, request: Request, index: int, host: int, stores: tuple[int, ...], broken: int) -> dict[str, Any]:
        fleet, shape = self.fleet, request.shape
        fleet.cpu_free[host] -= shape.vcpus
        fleet.memory_free[host] -= shape.memory
        for disk, store in zip(shape.disks, stores, strict=True):
            fleet.store_free[store] -= disk.capacity
        for group, rule in self._rules_of(request.groups):
            pass
        for group in request.groups:
            for level in {rule.level for name, rule in self._rules_of(request.groups) if name == group}:
                self._members(group, level)[fleet.value(level, host)] += 1
        if request.spread:
            self._spread_counts(request.spread)[fleet.value(request.spread.level, host)] += 1
        self.used.add(host)
        cpu, memory, storage = self.utilization(host)
        parts = {"cpu": round(100 - 100 * cpu, 2), "memory": round(100 - 100 * memory, 2),
                 "storage": round(100 - 100 * storage, 2), "preferences_broken": broken}
        score = min(parts["cpu"], parts["memory"])
        return {
            "request": request.id, "index": index, "host": fleet.ids[host], "zone": fleet.zones[host],
            "rack": fleet.racks[host], "datastores": [fleet.store_ids[s] for s in stores],
            "score": score if self.policy.name != "pack" else round(100 - score, 2), "parts": parts,
        }


