# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs as a plan: declared items against the records and against vSphere. Pure: only CurrentState is changed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from ...model import entities, states, units
from ...model.authorization import authorize
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.quota import charge, refund
from .. import policies
from ..images.copies import COPY, copy_for
from ..placement import Candidate, place_all, settle
from ..planning import CREATE, KEEP, UPDATE, Action, Planning, delete_action, differing, task_of
from ..state import CurrentState
from . import lost, networks, observed
from .actions import CreateVm, DeleteVm, UpdateVm
from .claims import claim_of
from .desired import Desired, Item, Project, allow, project_of, resolve
from .drift import compare
from .mark import mark_of
from .record import Vm


def plan_vms(planning: Planning) -> None:
    """Add an action or a failure for each declared VM; place all that need a place in one scheduler call."""
    known: dict[tuple[str, str], Project] = {}
    wanted: list[tuple[Desired, Document | None]] = []
    items = planning.declaration.vms
    for item in items:
        if item.get("state") == "absent":
            with _failing(planning, item):
                _plan_absent(item, planning)
    for item in items:
        if item.get("state") != "absent":
            with _failing(planning, item):
                wanted += _plan_item(item, known, planning)
    lost.check_cloudstore([desired for desired, current in wanted if current is None], planning)
    _plan_new(lost.bounded(wanted, planning), planning)
    _plan_moved(planning)
    planning.plan.warnings += map(str, lost.orphans(planning.state, planning.marks, planning.deleted))


def plan_delete(current: Document, planning: Planning, reason: str, force: bool = False, path: str = "") -> DeleteVm:
    """Plan a deletion. It needs a VM that is off (InvalidVmState) unless ``force``, and never a protected one."""
    state, vm = planning.state, Vm.of(current)
    label = state.path_of(current)
    chain = state.chain(current)[:-1]
    authorize(planning.actor, "delete", entities.VM, *chain)
    if vm.deletion_protection:
        raise PhotonError(
            "DeletionProtected",
            f"VM {label} has deletion_protection: set deletion_protection: false and apply, then declare it absent",
        )
    seen = observed.find(vm, state)
    if seen is not None:
        observed.refuse_unreadable(label, seen)
    power = seen.power if seen is not None else states.STOPPED
    if power != states.STOPPED and not force:
        line = f"{{name: {current.name}, state: absent, force: true}}"
        raise PhotonError(
            "InvalidVmState",
            f"VM {label} is {power}: stop it first (state: stopped), or declare {line} in its project",
        )
    if seen is None and vm.place is not None:
        lost.refuse_unseen(label, current, state)
    if current.id in planning.staying:
        names = ", ".join(planning.staying[current.id])
        raise PhotonError(
            "PersistentDiskAttached",
            f'VM {label} has the persistent disks {names}: detach them in the same run (attached_to: ""), then delete',
            {"disks": planning.staying[current.id]},
        )
    refund(state.counters.setdefault(vm.project, {}), vm.cost)
    steps = ("STOP_VM", "DELETE_VM") if power != states.STOPPED else ("DELETE_VM",)
    action = delete_action(
        planning,
        current,
        reason,
        path,
        DeleteVm,
        needs=tuple(document.id for document in chain),
        task=task_of(entities.VM, "DELETE_VM", current.id, steps),
        vm=seen.record(vm) if seen is not None else vm,
        moid=seen.row.moid if seen is not None else None,
        power_off=power != states.STOPPED,
        own_files=seen.own_files if seen is not None else frozenset(),
        foreign_disks=dict(seen.foreign) if seen is not None else {},
    )
    if action.foreign_disks:
        action.before["foreign_disks"] = sorted(action.foreign_disks)
    return action


# -- single items ------------------------------------------------------------------------------------------------


def _failing(planning: Planning, item: Item) -> AbstractContextManager[None]:
    label = f"{item['tenant']}/{item['project']}/{item['name']}"
    return planning.plan.failing(entities.VM, label, item.get("path", ""))


def _plan_absent(item: Item, planning: Planning) -> None:
    """Nothing to do where tenant or project do not exist."""
    current = planning.state.declared(entities.VM, item)
    if current is not None:
        plan_delete(current, planning, "declared absent", bool(item.get("force")), item.get("path", ""))


def _plan_item(
    item: Item, known: dict[tuple[str, str], Project], planning: Planning
) -> list[tuple[Desired, Document | None]]:
    """The VM itself where it needs a place; an action where it is there."""
    state = planning.state
    project = project_of(item, planning, known)
    current = state.find(entities.VM, project.document.id, item["name"])
    allow(planning, "update" if current else "create", project)
    desired = resolve(item, current, project, planning)
    if desired.wait:
        planning.plan.waits[desired.vm.id] = desired.wait
    if not desired.vm.port_groups and item.get("port_groups") is None and (current is None or planning.whole):
        _warn_of_no_adapter(desired, planning)
    if current is None:
        return [(desired, None)]
    seen = observed.find(Vm.of(current), state)
    if seen is None:
        if lost.plan_register(desired, current, planning):
            return []
        return [(desired, current)]
    _plan_existing(desired, current, seen, planning)
    return []


