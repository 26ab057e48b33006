# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of a cluster, with the original's names."""

from __future__ import annotations

CREATING, RESIZING, READY, PENDING_DELETE = "CREATING", "RESIZING", "READY", "PENDING_DELETE"
RECOVERABLE_ERROR, FATAL_ERROR = "RECOVERABLE_ERROR", "FATAL_ERROR"
STATES: dict[str, str] = {
    CREATING: "declared, and not all of its first members have joined yet",
    RESIZING: "it serves while members join or leave",
    READY: "every declared member is there and Ready, etcd is whole, the add-ons are available",
    PENDING_DELETE: "it is being taken apart",
    RECOVERABLE_ERROR: "it serves or can serve again: repair it",
    FATAL_ERROR: "etcd has lost its majority for good: restore it from a backup",
}
