# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools: the hosts that one shape may use, in the order in which a policy tries them.

Within one call capacity only shrinks. So a host that a shape does not fit on is never looked at again for that shape,
and a load that a pool remembers can only be too low.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .engine import Engine
    from .groups import GroupPlan
    from .view import View

Found = tuple[int, tuple[int, ...]]
Test = Callable[[int], bool]

# A shape that meets more unusable hosts than this, and this many per search, gets a ring (or a list) of its own.
PATIENCE, PATIENCE_EACH = 64, 3
# Hosts that pass the static demands are found on a ring of all in their zones unless these are this many times as many.
BASE_SHARE = 4
# Levels are less than this: what a ring of its own writes for a host that does not fit.
FORGOTTEN = 255
# So few hosts of a rack or zone are looked at one by one: thousands of small rings would cost more.
HANDFUL = 32
# "balanced" looks at this many of the least loaded hosts.
CHOICES = 16


def emptiest(stores: Sequence[int], free: Sequence[int], capacity: int) -> tuple[int] | None:
    """The emptiest of some datastores, if it has room."""
    best = stores[0]
    room = free[best]
    for store in stores:
        if free[store] > room:
            best, room = store, free[store]
    return (best,) if room >= capacity else None


class Ring:
    """Least loaded first; among equals the next one on a ring, from the request's own position.

    That is consistent hashing with bounded loads: a request more or less, or a host that changes, moves few of the
    others. One byte per host holds the level that the ring last saw: the next host of a level is one search in memory,
    and a host that has risen since is one byte written when a search comes by it.
    """

    def __init__(self, hosts: Iterable[int], engine: Engine) -> None:
        ranks, before = sorted([engine.ranks[host] for host in hosts]), -1
        self.hosts = [engine.by_rank[rank] for rank in ranks]
        self.starts: list[int] = []  # by rank where on the ring a search from there begins
        for at, rank in enumerate(ranks):
            self.starts += [at] * (rank - before)
            before = rank
        self.starts += [0] * (len(engine.ranks) - before)
        self.seen = bytearray([engine.levels[host] for host in self.hosts])
        self.least = 0  # no host is seen on a lower level


class SpreadPool:
    """Policy ``spread``: a ring shared with all shapes of the same zones; when that meets too many hosts that are no
    use to this shape, one shared with shapes of the same static demands; at last one of its own, which forgets full
    hosts."""

    def __init__(self, view: View, hosts: list[int], key: tuple[str, object]) -> None:
        self.view, self.hosts, self.key = view, hosts, key
        self.own, self.misfits = False, 0
        self.base = key[0] in ("all", "zone") and BASE_SHARE * len(hosts) > len(view.base_hosts(key))
        self.ring = view.ring(key, hosts, base=self.base)
        engine, fleet = view.engine, view.engine.fleet
        # What a search needs and never changes, taken out in one go.
        self._fixed = (
            engine.levels,
            engine.steps,
            len(engine.ranks),
            fleet.cpu_free,
            fleet.memory_free,
            fleet.store_free,
            view.vcpus,
            view.memory,
            view.disks[0].capacity if len(view.disks) == 1 else None,
            view.candidates.members,
            view.candidates.choices,
        )

    def find(self, position: float, test: Test | None) -> Found | None:
        """The first host that fits and passes the test; a ring of its own forgets for good those that do not fit."""
        levels, top, size, cpu_free, memory_free, free, vcpus, memory, capacity, members, choices = self._fixed
        ring, base = self.ring, self.base
        hosts, seen, level = ring.hosts, ring.seen, ring.least
        at = start = ring.starts[int(position * size)]
        search, end, ahead, left, misfits, found = seen.find, len(hosts), True, False, 0, None
        while True:
            at = search(level, at, end)
            if at < 0:
                if ahead:  # now those before the start
                    ahead, at, end = False, 0, start
                    continue
                if not left and level == ring.least:
                    ring.least += 1
                if level >= top:
                    break
                level, ahead, at, end, left = level + 1, True, start, len(hosts), False
                continue
            host = hosts[at]
            if (now := levels[host]) != level:
                seen[at] = now
                if now < level and now < ring.least:  # a placement that was taken back made the host emptier again
                    ring.least = now
                at += 1
                continue
            stores = None
            if cpu_free[host] >= vcpus and memory_free[host] >= memory and (not base or members[host]):
                if capacity is None:
                    stores = self.view.lay(host)
                else:
                    stores = emptiest(choices[host] or self.view.candidates.read_choice(host), free, capacity)
            if stores is None:
                misfits += 1
                if self.own:
                    seen[at] = FORGOTTEN
                else:
                    left = True
            elif test is None or test(host):
                found = host, stores
                break
            else:
                left = True
            at += 1
        if misfits and not self.own:
            self._notice(misfits)
        return found

    def _notice(self, misfits: int) -> None:
        self.misfits += misfits - PATIENCE_EACH
        if self.misfits > PATIENCE:
            self.misfits = 0
            if self.base:
                self.base = False
                self.ring = self.view.ring(self.key, self.hosts, base=False)
                return
            self.own = True
            fit = self.view.fit
            self.ring = Ring([h for h in self.hosts if fit(h) is not None], self.view.engine)


