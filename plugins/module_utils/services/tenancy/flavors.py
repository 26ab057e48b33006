# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavors: declared and shipped ones as a plan. A flavor in use never changes, and is deleted with its last user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...model import entities, flavors, states, units
from ...model.authorization import authorize, permits
from ...model.entities import Document
from ...model.errors import PhotonError
from ..planning import Planning, delete_action, record_action, retire
from ..state import CurrentState

SHIPPED = "shipped"  # managed_by of the flavors that every platform has


def plan_flavors(planning: Planning) -> None:
    """Add an action or a failure for each declared flavor; the shipped ones come first."""
    _plan_shipped(planning)
    for item in planning.declaration.flavors:
        with planning.creating(entities.FLAVOR, item, item["kind"]):
            _plan_flavor(item, planning)


def plan_unused(planning: Planning) -> None:
    """Delete the flavors in PENDING_DELETE that nothing uses any more, where the actor may."""
    pending = [f for f in planning.state.of(entities.FLAVOR) if f.state == states.PENDING_DELETE]
    used = _used(planning.state) if pending else {}
    for flavor in pending:
        if flavor.id not in used and permits(planning.actor, "delete", entities.FLAVOR, *planning.state.chain(flavor)):
            delete_action(planning, flavor, "its last user is deleted")


def plan_delete(flavor: Document, planning: Planning, reason: str, path: str = "") -> None:
    """Delete a flavor; one in use becomes PENDING_DELETE, so that nothing new can use it. Raises AccessForbidden."""
    authorize(planning.actor, "delete", entities.FLAVOR, *planning.state.chain(flavor))
    number = _used(planning.state).get(flavor.id, 0)
    users = f"{number} {_users(flavor, number)} {'uses' if number == 1 else 'use'} it" if number else ""
    retire(planning, flavor, users, reason, path)


def shown(cost: Mapping[str, Any]) -> dict[str, str]:
    """Return a cost table or limits for people: ``{"vm.memory": "4 GB"}``."""
    return {key: units.exact(amount, unit) for key, (amount, unit) in sorted(cost.items())}


def _plan_shipped(planning: Planning) -> None:
    """Create the shipped flavors on a platform that has none of them yet: a deleted one stays deleted."""
    state = planning.state
    if any(flavor.managed_by == SHIPPED for flavor in state.of(entities.FLAVOR)):
        return
    for kind, name, cost in flavors.shipped():
        body = {"cost": _stored(cost)}
        document = planning.new(entities.FLAVOR, name, kind, managed_by=SHIPPED, body=body)
        if state.find(entities.FLAVOR, kind, name) is None and permits(
            planning.actor, "create", entities.FLAVOR, *state.chain(document)
        ):
            record_action(planning, None, document, _view, reason="shipped with the platform")


def _plan_flavor(item: dict[str, Any], planning: Planning) -> None:
    state, kind, name, path = planning.state, item["kind"], item["name"], item.get("path", "")
    current = state.find(entities.FLAVOR, kind, name)
    if item["state"] == "absent":
        if current is not None:
            plan_delete(current, planning, "declared absent", path)
        return
    if current is None:
        if item["cost"] is None:
            raise PhotonError("InvalidFlavorSpecification", f"flavor {kind}/{name} does not exist yet: set its cost")
        body = {"cost": _stored(item["cost"]), **_policy_of(item, {}, planning)}
        document = planning.new(entities.FLAVOR, name, kind, body=body)
        authorize(planning.actor, "create", entities.FLAVOR, *state.chain(document))
        record_action(planning, None, document, _view, path=path)
        return
    cost = _stored(item["cost"]) if item["cost"] is not None else current.body["cost"]
    users = _used(state).get(current.id, 0) if cost != current.body["cost"] else 0
    if users:
        raise PhotonError(
            "FlavorInUse",
            f"flavor {kind}/{name} is used by {users} {_users(current, users)}, so its cost cannot change: "
            "declare another flavor for what is new",
        )
    body = {"cost": cost, **_policy_of(item, current.body, planning)}
    document = replace(current, state=states.READY, body=body)
    authorize(planning.actor, "read" if document == current else "update", entities.FLAVOR, *state.chain(current))
    record_action(planning, current, document, _view_of_existing, path=path)


def _policy_of(item: dict[str, Any], recorded: Mapping[str, Any], planning: Planning) -> dict[str, str]:
    """The storage policy of a flavor's disks, as its body holds it; it changes under their users, who follow."""
    declared = item.get("storage_policy")
    name = recorded.get("storage_policy") if declared is None and not planning.whole else declared
    return {"storage_policy": name} if name else {}


def _view(flavor: Document) -> dict[str, Any]:
    policy = flavor.body.get("storage_policy")
    return {"cost": shown(flavor.body["cost"]), **({"storage_policy": policy} if policy else {})}


def _view_of_existing(flavor: Document) -> dict[str, Any]:
    return {"state": flavor.state, "storage_policy": None, **_view(flavor)}


def _stored(cost: flavors.Cost) -> dict[str, list[Any]]:
    return {key: list(value) for key, value in sorted(cost.items())}


def _used(state: CurrentState) -> dict[str, int]:
    """Return ``{flavor id: number of VMs and persistent disks that use it}``."""
    used: dict[str, int] = {}
    for vm in state.of(entities.VM):
        for flavor in {vm.body["flavor"], *(disk["flavor"] for disk in vm.body["disks"])}:
            used[flavor] = used.get(flavor, 0) + 1
    for disk in state.of(entities.DISK):
        used[disk.body["flavor"]] = used.get(disk.body["flavor"], 0) + 1
    return used


def _users(flavor: Document, number: int) -> str:
    """What uses a flavor, in words."""
    noun = "disk" if flavor.scope == flavors.PERSISTENT_DISK else "VM"
    return noun if number == 1 else f"{noun}s"
