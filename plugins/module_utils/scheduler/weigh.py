# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weigh: the order in which a policy tries the hosts that a shape may use.

Within one attempt capacity only shrinks. So a host that a shape does not fit on is not looked at again for that shape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from zlib import crc32

from .filters import Candidates
from .photon import scheduling_constants, transfer_score, utilization_score, winner_score
from .requests import Shape
from .state import State, Stores, Test

Found = tuple[int, Stores]

PHOTON_SAMPLE = 4  # the original's sampleHostCount
# Combinations of disks and datastores that are tried on a host before it counts as too full.
MAX_COMBINATIONS = 5_000


class View:
    """One shape on a state: its candidates, and whether it fits on one of them."""

    def __init__(self, shape: Shape, candidates: Candidates, state: State) -> None:
        self.shape, self.candidates, self.state = shape, candidates, state
        self._vcpus, self._memory = shape.vcpus, shape.memory
        self._cpu_free, self._memory_free, self._store_free = state.cpu_free, state.memory_free, state.store_free
        self._mounted = state.fleet.mounted
        self._capacity = shape.disks[0].capacity if len(shape.disks) == 1 else None

    def fit(self, host: int) -> Stores | None:
        """Return a datastore per disk, or None where the VM does not fit."""
        if self._cpu_free[host] < self._vcpus or self._memory_free[host] < self._memory:
            return None
        if self._capacity is None:
            return self.fit_disks(host) if self.shape.disks else ()
        free, allowed, best, room = self._store_free, self.candidates.stores[0], None, self._capacity - 1
        for store in self._mounted[host]:
            if free[store] > room and store in allowed:
                best, room = store, free[store]
        return None if best is None else (best,)

    def fit_disks(self, host: int) -> Stores | None:
        """Return a datastore per disk, or None; the emptiest is tried first, many combinations before giving up."""
        disks, free = self.shape.disks, self._store_free
        mine = self._mounted[host]
        options = [[store for store in mine if store in allowed] for allowed in self.candidates.stores]
        order = sorted(range(len(disks)), key=lambda n: (len(options[n]), -disks[n].capacity))
        taken = dict.fromkeys(mine, 0)
        chosen = [0] * len(disks)
        together = self.state.policy.name == "photon"  # the original puts all disks on the emptiest, if they fit
        left = MAX_COMBINATIONS

        def fill(depth: int) -> bool:
            nonlocal left
            left -= 1
            if depth == len(order) or left < 0:
                return depth == len(order)
            number = order[depth]
            need = disks[number].capacity
            for store in sorted(options[number], key=lambda s: (0 if together else taken[s]) - free[s]):
                if free[store] - taken[store] < need:
                    continue
                chosen[number] = store
                taken[store] += need
                if fill(depth + 1):
                    return True
                taken[store] -= need
            return False

        return tuple(chosen) if fill(0) else None


class Queue:
    """Some candidates of a shape in the order of a policy. ``keys``: the policy's number per host of the fleet.

    ``shared`` keeps what queues of the same hosts have in common.
    """

    def __init__(self, view: View, hosts: list[int], keys: list[int], shared: dict[int, Loads]) -> None:
        self.view, self.hosts, self.keys, self.shared = view, hosts, keys, shared

    def find(self, start: int, test: Test | None) -> Found | None:
        """Return the first host that fits and passes the test, with a datastore per disk."""
        fit = self.view.fit
        for host in self.order(start):
            stores = fit(host)
            if stores is None:
                self.forget(host)
            elif test is None or test(host):
                return host, stores
        return None

    def order(self, start: int) -> Iterator[int]:
        """Yield hosts, the best first; ``start`` is a 32-bit hash of the VM's name."""
        raise NotImplementedError

    def forget(self, host: int) -> None:
        """Leave out a host that the shape does not fit on."""


class PackQueue(Queue):
    """First fit: the order is fixed."""

    def __init__(self, view: View, hosts: list[int], keys: list[int], shared: dict[int, Loads]) -> None:
        super().__init__(view, hosts, keys, shared)
        self._full, self._at = bytearray(len(hosts)), 0

    def order(self, start: int) -> Iterator[int]:
        self._at = self._full.find(0)
        while self._at >= 0:
            yield self.hosts[self._at]
            self._at = self._full.find(0, self._at + 1)

    def forget(self, host: int) -> None:
        self._full[self._at] = 1


