# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over a batch: an engine, and the answers so far in the order of the requests."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any
from zlib import crc32

from .engine import Engine
from .explain import Reasons, summary
from .fleet import Fleet
from .groups import GroupPlan
from .policies import Policy
from .pools import Found
from .requests import Request

ONE = (0,)


class Batch:
    """Answers for a list of requests on a fleet, whose free amounts it uses up."""

    def __init__(self, wanted: list[Request], fleet: Fleet, policy: Policy, engine: Engine | None = None) -> None:
        self.wanted, self.fleet, self.policy = wanted, fleet, policy
        self.engine = engine or Engine(fleet, policy, wanted)
        self._reasons = Reasons(self.engine)
        # A slot per VM, so that the answer is in the order of the requests whatever order they are placed in.
        self._first = [0, *accumulate(request.count for request in wanted)]
        self._slots: list[dict[str, Any] | None] = [None] * self._first[-1]
        self._unplaced: list[tuple[int, dict[str, Any]]] = []

    def fill(self, order: Iterable[int]) -> Batch:
        """Place the requests with these numbers one VM after the other, by the policy."""
        wanted = self.wanted
        fill = self._fill_slowly if self.engine.elsewhere else self._fill
        fill((number, ONE if wanted[number].count == 1 else range(wanted[number].count)) for number in order)
        return self

    def fill_some(self, number: int, indexes: Iterable[int]) -> None:
        """Place some VMs of one request by the policy."""
        (self._fill_slowly if self.engine.elsewhere else self._fill)([(number, indexes)])

    def put(self, number: int, index: int, found: Found) -> None:
        """Place one VM where the caller says."""
        request = self.wanted[number]
        plan = self.engine.ledger.plan(request.groups) if request.groups else None
        self._put(number, index, found, plan)

    def answer(self) -> dict[str, Any]:
        """``{placements, unplaced, summary}`` in the order of the requests."""
        placements = [row for row in self._slots if row is not None]
        unplaced = [row for _number, row in sorted(self._unplaced, key=lambda pair: (pair[0], pair[1]["index"]))]
        return {"placements": placements, "unplaced": unplaced, "summary": summary(self.engine, placements, unplaced)}

    def _fill(self, work: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Engine.find, parts and commit in one loop for scores of CPU and memory: the bulk of all VMs passes here, and
        at some microseconds per VM every call and attribute counts."""
        engine, fleet, wanted, slots, first = self.engine, self.fleet, self.wanted, self._slots, self._first
        find, views, used, levels, steps = engine.find, engine.views_by_id, engine.used.add, engine.levels, engine.steps
        ids, zones, racks, names = fleet.ids, fleet.zones, fleet.racks, fleet.store_ids
        cpu_free, memory_free, free = fleet.cpu_free, fleet.memory_free, fleet.store_free
        cpu_limits, memory_limits, capacities = fleet.cpu_limit, fleet.memory_limit, fleet.store_capacity
        cpu_weight, memory_weight, _storage_weight = engine.weights
        ledger, policy = engine.ledger, self.policy.name
        pack, balanced = policy == "pack", policy == "balanced"
        seed = crc32(f"{self.policy.seed}/".encode())
        for number, indexes in work:
            request = wanted[number]
            name, _count, shape, groups, spread = request
            view = views.get(id(shape)) or engine.view(shape)
            vcpus, memory, disks = view.vcpus, view.memory, view.disks
            plan = ledger.plan(groups) if groups else None
            simple = spread is None and (plan is None or (plan.strict is plan.test and not plan.anchors))
            for index in indexes:
                if view.full:
                    found = None
                elif simple:
                    # The same number as engine.position; a pack has no use for it.
                    position = 0.0 if pack else crc32(f"{name}/{index}".encode(), seed) / 4294967296
                    found = view.pool.find(position, None if plan is None else plan.test)
                    if found is None and plan is None:
                        view.full = True
                else:
                    found, _view, _plan = find(request, index)
                if found is None:
                    self._unplaced.append((number, self._reasons.of(request, index, view)))
                    continue
                host, stores = found
                cpu_limit, memory_limit = cpu_limits[host] or 1, memory_limits[host] or 1
                cpu_free[host] = cpu_left = cpu_free[host] - vcpus
                memory_free[host] = memory_left = memory_free[host] - memory
                cpu, ram = 1000 * cpu_left // cpu_limit / 10, 1000 * memory_left // memory_limit / 10
                if len(stores) == 1:
                    store = stores[0]
                    free[store] = left = free[store] - disks[0].capacity
                    stored = [names[store]]
                    parts = {"cpu": cpu, "memory": ram, "storage": 1000 * left // (capacities[store] or 1) / 10}
                else:
                    stored, parts = self._lay(request, stores, {"cpu": cpu, "memory": ram})
                load = (1 - cpu_left / cpu_limit) * cpu_weight
                other = (1 - memory_left / memory_limit) * memory_weight
                levels[host] = int((load if load > other else other) * steps)
                used(host)
                if plan is not None:
                    if plan.preferred:
                        parts["preferences_broken"] = sum([not test(host) for test in plan.preferred])
                    for values, column in plan.touched:
                        values.add(column[host])
                if spread is not None:
                    ledger.counts(spread)[engine.column(spread.level)[host]] += 1
                if balanced:
                    score = round(100 - abs(cpu - ram), 1)
                else:
                    load, other = (100 - cpu) * cpu_weight, (100 - ram) * memory_weight
                    if other > load:
                        load = other
                    score = load if pack else 100 - load
                slots[first[number] + index] = {
                    "request": name,
                    "index": index,
                    "host": ids[host],
                    "zone": zones[host],
                    "rack": racks[host],
                    "datastores": stored,
                    "score": score,
                    "parts": parts,
                }

    def _lay(
        self, request: Request, stores: tuple[int, ...], parts: dict[str, Any]
    ) -> tuple[list[str], dict[str, Any]]:
        """Count no disk or several: the names of their datastores, and the parts with the first datastore's."""
        fleet = self.fleet
        for disk, store in zip(request.shape.disks, stores, strict=True):
            fleet.store_free[store] -= disk.capacity
        for store in stores[:1]:
            parts["storage"] = 1000 * fleet.store_free[store] // (fleet.store_capacity[store] or 1) / 10
        return [fleet.store_ids[store] for store in stores], parts

    def _fill_slowly(self, work: Iterable[tuple[int, Iterable[int]]]) -> None:
        """The same for scores that depend on more."""
        for number, indexes in work:
            request = self.wanted[number]
            for index in indexes:
                found, view, plan = self.engine.find(request, index)
                if found is None:
                    self._unplaced.append((number, self._reasons.of(request, index, view)))
                else:
                    self._put(number, index, found, plan)

    def _put(self, number: int, index: int, found: Found, plan: GroupPlan | None) -> None:
        engine, fleet, request = self.engine, self.fleet, self.wanted[number]
        score, parts = engine.parts(request, found, plan)
        engine.commit(request, found, plan)
        host, stores = found
        self._slots[self._first[number] + index] = {
            "request": request.id,
            "index": index,
            "host": fleet.ids[host],
            "zone": fleet.zones[host],
            "rack": fleet.racks[host],
            "datastores": [fleet.store_ids[store] for store in stores],
            "score": score,
            "parts": parts,
        }
