# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""place: where each requested VM goes, or why it goes nowhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .batch import Batch
from .engine import Engine
from .fleet import Fleet
from .optimal import place_optimal
from .plain import uncollected
from .policies import Policy, read_policy
from .requests import Request, Requests, Shape, read

# A call that leaves VMs out is tried again with the hardest ones first, up to this many VMs.
RETRY_LIMIT = 20_000


def place(
    requests: Iterable[Mapping[str, Any]],
    fleet: Mapping[str, Any],
    *,
    policy: str = "spread",
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    quality: str = "normal",
    time_budget: float | None = None,
) -> dict[str, Any]:
    """Place every VM of the requests on the fleet; see docs/scheduling.md for the keys of both.

    Returns ``placements``, one mapping per placed VM (request, index, host, zone, rack, datastores with one id per
    disk, score from 0 to 100, its parts), ``unplaced`` (request, index, code, eliminated, nearest, message) and
    ``summary``. The same input and seed give the same answer. Nothing is claimed. Raises SpecInvalid naming the item
    and the key.
    """
    with uncollected():
        chosen = read_policy(policy, weights, seed, quality, time_budget)
        columns = Fleet(fleet)
        wanted = read(requests, columns)
        return _place(wanted, columns, chosen)


class Session:
    """A fleet that is read once and placed on many times; what it placed counts as used from then on.

    For a planner that gets requests one by one: a placement then costs microseconds, not the reading of the fleet.
    """

    def __init__(
        self,
        fleet: Mapping[str, Any],
        *,
        policy: str = "spread",
        weights: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self._policy = read_policy(policy, weights, seed, "normal", None)
        self._fleet = Fleet(fleet)
        self._engine = Engine(self._fleet, self._policy)

    def place(self, requests: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """As the function place, in list order."""
        wanted = read(requests, self._fleet)
        self._engine.ledger.forget_plans()
        answer = Batch(wanted, self._fleet, self._policy, self._engine).fill(range(len(wanted))).answer()
        grouped = {request.id: request for request in wanted if request.groups or request.spread}
        for row in answer["placements"] if grouped else ():
            request = grouped.get(row["request"])
            if request is not None:
                host = self._fleet.index[row["host"]]
                for group in request.groups:
                    self._fleet.members.setdefault(group, []).append(host)
                if request.spread:
                    self._fleet.spread.setdefault(request.spread.group, []).append(host)
        return answer


def _place(wanted: Requests, fleet: Fleet, policy: Policy) -> dict[str, Any]:
    if policy.quality == "optimal":
        return place_optimal(wanted, fleet, policy, _greedy)
    return _greedy(wanted, fleet, policy)


def _greedy(wanted: Requests, fleet: Fleet, policy: Policy) -> dict[str, Any]:
    total = sum(wanted.counts)
    saved = fleet.free() if total <= RETRY_LIMIT else None
    order: Sequence[int] = range(len(wanted))
    if policy.name == "pack":
        order = _pack_order(wanted, fleet)
    answer = Batch(wanted, fleet, policy).fill(order).close()
    if answer["unplaced"] and saved is not None:
        fleet.restore(saved)
        hardest = sorted(range(len(wanted)), key=lambda n: _hardness(wanted[n], fleet))
        second = Batch(wanted, fleet, policy).fill(hardest).close()
        # Fewer than all would mean that list order no longer says who goes without.
        if not second["unplaced"]:
            return second
    return answer


def _pack_order(wanted: Requests, fleet: Fleet) -> list[int]:
    """Largest first; of the same size those that are alike together, and of these first the members of groups."""
    shapes = list(map(id, wanted.shapes))  # by identity, for hashing a shape costs more
    sizes: dict[int, float] = {}
    for key, shape in dict(zip(shapes, wanted.shapes, strict=True)).items():
        sizes[key] = _size(shape, fleet)
    # Twice the rank, and one more for those without rules: a list order among equals stays.
    ranks = {shape: 2 * rank for rank, shape in enumerate(sorted(sizes, key=sizes.__getitem__))}
    keys = [ranks[shape] + free for shape, free in zip(shapes, wanted.free, strict=True)]
    return sorted(range(len(wanted)), key=keys.__getitem__)


def _size(shape: Shape, fleet: Fleet) -> float:
    """Larger requests first: minus the share of an average host in the dimension where the request is largest."""
    cpu, memory = fleet.average
    return -max(shape.vcpus / cpu, shape.memory / memory)


def _hardness(request: Request, fleet: Fleet) -> tuple[int, int, float]:
    statics = request.shape.statics
    rules = {rule for group in request.groups for rule in fleet.rules[group] if rule.hard}
    together = any(rule.kind == "affinity" for rule in rules)
    apart = any(rule.kind == "anti-affinity" for rule in rules)
    pinned = statics.host is not None or statics.datastore is not None
    return (-pinned, -2 * together - apart - (request.spread is not None), _size(request.shape, fleet))
