# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact: a small batch as one integer program with every constraint, so that all that can be placed is placed."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, NamedTuple

from .attempt import Attempt
from .requests import Request
from .solver import Budget, has_solution, highs, infeasible, integer_columns, optimal

MAX_CELLS = 20_000  # kinds of VMs times hosts
MAX_VMS = 1_000
SECONDS = 60.0


class TooLarge(Exception):
    """The batch has more VMs or hosts than the exact method takes."""


class Infeasible(Exception):
    """It is proven that not all VMs can be placed."""


class Solution(NamedTuple):
    """``places``: per request the host of each VM, or None where time ran out; ``bound`` on opened hosts; ``why`` not
    proven."""

    places: list[list[int | None]] | None
    bound: int | None
    why: str | None


def solve(attempt: Attempt, *, pack: bool, budget: Budget) -> Solution:
    """Return hosts for all VMs, with the fewest opened hosts when ``pack``. Raises TooLarge, Infeasible."""
    wanted, hosts = attempt.batch.requests, len(attempt.fleet.hosts)
    if (
        sum(r.count for r in wanted) > MAX_VMS
        or len({(r.shape, r.groups, r.spread) for r in wanted}) * hosts > MAX_CELLS
    ):
        raise TooLarge(f"{len(wanted)} requests on {hosts} hosts are too many for the exact method")
    model = _Model(attempt, pack)
    solver = model.solver
    solver.setOptionValue("time_limit", max(0.1, budget.left(SECONDS)))
    solver.setOptionValue("mip_rel_gap", 0.0)
    solver.run()
    if infeasible(solver):
        raise Infeasible
    proven = optimal(solver)
    bound = max(0, math.ceil(solver.getInfo().mip_dual_bound - 1e-6)) if pack else None
    if not has_solution(solver):
        return Solution(None, bound, "no solution was found in time")
    values = list(solver.getSolution().col_value)
    return Solution(model.places(values), bound, None if proven else "the time was spent before the best was proven")


