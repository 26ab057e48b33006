# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the host's programs with the C locale and keep their output for error messages."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from ..model.errors import PhotonError

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    *words: str, timeout: float = 120, environment: Mapping[str, str] | None = None, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program and return the finished process; PhotonError HostChangeFailed when it is missing or times out."""
    given: dict[str, Any] = {"input": text} if text is not None else {"stdin": subprocess.DEVNULL}
    try:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            env={**os.environ, "LC_ALL": "C", "PATH": _SYSTEM_PATH, **(environment or {})},
            **given,
        )
    except FileNotFoundError as error:
        raise PhotonError("HostChangeFailed", f"{words[0]} is not installed on this host") from error
    except subprocess.TimeoutExpired as error:
        raise PhotonError(
            "HostChangeFailed",
            f"{' '.join(words)} did not finish within {timeout:.0f} s. Check this host and run again.",
        ) from error


def must(*words: str, code: str = "HostChangeFailed", **options: Any) -> str:
    """Run a program and return its output; PhotonError ``code`` with the end of its output when it fails."""
    result = run(*words, **options)
    if result.returncode != 0:
        raise PhotonError(code, f"{' '.join(words)} failed: {last_words(result)}", {"returncode": result.returncode})
    return result.stdout


def last_words(result: subprocess.CompletedProcess[str], lines: int = 6) -> str:
    """Return the last lines of a program's output, preferring error lines."""
    said = (result.stderr.strip() or result.stdout.strip()).splitlines()
    errors = [line.strip() for line in said if line.startswith(("E:", "Error:", "error:"))]
    return "; ".join((errors or [line.strip() for line in said])[-lines:]) or f"exit code {result.returncode}"


def need_root() -> None:
    """Raise PhotonError RootRequired unless this process is root."""
    if os.geteuid() != 0:
        user = pwd.getpwuid(os.geteuid()).pw_name
        raise PhotonError(
            "RootRequired",
            f"this task needs root on the host and runs as {user}. Set become: true, or ansible_become for the host.",
        )


def available(program: str) -> bool:
    """Return whether the program is installed on this host."""
    return shutil.which(program, path=_SYSTEM_PATH) is not None
