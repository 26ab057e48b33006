# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The types of a declaration's values, and the checker that converts a declared mapping to its normal form.

A schema is a mapping of key to Field. The checker goes on after a mistake, so that a user reads all of them at once.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .. import authorization, flavors, names, quota, units
from ..errors import PhotonError

Schema = Mapping[str, "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """One key: ``type`` (a key of TYPES), its possible values, and its meaning.

    ``required`` is True, False or "create": needed only for an entity that does not exist yet. ``default`` replaces
    an omitted key. Where there is none, ``initial`` does in a declared tree, which holds the whole intent; in a module
    of one kind an omitted key stays as it is (None), and only a new entity gets ``initial``. ``elements`` is the type
    of a list's members, ``options`` the schema of a mapping (or of the mappings in a list). ``secret``: no message
    shows its value.
    """

    type: str
    description: str
    required: bool | str = False
    default: Any = None
    initial: Any = None
    choices: tuple[str, ...] = ()
    elements: str = ""
    options: Schema | None = None
    minimum: float | None = None
    maximum: float | None = None
    code: str = "SpecInvalid"
    secret: bool = False

    def shown(self, value: Any) -> str:
        """``value`` for a message; only its type where it may hold a secret."""
        if self.secret:
            return next((words for cls, words in _TYPE_NAMES.items() if isinstance(value, cls)), "this value")
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:57]}..."


_TYPE_NAMES = {
    bool: "a boolean",
    str: "a text",
    int: "a number",
    float: "a number",
    list: "a list",
    Mapping: "a mapping",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to correct, at a key path of the declaration."""

    path: str
    message: str
    code: str = "SpecInvalid"

    def to_dict(self) -> dict[str, str]:
        return {"path": self.path, "message": self.message, "code": self.code}


@dataclass(slots=True)
class Checker:
    """Checks values and collects the mistakes.

    ``complete``: the items are a site's whole intent (see Field).
    """

    complete: bool = True
    mistakes: list[Mistake] = field(default_factory=list)
    _reported: set[Mistake] = field(default_factory=set)

    def add(self, path: str, message: str, code: str = "SpecInvalid") -> None:
        mistake = Mistake(path, message, code)
        if mistake not in self._reported:  # the members of a range have the same mistakes
            self._reported.add(mistake)
            self.mistakes.append(mistake)

    def mapping(self, schema: Schema, value: Any, path: str, spec: Field | None = None) -> dict[str, Any]:
        """``value`` with every key of the schema: checked, converted, or the default. None counts as omitted."""
        if not isinstance(value, Mapping):
            shown = (spec or Field("mapping", "")).shown(value)
            self.add(path, f"must be a mapping, not {shown}: write {_example(schema)}")
            return {key: spec.default for key, spec in schema.items()}
        meant: set[str] = set()
        for key in value:
            if key not in schema:
                meant.update([closest(str(key), schema)] if closest(str(key), schema) else [])
                self.add(join(path, str(key)), f"unknown key{did_you_mean(str(key), schema)}")
        absent = value.get("state") == "absent" and "state" in schema
        result: dict[str, Any] = {}
        for key, spec in schema.items():
            given = value.get(key)
            if given is not None:
                result[key] = self.value(spec, given, join(path, key))
                continue
            result[key] = self.omitted(spec)
            required = spec.required is True or (spec.required == "create" and self.complete and not absent)
            if required and key not in meant:  # the unknown key is the mistake, not the missing one
                self.add(join(path, key), f"missing: {spec.description}", spec.code)
        return result

    def omitted(self, spec: Field) -> Any:
        """The value of an omitted key; for a mapping, its options' defaults where it has some."""
        options = (spec.options or {}).values() if spec.type == "mapping" else ()
        if any(option.default is not None for option in options):
            return {key: option.default for key, option in (spec.options or {}).items()}
        return copy.copy(spec.initial if self.complete and spec.default is None else spec.default)

    def value(self, spec: Field, given: Any, path: str) -> Any:
        """One converted value; None after a mistake."""
        before = len(self.mistakes)
        try:
            converted = TYPES[spec.type](self, spec, given, path)
        except PhotonError as error:
            self.add(path, error.message, error.code)
            return None
        if len(self.mistakes) == before and not spec.options and (character := _unusable(given)):
            self.add(path, f"must not have the character U+{ord(character):04X}, which vSphere cannot store", spec.code)
        if len(self.mistakes) == before and spec.choices:
            for choice in converted if isinstance(converted, list) else [converted]:
                if choice not in spec.choices:
                    self.add(
                        path,
                        f"{choice!r} is not valid here: choose one of {', '.join(spec.choices)}"
                        f"{did_you_mean(str(choice), spec.choices, '; ')}",
                        spec.code,
                    )
        return converted


def join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def did_you_mean(word: str, known: Any, separator: str = ": ") -> str:
    """``": did you mean 'flavor'?"`` or an empty string."""
    meant = closest(word, known)
    return f"{separator}did you mean {meant!r}?" if meant else ""


def closest(word: str, known: Any) -> str | None:
    """Return the known word that was probably meant: a synonym, or the most similar."""
    known = list(known)
    synonym = _SYNONYMS.get(word.lower())
    if synonym in known:
        return synonym
    lower = {name.lower(): name for name in reversed(known)}
    close = difflib.get_close_matches(word, known, 3)
    close = close or [lower[name] for name in difflib.get_close_matches(word.lower(), list(lower), 3)]
    replaced = (name for name in close if len(name) == len(word) and _differences(name, word) == 1)
    found = next(replaced, close[0] if close else _near_synonym(word.lower(), known))
    return None if found == word else found


def _near_synonym(word: str, known: list[str]) -> str | None:
    """``runing`` is nearly ``running``, which means ``started``."""
    synonyms = [synonym for synonym, meant in _SYNONYMS.items() if meant in known]
    near = difflib.get_close_matches(word, synonyms, 1, cutoff=0.8)
    return _SYNONYMS[near[0]] if near else None


def _differences(first: str, second: str) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))


