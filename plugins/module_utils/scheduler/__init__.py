# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placement as pure functions: requests and a fleet in, placements and reasons out. No I/O, no clock but a budget's."""

from __future__ import annotations

from .place import place
from .scores import host_scores

__all__ = ["host_scores", "place"]
