# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters kubernetes_backup and kubernetes_restore: doors to the tool kubernetes (documented beside this file)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes import archive
from ..module_utils.kubernetes.plans import restore
from ..module_utils.model.errors import PhotonError


def kubernetes_backup(path: str) -> dict[str, Any]:
    """The manifest of a backup on the controller, verified; AnsibleFilterError when it is none."""
    try:
        return archive.verify(os.path.expanduser(str(path)))
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


def kubernetes_restore(
    cluster: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]], manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """What is to do for a cluster to be what a backup holds; AnsibleFilterError with all that forbids to begin."""
    reached = {
        str(host): answer if isinstance(answer, Mapping) and "host" in answer else None
        for host, answer in observed.items()
    }
    try:
        return restore.plan(cluster, reached, manifest)
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Name -> function."""
        return {"kubernetes_backup": kubernetes_backup, "kubernetes_restore": kubernetes_restore}