# What people write who come from elsewhere.
_SYNONYMS = {
    "networks": "port_groups",
    "subnets": "port_groups",
    "network": "port_groups",
    "template": "image",
    "source_image": "image",
    "sourceimageid": "image",
    "size": "flavor",
    "availability_zone": "zone",
    "availabilityzone": "zone",
    "attached_disks": "disks",
    "hostname": "address",
    "type": "kind",
    "limits": "quota",
    "percent": "quota_percent",
    "subdivide_percentage": "quota_percent",
    "capacity_gb": "capacity",
    "capacitygb": "capacity",
    "size_gb": "capacity",
    "userdata": "user_data",
    "replication_type": "replication",
    "path": "file",
    "source": "file",
    "power_state": "state",
    "running": "started",
    "poweredon": "started",
    "powered_on": "started",
    "on": "started",
    "poweredoff": "stopped",
    "powered_off": "stopped",
    "off": "stopped",
    "deleted": "absent",
    "removed": "absent",
}


# What XML 1.0, the language of vSphere's API, has no way to write.
_UNUSABLE = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def _unusable(value: Any) -> str | None:
    """The first character in a value, or in its keys and members, that cannot be sent to vSphere."""
    if isinstance(value, str):
        found = _UNUSABLE.search(value)
        return found.group() if found else None
    members = [*value, *value.values()] if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return next((character for member in members if (character := _unusable(member))), None)


def _text(checker: Checker, spec: Field, given: Any, path: str) -> str:
    if isinstance(given, str) and given.strip():
        return given
    shown = "an empty one" if isinstance(given, str) else spec.shown(given)
    raise PhotonError(spec.code, f"must be text, not {shown}{_as_text(given, path)}")


def _optional_text(checker: Checker, spec: Field, given: Any, path: str) -> str:
    """Text, or an empty one that means none."""
    return "" if given == "" else _text(checker, spec, given, path)


def _as_text(given: Any, path: str) -> str:
    """How to write in YAML what was meant as text."""
    if isinstance(given, (Mapping, list)):
        key = path.rpartition(".")[2]
        return f": write a block, '{key}: |', and indent the lines of the text below it"
    return ": put it in quotes" if isinstance(given, (bool, int, float)) else ""


