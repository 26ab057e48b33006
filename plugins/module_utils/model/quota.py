# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quota arithmetic: limits and usage per key, as the original counted them.

Keys are the original's (``vm.count``, ``vm.memory``, ``ephemeral-disk.capacity`` ...); any other key works too, its
amounts are whole numbers in whatever unit they are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import units
from .errors import PhotonError

_UNITS = {
    "vm": units.COUNT,
    "vm.cpu": units.COUNT,
    "vm.memory": "B",
    "ephemeral-disk": units.COUNT,
    "ephemeral-disk.capacity": "B",
    "persistent-disk": units.COUNT,
    "persistent-disk.capacity": "B",
    "sdn.size": units.COUNT,
    "sdn.floatingip.size": units.COUNT,
}
KEYS = tuple(
    sorted(
        [
            *_UNITS,
            "vm.count",
            "vm.cost",
            "ephemeral-disk.count",
            "ephemeral-disk.cost",
            "persistent-disk.count",
            "persistent-disk.cost",
            "storage.LOCAL_VMFS",
            "storage.SHARED_VMFS",
            "storage.VSAN",
            "storage.NFS",
        ]
    )
)


def unit_of(key: str) -> str | None:
    """What a key counts: COUNT, COST or B (any unit of bytes); None for a key of the users' own."""
    if key in _UNITS:
        return _UNITS[key]
    if key.endswith(".cost"):
        return units.COST
    if key.endswith(".count") or ".flavor." in key or key.startswith("storage."):
        return units.COUNT
    return None


def parse(key: str, text: object) -> tuple[int, str]:
    """The amount of one key in base units, and its unit: ``("vm.memory", "400 GB")`` -> ``(429496729600, "GB")``.

    A key of bytes needs its unit written; a price takes a fraction down to a thousandth. Raises SpecInvalid.
    """
    expected = unit_of(key)
    if expected == units.COST:
        amount, unit = units.parse(text, units.COST)
        if unit not in (units.COST, units.COUNT):
            raise PhotonError("SpecInvalid", f"{key} is a price: write a plain number such as 1.5, not {text!r}")
        return (amount * units.FACTORS[units.COST] if unit == units.COUNT else amount), units.COST
    amount, unit = units.parse(text)
    if expected == "B" and unit not in units.BYTES:
        raise PhotonError("SpecInvalid", f'{key} is counted in bytes: write its unit, for example "{text} GB"')
    if expected == units.COUNT and unit != units.COUNT:
        raise PhotonError("SpecInvalid", f"{key} is a number of pieces: write a plain number, not {text!r}")
    if unit == units.COST:
        raise PhotonError("SpecInvalid", f"{key} has the unit COST, which only keys that end in .cost have")
    return amount, unit


@dataclass(slots=True)
class Counter:
    """One quota key of a tenant or project. ``limit`` None means that usage is counted but not bounded.

    Amounts are in base units; ``unit`` is how people wrote the key (GB, COUNT ...).
    """

    unit: str = units.COUNT
    limit: int | None = None
    usage: int = 0


Cost = Mapping[str, tuple[int, str]]


def charge(counters: dict[str, Counter], cost: Cost, owner: str, before: Cost | None = None) -> None:
    """Charge ``cost`` (``{key: (amount, unit)}``) in place of ``before``, which is charged already.

    All keys are checked before any is changed. Only growth is compared with a limit, which usage may reach: an owner
    beyond its limits can still be relieved. Raises QuotaError with key, limit, usage and newUsage in ``data``.
    """
    changes = _changes(before or {}, cost)
    for key, (more, _unit) in changes.items():
        counter = counters.get(key)
        if counter and more > 0 and counter.limit is not None and counter.usage + more > counter.limit:
            raise quota_error(owner, key, counter, more)
    for key, (more, unit) in changes.items():
        counters.setdefault(key, Counter(unit=unit)).usage += more


def refund(counters: dict[str, Counter], cost: Cost, before: Cost | None = None) -> None:
    """Give ``cost`` back and charge ``before`` again, whatever the limits are."""
    for key, (more, _unit) in _changes(cost, before or {}).items():
        if key in counters:
            counters[key].usage += more


def _changes(old: Cost, new: Cost) -> dict[str, tuple[int, str]]:
    """The difference per key, with its unit."""
    return {
        key: (new.get(key, (0, ""))[0] - old.get(key, (0, ""))[0], (new.get(key) or old[key])[1])
        for key in {**old, **new}
    }


def quota_error(owner: str, key: str, counter: Counter, amount: int) -> PhotonError:
    """The original's QuotaError for ``amount`` more of ``key``."""
    unit, limit = counter.unit, counter.limit or 0
    return PhotonError(
        "QuotaError",
        f"Not enough quota: {owner} has {units.show(limit - counter.usage, unit)} of {key} left "
        f"(limit {units.show(limit, unit)}, used {units.show(counter.usage, unit)}) and {units.show(amount, unit)} "
        "more is asked; raise the quota or ask for less",
        {"key": key, "unit": unit, "limit": limit, "usage": counter.usage, "newUsage": counter.usage + amount},
    )
