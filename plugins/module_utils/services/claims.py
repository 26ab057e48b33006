# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Claims: quota, capacity, names and the journal of new VMs in one transaction, so that two controllers never overbook.

A conflict (somebody else took the quota, the host, the name) rolls everything back; only what conflicted is placed
again against the fresh state, at most five times.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..cloudstore import Claim, GroupMember, Step, Task
from ..model import entities, flavors
from ..model.entities import Document
from ..model.errors import PhotonError
from ..model.quota import charge
from .context import Context
from .placement import Candidate, name_in_vsphere, place_all, settle
from .planning import Action, Plan
from .world import World

ATTEMPTS = 5
# What one item's claim can be refused for while the others' go through.
REFUSALS = frozenset({"ConcurrentTask", "StaleVersion", "QuotaError", "InsufficientCapacity", "VmNotFound"})


class Conflict(Exception):
    """Somebody else took what these claims need: ids of hosts or datastores, or of VMs whose group or name is taken."""

    def __init__(self, places: Iterable[str] = (), vms: Iterable[str] = ()) -> None:
        super().__init__("claims conflict")
        self.places, self.vms = set(places), set(vms)


def claim(actions: list[Action], world: World, plan: Plan, context: Context, run: Any) -> list[Action]:
    """Claim all new VMs; returns the actions that hold their claim, the others became failures of the plan."""
    actions = [action for action in actions if _has_project(action, world, plan)]
    for attempt in range(ATTEMPTS):
        if not actions:
            return []
        try:
            recorded = context.store.run(
                lambda tx, actions=actions: _claim_once(tx, actions, world), key=f"{run.run_id}/claim/{attempt}"
            )
            return _note(actions, recorded, world)
        except Conflict as conflict:
            actions = _place_again(actions, conflict, world, plan, context)
        except PhotonError as error:
            actions = _drop(actions, error, plan, context)
    for action in actions:
        plan.fail(
            entities.VM,
            action.name,
            PhotonError(
                "InsufficientCapacity",
                f"VM {action.name}: other controllers took its place {ATTEMPTS} times; run again",
            ),
            action.path,
        )
    return []


def _note(actions: list[Action], recorded: list[list[Any]], world: World) -> list[Action]:
    """The versions that the CloudStore gave the documents, and each action's task."""
    for action, (version, task_id) in zip(actions, recorded, strict=True):
        action.document, action.data["task"] = world.put(replace(action.document, version=version)), task_id
    return actions


def _claim_once(tx: Any, actions: list[Action], world: World) -> list[list[Any]]:
    new = [action.document for action in actions if not action.data["again"]]
    again = [action.document for action in actions if action.data["again"]]
    costs: dict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
    for document in new:
        table = costs[document.scope]
        for key, (amount, unit) in document.body["cost"].items():
            table[key] = (table.get(key, (0, unit))[0] + amount, unit)
    # What others wait for comes last: first what is only ours, then quota, then capacity, in this order everywhere.
    versions = {document.id: document.version for document in (*tx.insert(new), *tx.update(again))}
    tasks = tx.add_tasks([_task(action) for action in actions])
    for project_id in sorted(costs):
        tx.charge(project_id, costs[project_id])
    documents = [action.document for action in actions]
    held = [action.data["held"] for action in actions if action.data["held"]]
    if held:
        tx.release(capacity_claims(held, world))
        tx.release_groups([document.id for document in held])
    taken = tx.take_groups(group_members(documents, world))
    if taken:
        raise Conflict(vms={member.entity_id for member in taken})
    conflicts = tx.claim(capacity_claims(documents, world))
    if conflicts:
        raise Conflict(places=conflicts)
    return [[versions[action.id], task.id] for action, task in zip(actions, tasks, strict=True)]


def claim_nothing(tx: Any, _actions: list[Action], tasks: list[Task], _world: World) -> dict[str, int]:
    """Journal actions that need no more quota or capacity than they have."""
    tx.add_tasks(tasks)
    return {}


def claim_changes(tx: Any, actions: list[Action], tasks: list[Task], world: World) -> dict[str, int]:
    """Journal updates, and claim the quota and capacity of VMs whose size changes before vSphere hears of it.

    The record holds the new size from then on: a run that dies leaves what the next one finds different in vSphere.
    Returns ``{id: version}`` of the documents written. Raises one of REFUSALS, with nothing written.
    """
    resized = [a for a in actions if _size(a.data["previous"]) != _size(a.document)]
    written = tx.update(
        [replace(a.data["previous"], body={**a.data["previous"].body, **_size(a.document)}) for a in resized]
    )
    tx.add_tasks(tasks)
    changes: dict[str, list[dict[str, tuple[int, str]]]] = defaultdict(list)
    for action in resized:
        changes[action.document.scope].append(cost_change(action.data["previous"], action.document))
    for project_id, costs in sorted(changes.items()):
        tx.charge(project_id, flavors.add_costs(costs), owner=f"project {world.path_of(world.must(project_id))}")
    tx.release(capacity_claims([action.data["previous"] for action in resized], world))
    conflicts = tx.claim(capacity_claims(written, world))
    if conflicts:
        names = ", ".join(sorted(world.must(each).name for each in conflicts))
        raise PhotonError(
            "InsufficientCapacity", f"{names} has no room for the larger VM; move VMs away, or choose a smaller flavor"
        )
    return {document.id: document.version for document in written}


def cost_change(before: Document, after: Document) -> dict[str, tuple[int, str]]:
    """What ``after`` costs more than ``before``; negative where it costs less."""
    old, new = before.body["cost"], after.body["cost"]
    return {key: (new.get(key, [0])[0] - old.get(key, [0])[0], (new.get(key) or old[key])[1]) for key in {*old, *new}}


