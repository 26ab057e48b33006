# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact: a small batch as one integer program with every constraint, so that all that can be placed is placed."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, NamedTuple

from .attempt import Attempt
from .fleet import Fleet
from .requests import Batch, Vm
from .solver import Budget, Program

MAX_CELLS = 20_000  # kinds of VMs times hosts
MAX_VMS = 1_000
SECONDS = 60.0


class Solution(NamedTuple):
    """``places``: the host of each VM, or None without a solution; ``bound`` on opened hosts; ``why`` not proven."""

    places: dict[Vm, int] | None
    bound: int | None
    why: str | None


def small_enough(batch: Batch, fleet: Fleet) -> bool:
    """Return whether the batch has few enough VMs and hosts for this method."""
    return len(batch.vms) <= MAX_VMS and len(batch.kinds) * len(fleet.hosts) <= MAX_CELLS


def solve(attempt: Attempt, *, pack: bool, budget: Budget) -> Solution:
    """Return hosts for all VMs, with the fewest opened hosts when ``pack``."""
    model = _Model(attempt, pack)
    program = model.program
    program.run(budget.left(SECONDS), exactly=True)
    values, proven = program.values, program.proven
    if values is None and proven:
        return Solution(None, None, None)
    bound = max(0, math.ceil(program.bound - 1e-6)) if pack else None
    if values is None:
        return Solution(None, bound, "the time budget was spent before the exact method had an answer")
    why = None if proven else "the time was spent before the best was proven"
    return Solution(model.places(values), bound, why)


