# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of ``verify`` that needs no endpoint: all that the CloudStore derives, computed again from its documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from ..cloudstore import Claim, Inventory, Snapshot
from ..cloudstore.rows import PROVIDERS, QUOTA_OWNERS
from ..model import entities, units
from . import registry
from .findings import REPAIR, Finding
from .fleet import capacity
from .state import CurrentState

INTERRUPTED = "interrupted task"
_Amounts = dict[tuple[str, str], int]  # {(provider, resource): amount}


def compare(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    """Yield everything that contradicts the documents; ``snapshot`` has its allocations.

    What a missing document offered or held stays as it is while others refer to it: a backup may bring it back.
    """
    claims = _claims(state)
    dangling = list(_references(state))
    missing = {entity_id for entity_id, _finding in dangling}
    yield from (finding for _entity_id, finding in dangling)
    yield from _providers(snapshot, missing, state)
    yield from _allocations(snapshot, claims, missing, state)
    yield from _exclusives(snapshot, claims, state)
    yield from _limits(snapshot, claims, state)
    yield from _capacity(snapshot, state)
    yield from _tasks(snapshot, state)


def _claims(state: CurrentState) -> dict[str, Claim]:
    """Everything that each document stands for."""
    claims = (
        registry.claim_of(document, state)
        for kind in registry.KINDS.values()
        if kind.claim_of is not None
        for document in state.of(kind.name)
    )
    return {claim.consumer: claim for claim in claims if claim is not None}


def _references(state: CurrentState) -> Iterator[tuple[str, Finding]]:
    """Yield each id that a document names and that does not exist."""
    for kind in registry.KINDS.values():
        for document in state.of(kind.name) if kind.references is not None else ():
            for role, entity_id in dict.fromkeys(kind.references(document)):  # type: ignore[misc]
                if state.get(entity_id) is None:
                    step = f"restore a backup that has this {role}, or delete the {kind.name}"
                    yield entity_id, Finding(
                        kind.name, state.path_of(document), "dangling reference", f"the {role} with id {entity_id}",
                        "no such document", step,
                    )  # fmt: skip


def _providers(snapshot: Snapshot, missing: set[str], state: CurrentState) -> Iterator[Finding]:
    """Each project, tenant, host and datastore has the row that claims lock, and nothing else has one."""
    for kind in PROVIDERS:
        for document in state.of(kind):
            if document.id not in snapshot.providers:
                name = state.path_of(document)
                yield Finding.to_repair(kind, name, "provider", "a row to claim from", "none", provider=document)
    for provider in sorted({*snapshot.providers, *snapshot.inventories} - missing):
        if state.get(provider) is None:
            kind = snapshot.providers.get(provider, "provider")
            yield Finding.to_repair(kind, provider, "provider", "a document", "none", orphans=(provider,))


def _allocations(
    snapshot: Snapshot, claims: Mapping[str, Claim], missing: set[str], state: CurrentState
) -> Iterator[Finding]:
    for consumer in sorted({*claims, *snapshot.held} - missing):
        expected, found = _amounts(claims.get(consumer)), snapshot.held.get(consumer, {})
        if expected == found:
            continue
        known = state.get(consumer) is not None
        for provider, resource in sorted({*expected, *found}):
            amount, held = expected.get((provider, resource), 0), found.get((provider, resource), 0)
            if amount != held and provider not in missing:
                unit = _unit(snapshot, provider, resource)
                yield Finding.to_repair(
                    "allocation",
                    f"{_name(consumer, state)} of {_name(provider, state)}: {resource}",
                    "allocation",
                    units.show(amount, unit),
                    units.show(held, unit),
                    consumers=(consumer,) if known else (),
                    orphans=() if known else (consumer,),
                )


def _exclusives(snapshot: Snapshot, claims: Mapping[str, Claim], state: CurrentState) -> Iterator[Finding]:
    wanted: dict[str, list[str]] = defaultdict(list)
    for claim in claims.values():
        for key in claim.exclusive:
            wanted[key].append(claim.consumer)
    for key in sorted({*wanted, *snapshot.exclusives}):
        holders, holder = wanted.get(key, []), snapshot.exclusives.get(key)
        if holder in holders and len(holders) == 1:
            continue
        names = ", ".join(sorted(_name(each, state) for each in holders)) or "none"
        if len(holders) > 1:
            step = "move or rename all of these VMs but one, or take them out of the group"
            yield Finding("exclusive key", key, "shared key", "one holder", names, step)
        if holder not in holders:
            found = _name(holder, state) if holder else "none"
            ids = (*holders, *([holder] if holder else []))
            yield Finding.to_repair(
                "exclusive key", key, "exclusive key", names, found,
                consumers=tuple(i for i in ids if state.get(i) is not None),
                orphans=tuple(i for i in ids if state.get(i) is None),
            )  # fmt: skip


def _limits(snapshot: Snapshot, claims: Mapping[str, Claim], state: CurrentState) -> Iterator[Finding]:
    """Usage is what the documents stand for: wrong allocations are findings of their own."""
    used: _Amounts = defaultdict(int)
    for claim in claims.values():
        for key, amount in _amounts(claim).items():
            used[key] += amount
    for provider, rows in snapshot.inventories.items():
        for resource, row in rows.items():
            usage = used[provider, resource] + row.foreign
            if row.limit is None or row.kind not in QUOTA_OWNERS or usage <= row.limit or state.get(provider) is None:
                continue
            yield Finding(
                row.kind,
                state.path_of(state.must(provider)),
                "limit exceeded",
                f"at most {units.show(row.limit, row.unit)} of {resource}",
                units.show(usage, row.unit),
                "raise the limit (quota), or delete or shrink what uses it",
            )


def _capacity(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    """Limits alone: what others use changes all the time, and each run records it."""
    seen = {(row.provider, row.resource): row for row in registry.inventories(state)}
    for row in {**capacity.recorded(state), **seen}.values():
        kept = snapshot.inventories.get(row.provider, {}).get(row.resource)
        if kept is None or kept.limit != row.limit:
            name, found = state.path_of(state.must(row.provider)), "none" if kept is None else _limit(kept)
            yield Finding.to_repair(row.kind, name, "capacity", _limit(row), found, capacity=row)


def _tasks(snapshot: Snapshot, state: CurrentState) -> Iterator[Finding]:
    for task in snapshot.open_tasks:
        if task.run_id not in snapshot.live_runs:
            document = state.get(task.entity_id)
            name = state.path_of(document) if document is not None else task.entity_id
            step = f"{REPAIR}, or run any apply: both settle what an interrupted run left"
            yield Finding(task.entity_kind, name, INTERRUPTED, "no open task", task.operation, step, repairable=True)


# -- helpers -----------------------------------------------------------------------------------------------------


def _amounts(claim: Claim | None) -> _Amounts:
    if claim is None:
        return {}
    return {
        (provider, resource): amount
        for provider, amounts in claim.amounts.items()
        for resource, amount in amounts.items()
        if amount > 0
    }


def _limit(row: Inventory) -> str:
    amount = "unlimited" if row.limit is None else units.show(row.limit, row.unit)
    return f"{row.resource}={amount}"


def _unit(snapshot: Snapshot, provider: str, resource: str) -> str:
    row = snapshot.inventories.get(provider, {}).get(resource)
    return row.unit if row is not None else units.COUNT


def _name(entity_id: str, state: CurrentState) -> str:
    document = state.get(entity_id)
    if document is None:
        return f"(no document) {entity_id}".rstrip()
    return f"{document.kind} {state.path_of(document)}" if document.kind != entities.DEPLOYMENT else document.kind
