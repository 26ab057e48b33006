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
from .solver import Budget, Program

# Hosts are put into at most so many classes: each is a row of the program and a knapsack per round.
MAX_KINDS = 60
STEPS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
SECONDS = 120.0
UNPLACED_COST = 1000.0
EPSILON = 1e-7
ROUNDING_SECONDS = 10.0
PRICING_SECONDS = 5.0

Mix = tuple[tuple[int, int], ...]  # (shape number, VMs)


class HostKind(NamedTuple):
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
    kinds = _read_kinds(attempt, shapes)
    if not kinds:
        return Plan({}, 0, True)
    classes = _classify(kinds)
    program = _Master([_merged(members, largest=False) for members in classes], counts)
    bound, complete = program.solve(budget)
    if len(classes) < len(kinds):
        bound, complete = _Master([_merged(members, largest=True) for members in classes], counts).solve(budget)
    slots: dict[int, Counter[int]] = {}
    unused = [list(kind.hosts) for kind in program.kinds]
    missing = Counter(dict(enumerate(counts)))
    for (number, mix), times in sorted(program.round(budget).items(), key=lambda row: -sum(n for _s, n in row[0][1])):
        for _time in range(times):
            wanted = Counter({shape: min(n, missing[shape]) for shape, n in mix if missing[shape] > 0})
            if wanted and unused[number]:
                slots[unused[number].pop(0)] = wanted
                missing -= wanted
    return Plan(slots, bound, complete)


def _read_kinds(attempt: Attempt, shapes: list[Shape]) -> list[HostKind]:
    """Group hosts by the room left on them and the shapes that may use them. Datastores of several hosts are left out:
    a program over single hosts cannot share them, and the bound stays valid without a limit."""
    state, fleet = attempt.state, attempt.fleet
    mounts = Counter(store for host in fleet.hosts for store in host.datastores)
    candidates = [attempt.search.queue(shape).candidates for shape in shapes]
    allowed: dict[int, list[int]] = defaultdict(list)
    for number, found in enumerate(candidates):
        for host in found.hosts:
            allowed[host].append(number)
    kinds: dict[Any, HostKind] = {}
    for host, numbers in sorted(allowed.items()):
        local = [store for store in fleet.hosts[host].datastores if mounts[store] == 1]
        room = (state.cpu_free[host], state.memory_free[host], *[state.store_free[store] for store in local])
        demands = {}
        for number in numbers:
            space = dict.fromkeys(local, 0)
            for disk, options in zip(shapes[number].disks, candidates[number].stores(host), strict=True):
                if len(options) == 1 and options[0] in space:
                    space[options[0]] += disk.capacity
            demand = (shapes[number].vcpus, shapes[number].memory, *space.values())
            if _within(demand, room):
                demands[number] = demand
        if demands:
            cost = 0.0 if fleet.hosts[host].busy else 1.0
            kinds.setdefault((cost, room, tuple(demands.items())), HostKind(cost, room, demands, [])).hosts.append(host)
    return list(kinds.values())


def _classify(kinds: list[HostKind]) -> list[list[HostKind]]:
    """Put kinds into at most MAX_KINDS classes: the finest of several grids of room that is coarse enough."""
    for step in (*STEPS, None):
        for exact_demands in (True, False):
            classes: dict[Any, list[HostKind]] = defaultdict(list)
            for number, kind in enumerate(kinds):
                key: Any = number if step == 0 else kind.cost
                if step:
                    cell = [int(math.log1p(room) / math.log1p(step)) for room in kind.room]
                    key = (kind.cost, len(cell), *cell, tuple(kind.demands.items()) if exact_demands else ())
                classes[key].append(kind)
            if len(classes) <= MAX_KINDS:
                return list(classes.values())
    raise AssertionError("two classes are few enough")


def _merged(kinds: list[HostKind], *, largest: bool) -> HostKind:
    """Return one kind for a class: the largest room and least demands, or the smallest room and largest demands."""
    if len(kinds) == 1:
        return kinds[0]
    most, least = (max, min) if largest else (min, max)
    # Dimensions after CPU and memory are local datastores: of different numbers, they cannot be compared.
    depths = {len(kind.room) for kind in kinds}
    depth = depths.pop() if len(depths) == 1 else 2
    room = tuple(most(kind.room[d] for kind in kinds) for d in range(depth))
    demands = {}
    for number in sorted({number for kind in kinds for number in kind.demands}):
        needs = [kind.demands[number] for kind in kinds if number in kind.demands]
        need = tuple(least(column) for column in list(zip(*needs, strict=False))[:depth])
        if (largest or len(needs) == len(kinds)) and _within(need, room):
            demands[number] = need
    return HostKind(kinds[0].cost, room, demands, [host for kind in kinds for host in kind.hosts])


def _within(need: tuple[int, ...], room: tuple[int, ...]) -> bool:
    return all(amount <= have for amount, have in zip(need, room, strict=True))


