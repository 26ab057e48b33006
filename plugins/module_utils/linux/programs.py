# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install the packages that a module configures in the same visit, named per package manager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model.errors import PhotonError
from . import packages


def missing(names: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the packages for this host's manager (``apt`` or ``dnf`` in ``names``) that are not fully installed.

    Raise PhotonError InvalidHostState when ``names`` has no packages for this host's manager.
    """
    if not names:
        return []
    manager = packages.manager()
    wanted = names.get(manager.name)
    if not wanted:
        raise PhotonError(
            "InvalidHostState",
            f"packages.{manager.name}: is required because this host uses {manager.name}",
        )
    there = manager.read(wanted)
    return [name for name in wanted if there[name].version is None or not there[name].whole]


def install(names: Sequence[str]) -> None:
    """Install packages; PhotonError PackageNotFound, PackageInstallFailed or DiskFull."""
    if names:
        packages.manager().install(dict.fromkeys(names, "present"), None, refresh=False)
