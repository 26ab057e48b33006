# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A platform on a real CloudStore: declare, plan, apply, look."""

from __future__ import annotations

from typing import Any

import yaml
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM, Actor
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Known, validate
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services import flavors, tenancy, tenancy_run, zones
from ansible_collections.photon.platform.plugins.module_utils.services.planning import KEEP, Plan
from ansible_collections.photon.platform.plugins.module_utils.services.world import World


class Platform:
    """Tenancy, flavors and zones of one CloudStore, changed by declarations in YAML."""

    def __init__(self, store: Any) -> None:
        self.store = store

    def world(self) -> World:
        snapshot = self.store.snapshot()
        return World(snapshot.documents, snapshot.counters)

    def plan(self, text: str, actor: Actor = SYSTEM) -> tuple[Plan, World]:
        world, plan = self.world(), Plan()
        site = validate(yaml.safe_load(text), Known.of(self.store.snapshot().documents))
        tenancy.plan_security_groups(site.security_groups, world, plan, actor)
        zones.plan_zones(site.zones, world, plan, actor, site.managed_by)
        flavors.plan_flavors(site.flavors, world, plan, actor, site.managed_by)
        tenancy.plan_tenancy(site.tenants, site.projects, world, plan, actor, site.managed_by)
        tenancy.plan_removals(site.tenants, site.projects, world, plan, actor)
        zones.plan_pending_zones(world, plan)
        flavors.plan_pending_flavors(world, plan)
        return plan, world

    def apply(self, text: str, actor: Actor = SYSTEM) -> Plan:
        """Plan and apply; what the plan foresaw must be what the CloudStore holds afterwards."""
        plan, foreseen = self.plan(text, actor)
        self.write(plan)
        assert self.counters(foreseen) == self.counters(self.world())
        return plan

    def write(self, plan: Plan) -> None:
        self.store.run(lambda tx: tenancy_run.apply_tenancy(tx, plan.actions))

    def changes(self, text: str, actor: Actor = SYSTEM) -> list[tuple[str, str]]:
        """(verb, name) of what an application changed; it must have had no failure."""
        plan = self.apply(text, actor)
        assert plan.failures == []
        return [(a.verb, a.name) for a in plan.actions if a.verb != KEEP]

    def refusals(self, text: str, actor: Actor = SYSTEM) -> dict[str, str]:
        """{name: code} of the failures of an application."""
        return {failure.name: failure.error.code for failure in self.apply(text, actor).failures}

    def put(self, *documents: Document) -> None:
        self.store.run(lambda tx: tx.insert(documents))

    def find(self, kind: str, path: str) -> Document:
        world, scope = self.world(), ""
        *parents, name = path.split("/")
        for parent_kind, parent in zip((entities.TENANT, entities.PROJECT), parents, strict=False):
            scope = world.require(parent_kind, scope, parent).id
        return world.require(kind, scope, name)

    def quota(self, path: str) -> dict[str, tuple[int | None, int]]:
        """{key: (limit, usage)} of a tenant or project."""
        document = self.find(entities.PROJECT if "/" in path else entities.TENANT, path)
        return {k: (c.limit, c.usage) for k, c in sorted(self.world().counters.get(document.id, {}).items())}

    @staticmethod
    def counters(world: World) -> dict[str, Any]:
        """What is limited or used, by the owner's path."""
        found = {}
        for owner, counters in world.counters.items():
            document = world.get(owner)
            rows = {k: (c.unit, c.limit, c.usage) for k, c in counters.items() if c.limit is not None or c.usage}
            if document is not None and rows:
                found[world.path_of(document)] = rows
        return found