class Handful:
    """Policy ``spread`` over a few hosts: the answers of a SpreadPool, from a look at each of them."""

    def __init__(self, view: View, ring: list[int]) -> None:
        self.ring, self._fit, self._engine = ring, view.fit, view.engine

    def find(self, position: float, test: Test | None) -> Found | None:
        """The first host that fits and passes the test."""
        ranks, ring = self._engine.ranks, self.ring
        start = bisect_left(ring, int(position * len(ranks)), key=ranks.__getitem__)
        for host in sorted(ring[start:] + ring[:start], key=self._engine.levels.__getitem__):
            stores = self._fit(host)
            if stores is not None and (test is None or test(host)):
                return host, stores
        return None


class BalancedPool(SpreadPool):
    """Policy ``balanced``: of the least loaded hosts the one whose CPU and memory are used most evenly afterwards."""

    def find(self, position: float, test: Test | None) -> Found | None:
        best: tuple[float, int] | None = None
        chosen: Found | None = None
        seen: set[int] = set()

        def fresh(host: int) -> bool:
            return host not in seen and (test is None or test(host))

        while len(seen) < CHOICES:
            found = super().find(position, fresh)
            if found is None:
                break
            seen.add(found[0])
            key = (self.view.imbalance(found[0]), len(seen))
            if best is None or key < best:
                best, chosen = key, found
        return chosen


class PackPool:
    """Policy ``pack``: first fit over a fixed order, fullest hosts first, empty ones last. One byte per host says
    whether it may still have room."""

    def __init__(self, view: View, order: list[int]) -> None:
        self.view, self.order, self.open = view, order, bytearray(b"\1") * len(order)
        fleet = view.engine.fleet
        self.cpu_free, self.memory_free, self.free = fleet.cpu_free, fleet.memory_free, fleet.store_free
        self.vcpus, self.memory = view.vcpus, view.memory
        self.choices, self.read_choice = view.candidates.choices, view.candidates.read_choice
        self.capacity = view.disks[0].capacity if len(view.disks) == 1 else None

    def find(self, _position: float, test: Test | None, apart: GroupPlan | None = None) -> Found | None:
        """The first host that fits and passes the test; those that do not fit are forgotten for good.

        ``apart``: the plan that the test is of, when it is anti-affinity alone and whatever is found will be a member:
        hosts that it once refused it refuses ever after, so its next search begins where this one ends.
        """
        order, may, cpu_free, memory_free = self.order, self.open, self.cpu_free, self.memory_free
        vcpus, memory, choices, capacity = self.vcpus, self.memory, self.choices, self.capacity
        at = may.find(1, 0 if apart is None else apart.tried.get(self, 0))
        while at >= 0:
            host = order[at]
            stores = None
            if cpu_free[host] >= vcpus and memory_free[host] >= memory:
                if capacity is None:
                    stores = self.view.lay(host)
                else:
                    stores = emptiest(choices[host] or self.read_choice(host), self.free, capacity)
            if stores is None:
                may[at] = 0
            elif test is None or test(host):
                if apart is not None:
                    apart.tried[self] = at + 1
                return host, stores
            at = may.find(1, at + 1)
        return None


class PhotonPool:
    """Policy ``photon``: the original's sample by scheduling constant, the best score of it wins.

    Where the original gives up when all hosts of the sample refuse, the next hosts in the same order are asked.
    """

    SAMPLE = 4  # the original's sampleHostCount

    def __init__(self, view: View, hosts: list[int]) -> None:
        self.view = view
        constants = view.engine.constants
        self.order = sorted(hosts, key=lambda host: (constants[host], host))
        self.keys = [constants[host] for host in self.order]

    def find(self, position: float, test: Test | None) -> Found | None:
        # One hash gives both draws of the original: a midpoint from 1 to 9999 and the side of a coin.
        draw = int(position * 2 * 9999)
        middle = bisect_left(self.keys, draw // 2 + 1)
        order = self.order
        walk = order[middle:] + order[:middle] if draw % 2 else order[:middle][::-1] + order[middle:][::-1]
        view = self.view
        for start in range(0, len(walk), self.SAMPLE):
            best: tuple[float, int] | None = None
            chosen: Found | None = None
            for number, host in enumerate(walk[start : start + self.SAMPLE]):
                if test is not None and not test(host):
                    continue
                stores = view.fit(host)
                if stores is None:
                    continue
                score = view.photon_score(host, stores)
                if score is not None and (best is None or (-score, number) < best):
                    best, chosen = (-score, number), (host, stores)
            if chosen is not None:
                return chosen
        return None
