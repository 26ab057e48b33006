# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks as a plan, made once the VMs have their places. Pure: only CurrentState is changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from ...model import entities, states
from ...model.authorization import authorize
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.quota import refund
from ...vsphere import VMDK, choose_backing
from .. import policies
from ..fleet.record import DatastoreFacts, HostFacts
from ..planning import CREATE, DELETE, KEEP, UPDATE, Planning, compare, delete_action
from ..state import CurrentState
from ..vms.actions import DeleteVm
from ..vms.record import Vm
from . import actions
from .actions import DiskAction, task_of
from .desired import Desired, give_back
from .mark import mark_of
from .observed import Seen, Sight, unread
from .place import place_disks
from .record import MOST_DISKS, Disk, claim_of, file_of

_USABLE = (states.STOPPED, states.STARTED)


def plan_disks(planning: Planning) -> None:
    """Add an action or a failure for each declared disk; those without a place get one in one scheduler call."""
    state = planning.state
    accepted: list[tuple[Desired, Document | None]] = []
    for desired in planning.disks:
        try:
            if desired.absent:
                _plan_absent(desired, planning)
            else:
                accepted.append((desired, _target(desired, planning)))
        except PhotonError as error:
            _refuse(desired, error, planning)
    wanted = [(desired, vm) for desired, vm in accepted if desired.disk.datastore is None]
    errors = place_disks(wanted, planning)
    room = _Room(state)
    for desired, vm in accepted:
        try:
            if desired.disk.id in errors:
                raise errors[desired.disk.id]
            _plan_one(desired, vm, room, planning)
        except PhotonError as error:
            _refuse(desired, error, planning)


def plan_delete(
    current: Document, planning: Planning, reason: str, path: str = "", *, force: bool = False, seen: Seen | None = None
) -> DiskAction:
    """Plan a deletion. It needs a disk that no VM has (StateError) unless ``force`` detaches it first."""
    state, label = planning.state, planning.state.path_of(current)
    chain = state.chain(current)[:-1]
    authorize(planning.actor, "delete", entities.DISK, *chain)
    recorded = Disk.of(current)
    if recorded.deletion_protection:
        raise PhotonError("DeletionProtected", f"disk {label} has deletion_protection: set it to false, then delete")
    seen = seen or Sight.of(state).see(recorded)
    disk = seen.disk
    if seen.stranger:
        raise PhotonError("StateError", f"disk {label} is attached to VM {seen.stranger}: detach it there, then delete")
    if disk.vm is not None and not force:
        raise PhotonError(
            "StateError",
            f'disk {label} is attached to VM {state.name_of(disk.vm)}: detach it first (attached_to: ""), or '
            "delete it with force: true",
            {"vm": disk.vm},
        )
    if disk.vm is not None:
        _check_source(label, seen)
    planning.plan.observed_states.pop(current.id, None)
    refund(state.counters.setdefault(recorded.project, {}), recorded.cost)
    steps = (actions.DETACH, actions.DELETE) if disk.vm else (actions.DELETE,)
    return delete_action(
        planning,
        current,
        reason,
        path,
        DiskAction,
        needs=tuple(document.id for document in chain),
        task=task_of(current.id, steps, disk.endpoint, (disk.vm,)) if disk.endpoint else None,
        disk=disk,
        previous=disk,
        steps=steps if disk.endpoint else (),
        source=disk.vm,
    )


def plan_prune(current: Document, planning: Planning, reason: str) -> DiskAction:
    """Plan the deletion of a disk that is no longer declared; it is detached first."""
    return plan_delete(current, planning, reason, force=True)


def refuse_attached(planning: Planning) -> None:
    """Take back the deletion of a VM that keeps a persistent disk, because the disk's own plan failed."""
    plan = planning.plan
    detached = {a.id for a in plan.of_type(DiskAction) if a.source is not None}
    for action in plan.of_type(DeleteVm):
        kept = [name for disk, name in _disks_on(action.id, planning) if disk not in detached]
        if kept:
            plan.actions.remove(action)
            message = f"VM {action.name} is left as it was: its persistent disks {', '.join(kept)} stay attached"
            plan.fail(entities.VM, action.name, PhotonError("PersistentDiskAttached", message), action.path)


# -- single items ------------------------------------------------------------------------------------------------


def _refuse(desired: Desired, error: PhotonError, planning: Planning) -> None:
    if not desired.absent:
        give_back(desired, planning)
    planning.plan.fail(entities.DISK, desired.label, error, desired.path)


def _plan_absent(desired: Desired, planning: Planning) -> None:
    if desired.current is not None:
        plan_delete(
            desired.current, planning, "declared absent", desired.path, force=desired.is_detached, seen=desired.seen
        )


