"""Commands that do not outlive the run: each has a process group of its own, which ends when the run is interrupted."""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATIENCE = 30.0  # seconds for a command to clean up after itself


def interruptible() -> None:
    """Treat SIGTERM and SIGHUP like an interrupt from the keyboard, so that what has been started is ended.

    SIGINT is set too: commands would otherwise inherit from a background job of a shell that it is ignored.
    """
    hang_up = [signal.SIGHUP] * (signal.getsignal(signal.SIGHUP) != signal.SIG_IGN)  # nohup ignores it
    for number in (signal.SIGINT, signal.SIGTERM, *hang_up):
        signal.signal(number, signal.default_int_handler)


def run(words: Sequence[str], **environment: str) -> int:
    """Run a command in the root folder, its output going straight through; return its exit code."""
    process = start(words, **environment)
    try:
        return process.wait()
    finally:
        end(process)


def start(words: Sequence[str], output: IO[str] | None = None, **environment: str) -> subprocess.Popen[str]:
    """Start a command in the root folder; ``output`` takes what it prints. The caller has to call ``end``."""
    return subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        text=True, process_group=0,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> None:
    """Interrupt a command that still runs, and its children; kill what is left of them after a while."""
    if process.poll() is not None:
        return
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(PATIENCE)
            while time.monotonic() < deadline:
                os.killpg(process.pid, 0)  # the group exists as long as one child does
                time.sleep(0.05)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            pass
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def processor_seconds() -> float:
    """What the commands that were waited for have used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
