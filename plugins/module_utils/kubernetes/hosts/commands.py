# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a member's programs, keeping their output for error messages, and replace its files atomically."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import subprocess
from collections.abc import Mapping

from ...model.errors import PhotonError

PODS, PROCESSES = "/var/log/pods", "/proc"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    *words: str, timeout: float = 120, environment: Mapping[str, str] | None = None, text: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program with ``text`` as its input and return the finished process.

    Raise PhotonError MemberChangeFailed when it is missing or times out.
    """
    try:
        return subprocess.run(
            words,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env={**os.environ, "LC_ALL": "C", "PATH": _SYSTEM_PATH, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise PhotonError("MemberChangeFailed", f"{words[0]} is not installed on this host") from error
    except subprocess.TimeoutExpired as error:
        raise PhotonError(
            "MemberChangeFailed",
            f"{' '.join(words[:3])} did not finish within {timeout:.0f} s. Check this host and run again.",
        ) from error


def must(*words: str, timeout: float = 120, environment: Mapping[str, str] | None = None) -> str:
    """Run a program and return its output; PhotonError MemberChangeFailed with the end of its output when it fails."""
    result = run(*words, timeout=timeout, environment=environment)
    if result.returncode != 0:
        raise PhotonError(
            "MemberChangeFailed",
            f"{' '.join(words[:4])} failed: {last_words(result)}",
            {"returncode": result.returncode},
        )
    return result.stdout


def last_words(result: subprocess.CompletedProcess[str], lines: int = 8) -> str:
    """Return the last lines of a program's output, preferring error lines such as kubeadm's [ERROR ...]."""
    said = [line.strip() for line in (result.stderr.strip() or result.stdout.strip()).splitlines() if line.strip()]
    errors = [line for line in said if line.startswith(("[ERROR", "error", "error:", "Error"))]
    return "; ".join((errors or said)[-lines:]) or f"exit code {result.returncode}"


def read(path: str) -> str:
    """Return the text of a file, "" when it does not exist."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def write(path: str, text: str, mode: int = 0o600) -> None:
    """Replace a file atomically, also across a power loss."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{os.path.dirname(path)}/.{os.path.basename(path)}.new"  # kubelet ignores hidden files
    try:
        with open(part, "w", encoding="utf-8") as handle:
            os.fchmod(handle.fileno(), mode)
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(part, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def active(unit: str) -> bool:
    """Return whether the unit is active."""
    return run("systemctl", "is-active", "--quiet", unit).returncode == 0


def processes(name: str) -> set[str]:
    """Return the ids of the processes of this host's static pod, which run the program of the same name.

    A process of the same name elsewhere on the host, such as another etcd, has another cgroup. The ids of static pods
    are digests, those of other pods have dashes.
    """
    pods = [path.rpartition("_")[2] for path in glob.glob(f"{PODS}/kube-system_{name}-*_*")]
    pods = [pod for pod in pods if re.fullmatch(r"[0-9a-f]{32}", pod)]
    found = set()
    for entry in os.listdir(PROCESSES) if pods else ():
        if entry.isdigit() and read_one(f"{PROCESSES}/{entry}/comm").strip() == name[:15]:
            group = read_one(f"{PROCESSES}/{entry}/cgroup")
            if any(f"pod{pod}" in group for pod in pods):
                found.add(entry)
    return found


def read_one(path: str) -> str:
    """Read a file that may vanish while it is read."""
    try:
        return read(path)
    except OSError:
        return ""
