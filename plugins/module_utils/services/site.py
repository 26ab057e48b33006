# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole declaration, planned at once by walking the registry of kinds. run.py applies it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..model import entities
from ..model.declaration import Declaration, Known, validate
from ..model.errors import PhotonError
from ..model.names import listed
from . import prune, registry, targets
from .context import Context
from .disks.desired import vms_to_read
from .planning import DELETE, KEEP, Plan, Planning
from .state import CurrentState
from .vms import networks


@dataclass(slots=True)
class Planned:
    """A plan, the state as it will be after it, and the versions of the documents that it was made from.

    ``store_id``: the identity of the CloudStore; None where there was none yet. ``others``: the live runs that work on
    something that the declaration names.
    """

    declaration: Declaration
    plan: Plan
    state: CurrentState
    versions: dict[str, int] = field(default_factory=dict)
    store_id: str | None = None
    others: set[str] = field(default_factory=set)


def declare(tree: Mapping[str, Any], snapshot: Any) -> Declaration:
    """Validate the variables of a site against the CloudStore. Raises SpecInvalid with every mistake."""
    return validate(tree, Known.of(snapshot.documents))


def plan(
    declaration: Declaration,
    context: Context,
    snapshot: Any,
    *,
    whole: bool = False,
    pinned: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
) -> Planned:
    """Compare the declaration with the CloudStore and the endpoints; nothing is changed anywhere.

    ``whole``: the declaration is all of its site, so that what it no longer names is reported or pruned. ``pinned``:
    placements of a saved plan, ``{VM's path: {host_name, datastore_name}}``. ``only``: targets (see targets.py).
    """
    state = CurrentState.of_snapshot(snapshot, context.run.id if context.run is not None else "")
    planning = Planning(
        declaration,
        state,
        Plan(warnings=list(declaration.warnings)),
        context.actor,
        context.managed_by,
        context.options,
        context.store.digest,
        context.store.store_id,
        context.store.rules_tag,
        whole,
        pinned or {},
        deleted=frozenset(d.id for d in context.store.tombstones()),
    )
    if only:
        targets.narrow(planning, only)
    read = False
    for kind in registry.KINDS.values():
        if kind.needs_endpoints and not read:
            _read(planning, context)
            for each in registry.KINDS.values():
                if each.read is not None:
                    each.read(planning, context)
            read = True
        if kind.plan is not None:
            kind.plan(planning)
    for kind in registry.KINDS.values():
        if kind.plan_placed is not None:
            kind.plan_placed(planning)
    for kind in registry.backwards():
        plan_absent(planning, kind)
    if whole:
        prune.check_absent(planning)
        prune.plan_prune(planning)
    for kind in registry.KINDS.values():
        if kind.plan_unused is not None and not only:
            kind.plan_unused(planning)
    drop_superseded(planning.plan)
    others = _refuse_busy(planning)
    for kind in registry.KINDS.values():
        if kind.plan_after is not None:
            kind.plan_after(planning)
    return Planned(declaration, planning.plan, state, dict(state.versions), context.store.store_id, others)


def plan_absent(planning: Planning, kind: registry.Kind) -> None:
    """Plan the deletion of the items of a kind that are declared absent, where it waits for the plans of all kinds."""
    for item in planning.declaration.of(kind.name) if kind.plan_absent is not None else ():
        absent = item.get("state") == "absent"
        current = planning.state.declared(kind.name, item) if absent else None
        if current is not None:
            path = item.get("path", "")
            with planning.plan.failing(kind.name, planning.state.path_of(current), path):
                kind.plan_absent(current, planning, "declared absent", path)  # type: ignore[misc]


def check_identities(state: CurrentState) -> None:
    """Refuse endpoints that are one vCenter under two names, and ESXi hosts that a declared vCenter manages.

    They go to ``state.unreachable`` with the code DuplicateHost.
    """
    refused = {i for i, error in state.unreachable.items() if error.code == "DuplicateHost"}
    vcenters = {
        str(e.observed["instance_uuid"]): e.name  # endpoints that this run did not read
        for e in state.of(entities.ENDPOINT)
        if e.id not in state.inventories and e.id not in refused and e.observed.get("instance_uuid")
    }
    managed: dict[str, str] = {}
    for endpoint in sorted(state.of(entities.ENDPOINT), key=lambda e: (e.version == 0, e.name)):
        inventory = state.inventories.get(endpoint.id)
        if inventory is None or inventory.type != "vcenter":
            continue
        other = vcenters.setdefault(inventory.instance_uuid or endpoint.name, endpoint.name)
        if other != endpoint.name:
            _refuse(state, endpoint, f"is the same vCenter as endpoint {other}: declare it once")
            continue
        managed.update((row.hardware_uuid, endpoint.name) for row in inventory.hosts.values() if row.hardware_uuid)
    for endpoint in state.of(entities.ENDPOINT):
        inventory = state.inventories.get(endpoint.id)
        if inventory is None or inventory.type == "vcenter":
            continue
        owner = next(
            (managed[row.hardware_uuid] for row in inventory.hosts.values() if row.hardware_uuid in managed), None
        )
        if owner is not None:
            _refuse(
                state,
                endpoint,
                f"is an ESXi host that vCenter {owner} manages: remove this endpoint and declare the host with "
                f"endpoint: {owner}",
            )


