# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver ``podman``: a host is a rootless container with systemd. For an ordinary user.

Neither the hosts' addresses nor a VIP can be reached from this machine: SSH comes in through a port on the loopback
(22000 and up), everything else is asked from inside a host.
"""

from __future__ import annotations

import io
import os
import socket
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import base
from .paths import LabError, locked, run
from .seed import Seed
from .spec import HostSpec

NEEDS_ROOT = False


def prepare(lab: str, directory: Path, subnet: str) -> None:
    """The lab's network."""
    result = run([*_podman(), "network", "create", "--subnet", subnet, _network(lab)], check=False)
    if result.returncode != 0 and "already" not in result.stderr:
        raise LabError(f"podman network create failed: {result.stderr.strip()}")


def release(lab: str, directory: Path, subnet: str) -> None:
    """Remove the network."""
    run([*_podman(), "network", "rm", "-f", _network(lab)], check=False)


def create(lab: str, directory: Path, spec: HostSpec, address: str, seed: Seed) -> None:
    """Start a container, put its files in, wait for SSH."""
    if spec.disk:
        raise LabError(f"host {spec.name}: the driver podman cannot bound a disk; use LAB_DRIVER=nspawn")
    if spec.kubelet:
        raise LabError(f"host {spec.name}: no kubelet runs in a rootless container; use LAB_DRIVER=nspawn or ssh")
    image = _image(spec.suite)
    container, port = _container(lab, spec.name), _port()
    directory.mkdir(parents=True)
    (directory / "port").write_text(str(port))
    run([
        *_podman(), "create", "--replace", "--name", container,
        "--hostname", (seed.hostname or spec.name).split(".")[0],
        "--network", _network(lab), "--ip", address, "-p", f"127.0.0.1:{port}:22", "--systemd=always",
        "--cap-add=NET_ADMIN,NET_RAW,SYS_ADMIN", image, "/sbin/init",
    ])  # fmt: skip
    archive = _archive(directory.parent.parent / "id.pub", seed)
    copied = run([*_podman(), "cp", "-", f"{container}:/"], check=False, stdin=_reader(archive, directory))
    if copied.returncode != 0:
        raise LabError(f"podman cp into {container} failed: {copied.stderr.strip()}")
    run([*_podman(), "start", container])
    _wait_for_ssh(spec.name, port)
    run([*_podman(), "exec", container, "systemctl", "is-system-running", "--wait"], check=False)


def destroy(lab: str, directory: Path, name: str) -> None:
    """Remove the container."""
    run([*_podman(), "rm", "-f", "-t", "2", _container(lab, name)], check=False)
    for file in directory.iterdir() if directory.exists() else []:
        file.unlink()
    if directory.exists():
        directory.rmdir()


def is_running(lab: str, directory: Path, name: str) -> bool:
    """Does the container run?"""
    asked = run([*_podman(), "inspect", "-f", "{{.State.Running}}", _container(lab, name)], check=False)
    return asked.stdout.strip() == "true"


def command(lab: str, directory: Path, name: str, words: Sequence[str]) -> list[str]:
    """The command that runs ``words`` inside a host."""
    return [*_podman(), "exec", "-i", _container(lab, name), *words]


def connection(lab: str, directory: Path, name: str, address: str) -> dict[str, object]:
    """How Ansible reaches the host."""
    return {"ansible_host": "127.0.0.1", "ansible_port": int((directory / "port").read_text())}


def variables(subnet: str) -> dict[str, object]:
    """This driver has nothing to tell of its network."""
    return {}


def _podman() -> list[str]:
    return os.environ.get("LAB_PODMAN", "podman").split()


def _network(lab: str) -> str:
    return f"lab-{lab}"


def _container(lab: str, host: str) -> str:
    return f"lab-{lab}-{host}"


def _image(suite: str) -> str:
    archive = base.archive(suite)
    image = f"localhost/lab/{suite}:{archive.stem.rsplit('-', 1)[1]}"
    with locked("podman-image"):
        if run([*_podman(), "image", "exists", image], check=False).returncode != 0:
            run([*_podman(), "import", str(archive), image])
    return image


def _port() -> int:
    """A free port for SSH; podman binds it a moment later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _archive(key: Path, seed: Seed) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, "root/.ssh", None, 0o700)
        _add(archive, "root/.ssh/authorized_keys", key.read_bytes(), 0o600)
        for file in seed.files:
            _add(archive, file.path.lstrip("/"), file.content, file.mode)
        for unit in seed.units:
            link = tarfile.TarInfo(f"etc/systemd/system/multi-user.target.wants/{unit}")
            link.type, link.linkname = tarfile.SYMTYPE, f"/etc/systemd/system/{unit}"
            archive.addfile(link)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes | None, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    if content is None:
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
    else:
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def _reader(content: bytes, directory: Path):
    path = directory / "files.tar"
    path.write_bytes(content)
    return open(path, "rb")  # the process reads it to its end


def _wait_for_ssh(name: str, port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connected:
                connected.settimeout(2)
                if connected.recv(16).startswith(b"SSH-"):
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise LabError(f"host {name}: no SSH on 127.0.0.1:{port} within 60 s")
