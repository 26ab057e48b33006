# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tenants, projects, their quotas and security groups as a plan.

Planners are pure: they read and write the World, and add actions or failures. tenancy_run.py carries the actions out.
The action of a tenant or project whose limits change has ``data["limits"]``: ``{"before": Limits, "after": Limits}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from ..model import entities
from ..model.authorization import Actor, authorize, check_group, group_names, set_groups
from ..model.entities import Document, name_key
from ..model.errors import PhotonError
from . import limits
from .flavors import shown
from .limits import Draft
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

Item = dict[str, Any]
# What a change of a field is called where somebody must be allowed to make it.
_VERBS = {"quota": "set_quota", "security_groups": "set_security_groups", "deletion_protection": "update"}


def plan_security_groups(groups: list[str] | None, world: World, plan: Plan, actor: Actor) -> None:
    """The deployment's security groups; tenants and projects inherit them. None: as they are.

    Call it before plan_tenancy.
    """
    if groups is None:
        return
    current = world.get(entities.DEPLOYMENT)
    document = current or Document(
        entities.DEPLOYMENT,
        entities.DEPLOYMENT,
        id=entities.DEPLOYMENT,
        name_key=name_key(entities.DEPLOYMENT, "", entities.DEPLOYMENT),
    )
    try:
        after = list(dict.fromkeys(check_group(group) for group in groups))
        before = group_names(document.body)
        if current is not None and before == after:
            return
        authorize(actor, "set_security_groups", entities.DEPLOYMENT, document)
    except PhotonError as error:
        plan.fail(entities.DEPLOYMENT, "security_groups", error, "photon_security_groups")
        return
    document = world.put(document.with_body(security_groups=after))
    plan.add(
        Action(
            UPDATE if current else CREATE,
            entities.DEPLOYMENT,
            entities.DEPLOYMENT,
            document,
            "security_groups differ" if current else "declared",
            {"security_groups": before},
            {"security_groups": after},
            ["security_groups"],
            path="photon_security_groups",
        )
    )


