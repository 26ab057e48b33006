# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on persistent disks: detached, created and grown before the work on VMs, attached after it, deleted at the end.

So a disk leaves a VM before that VM is deleted, and a new VM is there before a disk is attached to it. A disk's result
is recorded once its last step was done or failed, together with the VMs whose devices changed.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from ... import vsphere
from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ..context import Applying
from ..planning import DELETE, Outcome
from ..vms.observed import observe
from ..vms.record import Vm
from . import actions, mark
from .actions import DiskAction
from .backings import (
    Chain,
    chain,
    describe,
    file_of,
    find_created,
    finish_step,
    new_disk,
    note,
    policy_of,
    run,
    run_chains,
    store_of,
)
from .observed import Sight
from .record import Disk, claim_of, directory_of

Work = Callable[[Document, list[DiskAction], Applying], None]
_DELETE_RECORD = "delete_record"


def prepare_disks(applying: Applying) -> None:
    """Detach, create and grow what no VM has by then."""
    _on_endpoints(_open(applying), _prepare, applying)


def attach_disks(applying: Applying) -> None:
    """Grow the disks that stay attached, attach the others, and record all that is not to be deleted."""
    _on_endpoints([a for a in _open(applying) if a.verb != DELETE], _attach_and_record, applying)


def delete_disks(applying: Applying) -> None:
    """Delete the files of disks, and with them the records."""
    _on_endpoints([a for a in _open(applying) if a.verb == DELETE], _delete, applying)


def _open(applying: Applying) -> list[DiskAction]:
    return [a for a in applying.plan.of_type(DiskAction) if a.outcome is None and a.task is not None]


# -- before the work on VMs ----------------------------------------------------------------------------------------


