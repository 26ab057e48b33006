# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desired disks: names become ids and amounts before VMs are placed, since a VM's host must reach its disks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...model import entities, flavors, states, units
from ...model.authorization import authorize
from ...model.entities import Document, name_key
from ...model.errors import PhotonError
from ...model.quota import charge, refund
from .. import policies
from ..planning import Demand, Planning
from ..vms.desired import Project, project_of
from ..vms.record import Vm
from .observed import Seen, Sight
from .record import Cost, Disk

Item = Mapping[str, Any]


@dataclass(slots=True)
class Desired:
    """A disk as it is declared, resolved.

    ``disk`` has the facts of an existing one. ``target`` is the name of the VM that it is to be attached to, None
    for no VM. ``demand`` is the input of the VM's placement, where the VM is new. ``absent``: it is to be deleted.
    ``policy`` is the name of its flavor's storage policy.
    """

    disk: Disk
    current: Document | None
    seen: Seen
    label: str
    path: str
    needs: tuple[str, ...]
    target: str | None = None
    force: bool = False
    absent: bool = False
    policy: str = ""
    demand: Demand | None = None

    @property
    def is_detached(self) -> bool:
        """Whether the plan takes it from the VM that has it."""
        if self.absent:
            return self.force or self.target is None
        return self.target is None


def resolve_disks(planning: Planning) -> None:
    """Resolve every declared disk, charge it, and say what placing and deleting VMs must know; failures are added."""
    known: dict[tuple[str, str], Project] = {}
    sight = Sight.of(planning.state)
    before = {document.id: Disk.of(document) for document in planning.state.of(entities.DISK)}
    for item in planning.declaration.disks:
        label = f"{item['tenant']}/{item['project']}/{item['name']}"
        try:
            desired = _resolve(item, label, known, sight, planning)
        except PhotonError as error:
            planning.plan.fail(entities.DISK, label, error, item.get("path", ""))
            continue
        if desired is not None:
            planning.disks.append(desired)
    _note_observed(sight, planning)
    _note_demands(planning)
    _note_staying(before, sight, planning)


def vms_to_read(planning: Planning) -> set[str]:
    """The ids of the VMs whose devices must be known in detail: what is declared of their disks differs."""
    state, found = planning.state, set()
    for item in planning.declaration.disks:
        current = state.declared(entities.DISK, item)
        if current is None:
            continue
        disk, name = Disk.of(current), item.get("attached_to")
        owner = state.get(disk.vm)
        wanted = state.find(entities.VM, current.scope, name) if name else None
        moved = name is not None and (owner.name if owner else "") != name
        if moved or item.get("state") == "absent" or (item.get("capacity") or 0) > (disk.size or 0):
            found |= {vm.id for vm in (owner, wanted) if vm is not None}
    return found


def give_back(desired: Desired, planning: Planning) -> None:
    """Undo the charge of a disk that cannot be had."""
    before = Disk.of(desired.current).cost if desired.current is not None else None
    refund(planning.state.counters.setdefault(desired.disk.project, {}), desired.disk.cost, before)
    if desired.current is not None:
        planning.state.put(desired.current)
    else:
        planning.state.drop(desired.disk.id)


# -- single items ------------------------------------------------------------------------------------------------


def _resolve(
    item: Item, label: str, known: dict[tuple[str, str], Project], sight: Sight, planning: Planning
) -> Desired | None:
    state = planning.state
    if item.get("state") == "absent":
        return _absent(item, label, sight, planning)
    project = project_of(item, planning, known)
    current = state.find(entities.DISK, project.document.id, item["name"])
    authorize(planning.actor, "update" if current else "create", entities.DISK, *state.chain(project.document))
    recorded = Disk.of(current) if current is not None else None
    seen = sight.see(recorded) if recorded is not None else None
    if seen is not None and seen.gone:
        raise lost(label, seen.disk)
    flavor = _flavor(item, recorded, planning)
    disk = _disk(item, project, flavor, recorded, seen, planning)
    target = _target(item, seen, project, planning)
    _check_affinity(disk, recorded, label, state)
    desired = Desired(
        disk,
        current,
        seen or Seen(disk),
        label,
        item.get("path", ""),
        (*project.needs, flavor.id) if flavor.id in state.versions else project.needs,
        target,
        bool(item.get("force")),
        policy=flavor.body.get("storage_policy") or "",
    )
    _take_quota(desired, planning)
    return desired