def _target(desired: Desired, planning: Planning) -> Document | None:
    """The VM that the disk is to be attached to. Raises what keeps it from being attached or detached."""
    state, seen = planning.state, desired.seen
    vm = state.find(entities.VM, desired.disk.project, desired.target) if desired.target else None
    if desired.target and vm is None:
        raise PhotonError(
            "DependencyFailed",
            f"disk {desired.label} is left as it was: VM {desired.target}, to which it is to be attached, is missing",
        )
    if seen.disk.vm is not None and (vm is None or vm.id != seen.disk.vm):
        _check_source(desired.label, seen)
    if vm is not None and vm.id != seen.disk.vm:
        power = _power_of(vm, planning)
        if power not in _USABLE:
            raise PhotonError(
                "InvalidVmState",
                f"disk {desired.label}: VM {vm.name} is {power}; a disk can be attached to a VM that is STOPPED or "
                "STARTED",
                {"state": power},
            )
    if desired.disk.endpoint is not None and desired.disk.endpoint not in state.inventories:
        raise unread(desired.disk, state)
    return vm


def _check_source(label: str, seen: Seen) -> None:
    """Raise InvalidVmState where the VM that has the disk does not let it go."""
    row = seen.vm_row
    if row is not None and (not row.readable or row.power_state == "suspended"):
        raise PhotonError(
            "InvalidVmState",
            f"disk {label}: VM {row.name} is {'SUSPENDED' if row.readable else 'unreadable'}; a disk can be detached "
            "from a VM that is STOPPED or STARTED",
        )


def _power_of(vm: Document, planning: Planning) -> str:
    """The power state that the VM has after this plan."""
    action = next((a for a in planning.plan.of(entities.VM, CREATE, UPDATE) if a.id == vm.id), None)
    return str(action.after.get("state", vm.state)) if action is not None else vm.state


def _plan_one(desired: Desired, vm: Document | None, room: _Room, planning: Planning) -> None:
    state, seen, disk = planning.state, desired.seen, desired.disk
    store = state.must(str(disk.datastore))
    disk = replace(disk, endpoint=store.scope, backing=disk.backing or _backing(desired, store, planning))
    if disk.backing == VMDK:
        disk = replace(disk, path=disk.path or file_of(store.name, disk.id))
    previous = seen.disk
    steps: list[str] = []
    source = previous.vm if previous.vm is not None and (vm is None or vm.id != previous.vm) else None
    if source is not None:
        steps.append(actions.DETACH)
    if disk.is_unfinished:
        steps.append(actions.CREATE)
    if disk.size is not None and disk.capacity > disk.size:
        if seen.under_snapshot:
            raise PhotonError(
                "StateError",
                f"disk {desired.label} cannot grow while its VM {seen.vm_row.name} has a snapshot: remove the "
                "snapshots, then run again",
            )
        steps.append(actions.GROW)
    if vm is not None and vm.id != previous.vm:
        _check_reach(desired.label, disk, vm, state)
        room.take(desired, vm, source)
        steps.append(actions.ATTACH)
    if _changes_policy(desired, disk, vm, planning):
        steps.append(actions.SET_POLICY)
    if _is_to_be_described(desired, planning):
        steps.append(actions.DESCRIBE)
        previous = replace(previous, described=False)
    disk = replace(disk, wanted_vm=vm.id if vm is not None else None)
    facts = replace(
        disk,
        vm=previous.vm,
        state=previous.state if desired.current else states.CREATING,
        described=previous.described,
    )
    recorded = desired.current
    document = state.put(facts.write_to(recorded or state.must(disk.id)))
    shown = replace(disk, policy=desired.policy if disk.is_unfinished or actions.SET_POLICY in steps else disk.policy)
    difference = compare(_view(previous, None, state) if recorded is not None else None, _view(shown, vm, state))
    verb = CREATE if recorded is None else UPDATE if difference.changes or steps else KEEP
    target = vm.id if actions.ATTACH in steps else None  # type: ignore[union-attr]
    planning.plan.add(
        DiskAction(
            verb=verb,
            kind=entities.DISK,
            name=desired.label,
            document=document,
            path=desired.path,
            reason=_reason(verb, disk, difference.reason or ("its record in vSphere is old" if steps else "")),
            before=difference.before,
            after=difference.after,
            changes=difference.changes if verb == UPDATE else [],
            needs=tuple(i for i in (*desired.needs, store.id, *([vm.id] if vm is not None else [])) if i != disk.id),
            task=task_of(disk.id, tuple(steps), disk.endpoint, (source, vm.id if vm else None)) if steps else None,
            claim=claim_of(document, state) if verb != KEEP else None,
            disk=disk,
            previous=previous,
            steps=tuple(steps),
            source=source,
            target=target,
            policy=desired.policy,
        )
    )


