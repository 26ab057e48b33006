# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: which of the hosts that a VM fits on is the best one, and the parts of its score."""

# A bool is no whole number.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import PhotonError

POLICIES = ("spread", "pack", "balanced", "photon")
QUALITIES = ("normal", "optimal")
# A host's load is the largest of its weighted shares in use. Datastores are mostly shared, so they count only when
# asked.
WEIGHTS: dict[str, float] = {"cpu": 1.0, "memory": 1.0, "storage": 0.0}


@dataclass(frozen=True, slots=True)
class Policy:
    """What ``place`` was asked for, checked."""

    name: str = "spread"
    seed: int = 0
    quality: str = "normal"
    time_budget: float | None = None
    weights: Mapping[str, float] = field(default_factory=lambda: dict(WEIGHTS))

    def dimension_weights(self) -> tuple[float, float, float]:
        """Weights of CPU, memory and storage, the largest one 1 (all 0 where nothing counts)."""
        values = [self.weights[key] for key in WEIGHTS]
        top = max(values) or 1.0
        return (values[0] / top, values[1] / top, values[2] / top)


def read_policy(name: Any, weights: Any, seed: Any, quality: Any, time_budget: Any) -> Policy:
    """The policy with its weights; raises SpecInvalid."""
    for key, value, known in (("policy", name, POLICIES), ("quality", quality, QUALITIES)):
        if value not in known:
            raise PhotonError("SpecInvalid", f"{key}: must be one of {', '.join(known)}, not {value!r}", {"key": key})
    if type(seed) is not int:
        raise PhotonError("SpecInvalid", f"seed: must be a whole number, not {seed!r}", {"key": "seed"})
    if time_budget is not None and (not _number(time_budget) or time_budget <= 0):
        raise PhotonError(
            "SpecInvalid",
            f"time_budget: must be a positive number of seconds, not {time_budget!r}",
            {"key": "time_budget"},
        )
    if weights is not None and not isinstance(weights, Mapping):
        raise PhotonError("SpecInvalid", f"weights: must be a mapping, not {weights!r}", {"key": "weights"})
    merged = dict(WEIGHTS)
    for key, value in (weights or {}).items():
        if key not in WEIGHTS:
            raise PhotonError(
                "SpecInvalid", f"weights: {key!r} is unknown; there are {', '.join(WEIGHTS)}", {"key": "weights"}
            )
        if not _number(value) or value < 0:
            raise PhotonError(
                "SpecInvalid", f"weights: {key}: must be a number of at least 0, not {value!r}", {"key": "weights"}
            )
        merged[key] = value
    return Policy(name, seed, quality, time_budget, merged)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
