# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate data against a part of a role's argument_specs.yml, reporting the key path of every mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .rules import rule


def check(options: Mapping[str, Any], value: Any, path: str, key: str, problems: list[str]) -> dict[str, Any]:
    """Return ``value`` with types converted and defaults filled in as ``options`` (name -> type, elements ...) specify.

    Append each mistake to ``problems`` as one line that begins with its key path below ``path``. ``key`` names the
    structure (``service``, ``service.bind``) in the table of rules.
    """
    if not isinstance(value, Mapping):
        problems.append(f"{path}: must be a mapping, got {value!r}")
        return {}
    known = ", ".join(sorted(options))
    problems.extend(f"{path}.{name}: unknown key, must be one of {known}" for name in value if name not in options)
    result: dict[str, Any] = {}
    for name, option in options.items():
        here, place = f"{path}.{name}", f"{key}.{name}"
        if value.get(name) is not None:
            result[name] = convert(option, value[name], here, place, problems)
        elif option.get("required"):
            problems.append(f"{here}: is missing")
        elif "options" in option and option.get("type") == "dict" and "default" in option:
            result[name] = check(option["options"], option["default"], here, place, problems)
        else:
            result[name] = option.get("default")
    return result


def convert(option: Mapping[str, Any], value: Any, path: str, key: str, problems: list[str]) -> Any:
    """Return a value converted to the option's type; append what is wrong with it to ``problems``."""
    kind = option.get("type", "str")
    if kind == "list":
        if not isinstance(value, (list, tuple)):
            problems.append(f"{path}: must be a list, got {value!r}")
            return []
        element = {**option, "type": option.get("elements", "str")}
        return [convert(element, item, f"{path}[{index}]", key, problems) for index, item in enumerate(value)]
    if kind == "dict":
        if "options" in option:
            return check(option["options"], value, path, key, problems)
        if not isinstance(value, Mapping):
            problems.append(f"{path}: must be a mapping, got {value!r}")
            return {}
        return value
    converted = _scalar(kind, value)
    if converted is None:
        problems.append(f"{path}: must be {_NAMES[kind]}, got {value!r}")
    elif option.get("choices"):
        problems += _chosen(option["choices"], converted, path)
    else:
        problems += [f"{path}: {complaint}" for complaint in [rule(key, kind)(converted)] if complaint]
    return converted


def _chosen(choices: Sequence[Any], value: Any, path: str) -> list[str]:
    return [] if value in choices else [f"{path}: must be one of {', '.join(map(str, choices))}, got {value!r}"]


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
