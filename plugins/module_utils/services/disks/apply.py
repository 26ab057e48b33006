# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on persistent disks: detached, created and grown before the work on VMs, attached after it, deleted at the end.

So a disk leaves a VM before that VM is deleted, and a new VM is there before a disk is attached to it. A disk's result
is recorded once its last step was done or failed, together with the VMs whose devices changed.
"""

from __future__ import annotations

from collections import defaultdict
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
from . import actions
from .actions import DiskAction
from .observed import Sight
from .record import Disk, claim_of, directory_of

Work = Callable[[Document, list[DiskAction], Applying], None]


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
    free = [a for a in chosen if a.is_due(actions.GROW) and (a.source is not None or a.previous.vm is None)]
    grown = [vsphere.grow_disk(_backing(a, applying), a.disk.capacity, key=a.id) for a in free]
    _note(_run(endpoint, grown, applying), {a.id: [a] for a in free}, actions.GROW)


def _detach(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    inventory = applying.state.inventories[endpoint.id]
    by_vm: dict[str, list[DiskAction]] = defaultdict(list)
    for action in chosen:
        by_vm[str(action.source)].append(action)
    jobs, keys = [], {}
    for vm_id, some in by_vm.items():
        row = inventory.vm(vm_id)
        if row is None:  # the VM went: nothing has the disk
            _finish_step(some, actions.DETACH)
            continue
        jobs.append(vsphere.detach_managed(row.moid, row.name, [_backing(a, applying) for a in some], key=vm_id))
        keys[vm_id] = some
    _note(_run(endpoint, jobs, applying), keys, actions.DETACH)


def _create(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    session = applying.context.session(endpoint) if chosen else None
    made: dict[str, PhotonError | None] = {}
    jobs = []
    for action in chosen:
        store = _store(action, applying)
        if store.moid not in made:
            made[store.moid] = _directory_error(session, store)
        failure = made[store.moid]
        if failure is not None:
            action.fail_at(actions.CREATE, failure)
            continue
        new = vsphere.NewDisk(action.disk.name, action.disk.capacity, store, str(action.disk.path))
        made_disk = vsphere.created_disk(new, vsphere.VMDK, None)
        jobs.append(
            vsphere.create_disk(
                new,
                vsphere.VMDK,
                key=action.id,
                done_by=frozenset({"FileAlreadyExists"}),  # its path has its id: an interrupted run made it
                then=lambda _done, file=made_disk, key=action.id: _read_uuid(file, key),
            )
        )
    by_id = {a.id: a for a in chosen}
    for job, outcome in _run(endpoint, jobs, applying):
        action = by_id[job.key]
        if isinstance(outcome, PhotonError):
            action.fail_at(actions.CREATE, outcome)
        elif job.operation == "read_uuid":
            size = action.disk.size or action.disk.capacity
            action.disk = replace(action.disk, uuid=outcome, size=size, vm=None)
            _finish_step([action], actions.CREATE)


def _read_uuid(file: Any, key: str) -> Any:
    """The job that reads the uuid of a disk that was just created."""
    what = f"read of the uuid of disk {file.name}"

    def submit(session: Any) -> Any:
        found = vsphere.read_disk(session, file)
        if found is None:
            raise PhotonError("DiskNotFound", f"disk {file.name} was deleted concurrently; run again")
        return found.uuid

    return vsphere.Job(key, what, submit, operation="read_uuid")


def _directory_error(session: Any, store: Any) -> PhotonError | None:
    try:
        vsphere.make_directory(session, directory_of(store.name), store.datacenter)
    except PhotonError as error:
        if error.ends_run:
            raise
        return error
    return None


# -- after the work on VMs -----------------------------------------------------------------------------------------


def _attach_and_record(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    session, inventory = applying.context.session(endpoint), applying.state.inventories[endpoint.id]
    growing = [a for a in chosen if a.is_due(actions.GROW)]
    attaching = [a for a in chosen if a.is_due(actions.ATTACH)]
    touched = {str(a.previous.vm) for a in growing} | {str(a.target) for a in attaching}
    rows = _read(session, inventory, touched)
    _grow_attached(endpoint, growing, rows, applying)
    _attach(endpoint, attaching, rows, applying)
    touched |= {a.source for a in chosen if a.source is not None}
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
    jobs, keys = [], {}
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
            keys[vm_id] = [a for a in some if a.failure is None]
            jobs.append(vsphere.reconfigure(row.moid, row.name, key=vm_id, extend_disks=sizes))
    _note(_run(endpoint, jobs, applying), keys, actions.GROW)


def _attach(endpoint: Document, chosen: list[DiskAction], rows: dict[str, Any], applying: Applying) -> None:
    """One change per VM; where it is refused each disk is tried alone, so that one does not fail the others."""
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
    """Attach the disks of each VM in one call; returns those of several that were refused together."""
    jobs, keys = [], {}
    for vm_id, some in by_vm.items():
        row = rows.get(vm_id)
        if row is None:
            for action in some:
                action.fail_at(actions.ATTACH, _no_vm(action, applying))
            continue
        there = [a for a in some if any(d.is_among(a.disk.identities) for d in row.disks or ())]
        _finish_step(there, actions.ATTACH)
        missing = [a for a in some if a not in there]
        if not missing:
            continue
        try:
            slots = vsphere.free_slots(row.disks or (), len(missing), row.name)
            wanted = [(_backing(a, applying), slot) for a, slot in zip(missing, slots, strict=True)]
            jobs += vsphere.attach_disks(row.moid, row.name, wanted, key=vm_id)
            keys[vm_id] = missing
        except PhotonError as error:
            for action in missing:
                action.fail_at(actions.ATTACH, error)
    refused: dict[str, list[DiskAction]] = {}
    for job, outcome in _run(endpoint, jobs, applying):
        some = keys[job.key]
        if isinstance(outcome, PhotonError) and len(some) > 1 and not outcome.data.get("unknown"):
            refused[job.key] = some
        else:
            _note([(job, outcome)], keys, actions.ATTACH)
    return refused


# -- deletions -----------------------------------------------------------------------------------------------------


def _delete(endpoint: Document, chosen: list[DiskAction], applying: Applying) -> None:
    session, inventory = applying.context.session(endpoint), applying.state.inventories[endpoint.id]
    due = [a for a in chosen if a.is_due(actions.DELETE)]
    jobs = [vsphere.delete_disk(_backing(a, applying), key=a.id) for a in due]
    _note(_run(endpoint, jobs, applying), {a.id: [a] for a in due}, actions.DELETE)
    rows = _read(session, inventory, {a.source for a in chosen if a.source is not None})
    _record(endpoint, chosen, rows, applying)


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
    detached = actions.DETACH in action.done
    vm = action.target if actions.ATTACH in action.done else None if detached else action.previous.vm
    disk = replace(disk, vm=vm)
    if disk.is_unfinished:
        # What was certainly not made needs no place: the next run may find a better one.
        place = {} if _is_unknown(action) else {"endpoint": None, "datastore": None, "path": None}
        return replace(disk, state=states.ERROR, **place)  # type: ignore[arg-type]
    return disk.settled()


def _is_unknown(action: DiskAction) -> bool:
    return action.failure is not None and bool(action.failure.data.get("unknown"))


def _failed(action: DiskAction) -> tuple[Any, ...]:
    number = action.steps.index(action.failed_step) if action.failed_step in action.steps else 0
    return (action.task.id, number, "ERROR", None, action.failure)  # type: ignore[union-attr]


def _note(outcomes: Iterable[tuple[Any, Any]], by_key: dict[str, list[DiskAction]], step: str) -> None:
    for job, outcome in outcomes:
        if isinstance(outcome, PhotonError):
            for action in by_key[job.key]:
                action.fail_at(step, outcome)
        else:
            _finish_step(by_key[job.key], step)


def _finish_step(chosen: Iterable[DiskAction], step: str) -> None:
    for action in chosen:
        action.done.append(step)


def _run(endpoint: Document, jobs: list[Any], applying: Applying) -> Iterable[tuple[Any, Any]]:
    return vsphere.run_jobs(applying.context.session(endpoint), jobs) if jobs else ()


def _by_vm(chosen: Iterable[DiskAction], of: Callable[[DiskAction], str | None]) -> dict[str, list[DiskAction]]:
    groups: dict[str, list[DiskAction]] = defaultdict(list)
    for action in chosen:
        groups[str(of(action))].append(action)
    return groups


def _store(action: DiskAction, applying: Applying) -> Any:
    """The row of the datastore that the disk is on."""
    state = applying.state
    store = state.must(str(action.disk.datastore))
    row = state.inventories[store.scope].datastores.get(store.observed["moid"])
    if row is None:
        raise PhotonError(
            "DatastoreNotFound", f"disk {action.name}: datastore {store.name} left its endpoint; run again"
        )
    return row


def _backing(action: DiskAction, applying: Applying) -> Any:
    """The disk's file, as the calls name it."""
    disk = action.disk
    return vsphere.DiskFile(
        disk.name,
        vsphere.VMDK,
        str(disk.path),
        _store(action, applying),
        uuid=disk.uuid or "",
        capacity=disk.size or disk.capacity,
    )


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
