# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks of actions as the calls of vsphere/ name them, and runs of such calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ... import vsphere
from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from ...vsphere import guestinfo
from .. import policies
from ..context import Applying
from . import actions, mark
from .actions import DiskAction
from .record import Disk

# The jobs on one VM, which run one after another, each with the actions that it is for.
Chain = list[tuple[Any, list[DiskAction]]]
_BEFORE_ATTACH = (actions.CREATE, actions.DETACH, actions.GROW)


def store_of(action: DiskAction, applying: Applying) -> Any:
    """The row of the datastore that the disk is on. Raises DatastoreNotFound."""
    state = applying.state
    store = state.must(str(action.disk.datastore))
    row = state.inventories[store.scope].datastores.get(store.observed["moid"])
    if row is None:
        raise PhotonError(
            "DatastoreNotFound", f"disk {action.name}: datastore {store.name} left its endpoint; run again"
        )
    return row


def file_of(action: DiskAction, applying: Applying) -> vsphere.DiskFile:
    """The disk, as the calls name it."""
    disk = action.disk
    return vsphere.DiskFile(
        disk.name,
        disk.backing or vsphere.VMDK,
        disk.path or "",
        store_of(action, applying),
        disk.first_class or "",
        disk.uuid or "",
        disk.size or disk.capacity,
    )


def new_disk(action: DiskAction, applying: Applying) -> vsphere.NewDisk:
    """The disk, as it is created."""
    disk = action.disk
    return vsphere.NewDisk(
        disk.name,
        disk.capacity,
        store_of(action, applying),
        disk.path or "",
        policy=policy_of(action, applying),
        marks=marks_of(action, applying),
    )


def policy_of(action: DiskAction, applying: Applying) -> str:
    """The id of the storage policy that the disk gets; empty without one."""
    return policies.id_on(action.policy, action.disk.datastore, f"disk {action.name}", applying.state)


def marks_of(action: DiskAction, applying: Applying) -> dict[str, str]:
    """What a first-class disk carries in its metadata."""
    return {
        guestinfo.ID_KEY: action.id,
        guestinfo.SITE_KEY: action.document.managed_by,
        guestinfo.STORE_KEY: applying.context.store.store_id or "",
        guestinfo.RECORD_KEY: record_of(action, applying),
    }


def record_of(action: DiskAction, applying: Applying) -> str:
    """The record that the disk carries in vSphere."""
    return mark.mark_of(action.disk, action.document, applying.state, applying.context.store)


def describe(action: DiskAction, applying: Applying, **options: Any) -> vsphere.Job:
    """Write the record of a disk: into its metadata, or into the file next to it."""
    file, record = file_of(action, applying), record_of(action, applying)
    if file.backing == vsphere.FCD:
        return vsphere.describe_first_class(file, {guestinfo.RECORD_KEY: record}, action.id, options)
    path, center = mark.file_of(file.datastore.name, action.id), file.datastore.datacenter
    job = vsphere.write_file(path, center, record.encode(), key=action.id, **options)
    directory = path.rpartition("/")[0]
    if not file.path.startswith(f"{directory}/"):  # its VM took it to another datastore
        write = job.submit

        def submit(session: vsphere.Session) -> Any:
            vsphere.make_directory(session, directory, center)
            return write(session)

        job.submit = submit
    return job


def find_created(endpoint: Document, chosen: Sequence[DiskAction], applying: Applying) -> dict[str, vsphere.DiskFile]:
    """The first-class disks that interrupted runs made for these actions, by the action's id."""
    wanted = {a.id: a for a in chosen if a.disk.backing == vsphere.FCD and a.previous.is_unfinished and a.is_resumed}
    if not wanted:
        return {}
    state = applying.state
    stores = {row.moid: row for row in (store_of(action, applying) for action in wanted.values())}
    known = {disk.first_class for disk in map(Disk.of, state.of(entities.DISK)) if disk.first_class}
    session = applying.context.session(endpoint)
    found = {}
    for file in vsphere.find_unknown(session, stores.values(), known):
        identity = file.marks.get(guestinfo.ID_KEY, "")
        if identity in wanted:
            found[identity] = file
    return found


def attachable(applying: Applying) -> dict[str, list[vsphere.DiskFile]]:
    """The disks that are ready to be attached, by the VM that gets them."""
    found: dict[str, list[vsphere.DiskFile]] = {}
    for action in applying.plan.of_type(DiskAction):
        ready = action.is_due(actions.ATTACH) and not any(action.is_due(step) for step in _BEFORE_ATTACH)
        if ready and action.target is not None:
            found.setdefault(action.target, []).append(file_of(action, applying))
    return found


def chain(
    jobs: Iterable[tuple[Any, tuple[vsphere.DiskFile, ...]]], files: Sequence[vsphere.DiskFile], some: list[DiskAction]
) -> Chain:
    """Give each job the actions that its disks are for; ``files`` are the disks of ``some``, in the same order."""
    by_file = {id(file): action for file, action in zip(files, some, strict=True)}
    return [(job, [by_file[id(file)] for file in its]) for job, its in jobs]


def run(endpoint: Document, jobs: list[Any], applying: Applying) -> Iterable[tuple[Any, Any]]:
    """Run jobs that do not depend on each other; yields each with its outcome."""
    return vsphere.run_jobs(applying.context.session(endpoint), jobs) if jobs else ()


def run_chains(
    endpoint: Document, chains: Iterable[Chain], applying: Applying
) -> Iterator[tuple[list[DiskAction], Any, Any]]:
    """Run the jobs of each VM one after another, all VMs side by side; yields ``(actions, job, outcome)``."""
    waiting = [list(each) for each in chains if each]
    while waiting:
        heads = {job.key: (job, some) for job, some in (each.pop(0) for each in waiting)}
        for job, outcome in run(endpoint, [job for job, _some in heads.values()], applying):
            yield heads[job.key][1], job, outcome
        waiting = [each for each in waiting if each]


def note(outcomes: Iterable[tuple[list[DiskAction], Any, Any]], step: str, applying: Applying) -> None:
    """Note of each action whether the step was done or failed."""
    for some, _job, outcome in outcomes:
        if isinstance(outcome, PhotonError):
            for action in some:
                action.fail_at(step, outcome)
        else:
            finish_step(some, step, applying)


def finish_step(chosen: Iterable[DiskAction], step: str, applying: Applying) -> None:
    for action in chosen:
        action.done.append(step)
        applying.note(action.task, step)
