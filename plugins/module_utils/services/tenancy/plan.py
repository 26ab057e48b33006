# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tenants, projects, their quotas and security groups as a plan. All of them are records without external work."""

from __future__ import annotations

from typing import Any

from ...cloudstore import Claim
from ...model import entities
from ...model.authorization import authorize, check_group, group_names, permits, set_groups
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.names import listed
from ..planning import Limits, Planning, delete_action, record_action
from ..state import CurrentState
from . import limits
from .flavors import shown
from .limits import Draft

Item = dict[str, Any]
# The verb that changes each field, as authorization names it.
_VERBS = {"security_groups": "set_security_groups", "deletion_protection": "update"}
_CONTENT = {entities.TENANT: (entities.PROJECT,), entities.PROJECT: (entities.VM, entities.DISK, entities.IMAGE)}


def plan_security_groups(planning: Planning) -> None:
    """Plan the deployment's security groups, which tenants and projects inherit; undeclared ones stay as they are."""
    groups, state = planning.declaration.security_groups, planning.state
    if groups is None:
        return
    current = state.get(entities.DEPLOYMENT)
    document = planning.deployment()
    try:
        after = list(dict.fromkeys(check_group(group) for group in groups))
        if current is not None and group_names(current.body) == after:
            return
        authorize(planning.actor, "set_security_groups", entities.DEPLOYMENT, document)
    except PhotonError as error:
        planning.plan.fail(entities.DEPLOYMENT, "security_groups", error, "photon_security_groups")
        return
    record_action(
        planning,
        current,
        document.with_body(security_groups=after),
        lambda d: {"security_groups": group_names(d.body)},
        path="photon_security_groups",
    )


def plan_tenancy(planning: Planning) -> None:
    """Create and change tenants and projects, their quotas settled together; absent ones are planned later.

    None in an item (quota, security_groups, deletion_protection) leaves that as it is. Failures: AccessForbidden,
    TenantNotFound, QuotaError, InvalidResourceTicketSubdivide, DependencyFailed.
    """
    drafts: dict[str, Draft] = {}
    for item in planning.declaration.tenants:
        if item["state"] != "absent":
            _draft_tenant(item, drafts, planning)
    for item in planning.declaration.projects:
        if item["state"] != "absent":
            _draft_project(item, drafts, planning)
    _settle(drafts, planning)
    _inherit(drafts, planning)
    for kind in (entities.TENANT, entities.PROJECT):
        for draft in drafts.values():
            if draft.document.kind == kind:
                _add_action(draft, planning)


def plan_delete(document: Document, planning: Planning, reason: str, path: str = "") -> None:
    """Delete a tenant without projects, or a project without VMs, disks and images.

    Raises ContainerNotEmpty, DeletionProtected, AccessForbidden.
    """
    state = planning.state
    chain = state.chain(document)
    authorize(planning.actor, "delete", document.kind, *chain)
    label = state.path_of(document)
    content = [d for kind in _CONTENT[document.kind] for d in state.of(kind, document.id)]
    if content:
        names = listed([f"{d.kind} {d.name}" for d in content], 5)
        raise PhotonError(
            "ContainerNotEmpty",
            f"{document.kind} {label} still contains {names}: delete its content first",
        )
    if document.body.get("deletion_protection"):
        raise PhotonError(
            "DeletionProtected",
            f"{document.kind} {label} has deletion_protection: "
            "set deletion_protection: false and apply, then declare it absent",
        )
    if document.kind == entities.PROJECT:
        limits.count(state, document.scope, limits.of(state, document.id), {})
    state.counters.pop(document.id, None)
    delete_action(planning, document, reason, path, needs=tuple(parent.id for parent in chain[:-1]))


def claim_of(document: Document, state: CurrentState) -> Claim:
    """Return the allocations of a project: its limits, as usage of its tenant."""
    return _claim(document, limits.of(state, document.id))


def references(document: Document) -> list[tuple[str, str]]:
    """Return the documents that a project's record names."""
    return [("tenant", document.scope)]


# -- drafts --------------------------------------------------------------------------------------------------------


def _draft_tenant(item: Item, drafts: dict[str, Draft], planning: Planning) -> None:
    with planning.creating(entities.TENANT, item):
        _add(_draft(entities.TENANT, "", item, planning), drafts, planning)


def _draft_project(item: Item, drafts: dict[str, Draft], planning: Planning) -> None:
    state = planning.state
    tenant = state.find(entities.TENANT, "", item["tenant"])
    try:
        tenant = tenant or state.require(entities.TENANT, "", item["tenant"])
        whole = drafts[tenant.id].limits if tenant.id in drafts else limits.of(state, tenant.id)
        _add(_draft(entities.PROJECT, tenant.id, item, planning, whole), drafts, planning)
    except PhotonError as error:
        if tenant is not None:
            state.failed[entities.PROJECT, tenant.id, item["name"]] = error
        planning.plan.fail(entities.PROJECT, f"{item['tenant']}/{item['name']}", error, item.get("path", ""))