class _Model:
    """Variables: VMs of a kind on a host (and of a disk on a datastore where there is a choice), opened hosts, and per
    affinity group and value whether the group is there. Demands are divided by their common divisor, so they stay
    small."""

    def __init__(self, attempt: Attempt, pack: bool) -> None:
        self.state, self.search, self._kinds = attempt.state, attempt.search, attempt.batch.kinds
        self._counts = [len(kind.vms) for kind in self._kinds]
        self.program = Program()
        self._cells: dict[tuple[int, int], int] = {}  # (kind, host) -> variable
        self._on_host: dict[int, list[int]] = defaultdict(list)  # kinds
        for kind, wanted in enumerate(self._kinds):
            queue = self.search.queue(wanted.shape)
            hosts = [host for host in sorted(queue.hosts) if queue.fit(host) is not None]
            for host in hosts:
                self._cells[kind, host] = self.program.variable(0, self._most(kind, host))
                self._on_host[host].append(kind)
            self.program.row(self._counts[kind], self._counts[kind], self._terms({kind}, hosts))
        self._add_capacity(pack)
        self._add_disks()
        self._add_groups()
        self._add_spreads()

    def places(self, values: list[float]) -> dict[Vm, int]:
        """Return the host of each VM."""
        found: dict[Vm, int] = {}
        for number, kind in enumerate(self._kinds):
            cells = [(host, column) for (other, host), column in self._cells.items() if other == number]
            hosts = [host for host, column in cells for _time in range(round(values[column]))]
            found.update(zip(kind.vms, hosts, strict=True))
        return found

    def _terms(self, kinds: set[int], hosts: list[int]) -> list[tuple[int, float]]:
        """Return the variables of kinds on hosts, each once."""
        return [(self._cells[kind, host], 1) for host in hosts for kind in self._on_host[host] if kind in kinds]

    def _most(self, kind: int, host: int) -> int:
        shape, limits = self._kinds[kind].shape, [self._counts[kind]]
        if shape.vcpus:
            limits.append(self.state.cpu_free[host] // shape.vcpus)
        if shape.memory:
            limits.append(self.state.memory_free[host] // shape.memory)
        return min(limits)

    def _add_capacity(self, pack: bool) -> None:
        state = self.state
        for host, kinds in sorted(self._on_host.items()):
            opened = self.program.variable(1, 1) if pack and not state.fleet.hosts[host].busy else None
            shapes = {self._cells[kind, host]: self._kinds[kind].shape for kind in kinds}
            for free, needs in (
                (state.cpu_free[host], {cell: shape.vcpus for cell, shape in shapes.items()}),
                (state.memory_free[host], {cell: shape.memory for cell, shape in shapes.items()}),
            ):
                self._limit(free, needs, opened)
            for kind in kinds if opened is not None else ():
                self.program.at_most(0, [(self._cells[kind, host], 1), (opened, -self._most(kind, host))])

    def _limit(self, free: int, needs: dict[int, int], opened: int | None = None) -> None:
        """Bound what variables need in all by what is free, on a host that must be opened first by nothing else."""
        unit = math.gcd(*needs.values())
        if not unit:
            return
        terms = [(cell, need // unit) for cell, need in needs.items() if need]
        if opened is None:
            self.program.at_most(max(0, free // unit), terms)
        else:
            self.program.at_most(0, [*terms, (opened, -(free // unit))])

    def _add_disks(self) -> None:
        on_store: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        for (kind, host), cell in self._cells.items():
            shape = self._kinds[kind].shape
            options = self.search.queue(shape).candidates.stores(host)
            for disk, stores in zip(shape.disks, options, strict=True):
                parts = [cell]
                if len(stores) > 1 and disk.capacity:
                    parts = [self.program.variable(0, self._counts[kind]) for _store in stores]
                    self.program.row(0, 0, [(cell, -1), *[(part, 1) for part in parts]])
                for store, part in zip(stores, parts, strict=False):
                    on_store[store][part] += disk.capacity
        for store, needs in sorted(on_store.items()):
            self._limit(self.state.store_free[store], needs)

    def _add_groups(self) -> None:
        members: dict[str, set[int]] = defaultdict(set)
        for kind, wanted in enumerate(self._kinds):
            for group in wanted.groups:
                members[group].add(kind)
        for group, kinds in sorted(members.items()):
            for rule in sorted(self.state.batch.rules[group]):
                there = self.state.members(group, rule.level)
                domains = self._domains(kinds, rule.level)
                if rule.parts:
                    for value, hosts in domains.items():
                        self.program.at_most(0 if value in there else 1, self._terms(kinds, hosts))
                elif rule.ties:
                    size, homes = sum(self._counts[kind] for kind in kinds), []
                    for value, hosts in domains.items():
                        # Where members are, any number; elsewhere none, or all in one domain where there are none yet.
                        if not there:
                            homes.append((self.program.variable(0, 1), 1))
                            self.program.at_most(0, [*self._terms(kinds, hosts), (homes[-1][0], -size)])
                        elif value not in there:
                            self.program.at_most(0, self._terms(kinds, hosts))
                    if homes:
                        self.program.at_most(1, homes)

    def _add_spreads(self) -> None:
        spreads: dict[Any, set[int]] = defaultdict(set)
        for kind, wanted in enumerate(self._kinds):
            if wanted.spread and wanted.spread.max_skew is not None:
                spreads[wanted.spread].add(kind)
        for (group, level, skew), kinds in spreads.items():
            counts, domains = self.state.members(group, level, "item"), self._domains(kinds, level)
            least = self.program.variable(0, self.program.infinity)
            queues = [self.search.queue(self._kinds[kind].shape) for kind in sorted(kinds)]
            for value in dict.fromkeys(value for queue in queues for value in queue.candidates.domains(level)):
                terms = [*self._terms(kinds, domains.get(value, [])), (least, -1)]
                # least <= members here <= least + max_skew
                here = counts.get(value, 0)
                self.program.row(-here, skew - here, terms)

    def _domains(self, kinds: set[int], level: str) -> dict[Any, list[int]]:
        """Return the hosts that kinds may use, by host, rack or zone."""
        column, found = self.state.fleet.domains[level], defaultdict(list)
        for host in sorted(self._on_host):
            if kinds.intersection(self._on_host[host]):
                found[column[host]].append(host)
        return found
