# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record facts of hosts and datastores as their endpoint shows them, and derive states from intent and facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ...model import entities, states
from ...model.entities import Document


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What an endpoint says of a host: ``vcpus`` are cores, ``memory`` bytes, ``datastores`` ids of documents.

    ``moid`` is None before the host was seen for the first time. ``connected`` is False, too, for a host that is no
    longer in its endpoint.
    """

    moid: str | None = None
    cluster: str | None = None
    drs: bool = False
    vcpus: int = 0
    memory: int = 0
    port_groups: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    connected: bool = True
    in_maintenance: bool = False
    hardware_uuid: str = ""

    @classmethod
    def of(cls, document: Document) -> HostFacts:
        """Return the facts of a host's document."""
        seen = {key: value for key, value in document.observed.items() if key in cls.__slots__}
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in seen.items()})

    @classmethod
    def seen(cls, row: Any, datastores: Iterable[str]) -> HostFacts:
        """Return the facts in a HostRow; ``datastores`` are the ids of those that it mounts and may use."""
        return cls(
            row.moid,
            row.cluster,
            row.drs,
            row.cores,
            row.memory,
            tuple(sorted(row.networks)),
            tuple(sorted(datastores)),
            row.connection_state == "connected",
            row.in_maintenance,
            row.hardware_uuid,
        )

    def observed(self) -> dict[str, Any]:
        """Return the facts as the document's observed part."""
        table = asdict(self)
        return {**table, "port_groups": list(self.port_groups), "datastores": list(self.datastores)}


@dataclass(frozen=True, slots=True)
class DatastoreFacts:
    """What an endpoint says of a datastore; ``capacity`` in bytes. ``accessible``: VMs and images can be put on it."""

    moid: str = ""
    url: str = ""
    type: str = "OTHER"
    capacity: int = 0
    accessible: bool = False

    @classmethod
    def of(cls, document: Document) -> DatastoreFacts:
        """Return the facts of a datastore's document."""
        return cls(**{key: document.observed[key] for key in cls.__slots__ if key in document.observed})

    @classmethod
    def seen(cls, row: Any) -> DatastoreFacts:
        """Return the facts in a DatastoreRow."""
        return cls(row.moid, row.url, row.type, row.capacity, row.accessible and row.maintenance == "normal")

    def observed(self) -> dict[str, Any]:
        """Return the facts as the document's observed part."""
        return asdict(self)


def effective_state(document: Document) -> str:
    """Return the state that users and the scheduler see: the endpoint's facts first, then the recorded intent."""
    if document.kind == entities.DATASTORE:
        return states.READY if DatastoreFacts.of(document).accessible else states.ERROR
    if document.kind != entities.HOST:
        return document.state
    facts = HostFacts.of(document)
    return host_state(document.state, facts.in_maintenance) if facts.connected else states.ERROR


def host_state(intent: str, in_maintenance: bool) -> str:
    """Return a connected host's state. One that is to be in maintenance and is not takes no VMs: it is suspended."""
    if in_maintenance:
        return states.MAINTENANCE
    return states.SUSPENDED if intent in (states.SUSPENDED, states.MAINTENANCE) else states.READY
