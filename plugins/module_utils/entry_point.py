# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared code of the modules: common arguments, the call of the service, the result."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from ansible.module_utils.basic import AnsibleModule

from .model.declaration import ITEMS, argument_spec
from .model.errors import PhotonError
from .services import run
from .services.context import Options

Spec = dict[str, dict[str, Any]]
Work = Callable[[run.Request], dict[str, Any]]


class Shape(NamedTuple):
    """A module of one kind: the scope of its items, whether it is required, the nested items that it omits, and options
    that it has besides those of all modules."""

    scope: tuple[str, ...] = ()
    scope_required: bool = True
    leave_out: tuple[str, ...] = ()
    more: Spec | None = None


READING: Spec = {
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
    "base_directory": {"type": "path"},
}
CHANGING: Spec = {
    **READING,
    "result": {"type": "str", "choices": ["summary", "full"], "default": "summary"},
    "diff_limit": {"type": "int"},
}
OWNING: Spec = {"site": {"type": "str"}, "wait_for_runs": {"type": "int", "default": 600}}
TARGETED: Spec = {"only": {"type": "list", "elements": "str", "default": []}}
PLACING: Spec = {
    "policy": {"type": "str", "choices": ["spread", "pack", "photon"], "default": "spread"},
    "quality": {"type": "str", "choices": ["normal", "optimal"], "default": "normal"},
    "seed": {"type": "int", "default": 0},
    "atomic": {"type": "bool", "default": False},
    "default_port_group": {"type": "str"},
    "max_recreates": {"type": "int", "default": 10},
    "wait_for_addresses": {"type": "int", "default": 30},
    "cloudstore_new": {"type": "bool", "default": False},
}
DISK_BACKING: Spec = {"disk_backing": {"type": "str", "choices": ["auto", "fcd", "vmdk"], "default": "auto"}}
KINDS: dict[str, Shape] = {
    "tenant": Shape(leave_out=("projects",), more=TARGETED),
    "project": Shape(scope=("tenant",), leave_out=("images", "vms", "disks"), more=TARGETED),
    "flavor": Shape(),
    "zone": Shape(),
    "host": Shape(),
    "image": Shape(scope=("tenant", "project"), scope_required=False),
    "vm": Shape(scope=("tenant", "project"), more={**PLACING, **TARGETED}),
    "disk": Shape(scope=("tenant", "project"), more={**DISK_BACKING, **TARGETED}),
}
_SECRET = ("metadata", "declaration")  # kept out of the system log as a whole


def run_kind(kind: str) -> None:
    """The main function of a module of one kind: one item by ``name`` or many by the list named after the kind."""
    shape, plural = KINDS[kind], f"{kind}s"
    item = item_spec(kind)
    module = AnsibleModule(
        argument_spec=kind_spec(kind),
        mutually_exclusive=[("name", plural)],
        required_one_of=[("name", plural)],
        required_together=[] if shape.scope_required or not shape.scope else [shape.scope],
        supports_check_mode=True,
    )
    params = module.params
    scope = {name: params[name] or "" for name in shape.scope}
    if params[plural] is None:
        items = [{key: params[key] for key in item}]
        finish(module, lambda request: run.run_items(kind, items, request, scope=scope), one=f"{plural}[0].")
        return
    misplaced = [key for key, spec in item.items() if params[key] is not None and params[key] != spec.get("default")]
    if misplaced:
        module.fail_json(
            msg=f"{', '.join(misplaced)} belong to a single item: move them into the items of {plural}",
            error_code="SpecInvalid",
        )
    finish(module, lambda request: run.run_items(kind, params[plural], request, root=plural, scope=scope))


def item_spec(kind: str) -> Spec:
    """The arguments of one item."""
    return _hidden(argument_spec(ITEMS[kind], KINDS[kind].leave_out))


def kind_spec(kind: str) -> Spec:
    """The arguments of a kind's module."""
    shape, item = KINDS[kind], item_spec(kind)
    single = {key: {k: v for k, v in spec.items() if k != "required"} for key, spec in item.items()}
    scope: Spec = {
        name: {"type": "str", "required": True} if shape.scope_required else {"type": "str"} for name in shape.scope
    }
    plural = {f"{kind}s": {"type": "list", "elements": "dict", "options": item}}
    return {**scope, **single, **plural, **CHANGING, **OWNING, **(shape.more or {})}


