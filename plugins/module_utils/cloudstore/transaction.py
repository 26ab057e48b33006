# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a transaction can do, in one object: the argument of the function passed to CloudStore.run."""

from __future__ import annotations

from .allocations import Allocations
from .digests import Digests
from .documents import Documents
from .identity import Identity
from .journal import Journal


class Transaction(Documents, Allocations, Journal, Identity, Digests):
    """Documents, allocations and tasks: everything done with it becomes visible together, or not at all.

    The function that uses it may run more than once: it must not change anything outside, its own arguments included.
    """
