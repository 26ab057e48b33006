# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of a balancer, read and installed in the visit that configures it: no facts, no visit of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..linux import packages
from ..model.errors import PhotonError


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
            f"haproxy_packages.{manager.name}: is missing, and this host installs with {manager.name}",
        )
    there = manager.read(wanted)
    return [name for name in wanted if there[name].version is None or not there[name].whole]


def install(names: Sequence[str]) -> None:
    """Install these; PhotonError PackageNotFound, PackageInstallFailed or DiskFull."""
    if names:
        packages.manager().install(dict.fromkeys(names, "present"), None, refresh=False)
