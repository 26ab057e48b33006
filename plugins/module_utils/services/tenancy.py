# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tenants, projects, their quotas and security groups as a plan.

Planners are pure: they read and write the World, and add actions or failures. tenancy_run.py carries the actions out.
The action of a tenant or project whose limits change has ``data["limits"]``: ``{"before": Limits, "after": Limits}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

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
    document = current or Document(entities.DEPLOYMENT, entities.DEPLOYMENT, id=entities.DEPLOYMENT,
                                   name_key=name_key(entities.DEPLOYMENT, "", entities.DEPLOYMENT))
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
    plan.add(Action(UPDATE if current else CREATE, entities.DEPLOYMENT, entities.DEPLOYMENT, document,
                    "security_groups differ" if current else "declared", {"security_groups": before},
                    {"security_groups": after}, ["security_groups"], path="photon_security_groups"))


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


def plan_tenancy(tenants: Iterable[Item], projects: Iterable[Item], world: World, plan: Plan, actor: Actor,
                 managed_by: str) -> None:
    """Create and change tenants and projects, their quotas settled together; absent ones are left to plan_removals.

    Items are those of a Declaration. None in an item (quota, security_groups, deletion_protection) leaves that as it
    is. Failures: AccessForbidden, TenantNotFound, QuotaError, InvalidResourceTicketSubdivide, DependencyFailed.
    """
    drafts: dict[str, Draft] = {}
    by_name: dict[str, Draft] = {}
    for item in tenants:
        if item["state"] != "absent":
            draft = _draft(entities.TENANT, "", item, world, managed_by)
            drafts[draft.document.id] = by_name[item["name"]] = draft
    leaving = {(i["tenant"], i["name"]) for i in projects if i["state"] == "absent"} if isinstance(projects, list) else set()
    for item in projects:
        if item["state"] == "absent":
            continue
        try:
            tenant = _tenant_draft(item["tenant"], by_name, drafts, world)
            draft = _draft(entities.PROJECT, tenant.document.id, item, world, managed_by)
            drafts[draft.document.id] = draft
            if item["quota_percent"] is not None:
                draft.limits = limits.part(tenant.limits, item["quota_percent"], tenant.document.name)
        except PhotonError as error:
            plan.fail(entities.PROJECT, f"{item['tenant']}/{item['name']}", error, item.get("path", ""))
    _settle(drafts, world, actor, leaving)
    _report(drafts, world, plan)
    _inherit(drafts, world, plan)
