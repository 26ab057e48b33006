# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of endpoints, hosts and datastores against vSphere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...model.entities import DATASTORE, ENDPOINT, HOST, Document
from ..findings import Finding, differences
from ..state import CurrentState
from .facts import same_host
from .record import DatastoreFacts, HostFacts


def verify_endpoints(state: CurrentState) -> Iterator[Finding]:
    """Yield a finding per endpoint that is not what its record says, or that another record names too."""
    for endpoint in state.of(ENDPOINT):
        error, inventory = state.unreachable.get(endpoint.id), state.inventories.get(endpoint.id)
        recorded = endpoint.observed.get("instance_uuid")
        if error is not None and error.code == "DuplicateHost":
            yield Finding(ENDPOINT, endpoint.name, "duplicate", "one endpoint", "several", error.message)
        elif inventory is not None and recorded and inventory.instance_uuid not in ("", recorded):
            yield Finding(ENDPOINT, endpoint.name, "identity", recorded, inventory.instance_uuid,
                          "another vCenter or host answers at its address: correct the address, or remove the endpoint "
                          "and declare the new one under another name")  # fmt: skip


def verify_hosts(state: CurrentState) -> Iterator[Finding]:
    """Yield a finding per host whose facts differ from its endpoint's."""
    for host in state.of(HOST):
        inventory = state.inventories.get(host.body["endpoint"])
        if inventory is None or host.id in state.busy:
            continue
        recorded = HostFacts.of(host)
        row = inventory.hosts.get(recorded.moid)
        if row is not None and same_host(host, row):
            seen = HostFacts.seen(row, recorded.datastores)
        else:
            seen = replace(recorded, connected=False)
        yield from _difference(host, recorded.observed(), seen.observed(), state)


def verify_datastores(state: CurrentState) -> Iterator[Finding]:
    """Yield a finding per datastore whose facts differ from its endpoint's."""
    for store in state.of(DATASTORE):
        inventory = state.inventories.get(store.scope)
        if inventory is None or store.id in state.busy:
            continue
        recorded = DatastoreFacts.of(store)
        row = inventory.datastores.get(recorded.moid)
        seen = replace(recorded, accessible=False) if row is None else DatastoreFacts.seen(row)
        yield from _difference(store, recorded.observed(), seen.observed(), state)
        if row is not None and row.name != store.name:
            yield Finding(DATASTORE, state.path_of(store), "name", row.name, store.name, "apply the site")


def references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the documents that the record of a host or datastore names."""
    yield "endpoint", document.body["endpoint"]
    if document.body.get("zone"):
        yield "zone", document.body["zone"]


def _difference(
    document: Document, recorded: dict[str, Any], seen: dict[str, Any], state: CurrentState
) -> Iterator[Finding]:
    if recorded != seen:
        expected, found = differences(seen, recorded)
        after = replace(document, observed=seen)
        yield Finding.to_repair(document.kind, state.path_of(document), "facts", expected, found, observed=after)
