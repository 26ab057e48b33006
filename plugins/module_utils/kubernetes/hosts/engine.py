# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a host for the version of containerd that it has, or that its package manager would install."""

from __future__ import annotations

import re
import shutil

from .commands import run

_VERSION = re.compile(r"\bv?(?:\d+:)?(\d+\.\d+\.\d+)")


def containerd_version(package: str) -> str:
    """Return a version such as 1.7.24; "" when no package manager knows one yet."""
    if shutil.which("containerd", path="/usr/local/bin:/usr/bin:/usr/sbin"):
        return _found(run("containerd", "--version").stdout)
    if shutil.which("apt-cache"):
        candidate = re.search(r"^ *Candidate: *(.*)$", run("apt-cache", "policy", package).stdout, re.MULTILINE)
        return _found(candidate[1]) if candidate else ""
    if shutil.which("dnf"):
        return _found(run("dnf", "-q", "repoquery", "--latest-limit=1", "--qf", "%{version}", package).stdout)
    return ""


def _found(text: str) -> str:
    match = _VERSION.search(text)
    return match[1] if match else ""
