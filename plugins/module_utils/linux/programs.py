# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages by the names of the host's own manager, for modules that install what they configure in the same visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model.errors import PhotonError
from . import packages


def missing(names: Mapping[str, Sequence[str]]) -> list[str]:
    """Those of this host's manager (``apt`` or ``dnf`` in ``names``) that are not installed whole.

    PhotonError InvalidHostState when the host has another manager, or none of its names are given.
    """
    if not names:
        return []
    manager = packages.manager()
    wanted = names.get(manager.name)
    if not wanted:
        raise PhotonError(
            "InvalidHostState",
            f"packages.{manager.name}: is missing, and this host installs with {manager.name}",
        )
    there = manager.read(wanted)
    return [name for name in wanted if there[name].version is None or not there[name].whole]


def install(names: Sequence[str]) -> None:
    """Install these; PhotonError PackageNotFound, PackageInstallFailed or DiskFull."""
    if names:
        packages.manager().install(dict.fromkeys(names, "present"), None, refresh=False)
