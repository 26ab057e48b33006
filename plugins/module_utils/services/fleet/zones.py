# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Availability zones as a plan. A zone that hosts still refer to is deleted when the last of them is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...model import entities, states
from ...model.authorization import authorize, permits
from ...model.entities import Document
from ..planning import Planning, delete_action, record_action, retire
from ..state import CurrentState


def plan_zones(planning: Planning) -> None:
    """Add an action or a failure for each declared zone."""
    for item in planning.declaration.zones:
        with planning.creating(entities.ZONE, item):
            _plan_zone(item, planning)


def plan_delete(zone: Document, planning: Planning, reason: str, path: str = "") -> None:
    """Plan to delete a zone; one with hosts becomes PENDING_DELETE and takes no further host."""
    authorize(planning.actor, "delete", entities.ZONE, *planning.state.chain(zone))
    hosts = _hosts(zone, planning.state)
    users = f"{len(hosts)} hosts are in it ({', '.join(hosts[:5])})" if hosts else ""
    retire(planning, zone, users, reason, path)


def plan_unused(planning: Planning) -> None:
    """Plan to delete the zones in PENDING_DELETE without hosts, where the actor may. Call it when hosts are planned."""
    state = planning.state
    for zone in state.of(entities.ZONE):
        unused = zone.state == states.PENDING_DELETE and not _hosts(zone, state)
        if unused and permits(planning.actor, "delete", entities.ZONE, *state.chain(zone)):
            delete_action(planning, zone, "its last host is gone")


def _plan_zone(item: Mapping[str, Any], planning: Planning) -> None:
    state, name, path = planning.state, item["name"], item.get("path", "")
    current = state.find(entities.ZONE, "", name)
    if item["state"] == "absent":
        if current is not None:
            plan_delete(current, planning, "declared absent", path)
        return
    fresh = current or planning.new(entities.ZONE, name, body={"dedicated_tenants": []})
    document = replace(fresh, state=states.READY)
    if item["dedicated_tenants"] is not None:
        document = document.with_body(dedicated_tenants=sorted(item["dedicated_tenants"]))
    changed = current is None or (current.state, current.body) != (document.state, document.body)
    verb = "create" if current is None else "update" if changed else "read"
    authorize(planning.actor, verb, entities.ZONE, *state.chain(fresh))
    record_action(planning, current, document, _view, path=path)


def _view(zone: Document) -> dict[str, Any]:
    return {"state": zone.state, "dedicated_tenants": zone.body.get("dedicated_tenants") or []}


def _hosts(zone: Document, state: CurrentState) -> list[str]:
    return [host.name for host in state.of(entities.HOST) if host.body.get("zone") == zone.id]
