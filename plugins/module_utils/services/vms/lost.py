# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that are not where the records say: lost, unregistered, restored, and marks that no record knows.

Nothing here is deleted: what carries our mark where no record expects it is reported, or taken over where it is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ...vsphere import existing_files, find_marked, guestinfo
from ..fleet.facts import is_there
from ..images.record import template_uuids
from ..planning import UPDATE, Planning, task_of
from ..state import CurrentState
from .actions import RegisterVm
from .claims import claim_of
from .desired import Desired
from .observed import datastore_of
from .record import Place, Vm

Marks = Mapping[str, list[tuple[str, Any]]]  # {photon.id: [(endpoint id, row of a VM that no record knows)]}


def is_unfinished(document: Document) -> bool:
    """Whether the VM was never completely created."""
    return document.state in (states.CREATING, states.ERROR)


def unknown_rows(state: CurrentState) -> dict[str, list[str]]:
    """``{endpoint id: [moid]}`` of the VMs that neither a record nor an image's copy names."""
    copies = template_uuids(state)
    found = {
        endpoint_id: [
            row.moid for row in inventory.vms.values() if state.get(row.uuid) is None and row.uuid not in copies
        ]
        for endpoint_id, inventory in state.inventories.items()
    }
    return {endpoint_id: moids for endpoint_id, moids in found.items() if moids}


def read(planning: Planning, context: Any) -> None:
    """Note marks and left files where a declared VM is to be created or missing."""
    if needs_marks(planning):
        planning.marks = read_marks(planning.state, context)
        planning.left_files = read_files(planning, context)


def read_marks(state: CurrentState, context: Any) -> Marks:
    """The marks of the VMs that no record knows, one call per endpoint."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for endpoint_id, moids in unknown_rows(state).items():
        session = context.session(state.must(endpoint_id))
        for identity, rows in find_marked(session, state.inventories[endpoint_id], moids).items():
            found.setdefault(identity, []).extend((endpoint_id, row) for row in rows)
    return found


def read_files(planning: Planning, context: Any) -> dict[str, str]:
    """``{VM id: configuration file}`` of the declared VMs that are missing while that file is still there."""
    state = planning.state
    wanted: dict[str, dict[str, str]] = {}  # configuration files by endpoint and VM
    for vm in (Vm.of(current) for current in _items(planning) if current is not None):
        if vm.place is not None and vm.place.vmx and _is_missing(vm, state):
            wanted.setdefault(vm.place.endpoint, {})[vm.id] = _present_file(vm, vm.place, state)
    found: dict[str, str] = {}
    for endpoint_id, files in wanted.items():
        session = context.session(state.must(endpoint_id))
        existing = existing_files(session, state.inventories[endpoint_id], files.values())
        found.update({vm: file for vm, file in files.items() if file in existing})
    return found


def needs_marks(planning: Planning) -> bool:
    """Whether a declared VM is to be created or missing: then all endpoints and the marks of unknown VMs are read."""
    return any(current is None or _is_missing(Vm.of(current), planning.state) for current in _items(planning))


def check_cloudstore(new: list[Desired], planning: Planning) -> None:
    """Raise CloudStoreLost when VMs of this site run that no record knows, and others are to be created.

    That is an empty, deleted or restored CloudStore: creating the declared VMs would make twins of the running ones.
    A clone by hand shows none of that, unless it has the name of a declared VM. While an endpoint cannot be read, a
    copy of an unknown image stands for the VMs that may be there.
    """
    ours = list(_unrecorded(planning))
    found = sorted(row.name for _identity, row in ours)
    if not new or not ours or planning.options.cloudstore_new:
        return
    state = planning.state
    names = {desired.vm.name.lower() for desired in new}
    twins = [name for name in found if name.lower() in names]
    known = any(not is_unfinished(document) for document in state.of(entities.VM))
    if not twins and (known or all(_is_clone(identity, row) for identity, row in ours)):
        return
    listed = ", ".join((twins or found)[:5])
    raise PhotonError(
        "CloudStoreLost",
        f"{len(ours)} VMs in vSphere carry the mark of {planning.managed_by} and are in no record of this CloudStore "
        f"({listed}): it is empty, another one, or older than they are. Nothing was changed. Restore the latest backup "
        "of the CloudStore (docs/cloudstore.md), rebuild it (docs/rebuild.md), or set "
        "photon_cloudstore_new: true to leave these VMs alone and create new ones",
        {"vms": found},
    )


def bounded(wanted: list[tuple[Desired, Document | None]], planning: Planning) -> list[tuple[Desired, Document | None]]:
    """Refuse what must not be created again: VMs whose host is missing, restored VMs, and too many lost ones."""
    plan, state = planning.plan, planning.state
    kept: list[tuple[Desired, Document | None]] = []
    lost = 0
    for desired, current in wanted:
        try:
            if current is not None and current.observed:
                refuse_unseen(desired.label, current, state)
                if found := planning.marks.get(current.id):
                    raise _restored(desired.label, found, state)
                _refuse_unregistered(desired, planning)
                lost += not is_unfinished(current)
            kept.append((desired, current))
        except PhotonError as error:
            plan.fail(entities.VM, desired.label, error, desired.path)
    if lost <= planning.options.max_recreates:
        return kept
    for desired, current in kept:
        if current is not None and not is_unfinished(current):
            plan.fail(
                entities.VM,
                desired.label,
                PhotonError(
                    "TooManyRecreates",
                    f"{lost} VMs are missing in vSphere, more than photon_max_recreates "
                    f"({planning.options.max_recreates}): none of them is created again; find out where they went, "
                    "or raise the limit for this run",
                ),
                desired.path,
            )
    return [(d, c) for d, c in kept if c is None or is_unfinished(c)]


def refuse_missing_host(label: str, vm: Vm, state: CurrentState) -> None:
    """Raise DependencyFailed when the VM's host left the endpoint: the VM may run there, out of sight."""
    host = state.get(vm.place.host) if vm.place else None
    inventory = state.inventories.get(vm.place.endpoint) if vm.place else None
    if host is None or inventory is None or is_there(host, inventory):
        return
    raise PhotonError(
        "DependencyFailed",
        f"VM {label}: its host {host.name} is not in endpoint {state.must(vm.place.endpoint).name} any more, "  # type: ignore[union-attr]
        "so the VM may run there unseen; add the host again, or declare the host absent if it is gone for good: "
        "its VMs count as lost then",
    )


