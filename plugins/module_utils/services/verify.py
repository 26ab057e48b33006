# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify and repair: documents, allocations, exclusive keys, capacity, tasks and endpoints compared object by object.

Everything that the CloudStore derives is recomputed from its documents, facts from the endpoints. Nothing in vSphere is
changed, no document is deleted: what only a person can decide is reported with the next step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from ..cloudstore import Claim, Snapshot
from ..model import entities, units
from ..model.authorization import authorize
from ..model.entities import Document
from . import recovery, registry
from .context import Context
from .findings import Finding
from .state import CurrentState
from .vms import lost

_RUN = "run again: the next apply settles it"


def verify(context: Context, *, repair: bool = False) -> dict[str, Any]:
    """``{changed, findings, repaired, warnings}``: every difference, those first that a repair removes.

    Raises AccessForbidden, CloudStoreNotFound. Endpoints that cannot be read are warnings; their part is not compared.
    """
    authorize(context.actor, "verify", entities.DEPLOYMENT)
    context.store.database  # noqa: B018 - raises CloudStoreNotFound
    if repair:
        recovery.recover(context)
    findings, warnings = _look(context)
    repaired = [finding for finding in findings if finding.repairable] if repair else []
    if repaired:
        _repair(context, repaired)
        left, _warnings = _look(context)
        unsettled = [finding for finding in left if finding.repairable]
        warnings += [f"{f.kind} {f.name}: {f.what} changed while it was repaired; run again" for f in unsettled]
    return {
        "changed": any(finding.repairable for finding in findings),
        "findings": [finding.to_dict() for finding in sorted(findings, key=lambda f: not f.repairable)],
        "repaired": len(repaired),
        "warnings": warnings,
    }


def compare(snapshot: Snapshot, allocations: Iterable[Any], state: CurrentState) -> list[Finding]:
    """Everything that differs between one snapshot with its allocations and the endpoints read into ``state``."""
    return [
        *_references(state),
        *_allocations(allocations, state),
        *_exclusives(snapshot, state),
        *_limits(snapshot, state),
        *_capacity(snapshot, state),
        *_tasks(snapshot, state),
        *(finding for kind in registry.KINDS.values() if kind.verify is not None for finding in kind.verify(state)),
    ]


def _look(context: Context) -> tuple[list[Finding], list[str]]:
    snapshot, allocations = context.store.snapshot(), context.store.allocations()
    state = CurrentState.of_snapshot(snapshot, context.run.id if context.run is not None else "")
    context.read_endpoints(state, state.of(entities.ENDPOINT))
    warnings = [
        f"endpoint {state.must(i).name} could not be read, so its part was not compared: {error.message}"
        for i, error in state.unreachable.items()
    ]
    findings = compare(snapshot, allocations, state)
    deleted = {document.id for document in context.store.tombstones()}
    for text in lost.orphans(state, lost.read_marks(state, context), deleted):
        findings.append(Finding("vm", text.split()[1], "orphan", "a record", "none", text))
    return findings, warnings


def _repair(context: Context, findings: list[Finding]) -> None:
    """Record fresh facts and derive the rows of their consumers again from the documents, in one transaction."""
    state = CurrentState.of_snapshot(context.store.snapshot())
    fresh = {f.observed.id: f.observed for f in findings if f.observed is not None}

    consumers = sorted({consumer for f in findings for consumer in f.consumers})

    def work(tx: Any) -> None:
        tx.observe({i: d.observed for i, d in fresh.items()}, {i: d.state for i, d in fresh.items()})
        documents = tx.get({*consumers, *fresh})
        claims = [claim for d in documents.values() if (claim := registry.claim_of(d, state)) is not None]
        tx.release([consumer for consumer in consumers if consumer not in documents])
        tx.claim(claims, check=False)

    context.store.run(work)
    state = CurrentState.of_snapshot(context.store.snapshot())
    context.read_endpoints(state, state.of(entities.ENDPOINT))
    rows = registry.inventories(state)
    if rows:
        context.store.run(lambda tx: tx.set_inventories(rows))


