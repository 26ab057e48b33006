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
from ..model.entities import Document
from ..model.errors import PhotonError
from . import registry
from .context import Applying
from .planning import CREATE, DELETE, UPDATE, Action, Outcome, Plan
from .state import CurrentState


def begin(applying: Applying, attempt: int) -> None:
    """Write everything that the plan decided. Raises Conflict, with nothing written, when others were faster.

    Records that need no external work are done with it.
    """
    plan, state = applying.plan, applying.state
    recorded = [a for a in plan.actions if a.recorded]
    actions = [a for a in recorded if a.verb in (CREATE, UPDATE) or a.task is not None or a.claim is not None]
    if not actions and not any(a.verb == DELETE for a in recorded):
        return
    # Claims are checked against what the endpoints show now; without claims it is recorded after this.
    capacity = registry.inventories(state) if any(a.claim is not None for a in actions) else []
    uses = _uses(plan, actions, state)
    versions = applying.context.store.run(
        lambda tx: _begin(tx, actions, uses, state, capacity), key=f"{applying.run.id}/begin/{attempt}"
    )
    for row in capacity:
        state.capacity.setdefault(row.provider, {})[row.resource] = row
    for action in actions:
        if action.id in versions:
            action.document = state.put(replace(action.document, version=versions[action.id]))
        if action.verb != DELETE and action.task is None:
            plan.finish(action, Outcome(changed=True, document=action.document))


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
        if error.code in ("LeaseLost", "CloudStoreLost"):
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
        applying.plan.finish(action, Outcome(changed=error is None, error=error))


def _uses(plan: Plan, actions: Iterable[Action], state: CurrentState) -> dict[str, int]:
    """The versions that everything in the plan rests on, the documents apart that the transaction itself updates."""
    written = {a.id for a in actions if a.verb in (CREATE, UPDATE)}
    wanted = {
        i for a in (*actions, *(a for a in plan.actions if a.verb == DELETE)) for i in (a.id, *a.needs) if a.recorded
    }
    return {i: state.versions[i] for i in sorted(wanted - written) if i in state.versions}


def _begin(
    tx: Any, actions: list[Action], uses: dict[str, int], state: CurrentState, capacity: list[Inventory]
) -> dict[str, int]:
    tx.check_versions(uses)
    documents = {a.id: a.document for a in actions if a.verb in (CREATE, UPDATE)}
    written = tx.insert([d for d in documents.values() if d.id not in state.versions])
    written += tx.update([d for d in documents.values() if d.id in state.versions])
    tx.add_tasks([a.task for a in actions if a.task is not None])
    tx.observe({d.id: d.observed for d in documents.values() if d.id in state.versions and d.observed})
    _set_capacity(tx, capacity)
    limited = [a for a in actions if a.limits is not None]
    for action in limited:
        tx.set_limits(action.id, action.kind, action.limits)
    tx.claim([a.claim for a in actions if a.claim is not None])
    tx.check_limits({i for a in limited for i in (a.id, *(a.claim.amounts if a.claim else ()))})
    return {document.id: document.version for document in written}


def _set_capacity(tx: Any, capacity: list[Inventory]) -> None:
    """Record the capacity of the hosts and datastores that still exist."""
    known = tx.get({row.provider for row in capacity}) if capacity else {}
    tx.set_inventories([row for row in capacity if row.provider in known])


def _end(tx: Any, actions: list[Action]) -> dict[str, PhotonError]:
    errors: dict[str, PhotonError] = {}
    found = tx.get([a.id for a in actions])
    for action in actions:
        current = found.get(action.id)
        if current is None:
            continue
        error = _keeps(tx, action, current)
        if error is None:
            tx.delete([current])
        else:
            errors[action.id] = error
    return errors


def _keeps(tx: Any, action: Action, current: Document) -> PhotonError | None:
    """Why a record has to stay: something is left in it, or it was changed after the plan was made."""
    if current.version != action.document.version:
        return PhotonError(
            "StaleVersion", f"{action.kind} {action.name} was changed concurrently and is kept; run again"
        )
    content = tx.contents(current.id)
    if content:
        names = ", ".join(f"{d.kind} {d.name}" for d in content[:5])
        return PhotonError(
            "ContainerNotEmpty",
            f"{action.kind} {action.name} is kept because it still contains {len(content)} resources ({names}); "
            "fix what kept these from being deleted, then run again",
        )
    return None
