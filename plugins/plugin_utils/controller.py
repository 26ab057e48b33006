# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared code of plugins in Ansible's own process: plain values, templates, files. Cheap to import."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError

from ..module_utils.model.errors import PhotonError


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


class Resolver:
    """Resolves the templates in a tree of variables and keeps each failure with its key path."""

    def __init__(self, templar: Any) -> None:
        self.templar = templar
        self.mistakes: dict[str, str] = {}

    def value(self, raw: Any, path: str) -> Any:
        """Return ``raw`` as plain data; None in place of what cannot be resolved."""
        if isinstance(raw, Mapping):
            return {str(key): self.value(member, f"{path}.{key}") for key, member in raw.items()}
        if isinstance(raw, (list, tuple)):
            return [self.value(member, f"{path}[{index}]") for index, member in enumerate(raw)]
        try:
            if isinstance(raw, str) and ("{{" in raw or "{%" in raw):
                return plain(self.templar.template(raw))
            return plain(raw)
        except AnsibleError as error:
            self.mistakes[path] = _reason(error)
            return None


def _reason(error: BaseException) -> str:
    """The innermost message: those around it repeat where the template stands."""
    while isinstance(error.__cause__, AnsibleError):
        error = error.__cause__
    message = getattr(error, "message", "") or str(error)
    if "vault" in message.lower():
        return f"{message} Give the vault's password: --ask-vault-pass or --vault-password-file FILE."
    return message


def templated(names: list[str], variables: Mapping[str, Any] | None, templar: Any) -> dict[str, Any]:
    """Resolve these variables for ``set_options(var_options=...)``."""
    return {name: templar.template(variables[name]) for name in names if variables and name in variables}


def read_file(name: str) -> str:
    """Return the text of a file on the controller."""
    return pathlib.Path(name).expanduser().read_text(encoding="utf-8")


def failure(error: PhotonError) -> dict[str, Any]:
    """Return an action's result for an error."""
    return {"failed": True, "msg": error.message, "error_code": error.code, "error_data": error.data}
