# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identify the process that holds a lease, so that another one on the same machine can tell whether it still runs."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket


def own() -> str:
    """Return ``boot id/pid namespace/pid/start time`` of this process."""
    return f"{_here()}/{os.getpid()}/{_started(os.getpid())}"


def is_dead(process: str) -> bool:
    """Whether that process has certainly ended; False for a process of another boot or pid namespace."""
    here, pid, started = [*process.rsplit("/", 2), "", ""][:3]
    return here == _here() and pid.isdigit() and _started(int(pid)) != started


def is_below(process: str, ancestor: int) -> bool:
    """Whether that process runs here and descends from the process of this id."""
    here, pid, started = [*process.rsplit("/", 2), "", ""][:3]
    if here != _here() or not pid.isdigit() or _started(int(pid)) != started:
        return False
    current = int(pid)
    while current > 1 and current != ancestor:
        current = _parent(current)
    return current == ancestor


def describe() -> str:
    """Return ``user@machine`` for people."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _here() -> str:
    boot = namespace = "unknown"
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    with contextlib.suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return f"{boot}/{namespace}"


def _started(pid: int) -> str:
    """Return the start time of a process in ticks since boot; empty for one that has ended."""
    fields = _fields(pid)
    return "" if not fields or fields[0] in ("Z", "X") else fields[19]


def _parent(pid: int) -> int:
    """Return the id of a process's parent; 0 for one that has ended."""
    fields = _fields(pid)
    return int(fields[1]) if fields else 0


def _fields(pid: int) -> list[str]:
    """Return what /proc says of a process after its name, or nothing."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []
