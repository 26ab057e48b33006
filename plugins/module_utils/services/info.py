# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resources for people and programs: any kind, filtered, with names instead of ids, as far as the actor may read."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..model import entities, states
from ..model.authorization import visible
from ..model.entities import Document
from ..model.errors import PhotonError
from . import registry
from .context import Context
from .fleet_view import View, look

KINDS = tuple(kind for kind in entities.KINDS if kind != entities.DEPLOYMENT)
_STATES = sorted({state for kind in KINDS for state in states.STATES[kind]})


@dataclass(slots=True)
class Query:
    """Conditions, all of which must hold. ``name`` is a glob of the name or of the whole path.

    ``tenant``, ``project`` and ``zone`` are names. ``history`` adds every change of each resource. ``live`` reads the
    endpoints too.
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
    """Return ``{resources, count, warnings}``: one mapping per resource that the actor may read (see describe).

    They are sorted by kind and path. Raises SpecInvalid for an unknown kind or state; an empty result is not an error.
    """
    _check("kind", query.kind, KINDS)
    _check("state", query.state, _STATES)
    view = look(context, query.live, capacity=query.kind in (None, entities.HOST, entities.DATASTORE))
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
    """Return one resource: ``{kind, id, name, path, state, managed_by, version, created_at, updated_at, ...}``.

    The fields of its kind follow. Times are seconds since the epoch, amounts vCPUs and bytes.
    """
    own = registry.KINDS[document.kind].describe
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
        **(own(document, view) if own is not None else {}),
    }


def _check(what: str, value: str | None, known: Any) -> None:
    if value is not None and value not in known:
        raise PhotonError("SpecInvalid", f"unknown {what} {value!r}: use one of {', '.join(known)}")


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


def _plain(before: dict[str, Any]) -> dict[str, Any]:
    """Omit the digests of secrets."""
    return {key: value for key, value in before.items() if not key.endswith("_digest")}
