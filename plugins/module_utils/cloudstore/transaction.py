# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that a transaction can do, in one object: what the function handed to CloudStore.run receives."""

from __future__ import annotations

from .capacities import Capacities
from .documents import Documents
from .journal import Journal
from .quotas import Quotas


class Transaction(Documents, Quotas, Capacities, Journal):
    """Documents, counters, capacity, groups and tasks: everything done with it becomes visible together, or not at all.

    The function that uses it may run more than once: it must not change anything outside, its own arguments included.
    """