def _prepare(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    _detach(endpoint, [a for a in chosen if a.is_due(actions.DETACH)], applying)
    _create(endpoint, [a for a in chosen if a.is_due(actions.CREATE)], applying)
    _grow(endpoint, [a for a in chosen if a.is_due(actions.GROW) and not _grows_with_vm(a)], applying)


def _grows_with_vm(action: DiskAction) -> bool:
    """A disk that stays attached grows in a change of its VM, which may run."""
    return action.previous.vm is not None and action.source is None


def _detach(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    inventory = applying.state.inventories[endpoint.id]
    chains = []
    for vm_id, some in _by_vm(chosen, lambda action: action.source).items():
        row = inventory.vm(vm_id)
        if row is None:  # the VM went: nothing has the disk
            finish_step(some, actions.DETACH, applying)
            continue
        files = [file_of(action, applying) for action in some]
        chains.append(chain(vsphere.detach_backings(row.moid, row.name, files, key=vm_id), files, some))
    note(run_chains(endpoint, chains, applying), actions.DETACH, applying)


def _create(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    found = find_created(endpoint, chosen, applying)
    directories: dict[str, PhotonError | None] = {}
    jobs = []
    for action in chosen:
        if action.id in found:
            jobs.append(_read_uuid(found[action.id], action, applying))
            continue
        failure = _directory_error(endpoint, action, directories, applying)
        if failure is not None:
            action.fail_at(actions.CREATE, failure)
            continue
        jobs.append(_create_one(action, applying))
    by_id = {a.id: a for a in chosen}
    for job, outcome in run(endpoint, jobs, applying):
        action = by_id[job.key]
        if isinstance(outcome, PhotonError):
            if actions.CREATE not in action.done:  # else the next plan shows that its record is old
                action.fail_at(actions.CREATE, outcome)
        elif job.operation != "read_uuid":
            action.disk = replace(action.disk, described=actions.CREATE in action.done)
        else:
            size = action.disk.size or action.disk.capacity
            place = {"path": outcome.path, "first_class": outcome.id or None, "uuid": outcome.uuid}
            described = action.disk.backing == vsphere.FCD and not action.is_resumed
            action.disk = replace(action.disk, size=size, vm=None, policy=action.policy, described=described, **place)
            finish_step([action], actions.CREATE, applying)
    failed = [a for a in chosen if a.failed_step == actions.CREATE and not _is_unknown(a)]
    records = [job for a in failed if a.disk.path and (job := _delete_record(file_of(a, applying), a.id)) is not None]
    deque(run(endpoint, records, applying), maxlen=0)  # one that stays harms nobody


def _create_one(action: DiskAction, applying: Applying) -> Any:
    """The job that creates a disk; a managed VMDK gets its record first, so that no disk is without one."""
    if action.disk.backing == vsphere.VMDK:
        return describe(action, applying, then=lambda _result: _create_file(action, applying))
    return _create_file(action, applying)


def _create_file(action: DiskAction, applying: Applying) -> Any:
    new, backing = new_disk(action, applying), str(action.disk.backing)
    return vsphere.create_disk(
        new,
        backing,
        key=action.id,
        # The path of a VMDK has the disk's id: an interrupted run made it.
        done_by=frozenset({"FileAlreadyExists"} if backing == vsphere.VMDK else ()),
        then=lambda outcome: _read_uuid(vsphere.created_disk(new, backing, outcome), action, applying),
    )


def _read_uuid(file: Any, action: DiskAction, applying: Applying) -> Any:
    """The job that reads the uuid of a disk that was just created; its result is the disk with it.

    The record of a managed VMDK has its uuid, that of one that an interrupted run made may be old: it is written again.
    """
    what = f"read of the uuid of disk {file.name}"

    def submit(session: Any) -> Any:
        uuid = vsphere.read_uuid(session, file)
        if uuid is None:
            raise PhotonError("DiskNotFound", f"disk {file.name} was deleted concurrently; run again")
        return replace(file, uuid=uuid)

    again = file.backing == vsphere.VMDK or action.is_resumed
    then = (lambda _file: describe(action, applying)) if again else None
    return vsphere.Job(action.id, what, submit, operation="read_uuid", then=then)


def _directory_error(
    endpoint: Document, action: DiskAction, made: dict[str, PhotonError | None], applying: Applying
) -> PhotonError | None:
    """Make the directory of a managed VMDK, once for each datastore; returns why it cannot be had."""
    if action.disk.backing == vsphere.FCD:
        return None
    store = store_of(action, applying)
    if store.moid not in made:
        made[store.moid] = None
        try:
            session = applying.context.session(endpoint)
            vsphere.make_directory(session, directory_of(store.name), store.datacenter)
        except PhotonError as error:
            if error.ends_run:
                raise
            made[store.moid] = error
    return made[store.moid]


def _grow(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    jobs = [vsphere.grow_disk(file_of(a, applying), a.disk.capacity, key=a.id) for a in chosen]
    by_id = {a.id: [a] for a in chosen}
    note(((by_id[job.key], job, outcome) for job, outcome in run(endpoint, jobs, applying)), actions.GROW, applying)


# -- after the work on VMs -----------------------------------------------------------------------------------------


def _attach_and_record(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    session, inventory = applying.context.session(endpoint), applying.state.inventories[endpoint.id]
    growing = [a for a in chosen if a.is_due(actions.GROW)]
    attaching = [a for a in chosen if a.is_due(actions.ATTACH)]
    touched = {str(a.previous.vm) for a in growing} | {str(a.target) for a in attaching}
    rows = _read(session, inventory, touched)
    _grow_attached(endpoint, growing, rows, applying)
    _attach(endpoint, attaching, rows, applying)
    _set_policies(endpoint, [a for a in chosen if a.is_due(actions.SET_POLICY)], applying)
    _describe(endpoint, [a for a in chosen if a.is_due(actions.DESCRIBE)], applying)
    touched |= {vm for a in chosen if a.steps for vm in (a.source, a.previous.vm) if vm is not None}
    after = _read(session, inventory, touched)
    _record(endpoint, chosen, after, applying)


def _read(session: Any, inventory: Any, vm_ids: Iterable[str]) -> dict[str, Any]:
    """``{VM's id: row with its devices}``: two calls for all of them."""
    wanted = list(vm_ids)
    if not wanted:
        return {}
    rows = {row.uuid: row for row in vsphere.lookup_vms(session, uuids=wanted)}
    vsphere.read_heavy(session, rows.values(), inventory.networks)
    return rows


def _grow_attached(endpoint: Document, chosen: list[DiskAction], rows: dict[str, Any], applying: Applying) -> None:
    chains: list[Chain] = []
    for vm_id, some in _by_vm(chosen, lambda action: action.previous.vm).items():
        row = rows.get(vm_id)
        sizes = {}
        for action in some:
            device = next((d for d in row.disks or () if d.is_among(action.previous.identities)), None) if row else None
            if device is None:
                action.fail_at(actions.GROW, _left(action))
            else:
                sizes[device.key] = action.disk.capacity
        if sizes:
            job = vsphere.reconfigure(row.moid, row.name, key=vm_id, extend_disks=sizes)
            chains.append([(job, [a for a in some if a.failure is None])])
    note(run_chains(endpoint, chains, applying), actions.GROW, applying)


def _attach(endpoint: Document, chosen: list[DiskAction], rows: dict[str, Any], applying: Applying) -> None:
    """Attach what can be; where several are refused together each is tried alone, so that one does not fail the
    others."""
    by_vm = _by_vm(chosen, lambda action: action.target)
    refused = _attach_together(endpoint, by_vm, rows, applying)
    while refused:
        again = {vm_id: [some[0]] for vm_id, some in refused.items()}
        _attach_together(endpoint, again, _read_again(endpoint, refused, applying), applying)
        refused = {vm_id: some[1:] for vm_id, some in refused.items() if some[1:]}


def _read_again(endpoint: Document, vm_ids: Iterable[str], applying: Applying) -> dict[str, Any]:
    return _read(applying.context.session(endpoint), applying.state.inventories[endpoint.id], vm_ids)


def _attach_together(
    endpoint: Document, by_vm: dict[str, list[DiskAction]], rows: dict[str, Any], applying: Applying
) -> dict[str, list[DiskAction]]:
    """Attach the disks of each VM in as few calls as possible; returns those of several that were refused together."""
    chains: list[Chain] = []
    for vm_id, some in by_vm.items():
        row = rows.get(vm_id)
        if row is None:
            for action in some:
                action.fail_at(actions.ATTACH, _no_vm(action, applying))
            continue
        there = [a for a in some if any(d.is_among(a.disk.identities) for d in row.disks or ())]
        finish_step(there, actions.ATTACH, applying)
        missing = [a for a in some if a not in there]
        if not missing:
            continue
        try:
            slots = vsphere.free_slots(row.disks or (), len(missing), row.name)
        except PhotonError as error:
            for action in missing:
                action.fail_at(actions.ATTACH, error)
            continue
        files = [file_of(action, applying) for action in missing]
        pairs = list(zip(files, slots, strict=True))
        chains.append(chain(vsphere.attach_disks(row.moid, row.name, pairs, key=vm_id), files, missing))
    refused: dict[str, list[DiskAction]] = {}
    for some, job, outcome in run_chains(endpoint, chains, applying):
        if isinstance(outcome, PhotonError) and len(some) > 1 and not outcome.data.get("unknown"):
            refused[job.key] = some
        else:
            note([(some, job, outcome)], actions.ATTACH, applying)
    return refused


def _set_policies(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    """A first-class disk has its policy itself, a managed VMDK as a device of its VM."""
    own = [a for a in chosen if a.disk.backing == vsphere.FCD]
    jobs = [vsphere.set_first_class_policy(file_of(a, applying), policy_of(a, applying), a.id, {}) for a in own]
    by_id = {a.id: [a] for a in own}
    note(
        ((by_id[job.key], job, outcome) for job, outcome in run(endpoint, jobs, applying)), actions.SET_POLICY, applying
    )
    by_vm = _by_vm([a for a in chosen if a not in own], lambda action: action.target or action.previous.vm)
    rows = _read_again(endpoint, by_vm, applying)
    chains: list[Chain] = []
    for vm_id, some in by_vm.items():
        row, keys = rows.get(vm_id), {}
        for action in some:
            device = next((d for d in row.disks or () if d.is_among(action.disk.identities)), None) if row else None
            if device is None:
                action.fail_at(actions.SET_POLICY, _left(action))
            else:
                keys[device.key] = policy_of(action, applying)
        if keys:
            job = vsphere.reconfigure(row.moid, row.name, key=vm_id, disk_policies=keys)
            chains.append([(job, [a for a in some if a.failure is None])])
    note(run_chains(endpoint, chains, applying), actions.SET_POLICY, applying)


def _describe(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    by_id = {a.id: [a] for a in chosen}
    outcomes = run(endpoint, [describe(a, applying) for a in chosen], applying)
    note(((by_id[job.key], job, outcome) for job, outcome in outcomes), actions.DESCRIBE, applying)


# -- deletions -----------------------------------------------------------------------------------------------------


def _delete(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    session, inventory = applying.context.session(endpoint), applying.state.inventories[endpoint.id]
    due = [a for a in chosen if a.is_due(actions.DELETE)]
    found = find_created(endpoint, due, applying)
    jobs, by_id = [], {a.id: [a] for a in due}
    for action in due:
        file = found.get(action.id) or file_of(action, applying)
        if file.id or file.path:
            jobs.append(_delete_disk(file, action.id))
        else:  # it was never made
            finish_step([action], actions.DELETE, applying)
    outcomes = run(endpoint, jobs, applying)
    deleted = (
        (by_id[job.key], job, outcome)
        for job, outcome in outcomes
        if job.operation != _DELETE_RECORD or isinstance(outcome, PhotonError)
    )
    note(deleted, actions.DELETE, applying)
    rows = _read(session, inventory, {a.source for a in chosen if a.source is not None})
    _record(endpoint, chosen, rows, applying)


def _delete_disk(file: vsphere.DiskFile, disk_id: str) -> vsphere.Job:
    """Delete a disk, its record first: a run that is killed between leaves a disk that the next one finds."""

    def then(_result: Any = None) -> vsphere.Job:
        return vsphere.delete_disk(file, key=disk_id)

    record = _delete_record(file, disk_id)
    return then() if record is None else replace(record, then=then)


def _delete_record(file: vsphere.DiskFile, disk_id: str) -> vsphere.Job | None:
    if file.backing == vsphere.FCD:
        return None
    path, center = mark.file_of(file.datastore.name, disk_id), file.datastore.datacenter
    return vsphere.delete_file(path, center, key=disk_id, operation=_DELETE_RECORD)


# -- shared --------------------------------------------------------------------------------------------------------


def _record(endpoint: Document, chosen: list[DiskAction], rows: dict[str, Any], applying: Applying) -> None:
    """Record what became of the disks, and the VMs whose devices changed, in one transaction."""
    state = applying.state
    kept: dict[str, Document] = {}
    for action in chosen:
        if action.verb != DELETE or action.failure is not None:
            kept[action.id] = state.put(_facts(action).write_to(action.document))
    sight = Sight(state)
    for row in rows.values():
        sight.add(endpoint.id, row)
    for action in chosen:
        if action.id in kept and action.id in sight.attached:
            seen = sight.see(_facts(action)).disk
            kept[action.id] = state.put(replace(seen, state=states.ATTACHED).write_to(kept[action.id]))
    vms = {}
    for vm_id, row in rows.items():
        document = state.get(vm_id)
        if document is not None and document.kind == entities.VM and row.readable:
            vms[vm_id] = state.put(
                observe(Vm.of(document), row, endpoint.id, state).record(Vm.of(document)).write_to(document)
            )

    def end(tx: Any) -> None:
        tx.settle(kept.values())
        tx.bury([a.document for a in chosen if a.id not in kept])
        tx.observe({i: d.observed for i, d in vms.items()}, {i: d.state for i, d in vms.items()})
        tx.claim([claim_of(d, state) for d in kept.values()], check=False)
        tx.steps([_failed(a) for a in chosen if a.failure is not None])
        tx.finish_tasks({a.task.id: a.failure for a in chosen})  # type: ignore[union-attr]

    applying.context.store.run(end)
    for action in chosen:
        document = kept.get(action.id)
        applying.plan.finish(action, Outcome(bool(action.done) or not action.steps, action.failure, document))


def _facts(action: DiskAction) -> Disk:
    """The disk after the steps that were done, as far as the VMs' devices do not tell."""
    disk = action.disk
    if actions.GROW in action.steps and actions.GROW not in action.done:
        if action.failed_step == actions.GROW and not _is_unknown(action):
            disk = replace(disk, capacity=action.previous.capacity, cost=action.previous.cost)
        disk = replace(disk, size=action.previous.size)
    elif actions.GROW in action.done:
        disk = replace(disk, size=disk.capacity)
    if actions.SET_POLICY in action.done:
        disk = replace(disk, policy=action.policy)
    if actions.DESCRIBE in action.steps:
        disk = replace(disk, described=actions.DESCRIBE in action.done)
    detached = actions.DETACH in action.done
    vm = action.target if actions.ATTACH in action.done else None if detached else action.previous.vm
    disk = replace(disk, vm=vm)
    if disk.is_unfinished:
        # What was certainly not made needs no place: the next run may find a better one.
        unplaced = {"endpoint": None, "datastore": None, "path": None, "backing": None}
        place = {} if _is_unknown(action) else unplaced
        return replace(disk, state=states.ERROR, **place)  # type: ignore[arg-type]
    return disk.settled()


def _is_unknown(action: DiskAction) -> bool:
    return action.failure is not None and bool(action.failure.data.get("unknown"))


def _failed(action: DiskAction) -> tuple[Any, ...]:
    number = action.steps.index(action.failed_step) if action.failed_step in action.steps else 0
    return (action.task.id, number, "ERROR", None, action.failure)  # type: ignore[union-attr]


def _by_vm(chosen: Iterable[DiskAction], of: Callable[[DiskAction], str | None]) -> dict[str, list[DiskAction]]:
    groups: dict[str, list[DiskAction]] = defaultdict(list)
    for action in chosen:
        groups[str(of(action))].append(action)
    return groups


def _left(action: DiskAction) -> PhotonError:
    return PhotonError("DiskNotFound", f"disk {action.name} was detached from its VM concurrently; run again")


def _no_vm(action: DiskAction, applying: Applying) -> PhotonError:
    name = applying.state.name_of(action.target)
    return PhotonError(
        "DependencyFailed",
        f"disk {action.name} is not attached: VM {name} could not be had; fix that VM, then run again",
    )


def _on_endpoints(chosen: list[DiskAction], work: Work, applying: Applying) -> None:
    """Endpoints side by side; where one fails as a whole, every open action on it fails with it, and no other."""
    groups: dict[str, list[DiskAction]] = defaultdict(list)
    for action in chosen:
        groups[str(action.disk.endpoint)].append(action)
    if not groups:
        return
    with ThreadPoolExecutor(len(groups)) as pool:
        futures = [pool.submit(_guarded, work, applying.state.must(i), some, applying) for i, some in groups.items()]
        for future in futures:
            future.result()


def _guarded(work: Work, endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    try:
        work(endpoint, chosen, applying)
    except PhotonError as error:
        if error.ends_run:
            raise
        unknown = PhotonError(error.code, error.message, {**error.data, "unknown": True})
        for action in chosen:
            if action.outcome is None and action.failure is None:
                action.fail_at(next((step for step in action.steps if step not in action.done), ""), unknown)
        if work is not _prepare:
            _record(endpoint, [a for a in chosen if a.outcome is None], {}, applying)
