# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shape's view of the fleet: where it fits, on which datastores, and its pools."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .constraints import Candidates
from .photon import transfer_score, utilization_score, winner_score
from .pools import HANDFUL, BalancedPool, Handful, PackPool, PhotonPool, Ring, SpreadPool, emptiest
from .requests import Shape, Spread

if TYPE_CHECKING:
    from .engine import Engine
    from .groups import SpreadOrder

# Combinations of disks and datastores that are tried on a host before it counts as too full.
MAX_STEPS = 5_000
# More VMs than any call has.
MOST = 1 << 62

Pool = SpreadPool | Handful | PackPool | PhotonPool  # pylint: disable=unsupported-binary-operation


class View:
    """One shape on one engine. ``full`` is set when no host had room, groups aside: capacity never comes back."""

    def __init__(self, engine: Engine, shape: Shape, candidates: Candidates) -> None:
        self.engine, self.shape, self.candidates = engine, shape, candidates
        self.demands = id(candidates)  # stands for the static demands: hashing them costs more, and the engine keeps it
        self.orders: dict[Spread, SpreadOrder] = {}
        self.full = False
        self.vcpus, self.memory, self.disks = shape.vcpus, shape.memory, shape.disks
        self._cpu_free, self._memory_free = engine.fleet.cpu_free, engine.fleet.memory_free
        self._store_free = engine.fleet.store_free
        self._options = candidates.options
        self._domains: dict[str, dict[Any, list[int]]] = {}
        self._pools: dict[tuple[str, Any], Pool] = {}

    @cached_property
    def pool(self) -> Pool:
        """The pool of all candidates."""
        return self._make_pool(self.candidates.hosts, ("all", None))

    def close(self) -> None:
        """Let go of the pools, which know the view."""
        self.__dict__.pop("pool", None)
        self._pools.clear()
        self.orders.clear()

    def domains(self, level: str) -> dict[Any, list[int]]:
        """The candidates by host, rack or zone."""
        found = self._domains.get(level)
        if found is None:
            found = self._domains[level] = self.engine.shared(
                (self.demands, level, "domains"), lambda: self._read_domains(level)
            )
        return found

    def _read_domains(self, level: str) -> dict[Any, list[int]]:
        found: defaultdict[Any, list[int]] = defaultdict(list)
        column = self.engine.column(level)
        for host in self.candidates.hosts:
            found[column[host]].append(host)
        return dict(found)

    def pool_of(self, level: str, value: Any) -> Pool:
        """The pool of the candidates in one rack or zone."""
        key = (level, value)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = self._make_pool(self.domains(level).get(value, []), key)
        return pool

    def _make_pool(self, hosts: list[int], key: tuple[str, Any]) -> Pool:
        engine, name = self.engine, self.engine.policy.name
        if name == "photon":
            return PhotonPool(self, hosts)
        if name == "pack":
            order = engine.shared((self.demands, key, "pack"), lambda: engine.pack_order(hosts))
            return PackPool(self, order)
        if name == "balanced":
            return BalancedPool(self, hosts, key)
        if key[0] != "all" and len(hosts) <= HANDFUL:
            ranks = engine.ranks
            few = engine.shared((self.demands, key, "few"), lambda: sorted(hosts, key=ranks.__getitem__))
            return Handful(self, few)
        return SpreadPool(self, hosts, key)

    def ring(self, key: tuple[str, Any], hosts: list[int], *, base: bool) -> Ring:
        """The ring of the hosts that pass the static demands, or of all that pass those of the ``base``."""
        engine = self.engine
        if base:
            return engine.shared((self.base_key(key), "ring"), lambda: Ring(self.base_hosts(key), engine))
        return engine.shared((self.demands, key, "ring"), lambda: Ring(hosts, engine))

    def base_key(self, key: tuple[str, Any]) -> Any:
        """What views have in common that share a base ring: for one zone, whether they asked for it or spread."""
        usage, zones, tenant = self.candidates.base_key
        return (usage, (key[1],) if key[0] == "zone" else zones, tenant)

    def base_hosts(self, key: tuple[str, Any]) -> list[int]:
        """The hosts before tags and port groups are looked at, of all zones or of one."""
        base = self.candidates.base
        if key[0] != "zone":
            return base
        zones = self.engine.fleet.zone_values
        return self.engine.shared((self.base_key(key), "hosts"), lambda: [h for h in base if zones[h] == key[1]])

    def fit(self, host: int) -> tuple[int, ...] | None:
        """A datastore per disk, or None where the VM does not fit."""
        if self._cpu_free[host] < self.vcpus or self._memory_free[host] < self.memory:
            return None
        return self.lay(host)

    def lay(self, host: int) -> tuple[int, ...] | None:
        """A datastore per disk on a host with enough CPU and memory, or None."""
        disks = self.disks
        if len(disks) == 1:
            stores = self.candidates.choices[host] or self.candidates.read_choice(host)
            return emptiest(stores, self._store_free, disks[0].capacity)
        return self.fit_disks(host) if disks else ()

    def times(self, host: int, store: int) -> int:
        """How many VMs of a shape with one disk in turn fit on a host and have this datastore as the emptiest, at
        least one: for a host and a datastore that one was found to fit on."""
        free, capacity = self._store_free, self.disks[0].capacity
        least = [free[s] for s in self.candidates.choices[host] or () if s != store]
        rooms = [self._cpu_free[host] // self.vcpus] if self.vcpus else []
        rooms += [self._memory_free[host] // self.memory] if self.memory else []
        if capacity:
            rooms.append(free[store] // capacity)
            if least:
                rooms.append(1 + max(0, free[store] - max(least) - 1) // capacity)
        return min(rooms, default=MOST)

    def fit_disks(self, host: int) -> tuple[int, ...] | None:
        """A datastore per disk or None; the emptiest is tried first, every combination before giving up."""
        options = self._options.get(host)
        if options is None:
            options = self.candidates.read_options(host)
        disks, free = self.disks, self._store_free
        order = sorted(range(len(disks)), key=lambda d: (len(options[d]), -disks[d].capacity))
        taken = dict.fromkeys({s for choice in options for s in choice}, 0)
        chosen = [0] * len(disks)
        together = self.engine.policy.name == "photon"  # the original lays all disks on the emptiest, if they fit

        steps = MAX_STEPS

        def fill(depth: int) -> bool:
            nonlocal steps
            steps -= 1
            if depth == len(order) or steps < 0:
                return depth == len(order)
            disk = order[depth]
            need = disks[disk].capacity
            for store in sorted(options[disk], key=lambda s: (0 if together else taken[s]) - free[s]):
                if free[store] - taken[store] < need:
                    continue
                chosen[disk] = store
                taken[store] += need
                if fill(depth + 1):
                    return True
                taken[store] -= need
            return False

        return tuple(chosen) if fill(0) else None

    def imbalance(self, host: int) -> float:
        """How far apart CPU and memory use of the host would be with one more of this shape."""
        fleet = self.engine.fleet
        cpu, memory = fleet.cpu_limit[host] or 1, fleet.memory_limit[host] or 1
        return abs((fleet.cpu_free[host] - self.vcpus) / cpu - (fleet.memory_free[host] - self.memory) / memory)

    def photon_score(self, host: int, stores: tuple[int, ...]) -> float | None:
        """The original's score from 0 to 100, None where its 95 % limit refuses."""
        parts = utilization_score(self.engine.fleet, host, self.shape, stores)
        if isinstance(parts, str):
            return None
        return winner_score(min(parts.values()), transfer_score(self.engine.fleet, self.shape, stores))
