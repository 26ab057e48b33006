# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry and package server of a lab: a process on the lab's own address, for as long as the lab lives."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..hosts.paths import LabError
from . import cache

PORT = 5000
_ROOT = Path(__file__).resolve().parents[2]


def variables(gateway: str) -> dict[str, Any]:
    """What the inventory tells: the registry's address, the packages' URL, their key's file on this machine, and what
    a cluster of the lab's hosts has to declare (cluster.yml)."""
    import yaml

    return {
        **yaml.safe_load((Path(__file__).parent / "cluster.yml").read_text()),
        "lab_images": f"{gateway}:{PORT}",
        "lab_packages": f"http://{gateway}:{PORT}/packages",
        "lab_packages_key": str(cache.folder() / "packages" / "key.asc"),
    }


def start(directory: Path, gateway: str) -> None:
    """Serve on the lab's address; harmless when it is served already. ``directory`` keeps the record and the log."""
    if _answers(gateway):
        return
    words = ["-m", "lab.kubernetes.registry", "--address", gateway, "--port", str(PORT)]
    with open(directory / "registry.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, *words, "--folder", str(cache.folder())],
            cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    (directory / "registry.pid").write_text(f"{process.pid} {_started(process.pid)}")
    deadline = time.monotonic() + 20
    while not _answers(gateway):
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"the lab's registry did not start; see {directory / 'registry.log'}")
        time.sleep(0.05)


def stop(directory: Path) -> None:
    """End it; harmless when it does not run."""
    record = directory / "registry.pid"
    if record.exists():
        pid, started = record.read_text().split()
        if _started(int(pid)) == started:  # the number may belong to another process by now
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        record.unlink()


def _answers(gateway: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((gateway, PORT), timeout=1):
        return True
    return False


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