class _Model:
    """Variables: VMs of a kind on a host (and of a disk on a datastore where there is a choice), opened hosts, and per
    affinity group and value whether the group is there. Demands are divided by their common divisor, so they stay
    small."""

    def __init__(self, attempt: Attempt, pack: bool) -> None:
        self.state, self.search = attempt.state, attempt.search
        self.wanted = wanted = attempt.batch.requests
        self.solver = highs()
        self._infinity = self.solver.getInfinity()
        self._columns = 0
        self._integers: list[int] = []
        self._kinds: dict[Any, list[int]] = defaultdict(list)
        for number, request in enumerate(wanted):
            own = number if request.spread and request.spread.group.startswith("request:") else None
            self._kinds[(request.shape, request.groups, request.spread, own)].append(number)
        self.cells: dict[tuple[int, int], int] = {}  # (kind, host) -> variable
        self._counts = [sum(wanted[n].count for n in numbers) for numbers in self._kinds.values()]
        self._reads = [wanted[numbers[0]] for numbers in self._kinds.values()]
        self._add_cells()
        self._add_capacity(pack)
        self._add_disks()
        self._add_groups()
        self._add_spreads()
        integer_columns(self.solver, self._integers)

    def places(self, values: list[float]) -> list[list[int | None]]:
        """Return the hosts of each request's VMs, in the order of their index."""
        hosts_of: dict[int, list[int]] = defaultdict(list)
        for (kind, host), column in sorted(self.cells.items()):
            hosts_of[kind] += [host] * round(values[column])
        found: list[list[int | None]] = [[] for _request in self.wanted]
        for kind, numbers in enumerate(self._kinds.values()):
            hosts = iter(hosts_of[kind])
            for number in numbers:
                found[number] = [next(hosts, None) for _index in range(self.wanted[number].count)]
        return found

    def _variable(self, cost: float, upper: float) -> int:
        self.solver.addCol(cost, 0, upper, 0, [], [])
        self._integers.append(self._columns)
        self._columns += 1
        return self._columns - 1

    def _row(self, lower: float, upper: float, terms: list[tuple[int, float]]) -> None:
        self.solver.addRow(lower, upper, len(terms), [c for c, _v in terms], [float(v) for _c, v in terms])

    def _add_cells(self) -> None:
        for kind, request in enumerate(self._reads):
            view = self.search.view(request.shape)
            terms = []
            for host in sorted(view.candidates.hosts):
                if view.fit(host) is not None:
                    column = self.cells[(kind, host)] = self._variable(0, self._most(request, host, self._counts[kind]))
                    terms.append((column, 1))
            self._row(self._counts[kind], self._counts[kind], terms)

    def _most(self, request: Request, host: int, count: int) -> int:
        state, shape = self.state, request.shape
        limits = [count]
        if shape.vcpus:
            limits.append(state.cpu_free[host] // shape.vcpus)
        if shape.memory:
            limits.append(state.memory_free[host] // shape.memory)
        return min(limits)

    def _add_capacity(self, pack: bool) -> None:
        state = self.state
        by_host: dict[int, list[int]] = defaultdict(list)
        for kind, host in self.cells:
            by_host[host].append(kind)
        for host, kinds in sorted(by_host.items()):
            opened = self._variable(1, 1) if pack and not state.fleet.hosts[host].busy else None
            for free, needs in (
                (state.cpu_free[host], {kind: self._reads[kind].shape.vcpus for kind in kinds}),
                (state.memory_free[host], {kind: self._reads[kind].shape.memory for kind in kinds}),
            ):
                unit = math.gcd(*needs.values())
                if unit:
                    terms = [(self.cells[(kind, host)], needs[kind] // unit) for kind in kinds if needs[kind]]
                    if opened is None:
                        self._row(-self._infinity, free // unit, terms)
                    else:
                        self._row(-self._infinity, 0, [*terms, (opened, -(free // unit))])
            if opened is not None:
                for kind in kinds:
                    cell = self.cells[(kind, host)]
                    most = self._most(self._reads[kind], host, self._counts[kind])
                    self._row(-self._infinity, 0, [(cell, 1), (opened, -most)])

    def _add_disks(self) -> None:
        on_store: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for (kind, host), cell in sorted(self.cells.items()):
            view = self.search.view(self._reads[kind].shape)
            mine = self.state.fleet.mounted[host]
            options = [[store for store in mine if store in allowed] for allowed in view.candidates.stores]
            for disk, stores in zip(self._reads[kind].shape.disks, options, strict=True):
                if not disk.capacity:
                    continue
                if len(stores) == 1:
                    on_store[stores[0]].append((cell, disk.capacity))
                    continue
                parts = [self._variable(0, self._counts[kind]) for _store in stores]
                self._row(0, 0, [(cell, -1), *[(part, 1) for part in parts]])
                for store, part in zip(stores, parts, strict=True):
                    on_store[store].append((part, disk.capacity))
        for store, uses in sorted(on_store.items()):
            unit = math.gcd(*[need for _cell, need in uses])
            merged: dict[int, int] = defaultdict(int)
            for cell, need in uses:
                merged[cell] += need // unit
            self._row(-self._infinity, self.state.store_free[store] // unit, list(merged.items()))

    def _add_groups(self) -> None:
        members: dict[str, list[int]] = defaultdict(list)
        for kind, request in enumerate(self._reads):
            for group in request.groups:
                members[group].append(kind)
        for group, kinds in sorted(members.items()):
            for rule in sorted(self.state.batch.rules[group]):
                if not rule.hard:
                    continue
                column, there = self.state.fleet.domains[rule.level], set(self.state.members(group, rule.level))
                cells: dict[Any, list[int]] = defaultdict(list)
                for (kind, host), cell in sorted(self.cells.items()):
                    if kind in kinds:
                        cells[column[host]].append(cell)
                if rule.kind == "anti-affinity":
                    for value, found in cells.items():
                        self._row(-self._infinity, 0 if value in there else 1, [(cell, 1) for cell in found])
                else:
                    self._add_affinity(cells, there, sum(self._counts[kind] for kind in kinds))

    def _add_affinity(self, cells: dict[Any, list[int]], there: set[Any], size: int) -> None:
        homes = []
        for value, found in cells.items():
            if there:
                if value not in there:
                    self._row(0, 0, [(cell, 1) for cell in found])
                continue
            home = self._variable(0, 1)
            homes.append((home, 1))
            self._row(-self._infinity, 0, [*[(cell, 1) for cell in found], (home, -size)])
        if homes:
            self._row(-self._infinity, 1, homes)

    def _add_spreads(self) -> None:
        spreads: dict[Any, list[int]] = defaultdict(list)
        for kind, request in enumerate(self._reads):
            if request.spread and request.spread.max_skew is not None:
                spreads[request.spread].append(kind)
        for spread, kinds in spreads.items():
            counts, column = self.state.spread_members(spread), self.state.fleet.domains[spread.level]
            least = self._variable(0, self._infinity)
            values = {
                v for kind in kinds for v in self.search.view(self._reads[kind].shape).candidates.domains(spread.level)
            }
            for value in sorted(values, key=str):
                found = [
                    (cell, 1)
                    for (kind, host), cell in sorted(self.cells.items())
                    if kind in kinds and column[host] == value
                ]
                # least <= members here <= least + max_skew
                self._row(-counts[value], self._infinity, [*found, (least, -1)])
                self._row(-self._infinity, spread.max_skew - counts[value], [*found, (least, -1)])
