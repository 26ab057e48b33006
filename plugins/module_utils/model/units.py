# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quantities: 1024-based B, KB, MB, GB and COUNT, kept as integers in base units (bytes or pieces).

A float cannot hold 8 PiB + 1 byte, so fractions are parsed as decimals and must come out whole. The one quantity with a
fraction of its own is a price (``vm.cost`` 0.025): it is counted in thousandths, with the unit COST.
"""

from __future__ import annotations

import re
from decimal import Decimal

from .errors import PhotonError

COUNT = "COUNT"
COST = "COST"
FACTORS: dict[str, int] = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, COUNT: 1, COST: 1000}
BYTES = ("B", "KB", "MB", "GB")
# Larger units are read, never written: the original stops at GB.
_READ_ONLY = {"TB": 1 << 40, "PB": 1 << 50}
# What other tools write for the same amounts: GiB, Gi and G.
_ALSO = {f"{letter}{end}": f"{letter}B" for letter in "KMGTP" for end in ("IB", "I", "")}
_TEXT = re.compile(r"^\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)\s*$")
_PIECES = {COUNT: "pieces", COST: "thousandths"}
MAXIMUM = (1 << 63) - 1  # a counter is a 64-bit integer in both databases


def parse(text: object, default_unit: str = COUNT) -> tuple[int, str]:
    """``"400 GB"`` -> ``(429496729600, "GB")``; a bare number takes ``default_unit``.

    Returns the amount in base units and the unit it was written in. Raises SpecInvalid.
    """
    if isinstance(text, bool) or text is None:
        raise PhotonError("SpecInvalid", f'{text!r} is not a quantity; write for example 4 or "400 GB"')
    match = _TEXT.match(str(text))
    if not match:
        raise PhotonError("SpecInvalid", f'{text!r} is not a quantity; write for example 4 or "400 GB"')
    unit = (match["unit"] or default_unit).upper()
    unit = _ALSO.get(unit, unit)
    factor = FACTORS.get(unit) or _READ_ONLY.get(unit)
    if factor is None:
        raise PhotonError(
            "SpecInvalid", f"{text!r} has the unknown unit {match['unit']!r}; use B, KB, MB, GB, TB, PB or COUNT"
        )
    amount = Decimal(match["number"]) * factor
    if amount != amount.to_integral_value():
        raise PhotonError("SpecInvalid", f"{text!r} is not a whole number of {_PIECES.get(unit, 'bytes')}")
    if amount > MAXIMUM:
        raise PhotonError("SpecInvalid", f"{text!r} is larger than {MAXIMUM}, the largest amount that is counted")
    return int(amount), "GB" if unit in _READ_ONLY else unit


def exact(amount: int, unit: str = "B") -> str:
    """For comparisons and diffs: as ``show``, but bytes in the largest unit that needs no rounding (``"9728 MB"``)."""
    if unit not in BYTES:
        return show(amount, unit)
    name = next((name for name in ("GB", "MB", "KB") if amount and amount % FACTORS[name] == 0), "B")
    return f"{amount // FACTORS[name]} {name}"


def show(amount: int, unit: str = "B") -> str:
    """For people: bytes in the largest unit that stays above 1 (``"9.5 GB"``), counts as they are."""
    if unit == COUNT:
        return str(amount)
    if unit == COST:
        return f"{amount / FACTORS[COST]:.10g}"
    for name in ("GB", "MB", "KB"):
        if abs(amount) >= FACTORS[name]:
            whole, rest = divmod(amount, FACTORS[name])
            return f"{amount / FACTORS[name]:.2f}".rstrip("0").rstrip(".") + f" {name}" if rest else f"{whole} {name}"
    return f"{amount} B"
