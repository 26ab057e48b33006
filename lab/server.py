# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, finds and stops a simulated data centre."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from . import topology as topologies
from .build import server_binary
from .control import Control
from .errors import LabError

START_SECONDS = 120
_NEEDED_SHM = 256 << 20


@dataclass(frozen=True)
class Endpoint:
    """One vCenter or ESXi host of the lab and how to reach it."""

    name: str
    kind: str  # vcenter | esxi
    address: str
    port: int
    username: str
    password: str
    ca_file: str
    thumbprint: str  # SHA-256, AA:BB:...
    datacenter: str

    @property
    def url(self) -> str:
        """The address of the SOAP API."""
        return f"https://{self.address}:{self.port}/sdk"

    def pyvmomi(self, **more: Any) -> dict[str, Any]:
        """Arguments for pyvmomi's SmartConnect, with a context that verifies: for 127.0.0.1 it would check nothing."""
        import ssl

        context = ssl.create_default_context(cafile=self.ca_file)
        return {
            "host": self.address,
            "port": self.port,
            "user": self.username,
            "pwd": self.password,
            "sslContext": context,
            **more,
        }


class Lab:
    """A running data centre. Lab.start() makes one and is a context manager; Lab.attach() finds one by its folder."""

    def __init__(self, directory: Path, state: dict[str, Any], process: subprocess.Popen[bytes] | None = None):
        self.directory = directory
        self.pid: int = state["pid"]
        self.started: str = state["started"]
        self.ca_file: str = state["ca_file"]
        self.endpoints = {item["name"]: Endpoint(**item) for item in state["endpoints"]}
        self.control = Control(state["control"])
        self._data = state["data"]
        self._process = process

    @classmethod
    def start(
        cls,
        topology: str | Path | dict[str, Any] = "small",
        *,
        directory: str | Path | None = None,
        detached: bool = False,
        certificates: dict[str, tuple[str | Path, str | Path]] | None = None,
    ) -> Lab:
        """Starts the topology (a name, a file or a dictionary) and answers when every endpoint does.

        directory: for certificates, log and state; a temporary one by default. detached: the lab outlives this process;
        otherwise it ends with it, however it ends. certificates: {endpoint name: (certificate file, key file)} where an
        endpoint shall show another one than the lab's. Raises LabError and TopologyError.
        """
        from .certificates import Authority, thumbprint

        expanded = topologies.load(topology)
        binary = server_binary()
        temporary = directory is None
        home = Path(tempfile.mkdtemp(prefix="photon-lab-")) if temporary else Path(str(directory)).resolve()
        home.mkdir(parents=True, exist_ok=True)
        if (home / "state.json").exists():
            before = json.loads((home / "state.json").read_text())
            if running(before):
                raise LabError(
                    f"a lab runs in {home} already: end it first (bin/lab down), or choose another directory"
                )
            shutil.rmtree(before["data"], ignore_errors=True)  # it was killed before it could tidy up
        authority = Authority(home / "certificates")
        issued = authority.issue("server")
        data = Path(tempfile.mkdtemp(prefix="photon-lab-", dir=_memory_folder()))
        for item in expanded["endpoints"]:
            if certificates and item["name"] in certificates:
                item["certificate"], item["key"] = (str(path) for path in certificates[item["name"]])
        document = {"directory": str(data), "certificate": str(issued.file), "key": str(issued.key), **expanded}
        (home / "topology.json").touch(mode=0o600)
        (home / "topology.json").write_text(json.dumps(document))
        try:
            process, answer = _launch(binary, home, detached)
        except BaseException:
            shutil.rmtree(data, ignore_errors=True)
            if temporary:
                shutil.rmtree(home, ignore_errors=True)
            raise
        state = {
            "pid": process.pid,
            "started": start_time(process.pid),
            "control": answer["control"],
            "data": str(data),
            "ca_file": str(authority.file),
            "temporary": temporary,
            "endpoints": [
                asdict(
                    Endpoint(
                        name=item["name"],
                        kind=item["kind"],
                        address="127.0.0.1",
                        port=up["port"],
                        username=item["username"],
                        password=item["password"],
                        ca_file=str(authority.file),
                        thumbprint=thumbprint(item.get("certificate", issued.file)),
                        datacenter=item["datacenter"],
                    )
                )
                for item, up in zip(expanded["endpoints"], answer["endpoints"], strict=True)
            ],
        }
        (home / "state.json").touch(mode=0o600)
        (home / "state.json").write_text(json.dumps(state, indent=2))
        return cls(home, state, process)

    @classmethod
    def attach(cls, directory: str | Path) -> Lab:
        """The lab that runs in a folder. Raises LabError when none does."""
        home = Path(directory).resolve()
        try:
            state = json.loads((home / "state.json").read_text())
        except FileNotFoundError:
            raise LabError(f"no lab was started in {home}: start it with bin/lab up") from None
        if not running(state):
            raise LabError(
                f"the lab of {home} does not run any more: bin/lab down tidies up, bin/lab up starts it again"
            )
        return cls(home, state)

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.directory / "server.log"

    def stop(self) -> None:
        """Ends the server, by its pid and only if that is still the same process, and removes its files."""
        stop_state({"pid": self.pid, "started": self.started, "data": self._data}, self._process)
        temporary = False
        with contextlib.suppress(FileNotFoundError):
            temporary = json.loads((self.directory / "state.json").read_text())["temporary"]
        remove_files(self.directory, whole=temporary)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def running(state: dict[str, Any]) -> bool:
    """Whether the process of a state file still is that process."""
    return start_time(state["pid"]) == state["started"]


def start_time(pid: int) -> str:
    """When a process started, in clock ticks since the boot, or "" when there is no such process (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def stop_state(state: dict[str, Any], process: subprocess.Popen[bytes] | None = None) -> None:
    """Ends the process of a state file, gently first, and removes its data."""
    for number, wait in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + wait
        if running(state):
            with contextlib.suppress(ProcessLookupError):
                os.kill(state["pid"], number)
        while running(state) and time.monotonic() < deadline:
            if process is not None:
                process.poll()
            time.sleep(0.01)
    if process is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    shutil.rmtree(state["data"], ignore_errors=True)


def remove_files(home: Path, *, whole: bool) -> None:
    """Removes what start() put into a folder, and the folder itself when it was a temporary one."""
    if whole:
        shutil.rmtree(home, ignore_errors=True)
        return
    for name in ("state.json", "topology.json", "server.log"):
        (home / name).unlink(missing_ok=True)
    shutil.rmtree(home / "certificates", ignore_errors=True)
    with contextlib.suppress(OSError):
        home.rmdir()  # only when nothing else is in it


def _launch(binary: Path, home: Path, detached: bool) -> tuple[subprocess.Popen[bytes], dict[str, Any]]:
    command = [str(binary), "-topology", str(home / "topology.json")]
    if not detached:
        command.append("-watch-stdin")  # the pipe closes when this process dies, whatever it dies of
    log_fd = os.open(home / "server.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log_fd,
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(log_fd)
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else b""
    if not line:
        process.kill()
        process.wait()
        text = (home / "server.log").read_text(errors="replace").strip()
        raise LabError(f"the simulator did not start: {text[-2000:] or 'it said nothing'}")
    return process, json.loads(line)


def _memory_folder() -> str | None:
    """A folder in memory where there is room: on a disk the simulator's many small files cost several times as much."""
    with contextlib.suppress(OSError):
        space = os.statvfs("/dev/shm")
        if space.f_bavail * space.f_frsize >= _NEEDED_SHM and os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
    return None
