# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate data against a part of a role's argument_specs.yml, reporting the key path of every mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check(options: Mapping[str, Any], value: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Return ``value`` with types converted and defaults filled in as ``options`` (name -> type, elements ...) specify.

    Append each mistake to ``problems`` as one line that begins with its key path below ``path``.
    """
    if not isinstance(value, Mapping):
        problems.append(f"{path}: must be a mapping, got {value!r}")
        return {}
    known = ", ".join(sorted(options))
    problems.extend(f"{path}.{key}: unknown key, must be one of {known}" for key in value if key not in options)
    result: dict[str, Any] = {}
    for key, option in options.items():
        if value.get(key) is not None:
            result[key] = _convert(option, value[key], f"{path}.{key}", problems)
        elif option.get("required"):
            problems.append(f"{path}.{key}: is missing")
        elif "options" in option and option.get("type") == "dict" and "default" in option:
            result[key] = check(option["options"], option["default"], f"{path}.{key}", problems)
        else:
            result[key] = option.get("default")
    return result


def _convert(option: Mapping[str, Any], value: Any, path: str, problems: list[str]) -> Any:
    kind = option.get("type", "str")
    if kind == "list":
        if not isinstance(value, (list, tuple)):
            problems.append(f"{path}: must be a list, got {value!r}")
            return []
        element = {**option, "type": option.get("elements", "str")}
        return [_convert(element, item, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    if kind == "dict":
        if "options" in option:
            return check(option["options"], value, path, problems)
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a mapping, got {value!r}")
        return value
    converted = _scalar(kind, value)
    if converted is None:
        problems.append(f"{path}: must be {_NAMES[kind]}, got {value!r}")
    elif option.get("choices") and converted not in option["choices"]:
        problems.append(f"{path}: must be one of {', '.join(map(str, option['choices']))}, got {converted!r}")
    elif kind == "str" and "extra" not in path and any(c in converted for c in "\n\r"):
        problems.append(f"{path}: must not contain a line break")
    return converted


_NAMES = {"int": "an integer", "bool": "true or false", "float": "a number", "str": "a string", "raw": "a value"}
_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _scalar(kind: str, value: Any) -> Any:
    """Return the value converted to its kind, or None when it cannot be converted."""
    if kind == "raw":
        return value
    if kind == "bool":
        return value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    if isinstance(value, (bool, Mapping, list)):
        return None
    if kind == "str":
        return str(value)
    try:
        return int(str(value)) if kind == "int" else float(value)
    except ValueError:
        return None
