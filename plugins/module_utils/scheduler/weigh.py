# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weigh: the order in which a policy tries the hosts that a shape may use, and whether the shape fits on one.

Within one attempt capacity only shrinks. So a host that a shape does not fit on is not looked at again for that shape.
"""

from __future__ import annotations

from bisect import bisect_left
from zlib import crc32

from .filters import Candidates
from .photon import photon_scores, scheduling_constants, winner_score
from .requests import Shape
from .state import Members, State, Stores, Test
from .transfer import Transfers, boots, share

Found = tuple[int, Stores]

FULL, REFUSED = 255, 254  # in place of a level: for good, and while one VM is placed
PHOTON_SAMPLE = 4  # the original's sampleHostCount
# Equal hosts that are looked at for the one with the fewest VMs of a project.
MAX_EQUALS = 16
# Combinations of disks and datastores that are tried on a host before it counts as too full.
MAX_COMBINATIONS = 5_000


class Queue:
    """Hosts for a shape: those on the lowest level first (``spread``: least loaded; ``pack``: all are on one level), of
    a level from the place that ``start`` stands for. So under ``spread`` a VM or host more or less moves few others.

    ``_seen``: levels as last seen, which can only be too low, for loads only rise. ``least``: per item, the VMs of
    it that each host of its last place at most held.
    """

    def __init__(self, shape: Shape, candidates: Candidates, hosts: list[int], state: State) -> None:
        self.shape, self.candidates, self.hosts, self.state = shape, candidates, hosts, state
        self._seen, self._least = bytearray(map(state.levels.__getitem__, hosts)), 0
        self._vcpus, self._memory = shape.vcpus, shape.memory
        self._capacity = shape.disks[0].capacity if len(shape.disks) == 1 else None
        self._options = candidates.options[0] if shape.disks else []
        transfers = state.transfers
        self._transfers = transfers if transfers is not None and transfers.matter(shape) else None
        self._cpu_free, self._memory_free, self._store_free = state.cpu_free, state.memory_free, state.store_free
        self.least: dict[str, int] = {}

    def find(self, start: int, test: Test | None = None, mates: Members | None = None) -> Found | None:
        """Return the first host that fits and passes the test, with a datastore per disk; ``start`` is a 32-bit hash of
        the VM's name. Among hosts of one level prefer the one with the fewest ``mates``."""
        hosts, seen, levels = self.hosts, self._seen, self.state.levels
        first, level, found, fewest = start * len(hosts) >> 32, self._least, None, 0
        refused: list[int] = []
        while level <= self.state.steps:
            at = seen.find(level, first)
            if at < 0:
                at = seen.find(level)
            if at < 0:
                if found is not None:
                    break
                if level == self._least and not refused:
                    self._least += 1
                level += 1
                continue
            host = hosts[at]
            if levels[host] != level:
                seen[at] = levels[host]
            elif (stores := self.fit(host)) is None:
                seen[at] = FULL
            elif test is None or test(host):
                others: float = mates.get(host, 0) if mates else 0
                if self._transfers is not None:
                    others += self._cost(stores)
                if found is None or others < fewest:
                    found, fewest = (host, stores), others
                if not others or len(refused) >= MAX_EQUALS:
                    break
                seen[at] = REFUSED
                refused.append(at)
            else:
                seen[at] = REFUSED
                refused.append(at)
        for at in refused:
            seen[at] = levels[hosts[at]]
        return found

    def fit(self, host: int) -> Stores | None:
        """Return a datastore per disk, or None where the VM does not fit."""
        if self._cpu_free[host] < self._vcpus or self._memory_free[host] < self._memory:
            return None
        if self._capacity is None:
            return self._fit_disks(host) if self.shape.disks else ()
        if self._transfers is not None:
            return self._fit_copy(host)
        free, best, room = self._store_free, None, self._capacity - 1
        for store in self._options[host]:
            if free[store] > room:
                best, room = store, free[store]
        return None if best is None else (best,)

    def _fit_copy(self, host: int) -> Stores | None:
        """As fit, for one disk whose image may have to be copied first."""
        free, shape, transfers = self._store_free, self.shape, self._transfers
        best, most = None, 0.0
        for store in self._options[host] if transfers is not None else ():
            if free[store] - transfers.missing(shape, store) < shape.disks[0].capacity:
                continue
            worth = free[store] - transfers.penalty(shape, store)
            if best is None or worth > most:
                best, most = store, worth
        return None if best is None else (best,)

    def _fit_disks(self, host: int) -> Stores | None:
        """Try the emptiest datastore first, and many combinations before giving up."""
        disks, free, options = self.shape.disks, self._store_free, self.candidates.stores(host)
        order = sorted(range(len(disks)), key=lambda n: (len(options[n]), -disks[n].capacity))
        taken = dict.fromkeys((store for stores in options for store in stores), 0)
        chosen = [0] * len(disks)
        together = self.state.policy.name == "photon"  # the original puts all disks on the emptiest, if they fit
        left, transfers = MAX_COMBINATIONS, self._transfers

        def worth(copies: Transfers | None, store: int) -> float:
            return free[store] - (copies.penalty(self.shape, store) if copies is not None else 0)

        def fill(depth: int) -> bool:
            nonlocal left
            left -= 1
            if depth == len(order) or left < 0:
                return depth == len(order)
            number = order[depth]
            copies = transfers if disks[number].boot else None
            for store in sorted(options[number], key=lambda s: (0 if together else taken[s]) - worth(copies, s)):
                need = disks[number].capacity + (copies.missing(self.shape, store) if copies is not None else 0)
                if free[store] - taken[store] < need:
                    continue
                chosen[number] = store
                taken[store] += need
                if fill(depth + 1):
                    return True
                taken[store] -= need
            return False

        return tuple(chosen) if fill(0) else None

    def _cost(self, stores: Stores) -> float:
        """Return less than 1 for what must be copied first: with as few mates, hosts that have the image come first."""
        transfers = self._transfers
        missing = [transfers.missing(self.shape, s) for s in boots(self.shape.disks, stores)] if transfers else []
        return share(sum(missing)) / 2