def refuse_unseen(label: str, current: Document, state: CurrentState) -> None:
    """Raise DependencyFailed when a VM that is missing may run out of sight: with its host, or on another endpoint."""
    refuse_missing_host(label, Vm.of(current), state)
    unread = sorted(state.must(i).name for i, error in state.unreachable.items() if error.code != "DuplicateHost")
    if unread and not is_unfinished(current):
        raise PhotonError(
            "DependencyFailed",
            f"VM {label} is not on its endpoint {state.must(current.observed['endpoint']).name}, and it may have been "
            f"moved to {', '.join(unread)}, which could not be read: fix that endpoint, then run again",
        )


def plan_register(desired: Desired, current: Document, planning: Planning) -> bool:
    """Plan to take over a missing VM where ``register: true`` asks for it; False where nothing is left to take over."""
    state, recorded = planning.state, Vm.of(current)
    found = planning.marks.get(current.id, [])
    if not desired.register or not (found or current.id in planning.left_files):
        return False
    if len(found) > 1:
        raise _restored(desired.label, found, state)
    marked = found[0] if found else None
    if marked is None:
        refuse_missing_host(desired.label, recorded, state)
        if recorded.place is None or state.get(recorded.place.host) is None:
            raise PhotonError(
                "HostNotFound",
                f"VM {desired.label}: the host that it was on is not declared, so its files are not registered; "
                "declare the host, or register the VM in vSphere",
            )
    if recorded.place is not None and current.id in planning.left_files:
        recorded = replace(recorded, place=replace(recorded.place, vmx=planning.left_files[current.id]))
    planning.plan.add(
        RegisterVm(
            verb=UPDATE,
            kind=entities.VM,
            name=desired.label,
            document=current,
            reason="taken over from its restored copy" if marked else "registered again from its files",
            after={"registered": marked[1].name if marked else str(recorded.place and recorded.place.vmx)},
            changes=["registered"],
            path=desired.path,
            needs=desired.needs,
            task=task_of(entities.VM, "REGISTER_VM", current.id, ("REGISTER_VM",)),
            claim=claim_of(current, state),
            vm=recorded,
            marked=marked,
        )
    )
    return True


class Orphan(NamedTuple):
    """A VM that carries our mark or a recorded uuid where no record expects it: where it is, and what to do."""

    name: str
    reason: str
    step: str

    def __str__(self) -> str:
        return f"VM {self.name} {self.reason}: it is left alone; {self.step}"


