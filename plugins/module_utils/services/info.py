# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform holds, for people and programs: any kind, filtered, in names instead of ids, as far as rights
go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ..model import entities
from ..model.authorization import group_names, visible
from ..model.entities import Document
from ..model.errors import PhotonError
from .context import Context
from .fleet_view import View, look, names_of, quota_rows

KINDS = tuple(kind for kind in entities.KINDS if kind != entities.DEPLOYMENT)


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
        chains = visible(context.actor, kind, [view.world.chain(d) for d in view.world.of(kind)])
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
        "path": view.world.path_of(document),
        "state": document.state,
        "managed_by": document.managed_by,
        "version": document.version,
        "created_at": document.created_at,
        "updated_at": document.updated_at,
        **_DETAILS[document.kind](document, view),
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


def _plain(before: dict[str, Any]) -> dict[str, Any]:
    """Without what stands for secrets."""
    return {key: value for key, value in before.items() if not key.endswith("_digest")}


# -- the kinds' own fields ----------------------------------------------------------------------------------------


def _endpoint(document: Document, view: View) -> dict[str, Any]:
    body = document.body
    keys = ("type", "address", "port", "credential", "tls", "datacenter", "folder", "timeout")
    hosts = [h for h in view.world.of(entities.HOST) if h.body["endpoint"] == document.id]
    return {**{key: body.get(key) for key in keys}, "hosts": len(hosts)}


def _zone(document: Document, view: View) -> dict[str, Any]:
    hosts = [h.name for h in view.world.of(entities.HOST) if h.body.get("zone") == document.id]
    return {"dedicated_tenants": document.body.get("dedicated_tenants") or [], "hosts": sorted(hosts)}


def _host(document: Document, view: View) -> dict[str, Any]:
    body, row = document.body, view.hosts[document.id]
    keys = ("address", "rack", "usage_tags", "tags", "metadata", "cluster", "drs", "port_groups")
    limits = int(row["vcpus"] * row["cpu_overcommit"]), int(row["memory"] * row["memory_overcommit"])
    return {
        **{key: body.get(key) for key in keys},
        "endpoint": row["endpoint"],
        "zone": row["zone"],
        "datastores": names_of(row["datastores"], view.world),
        "vcpus": row["vcpus"],
        "memory": row["memory"],
        "capacity": {"vcpus": limits[0], "memory": limits[1]},
        "used": {"vcpus": row["used_vcpus"], "memory": row["used_memory"]},
        "free": {"vcpus": row["free_vcpus"], "memory": row["free_memory"]},
        "score": row["score"],
        "parts": row["parts"],
        "images": row["images"],
        "vms": view.vms_on[document.id],
    }


def _datastore(document: Document, view: View) -> dict[str, Any]:
    body, row = document.body, view.datastores[document.id]
    return {
        "endpoint": names_of([document.scope], view.world)[0],
        "type": body["type"],
        "tags": body["tags"],
        "usable_for_vms": body["usable_for_vms"],
        "capacity": row["capacity"],
        "used": row["used"],
        "free": row["free"],
        "images": sorted(
            view.world.path_of(i) for i in view.world.of(entities.IMAGE) if document.id in i.body["copies"]
        ),
    }


def _flavor(document: Document, view: View) -> dict[str, Any]:
    return {"flavor_kind": document.scope, "cost": document.body["cost"]}


def _image(document: Document, view: View) -> dict[str, Any]:
    body = document.body
    keys = ("file", "file_type", "sha256", "size", "replication")
    return {
        **{key: body.get(key) for key in keys},
        **_home(document, view),
        "datastores": names_of(body["copies"], view.world),
    }


def _tenant(document: Document, view: View) -> dict[str, Any]:
    return {
        "security_groups": group_names(document.body),
        "deletion_protection": bool(document.body.get("deletion_protection")),
        "quota": quota_rows(document.id, view.world),
        "projects": sorted(p.name for p in view.world.of(entities.PROJECT, document.id)),
    }


def _project(document: Document, view: View) -> dict[str, Any]:
    return {
        "tenant": names_of([document.scope], view.world)[0],
        "project": document.name,
        "security_groups": group_names(document.body),
        "deletion_protection": bool(document.body.get("deletion_protection")),
        "quota": quota_rows(document.id, view.world),
        "vms": len(view.world.of(entities.VM, document.id)),
    }


def _vm(document: Document, view: View) -> dict[str, Any]:
    body, world = document.body, view.world
    host = world.get(body.get("host"))
    keys = ("address", "cluster", "vcpus", "memory", "port_groups", "tags", "deletion_protection")
    return {
        **_home(document, view),
        **{key: body.get(key) for key in keys},
        **{key: _name(body.get(key), world) for key in ("host", "endpoint", "datastore", "flavor", "image")},
        "zone": _name(host.body.get("zone"), world) if host else None,
        "disks": [
            {
                **{key: disk.get(key) for key in ("name", "capacity", "boot")},
                "datastore": _name(disk.get("datastore"), world),
            }
            for disk in body["disks"]
        ],
        "vsphere": {key: body.get("vsphere", {}).get(key) for key in ("name", "folder", "moid")},
    }


def _home(document: Document, view: View) -> dict[str, Any]:
    """The tenant and project of an image or VM; None for everybody's image."""
    project = view.world.get(document.scope)
    tenant = view.world.get(project.scope) if project else None
    return {"tenant": tenant.name if tenant else None, "project": project.name if project else None}


def _name(entity_id: str | None, world: Any) -> str | None:
    return names_of([entity_id], world)[0] if entity_id else None


_DETAILS: dict[str, Callable[[Document, View], dict[str, Any]]] = {
    entities.ENDPOINT: _endpoint,
    entities.ZONE: _zone,
    entities.HOST: _host,
    entities.DATASTORE: _datastore,
    entities.FLAVOR: _flavor,
    entities.IMAGE: _image,
    entities.TENANT: _tenant,
    entities.PROJECT: _project,
    entities.VM: _vm,
}
