# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One package cache for all labs of this machine: apt-cacher-ng on an address of its own.

It listens on 198.19.255.1, an address of a bridge that has no ports: every host reaches it through its gateway, which
is this machine, without forwarding a packet. Who uses it is recorded as a file per user in ``apt/users``; the last one
out stops it and takes the bridge away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .paths import LabError, locked, root, run

ADDRESS = "198.19.255.1"
PORT = 3142
BRIDGE = "photon-apt"
URL = f"http://{ADDRESS}:{PORT}"


def acquire(user: str) -> str:
    """Start the cache if nobody has yet, note that ``user`` needs it, return its URL for Acquire::http::Proxy."""
    with locked("apt"):
        users = root() / "apt" / "users"
        users.mkdir(parents=True, exist_ok=True)
        _start()
        (users / user).touch()
    return URL


def release(user: str) -> None:
    """``user`` needs the cache no more; the last one stops it."""
    with locked("apt"):
        users = root() / "apt" / "users"
        (users / user).unlink(missing_ok=True)
        if users.exists() and not any(users.iterdir()):
            _stop()


@contextlib.contextmanager
def running(user: str) -> Iterator[str]:
    """The cache for the length of a block."""
    try:
        yield acquire(user)
    finally:
        release(user)


def _start() -> None:
    run(["ip", "link", "add", BRIDGE, "type", "bridge"], check=False)
    run(["ip", "address", "replace", f"{ADDRESS}/32", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    if _answers("127.0.0.1"):
        raise LabError(
            f"a program of this machine serves port {PORT} on all addresses, apt-cacher-ng's own service perhaps: "
            "end it, with `systemctl disable --now apt-cacher-ng`"
        )
    if _answers():
        return
    binary = shutil.which("apt-cacher-ng") or "/usr/sbin/apt-cacher-ng"
    if not Path(binary).exists():
        raise LabError("apt-cacher-ng is not installed: apt-get install apt-cacher-ng")
    directory = root() / "apt"
    for name in ("cache", "log", "conf"):
        (directory / name).mkdir(exist_ok=True)
    # Written whole: the package's own file redirects archives to addresses that this machine may not reach.
    (directory / "conf" / "acng.conf").write_text(
        f"CacheDir: {directory / 'cache'}\nLogDir: {directory / 'log'}\nSupportDir: /usr/lib/apt-cacher-ng\n"
        f"BindAddress: {ADDRESS}\nPort: {PORT}\nForeGround: 1\nConnectProto: v4\nReportPage:\nExThreshold: 30\n"
        f"PidFile: {directory / 'pid'}\nPassThroughPattern: .*\n"
    )
    with open(directory / "log" / "daemon.log", "ab") as log:
        process = subprocess.Popen(
            [binary, "-c", str(directory / "conf")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (directory / "daemon.json").write_text(f"{process.pid} {_started(process.pid)}")
    deadline = time.monotonic() + 20
    while not _answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"apt-cacher-ng did not start; see {directory / 'log'}")
        time.sleep(0.05)


def _answers(address: str = ADDRESS) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, PORT), timeout=1):
        return True
    return False


def _stop() -> None:
    record = root() / "apt" / "daemon.json"
    if record.exists():
        pid, started = record.read_text().split()
        if _started(int(pid)) == started:  # the number may belong to another process by now
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
        record.unlink()
        run(["ip", "link", "delete", BRIDGE], check=False)


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
