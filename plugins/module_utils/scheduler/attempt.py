# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempt: place the VMs of a batch one by one, and the members of affinity groups as wholes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from .explain import reason
from .fleet import LEVELS, Fleet
from .policies import Policy
from .requests import Batch, Request
from .search import Search
from .state import State, count
from .weigh import Found, photon_parts, photon_score

Vm = tuple[int, int]  # number of the request, index
Unit = int | list[int]  # number of a request, or of all those that hard affinity ties together

# Combinations of domains that are tried for the groups of one unit.
MAX_TRIES = 200


class Attempt:
    """Places a batch on a state of its own; ``lost`` counts the VMs without a place by the number of their request.

    ``tight``: affinity groups try the domain with the least room first, whatever the policy prefers.
    """

    def __init__(self, batch: Batch, fleet: Fleet, policy: Policy, *, order: str | None = None, tight: bool = False):
        self.batch, self.fleet, self.policy, self._tight = batch, fleet, policy, tight
        self.state = State(fleet, batch, policy.ordered(order or policy.name))
        self.search = Search(self.state)
        self.lost: Counter[int] = Counter()
        # A row per VM, so that the answer is in the order of the requests whatever order they are placed in.
        self._first = [0, *accumulate(request.count for request in batch.requests)]
        self._rows: list[dict[str, Any] | None] = [None] * self._first[-1]
        self._unplaced: dict[int, dict[str, Any]] = {}
        self._reasons: dict[Any, dict[str, Any]] = {}
        self._number_placed = self._tries = 0

    def run(self, units: Iterable[Unit]) -> Attempt:
        """Place units in this order."""
        for unit in units:
            if isinstance(unit, int):
                self.place(unit, range(self.batch.requests[unit].count))
            else:
                self._place_whole(unit)
        return self

    def place(self, number: int, indexes: Iterable[int]) -> None:
        """Place VMs of one request, each where the policy prefers it."""
        request = self.batch.requests[number]
        for index in indexes:
            found = self.search.find(request, index)
            if found is None:
                self._fail(number, index)
            else:
                self.put(number, index, found)

    def put(self, number: int, index: int, found: Found) -> None:
        """Place one VM on the given host and datastores."""
        host, stores = found
        state, request, policy = self.state, self.batch.requests[number], self.policy
        preferred = state.plan(request.groups).preferred if request.groups else ()
        broken = sum([not test(host) for test in preferred]) if preferred else 0
        scores = photon_parts(self.search.view(request.shape), host, stores) if policy.name == "photon" else None
        cpu, memory = state.add(request, host, stores)
        if scores is not None:
            parts, score = scores, photon_score(scores)
        else:
            parts, score = {"cpu": cpu / 10, "memory": memory / 10}, policy.score(cpu, memory)
            for store in stores[:1]:
                capacity = self.fleet.datastores[store].capacity or 1
                parts["storage"] = 1000 * state.store_free[store] // capacity / 10
        if preferred:
            parts["preferences_broken"] = broken
        row = self.fleet.hosts[host]
        self._number_placed += 1
        self._rows[self._first[number] + index] = {
            "request": request.id,
            "index": index,
            "host": row.id,
            "zone": row.zone,
            "rack": row.rack,
            "datastores": [self.fleet.datastores[store].id for store in stores],
            "score": score,
            "parts": parts,
        }

    def answer(self) -> dict[str, Any]:
        """Return ``{placements, unplaced, summary}`` in the order of the requests."""
        placements = [row for row in self._rows if row is not None]
        used = [host for host, number in enumerate(self.state.placed) if number]
        return {
            "placements": placements,
            "unplaced": [row for _slot, row in sorted(self._unplaced.items())],
            "summary": {
                "policy": self.policy.name,
                "quality": self.policy.quality,
                "placed": len(placements),
                "unplaced": len(self._unplaced),
                "hosts_used": len(used),
                "hosts_opened": sum(not self.fleet.hosts[host].busy for host in used),
            },
        }

    def _fail(self, number: int, index: int) -> None:
        request = self.batch.requests[number]
        self.lost[number] += 1
        # One reason for all VMs of a shape that no host has room for: working it out takes a look at every host.
        full = self.search.queue(request.shape).find(0, None) is None
        key = request.shape if full else (request.shape, request.groups, request.spread, self._number_placed)
        if key not in self._reasons:
            self._reasons[key] = reason(self.search, request)
        self._unplaced[self._first[number] + index] = {"request": request.id, "index": index, **self._reasons[key]}

    def _levels(self, unit: list[int]) -> list[tuple[str, str]]:
        """Return the hard affinities of a unit as (group, level), the widest first."""
        groups = dict.fromkeys(group for number in unit for group in self.batch.requests[number].groups)
        pairs = [(group, level) for group in groups for level in sorted(self.batch.hard_affinity(group))]
        return sorted(pairs, key=lambda pair: -LEVELS.index(pair[1]))

    def _place_whole(self, unit: list[int]) -> None:
        requests = self.batch.requests
        vms = [(number, index) for number in unit for index in range(requests[number].count)]
        vms.sort(key=lambda vm: -self._size(requests[vm[0]]))
        self._tries = MAX_TRIES
        if not self._together(vms, self._levels(unit)):
            self._partly(vms, self._levels(unit))

    def _together(self, vms: list[Vm], levels: list[tuple[str, str]]) -> bool:
        """Give each group without members a domain and place all VMs there, or none."""
        for at, (group, level) in enumerate(levels):
            members = self.state.members(group, level)
            if members:
                continue
            for value in self._domains(vms, group, level):
                members[value] += 1  # as if a member were there: all others must follow
                done = self._together(vms, levels[at + 1 :])
                count(members, value, -1)
                if done or self._tries <= 0:
                    return done
            return False
        self._tries -= 1
        with self.search.trial():
            return self._all_or_none(vms)

    def _all_or_none(self, vms: list[Vm]) -> bool:
        done: list[tuple[Vm, Found]] = []
        for number, index in vms:
            found = self.search.find(self.batch.requests[number], index)
            if found is None:
                break
            self.put(number, index, found)
            done.append(((number, index), found))
        if len(done) == len(vms):
            return True
        for (number, index), (host, stores) in done:
            self.state.add(self.batch.requests[number], host, stores, -1)
            self._rows[self._first[number] + index] = None
        return False

    def _partly(self, vms: list[Vm], levels: list[tuple[str, str]]) -> None:
        """Place what can be placed of a unit, with each group in the domain that has most room."""
        anchors = []
        for group, level in levels:
            members = self.state.members(group, level)
            if not members:
                value = max(self._rooms(vms, group, level), default=None, key=lambda pair: pair[0])
                if value is not None:
                    members[value[1]] += 1
                    anchors.append((members, value[1]))
        for number, index in sorted(vms):
            self.place(number, [index])
        for members, value in anchors:
            count(members, value, -1)

    def _domains(self, vms: list[Vm], group: str, level: str) -> Iterator[Any]:
        """Yield the domains whose hosts together have room for a group."""
        rooms = ((room, value) for room, value in self._rooms(vms, group, level) if room >= 1)
        if self._tight:
            rooms = iter(sorted(rooms, key=lambda pair: pair[0]))
        for _room, value in rooms:
            yield value

    def _rooms(self, vms: list[Vm], group: str, level: str) -> Iterator[tuple[float, Any]]:
        """Yield the domains for a group in the order of the policy, and how many times its members fit there in all."""
        requests, state = self.batch.requests, self.state
        mine = [vm for vm in vms if group in requests[vm[0]].groups]
        vcpus = sum(requests[number].shape.vcpus for number, _index in mine)
        memory = sum(requests[number].shape.memory for number, _index in mine)
        number, index = mine[0]
        hosts = self.search.view(requests[number].shape).candidates.domains(level)
        for value in self.search.domains(requests[number], index, level):
            cpu = sum([state.cpu_free[host] for host in hosts[value] if state.cpu_free[host] > 0])
            free = sum([state.memory_free[host] for host in hosts[value] if state.memory_free[host] > 0])
            yield min(cpu / vcpus if vcpus else 1.0, free / memory if memory else 1.0), value

    def _size(self, request: Request) -> float:
        return self.fleet.size(request.shape.vcpus, request.shape.memory)