def _absent(item: Item, label: str, sight: Sight, planning: Planning) -> Desired | None:
    """Nothing to do where tenant, project or disk do not exist."""
    state = planning.state
    current = state.declared(entities.DISK, item)
    if current is None:
        return None
    recorded = Disk.of(current)
    seen = sight.see(recorded)
    needs = tuple(document.id for document in state.chain(current)[:-1])
    detached = item.get("attached_to") == "" or seen.disk.vm is None
    return Desired(recorded, current, seen, label, item.get("path", ""), needs, None if detached else "",
                   bool(item.get("force")), absent=True)  # fmt: skip


def _flavor(item: Item, recorded: Disk | None, planning: Planning) -> Document:
    state = planning.state
    name = item.get("flavor")
    if name is None and recorded is None:
        raise PhotonError("SpecInvalid", f"disk {item['name']} does not exist yet: set flavor to create it")
    if name is None:
        return state.must(recorded.flavor)  # type: ignore[union-attr]
    flavor = state.require(entities.FLAVOR, flavors.PERSISTENT_DISK, name)
    if recorded is None or recorded.flavor != flavor.id:
        states.check_usable(entities.FLAVOR, flavor.state, flavor.name)
    if recorded is not None and recorded.flavor != flavor.id:
        raise PhotonError(
            "UpdateNotSupported",
            f"disk {item['name']} has the flavor {state.must(recorded.flavor).name}, which is set when it is created: "
            "restore the declaration, or declare another disk",
        )
    return flavor


def _disk(
    item: Item, project: Project, flavor: Document, recorded: Disk | None, seen: Seen | None, planning: Planning
) -> Disk:
    """The disk as it is declared; omitted keys stay as recorded, but in a whole site's declaration."""
    capacity = item.get("capacity")
    if capacity is None and recorded is None:
        raise PhotonError("SpecInvalid", f"disk {item['name']} does not exist yet: set capacity to create it")
    capacity = recorded.capacity if capacity is None and recorded is not None else capacity
    here = seen.disk if seen is not None else None
    least = max(recorded.capacity if recorded else 0, (here.size or 0) if here else 0)
    if capacity < least:
        raise PhotonError(
            "UpdateNotSupported",
            f"disk {item['name']} cannot shrink from {units.show(least)} to {units.show(capacity)}: "
            f"declare at least {units.show(least)}",
            {"capacity": least},
        )
    cost: Cost = {key: tuple(value) for key, value in flavor.body["cost"].items()}  # type: ignore[misc]

    def kept(key: str, old: Any) -> Any:
        return item.get(key) if item.get(key) is not None or recorded is None or planning.whole else old

    base = here or Disk(Document(entities.DISK, item["name"]).id, item["name"], project.document.id, states.CREATING,
                        flavor.id, capacity, {})  # fmt: skip
    return replace(
        base,
        flavor=flavor.id,
        capacity=capacity,
        cost=flavors.disk_cost(flavors.PERSISTENT_DISK, flavor.name, cost, capacity),
        datastore_tags=recorded.datastore_tags if recorded else flavors.datastore_tags(cost),
        tags=tuple(sorted(kept("tags", base.tags) or ())),
        affinity=tuple(sorted(kept("affinity", base.affinity) or ())),
        deletion_protection=bool(kept("deletion_protection", base.deletion_protection)),
    )


def _target(item: Item, seen: Seen | None, project: Project, planning: Planning) -> str | None:
    """The name of the VM that the disk is to be attached to. Raises VmNotFound and StateError."""
    wanted, state = item.get("attached_to"), planning.state
    if wanted is None:
        owner = state.get(seen.disk.vm) if seen is not None else None
        return owner.name if owner is not None else None
    if seen is not None and seen.stranger:
        raise PhotonError(
            "StateError",
            f"disk {item['name']} is attached to VM {seen.stranger}, which is not in its project: detach it there, "
            "then run again",
            {"vm": seen.stranger},
        )
    if wanted == "":
        return None
    declared = any(
        (vm["tenant"], vm["project"], vm["name"]) == (item["tenant"], item["project"], wanted)
        and vm.get("state") != "absent"
        for vm in planning.declaration.vms
    )
    if not declared:
        state.require(entities.VM, project.document.id, wanted)
    return str(wanted)


def _check_affinity(disk: Disk, recorded: Disk | None, label: str, state: Any) -> None:
    """Affinity decides where a disk is created; later it must fit where the disk is."""
    if recorded is None or recorded.datastore is None or recorded.affinity == disk.affinity:
        return
    for name in disk.affinity:
        vm = state.find(entities.VM, disk.project, name)
        if vm is not None and Vm.of(vm).boot_disk.datastore != disk.datastore:
            raise PhotonError(
                "UpdateNotSupported",
                f"disk {label} is not on the datastore of VM {name}, and a disk is not moved: restore the declaration",
            )