def _claims(state: CurrentState) -> dict[str, Claim]:
    """Everything that each document stands for."""
    found = {}
    for name in registry.KINDS:
        for document in state.of(name):
            claim = registry.claim_of(document, state)
            if claim is not None and (claim.amounts or claim.exclusive):
                found[document.id] = claim
    return found


# -- the database ------------------------------------------------------------------------------------------------


def _references(state: CurrentState) -> Iterator[Finding]:
    for kind in registry.KINDS.values():
        if kind.references is None:
            continue
        for document in state.of(kind.name):
            for what, entity_id in kind.references(document):
                if state.get(entity_id) is None:
                    yield Finding(
                        kind.name, state.path_of(document), f"dangling {what}", "a document", entity_id,
                        "restore the missing document from a backup, or delete the resource",
                    )  # fmt: skip


def _allocations(rows: Iterable[Any], state: CurrentState) -> Iterator[Finding]:
    expected = {
        (claim.consumer, provider, resource): amount
        for claim in _claims(state).values()
        for provider, amounts in claim.amounts.items()
        for resource, amount in amounts.items()
        if amount > 0
    }
    found = {(row.consumer, row.provider, row.resource): row.amount for row in rows}
    for key in sorted({*expected, *found}):
        if expected.get(key) != found.get(key):
            consumer, provider, resource = key
            yield Finding(
                "allocation",
                f"{_name(consumer, state)} of {_name(provider, state)}: {resource}",
                "allocation",
                str(expected.get(key, 0)),
                str(found.get(key, 0)),
                repairable=True,
                consumers=(consumer,),
            )


def _exclusives(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for claim in _claims(state).values():
        for key in claim.exclusive:
            wanted[key].append(claim.consumer)
    for key in sorted({*wanted, *snapshot.exclusives}):
        holders, holder = wanted.get(key, []), snapshot.exclusives.get(key)
        if len(holders) > 1:
            names = ", ".join(sorted(_name(each, state) for each in holders))
            yield Finding("exclusive key", key, "shared key", "one holder", names, "move or rename all VMs but one")
        if holder not in holders:
            names = ", ".join(sorted(_name(each, state) for each in holders)) or "none"
            found = _name(holder, state) if holder else "none"
            consumers = (*holders, *([holder] if holder else []))
            yield Finding("exclusive key", key, "exclusive key", names, found, repairable=True, consumers=consumers)


def _limits(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    for provider, rows in snapshot.inventories.items():
        for resource, row in rows.items():
            used = snapshot.usage.get(provider, {}).get(resource, 0)
            if row.limit is not None and row.kind in (entities.TENANT, entities.PROJECT) and used > row.limit:
                yield Finding(
                    row.kind,
                    _name(provider, state),
                    f"limit of {resource}",
                    f"at most {units.show(row.limit, row.unit)}",
                    units.show(used, row.unit),
                    "raise the limit or delete resources",
                )


def _capacity(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    """Limits alone: what others use changes all the time, and each run records it."""
    for row in registry.inventories(state):
        kept = snapshot.inventories.get(row.provider, {}).get(row.resource)
        if kept is None or kept.limit != row.limit:
            found = "none" if kept is None else str(kept.limit)
            yield Finding(
                row.kind,
                _name(row.provider, state),
                f"capacity {row.resource}",
                str(row.limit),
                found,
                repairable=True,
            )


def _tasks(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    for task in snapshot.open_tasks:
        if task.run_id not in snapshot.live_runs:
            name = _name(task.entity_id, state)
            yield Finding(task.entity_kind, name, "interrupted task", "no open task", task.operation, _RUN)


def _name(entity_id: str, state: CurrentState) -> str:
    document: Document | None = state.get(entity_id)
    return f"{document.kind} {state.path_of(document)}" if document is not None else f"(no document) {entity_id}"
