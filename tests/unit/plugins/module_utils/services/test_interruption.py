# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signals that stop a run: counted at once whatever the main thread waits for, and handled as before afterwards."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.interruption import SIGNALS, interruptible


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_counts_while_the_main_thread_waits_for_another(number):
    noticed, masked = [], threading.Event()

    def worker():
        masked.wait()
        os.kill(os.getpid(), number)
        until = time.monotonic() + 20
        while not interruption.level and time.monotonic() < until:
            time.sleep(0.01)
        noticed.append(interruption.level)

    with interruptible(changing=True) as interruption:
        thread = threading.Thread(target=worker)
        thread.start()
        # As when the signal came just before a wait began: this thread does not wake for it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        masked.set()
        try:
            thread.join()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert noticed == [1]


def test_a_second_signal_counts_and_other_signals_do_not():
    before = [signal.getsignal(number) for number in SIGNALS]
    others = signal.signal(signal.SIGUSR1, lambda *_arguments: None)
    try:
        with interruptible(changing=True) as interruption:
            for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM):
                os.kill(os.getpid(), number)
            until = time.monotonic() + 20
            while interruption.level < 2 and time.monotonic() < until:
                time.sleep(0.01)
            with pytest.raises(PhotonError, match="before anything was done"):
                interruption.check()
        assert interruption.level == 2
    finally:
        signal.signal(signal.SIGUSR1, others)
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_what_only_looks_ends_at_once():
    with pytest.raises(PhotonError, match="while it looked"):
        _interrupted_look()


def _interrupted_look():
    with interruptible(changing=False):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(20)
