# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Update all packages of a host, except held ones, and find out whether it must reboot to use them."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, NamedTuple

from ..model.errors import PhotonError
from . import packages
from .commands import available, last_words, run

_SECONDS = 3600
REBOOT_REQUIRED = ("/run/reboot-required", "/var/run/reboot-required")
_SIMULATED = re.compile(r"Inst (\S+)(?: \[([^\]]*)\])? \((\S+)")
_DIGITS = re.compile(r"(\d+)")


class Update(NamedTuple):
    """A package that an update changes; ``before`` is "" for a new one, "installed" where it is not known."""

    name: str
    before: str
    after: str


def pending(refresh: bool = True) -> list[Update]:
    """Return what an update would change; ``refresh`` fetches the package lists first. PackageInstallFailed."""
    if packages.manager().name == "apt":
        if refresh:
            _checked("apt-get", "update", *packages.APT, error_prefix="the package lists could not be fetched")
        simulated = ("apt-get", "--simulate", "upgrade", "--with-new-pkgs", *packages.APT)
        return parse_apt(_checked(*simulated, error_prefix="the update cannot be computed"))
    words = ["dnf", "--quiet", *(["--refresh"] if refresh else []), "check-update"]
    result = run(*words, timeout=_SECONDS)
    if result.returncode not in (0, 100):  # 100: there are updates
        raise PhotonError("PackageInstallFailed", f"the package lists could not be fetched: {last_words(result)}")
    return parse_dnf(result.stdout)


def apply() -> None:
    """Install all updates, keeping configuration files that were changed. PackageInstallFailed or DiskFull."""
    manager = packages.manager()
    manager.repair()
    words = (
        ["apt-get", "upgrade", "--with-new-pkgs", "--yes", *packages.APT]
        if manager.name == "apt"
        else ["dnf", "--assumeyes", "upgrade"]
    )
    result = run(*words, environment=packages.QUIET, timeout=_SECONDS)
    if result.returncode != 0:
        raise packages.install_failure(["the updates"], result)


def reboot_reasons() -> list[str]:
    """Return why the host must reboot: a package asked for it, or a newer kernel is installed than the running one."""
    reasons = []
    if any(os.path.exists(path) for path in REBOOT_REQUIRED):
        try:
            with open(f"{REBOOT_REQUIRED[0]}.pkgs", encoding="utf-8", errors="replace") as handle:
                names = ", ".join(sorted(set(handle.read().split())))
        except OSError:
            names = ""
        reasons.append(f"required by {names or 'a package'}")
    newest = newest_kernel([os.path.basename(path) for path in glob.glob("/boot/vmlinuz-*")], os.uname().release)
    if newest:
        reasons.append(f"kernel {newest} is installed, {os.uname().release} runs")
    if packages.manager().name == "dnf" and _needs_restarting():
        reasons.append("required by updated packages")
    return reasons


def parse_apt(simulated: str) -> list[Update]:
    """Parse the output of ``apt-get --simulate upgrade`` (pure)."""
    found = (_SIMULATED.match(line) for line in simulated.splitlines())
    return [Update(one[1], one[2] or "", one[3]) for one in found if one]


def parse_dnf(listed: str) -> list[Update]:
    """Parse the output of ``dnf check-update`` (pure); obsoleted packages are not updates."""
    lines = listed.partition("\nObsoleting Packages")[0].splitlines()
    fields = [line.split() for line in lines]
    return [Update(one[0].rpartition(".")[0], "installed", one[1]) for one in fields if len(one) == 3 and "." in one[0]]


def newest_kernel(files: list[str], running: str) -> str:
    """Return the newest kernel of vmlinuz-* files when that is newer than the running one, otherwise "" (pure).

    A host whose running kernel is not among them, such as a container, has no kernel of its own to boot.
    """
    versions = [name[len("vmlinuz-") :] for name in files]
    if running not in versions:
        return ""
    newest = max(versions, key=_order)
    return newest if _order(newest) > _order(running) else ""


def described(updates: list[Update]) -> list[dict[str, Any]]:
    """Return updates as plain data."""
    return [one._asdict() for one in updates]


def _needs_restarting() -> bool:
    """Return whether dnf's own program, where it is installed, asks for a reboot."""
    return available("needs-restarting") and run("needs-restarting", "--reboothint", timeout=300).returncode == 1


def _order(version: str) -> list[tuple[int, int, str]]:
    """Return a key that orders versions by their numbers."""
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in _DIGITS.split(version)]


def _checked(*words: str, error_prefix: str) -> str:
    result = run(*words, environment=packages.QUIET, timeout=_SECONDS)
    failed = result.returncode != 0 or any(line.startswith("E:") for line in result.stderr.splitlines())
    if failed or ("update" in words and "Failed to fetch" in result.stderr):
        raise PhotonError("PackageInstallFailed", f"{error_prefix}: {last_words(result)}. Check the repositories.")
    return result.stdout
