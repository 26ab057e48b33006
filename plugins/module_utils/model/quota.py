# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quota arithmetic: limits and usage per key, as the original counted them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import units
from .errors import PhotonError


@dataclass(slots=True)
class Counter:
    """One quota key of a tenant or project. ``limit`` None means that usage is counted but not bounded.

    Amounts are in base units; ``unit`` is how people wrote the key (GB, COUNT ...).
    """

    unit: str = units.COUNT
    limit: int | None = None
    usage: int = 0

    def would_exceed(self, delta: int) -> bool:
        """Usage equal to the limit is allowed."""
        return self.limit is not None and delta > 0 and self.usage + delta > self.limit


def charge(counters: dict[str, Counter], cost: Mapping[str, tuple[int, str]], owner: str) -> None:
    """Add ``cost`` (``{key: (amount, unit)}``) to the counters; all keys are checked before any is changed.

    Raises QuotaError with key, limit, usage and newUsage in ``data``.
    """
    for key, (amount, _unit) in cost.items():
        counter = counters.get(key)
        if counter and counter.would_exceed(amount):
            raise quota_error(owner, key, counter, amount)
    for key, (amount, unit) in cost.items():
        counter = counters.setdefault(key, Counter(unit=unit))
        counter.usage += amount


def quota_error(owner: str, key: str, counter: Counter, amount: int) -> PhotonError:
    """The original's QuotaError for ``amount`` more of ``key``."""
    unit, limit = counter.unit, counter.limit or 0
    return PhotonError(
        "QuotaError",
        f"Not enough quota: {owner} has {units.show(limit - counter.usage, unit)} of {key} left "
        f"(limit {units.show(limit, unit)}, used {units.show(counter.usage, unit)}) and {units.show(amount, unit)} more "
        "is asked; raise the quota or ask for less",
        {"key": key, "unit": unit, "limit": limit, "usage": counter.usage, "newUsage": counter.usage + amount})
