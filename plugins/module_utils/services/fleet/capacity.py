# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories of hosts and datastores: what each offers, and what others than the platform use of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...cloudstore import Inventory
from ...model import entities, units
from ...model.entities import Document
from ..placement import foreign_usage
from ..state import CurrentState
from .record import DatastoreFacts, HostFacts

BYTES = "B"


def host_inventories(state: CurrentState) -> list[Inventory]:
    """Return the vCPUs and memory of the hosts that the last read showed, where they differ from what is recorded."""
    usage = foreign_usage(state, state.versions)
    rows = []
    for host in _seen(state, entities.HOST):
        others = usage[host.id]
        vcpus, memory = limits_of(host)
        rows.append(Inventory(host.id, host.kind, "vcpus", units.COUNT, vcpus, others.vcpus))
        rows.append(Inventory(host.id, host.kind, "memory", BYTES, memory, others.memory))
    return _changed(rows, state)


def datastore_inventories(state: CurrentState) -> list[Inventory]:
    """Return the space of the datastores that the last read showed, where it differs from what is recorded."""
    usage = foreign_usage(state, state.versions)
    rows = [
        Inventory(d.id, d.kind, "space", BYTES, DatastoreFacts.of(d).capacity, usage[d.id].space)
        for d in _seen(state, entities.DATASTORE)
    ]
    return _changed(rows, state)


def limits_of(host: Document) -> tuple[int, int]:
    """Return how many vCPUs and how much memory may be promised on a host."""
    facts = HostFacts.of(host)
    return int(facts.vcpus * host.body["cpu_overcommit"]), int(facts.memory * host.body["memory_overcommit"])


def _seen(state: CurrentState, kind: str) -> Iterator[Document]:
    for document in state.of(kind):
        inventory = state.inventories.get(document.body["endpoint"])
        rows = {} if inventory is None else inventory.hosts if kind == entities.HOST else inventory.datastores
        if document.observed.get("moid") in rows:
            yield document


def _changed(rows: Iterable[Inventory], state: CurrentState) -> list[Inventory]:
    return [row for row in rows if state.capacity.get(row.provider, {}).get(row.resource) != row]