def _warn_of_no_adapter(desired: Desired, planning: Planning) -> None:
    """Once for all VMs of an item."""
    warning = (
        f"{desired.path}: VMs without a network adapter: set port_groups ([] where none is wanted), or the default "
        "port group of all VMs (photon_default_port_group)"
    )
    if warning not in planning.plan.warnings:
        planning.plan.warnings.append(warning)


def _plan_existing(desired: Desired, current: Document, seen: observed.Observed, planning: Planning) -> None:
    state, recorded = planning.state, Vm.of(current)
    observed.refuse_unreadable(desired.label, seen)
    nics = seen.record(recorded).nics
    desired.vm = networks.with_new_adapters(desired.vm, nics, planning)
    if (error := networks.conflict(desired.vm, desired.label, seen.endpoint, planning)) is not None:
        raise error
    drift = compare(desired, recorded, seen, state, lambda vm: mark_of(vm, current, state, planning))
    planning.plan.warnings += drift.warnings
    if drift.resized:
        _charge(desired.vm, recorded, state)
    vm = seen.record(desired.vm)
    document = state.put(vm.write_to(current))
    common: dict[str, Any] = {"kind": entities.VM, "name": desired.label, "document": document, "path": desired.path}
    if not drift.after:
        _note_observed(current, document, planning)
        planning.plan.add(Action(verb=KEEP, **common))
        return
    steps = drift.steps or ("SET_METADATA",)
    planning.plan.add(
        UpdateVm(
            verb=UPDATE,
            **common,
            reason=differing(drift.after),
            before=drift.before,
            after=drift.after,
            changes=[*drift.after],
            needs=tuple(i for i in desired.needs if i != current.id),
            task=task_of(entities.VM, steps[-1], current.id, steps),
            claim=claim_of(document, state),
            vm=vm,
            previous=seen.record(recorded),
            moid=seen.row.moid,
            steps=drift.steps,
            reconfigure=drift.reconfigure,
        )
    )


def _note_observed(current: Document, document: Document, planning: Planning) -> None:
    """Record changes in vSphere of what is not declared: host, datastore, address, power, files."""
    if (document.observed, document.state) != (current.observed, current.state):
        planning.plan.observed[current.id] = document.observed
        planning.plan.observed_states[current.id] = document.state


# -- VMs that were moved and are not declared ----------------------------------------------------------------------


def _plan_moved(planning: Planning) -> None:
    """Observe the VMs that no item names too: a host can only be emptied when its VMs are known to have left."""
    state = planning.state
    named = {action.id for action in planning.plan.of(entities.VM)}
    for current in state.of(entities.VM):
        if current.id in named or current.state == states.CREATING:
            continue
        recorded = Vm.of(current)
        try:
            seen = observed.find(recorded, state)
        except PhotonError:
            continue  # ambiguous or unreachable: the record stays as it is
        if seen is not None and seen.row.readable and not seen.row.template:
            _note_observed(current, state.put(seen.facts(recorded).write_to(current)), planning)


# -- VMs that need a place -----------------------------------------------------------------------------------------


def _plan_new(wanted: list[tuple[Desired, Document | None]], planning: Planning) -> None:
    """Quota first, in list order, then one placement for all that have quota."""
    state = planning.state
    accepted: list[tuple[Desired, Document | None, Candidate]] = []
    for desired, current in wanted:
        with planning.plan.failing(entities.VM, desired.label, desired.path):
            _take_quota(desired, current, planning)
            accepted.append((desired, current, _candidate(desired, current, planning)))
    options = planning.options

    def place(candidates: list[Candidate]) -> None:
        place_all(
            candidates,
            state,
            policy=options.policy,
            quality=options.quality,
            seed=options.seed,
            tenant_of=lambda vm: state.tenant_of(state.must(vm.project)).name,
        )

    place([candidate for *_rest, candidate in accepted])
    again = [c for *_rest, c in accepted if c.error is not None and c.held]
    for candidate in again:  # the place that it holds cannot be used any more: any other
        candidate.host = candidate.datastore = candidate.error = None
    place(again)
    if options.atomic and _refuse_all(accepted, planning):
        return
    for desired, current, candidate in accepted:
        if candidate.error is None:
            host = state.must(candidate.answer["host"])
            candidate.error = networks.conflict(desired.vm, desired.label, host.body["endpoint"], planning)
        if candidate.error is None:
            try:
                _add_create(desired, current, candidate, planning)
            except PhotonError as error:
                candidate.error = error
        if candidate.error is not None:
            _give_quota_back(desired, current, planning)
            planning.plan.fail(entities.VM, desired.label, candidate.error, desired.path)


