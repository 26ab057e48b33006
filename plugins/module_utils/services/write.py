# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one write path into the CloudStore: what a plan decided becomes true in one transaction, or the run plans again.

Before any external call ``begin`` checks the version of every document that the plan was made from, writes the new
intent, adds the tasks and takes quota and capacity. ``observe`` records facts as far as possible, ``end`` deletes the
records whose content is deleted by then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..cloudstore import Inventory
from ..model import entities, states
from ..model.entities import Document
from ..model.errors import PhotonError
from . import registry
from .context import Applying
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Outcome, Plan
from .state import CurrentState

# Kinds that other records name in their bodies without living in them.
_NAMED_IN_BODIES = (*states.REFERABLE, entities.ENDPOINT)


def begin(applying: Applying, attempt: int) -> None:
    """Write everything that the plan decided. Raises Conflict, with nothing written, when others were faster.

    Records that need no external work are done with it.
    """
    plan, state = applying.plan, applying.state
    _refuse_orphans(plan, state)
    recorded = [a for a in plan.actions if a.recorded]
    actions = [a for a in recorded if a.verb in (CREATE, UPDATE) or a.task is not None or a.claim is not None]
    leaving = [a.id for a in recorded if a.verb == DELETE]
    if not actions and not leaving:
        return
    # Claims are checked against what the endpoints show now; without claims it is recorded after this.
    capacity = registry.inventories(state) if any(a.claim is not None for a in actions) else []
    uses = _uses(plan, actions, state)
    versions = applying.context.store.run(
        lambda tx: _begin(tx, actions, leaving, uses, state, capacity), key=f"{applying.context.run.id}/begin/{attempt}"
    )
    for row in capacity:
        state.capacity.setdefault(row.provider, {})[row.resource] = row
    for action in actions:
        if action.id in versions:
            action.document = state.put(replace(action.document, version=versions[action.id]))
        if action.verb != DELETE and action.task is None:
            plan.finish(action, Outcome(changed=action.verb != KEEP, document=action.document))


def observe(applying: Applying) -> None:
    """Record the facts that differ from the records, and the capacity; a failure is a warning, never an error."""
    plan, state = applying.plan, applying.state
    capacity = registry.inventories(state)
    if not plan.observed and not capacity:
        return

    def work(tx: Any) -> None:
        documents = tx.observe(plan.observed, plan.observed_states)
        tx.claim([claim for d in documents if (claim := registry.claim_of(d, state)) is not None], check=False)
        _set_capacity(tx, capacity)

    try:
        applying.context.store.run(work)
    except PhotonError as error:
        if error.ends_run:
            raise
        plan.warnings.append(f"what changed in vSphere could not be recorded: {error.message}")


def end(applying: Applying) -> None:
    """Delete the records that need no external work, content before its container, those that can be."""
    chosen = [
        a for a in applying.plan.actions if a.recorded and a.verb == DELETE and a.task is None and a.outcome is None
    ]
    actions = sorted(chosen, key=lambda a: -registry.order_of(a.kind))
    if not actions:
        return
    errors = applying.context.store.run(lambda tx: _end(tx, actions))
    for action in actions:
        error = errors.get(action.id)
        document = action.document if error is not None else None
        applying.plan.finish(action, Outcome(changed=error is None, error=error, document=document))


def _refuse_orphans(plan: Plan, state: CurrentState) -> None:
    """Fail what needs a document that neither exists nor is created by this plan, and what needs that in turn."""
    while True:
        known = state.versions.keys() | {a.id for a in plan.actions if a.verb == CREATE}
        orphans = [a for a in plan.actions if a.verb != KEEP and not known.issuperset(a.needs)]
        if not orphans:
            return
        plan.actions = [a for a in plan.actions if a.verb == KEEP or known.issuperset(a.needs)]
        for action in orphans:
            plan.fail(
                action.kind,
                action.name,
                PhotonError(
                    "DependencyFailed",
                    f"{action.kind} {action.name} is left as it was: a resource that it needs could not be created; "
                    "fix the failure of that resource, then run again",
                ),
                action.path,
            )


