# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavors: declared and shipped ones as a plan. A flavor in use is never changed, and deleted with its last user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..model import entities, flavors, units
from ..model.authorization import Actor, authorize
from ..model.entities import Document, name_key
from ..model.errors import PhotonError
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

SHIPPED = "shipped"  # managed_by of the flavors that every platform has


def plan_shipped_flavors(world: World, plan: Plan) -> None:
    """The shipped flavors, on a platform that has none of them yet: one that was deleted stays deleted."""
    if any(flavor.managed_by == SHIPPED for flavor in world.of(entities.FLAVOR)):
        return
    for kind, name, cost in flavors.shipped():
        if world.find(entities.FLAVOR, kind, name) is None:
            document = world.put(_document(kind, name, cost, SHIPPED))
            plan.add(
                Action(
                    CREATE,
                    entities.FLAVOR,
                    world.path_of(document),
                    document,
                    "shipped with the platform",
                    after={"cost": shown(cost)},
                )
            )


def plan_flavors(items: Iterable[dict[str, Any]], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    """An item: ``{name, kind, cost, state, path}``; add an action or a failure for each."""
    for item in items:
        try:
            _plan_flavor(item, world, plan, actor, managed_by)
        except PhotonError as error:
            world.failed[entities.FLAVOR, item["kind"], item["name"]] = error
            plan.fail(entities.FLAVOR, f"{item['kind']}/{item['name']}", error, item.get("path", ""))


def plan_pending_flavors(world: World, plan: Plan) -> None:
    """Delete the flavors in PENDING_DELETE whose last user is gone. Call it when all VMs are planned."""
    pending = [flavor for flavor in world.of(entities.FLAVOR) if flavor.state == "PENDING_DELETE"]
    used = _used(world) if pending else {}
    for flavor in pending:
        if flavor.id not in used:
            _delete(flavor, world, plan, "its last user is gone")


def plan_delete(flavor: Document, world: World, plan: Plan, actor: Actor, reason: str, path: str = "") -> None:
    """A flavor in use becomes PENDING_DELETE: nothing new can use it."""
    authorize(actor, "delete", entities.FLAVOR, *world.chain(flavor))
    users = _used(world).get(flavor.id, 0)
    if not users:
        _delete(flavor, world, plan, reason, path)
        return
    reason = f"{reason}; {users} {'VM uses' if users == 1 else 'VMs use'} it"
    if flavor.state == "PENDING_DELETE":
        plan.add(Action(KEEP, entities.FLAVOR, world.path_of(flavor), flavor, reason, path=path))
        return
    document = world.put(replace(flavor, state="PENDING_DELETE"))
    plan.add(
        Action(
            UPDATE,
            entities.FLAVOR,
            world.path_of(flavor),
            document,
            reason,
            before={"state": flavor.state},
            after={"state": document.state},
            changes=["state"],
            path=path,
        )
    )


def shown(cost: dict[str, Any]) -> dict[str, str]:
    """A cost table or limits for people: ``{"vm.memory": "4 GB"}``."""
    return {key: units.show(amount, unit) for key, (amount, unit) in sorted(cost.items())}


def _plan_flavor(item: dict[str, Any], world: World, plan: Plan, actor: Actor, managed_by: str) -> None:
    kind, name, path = item["kind"], item["name"], item.get("path", "")
    current = world.find(entities.FLAVOR, kind, name)
    if item["state"] == "absent":
        if current is not None:
            plan_delete(current, world, plan, actor, "declared absent", path)
        return
    if current is None:
        if item["cost"] is None:
            raise PhotonError("InvalidFlavorSpecification", f"flavor {kind}/{name} does not exist yet: give its cost")
        document = _document(kind, name, item["cost"], managed_by)
        authorize(actor, "create", entities.FLAVOR, *world.chain(document))
        world.put(document)
        plan.add(
            Action(
                CREATE,
                entities.FLAVOR,
                world.path_of(document),
                document,
                "declared",
                after={"cost": shown(item["cost"])},
                path=path,
            )
        )
        return
    document = replace(current, state="READY")
    changes = ["state"] if current.state != "READY" else []
    before, after = ({"state": current.state}, {"state": "READY"}) if changes else ({}, {})
    cost = _stored(item["cost"]) if item["cost"] is not None else current.body["cost"]
    if cost != current.body["cost"]:
        users = _used(world).get(current.id, 0)
        if users:
            raise PhotonError(
                "FlavorInUse",
                f"flavor {kind}/{name} is used by {users} VMs, so its cost cannot change: "
                "declare another flavor and move the VMs to it",
            )
        document = document.with_body(cost=cost)
        changes.append("cost")
        before["cost"], after["cost"] = shown(current.body["cost"]), shown(cost)
    authorize(actor, "update" if changes else "read", entities.FLAVOR, *world.chain(current))
    world.put(document)
    plan.add(
        Action(
            UPDATE if changes else KEEP,
            entities.FLAVOR,
            world.path_of(document),
            document,
            f"{', '.join(changes)} differ" if changes else "",
            before,
            after,
            changes,
            path=path,
        )
    )


def _document(kind: str, name: str, cost: flavors.Cost, managed_by: str) -> Document:
    return Document(
        entities.FLAVOR,
        name,
        kind,
        managed_by=managed_by,
        name_key=name_key(entities.FLAVOR, kind, name),
        body={"cost": _stored(cost)},
    )


def _stored(cost: flavors.Cost) -> dict[str, list[Any]]:
    return {key: list(value) for key, value in sorted(cost.items())}


def _used(world: World) -> dict[str, int]:
    """``{flavor id: number of VMs that use it}``, for themselves or for a disk."""
    used: dict[str, int] = {}
    for vm in world.of(entities.VM):
        for flavor in {vm.body.get("flavor"), *(disk.get("flavor") for disk in vm.body.get("disks") or ())}:
            used[flavor] = used.get(flavor, 0) + 1
    return used


def _delete(flavor: Document, world: World, plan: Plan, reason: str, path: str = "") -> None:
    name = world.path_of(flavor)
    world.drop(flavor.id)
    plan.add(Action(DELETE, entities.FLAVOR, name, flavor, reason, path=path))
