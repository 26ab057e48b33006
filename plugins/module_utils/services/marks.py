# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record (``photon.record``) that VMs, images' copies and persistent disks carry in vSphere, as JSON.

A lost CloudStore is rebuilt from it (see rebuild.py). It has names instead of ids, and no secret. In vSphere others can
change it, so nothing in it is trusted: ``decode`` and ``Fields`` refuse what the platform would not have written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from ..model import entities, units
from ..model.entities import Document
from ..model.errors import PhotonError
from .state import CurrentState

VERSION = 1
LONGEST = 1 << 18  # characters; a record has about a thousand
_LONGEST_TEXT = 1000
_MISSING = object()


class Store(Protocol):
    """A CloudStore, or the planning of a run on it: its id, and the tag in the names of its DRS rules."""

    store_id: str | None
    rules_tag: str


def encode(document: Document, fields: Mapping[str, Any], state: CurrentState, store: Store) -> str:
    """Return the record of a resource; ``fields`` are those of its kind. Equal input gives equal text."""
    parents = [each for each in state.chain(document)[:-1] if each.kind in (entities.TENANT, entities.PROJECT)]
    values = {
        "version": VERSION,
        "kind": document.kind,
        "id": document.id,
        "store": store.store_id or "",
        "rules": store.rules_tag,
        "managed_by": document.managed_by,
        "name": document.name,
        **{parent.kind: parent.name for parent in parents},
        **fields,
    }
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def decode(text: str, kind: str) -> Fields:
    """Read a record of this kind. Raises SpecInvalid for what is not one, or is of another version."""
    if len(text) > LONGEST:
        raise _invalid(f"it has {len(text)} characters, and at most {LONGEST} are read")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise _invalid("it is not valid JSON") from None
    if not isinstance(values, dict):
        raise _invalid("it must be a mapping")
    fields = Fields(values)
    if (version := fields.number("version")) != VERSION:
        raise _invalid(f"it has version {version}, and version {VERSION} is read")
    if (found := fields.text("kind")) != kind:
        raise _invalid(f"it is the record of another kind ({found})")
    return fields


class Fields:
    """Typed access to the fields of a record. Raises SpecInvalid for a missing field and for one of another type."""

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        self._values, self._where = values, where

    def has(self, key: str) -> bool:
        """Tell whether a field has a value."""
        return self._values.get(key) is not None

    def text(self, key: str) -> str:
        """Return a printable text."""
        return self._text(key, self._of(key, str))

    def optional(self, key: str) -> str | None:
        """Return a text, or None where there is none."""
        return self.text(key) if self.has(key) else None

    def number(self, key: str) -> int:
        """Return an integer that is not negative."""
        value = self._of(key, int)
        if isinstance(value, bool) or not 0 <= value <= units.MAXIMUM:
            raise self._wrong(key, "an integer that is not negative")
        return int(value)

    def flag(self, key: str) -> bool:
        """Return a boolean."""
        return bool(self._of(key, bool))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self._text(key, each) for each in self._of(key, list))

    def rows(self, key: str) -> list[Fields]:
        """Return a list of mappings."""
        rows = self._of(key, list)
        if not all(isinstance(row, dict) for row in rows):
            raise self._wrong(key, "a list of mappings")
        return [Fields(row, f"{self._where}{key}[{number}].") for number, row in enumerate(rows)]

    def table(self, key: str) -> dict[str, str]:
        """Return a mapping of texts."""
        return {self._text(key, name): self._text(key, value) for name, value in self._of(key, dict).items()}

    def cost(self, key: str) -> dict[str, tuple[int, str]]:
        """Return a cost table, ``{quota key: (amount, unit)}``."""
        table = self._of(key, dict)
        found = {}
        for name, pair in table.items():
            if not isinstance(pair, list) or len(pair) != 2:
                raise self._wrong(f"{key}.{name}", "an amount and a unit")
            row = Fields({"amount": pair[0], "unit": pair[1]}, f"{self._where}{key}.{name}.")
            found[self._text(key, name)] = (row.number("amount"), row.text("unit"))
        return found

    def _of(self, key: str, kind: type) -> Any:
        value = self._values.get(key, _MISSING)
        if value is _MISSING:
            raise _invalid(f"{self._where}{key} is missing")
        if not isinstance(value, kind):
            names = {str: "a text", int: "an integer", bool: "a boolean", list: "a list", dict: "a mapping"}
            raise self._wrong(key, names[kind])
        return value

    def _text(self, key: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
            raise self._wrong(key, f"a printable text of at most {_LONGEST_TEXT} characters")
        return value

    def _wrong(self, key: str, wanted: str) -> PhotonError:
        return _invalid(f"{self._where}{key} must be {wanted}")


def _invalid(reason: str) -> PhotonError:
    return PhotonError("SpecInvalid", f"its photon.record cannot be used: {reason[:300]}")