def _thumbprint(checker: Checker, spec: Field, given: Any, path: str) -> str:
    """A certificate's fingerprint as browsers and openssl show it: SHA-256, or an older one of SHA-1, or SHA-512."""
    if isinstance(given, str) and _HEXADECIMAL.fullmatch(given.replace(":", "").replace(" ", "")):
        return given
    raise PhotonError(
        spec.code,
        f"{spec.shown(given)} is not a SHA-256 fingerprint (64 hexadecimal digits): show the server's with "
        "'openssl s_client -connect ADDRESS:443 </dev/null | openssl x509 -noout -fingerprint -sha256'",
    )


_HEXADECIMAL = re.compile("(?:[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{128})")


def _name(checker: Checker, spec: Field, given: Any, path: str) -> str:
    return names.check(given)


def _name_range(checker: Checker, spec: Field, given: Any, path: str) -> list[str]:
    """A name or a range of names, as a list."""
    if not isinstance(given, str):
        return [names.check(given)]
    expanded = names.expand(given)
    for name in expanded:
        names.check(name)
    return expanded


def _text_range(checker: Checker, spec: Field, given: Any, path: str) -> list[str]:
    return names.expand(_text(checker, spec, given, path))


def _vm_range(checker: Checker, spec: Field, given: Any, path: str) -> list[str]:
    """The name of a VM or a range, as a list; an empty text means none. A path is not of this project.

    Raises InvalidOperation for a path, and as names.check.
    """
    if given == "":
        return [""]
    if isinstance(given, str) and "/" in given:
        raise PhotonError(
            "InvalidOperation",
            f"{given!r} is a path: a disk can only be attached to a VM of its own project; write the VM's name alone",
        )
    return _name_range(checker, spec, given, path)


def _boolean(checker: Checker, spec: Field, given: Any, path: str) -> bool:
    value = _BOOLEANS.get(given.strip().lower()) if isinstance(given, str) else given
    if isinstance(value, bool):
        return value
    raise PhotonError(spec.code, f"must be true or false, not {spec.shown(given)}")


_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _number(checker: Checker, spec: Field, given: Any, path: str) -> float | int:
    whole = spec.type == "int"
    try:
        if isinstance(given, bool) or not isinstance(given, (int, float, str)):
            raise ValueError
        value = int(str(given)) if whole else float(given)
    except ValueError:
        message = f"must be a {'whole ' if whole else ''}number, not {spec.shown(given)}"
        raise PhotonError(spec.code, message) from None
    if not (spec.minimum is None or value >= spec.minimum) or not (spec.maximum is None or value <= spec.maximum):
        bounds = [f"at least {spec.minimum:g}"] if spec.minimum is not None else []
        bounds += [f"at most {spec.maximum:g}"] if spec.maximum is not None else []
        raise PhotonError(spec.code, f"{given} is out of range: {' and '.join(bounds)}")
    return value


def _capacity(checker: Checker, spec: Field, given: Any, path: str) -> int:
    amount, unit = units.parse(given, "GB")
    if unit not in units.BYTES or amount < (spec.minimum or 0):
        raise PhotonError(spec.code, f'must be the size of a disk, not {spec.shown(given)}: write for example "20 GB"')
    return amount


def _entries(spec: Field, given: Any, example: str = "") -> dict[str, Any]:
    """The entries of a mapping, its keys as text."""
    if not isinstance(given, Mapping):
        hint = f": write {example}" if example else ""
        raise PhotonError(spec.code, f"must be a mapping, not {spec.shown(given)}{hint}")
    return {str(key): value for key, value in given.items()}


def _quota(checker: Checker, spec: Field, given: Any, path: str) -> dict[str, tuple[int, str]]:
    parsed = {}
    for key, text in _entries(spec, given, "{vm.count: 10, vm.memory: 40 GB}").items():
        try:
            parsed[key] = quota.parse(key, text)
        except PhotonError as error:
            checker.add(join(path, key), error.message, error.code)
    return parsed


