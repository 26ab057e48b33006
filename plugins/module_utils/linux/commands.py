# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host: run with the C locale, their words kept for the error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from ..model.errors import PhotonError

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(
    *words: str, timeout: float = 120, environment: Mapping[str, str] | None = None, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The finished process, whatever its code; PhotonError HostChangeFailed when it is missing or hangs."""
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
            f"{' '.join(words)} did not end within {timeout:.0f} s: look at this host, then run again",
        ) from error


def must(*words: str, code: str = "HostChangeFailed", **options: Any) -> str:
    """What it printed; PhotonError ``code`` with its last words when it failed."""
    result = run(*words, **options)
    if result.returncode != 0:
        raise PhotonError(code, f"{' '.join(words)} failed: {last_words(result)}", {"returncode": result.returncode})
    return result.stdout


def last_words(result: subprocess.CompletedProcess[str], lines: int = 6) -> str:
    """The end of what it said, errors before the rest."""
    said = (result.stderr.strip() or result.stdout.strip()).splitlines()
    errors = [line.strip() for line in said if line.startswith(("E:", "Error:", "error:"))]
    return "; ".join((errors or [line.strip() for line in said])[-lines:]) or f"exit code {result.returncode}"


def available(program: str) -> bool:
    """Is it on this host?"""
    return shutil.which(program, path=_SYSTEM_PATH) is not None