def _take_quota(desired: Desired, current: Document | None, planning: Planning) -> None:
    _charge(desired.vm, Vm.of(current) if current is not None else None, planning.state)
    if current is not None and current.observed:  # before a lost VM is placed again its old place counts as free
        planning.state.put(replace(current, observed={}))


def _charge(vm: Vm, before: Vm | None, state: CurrentState) -> None:
    """Charge a VM, in place of what it was; the quota decides before anything is changed."""
    counters = state.counters.setdefault(vm.project, {})
    owner = f"project {state.path_of(state.must(vm.project))}"
    charge(counters, vm.cost, owner, before.cost if before is not None else None)


def _give_quota_back(desired: Desired, current: Document | None, planning: Planning) -> None:
    before = Vm.of(current).cost if current is not None else None
    refund(planning.state.counters[desired.vm.project], desired.vm.cost, before)
    if current is not None:
        planning.state.put(current)


def _candidate(desired: Desired, current: Document | None, planning: Planning) -> Candidate:
    """Pinned to the place of a saved plan, or to the one that an interrupted creation holds."""
    state = planning.state
    for disk in desired.vm.disks:
        policies.check(disk.policy, f"VM {desired.label}: disk {disk.name}", state)
    candidate = Candidate(desired.vm, demands=planning.demands.get(desired.label, ()))
    pinned = planning.pinned.get(desired.label)
    place = desired.vm.place
    if pinned:
        host = state.require(entities.HOST, "", pinned["host_name"])
        names = {s.name: s.id for i in host.observed.get("datastores", ()) if (s := state.get(i)) is not None}
        if (name := pinned["datastore_name"]) not in names:
            raise PhotonError("DatastoreNotFound", f"host {host.name} does not mount datastore {name}: make a new plan")
        candidate.host, candidate.datastore = host.id, names[name]
    elif current is not None and place is not None and state.get(place.host) is not None:
        candidate.held = True
        candidate.host, candidate.datastore = place.host, desired.vm.boot_disk.datastore
    return candidate


def _refuse_all(accepted: list[tuple[Desired, Document | None, Candidate]], planning: Planning) -> bool:
    """``atomic``: when one VM cannot be created, none is."""
    plan = planning.plan
    failed = any(failure.kind == entities.VM for failure in plan.failures)
    if not failed and all(candidate.error is None for *_rest, candidate in accepted):
        return False
    for desired, current, candidate in accepted:
        _give_quota_back(desired, current, planning)
        reason = f"VM {desired.label} is not created because atomic is set and another VM cannot be created"
        plan.fail(entities.VM, desired.label, candidate.error or PhotonError("DependencyFailed", reason), desired.path)
    return True


def _add_create(desired: Desired, current: Document | None, candidate: Candidate, planning: Planning) -> None:
    state = planning.state
    desired.vm = vm = networks.with_new_adapters(settle(candidate, state), (), planning)
    image, store = state.must(vm.image), state.must(vm.boot_disk.datastore)
    copy, making = copy_for(image, store, planning, desired.path)
    fresh = current or planning.new(entities.VM, vm.name, vm.project, id=vm.id)
    document = state.put(vm.write_to(fresh))
    power = desired.power or states.STOPPED
    grow = ("GROW_BOOT_DISK",) if vm.boot_disk.capacity > image.body["size"] else ()
    steps = ("CREATE_VM", *grow, *states.route(entities.VM, states.STOPPED, power))
    host = state.must(vm.place.host)
    places = {host.id, host.body["endpoint"], host.body.get("zone"), *(disk.datastore for disk in vm.disks)}
    places.update(demand.datastore for demand in candidate.demands)
    task = task_of(entities.VM, "CREATE_VM", vm.id, ("RESERVE_RESOURCE", *([COPY] if making else []), *steps))
    if making is not None:
        making.waiting.append(task)
    planning.plan.add(
        CreateVm(
            verb=CREATE,
            kind=entities.VM,
            name=desired.label,
            document=document,
            path=desired.path,
            reason=_reason(current),
            after={
                "flavor": desired.flavor_name,
                "image": desired.image_name,
                "host": host.name,
                "zone": candidate.answer.get("zone"),
                "datastore": store.name,
                "state": power,
                **({"boot_disk": units.show(vm.boot_disk.capacity)} if grow else {}),
            },
            needs=(*desired.needs, copy.id, *(str(i) for i in places if i)),
            task=task,
            claim=claim_of(document, state),
            desired=desired,
            vm=vm,
            steps=steps,
            lost=current if current is not None and not lost.is_unfinished(current) else None,
            score=candidate.answer.get("score"),
            parts=candidate.answer.get("parts"),
        )
    )


def _reason(current: Document | None) -> str:
    if current is None:
        return "declared"
    return "its creation is resumed" if lost.is_unfinished(current) else "lost in vSphere"