def orphans(state: CurrentState, marks: Marks, deleted: Collection[str]) -> Iterator[Orphan]:
    """Each VM that carries our mark or a recorded uuid where no record expects it; ``deleted``: ids within a day."""
    for endpoint_id, inventory in state.inventories.items():
        for uuid, rows in inventory.vms_by_uuid.items():
            document = state.get(uuid)
            if document is None and uuid in deleted:
                for row in rows:
                    reason = "was deleted by the platform and exists again (restored?)"
                    yield Orphan(_at(state, endpoint_id, row), reason, "remove it, or clear its photon.id")
            if document is None:
                continue
            home = document.observed.get("endpoint") if document.kind == entities.VM else endpoint_id
            if home != endpoint_id and home in state.inventories and state.inventories[home].vms_of(uuid):
                for row in rows:
                    yield Orphan(_at(state, endpoint_id, row), f"has the instanceUuid of VM {state.path_of(document)}, "
                                 "which is recorded elsewhere", "remove the copy")  # fmt: skip
    for identity, found in marks.items():
        document = state.get(identity)
        for endpoint_id, row in found:
            if document is None and not (identity in deleted and row.uuid == identity):
                reason = f"carries the platform's mark (photon.id {identity}) and is in no record"
                step = "restore the record from a backup, remove the VM, or clear its photon.id"
                yield Orphan(_at(state, endpoint_id, row), reason, step)
            elif document is not None and document.kind == entities.VM:
                yield Orphan(_at(state, endpoint_id, row), f"carries the mark of VM {state.path_of(document)} under "
                             "another instanceUuid (a clone or a restored copy)",
                             "remove it or clear its photon.id; where the VM itself is missing, register: true takes "
                             "the copy over")  # fmt: skip


def _items(planning: Planning) -> Iterator[Document | None]:
    """The records of the VMs that are declared; None for one that has none and is not declared absent."""
    for item in planning.declaration.vms:
        current = planning.state.declared(entities.VM, item)
        if current is not None or item.get("state") != "absent":
            yield current


# -- helpers -----------------------------------------------------------------------------------------------------


def _is_missing(vm: Vm, state: CurrentState) -> bool:
    if vm.place is None:
        return False
    inventory = state.inventories.get(vm.place.endpoint)
    missing = inventory is not None and inventory.vm(vm.id, vm.place.moid) is None
    return missing and not state.elsewhere(vm.id, vm.place.endpoint)


def _present_file(vm: Vm, place: Place, state: CurrentState) -> str:
    """The VM's configuration file under the present name of its datastore, which is that of a disk next to it."""
    file, stores = str(place.vmx), state.inventories[place.endpoint].datastores
    for disk in vm.disks:
        store = state.get(disk.datastore)
        row = stores.get(str(store.observed.get("moid"))) if store is not None else None
        if row is not None and disk.path and datastore_of(disk.path) == datastore_of(file):
            return f"[{row.name}] {file.partition('] ')[2]}"
    return file


def _unrecorded(planning: Planning) -> Iterator[tuple[str, Any]]:
    """``(photon.id, row)`` of VMs of this site, or of this CloudStore, that neither record nor tombstone knows."""
    for identity, found in planning.marks.items():
        if planning.state.get(identity) is not None or identity in planning.deleted:
            continue
        for _endpoint, row in found:
            marks = row.extra_config or {}
            if guestinfo.TEMPLATE_KEY in marks and not planning.state.unreachable:
                continue
            ours = marks.get(guestinfo.STORE_KEY) == planning.store_id
            if ours or marks.get(guestinfo.SITE_KEY) == planning.managed_by:
                yield identity, row


def _is_clone(identity: str, row: Any) -> bool:
    """Whether a VM has a mark of another one; the instanceUuid of an image's copy never is its mark."""
    return row.uuid != identity and guestinfo.TEMPLATE_KEY not in (row.extra_config or {})


def _refuse_unregistered(desired: Desired, planning: Planning) -> None:
    file = planning.left_files.get(desired.vm.id)
    if file is not None:
        directory = file.rpartition("/")[0]
        raise PhotonError(
            "DependencyFailed",
            f"VM {desired.label} is missing in vSphere, but its files are still in {directory}: set register: true on "
            "the VM to register them again; no second VM is created",
            {"directory": directory},
        )


def _restored(label: str, found: list[tuple[str, Any]], state: CurrentState) -> PhotonError:
    names = ", ".join(f"{_at(state, endpoint, row)} ({row.moid})" for endpoint, row in found)
    step = "set register: true on the VM to take it over" if len(found) == 1 else "remove all but one"
    return PhotonError(
        "DependencyFailed",
        f"VM {label} is missing under its instanceUuid, but {names} carries its mark (restored or cloned): {step}, "
        "or remove the mark photon.id there; no second VM is created",
        {"vms": names},
    )


def _at(state: CurrentState, endpoint_id: str, row: Any) -> str:
    return f"{state.must(endpoint_id).name}/{row.name}"
