# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain rows that the CloudStore takes and returns, in addition to the model's documents.

Times are seconds since the epoch on the database's clock; amounts are integers in base units.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from ..model import quota, units
from ..model.entities import DATASTORE, HOST, PROJECT, TENANT, Document
from ..model.quota import Counter

# Kinds whose documents are providers: they have a row in ``providers``, which claims lock.
PROVIDERS = (TENANT, PROJECT, HOST, DATASTORE)
QUOTA_OWNERS = (TENANT, PROJECT)


@dataclass(slots=True)
class Claim:
    """Everything that one consumer holds: ``{provider: {resource: amount}}`` and keys that it alone may have."""

    consumer: str
    amounts: dict[str, dict[str, int]] = field(default_factory=dict)
    exclusive: frozenset[str] = frozenset()


@dataclass(slots=True)
class Inventory:
    """How much of one resource a provider has. ``limit`` None: unlimited; ``foreign``: used by others than us."""

    provider: str
    kind: str
    resource: str
    unit: str = units.COUNT
    limit: int | None = None
    foreign: int = 0


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
    """One operation on one entity: QUEUED, STARTED, then COMPLETED or ERROR.

    ``data`` is what recovery must know in addition to the entity's document.

    ``run_id`` is the run that works on it; add_tasks fills it in.
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
    """One version of a document: who made it, when, how, and the previous values of the changed fields.

    ``what`` is insert, update or delete. ``before``: ``{field: old value}`` with ``body.<key>`` for the body's fields
    (None where the key is new); for a delete the whole document.
    """

    entity_id: str
    version: int
    at: float
    by: str
    what: str
    before: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Snapshot:
    """The CloudStore at one moment. ``usage`` is the sum of the allocations per provider and resource.

    ``live_runs``: runs whose lease is valid and whose process is not known to have ended. Where allocations were asked
    for, ``held`` is ``{consumer: {(provider, resource): amount}}`` and ``providers`` the kind of each provider's row.
    """

    documents: list[Document] = field(default_factory=list)
    inventories: dict[str, dict[str, Inventory]] = field(default_factory=dict)
    usage: dict[str, dict[str, int]] = field(default_factory=dict)
    exclusives: dict[str, str] = field(default_factory=dict)
    open_tasks: list[Task] = field(default_factory=list)
    live_runs: set[str] = field(default_factory=set)
    taken_at: float = 0.0
    held: dict[str, dict[tuple[str, str], int]] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)

    def counters(self) -> dict[str, dict[str, Counter]]:
        """Limit and usage per quota key of each tenant and project: ``{owner: {key: Counter}}``."""
        owners = {document.id for document in self.documents if document.kind in QUOTA_OWNERS}
        for provider, resources in self.inventories.items():
            if any(row.kind in QUOTA_OWNERS for row in resources.values()):
                owners.add(provider)
        found = {}
        for owner in owners:
            rows, usage = self.inventories.get(owner, {}), self.usage.get(owner, {})
            counters = {key: _counter(key, rows.get(key), usage.get(key, 0)) for key in sorted({*rows, *usage})}
            counters = {key: c for key, c in counters.items() if c.limit is not None or c.usage}
            if counters:
                found[owner] = counters
        return found


def _counter(key: str, row: Inventory | None, usage: int) -> Counter:
    if row is None:
        return Counter(quota.unit_of(key) or units.COUNT, None, usage)
    return Counter(row.unit, row.limit, row.foreign + usage)
