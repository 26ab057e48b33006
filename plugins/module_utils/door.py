# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules share: the common arguments, the call of the service, the report. A module adds its words."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from .model.declaration import ITEMS, argument_spec
from .model.errors import PhotonError
from .services import site_run
from .services.context import Options

COMMON: dict[str, Any] = {
    "cloudstore_url": {"type": "str"},
    "cloudstore_allow_ephemeral": {"type": "bool", "default": False},
    "credentials": {"type": "dict", "no_log": True},
    "act_as": {
        "type": "dict",
        "options": {
            "user": {"type": "str", "required": True},
            "groups": {"type": "list", "elements": "str", "default": []},
        },
    },
    "site": {"type": "str", "default": "site"},
    "base_directory": {"type": "path"},
    "result": {"type": "str", "choices": ["summary", "full"], "default": "summary"},
    "diff_limit": {"type": "int", "default": 50},
}
PLACING: dict[str, Any] = {
    "policy": {"type": "str", "choices": ["spread", "pack"], "default": "spread"},
    "seed": {"type": "int", "default": 0},
    "atomic": {"type": "bool", "default": False},
    "default_port_group": {"type": "str"},
}


def run_kind(kind: str, *, scope: tuple[str, ...] = (), leave_out: tuple[str, ...] = (), placing: bool = False) -> None:
    """The main function of a module of one kind: one item by ``name`` or many by the list named after the kind.

    ``scope`` names the arguments that all items live in (``tenant``, ``project``).
    """
    plural = f"{kind}s"
    item = argument_spec(ITEMS[kind], leave_out)
    single = {key: {k: v for k, v in spec.items() if k != "required"} for key, spec in item.items()}
    module = AnsibleModule(
        argument_spec={
            **single,
            **COMMON,
            **(PLACING if placing else {}),
            **{name: {"type": "str"} for name in scope},
            plural: {"type": "list", "elements": "dict", "options": item},
        },
        mutually_exclusive=[("name", plural)],
        required_one_of=[("name", plural)],
        supports_check_mode=True,
    )
    params = module.params
    items = params[plural]
    if items is None:
        items, root = [{key: params[key] for key in item}], ""
    else:
        root = plural
    missing = [name for name in scope if not params[name]] if kind != "image" else []
    if missing:
        module.fail_json(msg=f"say which {' and '.join(missing)} the {plural} live in")
    inside = {name: params[name] or "" for name in scope}
    finish(module, lambda request: site_run.run_items(kind, items, request, root=root, scope=inside))


def finish(module: AnsibleModule, work: Any, whole: bool = False, saved: Any = None) -> None:
    """Call the service and leave the module with its outcome; nobody sees a traceback for what a user can mend."""
    try:
        outcome = work(request_of(module, whole, saved))
        error = site_run.failed(outcome)
    except PhotonError as fatal:
        outcome, error = {"changed": False, "failures": [], "counts": {}}, fatal
    answer = {key: value for key, value in outcome.items() if key not in ("warnings", "diff")}
    for line in outcome.get("warnings", []):
        module.warn(line)
    if module._diff and outcome.get("diff"):
        answer["diff"] = outcome["diff"]
    if error is not None:
        module.fail_json(msg=error.message, error_code=error.code, error_data=error.data, **answer)
    module.exit_json(**answer)


def request_of(module: AnsibleModule, whole: bool, saved: Any) -> site_run.Request:
    params = module.params
    return site_run.Request(
        cloudstore_url=params["cloudstore_url"],
        allow_ephemeral=params["cloudstore_allow_ephemeral"],
        act_as=params["act_as"],
        credentials=params["credentials"] or {},
        check=module.check_mode,
        whole=whole,
        result=params["result"],
        diff_limit=params["diff_limit"],
        saved=saved,
        site=params["site"],
        by=os.environ.get("PHOTON_RUN_ID", "") or f"module {module._name}",
        options=Options(
            policy=params.get("policy") or "spread",
            seed=params.get("seed") or 0,
            atomic=bool(params.get("atomic")),
            default_port_group=params.get("default_port_group"),
            base_directory=params["base_directory"] or os.getcwd(),
        ),
    )


def read_json(path: str) -> Any:
    """A saved plan's content. Raises SpecInvalid."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError) as error:
        raise PhotonError("SpecInvalid", f"the saved plan {path} cannot be read: {error}") from error
