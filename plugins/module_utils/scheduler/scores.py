# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores: how good each host is at the moment, in the numbers that placements carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fleet import Fleet
from .policies import read_policy
from .requests import Batch
from .state import State


def host_scores(
    fleet: Mapping[str, Any], *, policy: str = "spread", weights: Mapping[str, float] | None = None
) -> dict[str, dict[str, Any]]:
    """Return ``{host id: {score, parts}}`` from 0 to 100 as things are, for the policies spread and pack.

    ``parts`` are the free shares of CPU, memory and storage in percent. Raises SpecInvalid.
    """
    hosts, chosen = Fleet(fleet), read_policy(policy, weights)
    state = State(hosts, Batch([], {}), chosen)
    scores = {}
    for number, host in enumerate(hosts.hosts):
        cpu, memory = state.measure(number)
        storage = round(100 * (1 - state.storage_used(number)), 1) if host.datastores else 0.0
        parts = {"cpu": cpu / 10, "memory": memory / 10, "storage": storage}
        scores[host.id] = {"score": round(chosen.score(cpu, memory), 1), "parts": parts}
    return scores