class PhotonQueue(Queue):
    """The original's sample: hosts from a random scheduling constant on, the best of each four first."""

    def find(self, start: int, test: Test | None = None, mates: Members | None = None) -> Found | None:
        # One hash gives both draws of the original: a midpoint from 1 to 9999 and the side of a coin.
        draw = start * 2 * 9999 >> 32
        count, step = len(self.hosts), 1 if draw % 2 else -1
        middle = bisect_left(self.hosts, draw // 2 + 1, key=self.candidates.keys.__getitem__)
        first = middle if step == 1 else middle - 1
        for begin in range(0, count, PHOTON_SAMPLE):
            sample = [self.hosts[(first + step * n) % count] for n in range(begin, min(begin + PHOTON_SAMPLE, count))]
            scored = [(score, host) for host in sample if (score := self._score(host)) is not None]
            for _score, host in sorted(scored, key=lambda pair: -pair[0]):
                if test is None or test(host):
                    return host, self.fit(host) or ()
        return None

    def _score(self, host: int) -> float | None:
        stores = self.fit(host)
        if stores is None:
            return None
        refused, scores = photon_scores(self.state, host, self.shape, stores)
        return None if refused else winner_score(scores)


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
    vcpus = sum(len(kind.vms) * kind.shape.vcpus for kind in state.batch.kinds) or state.fleet.average[0]
    memory = sum(len(kind.vms) * kind.shape.memory for kind in state.batch.kinds) or state.fleet.average[1]
    rooms = [min(host.cpu_limit / vcpus, host.memory_limit / memory) for host in hosts]
    steps = [int(state.measure(n)[2] * state.steps / 1000) for n in range(len(hosts))]
    keys = [0] * len(hosts)
    for rank, host in enumerate(sorted(range(len(hosts)), key=lambda n: (-steps[n], -rooms[n], hashes[n]))):
        keys[host] = rank
    return keys
