# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of hosts and datastores against vSphere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...model.entities import DATASTORE, HOST, Document
from ..findings import Finding
from ..state import CurrentState
from .record import DatastoreFacts, HostFacts


def verify_hosts(state: CurrentState) -> Iterator[Finding]:
    """Yield one finding per host whose facts differ from its endpoint's."""
    for host in state.of(HOST):
        inventory = state.inventories.get(host.body["endpoint"])
        if inventory is None or host.id in state.busy:
            continue
        recorded = HostFacts.of(host)
        row = inventory.hosts.get(recorded.moid)
        seen = replace(recorded, connected=False) if row is None else HostFacts.seen(row, recorded.datastores)
        yield from _difference(host, recorded.observed(), seen.observed(), state)


def verify_datastores(state: CurrentState) -> Iterator[Finding]:
    """Yield one finding per datastore whose facts differ from its endpoint's."""
    for store in state.of(DATASTORE):
        inventory = state.inventories.get(store.scope)
        if inventory is None or store.id in state.busy:
            continue
        recorded = DatastoreFacts.of(store)
        row = inventory.datastores.get(recorded.moid)
        seen = replace(recorded, accessible=False) if row is None else DatastoreFacts.seen(row)
        yield from _difference(store, recorded.observed(), seen.observed(), state)
        if row is not None and row.name != store.name:
            yield Finding(DATASTORE, state.path_of(store), "name", row.name, store.name, "run an apply of the site")


def references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the documents that the record of a host or datastore names."""
    yield "endpoint", document.body["endpoint"]
    if document.body.get("zone"):
        yield "zone", document.body["zone"]


def _difference(
    document: Document, recorded: dict[str, Any], seen: dict[str, Any], state: CurrentState
) -> Iterator[Finding]:
    keys = [key for key in seen if recorded.get(key) != seen[key]]
    if keys:
        yield Finding(
            document.kind,
            state.path_of(document),
            "facts",
            ", ".join(f"{key}={seen[key]}" for key in keys),
            ", ".join(f"{key}={recorded.get(key)}" for key in keys),
            repairable=True,
            observed=replace(document, observed=seen),
        )
