# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's side of a host: modules, sysctls, swap, free memory, disks and ports, read from /proc and /sys."""

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
    """Those of the kernel modules that are neither loaded nor built in."""
    built_in = _lines(f"/lib/modules/{os.uname().release}/modules.builtin")
    there = {os.path.basename(line).split(".", 1)[0].replace("-", "_") for line in built_in}
    there |= {line.split()[-1].replace("-", "_") for line in _lines("/proc/filesystems") if line.split()}
    return {
        name
        for name in names
        if name.replace("-", "_") not in there
        and not os.path.isdir(f"/sys/module/{name.replace('-', '_')}")
        and not (name == "br_netfilter" and os.path.isdir("/proc/sys/net/bridge"))  # built in, without parameters
    }


def loadable(name: str) -> bool:
    """Does this kernel have the module?"""
    return available("modprobe") and run("modprobe", "--dry-run", "--quiet", name).returncode == 0


def load_module(name: str) -> None:
    """Load it; PhotonError KernelModuleMissing."""
    result = run("modprobe", name)
    if result.returncode != 0:
        raise PhotonError(
            "KernelModuleMissing",
            f"the kernel of this host has no module {name} ({result.stderr.strip()}): install the kernel's modules",
            {"module": name},
        )


def read_sysctl(key: str) -> str | None:
    """The live value, numbers apart by one space; None when the kernel has no such key."""
    try:
        with open(_sysctl_path(key), encoding="utf-8") as handle:
            return " ".join(handle.read().split())
    except (FileNotFoundError, PermissionError):
        return None


def write_sysctl(key: str, value: str) -> None:
    """Set the live value; PhotonError SysctlFailed."""
    try:
        with open(_sysctl_path(key), "w", encoding="utf-8") as handle:
            handle.write(value)
    except OSError as error:
        raise PhotonError(
            "SysctlFailed", f"{key} cannot be set to {value} on this host: {error.strerror}", {"sysctl": key}
        ) from error


def swap_devices() -> list[str]:
    """What this machine swaps to at the moment."""
    return [line.split()[0] for line in _lines("/proc/swaps")[1:] if line.split()]


def without_swap(fstab: str) -> str:
    """The text of fstab with its swap lines made comments."""

    def mended(line: str) -> str:
        fields = line.split()
        return f"# {line}" if len(fields) > 2 and not fields[0].startswith("#") and fields[2] == "swap" else line

    return "".join(mended(line) for line in fstab.splitlines(keepends=True))


def stop_swap() -> None:
    """Stop all swapping, and keep units that are not from fstab from coming back."""
    units = run("systemctl", "list-units", "--type=swap", "--plain", "--no-legend", "--no-pager").stdout
    names = [line.split()[0] for line in units.splitlines() if line.split()]
    must("swapoff", "--all", timeout=600)
    if names:
        must("systemctl", "mask", "--", *names)


def free_bytes(path: str) -> int:
    """What can be written below the path, by its nearest ancestor that exists."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    there = os.statvfs(path)
    return there.f_bavail * there.f_frsize


def total_memory() -> int:
    """Bytes of memory of this machine."""
    fields = next((line.split() for line in _lines("/proc/meminfo") if line.startswith("MemTotal:")), ["", "0"])
    return int(fields[1]) * 1024


def listeners(ports: Iterable[int]) -> dict[int, str]:
    """TCP port -> the process that listens there ("" when it cannot be told), for those of the ports that are taken."""
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
        raise PhotonError("SysctlFailed", f"{key!r} is no sysctl's name such as net.ipv4.ip_forward")
    return "/proc/sys/" + (key if "/" in key else key.replace(".", "/"))


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read().splitlines()
    except OSError:
        return []
