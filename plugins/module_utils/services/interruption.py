# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop a run on request: a signal, or the end of the Ansible process that waits for it.

A run that changes things finishes what is under way and records it; a second request does not wait for that.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from ..model.errors import PhotonError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOK_EVERY = 1.0  # seconds


class Interruption:
    """``level``: 0, 1 (submit nothing more) or 2 (do not wait either)."""

    def __init__(self, changing: bool) -> None:
        self.level = 0
        self._changing = changing

    def handle(self, *_signal: int | FrameType | None) -> None:
        """Handle a signal in the main thread; a run that changes things learns of it from its watcher (``_watch``)."""
        if not self._changing:
            raise PhotonError("Interrupted", "the run was interrupted while it looked; nothing was changed")

    def check(self) -> None:
        """Raise Interrupted before anything of the plan has begun."""
        if self.level:
            raise PhotonError("Interrupted", "the run was interrupted before anything was done; run again")


@contextlib.contextmanager
def interruptible(changing: bool) -> Iterator[Interruption]:
    """Take SIGINT and SIGTERM while the body runs, and notice when the Ansible process that waits for it ends.

    The environment variable PHOTON_PID_FILE names a file for this process's id: the one that gets the signals.
    """
    interruption = Interruption(changing)
    if threading.current_thread() is not threading.main_thread():  # of a program that handles signals itself
        yield interruption
        return
    if path := os.environ.get("PHOTON_PID_FILE"):
        with open(path, "w", encoding="ascii") as stream:
            stream.write(str(os.getpid()))
    before = {number: signal.signal(number, interruption.handle) for number in SIGNALS}
    watching = _watched(interruption) if changing else contextlib.nullcontext()
    try:
        with watching:
            yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _watched(interruption: Interruption) -> Iterator[None]:
    """Signals reach a thread of their own at once: the main thread may sit in a wait that had just begun, and Python
    calls handlers nowhere else (https://docs.python.org/3/library/signal.html#execution-of-python-signal-handlers).
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(interruption, reader), name="interruption", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)  # ends the watcher
        watcher.join()
        os.close(reader)


def _watch(interruption: Interruption, reader: int) -> None:
    """Count signals, and notice when nobody waits any more: Ansible's worker leads the session that a module runs in,
    and it or its parent has ended.
    """
    leader = os.getsid(0)
    parent = _parent_of(leader)
    while True:
        if select.select([reader], [], [], _LOOK_EVERY)[0]:
            numbers = os.read(reader, 64)
            if not numbers:
                return
            interruption.level += sum(number in SIGNALS for number in numbers)
        elif leader != os.getpid() and _parent_of(leader) != parent:
            interruption.level = max(1, interruption.level)


def _parent_of(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state in ("Z", "X") else int(parent)
