# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action of every module on the CloudStore: on the controller itself, run the module out of the installed collection.

Ansible packs a module with all its imports for each run of a playbook, and Python compiles them again on the host.
With a local connection and Ansible's own Python both are here already. In every other case Ansible packs as usual.
meta/runtime.yml names the modules.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from ansible.executor import module_common
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action.normal import ActionModule as NormalAction

_PROFILE = "legacy"  # how Ansible writes arguments for modules
_SCRIPT = """\
import sys
sys.path = [{root!r}] + [path for path in sys.path if path not in ("", ".")]
import runpy
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = {arguments!r}
basic._ANSIBLE_PROFILE = {profile!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
_COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(_COLLECTION)))


class ActionModule(NormalAction):
    """The normal action, with a short script in place of a packed module where that is possible."""

    def _configure_module(self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        """Return the script or the packed module, and the module's path, as ActionBase does."""
        name = f"ansible_collections.photon.platform.plugins.modules.{module_name.rpartition('.')[2]}"
        path = os.path.join(_ROOT, *name.split(".")) + ".py"
        if not (os.path.isfile(path) and self._runs_here(task_vars)):
            return super()._configure_module(module_name, module_args, task_vars)
        encoder = get_module_encoder(_PROFILE, Direction.CONTROLLER_TO_MODULE)
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode()
        script = _SCRIPT.format(root=_ROOT, arguments=arguments, profile=_PROFILE, module=name)
        built = module_common._BuiltModule(
            b_module_data=script.encode(),
            module_style="new",
            shebang=f"#!{sys.executable}",
            serialization_profile=_PROFILE,
        )
        return built, path

    def _runs_here(self, task_vars: dict[str, Any]) -> bool:
        """Tell whether the module would run as this user, on this machine and with this Python."""
        variables = task_vars
        if self._task.delegate_to:
            variables = task_vars["ansible_delegated_vars"][self._task.delegate_to]
        return (
            hasattr(module_common, "_BuiltModule")
            and self._connection.transport == "local"
            and not self._connection.become
            and not self._task.async_val
            and self._templar.template(variables.get("ansible_python_interpreter")) == sys.executable
        )
