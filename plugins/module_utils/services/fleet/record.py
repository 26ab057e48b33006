# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's facts as its endpoint shows them, and the state that follows from intent and facts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...model import states
from ...model.entities import Document


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What an endpoint says of a host: ``vcpus`` are cores, ``memory`` bytes, ``datastores`` ids of documents.

    ``moid`` is None before the host was seen for the first time.
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
        """The facts of a host's document."""
        seen = document.observed
        return cls(
            seen.get("moid"),
            seen.get("cluster"),
            bool(seen.get("drs")),
            seen.get("vcpus", 0),
            seen.get("memory", 0),
            tuple(seen.get("port_groups") or ()),
            tuple(seen.get("datastores") or ()),
            seen.get("connected", True),
            bool(seen.get("in_maintenance")),
            seen.get("hardware_uuid", ""),
        )

    def observed(self) -> dict[str, Any]:
        """The facts as the document's observed part."""
        table = asdict(self)
        return {**table, "port_groups": list(self.port_groups), "datastores": list(self.datastores)}


def effective_state(document: Document) -> str:
    """A host's state: vSphere's word on connection and maintenance first, then the recorded intent."""
    facts = HostFacts.of(document)
    if not facts.connected:
        return states.ERROR
    if facts.in_maintenance:
        return states.MAINTENANCE
    return states.SUSPENDED if document.state == states.SUSPENDED else states.READY
