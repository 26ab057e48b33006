# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Search: a host and datastores for one VM, by filter and weight, under the rules of its groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Optional
from zlib import crc32

from .filters import Candidates
from .requests import Kind, Shape, Spread, Statics
from .state import Members, State, Test, all_of
from .weigh import Found, PhotonQueue, Queue, sort_keys

Anchors = Sequence[tuple[str, Members]]
Finder = Callable[[int], Optional[Found]]  # noqa: UP045 - ansible-test checks for older Pythons
One = Callable[[Queue, int, Optional[Test]], Optional[Found]]  # noqa: UP045


class Search:
    """Finds places on a state; nothing is counted here (see State.add)."""

    def __init__(self, state: State) -> None:
        self.state, self._keys = state, sort_keys(state)
        self._make = PhotonQueue if state.policy.name == "photon" else Queue
        self._hashed, self._hash = state.policy.name != "pack", crc32(f"{state.policy.seed}/".encode())
        self._candidates: dict[Statics, Candidates] = {}
        self._queues: dict[Any, Queue] = {}

    def finder(self, kind: Kind) -> Finder:
        """Return a function that finds a host and datastores for a VM of a kind, from the hash of its name."""
        if not kind.groups:
            return self._finder(kind, (), None)
        plan = self.state.plan(kind.groups)
        find = self._finder(kind, plan.anchors, plan.test)
        if plan.strict is None:
            return find
        strictly = self._finder(kind, plan.anchors, plan.strict)
        return lambda start: strictly(start) or find(start)

    def start(self, name: str, index: int) -> int:
        """Return a hash of a VM's name, which chooses among equal hosts; the fixed order of ``pack`` needs none."""
        return crc32(f"{name}/{index}".encode(), self._hash) if self._hashed else 0

    def queue(self, shape: Shape, level: str | None = None, value: Any = None) -> Queue:
        """Return the candidates of a shape, or those in one host, rack or zone, in the policy's order."""
        key = shape if level is None else (shape, level, value)
        found = self._queues.get(key)
        if found is None:
            candidates = self._candidates.get(shape.statics)
            if candidates is None:
                candidates = Candidates(shape.statics, self.state.fleet, self._keys)
                self._candidates[shape.statics] = candidates
            hosts = candidates.hosts if level is None else candidates.domains(level).get(value, [])
            found = self._queues[key] = self._make(shape, candidates, hosts, self.state)
        return found

    def domains(self, kind: Kind, start: int, level: str) -> Iterator[Any]:
        """Yield the hosts, racks or zones that one VM may use, in the order in which the policy prefers their hosts."""
        queue, column, seen = self.queue(kind.shape), self.state.fleet.domains[level], set()
        allowed = all_of([*filter(None, [self.state.plan(kind.groups).test]), lambda host: column[host] not in seen])
        while found := queue.find(start, allowed):
            seen.add(column[found[0]])
            yield column[found[0]]

    def tests(self, kind: Kind) -> list[tuple[str, Test]]:
        """Return the hard rules of a kind as (constraint, test of a host), affinity first."""
        found = sorted(self.state.plan(kind.groups).hard, key=lambda pair: pair[0])
        spread = kind.spread
        if spread is not None and spread.max_skew is not None:
            members = self.state.members(spread.group, spread.level, "item")
            domains = self.queue(kind.shape).candidates.domains(spread.level)
            column = self.state.fleet.domains[spread.level]
            limit = min((members.get(value, 0) for value in domains), default=0) + spread.max_skew
            found.append(("max_skew", lambda host: members.get(column[host], 0) < limit))
        return found

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Use new queues for placements that may be taken back, because queues forget hosts."""
        saved, self._queues = self._queues, {}
        yield
        self._queues = saved

    def _finder(self, kind: Kind, anchors: Anchors, test: Test | None) -> Finder:
        shape, spread, one = kind.shape, kind.spread, self._one(kind)
        if spread is not None:
            return lambda start: self._evenly(shape, spread, one, start, test)
        if not anchors:
            queue = self.queue(shape)
            return partial(one, queue, test=test)

        def find(start: int) -> Found | None:
            for level, members in anchors:
                if members:
                    queues = (self.queue(shape, level, value) for value in sorted(members, key=str))
                    return next((found for queue in queues if (found := one(queue, start, test))), None)
            return one(self.queue(shape), start, test)

        return find

    def _one(self, kind: Kind) -> One:
        """Return how a VM of a kind finds its host in a queue: on the hosts with the fewest VMs of its item, whatever
        their load, and among equals with few of its project."""
        item, state = kind.item, self.state
        mates = state.members(kind.project, "host", "project") if kind.project else None
        if item is None:
            return self._make.find if mates is None else lambda queue, start, test: queue.find(start, test, mates)
        members = state.members(item, "host", "item")

        def find(queue: Queue, start: int, test: Test | None) -> Found | None:
            most: int | None = queue.least.pop(item, 0)
            while most is not None:
                few = all_of([lambda host, most=most: members.get(host, 0) <= most, *filter(None, [test])])
                if found := queue.find(start, few, mates):
                    queue.least[item] = most
                    return found
                most = min([number for number in members.values() if number > most], default=None)
            return None

        return find

    def _evenly(self, shape: Shape, spread: Spread, one: One, start: int, test: Test | None) -> Found | None:
        """Try the domains with the fewest members first, those with equally many in an order of their own per group."""
        members = self.state.members(spread.group, spread.level, "item")
        domains = self.queue(shape).candidates.domains(spread.level)
        by_number: dict[int, list[Any]] = {}
        for value in domains:
            by_number.setdefault(members.get(value, 0), []).append(value)
        least = min(by_number, default=0)
        for number in sorted(by_number):
            if spread.max_skew is not None and number >= least + spread.max_skew:
                return None
            if spread.level == "host":  # one queue for all, for there may be thousands
                rest = [] if test is None else [test]
                queues, allowed = [self.queue(shape)], all_of([lambda host, n=number: members.get(host, 0) == n, *rest])
            else:
                values = sorted(by_number[number], key=lambda v: crc32(f"{spread.group}/{v}".encode(), self._hash))
                queues, allowed = [self.queue(shape, spread.level, value) for value in values], test
            for queue in queues:
                found = one(queue, start, allowed)
                if found is not None:
                    return found
        return None
