# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps its things, and the locks around them.

``PHOTON_LAB_DIR`` (default ``PHOTON_CACHE``, then ``~/.cache/photon-platform``) holds::

    bases/SUITE-FLAVOUR-DIGEST/   root file systems, built once
    apt/                          the package cache's files
    labs/NAME/                    one running lab: lab.json, id, id.pub, hosts/NAME/
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]|[a-z]")


class LabError(Exception):
    """Something the person at the keyboard has to know; the message says what to do next."""


def root() -> Path:
    """The lab's directory; made when absent."""
    configured = os.environ.get("PHOTON_LAB_DIR") or os.environ.get("PHOTON_CACHE")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(configured) if configured else Path(cache) / "photon-platform"
    path.mkdir(parents=True, exist_ok=True)
    return path


def check_name(kind: str, name: str) -> str:
    """``name`` when it can be a host's or a lab's name (lower case letters, digits, hyphens), else LabError."""
    if not NAME.fullmatch(name):
        raise LabError(
            f"{kind} name {name!r}: use 1 to 32 lower case letters, digits and inner hyphens, a letter first"
        )
    return name


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the machine-wide lock ``name``; waits for whoever holds it. A process that dies lets go of it."""
    directory = root() / "locks"
    directory.mkdir(exist_ok=True)
    with open(directory / name, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str], *, check: bool = True, **options) -> subprocess.CompletedProcess[str]:
    """Run ``command`` and return its result with text output; a failure is a LabError with what it printed."""
    try:
        result = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    except FileNotFoundError as missing:
        raise LabError(
            f"{command[0]} is not installed; see docs/lab-hosts.md for the packages the lab needs"
        ) from missing
    if check and result.returncode != 0:
        said = (result.stderr or result.stdout).strip()[-1500:]
        raise LabError(f"{' '.join(command)} failed ({result.returncode}): {said}")
    return result


def remove(directory: Path) -> None:
    """Remove a directory, when there is one, and unmount first whatever is mounted in it.

    A build that was killed leaves mounts of this machine's own /dev behind: to remove files through them would remove
    what other programs keep in /dev/shm. Raises LabError when something stays mounted.
    """
    for mounted in sorted(_mounts(directory), key=len, reverse=True):
        run(["umount", "--", mounted])
    left = _mounts(directory)
    if left:
        raise LabError(f"{directory} is not removed: {', '.join(left)} stays mounted; unmount it, then run this again")
    if directory.exists():
        shutil.rmtree(directory)


def _mounts(directory: Path) -> list[str]:
    """The mount points at and below ``directory``, as the kernel names them."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        # The kernel writes blanks in names as octal numbers.
        point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
        if Path(point).is_relative_to(directory.resolve()):
            points.append(point)
    return points
