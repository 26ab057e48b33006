# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tenants, projects and flavors for readers: the fields of their own that resource_info returns."""

from __future__ import annotations

from typing import Any

from ...model import entities, units
from ...model.authorization import authorize, group_names
from ...model.entities import Document
from ...model.errors import PhotonError
from ..context import Context
from ..state import CurrentState


def flavor(document: Document, view: Any) -> dict[str, Any]:
    """Return the kind, the cost and the storage policy of a flavor."""
    body = document.body
    return {"flavor_kind": document.scope, "cost": body["cost"], "storage_policy": body.get("storage_policy")}


def tenant(document: Document, view: Any) -> dict[str, Any]:
    """Return security groups, quota and projects of a tenant."""
    projects = view.state.of(entities.PROJECT, document.id)
    return {**_container(document, view.state), "projects": sorted(project.name for project in projects)}


def project(document: Document, view: Any) -> dict[str, Any]:
    """Return tenant, security groups, quota and numbers of VMs and disks of a project."""
    return {
        "tenant": view.state.must(document.scope).name,
        "project": document.name,
        **_container(document, view.state),
        "vms": len(view.state.of(entities.VM, document.id)),
        "disks": len(view.state.of(entities.DISK, document.id)),
    }


def quota_of(context: Context, path: str) -> dict[str, dict[str, Any]]:
    """Return ``{key: {limit, usage, free, unit, text}}`` of a tenant (``acme``) or project (``acme/web``).

    Amounts are in base units (bytes, pieces, thousandths of a price), ``limit`` and ``free`` None where there is no
    limit; ``unit`` is how people wrote them, ``text`` says both. Raises TenantNotFound, ProjectNotFound,
    AccessForbidden.
    """
    snapshot = context.store.snapshot(kinds=(entities.DEPLOYMENT, entities.TENANT, entities.PROJECT))
    state = CurrentState.of_snapshot(snapshot)
    tenant_name, _slash, project_name = path.partition("/")
    if "/" in project_name:
        raise PhotonError("SpecInvalid", f"{path!r} must name a tenant (acme) or a project (acme/web)")
    document = state.require(entities.TENANT, "", tenant_name)
    if project_name:
        document = state.require(entities.PROJECT, document.id, project_name)
    authorize(context.actor, "read", document.kind, *state.chain(document))
    return quota_rows(document.id, state)


def quota_rows(owner_id: str, state: CurrentState) -> dict[str, dict[str, Any]]:
    """Return the counters of a tenant or project as quota_of does; keys without limit and usage are omitted."""
    rows = {}
    for key, counter in sorted(state.counters.get(owner_id, {}).items()):
        if counter.limit is None and not counter.usage:
            continue
        used = units.show(counter.usage, counter.unit)
        rows[key] = {
            "limit": counter.limit,
            "usage": counter.usage,
            "free": None if counter.limit is None else counter.limit - counter.usage,
            "unit": counter.unit,
            "text": used if counter.limit is None else f"{used} of {units.show(counter.limit, counter.unit)}",
        }
    return rows


def _container(document: Document, state: CurrentState) -> dict[str, Any]:
    return {
        "security_groups": group_names(document.body),
        "deletion_protection": bool(document.body.get("deletion_protection")),
        "quota": quota_rows(document.id, state),
    }