def _take_quota(desired: Desired, planning: Planning) -> None:
    """Charge the disk; a disk that grows is charged for the rest."""
    state, disk = planning.state, desired.disk
    owner = f"project {state.path_of(state.must(disk.project))}"
    before = Disk.of(desired.current).cost if desired.current is not None else None
    charge(state.counters.setdefault(disk.project, {}), disk.cost, owner, before)
    fresh = desired.current or Document(
        entities.DISK,
        disk.name,
        disk.project,
        states.CREATING,
        planning.managed_by,
        disk.id,
        name_key=name_key(entities.DISK, disk.project, disk.name),
    )
    state.put(disk.write_to(fresh))


def lost(label: str, disk: Disk) -> PhotonError:
    """The error of a disk whose file is not there any more."""
    return PhotonError(
        "DiskNotFound",
        f"disk {label}: its file {disk.path} is gone, and an empty one is not put in its place; restore the file, or "
        "declare the disk absent",
        {"file": disk.path},
    )


# -- what placing and deleting VMs must know -------------------------------------------------------------------------


def _note_observed(sight: Sight, planning: Planning) -> None:
    """Record what the endpoints show of all disks, declared or not."""
    state = planning.state
    named = {desired.disk.id for desired in planning.disks}
    for document in state.of(entities.DISK):
        if document.id not in state.versions or document.id in state.busy:
            continue
        recorded = Disk.of(document)
        if document.id in named or recorded.endpoint not in state.inventories:
            continue
        seen = sight.see(recorded)
        if seen.gone:
            planning.plan.warnings.append(str(lost(state.path_of(document), recorded)))
        now = seen.disk.write_to(document)
        note_facts(document, now, planning)
        state.put(now)
    for desired in planning.disks:
        if desired.current is not None:
            note_facts(desired.current, desired.seen.disk.write_to(desired.current), planning)


def note_facts(recorded: Document, now: Document, planning: Planning) -> None:
    """Let the facts and the state of a disk be recorded where they differ from the record."""
    if (recorded.observed, recorded.state) != (now.observed, now.state):
        planning.plan.observed[recorded.id] = now.observed
        planning.plan.observed_states[recorded.id] = now.state


def _note_demands(planning: Planning) -> None:
    """Tell the placement of new VMs which disks they get."""
    state = planning.state
    for desired in planning.disks:
        if desired.absent or not desired.target:
            continue
        vm = state.find(entities.VM, desired.disk.project, desired.target)
        if vm is not None and vm.observed.get("host") and not _is_missing(vm, state):
            continue  # it has its place
        bound = [state.find(entities.VM, desired.disk.project, name) for name in desired.disk.affinity]
        if desired.disk.datastore is None and any(each is None for each in bound):
            continue  # its datastore is that of a VM without a place: it is placed when that VM is
        datastore = desired.disk.datastore
        if datastore is None and bound:
            datastore = Vm.of(bound[0]).boot_disk.datastore  # type: ignore[arg-type]
        tags = tuple(policies.with_tag(desired.disk.datastore_tags, desired.policy))
        desired.demand = Demand(desired.disk.id, desired.disk.capacity, tags, datastore)
        label = f"{desired.label.rpartition('/')[0]}/{desired.target}"
        planning.demands.setdefault(label, []).append(desired.demand)


def _is_missing(vm: Document, state: Any) -> bool:
    inventory = state.inventories.get(vm.observed.get("endpoint", ""))
    moid = (vm.observed.get("vsphere") or {}).get("moid")
    return inventory is not None and inventory.vm(vm.id, moid) is None


def _note_staying(before: Mapping[str, Disk], sight: Sight, planning: Planning) -> None:
    """Note which disks stay attached to which VMs: such a VM cannot be deleted."""
    leaving = {d.disk.id for d in planning.disks if d.is_detached or _moves(d, planning)}
    if planning.whole and planning.options.prune == "delete":
        leaving |= {d.id for d in planning.undeclared(entities.DISK)}
    for disk in before.values():
        try:
            vm = sight.see(disk).disk.vm
        except PhotonError:
            vm = disk.vm
        if vm is not None and disk.id not in leaving:
            planning.staying.setdefault(vm, []).append(disk.name)


def _moves(desired: Desired, planning: Planning) -> bool:
    """Whether it goes from the VM that has it to another one."""
    owner = planning.state.get(desired.seen.disk.vm)
    return owner is not None and not desired.absent and bool(desired.target) and owner.name != desired.target