def _draft(kind: str, scope: str, item: Item, planning: Planning, tenant_limits: Limits | None = None) -> Draft:
    """Build the declared tenant or project. Raises AccessForbidden, and the codes of limits.part."""
    state, name = planning.state, item["name"]
    current = state.find(kind, scope, name)
    body = {"security_groups": [], "deletion_protection": False}
    document = current or planning.new(kind, name, scope, body=body)
    draft = Draft(document, current, item, limits.of(state, document.id))
    draft.limits = limits.wanted(item, draft.before)
    if item.get("quota_percent") is not None:
        draft.limits = limits.part(tenant_limits or {}, item["quota_percent"], str(item["tenant"]))
    changes: dict[str, Any] = {}
    if item["security_groups"] is not None:
        groups, inherited = set_groups(item["security_groups"], _groups_above(document, state))
        if group_names({"security_groups": groups}, own_only=True) != group_names(document.body, own_only=True):
            changes["security_groups"] = groups
        if inherited:
            planning.plan.warnings.append(
                f"SecurityGroupsAlreadyInherited: {kind} {name} inherits {', '.join(inherited)} already"
            )
    if item["deletion_protection"] is not None:
        changes["deletion_protection"] = item["deletion_protection"]
    verbs = {_VERBS[key] for key, value in changes.items() if document.body.get(key) != value}
    verbs |= {"set_quota"} if draft.limits != draft.before else set()
    for verb in sorted(verbs if current else {"create", *verbs}) or _reading(item):
        authorize(planning.actor, verb, kind, *state.chain(document))
    draft.document = document.with_body(**changes)
    return draft


def _reading(item: Item) -> list[str]:
    """Name the verb of an item that changes nothing: a tenant that is only named for its content needs none."""
    keys = ("quota", "quota_exclude", "security_groups", "deletion_protection")
    return ["read"] if "tenant" in item or any(item[key] is not None for key in keys) else []


def _add(draft: Draft, drafts: dict[str, Draft], planning: Planning) -> None:
    drafts[draft.document.id] = draft
    planning.state.put(draft.document)


def _settle(drafts: dict[str, Draft], planning: Planning) -> None:
    """Settle the quotas of each tenant that has a draft or whose projects have; remove the drafts that do not fit."""
    state = planning.state
    owners = (d.document.id if d.document.kind == entities.TENANT else d.document.scope for d in drafts.values())
    for tenant_id in list(dict.fromkeys(owners)):
        tenant = drafts.get(tenant_id) or _unchanged(state.must(tenant_id), state)
        projects = [drafts.get(p.id) or _unchanged(p, state) for p in state.of(entities.PROJECT, tenant_id)]
        limits.settle(tenant, projects, state)
        for draft in [tenant, *projects]:
            if draft.error is not None:
                _take_out(draft, draft.error, drafts, planning)
            elif draft.limits != draft.before:
                limits.write(state, draft.document.id, draft.limits)
                if draft.document.kind == entities.PROJECT:
                    limits.count(state, tenant_id, draft.before, draft.limits)


def _unchanged(document: Document, state: CurrentState) -> Draft:
    has = limits.of(state, document.id)
    return Draft(document, document, {}, has, dict(has))


def _take_out(draft: Draft, error: PhotonError, drafts: dict[str, Draft], planning: Planning) -> None:
    state, document = planning.state, draft.document
    name = state.path_of(document)
    drafts.pop(document.id, None)
    state.drop(document.id)
    if draft.current is not None:
        state.put(draft.current)
    else:
        state.failed[document.kind, document.scope, document.name] = error
    planning.plan.fail(document.kind, name, error, draft.item.get("path", ""))


def _inherit(drafts: dict[str, Draft], planning: Planning) -> None:
    """Pass security groups down from deployment and tenants, where the actor may set them; others stay for a run of
    a user who may."""
    state = planning.state
    for kind in (entities.TENANT, entities.PROJECT):
        for document in state.of(kind):
            groups, _already = set_groups(group_names(document.body, own_only=True), _groups_above(document, state))
            if groups == document.body.get("security_groups"):
                continue
            if not permits(planning.actor, "set_security_groups", kind, *state.chain(document)):
                continue
            draft = drafts.get(document.id)
            if draft is None:
                draft = drafts[document.id] = _unchanged(document, state)
                draft.reason = "inherited security groups differ"
            draft.document = state.put(document.with_body(security_groups=groups))


def _groups_above(document: Document, state: CurrentState) -> list[str]:
    parent = state.get(document.scope if document.kind == entities.PROJECT else entities.DEPLOYMENT)
    return group_names(parent.body) if parent else []


# -- actions -------------------------------------------------------------------------------------------------------


def _add_action(draft: Draft, planning: Planning) -> None:
    document, current = draft.document, draft.current
    if draft.limits != draft.before:  # in the body too, so that the version and the history show a change of limits
        document = document.with_body(limits={key: list(value) for key, value in draft.limits.items()})
    action = record_action(
        planning,
        current,
        document,
        lambda d: _view(d, draft.before if d is current else draft.limits),
        path=draft.item.get("path", ""),
        reason=draft.reason,
        needs=tuple(parent.id for parent in planning.state.chain(document)[:-1]),
    )
    if draft.limits != draft.before:
        action.limits = draft.limits
        if document.kind == entities.PROJECT:
            action.claim = _claim(document, draft.limits)


def _view(document: Document, has: Limits) -> dict[str, Any]:
    groups = document.body.get("security_groups") or ()
    return {
        "quota": shown(has),
        "security_groups": [f"{g['name']} (inherited)" if g["inherited"] else g["name"] for g in groups],
        "deletion_protection": bool(document.body.get("deletion_protection")),
    }


def _claim(project: Document, has: Limits) -> Claim:
    amounts = {key: amount for key, (amount, _unit) in has.items()}
    return Claim(project.id, {project.scope: amounts} if amounts else {})
