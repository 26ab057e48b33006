# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs against vSphere: lost, ambiguous, moved or changed ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from ...vsphere import guestinfo
from ..context import Context
from ..findings import Finding, differences
from ..state import CurrentState
from .lost import is_unfinished, orphans, read_marks, refuse_missing_host
from .observed import Observed, find
from .record import Vm


def verify(state: CurrentState) -> Iterator[Finding]:
    """Yield a finding per VM whose record is not what its endpoint shows; facts are repaired by recording them."""
    for document in state.of(entities.VM):
        if document.id not in state.busy:
            yield from _compare(document, Vm.of(document), state)


def verify_unknown(state: CurrentState, context: Context) -> Iterator[Finding]:
    """Yield the VMs that carry our mark where no record expects it; those of other platforms are theirs."""
    sites = {document.managed_by for document in state.of(entities.VM)}
    marks = {}
    for identity, found in read_marks(state, context).items():
        ours = [each for each in found if state.get(identity) is not None or _is_ours(each[1], context, sites)]
        if ours:
            marks[identity] = ours
    deleted = {document.id for document in context.store.tombstones()}
    for orphan in orphans(state, marks, deleted):
        yield Finding(entities.VM, orphan.name, "orphan", "a record", orphan.reason, orphan.step)


def references(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the documents that a VM's record names, each with its role."""
    body, seen = document.body, document.observed
    yield from (("project", document.scope), ("flavor", body["flavor"]), ("image", body["image"]))
    yield from (("disk flavor", disk["flavor"]) for disk in body["disks"])
    yield from (("datastore", d["datastore"]) for d in seen.get("disks", {}).values() if d.get("datastore"))
    yield from ((key, seen[key]) for key in ("endpoint", "host") if seen.get(key))


def _is_ours(row: Any, context: Context, sites: set[str]) -> bool:
    marks = row.extra_config or {}
    store = marks.get(guestinfo.STORE_KEY)
    return store in (None, "", context.store.store_id) or marks.get(guestinfo.SITE_KEY) in sites


def _compare(document: Document, vm: Vm, state: CurrentState) -> Iterator[Finding]:
    if vm.place is None or _is_unread(vm, vm.place.endpoint, state):
        return
    try:
        seen = find(vm, state)
    except PhotonError as error:
        yield _finding(document, state, "ambiguous", "one VM", "several", error.message)
        return
    if seen is None:
        if not is_unfinished(document):
            yield _finding(document, state, "lost", vm.place.name, "none", _step_of_lost(document, vm, state))
        return
    row = seen.row
    if not row.readable:
        step = "bring its host or datastore back"
        yield _finding(document, state, "unreadable", "connected", row.connection_state, step)
        return
    if row.template:
        step = "convert it back to a virtual machine"
        yield _finding(document, state, "template", "a virtual machine", "a template", step)
        return
    yield from _compare_facts(document, vm, seen, state)
    disks = {disk.name: disk for disk in vm.disks}
    for name in seen.missing:
        disk = disks[name]
        step = "attach it again, or delete the VM"
        yield _finding(document, state, "detached disk", f"{name} {disk.path or ''}".strip(), "not attached", step)


def _compare_facts(document: Document, vm: Vm, seen: Observed, state: CurrentState) -> Iterator[Finding]:
    """Addresses come and go with the guest, and the change version is the plan's mark of what it compared."""
    now = replace(seen.facts(vm), address=vm.address)
    if now == vm:
        return
    before, after = _shown(vm, state), _shown(now, state)
    # A new VM's disks are seen in detail for the first time once it changes: that is no difference.
    unknown = [key for key, value in before.items() if key.startswith("disk ") and value is None]
    expected, found = differences({**after, **dict.fromkeys(unknown)}, before)
    if not expected:
        return
    name = state.path_of(document)
    yield Finding.to_repair(entities.VM, name, "facts", expected, found, observed=now.write_to(document))


def _is_unread(vm: Vm, endpoint: str, state: CurrentState) -> bool:
    """Whether the VM's endpoint could not be read; one that another endpoint replaced may have handed its VMs over."""
    error = state.unreachable.get(endpoint)
    moved = error is not None and error.code == "DuplicateHost" and state.elsewhere(vm.id, endpoint)
    return not moved and endpoint not in state.inventories


def _step_of_lost(document: Document, vm: Vm, state: CurrentState) -> str:
    try:
        refuse_missing_host(state.path_of(document), vm, state)
    except PhotonError as error:
        return error.message
    return "the next apply creates it again if it is declared; register: true takes over its files or a restored copy"


def _finding(document: Document, state: CurrentState, what: str, expected: str, found: str, step: str) -> Finding:
    return Finding(entities.VM, state.path_of(document), what, expected, found, step)


def _shown(vm: Vm, state: CurrentState) -> dict[str, Any]:
    """The facts of a VM as people read them, with names instead of ids."""
    place = vm.place
    if place is None:
        return {}
    shown: dict[str, Any] = {
        "state": vm.state,
        "endpoint": state.name_of(place.endpoint),
        "host": state.name_of(place.host) or "undeclared",
        "cluster": place.cluster,
        "name": place.name,
        "moid": place.moid,
    }
    for disk in vm.disks:
        label = f"disk {disk.name}"
        shown |= {label: state.name_of(disk.datastore) or "undeclared", f"{label} file": disk.path}
        shown |= {f"{label} uuid": disk.uuid, f"{label} unit": disk.unit}
    return shown
