# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attempt: place the VMs of a batch one by one, and the members of affinity groups as wholes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from .explain import reason
from .fleet import LEVELS, Fleet
from .photon import photon_scores, winner_score
from .policies import Policy
from .requests import Batch, Vm
from .search import Finder, Search
from .state import State, count


class Unit(NamedTuple):
    """VMs of one kind, or all those that hard affinity ties together, to be placed as a whole."""

    vms: list[Vm]
    whole: bool = False


# Combinations of domains that are tried for the groups of one unit.
MAX_TRIES = 200


class Attempt:
    """Places a batch on a state of its own; ``lost`` counts the VMs without a place by the number of their request.

    ``tight``: affinity groups try the domain with the least room first, whatever the policy prefers.
    """

    def __init__(self, batch: Batch, fleet: Fleet, policy: Policy, *, order: str | None = None, tight: bool = False):
        self.batch, self.fleet, self.policy, self._tight = batch, fleet, policy, tight
        self.state = State(fleet, batch, policy.ordered(order or policy.name))
        self.search = Search(self.state)
        self.lost: Counter[int] = Counter()
        self._rows: dict[Vm, dict[str, Any]] = {}
        self._store_ids = [store.id for store in fleet.datastores]
        self._unplaced: dict[Vm, dict[str, Any]] = {}
        self._reasons: dict[Any, dict[str, Any]] = {}
        self._tries = 0

    def run(self, units: Iterable[Unit]) -> Attempt:
        """Place units in this order."""
        for vms, whole in units:
            if whole:
                self._place_whole(vms)
            else:
                self.place(vms)
        return self

    def place(self, vms: Sequence[Vm], find: Finder | None = None, *, report: bool = True) -> bool:
        """Place VMs of one kind, each where the policy (or ``find``) prefers it.

        Without ``report`` stop at the first VM without a place and return False.
        """
        state, policy, ids, search = self.state, self.policy, self.batch.ids, self.search
        hosts, stores, add = self.fleet.hosts, self.fleet.datastores, state.add
        kind = self.batch.kind_of[vms[0][0]]
        find = find or search.finder(kind)
        preferred = state.plan(kind.groups).preferred if kind.groups else ()
        for vm in vms:
            number, index = vm
            name = ids[number]
            found = find(search.start(name, index))
            if found is None:
                if not report:
                    return False
                self._fail(vm)
                continue
            host, disks = found
            broken = sum([not test(host) for test in preferred]) if preferred else 0
            if policy.name == "photon":
                _refused, parts = photon_scores(state, host, kind.shape, disks)
                score = winner_score(parts)
                add(kind, host, disks)
            else:
                cpu, memory, load = add(kind, host, disks)
                parts, score = {"cpu": cpu / 10, "memory": memory / 10}, policy.score(load)
                if disks:
                    parts["storage"] = 1000 * state.store_free[disks[0]] // (stores[disks[0]].capacity or 1) / 10
            if preferred:
                parts["preferences_broken"] = broken
            row = hosts[host]
            self._rows[vm] = {
                "request": name,
                "index": index,
                "host": row.id,
                "zone": row.zone,
                "rack": row.rack,
                "datastores": list(map(self._store_ids.__getitem__, disks)),
                "score": score,
                "parts": parts,
            }
        return True

    def answer(self) -> dict[str, Any]:
        """Return ``{placements, unplaced, summary}`` in the order of the requests."""
        hosts, rows = self.fleet.hosts, self._rows
        placements = [rows[vm] for vm in self.batch.vms if vm in rows]
        used = [host for host, placed in zip(hosts, self.state.placed, strict=True) if placed]
        summary = {
            "policy": self.policy.name,
            "quality": self.policy.quality,
            "placed": len(placements),
            "unplaced": len(self._unplaced),
            "hosts_used": len(used),
            "hosts_opened": sum(not host.busy for host in used),
        }
        unplaced = [row for _vm, row in sorted(self._unplaced.items(), key=itemgetter(0))]
        return {"placements": placements, "unplaced": unplaced, "summary": summary}

    def _fail(self, vm: Vm) -> None:
        number, index = vm
        kind = self.batch.kind_of[number]
        self.lost[number] += 1
        # One reason for all VMs of a shape that no host has room for: working it out takes a look at every host.
        full = self.search.queue(kind.shape).find(0) is None
        key = kind.shape if full else (kind, len(self._rows))
        if key not in self._reasons:
            self._reasons[key] = reason(self.search, kind)
        self._unplaced[vm] = {"request": self.batch.ids[number], "index": index, **self._reasons[key]}

    def _place_whole(self, vms: list[Vm]) -> None:
        kind_of, rules = self.batch.kind_of, self.batch.rules
        largest_first = sorted(vms, key=lambda vm: -self.fleet.size_of(kind_of[vm[0]].shape))
        groups = dict.fromkeys(group for number, _index in vms for group in kind_of[number].groups)
        levels = {(group, rule.level) for group in groups for rule in rules[group] if rule.ties}
        widest_first = sorted(levels, key=lambda pair: (-LEVELS.index(pair[1]), pair[0]))
        self._tries = MAX_TRIES
        if not self._together(largest_first, widest_first):
            self._partly(largest_first, widest_first)

    def _together(self, vms: list[Vm], levels: list[tuple[str, str]]) -> bool:
        """Give each group without members a domain and place all VMs there, or none."""
        for at, (group, level) in enumerate(levels):
            members = self.state.members(group, level)
            if members:
                continue
            for value in self._domains(vms, group, level):
                count(members, value, 1)  # as if a member were there: all others must follow
                done = self._together(vms, levels[at + 1 :])
                count(members, value, -1)
                if done or self._tries <= 0:
                    return done
            return False
        self._tries -= 1
        with self.search.trial():
            return self._all_or_none(vms)

    def _all_or_none(self, vms: list[Vm]) -> bool:
        for done, vm in enumerate(vms):
            if not self.place([vm], report=False):
                for other in vms[:done]:
                    row = self._rows.pop(other)
                    stores = tuple([self.fleet.store_index[store] for store in row["datastores"]])
                    self.state.add(self.batch.kind_of[other[0]], self.fleet.index[row["host"]], stores, -1)
                return False
        return True

    def _partly(self, vms: list[Vm], levels: list[tuple[str, str]]) -> None:
        """Place what can be placed of a unit, with each group in the domain that has most room."""
        anchors = []
        for group, level in levels:
            members = self.state.members(group, level)
            rooms = [] if members else list(self._rooms(vms, group, level))
            if rooms:
                value = max(rooms, key=lambda pair: pair[0])[1]
                count(members, value, 1)
                anchors.append((members, value))
        for vm in sorted(vms):
            self.place([vm])
        for members, value in anchors:
            count(members, value, -1)

    def _domains(self, vms: list[Vm], group: str, level: str) -> Iterator[Any]:
        """Yield the domains whose hosts together have room for a group."""
        rooms = ((room, value) for room, value in self._rooms(vms, group, level) if room >= 1)
        for _room, value in sorted(rooms, key=lambda pair: pair[0]) if self._tight else rooms:
            yield value

    def _rooms(self, vms: list[Vm], group: str, level: str) -> Iterator[tuple[float, Any]]:
        """Yield the domains for a group in the order of the policy, and how many times its members fit there in all."""
        batch, state = self.batch, self.state
        mine = [vm for vm in vms if group in batch.kind_of[vm[0]].groups]
        vcpus = sum(batch.kind_of[number].shape.vcpus for number, _index in mine)
        memory = sum(batch.kind_of[number].shape.memory for number, _index in mine)
        number, index = mine[0]
        first = batch.kind_of[number]
        hosts = self.search.queue(first.shape).candidates.domains(level)
        for value in self.search.domains(first, self.search.start(batch.ids[number], index), level):
            cpu = sum([state.cpu_free[host] for host in hosts[value] if state.cpu_free[host] > 0])
            free = sum([state.memory_free[host] for host in hosts[value] if state.memory_free[host] > 0])
            yield min(cpu / vcpus if vcpus else 1.0, free / memory if memory else 1.0), value
