# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform's database: versioned documents, allocations, the task journal, leases.

One interface to SQLite and PostgreSQL. Nothing here imports SQLAlchemy before the first ``open_store``.
See docs/cloudstore.md.
"""

from __future__ import annotations

from .errors import Conflict
from .journal import RUN, WAIT
from .rows import Change, Claim, Inventory, Snapshot, Step, Task
from .runs import Run
from .store import CloudStore, open_store
from .transaction import Transaction

__all__ = [
    "RUN",
    "WAIT",
    "Change",
    "Claim",
    "CloudStore",
    "Conflict",
    "Inventory",
    "Run",
    "Snapshot",
    "Step",
    "Task",
    "Transaction",
    "open_store",
]