def _read(planning: Planning, context: Context) -> None:
    """Read the endpoints that the declaration needs; all of them where a kind asks for it."""
    state, declared = planning.state, planning.declaration
    others = (
        declared.endpoints, declared.hosts, declared.datastores, declared.images, declared.disks,
        declared.image_datastores,
    )  # fmt: skip
    whole = planning.whole and planning.targets is None
    everything = whole or any(others)
    if not (everything or declared.vms or _asks_for_all(planning)):
        return
    endpoints = state.of(entities.ENDPOINT)
    needed = set() if everything else _endpoints_of_vms(planning)
    # Only changes of VMs that exist can do with their own endpoints.
    first = [e for e in endpoints if everything or None in needed or e.id in needed]
    leaving = prune.leaving_vms(planning) | vms_to_read(planning) | networks.to_read(planning)
    context.read_endpoints(state, first, leaving)
    if _asks_for_all(planning):
        context.read_endpoints(state, [e for e in endpoints if e.id not in {f.id for f in first}], leaving)
    check_identities(state)
    for endpoint_id, error in state.unreachable.items():
        endpoint = state.must(endpoint_id)
        if whole:
            planning.plan.fail(entities.ENDPOINT, endpoint.name, error)
        else:
            planning.plan.warnings.append(f"endpoint {endpoint.name} could not be read: {error.message}")


def _asks_for_all(planning: Planning) -> bool:
    return any(kind.reads_all is not None and kind.reads_all(planning) for kind in registry.KINDS.values())


def _endpoints_of_vms(planning: Planning) -> set[str | None]:
    """The recorded endpoints of the declared VMs; None for one that has none yet and is to be created."""
    state = planning.state
    found: set[str | None] = set()
    for item in planning.declaration.vms:
        current = state.declared(entities.VM, item)
        if current is not None or item.get("state") != "absent":
            found.add(current.observed.get("endpoint") if current else None)
    return found


def _refuse(state: CurrentState, endpoint: Any, reason: str) -> None:
    del state.inventories[endpoint.id]
    state.unreachable[endpoint.id] = PhotonError("DuplicateHost", f"endpoint {endpoint.name} {reason}")


def drop_superseded(result: Plan) -> None:
    """A zone, flavor or image that waits for its last user, which goes in the same plan, is only deleted."""
    gone = {action.id for action in result.actions if action.verb == DELETE}
    result.actions = [a for a in result.actions if a.verb == DELETE or a.id not in gone]


def _refuse_busy(planning: Planning) -> set[str]:
    """Leave to another controller's live run what it works on; returns the ids of such runs."""
    plan, busy = planning.plan, planning.state.busy
    others = {busy[action.id].run_id for action in plan.actions if action.id in busy}
    kept = [a for a in plan.actions if a.verb == KEEP and a.task is None and a.id in busy]
    left = [f"{a.kind} {a.name} ({busy[a.id].operation})" for a in kept]
    if left:
        plan.warnings.append(
            f"another run is working on {listed(left)}: what it does is not in this result; run again when that run "
            "has ended"
        )
    refused = [a for a in plan.actions if a.id in busy and (a.verb != KEEP or a.task is not None)]
    gone = {id(action) for action in refused}
    plan.actions = [action for action in plan.actions if id(action) not in gone]
    for action in refused:
        task = busy[action.id]
        error = PhotonError(
            "ConcurrentTask",
            f"{action.kind} {action.name} is locked by another run ({task.operation}, started by {task.by}): "
            "run again when that run has ended",
            {"task_id": task.id, "operation": task.operation},
        )
        plan.fail(action.kind, action.name, error, action.path)
    return others
