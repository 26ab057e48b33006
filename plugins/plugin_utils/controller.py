# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared code of plugins in Ansible's own process: plain values, options, the call of a service."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ansible.errors import AnsibleError

from ..module_utils.kubernetes import bundle
from ..module_utils.model.errors import PhotonError
from ..module_utils.services import run
from ..module_utils.services.context import Context, Options

Answer = TypeVar("Answer")


def plain(value: Any) -> Any:
    """Convert tagged, lazy and vaulted values to Python's own types."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(member) for member in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return str(value)


def templated(names: list[str], variables: Mapping[str, Any] | None, templar: Any) -> dict[str, Any]:
    """Resolve these variables for ``set_options(var_options=...)``."""
    return {name: templar.template(variables[name]) for name in names if variables and name in variables}


def ask(options: Mapping[str, Any], work: Callable[[Context], Answer]) -> Answer:
    """Call a service that only reads, with a plugin's options (see the fragment ``store``). Raises AnsibleError."""
    values = plain(dict(options))
    request = run.Request(
        cloudstore_url=values.get("cloudstore_url"),
        allow_ephemeral=bool(values.get("cloudstore_allow_ephemeral")),
        act_as=values.get("act_as"),
        credentials=values.get("credentials") or {},
        options=Options(base_directory=values.get("base_directory") or os.getcwd()),
    )
    try:
        with run.reading(request) as context:
            return work(context)
    except PhotonError as error:
        raise AnsibleError(str(error)) from error


def read_file(name: str) -> str:
    """Return the text of a file on the controller."""
    return pathlib.Path(name).expanduser().read_text(encoding="utf-8")


def read_bundle(name: str) -> dict[str, Any]:
    """Return the manifest of a bundle on the controller."""
    return bundle.read_manifest(str(pathlib.Path(name).expanduser()))


def failure(error: PhotonError) -> dict[str, Any]:
    """Return an action's result for an error."""
    return {"failed": True, "msg": error.message, "error_code": error.code, "error_data": error.data}
