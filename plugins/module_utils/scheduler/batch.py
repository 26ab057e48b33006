# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass over a batch: an engine, and the answers so far in the order of the requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .engine import Engine
from .explain import Reasons, summary
from .fleet import Fleet
from .groups import GroupPlan
from .policies import Policy
from .pools import Found
from .requests import Request


class Batch:
    """Answers for a list of requests on a fleet, whose free amounts it uses up."""

    def __init__(self, wanted: list[Request], fleet: Fleet, policy: Policy, engine: Engine | None = None) -> None:
        self.wanted, self.fleet, self.policy = wanted, fleet, policy
        self.engine = engine or Engine(fleet, policy, wanted)
        self._reasons = Reasons(self.engine)
        self._placed: list[list[dict[str, Any]]] = [[] for _request in wanted]
        self._unplaced: list[tuple[int, dict[str, Any]]] = []

    def fill(self, order: Iterable[int]) -> Batch:
        """Place the requests with these numbers one VM after the other, by the policy."""
        for number in order:
            self.fill_some(number, range(self.wanted[number].count))
        return self

    def fill_some(self, number: int, indexes: Iterable[int]) -> None:
        """Place some VMs of one request by the policy."""
        request, find, take = self.wanted[number], self.engine.find, self.engine.take
        ids, zones, racks, names = self.fleet.ids, self.fleet.zones, self.fleet.racks, self.fleet.store_ids
        result, name = self._placed[number], request.id
        for index in indexes:
            found, view, plan = find(request, index)
            if found is None:
                self._unplaced.append((number, self._reasons.of(request, index, view)))
                continue
            host, stores = found
            score, parts = take(request, found, plan)
            result.append(
                {
                    "request": name,
                    "index": index,
                    "host": ids[host],
                    "zone": zones[host],
                    "rack": racks[host],
                    "datastores": [names[store] for store in stores],
                    "score": score,
                    "parts": parts,
                }
            )

    def put(self, number: int, index: int, found: Found) -> None:
        """Place one VM where the caller says."""
        request = self.wanted[number]
        plan = self.engine.ledger.plan(request.groups) if request.groups else None
        self._placed[number].append(self._put(request, index, found, plan))

    def answer(self) -> dict[str, Any]:
        """``{placements, unplaced, summary}`` in the order of the requests."""
        for rows in self._placed:
            rows.sort(key=lambda row: row["index"])
        placements = [row for rows in self._placed for row in rows]
        unplaced = [row for _number, row in sorted(self._unplaced, key=lambda pair: (pair[0], pair[1]["index"]))]
        return {"placements": placements, "unplaced": unplaced, "summary": summary(self.engine, placements, unplaced)}

    def _put(self, request: Request, index: int, found: Found, plan: GroupPlan | None) -> dict[str, Any]:
        engine, fleet = self.engine, self.fleet
        score, parts = engine.take(request, found, plan)
        host, stores = found
        names = fleet.store_ids
        return {
            "request": request.id,
            "index": index,
            "host": fleet.ids[host],
            "zone": fleet.zones[host],
            "rack": fleet.racks[host],
            "datastores": [names[store] for store in stores],
            "score": score,
            "parts": parts,
        }
