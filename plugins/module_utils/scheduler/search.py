# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search: a host and datastores for one VM, by filter and weight, under the rules of its groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

from .filters import Candidates
from .requests import Request, Shape, Spread, Statics
from .state import GroupPlan, State, Test, all_of
from .weigh import QUEUES, Found, Loads, Queue, View, sort_keys


class Search:
    """Finds places on a state; nothing is counted here (see State.add)."""

    def __init__(self, state: State) -> None:
        self.state, self.keys = state, sort_keys(state)
        self._queue, self._seed = QUEUES[state.policy.name], state.policy.seed
        self._candidates: dict[Statics, Candidates] = {}
        self._views: dict[Shape, View] = {}
        self._queues: dict[Any, Queue] = {}
        self._shared: dict[int, Loads] = {}
        self._orders: dict[tuple[Spread, Candidates], list[Any]] = {}

    def view(self, shape: Shape) -> View:
        """Return the shape's view of the fleet."""
        found = self._views.get(shape)
        if found is None:
            candidates = self._candidates.get(shape.statics)
            if candidates is None:
                candidates = Candidates(shape.statics, self.state.fleet, self.keys)
                self._candidates[shape.statics] = candidates
            found = self._views[shape] = View(shape, candidates, self.state)
        return found

    def find(self, request: Request, index: int) -> Found | None:
        """Return a host and datastores for one VM of a request, or None."""
        start = crc32(f"{self._seed}/{request.id}/{index}".encode())
        if not request.groups:
            if request.spread is None:
                return self.queue(request.shape).find(start, None)
            return self._evenly(request.shape, request.spread, start, None)
        plan = self.state.plan(request.groups)
        found = None if plan.strict is None else self._find(request, start, plan, plan.strict)
        return found or self._find(request, start, plan, plan.test)

    def queue(self, shape: Shape) -> Queue:
        """Return the candidates of a shape in the policy's order."""
        found = self._queues.get(shape)
        if found is None:
            view = self.view(shape)
            found = self._queues[shape] = self._queue(view, view.candidates.hosts, self.keys, self._shared)
        return found

    def queue_in(self, shape: Shape, level: str, value: Any) -> Queue:
        """Return the candidates of a shape in one host, rack or zone, in the policy's order."""
        found = self._queues.get((shape, level, value))
        if found is None:
            view = self.view(shape)
            hosts = view.candidates.domains(level).get(value, [])
            found = self._queues[shape, level, value] = self._queue(view, hosts, self.keys, self._shared)
        return found

    def domains(self, request: Request, index: int, level: str) -> Iterable[Any]:
        """Yield the hosts, racks or zones that one VM may use, in the order in which the policy prefers their hosts."""
        queue, column, seen = self.queue(request.shape), self.state.fleet.domains[level], set()
        test = self.state.plan(request.groups).test
        for host in queue.order(crc32(f"{self._seed}/{request.id}/{index}".encode())):
            if column[host] not in seen and (test is None or test(host)):
                seen.add(column[host])
                yield column[host]

    def tests(self, request: Request) -> list[tuple[str, Test]]:
        """Return the hard rules of a request as (constraint, test of a host), affinity first."""
        found = sorted(self.state.plan(request.groups).hard, key=lambda pair: pair[0])
        spread = request.spread
        if spread is not None and spread.max_skew is not None:
            members, column = self.state.spread_members(spread), self.state.fleet.domains[spread.level]
            domains = self.view(request.shape).candidates.domains(spread.level)
            limit = min((members[value] for value in domains), default=0) + spread.max_skew
            found.append(("max_skew", lambda host: members[column[host]] < limit))
        return found

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Use new queues for placements that may be taken back, because queues forget hosts."""
        saved = self._queues, self._shared
        self._queues, self._shared = {}, {}
        yield
        self._queues, self._shared = saved

    def _find(self, request: Request, start: int, plan: GroupPlan, test: Test | None) -> Found | None:
        if request.spread is not None:
            return self._evenly(request.shape, request.spread, start, test)
        for level, members in plan.anchors:
            if members:
                for value in sorted(members, key=str):
                    found = self.queue_in(request.shape, level, value).find(start, test)
                    if found is not None:
                        return found
                return None
        return self.queue(request.shape).find(start, test)

    def _evenly(self, shape: Shape, spread: Spread, start: int, test: Test | None) -> Found | None:
        """Try the domains with the fewest members first, those with equally many in an order of their own per group."""
        members = self.state.spread_members(spread)
        domains = self._order(spread, self.view(shape).candidates)
        numbers = sorted({members[value] for value in domains})
        if spread.max_skew is not None:
            numbers = [number for number in numbers if number < numbers[0] + spread.max_skew]
        for number in numbers:
            if spread.level == "host":  # one queue for all, for there may be thousands

                def fewest(host: int, number: int = number) -> bool:
                    return members[host] == number

                found = self.queue(shape).find(start, all_of([fewest] if test is None else [fewest, test]))
                if found is not None:
                    return found
                continue
            for value in domains:
                if members[value] == number:
                    found = self.queue_in(shape, spread.level, value).find(start, test)
                    if found is not None:
                        return found
        return None

    def _order(self, spread: Spread, candidates: Candidates) -> list[Any]:
        found = self._orders.get((spread, candidates))
        if found is None:
            domains = candidates.domains(spread.level)
            found = sorted(domains, key=lambda value: crc32(f"{self._seed}/{spread.group}/{value}".encode()))
            self._orders[spread, candidates] = found
        return found