class _Master:
    """Minimize opened hosts; rows: demand of each shape (>=), number of hosts of each kind (<=); columns: mixes."""

    def __init__(self, kinds: list[HostKind], counts: list[int]) -> None:
        self.kinds, self._counts = kinds, counts
        self._columns: dict[tuple[int, Mix], None] = {}  # an ordered set of (kind, mix)
        self._values: list[float] = []
        self._program = self._new(counts, [len(kind.hosts) for kind in kinds])
        self._pricing = [_Knapsack(kind, counts) for kind in kinds]

    def solve(self, budget: Budget) -> tuple[int, bool]:
        """Return a bound on opened hosts, and whether the program was solved to its end."""
        for number in range(len(self.kinds)):
            self._seed(number)
        best, improved = 0.0, True
        while improved:
            self._program.run()
            solver = self._program.solver
            self._values, prices = list(solver.getSolution().col_value), list(solver.getSolution().row_dual)
            improved, lagrangian = False, solver.getInfo().objective_function_value
            for number, (kind, knapsack) in enumerate(zip(self.kinds, self._pricing, strict=True)):
                cost = kind.cost - prices[len(self._counts) + number]
                value, ceiling, mix = knapsack.best(prices, budget.left(PRICING_SECONDS))
                lagrangian += len(kind.hosts) * min(0.0, cost - ceiling)
                if cost - value < -EPSILON:
                    improved |= self._add(number, mix)
            best = max(best, lagrangian)
            if improved and budget.spent:
                break
        # The cost of VMs that had to be left out is not that of a host.
        left_out = sum(self._values[: len(self._counts)]) > EPSILON
        return 0 if left_out else max(0, math.ceil(best - 1e-5)), not improved

    def round(self, budget: Budget) -> Counter[tuple[int, Mix]]:
        """Return the number of hosts per mix: whole parts first, the rest by an integer program over the same mixes."""
        chosen: Counter[tuple[int, Mix]] = Counter()
        missing, left = list(self._counts), [len(kind.hosts) for kind in self.kinds]
        for column, value in zip(self._columns, self._values[len(missing) :], strict=False):
            chosen[column] = math.floor(value + EPSILON)
            left[column[0]] -= chosen[column]
            for shape, number in column[1]:
                missing[shape] -= number * chosen[column]
        rest = self._new([max(0, need) for need in missing], left)
        for column in self._columns:
            self._add_column(rest, column, whole=True)
        rest.run(max(0.1, budget.left(ROUNDING_SECONDS)))
        for column, value in zip(self._columns, (rest.values or [])[len(missing) :], strict=False):
            chosen[column] += round(value)
        return +chosen

    def _new(self, counts: list[int], hosts: list[int]) -> Program:
        """Return a program without mixes, in which VMs may be left out at a high cost."""
        program = Program()
        for count in counts:
            program.row(count, program.infinity)
        for number in hosts:
            program.at_most(number)
        for shape in range(len(counts)):
            program.variable(UNPLACED_COST, program.infinity, [(shape, 1)], whole=False)
        return program

    def _seed(self, number: int) -> None:
        """Add a first mix per kind and shape: as many of it as fit, and the larger others in what is left."""
        kind = self.kinds[number]

        def share(shape: int) -> float:
            return max(need / (have or 1) for need, have in zip(kind.demands[shape], kind.room, strict=True))

        order = sorted(kind.demands, key=share, reverse=True)
        for first in order:
            room, mix = kind.room, Counter()
            for shape in [first, *order]:
                need = kind.demands[shape]
                times = min([have // want for want, have in zip(need, room, strict=True) if want], default=math.inf)
                times = min(times, self._counts[shape] - mix[shape])
                if times > 0:
                    mix[shape] += times
                    room = tuple(have - times * want for want, have in zip(need, room, strict=True))
            self._add(number, tuple(sorted(mix.items())))

    def _add(self, number: int, mix: Mix) -> bool:
        if (number, mix) in self._columns or not mix:
            return False
        self._columns[number, mix] = None
        self._add_column(self._program, (number, mix), whole=False)
        return True

    def _add_column(self, program: Program, column: tuple[int, Mix], *, whole: bool) -> None:
        number, mix = column
        cost, row = self.kinds[number].cost, len(self._counts) + number
        program.variable(cost, program.infinity, [*mix, (row, 1)], whole=whole)


class _Knapsack:
    """Finds the best mix for a kind of host at given prices: a small integer program that is kept between calls."""

    def __init__(self, kind: HostKind, counts: list[int]) -> None:
        self._kind, self._shapes = kind, sorted(kind.demands)
        self._program = program = Program()
        for shape in self._shapes:
            program.variable(0, counts[shape])
        for dimension, room in enumerate(kind.room):
            needs = [kind.demands[shape][dimension] for shape in self._shapes]
            unit = math.gcd(*needs)
            if unit:
                program.at_most(room // unit, [(column, need // unit) for column, need in enumerate(needs) if need])

    def best(self, prices: list[float], seconds: float) -> tuple[float, float, Mix]:
        """Return the value of the best mix found, a ceiling on any mix's value, and the mix."""
        program = self._program
        for column, shape in enumerate(self._shapes):
            program.solver.changeColCost(column, min(0.0, -prices[shape]))
        program.run(seconds, exactly=True)
        numbers = [round(value) for value in program.values or []]
        mix = tuple((shape, n) for shape, n in zip(self._shapes, numbers, strict=False) if n > 0)
        demands = self._kind.demands
        used = [sum(demands[shape][d] * n for shape, n in mix) for d in range(len(self._kind.room))]
        if not _within(tuple(used), self._kind.room):
            mix = ()
        value = sum(prices[shape] * n for shape, n in mix)
        return value, max(value, -program.bound), mix
