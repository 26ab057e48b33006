# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories of hosts and datastores: what each offers, and what others than the platform use of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...cloudstore import Inventory
from ...model import entities, units
from ...model.entities import Document
from ..placement import foreign_usage
from ..state import CurrentState
from .record import HostFacts

BYTES = "B"


def host_inventories(state: CurrentState) -> list[Inventory]:
    """Return the vCPUs and memory of the hosts that the last read showed, where they differ from what is recorded."""
    usage = foreign_usage(state, state.versions)
    rows = []
    for host, seen in _seen(state, entities.HOST):
        others = usage[host.id]
        vcpus, memory = _promised(host, seen.cores, seen.memory)
        rows.append(Inventory(host.id, host.kind, "vcpus", units.COUNT, vcpus, others.vcpus))
        rows.append(Inventory(host.id, host.kind, "memory", BYTES, memory, others.memory))
    return _changed(rows, state)


def datastore_inventories(state: CurrentState) -> list[Inventory]:
    """Return the space of the datastores that the last read showed, where it differs from what is recorded."""
    usage = foreign_usage(state, state.versions)
    rows = [
        Inventory(store.id, store.kind, "space", BYTES, seen.capacity, usage[store.id].space)
        for store, seen in _seen(state, entities.DATASTORE)
    ]
    return _changed(rows, state)


def recorded(state: CurrentState) -> dict[tuple[str, str], Inventory]:
    """Return ``{(provider, resource): inventory}`` by the recorded facts, for what the last read did not show."""
    seen = {document.id for kind in (entities.HOST, entities.DATASTORE) for document, _row in _seen(state, kind)}
    rows = []
    for host in state.of(entities.HOST):
        if host.id not in seen and host.observed.get("moid"):
            vcpus, memory = limits_of(host)
            rows += [
                Inventory(host.id, host.kind, "vcpus", units.COUNT, vcpus),
                Inventory(host.id, host.kind, "memory", BYTES, memory),
            ]
    for store in state.of(entities.DATASTORE):
        if store.id not in seen and store.observed.get("moid"):
            rows.append(Inventory(store.id, store.kind, "space", BYTES, store.observed.get("capacity", 0)))
    for row in rows:
        kept = state.capacity.get(row.provider, {}).get(row.resource)
        row.foreign = kept.foreign if kept is not None else 0
    return {(row.provider, row.resource): row for row in rows}


def limits_of(host: Document) -> tuple[int, int]:
    """Return how many vCPUs and how much memory may be promised on a host."""
    facts = HostFacts.of(host)
    return _promised(host, facts.vcpus, facts.memory)


def _promised(host: Document, cores: int, memory: int) -> tuple[int, int]:
    return int(cores * host.body["cpu_overcommit"]), int(memory * host.body["memory_overcommit"])


def _seen(state: CurrentState, kind: str) -> Iterator[tuple[Document, Any]]:
    """The recorded hosts or datastores with their rows of the last read."""
    for document in state.of(kind):
        inventory = state.inventories.get(document.body["endpoint"])
        rows = {} if inventory is None else inventory.hosts if kind == entities.HOST else inventory.datastores
        row = rows.get(document.observed.get("moid"))
        if row is not None:
            yield document, row


def _changed(rows: Iterable[Inventory], state: CurrentState) -> list[Inventory]:
    return [row for row in rows if state.capacity.get(row.provider, {}).get(row.resource) != row]
