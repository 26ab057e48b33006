# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement as pure functions: requests and a fleet in, placements and reasons out. No I/O, no clock but a budget's."""

from __future__ import annotations

from .capacity import fits, headroom, host_scores, what_if
from .explain import explain
from .moves import rebalance, replace
from .place import place
from .plain import counts, plain

__all__ = [
    "counts",
    "explain",
    "fits",
    "headroom",
    "host_scores",
    "place",
    "plain",
    "rebalance",
    "replace",
    "what_if",
]
