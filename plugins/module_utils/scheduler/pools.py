# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools: the hosts that one shape may use, in the order in which a policy tries them.

Within one call capacity only shrinks. So a host that a shape does not fit on is never looked at again for that shape,
and a load that a pool remembers can only be too low.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .view import View

Found = tuple[int, tuple[int, ...]]
Test = Callable[[int], bool]

# A shape that meets more unusable hosts than this, and this many per search, gets a ring (or a list) of its own.
PATIENCE, PATIENCE_EACH = 64, 3
# "balanced" looks at this many of the least loaded hosts.
CHOICES = 16


class Ring:
    """Least loaded first; among equals the next one on a ring, from the request's own position.

    That is consistent hashing with bounded loads: a request more or less, or a host that changes, moves few of the
    others.
    """

    def __init__(self, hosts: Iterable[int], ranks: list[int], by_rank: list[int], levels: list[int]) -> None:
        self.by_rank, self.levels = by_rank, levels
        self.buckets: dict[int, list[int]] = {}
        for rank in sorted([ranks[host] for host in hosts]):
            self.buckets.setdefault(levels[by_rank[rank]], []).append(rank)
        self.keys = sorted(self.buckets)


class SpreadPool:
    """Policy ``spread``: a ring shared with all shapes of the same zones; when that meets too many hosts that are no
    use to this shape, one shared with shapes of the same static demands; at last one of its own, which forgets full
    hosts."""

    def __init__(self, view: View, hosts: list[int], key: tuple[str, object]) -> None:
        self.view, self.hosts, self.key = view, hosts, key
        self.own, self.misfits = False, 0
        self.base = key[0] == "all" and 2 * len(view.candidates.hosts) > len(view.candidates.base)
        self.ring = view.ring(key, hosts, base=self.base)
        self.fit, self.members = view.fit, view.candidates.members

    def find(self, position: float, test: Test | None) -> Found | None:
        """The first host that fits and passes the test; a ring of its own forgets for good those that do not fit."""
        ring = self.ring
        levels, by_rank, buckets, keys = ring.levels, ring.by_rank, ring.buckets, ring.keys
        fit, members, own = self.fit, self.members, self.own
        start = int(position * len(by_rank))
        found, misfits, at = None, 0, 0
        while found is None and at < len(keys):
            key = keys[at]
            bucket = buckets[key]
            left = size = len(bucket)
            where = bisect_left(bucket, start)
            while left:
                left -= 1
                if where >= size:
                    where = 0
                rank = bucket[where]
                host = by_rank[rank]
                if (now := levels[host]) != key:
                    del bucket[where]
                    size -= 1
                    if now in buckets:
                        insort(buckets[now], rank)
                    else:
                        buckets[now] = [rank]
                        insort(keys, now)
                        if now < key:  # a placement that was taken back made its host emptier again
                            at += 1
                    continue
                stores = fit(host) if host in members else None
                if stores is None:
                    misfits += 1
                    if own:
                        del bucket[where]
                        size -= 1
                        continue
                elif test is None or test(host):
                    found = host, stores
                    break
                where += 1
            if bucket:
                at += 1
            else:
                del buckets[key], keys[at]
        if misfits:
            self._notice(misfits)
        return found

    def _notice(self, misfits: int) -> None:
        if self.own:
            return
        self.misfits += misfits - PATIENCE_EACH
        if self.misfits > PATIENCE:
            self.misfits = 0
            if self.base:
                self.base = False
                self.ring = self.view.ring(self.key, self.hosts, base=False)
                return
            self.own = True
            ring, fit = self.ring, self.view.fit
            ranks = self.view.engine.ranks
            self.ring = Ring([h for h in self.hosts if fit(h) is not None], ranks, ring.by_rank, ring.levels)


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
    """Policy ``pack``: first fit over a fixed order, fullest hosts first, empty ones last."""

    def __init__(self, view: View, order: list[int]) -> None:
        self.order, self.first, self.fit = order, 0, view.fit
        self.cpu_free, self.memory_free = view.engine.fleet.cpu_free, view.engine.fleet.memory_free
        self.vcpus, self.memory = view.vcpus, view.memory

    def find(self, _position: float, test: Test | None) -> Found | None:
        order, fit, at, misfits, found = self.order, self.fit, self.first, 0, None
        cpu_free, memory_free, vcpus, memory = self.cpu_free, self.memory_free, self.vcpus, self.memory
        count = len(order)
        while at < count:
            host = order[at]
            # Most are full: their number is looked at here, for a call would cost more.
            stores = fit(host) if cpu_free[host] >= vcpus and memory_free[host] >= memory else None
            if stores is None:
                misfits += 1
                if at == self.first:
                    self.first += 1
                    misfits -= 1
            elif test is None or test(host):
                found = host, stores
                break
            at += 1
        if misfits > PATIENCE_EACH:
            # What was passed over for lack of room is dropped; the rest of the list was not looked at.
            self.order = [h for h in order[self.first : at] if fit(h) is not None] + order[at:]
            self.first = 0
        return found


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
