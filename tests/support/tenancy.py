# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A platform on a real CloudStore: declare, plan, apply, look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Claim
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM, Actor
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import (
    Declaration,
    Known,
    check_items,
    validate,
)
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services import registry, site, write
from ansible_collections.photon.platform.plugins.module_utils.services.context import Applying, Context
from ansible_collections.photon.platform.plugins.module_utils.services.fleet import zones
from ansible_collections.photon.platform.plugins.module_utils.services.planning import KEEP, Options, Plan, Planning
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.tenancy import flavors
from ansible_collections.photon.platform.plugins.module_utils.services.tenancy import plan as tenancy


class Platform:
    """Tenancy, flavors and zones of one CloudStore, changed by declarations in YAML.

    The flavors that every platform has are left out of plans unless ``shipped`` is set.
    """

    def __init__(self, store: Any, *, shipped: bool = False) -> None:
        self.store = store
        self.shipped = shipped

    def state(self) -> CurrentState:
        return CurrentState.of_snapshot(self.store.snapshot())

    def plan(self, text: str, actor: Actor = SYSTEM) -> Planning:
        """Plan the variables of a site."""
        known = Known.of(self.store.snapshot().documents)
        return self.planned(validate(yaml.safe_load(text), known), actor, whole=True)

    def plan_items(
        self, kind: str, items: Iterable[Mapping[str, Any]], actor: Actor = SYSTEM, **scope: str
    ) -> Planning:
        """Plan items of one kind as its module does."""
        declaration = Declaration()
        setattr(declaration, f"{kind}s", check_items(kind, items, scope=scope))
        return self.planned(declaration, actor)

    def planned(self, declaration: Declaration, actor: Actor, *, whole: bool = False) -> Planning:
        planning = Planning(
            declaration,
            self.state(),
            Plan(),
            actor,
            declaration.managed_by if whole else "api",
            Options(),
            self.store.digest,
            whole=whole,
        )
        tenancy.plan_security_groups(planning)
        zones.plan_zones(planning)
        flavors.plan_flavors(planning)
        tenancy.plan_tenancy(planning)
        for kind in (entities.PROJECT, entities.TENANT):
            site.plan_absent(planning, registry.KINDS[kind])
        zones.plan_unused(planning)
        flavors.plan_unused(planning)
        site.drop_superseded(planning.plan)
        if not self.shipped:
            for action in planning.plan.of(entities.FLAVOR):
                if action.document.managed_by == flavors.SHIPPED:
                    planning.plan.actions.remove(action)
        return planning

    def write(self, planning: Planning) -> Plan:
        """Apply a plan: records need the two transactions at its begin and end alone. Raises Conflict."""
        run = self.store.begin_run()
        try:
            context = Context(self.store, planning.actor, planning.managed_by, run=run)
            applying = Applying(planning.plan, planning.state, context)
            write.begin(applying, 1)
            write.end(applying)
        finally:
            run.end()
        return planning.plan

    def apply(self, text: str, actor: Actor = SYSTEM) -> Plan:
        """Plan and apply; what the plan foresaw must be what the CloudStore holds afterwards."""
        return self._apply(self.plan(text, actor))

    def apply_items(self, kind: str, items: Iterable[Mapping[str, Any]], actor: Actor = SYSTEM, **scope: str) -> Plan:
        return self._apply(self.plan_items(kind, items, actor, **scope))

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

    def remove(self, document: Document) -> None:
        self.store.run(lambda tx: tx.delete(tx.get([document.id]).values()))

    def use(self, path: str, key: str, amount: int) -> Document:
        """A VM in the project at ``path`` that holds this much of one quota key. Raises Conflict."""
        project = self.find(entities.PROJECT, path)
        user = Document(entities.VM, f"user-of-{key}", project.id)

        def work(tx: Any) -> None:
            tx.insert([user])
            tx.claim([Claim(user.id, {project.id: {key: amount}})])

        self.store.run(work)
        return user

    def find(self, kind: str, path: str) -> Document:
        state, scope = self.state(), ""
        *parents, name = path.split("/")
        for parent_kind, parent in zip((entities.TENANT, entities.PROJECT), parents, strict=False):
            scope = state.require(parent_kind, scope, parent).id
        return state.require(kind, scope, name)

    def quota(self, path: str) -> dict[str, tuple[int | None, int]]:
        """{key: (limit, usage)} of a tenant or project."""
        document = self.find(entities.PROJECT if "/" in path else entities.TENANT, path)
        return {k: (c.limit, c.usage) for k, c in sorted(self.state().counters.get(document.id, {}).items())}

    @staticmethod
    def counters(state: CurrentState) -> dict[str, Any]:
        """What is limited or used, by the owner's path."""
        found = {}
        for owner, counters in state.counters.items():
            document = state.get(owner)
            rows = {k: (c.limit, c.usage) for k, c in counters.items() if c.limit is not None or c.usage}
            if document is not None and rows:
                found[state.path_of(document)] = rows
        return found

    def _apply(self, planning: Planning) -> Plan:
        plan = self.write(planning)
        assert self.counters(planning.state) == self.counters(self.state())
        self.check_allocations()
        return plan

    def check_allocations(self) -> None:
        """Each project holds its limits of its tenant, and nothing else does."""
        state = self.state()
        held = {
            claim.consumer: claim for p in state.of(entities.PROJECT) if (claim := tenancy.claim_of(p, state)).amounts
        }
        rows: dict[str, dict[str, dict[str, int]]] = {}
        for consumer, amounts in self.store.snapshot(allocations=True).held.items():
            for (provider, resource), amount in amounts.items():
                if state.must(provider).kind == entities.TENANT:
                    rows.setdefault(consumer, {}).setdefault(provider, {})[resource] = amount
        positive = {
            consumer: {
                provider: kept
                for provider, amounts in claim.amounts.items()
                if (kept := {key: amount for key, amount in amounts.items() if amount})
            }
            for consumer, claim in held.items()
        }
        assert rows == {consumer: amounts for consumer, amounts in positive.items() if amounts}
