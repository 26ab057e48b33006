# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns: which mixes of shapes to put on hosts of a kind, and how many hosts get each mix.

A linear program over mixes, where new mixes are found as knapsacks from its prices (column generation), gives a bound
that no packing can beat. Its solution, rounded, gives the mixes; what rounding leaves over is placed one by one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from .attempt import Attempt
from .requests import Shape
from .solver import Budget, has_solution, highs, integer_columns

# Hosts are put into at most so many classes: each is a row of the program and a knapsack per round.
MAX_KINDS = 60
STEPS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
SECONDS = 120.0
UNPLACED_COST = 1000.0
EPSILON = 1e-7
ROUNDING_SECONDS = 10.0
PRICING_SECONDS = 5.0


class Kind(NamedTuple):
    """Hosts that are the same, or nearly the same, to every shape: room and demand of each shape per dimension."""

    cost: float
    room: tuple[int, ...]
    demands: dict[int, tuple[int, ...]]  # shape number -> need per dimension
    hosts: list[int]


class Plan(NamedTuple):
    """``slots``: per host how many VMs of each shape; ``bound``: hosts that must be opened whatever one does."""

    slots: dict[int, Counter[int]]
    bound: int
    complete: bool


def pack_plan(attempt: Attempt, shapes: list[Shape], counts: list[int], budget: Budget) -> Plan:
    """Return mixes for a batch of ``counts[n]`` VMs of ``shapes[n]``. Raises MissingLibrary without highspy.

    In a varied fleet hosts with nearly the same room form a class. The bound comes from a program in which each host
    has the largest room of its class, the mixes from one in which it has the smallest.
    """
    kinds = read_kinds(attempt, shapes)
    if not kinds:
        return Plan({}, 0, True)
    classes = classify(kinds)
    program = _Program([merged(members, largest=False) for members in classes], counts)
    bound, complete = program.solve(budget)
    if len(classes) < len(kinds):
        bound, complete = _Program([merged(members, largest=True) for members in classes], counts).solve(budget)
    chosen = program.round(budget)
    slots: dict[int, Counter[int]] = {}
    unused = {number: list(kind.hosts) for number, kind in enumerate(program.kinds)}
    missing = Counter(dict(enumerate(counts)))
    for (number, mix), times in sorted(chosen.items(), key=lambda item: -sum(n for _s, n in item[0][1])):
        for _time in range(times):
            wanted = Counter({shape: min(n, missing[shape]) for shape, n in mix if missing[shape] > 0})
            if wanted and unused[number]:
                slots[unused[number].pop(0)] = wanted
                missing -= wanted
    return Plan(slots, bound, complete)


def read_kinds(attempt: Attempt, shapes: list[Shape]) -> list[Kind]:
    """Group hosts by the room left on them and the shapes that may use them. Datastores of several hosts are left out:
    a program over single hosts cannot share them, and the bound stays valid without a limit."""
    state, fleet = attempt.state, attempt.fleet
    mounts = Counter(store for stores in fleet.mounted for store in stores)
    views = [attempt.search.view(shape) for shape in shapes]
    allowed: dict[int, list[int]] = defaultdict(list)
    for number, view in enumerate(views):
        for host in view.candidates.hosts:
            allowed[host].append(number)
    kinds: dict[Any, Kind] = {}
    for host, numbers in sorted(allowed.items()):
        local = [store for store in fleet.mounted[host] if mounts[store] == 1]
        room = (state.cpu_free[host], state.memory_free[host], *[state.store_free[store] for store in local])
        demands = {}
        for number in numbers:
            space = dict.fromkeys(local, 0)
            for disk, stores in zip(shapes[number].disks, views[number].candidates.stores, strict=True):
                options = [store for store in fleet.mounted[host] if store in stores]
                if len(options) == 1 and options[0] in space:
                    space[options[0]] += disk.capacity
            demand = (shapes[number].vcpus, shapes[number].memory, *space.values())
            if all(need <= have for need, have in zip(demand, room, strict=True)):
                demands[number] = demand
        if demands:
            cost = 0.0 if fleet.hosts[host].busy else 1.0
            kinds.setdefault((cost, room, tuple(demands.items())), Kind(cost, room, demands, [])).hosts.append(host)
    return list(kinds.values())


def classify(kinds: list[Kind]) -> list[list[Kind]]:
    """Put kinds into at most MAX_KINDS classes: the finest of several grids of room that is coarse enough."""
    classes: dict[Any, list[Kind]] = {}
    for step in STEPS:
        for exact_demands in (True, False):
            classes = defaultdict(list)
            for number, kind in enumerate(kinds):
                cell = [int(math.log1p(room) / math.log1p(step)) if step else room for room in kind.room]
                demands = tuple(kind.demands.items()) if exact_demands else ()
                classes[(kind.cost, len(kind.room), *cell, demands) if step else number].append(kind)
            if len(classes) <= MAX_KINDS:
                return list(classes.values())
    classes = defaultdict(list)
    for kind in kinds:
        classes[kind.cost].append(kind)
    return list(classes.values())


def merged(kinds: list[Kind], *, largest: bool) -> Kind:
    """Return one kind for a class: the largest room and least demands, or the smallest room and largest demands."""
    if len(kinds) == 1:
        return kinds[0]
    pick = max if largest else min
    # Dimensions after CPU and memory are local datastores: of different numbers, they cannot be compared.
    depth = min(len(kind.room) for kind in kinds)
    depth = depth if depth == max(len(kind.room) for kind in kinds) else 2
    room = tuple(pick(kind.room[d] for kind in kinds) for d in range(depth))
    numbers = {number for kind in kinds for number in kind.demands}
    if not largest:
        numbers = {number for number in numbers if all(number in kind.demands for kind in kinds)}
    demands = {}
    for number in sorted(numbers):
        needs = [kind.demands[number] for kind in kinds if number in kind.demands]
        need = tuple((min if largest else max)(column) for column in list(zip(*needs, strict=False))[:depth])
        if all(amount <= have for amount, have in zip(need, room, strict=True)):
            demands[number] = need
    return Kind(kinds[0].cost, room, demands, [host for kind in kinds for host in kind.hosts])


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
        """Return a bound on opened hosts, and whether the program was solved to its end."""
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
        """Return the number of hosts per mix: whole parts first, the rest by an integer program over the same mixes."""
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
        """Return a bound on opened hosts, 0 where VMs had to be left out, whose cost is not that of a host."""
        unplaced = sum(self._values[: len(self.counts)])
        if unplaced > EPSILON:
            return 0
        return max(0, math.ceil(value - 1e-5))

    def _seed(self, number: int) -> None:
        """Add a first mix per kind and shape: as many of it as fit, and the larger others in what is left."""
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
    """Finds the best mix for a kind of host at given prices: a small integer program that is kept between calls."""

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
        """Return the value of the best mix found, a ceiling on any mix's value, and the mix."""
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
