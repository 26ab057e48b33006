# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: pure data that says what would be done to each entity, and why.

Planners append actions and keep a World up to date with what those actions will have made; nothing is touched.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..model.entities import Document
from ..model.errors import PhotonError

CREATE, UPDATE, DELETE, KEEP = "create", "update", "delete", "keep"


@dataclass(slots=True)
class Action:
    """What happens to one entity.

    ``name`` is the path people say (``acme/web/web-01``). ``before`` and ``after`` hold the fields that differ, as a
    diff shows them (secrets masked by the planner). ``document`` is what the CloudStore will hold afterwards (for a
    delete: what it held). ``changes`` names the steps of an update in the planner's words; ``data`` is for the
    planner's own executor and never shown. ``path`` is the key path of the declaration.
    """

    verb: str
    kind: str
    name: str
    document: Document
    reason: str = ""
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    path: str = ""

    @property
    def id(self) -> str:
        return self.document.id


@dataclass(slots=True)
class Failure:
    """One item that cannot be done, or could not; the others go on."""

    kind: str
    name: str
    error: PhotonError
    path: str = ""

    def to_dict(self) -> dict[str, Any]:
        """``{kind, name, error_code, message, path, data}`` as results report it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "error_code": self.error.code,
            "message": self.error.message,
            "path": self.path,
            "data": self.error.data,
        }


@dataclass(slots=True)
class Plan:
    """Actions in the order in which they can be applied, the items that cannot be, and warnings."""

    actions: list[Action] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return any(action.verb != KEEP for action in self.actions)

    def add(self, action: Action) -> Action:
        self.actions.append(action)
        return action

    def fail(self, kind: str, name: str, error: PhotonError, path: str = "") -> None:
        self.failures.append(Failure(kind, name, error, path or error.data.get("path", "")))

    def of(self, kind: str, *verbs: str) -> list[Action]:
        return [a for a in self.actions if a.kind == kind and (not verbs or a.verb in verbs)]

    def counts(self) -> dict[str, dict[str, int]]:
        """``{kind: {verb: number}}`` without kinds that have none."""
        pairs = Counter((a.kind, a.verb) for a in self.actions)
        table: dict[str, dict[str, int]] = {}
        for (kind, verb), number in pairs.items():
            table.setdefault(kind, {})[verb] = number
        return table
