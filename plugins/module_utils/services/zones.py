# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Availability zones as a plan. A zone that hosts still refer to is deleted when the last of them is gone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..model import entities
from ..model.authorization import Actor, authorize
from ..model.entities import Document, name_key
from ..model.errors import PhotonError
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World


def plan_zones(items: Iterable[dict[str, Any]], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    """An item: ``{name, dedicated_tenants, state, path}``; add an action or a failure for each."""
    for item in items:
        try:
            _plan_zone(item, world, plan, actor, managed_by)
        except PhotonError as error:
            world.failed[entities.ZONE, "", item["name"]] = error
            plan.fail(entities.ZONE, item["name"], error, item.get("path", ""))


def plan_pending_zones(world: World, plan: Plan) -> None:
    """Delete the zones in PENDING_DELETE that no host refers to. Call it when all hosts are planned."""
    for zone in world.of(entities.ZONE):
        if zone.state == "PENDING_DELETE" and not _hosts(zone, world):
            _delete(zone, world, plan, "its last host is gone")


def plan_delete(zone: Document, world: World, plan: Plan, actor: Actor, reason: str, path: str = "") -> None:
    """A zone with hosts becomes PENDING_DELETE: it takes no further host."""
    authorize(actor, "delete", entities.ZONE, *world.chain(zone))
    hosts = _hosts(zone, world)
    if not hosts:
        _delete(zone, world, plan, reason, path)
        return
    reason = f"{reason}; {len(hosts)} hosts are in it ({', '.join(hosts[:5])})"
    if zone.state == "PENDING_DELETE":
        plan.add(Action(KEEP, entities.ZONE, zone.name, zone, reason, path=path))
        return
    document = world.put(replace(zone, state="PENDING_DELETE"))
    plan.add(
        Action(
            UPDATE,
            entities.ZONE,
            zone.name,
            document,
            reason,
            {"state": zone.state},
            {"state": document.state},
            ["state"],
            path=path,
        )
    )


def _plan_zone(item: dict[str, Any], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    name, path = item["name"], item.get("path", "")
    current = world.find(entities.ZONE, "", name)
    if item["state"] == "absent":
        if current is not None:
            plan_delete(current, world, plan, actor, "declared absent", path)
        return
    dedicated = item["dedicated_tenants"]
    if current is None:
        document = Document(
            entities.ZONE,
            name,
            managed_by=managed_by,
            name_key=name_key(entities.ZONE, "", name),
            body={"dedicated_tenants": sorted(dedicated or [])},
        )
        authorize(actor, "create", entities.ZONE, *world.chain(document))
        world.put(document)
        plan.add(Action(CREATE, entities.ZONE, name, document, "declared", after=dict(document.body), path=path))
        return
    document = replace(current, state="READY")
    if dedicated is not None:
        document = document.with_body(dedicated_tenants=sorted(dedicated))
    before, after = {"state": current.state, **current.body}, {"state": document.state, **document.body}
    changes = [key for key in after if before.get(key) != after[key]]
    authorize(actor, "update" if changes else "read", entities.ZONE, *world.chain(current))
    world.put(document)
    plan.add(
        Action(
            UPDATE if changes else KEEP,
            entities.ZONE,
            name,
            document,
            f"{', '.join(changes)} differ" if changes else "",
            {key: before.get(key) for key in changes},
            {key: after[key] for key in changes},
            changes,
            path=path,
        )
    )


def _hosts(zone: Document, world: World) -> list[str]:
    return [host.name for host in world.of(entities.HOST) if host.body.get("zone") == zone.id]


def _delete(zone: Document, world: World, plan: Plan, reason: str, path: str = "") -> None:
    world.drop(zone.id)
    plan.add(Action(DELETE, entities.ZONE, zone.name, zone, reason, path=path))
