# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform holds, for people and programs: any kind, filtered, in names instead of ids, as far as rights
go."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..model.authorization import visible
from ..model.entities import Document
from ..model.errors import PhotonError
from . import registry
from .context import Context
from .fleet_view import View, look

KINDS = tuple(kind.name for kind in registry.KINDS.values() if kind.describe is not None)


@dataclass(slots=True)
class Query:
    """Which entities: all that are given must hold. ``name`` is a glob, of the name or of the whole path.

    ``tenant``, ``project`` and ``zone`` are names. ``history`` adds every change of each entity.
    """

    kind: str | None = None
    id: str | None = None
    name: str | None = None
    tenant: str | None = None
    project: str | None = None
    zone: str | None = None
    state: str | None = None
    managed_by: str | None = None
    tag: str | None = None
    history: bool = False
    live: bool = False


def resources(context: Context, query: Query) -> dict[str, Any]:
    """``{resources, count, warnings}``: one mapping per entity that the actor may read (see ``describe``), in the
    order of KINDS and of names. Raises SpecInvalid for an unknown kind; nothing found is no error."""
    if query.kind is not None and query.kind not in KINDS:
        raise PhotonError("SpecInvalid", f"there is no kind {query.kind!r}: use one of {', '.join(KINDS)}")
    view = look(context, query.live)
    found = []
    for kind in [query.kind] if query.kind else KINDS:
        chains = visible(context.actor, kind, [view.state.chain(d) for d in view.state.of(kind)])
        rows = [describe(chain[-1], view) for chain in chains]
        found += sorted((row for row in rows if _matches(row, query)), key=lambda row: row["path"])
    if query.history:
        for row in found:
            row["history"] = _history(context, row["id"])
    return {"resources": found, "count": len(found), "warnings": view.warnings}


def describe(document: Document, view: View) -> dict[str, Any]:
    """One entity: ``{kind, id, name, path, state, managed_by, version, created_at, updated_at, ...}`` and its kind's
    own.

    Times are seconds since the epoch, amounts vCPUs and bytes.
    """
    return {
        "kind": document.kind,
        "id": document.id,
        "name": document.name,
        "path": view.state.path_of(document),
        "state": document.state,
        "managed_by": document.managed_by,
        "version": document.version,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
        **_details(document, view),
    }


def _matches(row: dict[str, Any], query: Query) -> bool:
    exact = ("id", "tenant", "project", "state", "managed_by")
    if any(getattr(query, key) not in (None, row.get(key)) for key in exact):
        return False
    if query.zone is not None and query.zone != row.get("zone") and (row["kind"], row["name"]) != ("zone", query.zone):
        return False
    if query.tag is not None and query.tag not in row.get("tags", ()):
        return False
    return query.name is None or any(fnmatchcase(row[key], query.name) for key in ("name", "path"))


def _history(context: Context, entity_id: str) -> list[dict[str, Any]]:
    return [
        {"version": c.version, "at": c.at, "by": c.by, "what": c.what, "before": _plain(c.before)}
        for c in context.store.history(entity_id)
    ]


def _details(document: Document, view: View) -> dict[str, Any]:
    describe = registry.KINDS[document.kind].describe
    return describe(document, view) if describe is not None else {}


def _plain(before: dict[str, Any]) -> dict[str, Any]:
    """Without what stands for secrets."""
    return {key: value for key, value in before.items() if not key.endswith("_digest")}
