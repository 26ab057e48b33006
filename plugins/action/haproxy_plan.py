# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action haproxy_plan: entry point to the tool haproxy on the controller (documented in modules/haproxy_plan.yml)."""

from __future__ import annotations

import datetime
import os
from typing import Any

import yaml
from ansible.plugins.action import ActionBase

from ..module_utils.haproxy import plan
from ..module_utils.model.errors import PhotonError
from ..plugin_utils.controller import failure, plain


class ActionModule(ActionBase):
    """Check a declaration and return the files of all balancers; nothing runs on a host."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the plan, or one failure with every mistake of the declaration."""
        result = super().run(tmp, task_vars)
        variables = task_vars or {}
        groups = {name: list(hosts) for name, hosts in variables["groups"].items()}
        role = str(self._task.args["role_path"])
        declaration = plain(self._task.args["declaration"])
        declaration["ready_made"] = _read(role, "vars/platform_services.yml")["__haproxy_platform_services"]

        def address_of(host: str) -> str:
            known = variables["hostvars"][host]
            return str(known.get("haproxy_address") or known.get("ansible_host") or host)

        try:
            complete = plan.with_platform_services(declaration, groups)
            contract = _read(role, "meta/argument_specs.yml")["argument_specs"]
            return {**result, **plan.build(complete, contract, groups, address_of, datetime.datetime.now(datetime.UTC))}
        except PhotonError as error:
            return {**result, **failure(error)}


def _read(role: str, path: str) -> dict[str, Any]:
    with open(os.path.join(role, path), encoding="utf-8") as handle:
        return yaml.safe_load(handle)
