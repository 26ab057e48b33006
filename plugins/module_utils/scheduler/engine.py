# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine: takes VMs one by one and keeps count of what is left."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast
from zlib import crc32

from .constraints import Candidates
from .fleet import Fleet
from .groups import GroupPlan, Ledger, SpreadOrder, skew_limit
from .photon import scheduling_constants, transfer_score, utilization_score, winner_score
from .policies import Policy
from .pools import Found, Test
from .requests import Request, Requests, Shape, Spread, Statics
from .view import View

# A level is one byte in a ring, and the last values are not levels.
MOST_STEPS = 250
USED = 2


class Engine:
    """State of one call: the fleet's columns, which shrink as VMs are placed, and the members of groups.

    A host's level is the share in use of its most used (weighted) dimension, in steps as large as an average VM: hosts
    within a step count as equally loaded, and a hash of the request chooses among them.
    """

    def __init__(self, fleet: Fleet, policy: Policy, requests: Requests | None = None) -> None:
        self.fleet, self.policy = fleet, policy
        self.ledger = Ledger(fleet)
        if requests is None:
            requests = Requests([], [])
        self.ledger.read_demand(requests)
        self.column = self.ledger.column
        # Whether VMs were put on a host (USED), and whether there were some before (1).
        self.used = bytearray(fleet.busy)
        self.weights = policy.dimension_weights()
        # What the batch asks for in all, to know which dimension is scarce; without requests an average host's mix.
        sizes = demand(requests)
        cpu, memory = (sum(count * size[n] for size, count in sizes.items()) for n in (0, 1))
        self._demand = (cpu or fleet.average[0], memory or fleet.average[1])
        self.steps = _steps(fleet, sizes)
        # Levels and scores by the thousandths of CPU (memory) that are free: looked up, for they are asked for per VM.
        loads = [[(1000 - free) / 10 * weight for free in range(1001)] for weight in self.weights[:2]]
        self.cpu_levels, self.memory_levels = ([int(load * self.steps / 100) for load in each] for each in loads)
        pack = policy.name == "pack"
        self.cpu_scores, self.memory_scores = ([load if pack else 100 - load for load in each] for each in loads)
        # Scores that depend on more than the host's free shares take the longer way.
        self.elsewhere = policy.name == "photon" or self.weights[2] > 0
        self.cpu_limits = [limit or 1 for limit in fleet.cpu_limit]
        self.memory_limits = [limit or 1 for limit in fleet.memory_limit]
        self.store_limits = [limit or 1 for limit in fleet.store_capacity]
        self.names = list(zip(fleet.ids, fleet.zones, fleet.racks, strict=True))
        seed = crc32(f"{policy.seed}/".encode())
        hashes = [crc32(name.encode(), seed) for name in fleet.ids]
        self.by_rank = sorted(range(len(hashes)), key=hashes.__getitem__)
        self.ranks = [0] * len(self.by_rank)
        for rank, host in enumerate(self.by_rank):
            self.ranks[host] = rank
        self.levels = bytearray(map(self.level, range(len(fleet.ids))))
        self.constants = scheduling_constants(fleet.ids, fleet.constants) if policy.name == "photon" else []
        self._candidates: dict[Statics, Candidates] = {}
        self._views: dict[Shape, View] = {}
        self._kept: list[Shape] = []  # what views_by_id knows must live as long, lest its id come back as another's
        self.views_by_id: dict[int, View] = {}  # the same by identity: hashing a shape costs more than finding a host
        self._shared: dict[Any, Any] = {}

    def find(self, request: Request, index: int) -> tuple[Found | None, View, GroupPlan | None]:
        """A host and datastores for one VM, or None; nothing is counted yet (see commit)."""
        view = self.views_by_id.get(id(request.shape)) or self.view(request.shape)
        plan = self.ledger.plan(request.groups) if request.groups else None
        if view.full:
            return None, view, plan
        position = self.position(request.id, index)
        if plan is None:
            if request.spread is None:
                found = view.pool.find(position, None)
                view.full = found is None
            else:
                found = self._spread(request.spread, view, position, None)
            return found, view, plan
        found = None
        if plan.strict is not plan.test:
            found = self._grouped(request, view, plan, position, plan.strict)
        return found or self._grouped(request, view, plan, position, plan.test), view, plan

    def commit(self, request: Request, found: Found, plan: GroupPlan | None) -> None:
        """Count a VM on its host and datastores."""
        host, stores = found
        fleet, shape = self.fleet, request.shape
        fleet.cpu_free[host] -= shape.vcpus
        fleet.memory_free[host] -= shape.memory
        if stores:
            free = fleet.store_free
            for disk, store in zip(shape.disks, stores, strict=True):
                free[store] -= disk.capacity
        self.levels[host] = self.level(host)
        self.used[host] |= USED
        if plan is not None:
            plan.commit(host)
        if request.spread is not None:
            self.ledger.counts(request.spread)[self.column(request.spread.level)[host]] += 1

    def level(self, host: int) -> int:
        """The host's load in steps; a host without capacity counts as full."""
        fleet = self.fleet
        cpu = 1000 * fleet.cpu_free[host] // self.cpu_limits[host]
        memory = 1000 * fleet.memory_free[host] // self.memory_limits[host]
        level, other = self.cpu_levels[cpu if cpu > 0 else 0], self.memory_levels[memory if memory > 0 else 0]
        level = level if level > other else other
        if self.weights[2]:
            level = max(level, min(self.steps, int(self.storage_share(host) * self.weights[2] * self.steps)))
        return level

    def storage_share(self, host: int) -> float:
        """Share of the host's datastores in use."""
        fleet = self.fleet
        capacity = sum(fleet.store_capacity[s] for s in fleet.stores[host])
        return 1 - sum(fleet.store_free[s] for s in fleet.stores[host]) / capacity if capacity else 0.0

    def view(self, shape: Shape) -> View:
        """The shape's view, made at its first use."""
        view = self._views.get(shape)
        if view is None:
            candidates = self._candidates.get(shape.statics)
            if candidates is None:
                candidates = self._candidates[shape.statics] = Candidates(shape.statics, self.fleet)
            view = self._views[shape] = View(self, shape, candidates)
        if id(shape) not in self.views_by_id:
            self.views_by_id[id(shape)] = view
            self._kept.append(shape)
        return view

    def close(self) -> None:
        """Let go of the views, which know the engine: so that all of it is given back without the collector."""
        for view in self._views.values():
            view.close()
        for known in (self._views, self.views_by_id, self._shared):
            known.clear()
        self.ledger.forget_plans()

    def shared(self, key: Any, make: Callable[[], Any]) -> Any:
        """What views of the same static demands share."""
        found = self._shared.get(key)
        if found is None:
            found = self._shared[key] = make()
        return found

    def pack_order(self, hosts: list[int]) -> list[int]:
        """Hosts in use first, the fullest before others; then the empty ones, those that hold most first."""
        levels, order, count = self.levels, self._roomiest, len(self.ranks)
        return sorted(hosts, key=lambda host: order[host] - count * levels[host])

    @cached_property
    def _roomiest(self) -> list[int]:
        """Per host how many hosts hold more of the batch's mix than it."""
        fleet, ranks = self.fleet, self.ranks
        cpu, memory = self._demand
        rooms = [
            min(limit / cpu, other / memory) for limit, other in zip(fleet.cpu_limit, fleet.memory_limit, strict=True)
        ]
        found = [0] * len(rooms)
        for number, host in enumerate(sorted(range(len(rooms)), key=lambda host: (-rooms[host], ranks[host]))):
            found[host] = number
        return found

    def position(self, request: str, index: int) -> float:
        """A number in [0, 1) that depends on seed, request and index alone."""
        return crc32(f"{self.policy.seed}/{request}/{index}".encode()) / 4294967296

    def tests(self, request: Request, view: View) -> list[tuple[str, Test]]:
        """The hard rules of a request as (constraint, test of a host), affinity first."""
        found = sorted(self.ledger.plan(request.groups).hard, key=lambda pair: pair[0]) if request.groups else []
        if request.spread and request.spread.max_skew is not None:
            test = self._skew_test(request.spread, view)
            if test is not None:
                found.append(("max_skew", test))
        return found

    def parts(self, request: Request, found: Found, plan: GroupPlan | None) -> tuple[float, dict[str, Any]]:
        """Score and its parts before the VM is committed. Parts are the free shares in percent with the VM on the
        host."""
        host, stores = found
        fleet, shape = self.fleet, request.shape
        if self.policy.name == "photon":
            scores = utilization_score(fleet, host, shape, stores)
            parts: dict[str, Any] = {**cast("dict[str, Any]", scores), "transfer": transfer_score(fleet, shape, stores)}
            score = winner_score(min(scores.values()), parts["transfer"])
        else:
            cpu = 1000 * (fleet.cpu_free[host] - shape.vcpus) // (fleet.cpu_limit[host] or 1) / 10
            memory = 1000 * (fleet.memory_free[host] - shape.memory) // (fleet.memory_limit[host] or 1) / 10
            parts = {"cpu": cpu, "memory": memory}
            if stores:
                store = stores[0]
                capacity = sum(disk.capacity for disk, other in zip(shape.disks, stores, strict=True) if other == store)
                parts["storage"] = (
                    1000 * (fleet.store_free[store] - capacity) // (fleet.store_capacity[store] or 1) / 10
                )
            score = self._score(cpu, memory)
        if plan is not None and plan.preferred:
            parts["preferences_broken"] = sum(not test(host) for test in plan.preferred)
        return score, parts

    def _score(self, cpu: float, memory: float) -> float:
        name, weights = self.policy.name, self.weights
        if name == "balanced":
            return round(100 - abs(cpu - memory), 1)
        load = max((100 - cpu) * weights[0], (100 - memory) * weights[1])
        return load if name == "pack" else 100 - load

    def _grouped(
        self, request: Request, view: View, plan: GroupPlan, position: float, test: Test | None
    ) -> Found | None:
        for level, group, members in plan.anchors:
            if not members:
                found = self._search(request, view, plan, position, _both(test, self.ledger.roomy(view, level, group)))
                if found is not None:
                    return found
        return self._search(request, view, plan, position, test)

    def _search(
        self, request: Request, view: View, plan: GroupPlan, position: float, test: Test | None
    ) -> Found | None:
        if request.spread is not None:
            return self._spread(request.spread, view, position, test)
        anchored = [(level, members) for level, _group, members in plan.anchors if members]
        if not anchored:
            return view.pool.find(position, test)
        level, members = anchored[0]
        for value in sorted(members, key=str):
            found = view.pool_of(level, value).find(position, test)
            if found is not None:
                return found
        return None

    def _spread(self, spread: Spread, view: View, position: float, test: Test | None) -> Found | None:
        counts = self.ledger.counts(spread)
        if spread.level != "host":
            order = view.orders.get(spread)
            if order is None:
                hashes, circle = self._circle(view, spread.level)
                start = bisect_left(hashes, crc32(f"{self.policy.seed}/{spread.group}".encode()))
                order = view.orders[spread] = SpreadOrder(view, spread, counts, circle[start:] + circle[:start])
            return order.find(position, test)
        # Hosts with few members first: raise the bar until one takes it.
        hosts = view.candidates.hosts
        present = sum(view.candidates.members[host] for host in counts)
        least = 0 if present < len(hosts) else min((counts[h] for h in hosts), default=0)
        most = max(counts.values(), default=0)
        if spread.max_skew is not None:
            most = min(most, least + spread.max_skew - 1)
        for most_there in range(least, most + 1):
            found = view.pool.find(position, _both(test, lambda host, limit=most_there: counts[host] <= limit))
            if found is not None:
                return found
        return None

    def _circle(self, view: View, level: str) -> tuple[list[int], list[Any]]:
        """The racks or zones of a view in the order of hashes that depend on seed and name alone, and the hashes."""
        seed = f"{self.policy.seed}/"

        def make() -> tuple[list[int], list[Any]]:
            values = view.domains(level)
            # The number settles what a hash cannot: two values of different types are not comparable.
            circle = sorted([(crc32(f"{seed}{value}".encode()), n, value) for n, value in enumerate(values)])
            return [one[0] for one in circle], [one[2] for one in circle]

        return self.shared((view.demands, level, "circle"), make)

    def _skew_test(self, spread: Spread, view: View) -> Test | None:
        counts, column = self.ledger.counts(spread), self.column(spread.level)
        limit = skew_limit(spread, counts, view.domains(spread.level))
        return None if limit is None else lambda host: counts[column[host]] <= limit


def demand(requests: Requests) -> dict[tuple[int, int], int]:
    """Numbers of VMs by vCPUs and memory."""
    sizes: defaultdict[tuple[int, int], int] = defaultdict(int)
    for kind, number in requests.numbers:
        sizes[kind[1][:2]] += number
    return sizes


def _steps(fleet: Fleet, sizes: Mapping[tuple[int, int], int]) -> int:
    """Steps from empty to full. Large fleets have at most 16 to 64, as every step that a host climbs costs time."""
    most = max(16, min(MOST_STEPS, 65_536 // (len(fleet.ids) or 1)))
    cpu, memory = fleet.average
    size = sum(count * max(vcpus / cpu, ram / memory) for (vcpus, ram), count in sizes.items())
    return most if not size else min(most, max(4, int(sum(sizes.values()) / size)))


def _both(first: Test | None, second: Test) -> Test:
    return second if first is None else lambda host: first(host) and second(host)