def _cost(checker: Checker, spec: Field, given: Any, path: str) -> dict[str, Any]:
    """Check only that it is a mapping: its rules depend on the flavor's kind."""
    return _entries(spec, given, "{vm.cpu: 2, vm.memory: 4 GB}")


def _flavor_kind(checker: Checker, spec: Field, given: Any, path: str) -> str:
    return flavors.check_kind(given)


def _security_group(checker: Checker, spec: Field, given: Any, path: str) -> str:
    return authorization.check_group(given)


def _strings(checker: Checker, spec: Field, given: Any, path: str) -> dict[str, str]:
    """A mapping of text to text; numbers and booleans become text."""
    result = {}
    for key, value in _entries(spec, given).items():
        if isinstance(value, (Mapping, list)) or value is None:
            checker.add(join(path, key), f"must be text, not {spec.shown(value)}", spec.code)
        else:
            result[key] = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return result


def _free(checker: Checker, spec: Field, given: Any, path: str) -> dict[str, Any]:
    """A mapping that is passed on unchanged."""
    return _entries(spec, given)


def _mapping(checker: Checker, spec: Field, given: Any, path: str) -> Any:
    return checker.mapping(spec.options or {}, given, path, spec)


def _adapter(checker: Checker, spec: Field, given: Any, path: str) -> dict[str, Any]:
    """A port group's name, or a mapping with it."""
    row = given if isinstance(given, Mapping) else {"name": given}
    return checker.mapping(spec.options or {}, row, path)


def _credentials(checker: Checker, spec: Field, given: Any, path: str) -> dict[str, Any]:
    """``{name: {username, password}}``; no message shows a value, nor an unknown key, which may be one."""
    entries = _entries(spec, given, _CREDENTIAL)
    for name, entry in entries.items():
        if not isinstance(entry, Mapping):
            checker.add(join(path, name), f"must be a mapping, not {spec.shown(entry)}: write {_CREDENTIAL}")
        elif set(entry) - {"username", "password"}:
            checker.add(join(path, name), f"has unknown keys: write {_CREDENTIAL}")
    return entries


_CREDENTIAL = "name: {username: ..., password: ...}"


def _list(checker: Checker, spec: Field, given: Any, path: str) -> list[Any]:
    if not isinstance(given, (list, tuple)):
        example = _example(spec.options) if spec.options else "..."
        raise PhotonError(spec.code, f"must be a list, not {spec.shown(given)}: write [{example}]")
    if spec.minimum and len(given) < spec.minimum:
        checker.add(path, f"must have at least {spec.minimum:g} member", spec.code)
    member = Field(spec.elements, spec.description, options=spec.options, code=spec.code, secret=spec.secret)
    check: Callable[..., Any] = TYPES[spec.elements]
    result = []
    for index, element in enumerate(given):
        try:
            converted = check(checker, member, element, f"{path}[{index}]")
        except PhotonError as error:
            checker.add(f"{path}[{index}]", error.message, error.code)
            continue
        if spec.elements == "mapping":
            converted["path"] = f"{path}[{index}]"
        elif converted in result:
            checker.add(f"{path}[{index}]", f"{spec.shown(element)} is listed twice", spec.code)
        result.append(converted)
    return result


TYPES: dict[str, Callable[[Checker, Field, Any, str], Any]] = {
    "text": _text,
    "name": _name,
    "name_range": _name_range,
    "text_range": _text_range,
    "thumbprint": _thumbprint,
    "vm_range": _vm_range,
    "optional_text": _optional_text,
    "boolean": _boolean,
    "int": _number,
    "number": _number,
    "capacity": _capacity,
    "quota": _quota,
    "cost": _cost,
    "flavor_kind": _flavor_kind,
    "security_group": _security_group,
    "strings": _strings,
    "free": _free,
    "credentials": _credentials,
    "adapter": _adapter,
    "mapping": _mapping,
    "list": _list,
}


def _example(schema: Schema) -> str:
    keys = [key for key, spec in schema.items() if spec.required] or list(schema)[:2]
    return "{" + ", ".join(f"{key}: ..." for key in keys) + "}"