def plan_tenants(items: Iterable[Item], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    """Tenants alone, the absent ones too; see plan_tenancy."""
    items = list(items)
    plan_tenancy(items, [], world, plan, actor, managed_by)
    plan_removals(items, [], world, plan, actor)


def plan_projects(items: Iterable[Item], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    """Projects alone, the absent ones too; see plan_tenancy."""
    items = list(items)
    plan_tenancy([], items, world, plan, actor, managed_by)
    plan_removals([], items, world, plan, actor)


def plan_tenancy(
    tenants: Iterable[Item], projects: Iterable[Item], world: World, plan: Plan, actor: Actor, managed_by: str
) -> None:
    """Create and change tenants and projects, their quotas settled together; absent ones are left to plan_removals.

    Items are those of a Declaration or of check_items. None in an item (quota, security_groups, deletion_protection)
    leaves that as it is. Failures: AccessForbidden, TenantNotFound, QuotaError, InvalidResourceTicketSubdivide,
    DependencyFailed.
    """
    drafts: dict[str, Draft] = {}
    for item in tenants:
        if item["state"] == "absent":
            continue
        try:
            _add(drafts, _draft(entities.TENANT, "", item, world, plan, actor, managed_by), world)
        except PhotonError as error:
            world.failed[entities.TENANT, "", item["name"]] = error
            plan.fail(entities.TENANT, item["name"], error, item.get("path", ""))
    for item in projects:
        if item["state"] == "absent":
            continue
        tenant = world.find(entities.TENANT, "", item["tenant"])
        try:
            tenant = tenant or world.require(entities.TENANT, "", item["tenant"])
            draft = _draft(
                entities.PROJECT,
                tenant.id,
                item,
                world,
                plan,
                actor,
                managed_by,
                drafts[tenant.id].limits if tenant.id in drafts else limits.of(world, tenant.id),
            )
            _add(drafts, draft, world)
        except PhotonError as error:
            if tenant is not None:
                world.failed[entities.PROJECT, tenant.id, item["name"]] = error
            plan.fail(entities.PROJECT, f"{item['tenant']}/{item['name']}", error, item.get("path", ""))
    _settle(drafts, world, plan)
    _inherit(drafts, world)
    for kind in (entities.TENANT, entities.PROJECT):
        for draft in drafts.values():
            if draft.document.kind == kind:
                plan.add(_action(draft, world))


def plan_removals(tenants: Iterable[Item], projects: Iterable[Item], world: World, plan: Plan, actor: Actor) -> None:
    """Delete what is declared absent, projects first. Call it when the VMs are planned.

    Failures: those of plan_delete.
    """
    for item in projects:
        tenant = world.find(entities.TENANT, "", item["tenant"])
        if item["state"] == "absent" and tenant is not None:
            _remove(world.find(entities.PROJECT, tenant.id, item["name"]), item, world, plan, actor)
    for item in tenants:
        if item["state"] == "absent":
            _remove(world.find(entities.TENANT, "", item["name"]), item, world, plan, actor)


def plan_delete(document: Document, world: World, plan: Plan, actor: Actor, reason: str, path: str = "") -> None:
    """Delete a tenant without projects, or a project without VMs and images.

    Raises ContainerNotEmpty, DeletionProtected, AccessForbidden.
    """
    authorize(actor, "delete", document.kind, *world.chain(document))
    label = world.path_of(document)
    content = [d for kind in _CONTENT[document.kind] for d in world.of(kind, document.id)]
    if content:
        names = ", ".join(f"{d.kind} {d.name}" for d in content[:5])
        raise PhotonError(
            "ContainerNotEmpty",
            f"{document.kind} {label} still has {len(content)} "
            f"{'entity' if len(content) == 1 else 'entities'} ({names}): delete what is in it first",
        )
    if document.body.get("deletion_protection"):
        raise PhotonError(
            "DeletionProtected", f"{document.kind} {label} has deletion_protection: set it to false, then delete"
        )
    data: dict[str, Any] = {}
    if document.kind == entities.PROJECT:
        before = limits.of(world, document.id)
        limits.count(world, document.scope, before, {})
        data["limits"] = {"before": before, "after": {}}
    world.drop(document.id)
    world.counters.pop(document.id, None)
    plan.add(Action(DELETE, document.kind, label, document, reason, path=path, data=data))


_CONTENT = {entities.TENANT: (entities.PROJECT,), entities.PROJECT: (entities.VM, entities.IMAGE)}


def _draft(
    kind: str,
    scope: str,
    item: Item,
    world: World,
    plan: Plan,
    actor: Actor,
    managed_by: str,
    tenant_limits: limits.Limits | None = None,
) -> Draft:
    """What an item makes of its entity. Raises AccessForbidden, and what quota_percent may."""
    name = item["name"]
    current = world.find(kind, scope, name)
    document = current or Document(
        kind,
        name,
        scope,
        managed_by=managed_by,
        name_key=name_key(kind, scope, name),
        body={"security_groups": [], "deletion_protection": False},
    )
    draft = Draft(document, current, item, limits.of(world, document.id))
    draft.limits = limits.wanted(item, draft.before)
    if item.get("quota_percent") is not None:
        draft.limits = limits.part(tenant_limits or {}, item["quota_percent"], str(item["tenant"]))
    changes: dict[str, Any] = {}
    if item["security_groups"] is not None:
        changes["security_groups"], already = set_groups(item["security_groups"], _groups_above(document, world))
        if already:
            plan.warnings.append(f"SecurityGroupsAlreadyInherited: {kind} {name} has {', '.join(already)} from above")
    if item["deletion_protection"] is not None:
        changes["deletion_protection"] = item["deletion_protection"]
    verbs = {_VERBS[key] for key, value in changes.items() if document.body.get(key) != value}
    verbs |= {"set_quota"} if draft.limits != draft.before else set()
    for verb in sorted(verbs if current else {"create", *verbs}) or _reading(item):
        authorize(actor, verb, kind, *world.chain(document))
    draft.document = document.with_body(**changes)
    draft.reason = "declared" if current is None else ""
    return draft


def _reading(item: Item) -> list[str]:
    """An item that says something of its entity reads it; a tenant that is only named, for what is in it, is not."""
    keys = ("quota", "quota_exclude", "security_groups", "deletion_protection")
    return ["read"] if "tenant" in item or any(item[key] is not None for key in keys) else []


def _add(drafts: dict[str, Draft], draft: Draft, world: World) -> None:
    drafts[draft.document.id] = draft
    world.put(draft.document)


def _settle(drafts: dict[str, Draft], world: World, plan: Plan) -> None:
    """Settle the quotas of each tenant that has a draft or whose projects have; take out what does not fit."""
    owners = (d.document.id if d.document.kind == entities.TENANT else d.document.scope for d in drafts.values())
    for tenant_id in list(dict.fromkeys(owners)):
        tenant = drafts.get(tenant_id) or _unchanged(world.get(tenant_id), world)
        projects = [drafts.get(p.id) or _unchanged(p, world) for p in world.of(entities.PROJECT, tenant_id)]
        limits.settle(tenant, projects, world)
        for draft in [tenant, *projects]:
            if draft.error is not None:
                _take_out(draft, drafts, world, plan)
            elif draft.limits != draft.before:
                limits.write(world, draft.document.id, draft.limits)
                if draft.document.kind == entities.PROJECT:
                    limits.count(world, tenant_id, draft.before, draft.limits)


def _unchanged(document: Document | None, world: World) -> Draft:
    document = cast(Document, document)
    has = limits.of(world, document.id)
    return Draft(document, document, {}, has, dict(has))


def _take_out(draft: Draft, drafts: dict[str, Draft], world: World, plan: Plan) -> None:
    name = world.path_of(draft.document)
    drafts.pop(draft.document.id, None)
    world.drop(draft.document.id)
    if draft.current is not None:
        world.put(draft.current)
    plan.fail(draft.document.kind, name, cast(PhotonError, draft.error), draft.item.get("path", ""))


def _inherit(drafts: dict[str, Draft], world: World) -> None:
    """Push the security groups down: deployment, tenants, projects."""
    for kind in (entities.TENANT, entities.PROJECT):
        for document in world.of(kind):
            groups, _already = set_groups(group_names(document.body, own_only=True), _groups_above(document, world))
            if groups == document.body.get("security_groups"):
                continue
            pushed = world.put(document.with_body(security_groups=groups))
            draft = drafts.get(document.id)
            if draft is None:
                has = limits.of(world, document.id)
                drafts[document.id] = Draft(pushed, document, {}, has, has, reason="security groups come down")
            else:
                draft.document = pushed


def _groups_above(document: Document, world: World) -> list[str]:
    parent = world.get(document.scope if document.kind == entities.PROJECT else entities.DEPLOYMENT)
    return group_names(parent.body) if parent else []


def _action(draft: Draft, world: World) -> Action:
    document, current = draft.document, draft.current
    after = {
        "quota": shown(draft.limits),
        "security_groups": group_names(document.body),
        "deletion_protection": document.body["deletion_protection"],
    }
    before = (
        {
            "quota": shown(draft.before),
            "security_groups": group_names(current.body),
            "deletion_protection": current.body.get("deletion_protection", False),
        }
        if current
        else {}
    )
    changes = [key for key in after if before.get(key) != after[key]]
    if current is not None and "security_groups" not in changes and current.body != document.body:
        changes = changes or ["security_groups"]  # the same names, but from elsewhere
    verb = CREATE if current is None else UPDATE if changes else KEEP
    data = {"limits": {"before": draft.before, "after": draft.limits}} if draft.limits != draft.before else {}
    reason = draft.reason or (f"{', '.join(changes)} differ" if changes else "")
    return Action(
        verb,
        document.kind,
        world.path_of(document),
        document,
        reason,
        {key: before.get(key) for key in changes} if current else {},
        {key: after[key] for key in changes},
        changes if verb == UPDATE else [],
        data,
        draft.item.get("path", ""),
    )


def _remove(document: Document | None, item: Item, world: World, plan: Plan, actor: Actor) -> None:
    if document is None:
        return
    try:
        plan_delete(document, world, plan, actor, "declared absent", item.get("path", ""))
    except PhotonError as error:
        plan.fail(document.kind, world.path_of(document), error, item.get("path", ""))
