# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How good each host is just now, in the numbers that placements carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .engine import Engine
from .fleet import Fleet
from .policies import read_policy
from .reading import invalid
from .requests import Request, Shape, Statics

_NOTHING = Request(
    "", 1, Shape(0, 0, (), Statics((), frozenset(), frozenset(), None, False, None, "CLOUD", None, None, ())), (), None
)


def host_scores(
    fleet: Mapping[str, Any], *, policy: str = "spread", weights: Mapping[str, float] | None = None
) -> dict[str, dict[str, Any]]:
    """``{host id: {score, parts}}`` from 0 to 100 as things are, for the policies spread, pack and balanced.

    ``parts`` are the free shares of CPU, memory and storage in percent. Raises SpecInvalid.
    """
    columns = Fleet(fleet)
    engine = Engine(columns, read_policy(policy, weights, 0, "normal", None))
    scores = {}
    for host, name in enumerate(columns.ids):
        score, parts = engine.parts(_NOTHING, (host, ()), None)
        storage = round(100 * (1 - engine.storage_share(host)), 1) if columns.stores[host] else 0.0
        scores[name] = {"score": round(score, 1), "parts": {**parts, "storage": storage}}
    return scores


def host_score(
    host: str, fleet: Mapping[str, Any], *, policy: str = "spread", weights: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """One host's row of host_scores; SpecInvalid for a host that is not in the fleet."""
    found = host_scores(fleet, policy=policy, weights=weights)
    if host not in found:
        raise invalid("host", "id", f"{host!r} is not among the fleet's hosts")
    return found[host]