def _uses(plan: Plan, actions: Iterable[Action], state: CurrentState) -> dict[str, int]:
    """The versions that everything in the plan rests on, the documents apart that the transaction itself updates."""
    written = {a.id for a in actions if a.verb in (CREATE, UPDATE)}
    wanted = {
        i for a in (*actions, *(a for a in plan.actions if a.verb == DELETE)) for i in (a.id, *a.needs) if a.recorded
    }
    return {i: state.versions[i] for i in sorted(wanted - written) if i in state.versions}


def _begin(
    tx: Any,
    actions: list[Action],
    leaving: list[str],
    uses: dict[str, int],
    state: CurrentState,
    capacity: list[Inventory],
) -> dict[str, int]:
    """Limits before claims, which are compared with them; usage is compared when all of it is written."""
    tx.check_versions(uses)
    documents = {a.id: a.document for a in actions if a.verb in (CREATE, UPDATE)}
    written = tx.insert([d for d in documents.values() if d.id not in state.versions])
    written += tx.update([d for d in documents.values() if d.id in state.versions])
    tx.add_tasks([a.task for a in actions if a.task is not None])
    tx.observe({d.id: d.observed for d in documents.values() if d.id in state.versions and d.observed})
    _set_capacity(tx, capacity)
    limited = [a for a in actions if a.limits is not None]
    for action in sorted(limited, key=lambda a: a.id):  # one order of locks everywhere
        tx.set_limits(action.id, action.kind, action.limits)
    tx.claim([a.claim for a in actions if a.claim is not None], leaving=leaving)
    tx.check_limits({i for a in limited for i in (a.id, *(a.claim.amounts if a.claim else ()))})
    return {document.id: document.version for document in written}


def _set_capacity(tx: Any, capacity: list[Inventory]) -> None:
    """Record the capacity of the hosts and datastores that still exist."""
    known = tx.get({row.provider for row in capacity}) if capacity else {}
    tx.set_inventories([row for row in capacity if row.provider in known])


def _end(tx: Any, actions: list[Action]) -> dict[str, PhotonError]:
    errors: dict[str, PhotonError] = {}
    ids = [a.id for a in actions]
    users = tx.users(ids)
    users |= tx.users([a.id for a in actions if a.kind in _NAMED_IN_BODIES], references=True)
    found = tx.get(ids)
    tasks = {key: task for key, task in tx.open_tasks(ids).items() if not tx.is_ours(task)}
    deleted: dict[str, Document] = {}
    for action in actions:
        current = found.get(action.id)
        if current is None:
            continue
        left = [document for document in users[action.id] if document.id not in deleted]
        error = _kept(action, current, left, tasks.get(action.id))
        if error is None:
            deleted[action.id] = current
        else:
            errors[action.id] = error
    tx.delete(deleted.values())
    return errors


def _kept(action: Action, current: Document, users: list[Document], task: Any) -> PhotonError | None:
    """Say why a record has to stay: others use it, work on it, or changed it after the plan was made."""
    label = f"{action.kind} {action.name}"
    if task is not None:
        return PhotonError("ConcurrentTask", f"{label} is kept: {task.operation} of another run works on it; run again")
    if current.version != action.document.version:
        return PhotonError("StaleVersion", f"{label} is kept: it was changed concurrently; run again")
    if users:
        names = ", ".join(f"{d.kind} {d.name}" for d in users[:5]) + (" ..." if len(users) > 5 else "")
        return PhotonError(
            "ContainerNotEmpty",
            f"{label} is kept: {len(users)} {'resource needs' if len(users) == 1 else 'resources need'} it ({names}); "
            "fix what kept them from being deleted, then run again",
        )
    return None
