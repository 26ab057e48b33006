# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One change of a host at a time: what a run that was killed began there goes on without it for a while."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from ..model.errors import PhotonError

PATH = "/run/photon-platform.lock"
CHANGE_SECONDS, LOOK_SECONDS = 900, 300


@contextlib.contextmanager
def held(change: bool, path: str = PATH, seconds: float | None = None) -> Iterator[None]:
    """Change this host alone, or read it while no other process changes it; HostBusy after ``seconds``.

    Who may not write below /run changes nothing, and looks without it.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except PermissionError:
        yield
        return
    try:
        wait = seconds if seconds is not None else CHANGE_SECONDS if change else LOOK_SECONDS
        _take(handle, fcntl.LOCK_EX if change else fcntl.LOCK_SH, wait)
        yield
    finally:
        os.close(handle)


def _take(handle: int, kind: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise PhotonError(
                    "HostBusy",
                    f"another run has been changing this host for {seconds:.0f} s: wait for its end, then run again",
                ) from None
            time.sleep(0.2)