class Loads:
    """Some hosts by load, for all shapes that may use them. ``_seen`` are levels as last seen: they can only be too
    low, for within an attempt loads only rise."""

    def __init__(self, hosts: list[int], state: State) -> None:
        self._hosts, self._state = hosts, state
        self._seen = bytearray([state.levels[host] for host in hosts])
        self._least = 0

    def order(self, start: int, full: set[int]) -> Iterator[int]:
        """Yield hosts but those in ``full``, the least loaded first; on a level from the one that ``start`` stands
        for."""
        hosts, seen, levels = self._hosts, self._seen, self._state.levels
        first = start * len(hosts) >> 32
        for level in range(self._least, self._state.steps + 1):
            for begin, end in ((first, len(hosts)), (0, first)):
                at = seen.find(level, begin, end)
                while at >= 0:
                    host = hosts[at]
                    if levels[host] != level:
                        seen[at] = levels[host]
                    elif host not in full:
                        yield host
                    at = seen.find(level, at + 1, end)
            if level == self._least and seen.find(level) < 0:
                self._least += 1


class SpreadQueue(Queue):
    """Least loaded first; on a level from the host that the VM's hash stands for, so that a VM or host more or less
    moves few others."""

    def __init__(self, view: View, hosts: list[int], keys: list[int], shared: dict[int, Loads]) -> None:
        super().__init__(view, hosts, keys, shared)
        if id(hosts) not in shared:
            shared[id(hosts)] = Loads(hosts, view.state)
        self._loads, self._full = shared[id(hosts)], set()

    def order(self, start: int) -> Iterator[int]:
        return self._loads.order(start, self._full)

    def forget(self, host: int) -> None:
        self._full.add(host)
        if 2 * len(self._full) > len(self.hosts):
            self.hosts = [host for host in self.hosts if host not in self._full]
            self._loads, self._full = Loads(self.hosts, self.view.state), set()


class PhotonQueue(Queue):
    """The original's sample: hosts from a random scheduling constant on, the best of each four first."""

    def order(self, start: int) -> Iterator[int]:
        # One hash gives both draws of the original: a midpoint from 1 to 9999 and the side of a coin.
        draw = start * 2 * 9999 >> 32
        middle = bisect_left(self.hosts, draw // 2 + 1, key=self.keys.__getitem__)
        walk = [*self.hosts[middle:], *self.hosts[:middle]]
        if not draw % 2:
            walk.reverse()
        for begin in range(0, len(walk), PHOTON_SAMPLE):
            scored = [(self._score(host), host) for host in walk[begin : begin + PHOTON_SAMPLE]]
            for _score, host in sorted([pair for pair in scored if pair[0] is not None], key=lambda pair: -pair[0]):
                yield host

    def _score(self, host: int) -> float | None:
        stores = self.view.fit(host)
        parts = None if stores is None else photon_parts(self.view, host, stores)
        return None if parts is None else photon_score(parts)


QUEUES = {"pack": PackQueue, "spread": SpreadQueue, "photon": PhotonQueue}


def sort_keys(state: State) -> list[int]:
    """Return per host of the fleet the number by which its policy sorts candidates."""
    hosts, policy = state.fleet.hosts, state.policy
    if policy.name == "photon":
        return scheduling_constants([host.id for host in hosts], [host.scheduling_constant for host in hosts])
    seed = crc32(f"{policy.seed}/".encode())
    hashes = [crc32(host.id.encode(), seed) for host in hosts]
    if policy.name == "spread":
        return hashes
    # Hosts in use first, the fullest before others; then the empty ones, first those with most room for this batch.
    vcpus = sum(request.count * request.shape.vcpus for request in state.batch.requests) or state.fleet.average[0]
    memory = sum(request.count * request.shape.memory for request in state.batch.requests) or state.fleet.average[1]
    rooms = [min(host.cpu_limit / vcpus, host.memory_limit / memory) for host in hosts]
    keys = [0] * len(hosts)
    order = sorted(range(len(hosts)), key=lambda host: (-state.levels[host], -rooms[host], hashes[host]))
    for rank, host in enumerate(order):
        keys[host] = rank
    return keys


def photon_parts(view: View, host: int, stores: Stores) -> dict[str, float] | None:
    """Return the original's scores of a host with the VM on it, or None where its 95 % limit refuses."""
    parts = utilization_score(view.state, host, view.shape, stores)
    return None if isinstance(parts, str) else {**parts, "transfer": transfer_score(view.state, view.shape, stores)}


def photon_score(parts: dict[str, float]) -> float:
    """Return the score of these parts, from 0 to 100."""
    return winner_score(min(parts["memory"], parts["cpu"], parts["storage"]), parts["transfer"])
