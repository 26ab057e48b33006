# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into the CloudStore and comes out of it, beside the model's documents and counters: plain slotted rows.

Times are seconds since the epoch on the database's clock; amounts are integers in base units.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from ..model.entities import Document
from ..model.quota import Counter

HOST, DATASTORE = "host", "datastore"


@dataclass(slots=True)
class Capacity:
    """What a host (vcpu, memory) or a datastore (space) can hold, what we claimed of it and what others use.

    ``generation`` counts changes of state, limits or ``attributes`` (any text that stands for what a placement relied
    on, such as a digest of tags); a claim made for an older generation is refused.
    """

    id: str
    kind: str = HOST
    state: str = "READY"
    generation: int = 0
    vcpu_limit: int = 0
    vcpu_claimed: int = 0
    vcpu_foreign: int = 0
    memory_limit: int = 0
    memory_claimed: int = 0
    memory_foreign: int = 0
    space_limit: int = 0
    space_claimed: int = 0
    space_foreign: int = 0
    attributes: str = ""


@dataclass(slots=True)
class Claim:
    """A part of one host's or datastore's capacity. ``generation`` None: whatever it is now."""

    id: str
    vcpus: int = 0
    memory: int = 0
    space: int = 0
    generation: int | None = None


@dataclass(slots=True)
class Step:
    """One step of a task. States as a task's. ``error`` is ``{code, message, data}``."""

    sequence: int
    operation: str
    state: str = "QUEUED"
    options: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(slots=True)
class Task:
    """One operation on one entity: QUEUED, STARTED, then COMPLETED or ERROR. ``data`` makes it repeatable.

    ``run_id`` is the run that works on it; left empty it becomes the store's own run.
    """

    operation: str
    entity_kind: str
    entity_id: str
    steps: list[Step] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    run_id: str = ""
    state: str = "QUEUED"
    by: str = ""
    error: dict[str, Any] | None = None
    queued_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None


@dataclass(slots=True)
class Change:
    """One version of a document: who made it, when, how, and what the changed fields held before.

    ``what`` is insert, update or delete. ``before``: ``{field: old value}`` with ``body.<key>`` for the body's fields
    (None where there was none); for a delete the whole document.
    """

    entity_id: str
    version: int
    at: float
    by: str
    what: str
    before: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class GroupMember:
    """A hard anti-affinity group's one member in one topology domain (``host:<id>``, ``zone:<id>`` ...)."""

    group: str
    topology_key: str
    entity_id: str


@dataclass(slots=True)
class Snapshot:
    """Everything (or the kinds asked for) as it was at one moment."""

    documents: list[Document] = field(default_factory=list)
    counters: dict[str, dict[str, Counter]] = field(default_factory=dict)
    capacity: dict[str, Capacity] = field(default_factory=dict)
    groups: list[GroupMember] = field(default_factory=list)
    open_tasks: list[Task] = field(default_factory=list)
    taken_at: float = 0.0