def _changes_policy(desired: Desired, disk: Disk, vm: Document | None, planning: Planning) -> bool:
    """Whether an existing disk gets another storage policy; vSphere sets that of a managed VMDK through a VM."""
    if disk.is_unfinished or desired.policy == disk.policy:
        return False
    policies.id_on(desired.policy, disk.datastore, f"disk {desired.label}", planning.state)
    if disk.backing == VMDK and vm is None:
        planning.plan.warnings.append(
            f"disk {desired.label} gets the storage policy {desired.policy or 'of its datastore'} when it is attached "
            "to a VM: vSphere sets that of a VMDK no other way"
        )
        return False
    return True


def _is_to_be_described(desired: Desired, planning: Planning) -> bool:
    """Whether an existing disk has no record in vSphere, or one of another intent."""
    disk, current = desired.disk, desired.current
    if disk.is_unfinished or current is None:
        return False
    recorded = mark_of(Disk.of(current), current, planning.state, planning)
    return not disk.described or recorded != mark_of(disk, current, planning.state, planning)


def _backing(desired: Desired, store: Document, planning: Planning) -> str:
    """What a new disk is made of. Raises UpdateNotSupported and NoConstraintMatchingDatastore."""
    state = planning.state
    inventory = state.inventories.get(store.scope)
    if inventory is None:
        raise unread(replace(desired.disk, endpoint=store.scope), state)
    backing = choose_backing(inventory, str(state.name_of(store.scope)), planning.options.disk_backing)
    if backing == VMDK and DatastoreFacts.of(store).type == "VSAN":
        raise PhotonError(
            "NoConstraintMatchingDatastore",
            f"disk {desired.label}: datastore {store.name} is a vSAN datastore, which holds first-class disks and no "
            "plain disk files: set photon_disk_backing to auto on a vCenter with API 7.0.2 or later, or use a flavor "
            "that asks for another type (storage.SHARED_VMFS)",
        )
    return backing


def _reason(verb: str, disk: Disk, difference: str) -> str:
    if verb == UPDATE and disk.is_unfinished:
        return "its creation is resumed"
    return "declared" if verb == CREATE else difference


def _check_reach(label: str, disk: Disk, vm: Document, state: CurrentState) -> None:
    """Raise UnfullfillableDiskAffinities where the VM's host does not mount the disk's datastore."""
    place = Vm.of(vm).place
    host = state.get(place.host) if place is not None else None
    if host is None or disk.datastore not in HostFacts.of(host).datastores:
        store = state.must(str(disk.datastore))
        raise PhotonError(
            "UnfullfillableDiskAffinities",
            f"disk {label} is on datastore {store.name}, which host {host.name if host else 'none'} of VM {vm.name} "
            "does not mount: attach it to a VM on a host that does",
            {"datastore": store.name},
        )


def _view(disk: Disk, vm: Document | None, state: CurrentState) -> dict[str, Any]:
    """A disk as a diff shows it; ``vm`` is the VM that it will have, else the one that it has."""
    owner = vm or state.get(disk.wanted_vm if disk.state == states.CREATING else disk.vm)
    return {
        "flavor": state.name_of(disk.flavor),
        "capacity": disk.capacity,
        "datastore": state.name_of(disk.datastore),
        **({"storage_policy": disk.policy} if disk.policy else {}),
        "attached_to": owner.name if owner else "",
        "affinity": list(disk.affinity),
        "tags": list(disk.tags),
        "deletion_protection": disk.deletion_protection,
    }


class _Room:
    """How many disks the VMs have, those included that this plan attaches."""

    def __init__(self, state: CurrentState) -> None:
        self._state = state
        self._disks = Counter(disk.vm for disk in map(Disk.of, state.of(entities.DISK)) if disk.vm)

    def take(self, desired: Desired, vm: Document, source: str | None) -> None:
        """Raise StateError where the VM has as many disks as are possible."""
        if source is not None:
            self._disks[source] -= 1
        own = len(Vm.of(vm).disks)
        if own + self._disks[vm.id] >= MOST_DISKS:
            raise PhotonError(
                "StateError",
                f"disk {desired.label}: VM {vm.name} has {own + self._disks[vm.id]} disks, and at most {MOST_DISKS} "
                "are possible: attach it to another VM",
            )
        self._disks[vm.id] += 1


def _disks_on(vm_id: str, planning: Planning) -> list[tuple[str, str]]:
    """``(id, name)`` of the persistent disks that a VM has, those included that this plan deletes."""
    deleted = [a.previous for a in planning.plan.of_type(DiskAction) if a.verb == DELETE]
    disks = [*map(Disk.of, planning.state.of(entities.DISK)), *deleted]
    return [(disk.id, disk.name) for disk in disks if disk.vm == vm_id]
