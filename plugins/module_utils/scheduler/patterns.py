# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole batches packed by patterns: which mixes of shapes to put on hosts of a kind, and how many hosts for each mix.

A linear program over mixes, where new mixes are found as knapsacks from its prices (column generation), gives a bound
that no packing can beat. Its solution, rounded, gives the mixes; what rounding leaves over goes through the engine
one by one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from .engine import Engine
from .requests import Shape
from .solver import Budget, has_solution, highs, integer_columns

# More kinds of hosts than this make a program that is slower than it is worth.
MAX_KINDS = 60
MAX_SHAPES = 400
UNPLACED_COST = 1000.0
EPSILON = 1e-7
ROUNDING_SECONDS = 10.0
PRICING_SECONDS = 5.0


class Kind(NamedTuple):
    """Hosts that are the same to every shape: room per dimension, demand of each shape there, who they are."""

    cost: float
    room: tuple[int, ...]
    demands: dict[int, tuple[int, ...]]  # shape number -> need per dimension
    hosts: list[int]


class Plan(NamedTuple):
    """``slots``: per host how many VMs of each shape; ``bound``: hosts that must be opened whatever one does."""

    slots: dict[int, Counter[int]]
    bound: int
    complete: bool


class TooVaried(Exception):
    """The fleet or the requests differ too much for patterns."""


def pack_plan(engine: Engine, shapes: list[Shape], counts: list[int], budget: Budget) -> Plan:
    """The mixes for a batch of ``counts[n]`` VMs of ``shapes[n]``. Raises TooVaried; MissingLibrary without highspy."""
    if len(shapes) > MAX_SHAPES:
        raise TooVaried(f"{len(shapes)} different shapes")
    kinds = read_kinds(engine, shapes)
    if not kinds:
        return Plan({}, 0, True)
    if len(kinds) > MAX_KINDS:
        raise TooVaried(f"{len(kinds)} different kinds of hosts")
    program = _Program(kinds, counts)
    bound, complete = program.solve(budget)
    chosen = program.round(budget)
    slots: dict[int, Counter[int]] = {}
    unused = {number: list(kind.hosts) for number, kind in enumerate(kinds)}
    missing = Counter(dict(enumerate(counts)))
    for (number, mix), times in sorted(chosen.items(), key=lambda item: -sum(n for _s, n in item[0][1])):
        for _time in range(times):
            wanted = Counter({shape: min(n, missing[shape]) for shape, n in mix if missing[shape] > 0})
            if wanted and unused[number]:
                slots[unused[number].pop(0)] = wanted
                missing -= wanted
    return Plan(slots, bound, complete)


def read_kinds(engine: Engine, shapes: list[Shape]) -> list[Kind]:
    """Hosts grouped by what is left on them and which shapes may use them. Datastores of several hosts are left out:
    a program over single hosts cannot share them, and leaving a limit out keeps the bound valid."""
    fleet = engine.fleet
    mounts = Counter(store for stores in fleet.stores for store in stores)
    views = [engine.view(shape) for shape in shapes]
    allowed: dict[int, list[int]] = defaultdict(list)
    for number, view in enumerate(views):
        for host in view.candidates.hosts:
            allowed[host].append(number)
    kinds: dict[Any, Kind] = {}
    for host, numbers in sorted(allowed.items()):
        local = [store for store in fleet.stores[host] if mounts[store] == 1]
        room = (fleet.cpu_free[host], fleet.memory_free[host], *[fleet.store_free[store] for store in local])
        demands = {}
        for number in numbers:
            view, shape = views[number], shapes[number]
            options = view.candidates.options.get(host) or view.candidates.read_options(host)
            space = [0] * len(local)
            for disk, stores in zip(shape.disks, options, strict=True):
                if len(stores) == 1 and stores[0] in local:
                    space[local.index(stores[0])] += disk.capacity
            demand = (shape.vcpus, shape.memory, *space)
            if all(need <= have for need, have in zip(demand, room, strict=True)):
                demands[number] = demand
        if not demands:
            continue
        busy = fleet.busy[host]
        key = (busy, room, tuple(demands.items()))
        if key not in kinds:
            kinds[key] = Kind(0.0 if busy else 1.0, room, demands, [])
        kinds[key].hosts.append(host)
    return list(kinds.values())


