# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: the checked options of a placement."""

# A bool is not a number.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..model.errors import PhotonError

POLICIES = ("spread", "pack", "photon")
QUALITIES = ("normal", "optimal")
# A host's load is the largest of its weighted shares in use. Datastores are mostly shared: they count only on request.
WEIGHTS: dict[str, float] = {"cpu": 1.0, "memory": 1.0, "storage": 0.0}


@dataclass(frozen=True, slots=True)
class Policy:
    """The checked options of ``place``; ``weights`` of CPU, memory and storage, the largest one 1 (or all 0)."""

    name: str = "spread"
    seed: int = 0
    quality: str = "normal"
    time_budget: float | None = None
    weights: tuple[float, float, float] = (1.0, 1.0, 0.0)
    apart: bool = False  # VMs of one item keep apart, also where the hosts are in another policy's order

    def score(self, load: float) -> float:
        """Return a host's score from its load in thousandths."""
        return load / 10 if self.name == "pack" else 100 - load / 10

    def ordered(self, name: str) -> Policy:
        """Return the same options with the hosts in another policy's order."""
        return self if name == self.name else replace(self, name=name)


def read_policy(
    name: Any = "spread", weights: Any = None, seed: Any = 0, quality: Any = "normal", time_budget: Any = None
) -> Policy:
    """Check the options of a placement. Raises SpecInvalid."""
    for key, value, known in (("policy", name, POLICIES), ("quality", quality, QUALITIES)):
        if value not in known:
            raise _invalid(key, f"must be one of {', '.join(known)}, not {value!r}")
    if type(seed) is not int:
        raise _invalid("seed", f"must be a whole number, not {seed!r}")
    if time_budget is not None and (not _number(time_budget) or time_budget <= 0):
        raise _invalid("time_budget", f"must be a positive number of seconds, not {time_budget!r}")
    if weights is not None and not isinstance(weights, Mapping):
        raise _invalid("weights", f"must be a mapping, not {weights!r}")
    merged = {**WEIGHTS, **(weights or {})}
    for key, value in merged.items():
        if key not in WEIGHTS:
            raise _invalid("weights", f"{key!r} is unknown; there are {', '.join(WEIGHTS)}")
        if not _number(value) or value < 0:
            raise _invalid("weights", f"{key}: must be a number of at least 0, not {value!r}")
    cpu, memory, storage = (merged[key] for key in WEIGHTS)
    top = max(cpu, memory, storage) or 1.0
    return Policy(name, seed, quality, time_budget, (cpu / top, memory / top, storage / top), name == "spread")


def _invalid(key: str, problem: str) -> PhotonError:
    return PhotonError("SpecInvalid", f"{key}: {problem}", {"key": key})


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
