# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action kubernetes_clusters: entry point to the declaration (documented in modules/kubernetes_clusters.yml)."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.kubernetes import declaration
from ..module_utils.model.errors import PhotonError
from ..plugin_utils.bundles import read_bundle
from ..plugin_utils.controller import failure, plain, read_file


class ActionModule(ActionBase):
    """Check all clusters on the controller and choose one; nothing runs on a host."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the cluster, or one failure with every mistake of the declaration."""
        result, variables = super().run(tmp, task_vars), task_vars or {}
        given = plain(self._task.args)
        groups = {name: list(hosts) for name, hosts in variables["groups"].items()}
        try:
            clusters = declaration.read_clusters(
                given["declared"], groups, variables["hostvars"], read_file, read_bundle
            )
            cluster = declaration.select(clusters, given.get("name") or "")
        except PhotonError as error:
            return {**result, **failure(error)}
        return {**result, "cluster": cluster}