def finish(module: AnsibleModule, work: Work, *, one: str = "", **request: Any) -> None:
    """Call the service and exit with its outcome; what a user can fix never shows a traceback.

    ``one`` is the start of key paths that a module of a single item omits; ``request`` overrides the fields of
    the Request that the common arguments make.
    """
    outcome, error, bug = _outcome(module, lambda: work(request_of(module, **request)))
    answer = {key: value for key, value in outcome.items() if key not in ("warnings", "diff")}
    for line in outcome.get("warnings", []):
        module.warn(line)
    if module._diff and outcome.get("diff"):
        answer["diff"] = outcome["diff"]
    if error is None:
        leave(module, answer)
        return
    message, data, answer = _without(one, [error.message, error.data, answer])
    leave(module, answer, {"msg": message, "error_code": error.code, "error_data": data, **bug})


def answer_with(module: AnsibleModule, work: Callable[[], dict[str, Any]]) -> None:
    """As ``finish``, for what changes nothing and has no items."""
    outcome, error, bug = _outcome(module, work)
    for line in outcome.pop("warnings", []):
        module.warn(line)
    if error is None:
        leave(module, {"changed": False, **outcome})
        return
    leave(module, {"changed": False}, {"msg": error.message, "error_code": error.code, "error_data": error.data, **bug})


def leave(module: AnsibleModule, answer: dict[str, Any], failure: dict[str, Any] | None = None) -> None:
    """Exit or fail. The arguments are repeated in brief; of their values only secrets are masked in the answer."""
    module.no_log_values = {text for text in _secrets(module.params) if text}
    answer["invocation"] = {"module_args": {key: _brief(value) for key, value in module.params.items()}}
    if failure is None:
        module.exit_json(**answer)
    else:
        module.fail_json(**failure, **answer)


def request_of(module: AnsibleModule, **changes: Any) -> run.Request:
    """The service's request from the common arguments."""
    params = module.params
    given = {option.name: params[option.name] for option in fields(Options) if params.get(option.name) is not None}
    values = {
        "cloudstore_url": params["cloudstore_url"],
        "allow_ephemeral": params["cloudstore_allow_ephemeral"],
        "act_as": params["act_as"],
        "credentials": params["credentials"] or {},
        "check": module.check_mode,
        "result": params.get("result", "summary"),
        "diff_limit": params.get("diff_limit"),
        "site": params.get("site"),
        "only": params.get("only") or (),
        "by": os.environ.get("PHOTON_RUN_ID", "") or f"module {module._name}",
        "options": Options(**{"base_directory": os.getcwd(), **given}),
    }
    return run.Request(**{**values, **changes})


def read_json(path: str) -> Any:
    """Read a saved plan. Raises SpecInvalid."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a plan"
        raise PhotonError(
            "SpecInvalid", f"the saved plan {path} cannot be read ({reason}): make one with photon-plan -o {path}"
        ) from error


def _outcome(
    module: AnsibleModule, work: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], PhotonError | None, dict[str, str]]:
    try:
        outcome = work()
        return outcome, run.failed(outcome, module.check_mode) if "failures" in outcome else None, {}
    except PhotonError as fatal:
        return {"changed": False}, fatal, {}
    except Exception as bug:  # noqa: BLE001 - the last place that can report a bug of the platform
        error = PhotonError("InternalError", f"a bug in the platform, please report it: {type(bug).__name__}: {bug}")
        return {"changed": False}, error, {"exception": traceback.format_exc()}


def _hidden(spec: Spec) -> Spec:
    for name in _SECRET:
        if name in spec:
            spec[name]["no_log"] = True
    if "options" in spec.get("metadata", {}):
        spec["metadata"]["options"]["ssh_keys"]["no_log"] = False  # public keys
    return spec


def _secrets(value: Any, key: str = "") -> Iterator[str]:
    """Yield passwords and user-data, wherever they are among the arguments."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield from _secrets(member, str(name))
    elif isinstance(value, list):
        for member in value:
            yield from _secrets(member)
    elif key in ("password", "user_data") and isinstance(value, str):
        yield value


def _brief(value: Any) -> Any:
    if isinstance(value, (Mapping, list)):
        return f"{len(value)} members"
    return value


def _without(prefix: str, value: Any) -> Any:
    """Shorten key paths to those that the user of a single item wrote."""
    if not prefix:
        return value
    if isinstance(value, str):
        return value.replace(prefix, "").replace(f" ({prefix[:-1]})", "")
    if isinstance(value, Mapping):
        return {key: _without(prefix, member) for key, member in value.items()}
    return [_without(prefix, member) for member in value] if isinstance(value, list) else value
