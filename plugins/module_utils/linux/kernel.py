# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and change a host's kernel state through /proc and /sys: modules, sysctls, swap, memory, disks and ports."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable

from ..model.errors import PhotonError
from .commands import available, must, run

FSTAB = "/etc/fstab"
_SYSCTL = re.compile(r"[a-zA-Z0-9_-]+([./][a-zA-Z0-9_@*:-]+)+\Z")


def missing_modules(names: Iterable[str]) -> set[str]:
    """Return the kernel modules that are neither loaded nor built in."""
    built_in = _lines(f"/lib/modules/{os.uname().release}/modules.builtin")
    there = {os.path.basename(line).split(".", 1)[0].replace("-", "_") for line in built_in}
    there |= {line.split()[-1].replace("-", "_") for line in _lines("/proc/filesystems") if line.split()}
    return {
        name
        for name in names
        if name.replace("-", "_") not in there
        and not os.path.isdir(f"/sys/module/{name.replace('-', '_')}")
        and not (
            name == "br_netfilter" and os.path.isdir("/proc/sys/net/bridge")
        )  # built in, but without a directory in /sys/module
    }


def loadable(name: str) -> bool:
    """Return whether this kernel can load the module."""
    return available("modprobe") and run("modprobe", "--dry-run", "--quiet", name).returncode == 0


def load_module(name: str) -> None:
    """Load a module; PhotonError KernelModuleMissing."""
    result = run("modprobe", name)
    if result.returncode != 0:
        raise PhotonError(
            "KernelModuleMissing",
            f"kernel module {name} cannot be loaded ({result.stderr.strip()}). Install the running kernel's modules.",
            {"module": name},
        )


def read_sysctl(key: str) -> str | None:
    """Return the live value with elements separated by one space, or None when the kernel does not have the key."""
    try:
        with open(_sysctl_path(key), encoding="utf-8") as handle:
            return " ".join(handle.read().split())
    except (FileNotFoundError, PermissionError):
        return None


def write_sysctl(key: str, value: str) -> None:
    """Set a live value; PhotonError SysctlFailed."""
    try:
        with open(_sysctl_path(key), "w", encoding="utf-8") as handle:
            handle.write(value)
    except OSError as error:
        raise PhotonError(
            "SysctlFailed", f"{key} cannot be set to {value} on this host: {error.strerror}", {"sysctl": key}
        ) from error


def swap_devices() -> list[str]:
    """Return the active swap devices."""
    return [line.split()[0] for line in _lines("/proc/swaps")[1:] if line.split()]


def without_swap(fstab: str) -> str:
    """Return the text of fstab with its swap lines commented out."""

    def commented(line: str) -> str:
        fields = line.split()
        return f"# {line}" if len(fields) > 2 and not fields[0].startswith("#") and fields[2] == "swap" else line

    return "".join(commented(line) for line in fstab.splitlines(keepends=True))


def stop_swap() -> None:
    """Turn off swap and mask the swap units, which do not all come from fstab."""
    units = run("systemctl", "list-units", "--type=swap", "--plain", "--no-legend", "--no-pager").stdout
    names = [line.split()[0] for line in units.splitlines() if line.split()]
    must("swapoff", "--all", timeout=600)
    if names:
        must("systemctl", "mask", "--", *names)


def free_bytes(path: str) -> int:
    """Return the free bytes of the file system that holds the path or its nearest existing ancestor."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    there = os.statvfs(path)
    return there.f_bavail * there.f_frsize


def total_memory() -> int:
    """Return the memory of this machine in bytes."""
    fields = next((line.split() for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")), ["", "0"])
    return int(fields[1]) * 1024


def listeners(ports: Iterable[int]) -> dict[int, str]:
    """Return TCP port -> listening process ("" when unknown) for the ports that are in use."""
    wanted = set(ports)
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _lines(table)[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == "0A" and port in wanted:
                sockets[fields[9]] = port
    if not sockets:
        return {}
    taken = dict.fromkeys(sockets.values(), "")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                if target.startswith("socket:[") and target[8:-1] in sockets:
                    taken[sockets[target[8:-1]]] = _lines(f"/proc/{pid}/comm")[0]
    return taken


def _sysctl_path(key: str) -> str:
    if not _SYSCTL.match(key):
        raise PhotonError("SysctlFailed", f"{key!r} is not a valid sysctl name such as net.ipv4.ip_forward")
    return "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read().splitlines()
    except OSError:
        return []
