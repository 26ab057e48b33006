# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over a batch: an engine, and the answers so far in the order of the requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate, groupby, repeat
from typing import Any
from zlib import crc32

from .engine import USED, Engine
from .explain import Reasons, summary
from .fleet import Fleet
from .groups import GroupPlan
from .policies import Policy
from .pools import Found
from .requests import Request, Requests, Shape

ONE = (0,)
PERCENT = [thousandths / 10 for thousandths in range(1001)]


class Batch:
    """Answers for a list of requests on a fleet, whose free amounts it uses up."""

    def __init__(self, wanted: Requests, fleet: Fleet, policy: Policy, engine: Engine | None = None) -> None:
        self.wanted, self.fleet, self.policy = wanted, fleet, policy
        self.engine = engine or Engine(fleet, policy, wanted)
        self._reasons = Reasons(self.engine)
        # A slot per VM, so that the answer is in the order of the requests whatever order they are placed in.
        self._first = [0, *accumulate(wanted.counts)]
        self._slots: list[dict[str, Any] | None] = [None] * self._first[-1]
        self._unplaced: list[tuple[int, dict[str, Any]]] = []

    def fill(self, order: Iterable[int]) -> Batch:
        """Place the requests with these numbers one VM after the other, by the policy."""
        counts = self.wanted.counts
        many = max(counts, default=1) > 1
        work: Iterable[tuple[int, Iterable[int]]] = (
            [(number, range(counts[number])) for number in order] if many else zip(order, repeat(ONE))
        )
        if self.engine.elsewhere:
            self._fill_slowly(work)
        elif self.policy.name == "pack":
            self._fill_runs(work)
        else:
            self._fill(work)
        return self

    def fill_some(self, number: int, indexes: Iterable[int]) -> None:
        """Place some VMs of one request by the policy."""
        (self._fill_slowly if self.engine.elsewhere else self._fill)([(number, indexes)])

    def put(self, number: int, index: int, found: Found) -> None:
        """Place one VM where the caller says."""
        request = self.wanted[number]
        plan = self.engine.ledger.plan(request.groups) if request.groups else None
        self._put(number, index, found, plan)

    def close(self) -> dict[str, Any]:
        """The answer, and the end of the engine."""
        answer = self.answer()
        self.engine.close()
        return answer

    def answer(self) -> dict[str, Any]:
        """``{placements, unplaced, summary}`` in the order of the requests."""
        placements = [row for row in self._slots if row is not None]
        unplaced = [row for _number, row in sorted(self._unplaced, key=lambda pair: (pair[0], pair[1]["index"]))]
        return {"placements": placements, "unplaced": unplaced, "summary": summary(self.engine, placements, unplaced)}

    def _fill_runs(self, work: Iterable[tuple[int, Iterable[int]]]) -> None:
        """The same answer as _fill for policy pack, where VMs that are alike and in no group follow each other."""
        shapes = self.wanted.shapes
        # The shape by identity, 0 for members of groups. Equal shapes are one object mostly; two runs are no mistake.
        kinds = [id(shape) if free else 0 for shape, free in zip(shapes, self.wanted.free, strict=True)]
        for kind, run in groupby(work, lambda entry: kinds[entry[0]]):
            entries = list(run)
            shape = shapes[entries[0][0]]
            if kind and len(shape.disks) == 1:
                self._fill_run(shape, [(number, index) for number, indexes in entries for index in indexes])
            else:
                self._fill(entries)

    def _fill_run(self, shape: Shape, vms: Sequence[tuple[int, int]]) -> None:
        """Pack VMs of one shape with one disk: as many as it takes go to a host at once."""
        fleet, slots, first, ids, percent = self.fleet, self._slots, self._first, self.wanted.ids, PERCENT
        cpu_scores, memory_scores = self.engine.cpu_scores, self.engine.memory_scores
        view, vcpus, memory, capacity = self.engine.view(shape), shape.vcpus, shape.memory, shape.disks[0].capacity
        at = 0
        while at < len(vms):
            found = None if view.full else view.pool.find(0.0, None)
            if found is None:
                view.full = True
                for number, index in vms[at:]:
                    self._unplaced.append((number, self._reasons.of(self.wanted[number], index, view)))
                return
            host, stores = found
            store = stores[0]
            end = min(len(vms), at + view.times(host, store))
            name, zone, rack, stored = fleet.ids[host], fleet.zones[host], fleet.racks[host], fleet.store_ids[store]
            cpu_free, cpu_limit = fleet.cpu_free[host], self.engine.cpu_limits[host]
            memory_free, memory_limit = fleet.memory_free[host], self.engine.memory_limits[host]
            free, whole = fleet.store_free[store], fleet.store_capacity[store] or 1
            for number, index in vms[at:end]:
                cpu_free -= vcpus
                memory_free -= memory
                free -= capacity
                cpu, ram = 1000 * cpu_free // cpu_limit, 1000 * memory_free // memory_limit
                score, other = cpu_scores[cpu], memory_scores[ram]
                slots[first[number] + index] = {
                    "request": ids[number],
                    "index": index,
                    "host": name,
                    "zone": zone,
                    "rack": rack,
                    "datastores": [stored],
                    "score": score if score > other else other,
                    "parts": {"cpu": percent[cpu], "memory": percent[ram], "storage": 1000 * free // whole / 10},
                }
            fleet.cpu_free[host], fleet.memory_free[host], fleet.store_free[store] = cpu_free, memory_free, free
            self.engine.levels[host] = self.engine.level(host)
            self.engine.used[host] |= USED
            at = end

    def _fill(self, work: Iterable[tuple[int, Iterable[int]]]) -> None:
        """Engine.find, parts and commit in one loop for scores of CPU and memory: the bulk of all VMs passes here, and
        at some microseconds per VM every call and attribute counts."""
        engine, fleet, wanted, slots, first = self.engine, self.fleet, self.wanted, self._slots, self._first
        views, used, levels, ledger = engine.views_by_id, engine.used, engine.levels, engine.ledger
        cpu_free, memory_free, free = fleet.cpu_free, fleet.memory_free, fleet.store_free
        names, capacities = fleet.store_ids, engine.store_limits
        hosts = engine.names
        cpu_limits, memory_limits = engine.cpu_limits, engine.memory_limits
        cpu_levels, memory_levels = engine.cpu_levels, engine.memory_levels
        cpu_scores, memory_scores = engine.cpu_scores, engine.memory_scores
        pack, balanced = self.policy.name == "pack", self.policy.name == "balanced"
        hashes, percent, last = () if pack else self._hashes, PERCENT, None
        ids, kinds = wanted.ids, wanted.kinds
        for number, indexes in work:
            name, kind = ids[number], kinds[number]
            if kind is not last:
                last = kind
                _count, shape, groups, spread = kind
                view = views.get(id(shape)) or engine.view(shape)
                vcpus, memory, disks = view.vcpus, view.memory, view.disks
                capacity = disks[0].capacity if len(disks) == 1 else None
                plan = ledger.plan(groups) if groups else None
                test = None if plan is None else plan.test
                simple = spread is None and (plan is None or (plan.strict is plan.test and not plan.anchors))
                find = view.pool.find if simple else None
            for index in indexes:
                if view.full:
                    found = None
                elif simple:
                    if pack:  # has no use for a position
                        found = find(0.0, test, plan)
                    else:
                        position = crc32(b"/%d" % index if index else b"/0", hashes[number]) / 4294967296
                        found = find(position, test)
                    if found is None and plan is None:
                        view.full = True
                else:
                    found, _view, _plan = engine.find(wanted[number], index)
                if found is None:
                    self._unplaced.append((number, self._reasons.of(wanted[number], index, view)))
                    continue
                host, stores = found
                cpu_free[host] = left = cpu_free[host] - vcpus
                cpu = 1000 * left // cpu_limits[host]
                memory_free[host] = left = memory_free[host] - memory
                ram = 1000 * left // memory_limits[host]
                if capacity is not None:
                    store = stores[0]
                    free[store] = left = free[store] - capacity
                    stored = [names[store]]
                    parts = {
                        "cpu": percent[cpu],
                        "memory": percent[ram],
                        "storage": 1000 * left // capacities[store] / 10,
                    }
                else:
                    stored, parts = self._lay(wanted[number], stores, {"cpu": percent[cpu], "memory": percent[ram]})
                level, other = cpu_levels[cpu], memory_levels[ram]
                levels[host] = level if level > other else other
                used[host] |= USED
                if plan is not None:
                    if plan.preferred:
                        parts["preferences_broken"] = sum([not test(host) for test in plan.preferred])
                    plan.commit(host)
                if spread is not None:
                    ledger.counts(spread)[engine.column(spread.level)[host]] += 1
                if balanced:
                    score = round(100 - abs(percent[cpu] - percent[ram]), 1)
                else:
                    score, other = cpu_scores[cpu], memory_scores[ram]
                    score = score if (score > other) is pack else other
                place, zone, rack = hosts[host]
                slots[first[number] + index] = {
                    "request": name,
                    "index": index,
                    "host": place,
                    "zone": zone,
                    "rack": rack,
                    "datastores": stored,
                    "score": score,
                    "parts": parts,
                }

    @cached_property
    def _hashes(self) -> list[int]:
        """Of the names of the requests, the first part of engine.position."""
        seed = crc32(f"{self.policy.seed}/".encode())
        return list(map(crc32, map(str.encode, self.wanted.ids), repeat(seed)))

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