def _size(document: Document) -> dict[str, Any]:
    """The fields that say what a VM takes of quota and capacity."""
    return {key: document.body[key] for key in ("flavor", "cost", "vcpus", "memory", "disks")}


def capacity_claims(documents: Iterable[Document], world: World) -> list[Claim]:
    """What these VMs take of their hosts and datastores, each row valid for the generation that the plan saw."""
    rows = []
    for document in documents:
        body = document.body
        if body.get("host"):
            rows.append(
                Claim(body["host"], body["vcpus"], body["memory"], generation=world.generations.get(body["host"]))
            )
            rows += [Claim(disk["datastore"], space=disk["capacity"]) for disk in body["disks"]]
    return rows


def group_members(documents: Iterable[Document], world: World) -> list[GroupMember]:
    """One VM of a hard anti-affinity group per host, rack or zone; one VM per name in its vSphere folder."""
    rows = []
    for document in documents:
        host = world.must(document.body["host"])
        for group in document.body["groups"]:
            if group["hard"] and group["kind"] == "anti-affinity":
                key = {"host": host.id, "rack": host.body.get("rack"), "zone": host.body.get("zone")}[group["level"]]
                rows.append(GroupMember(f"{group['level']}:{group['name']}", key or host.id, document.id))
        target = document.body["vsphere"]
        rows.append(
            GroupMember(f"name:{document.body['endpoint']}:{target['folder']}", target["name"].lower(), document.id)
        )
    return rows


def _task(action: Action) -> Task:
    steps = [Step(0, "RESERVE_RESOURCE", "COMPLETED")]
    steps += [Step(number, operation, "QUEUED") for number, operation in enumerate(action.data["operations"], 1)]
    return Task(
        operation="CREATE_VM",
        entity_kind=entities.VM,
        entity_id=action.id,
        state="STARTED",
        steps=steps,
        data={"power": action.data["power"]},
    )


def _has_project(action: Action, world: World, plan: Plan) -> bool:
    broken = {failure.name for failure in plan.failures if failure.kind in (entities.PROJECT, entities.TENANT)}
    project = world.get(action.document.scope)
    if project is None or world.path_of(project) in broken or world.path_of(project).split("/")[0] in broken:
        plan.fail(
            entities.VM,
            action.name,
            PhotonError(
                "DependencyFailed", f"VM {action.name} is not made: its project could not be; mend that and run again"
            ),
            action.path,
        )
        return False
    return True


def _place_again(actions: list[Action], conflict: Conflict, world: World, plan: Plan, context: Context) -> list[Action]:
    """Keep what did not conflict, place the rest on the state that is there now."""
    fresh = refreshed(world, context)
    hit = [
        a
        for a in actions
        if a.id in conflict.vms
        or conflict.places & {a.document.body["host"], *(disk["datastore"] for disk in a.document.body["disks"])}
    ]
    kept = [a for a in actions if a not in hit]
    for action in kept:
        fresh.put(action.document)
    candidates = {}
    for action in hit:
        document = replace(
            action.document, body={k: v for k, v in action.document.body.items() if k not in ("host", "datastore")}
        )
        if action.data["again"]:
            fresh.put(document)
        candidates[action.id] = Candidate(action.data["item"], document)
    place_all(
        candidates.values(),
        fresh,
        policy=context.options.policy,
        quality=context.options.quality,
        seed=context.options.seed,
        tenant_of=lambda d: fresh.tenant_of(d).name,
    )
    world.generations = fresh.generations
    for action in hit:
        candidate = candidates[action.id]
        if candidate.error is not None:
            plan.fail(entities.VM, action.name, candidate.error, action.path)
            continue
        action.document = name_in_vsphere(
            replace(settle(candidate, fresh), state="CREATING"), fresh, suffixed=action.id in conflict.vms
        )
        fresh.put(action.document)
        world.put(action.document)
        kept.append(action)
    return kept


def _drop(actions: list[Action], error: PhotonError, plan: Plan, context: Context) -> list[Action]:
    """Quota or a name went to somebody else: fail the items it hits, in list order, and go on with the others."""
    if error.code not in ("QuotaError", "NameTaken", "ConcurrentTask", "StaleVersion"):
        raise error
    snapshot = context.store.snapshot()
    counters = snapshot.counters
    by_key = {d.name_key for d in snapshot.documents if d.name_key}
    versions = {d.id: d.version for d in snapshot.documents}
    busy = {task.entity_id for task in snapshot.open_tasks}
    kept = []
    for action in actions:
        document = action.document
        try:
            if action.id in busy:
                raise PhotonError(
                    "ConcurrentTask", f"VM {action.name}: another run works on it; run again when that has ended"
                )
            if action.data["again"] and versions.get(action.id) != document.version:
                raise PhotonError("StaleVersion", f"VM {action.name} was changed by another run meanwhile; run again")
            if not action.data["again"]:
                if document.name_key in by_key:
                    raise PhotonError("NameTaken", f"VM {action.name} was made by another run meanwhile; run again")
                charge(
                    counters.setdefault(document.scope, {}),
                    {key: (amount, unit) for key, (amount, unit) in document.body["cost"].items()},
                    f"project {action.name.rpartition('/')[0]}",
                )
            kept.append(action)
        except PhotonError as failure:
            plan.fail(entities.VM, action.name, failure, action.path)
    if len(kept) == len(actions):
        raise error
    return kept


def refreshed(world: World, context: Context) -> World:
    """The CloudStore's present state with the inventories that this run has read."""
    snapshot = context.store.snapshot()
    fresh = World(snapshot.documents, snapshot.counters, world.inventories)
    fresh.unreachable = world.unreachable
    fresh.generations = {i: row.generation for i, row in snapshot.capacity.items()}
    return fresh