class _Program:
    """Minimize opened hosts; rows: demand of each shape (>=), number of hosts of each kind (<=); columns: mixes."""

    def __init__(self, kinds: list[Kind], counts: list[int]) -> None:
        self.kinds, self.counts = kinds, counts
        self.columns: list[tuple[int, tuple[tuple[int, int], ...]]] = []
        self._known: set[tuple[int, tuple[tuple[int, int], ...]]] = set()
        self._master = highs()
        self._infinity = self._master.getInfinity()
        for count in counts:
            self._master.addRow(count, self._infinity, 0, [], [])
        for kind in kinds:
            self._master.addRow(-self._infinity, len(kind.hosts), 0, [], [])
        for number in range(len(counts)):  # VMs left out
            self._master.addCol(UNPLACED_COST, 0, self._infinity, 1, [number], [1.0])
        self._pricing = [_Knapsack(kind, counts) for kind in kinds]
        self._values: list[float] = []

    def solve(self, budget: Budget) -> tuple[int, bool]:
        """(bound on opened hosts, whether the program was solved to its end)."""
        for number in range(len(self.kinds)):
            self._seed(number)
        best = 0.0
        while True:
            self._master.run()
            solution = self._master.getSolution()
            self._values = list(solution.col_value)
            prices = list(solution.row_dual)
            objective = self._master.getInfo().objective_function_value
            improved, lagrangian = False, objective
            for number, (kind, knapsack) in enumerate(zip(self.kinds, self._pricing, strict=True)):
                host_price = prices[len(self.counts) + number]
                value, ceiling, mix = knapsack.best(prices, budget.left(PRICING_SECONDS))
                reduced = kind.cost - host_price - ceiling
                lagrangian += len(kind.hosts) * min(0.0, reduced)
                if kind.cost - host_price - value < -EPSILON and mix:
                    improved |= self._add(number, mix)
            best = max(best, lagrangian)
            if not improved:
                return self._hosts(best), True
            if budget.spent:
                return self._hosts(best), False

    def round(self, budget: Budget) -> dict[tuple[int, tuple[tuple[int, int], ...]], int]:
        """Mix -> number of hosts: whole parts first, the rest by an integer program over the same mixes."""
        first = len(self.counts)
        chosen: Counter[Any] = Counter()
        missing = list(self.counts)
        left = [len(kind.hosts) for kind in self.kinds]
        for column, value in zip(self.columns, self._values[first:], strict=False):
            times = math.floor(value + EPSILON)
            if times:
                chosen[column] += times
                left[column[0]] -= times
                for shape, number in column[1]:
                    missing[shape] -= number * times
        rest = highs()
        rest.setOptionValue("time_limit", max(0.1, budget.left(ROUNDING_SECONDS)))
        for need in missing:
            rest.addRow(max(0, need), self._infinity, 0, [], [])
        for number in left:
            rest.addRow(-self._infinity, number, 0, [], [])
        for shape in range(first):
            rest.addCol(UNPLACED_COST, 0, self._infinity, 1, [shape], [1.0])
        for number, mix in self.columns:
            self._add_column(rest, number, mix, self.kinds[number].cost)
        integer_columns(rest, list(range(first, first + len(self.columns))))
        rest.run()
        if has_solution(rest):
            for column, value in zip(self.columns, list(rest.getSolution().col_value)[first:], strict=True):
                if round(value):
                    chosen[column] += round(value)
        return dict(chosen)

    def _hosts(self, value: float) -> int:
        """A bound on opened hosts: without VMs that had to be left out, whose cost is none of a host."""
        unplaced = sum(self._values[: len(self.counts)])
        if unplaced > EPSILON:
            return 0
        return max(0, math.ceil(value - 1e-5))

    def _seed(self, number: int) -> None:
        """A first mix per kind and shape: as many of it as fit, and the larger others in what is left."""
        kind = self.kinds[number]
        order = sorted(
            kind.demands,
            key=lambda s: -max(need / (have or 1) for need, have in zip(kind.demands[s], kind.room, strict=True)),
        )
        for first in order:
            room, mix = list(kind.room), {}
            for shape in [first, *order]:
                need = kind.demands[shape]
                times = min(
                    [have // want for want, have in zip(need, room, strict=True) if want] or [self.counts[shape]]
                )
                times = min(times, self.counts[shape] - mix.get(shape, 0))
                if times > 0:
                    mix[shape] = mix.get(shape, 0) + times
                    room = [have - times * want for want, have in zip(need, room, strict=True)]
            self._add(number, tuple(sorted(mix.items())))

    def _add(self, number: int, mix: tuple[tuple[int, int], ...]) -> bool:
        if (number, mix) in self._known or not mix:
            return False
        self._known.add((number, mix))
        self.columns.append((number, mix))
        self._add_column(self._master, number, mix, self.kinds[number].cost)
        return True

    def _add_column(self, model: Any, number: int, mix: tuple[tuple[int, int], ...], cost: float) -> None:
        rows = [shape for shape, _n in mix] + [len(self.counts) + number]
        model.addCol(cost, 0, self._infinity, len(rows), rows, [float(n) for _s, n in mix] + [1.0])


class _Knapsack:
    """The best mix for a kind of host at given prices: a small integer program that is kept between calls."""

    def __init__(self, kind: Kind, counts: list[int]) -> None:
        self.kind = kind
        self.shapes = sorted(kind.demands)
        self._solver = solver = highs()
        solver.setOptionValue("mip_rel_gap", 0.0)
        for shape in self.shapes:
            solver.addCol(0.0, 0, counts[shape], 0, [], [])
        solver.changeObjectiveSense(type(solver.getObjectiveSense()[1]).kMaximize)
        integer_columns(solver, list(range(len(self.shapes))))
        for dimension, room in enumerate(kind.room):
            needs = [kind.demands[shape][dimension] for shape in self.shapes]
            unit = math.gcd(*needs)
            if unit:
                used = [n for n, need in enumerate(needs) if need]
                solver.addRow(
                    -solver.getInfinity(), room // unit, len(used), used, [float(needs[n] // unit) for n in used]
                )

    def best(self, prices: list[float], seconds: float) -> tuple[float, float, tuple[tuple[int, int], ...]]:
        """(value of the best mix found, a ceiling on any mix's value, the mix)."""
        solver = self._solver
        for column, shape in enumerate(self.shapes):
            solver.changeColCost(column, max(0.0, prices[shape]))
        solver.setOptionValue("time_limit", solver.getRunTime() + max(0.05, seconds))
        solver.run()
        info = solver.getInfo()
        values = [round(value) for value in solver.getSolution().col_value] if has_solution(solver) else []
        mix = tuple((shape, n) for shape, n in zip(self.shapes, values, strict=False) if n > 0)
        fits = all(
            sum(self.kind.demands[shape][d] * n for shape, n in mix) <= room for d, room in enumerate(self.kind.room)
        )
        if not fits:
            mix = ()
        value = sum(prices[shape] * n for shape, n in mix)
        return value, max(value, info.mip_dual_bound), mix
