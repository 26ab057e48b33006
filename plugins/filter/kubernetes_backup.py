# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_backup: entry point to the tool kubernetes (documented in kubernetes_backup.yml)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes import archive
from ..module_utils.model.errors import PhotonError


def kubernetes_backup(path: str) -> dict[str, Any]:
    """Verify a backup on the controller and return its manifest; AnsibleFilterError."""
    try:
        return archive.verify(os.path.expanduser(str(path)))
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


def kubernetes_backups_superseded(names: Iterable[str], cluster: str, keep: int) -> list[str]:
    """Return the files of a cluster's backups that are older than the ``keep`` newest."""
    return archive.superseded([str(name) for name in names], str(cluster), int(keep))


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {
            "kubernetes_backup": kubernetes_backup,
            "kubernetes_backups_superseded": kubernetes_backups_superseded,
        }
