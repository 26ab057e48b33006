# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of ``verify``: one value per difference between documents, allocations and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..cloudstore import Inventory
from ..model.entities import Document

REPAIR = "repair it with photon-verify --repair"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. ``what`` is its sort, ``expected`` and ``found`` are for people, ``step`` says what to do.

    ``repairable``: a repair removes the difference, by what the other fields hold: ``observed`` is the document with
    its facts refreshed, the rows of ``consumers`` (documents' ids) are written again, ``capacity`` is recorded, and
    what ``orphans`` (ids without a document) held or offered is deleted. ``provider`` is a document that lacks its row.
    """

    kind: str
    name: str
    what: str
    expected: str
    found: str
    step: str = ""
    repairable: bool = False
    observed: Document | None = None
    consumers: tuple[str, ...] = ()
    capacity: Inventory | None = None
    orphans: tuple[str, ...] = ()
    provider: Document | None = None

    @classmethod
    def to_repair(cls, kind: str, name: str, what: str, expected: str, found: str, **repair: Any) -> Finding:
        """Return a finding that a repair removes by what ``repair``, fields of the finding, holds."""
        return cls(kind, name, what, expected, found, REPAIR, repairable=True, **repair)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it the same finding in a later look."""
        return self.kind, self.name, self.what

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as results show it."""
        keys = ("kind", "name", "what", "expected", "found", "step", "repairable")
        return {key: getattr(self, key) for key in keys}


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, str]:
    """Return the fields that differ, as a finding names them: ``host=esx-2, state=STARTED`` of both."""
    keys = [key for key in {**found, **expected} if expected.get(key) != found.get(key)]
    return _fields(expected, keys), _fields(found, keys)


def _fields(values: Mapping[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{key}={_text(values.get(key))}" for key in keys)


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(str, value)) + "]"
    return "none" if value is None or value == "" else str(value)
