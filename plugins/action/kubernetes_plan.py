# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action kubernetes_plan: entry point to the plans of clusters (documented in modules/kubernetes_plan.yml)."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.kubernetes.plans import verbs
from ..module_utils.model.errors import PhotonError
from ..plugin_utils.controller import failure, plain


class ActionModule(ActionBase):
    """Plan on the controller; nothing runs on a host."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the plan, or one failure with every obstacle."""
        result, given = super().run(tmp, task_vars), plain(self._task.args)
        settings = {key: given[key] for key in ("at_once", "again", "manifest", "updates", "reboot") if key in given}
        try:
            plan = verbs.plan(given["verb"], given["cluster"], given["observed"], given.get("only"), settings)
        except PhotonError as error:
            return {**result, **failure(error)}
        return {**result, **plan}
