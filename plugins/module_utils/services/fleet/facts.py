# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Note what the endpoints show of themselves and of the recorded hosts. Facts never make a plan differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...model import entities
from ...model.entities import Document
from ..planning import Planning
from .record import HostFacts


def observe_fleet(planning: Planning) -> None:
    """Take over the facts of every endpoint that was read and of its recorded hosts; call it before hosts are planned.

    A host that left its endpoint keeps its record and counts as disconnected, so that its VMs are not taken for lost.
    """
    state = planning.state
    for endpoint in state.of(entities.ENDPOINT):
        inventory = state.inventories.get(endpoint.id)
        if inventory is None:
            continue
        if inventory.instance_uuid:
            observe(planning, endpoint, {**endpoint.observed, "instance_uuid": inventory.instance_uuid})
        for host in [h for h in state.of(entities.HOST) if h.body["endpoint"] == endpoint.id]:
            if is_there(host, inventory):
                row = inventory.hosts[host.observed["moid"]]
                facts = HostFacts.seen(row, HostFacts.of(host).datastores)
            else:
                facts = replace(HostFacts.of(host), connected=False)
            observe(planning, host, facts.observed())


def observe(planning: Planning, document: Document, observed: dict[str, Any]) -> Document:
    """Give a document its observed facts, in the state and in its action, and note them where they differ."""
    if document.observed == observed:
        return document
    document = planning.state.put(replace(document, observed=observed))
    if document.id in planning.state.versions:
        planning.plan.observed[document.id] = observed
    for action in planning.plan.of(document.kind):
        if action.id == document.id:
            action.document = replace(action.document, observed=observed)
    return document


def same_host(host: Document, row: Any) -> bool:
    """Tell whether a row of the recorded moid is the recorded host: another vCenter may use the moid for another."""
    recorded = host.observed.get("hardware_uuid")
    return not recorded or not row.hardware_uuid or recorded == row.hardware_uuid


def is_there(host: Document, inventory: Any) -> bool:
    """Tell whether a recorded host is still in its endpoint."""
    row = inventory.hosts.get(host.observed.get("moid"))
    return row is not None and same_host(host, row)


def disconnected(planning: Planning) -> Iterator[str]:
    """Yield a warning for each declared host that its endpoint cannot reach."""
    state = planning.state
    for item in planning.declaration.hosts:
        host = state.find(entities.HOST, "", item["name"])
        inventory = state.inventories.get(host.body["endpoint"]) if host is not None else None
        row = inventory.hosts.get(host.observed.get("moid")) if host is not None and inventory is not None else None
        if row is not None and row.connection_state != "connected":
            yield (
                f"host {item['name']} is {_CONNECTION.get(row.connection_state, row.connection_state)} on endpoint "
                f"{state.must(host.body['endpoint']).name}: its VMs cannot be changed and it takes no new ones"  # type: ignore[union-attr]
            )


_CONNECTION = {"notResponding": "not responding"}
