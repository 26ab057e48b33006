# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member's programs and files: run with their words kept for the error; files replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping

from ...model.errors import PhotonError

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    *words: str, timeout: float = 120, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The finished process, whatever its code; PhotonError MemberChangeFailed when it is missing or hangs."""
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
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
            f"{' '.join(words[:3])} did not end within {timeout:.0f} s: look at this host, run again",
        ) from error


def must(*words: str, timeout: float = 120, environment: Mapping[str, str] | None = None) -> str:
    """What it printed; PhotonError MemberChangeFailed with its last words when it failed."""
    result = run(*words, timeout=timeout, environment=environment)
    if result.returncode != 0:
        raise PhotonError(
            "MemberChangeFailed",
            f"{' '.join(words[:4])} failed: {last_words(result)}",
            {"returncode": result.returncode},
        )
    return result.stdout


def last_words(result: subprocess.CompletedProcess[str], lines: int = 8) -> str:
    """The end of what it said, errors before the rest; of kubeadm its [ERROR ...] lines."""
    said = [line.strip() for line in (result.stderr.strip() or result.stdout.strip()).splitlines() if line.strip()]
    errors = [line for line in said if line.startswith(("[ERROR", "error", "error:", "Error"))]
    return "; ".join((errors or said)[-lines:]) or f"exit code {result.returncode}"


def read(path: str) -> str:
    """The text of a file, "" when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def write(path: str, text: str, mode: int = 0o600) -> None:
    """Replace a file whole, or not at all, also when the host loses its power."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{os.path.dirname(path)}/.{os.path.basename(path)}.new"  # kubelet starts no manifest that begins with a dot
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
    """Does the unit run?"""
    return run("systemctl", "is-active", "--quiet", unit).returncode == 0


def processes(program: str) -> set[str]:
    """The ids of the processes that run a program, in containers too."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and read_one(f"/proc/{entry}/comm").strip() == program[:15]:
            found.add(entry)
    return found


def read_one(path: str) -> str:
    """As read, of a file that may vanish while it is read."""
    try:
        return read(path)
    except OSError:
        return ""
