# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries a plan out, in the order in which one thing needs another.

Records first (endpoints, zones, hosts, tenants ...), then images, then VMs, then what is deleted: users before what
they use. What fails is appended to the plan's failures; everything else is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..cloudstore import Capacity
from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from . import drs_rules, fleet, fleet_run, image_run, placement, strays, tenancy_run, vm_run
from .context import Context
from .planning import CREATE, DELETE, KEEP, UPDATE, Action
from .site import Planned
from .world import World

_FLEET = (entities.ENDPOINT, entities.HOST, entities.DATASTORE)
_RECORDS = (*tenancy_run.KINDS, *_FLEET)


@dataclass(slots=True)
class Applier:
    """One run's work on a plan; ``run`` is the CloudStore's lease on it."""

    planned: Planned
    context: Context
    run: Any

    def apply(self) -> None:
        plan, world = self.planned.plan, self.planned.world
        fleet_run.change_states(plan, world, self.context, self.run)
        self._records((CREATE, UPDATE))
        self._capacity()
        image_run.apply_images(plan, world, self.context, self.run)
        strays.remove(plan, world, self.context, self.run)
        rules = drs_rules.Keeper(plan, world, self.context, self.run)
        if plan.of(entities.VM):
            vm_run.Runner(world, plan, self.context, self.run, rules).apply()
        rules.finish()
        image_run.delete_images(plan, world, self.context, self.run)
        self._records((DELETE,))
        if plan.changed:
            self.context.store.groom()

    def _records(self, verbs: tuple[str, ...]) -> None:
        """What lives in the CloudStore alone, in one transaction; when that is refused, each by itself."""
        failed = {(failure.kind, failure.name) for failure in self.planned.plan.failures}
        actions = [
            a
            for a in self.planned.plan.actions
            if a.kind in _RECORDS and a.verb in verbs and (a.kind, a.name) not in failed
        ]
        observed = self._observed() if CREATE in verbs else []
        if not actions and not observed:
            return
        try:
            self.context.store.run(lambda tx: self._write(tx, actions, observed))
        except PhotonError as error:
            if error.code == "LeaseLost" or len(actions) < 2:
                self._fail(actions, error)
                return
            for action in actions:
                try:
                    self.context.store.run(lambda tx, action=action: self._write(tx, [action], []))
                except PhotonError as single:
                    self._fail([action], single)

    def _write(self, tx: Any, actions: list[Action], observed: list[Document]) -> None:
        tenancy_run.apply_tenancy(tx, actions)
        for verb, write in ((CREATE, tx.insert), (UPDATE, tx.update), (DELETE, tx.delete)):
            documents = [a.document for a in actions if a.verb == verb and a.kind in _FLEET]
            if documents:
                write(documents)
        if observed:
            tx.update(observed)

    def _fail(self, actions: list[Action], error: PhotonError) -> None:
        if error.code == "LeaseLost" or not actions:
            raise error
        for action in actions:
            self.planned.plan.fail(action.kind, action.name, error, action.path)

    def _observed(self) -> list[Document]:
        """Hosts and datastores whose facts, not their declaration, changed since they were recorded."""
        changed = {a.id for a in self.planned.plan.actions if a.verb != KEEP}
        return [
            d
            for kind in (entities.HOST, entities.DATASTORE)
            for d in self.planned.world.of(kind)
            if d.id not in changed and d.id in self.planned.facts and self.planned.facts[d.id] != fleet.fact_of(d)
        ]

    def _capacity(self) -> None:
        """Re-base the capacity counters on what the endpoints show, where that differs from what is kept."""
        rows = [row for row in capacity_rows(self.planned.world) if _differs(row, self.planned.capacity.get(row.id))]
        if rows:
            self.context.store.run(lambda tx: tx.set_capacity(rows))
        self.planned.world.generations = {
            i: row.generation for i, row in self.context.store.snapshot(kinds=[]).capacity.items()
        }


def capacity_rows(world: World) -> list[Capacity]:
    """Limits and foreign use of every host and datastore of the endpoints that were read."""
    foreign = placement.foreign_usage(world)
    rows = []
    for host in world.of(entities.HOST):
        body = host.body
        if body["endpoint"] not in world.inventories:
            continue
        rows.append(
            Capacity(
                host.id,
                entities.HOST,
                host.state if "CLOUD" in body["usage_tags"] else "MGMT",
                vcpu_limit=int(body["vcpus"] * body["cpu_overcommit"]),
                memory_limit=int(body["memory"] * body["memory_overcommit"]),
                vcpu_foreign=foreign[host.id].vcpus,
                memory_foreign=foreign[host.id].memory,
                attributes=_attributes(body),
            )
        )
    for store in world.of(entities.DATASTORE):
        if store.scope in world.inventories:
            usable = store.state == "READY" and store.body["usable_for_vms"]
            rows.append(
                Capacity(
                    store.id,
                    entities.DATASTORE,
                    "READY" if usable else "ERROR",
                    space_limit=store.body["capacity"],
                    space_foreign=foreign[store.id].space,
                    attributes=",".join(store.body["tags"]),
                )
            )
    return rows


def _attributes(body: dict[str, Any]) -> str:
    """Everything of a host that a placement relied on: a claim made for older values is refused."""
    keys: Iterable[str] = ("zone", "rack", "tags", "usage_tags", "datastores", "port_groups")
    return json.dumps([body.get(key) for key in keys])


def _differs(row: Capacity, kept: Capacity | None) -> bool:
    fields = (
        "state",
        "vcpu_limit",
        "vcpu_foreign",
        "memory_limit",
        "memory_foreign",
        "space_limit",
        "space_foreign",
        "attributes",
    )
    return kept is None or any(getattr(row, name) != getattr(kept, name) for name in fields)
