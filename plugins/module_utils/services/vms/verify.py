# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs against vSphere: lost, ambiguous, moved or changed ones."""

from __future__ import annotations

from collections.abc import Iterator

from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ..findings import Finding
from ..state import CurrentState
from .observed import find
from .record import Vm


def verify(state: CurrentState) -> Iterator[Finding]:
    """One finding per VM whose record is not what its endpoint shows; facts are repaired by recording them."""
    for document in state.of(entities.VM):
        vm = Vm.of(document)
        if document.id in state.busy or vm.place is None or vm.place.endpoint in state.unreachable:
            continue
        yield from _compare(document, vm, state)


def references(document: Document) -> Iterator[tuple[str, str]]:
    """The documents that a VM's record names, each with what it is to the VM."""
    vm = Vm.of(document)
    yield from (("project", vm.project), ("flavor", vm.flavor), ("image", vm.image))
    yield from (("disk flavor", disk.flavor) for disk in vm.disks)
    yield from (("datastore", disk.datastore) for disk in vm.disks if disk.datastore)
    if vm.place is not None:
        yield "endpoint", vm.place.endpoint
        if vm.place.host is not None:
            yield "host", vm.place.host


def _compare(document: Document, vm: Vm, state: CurrentState) -> Iterator[Finding]:
    label = state.path_of(document)
    try:
        seen = find(vm, state)
    except PhotonError as error:
        yield Finding("vm", label, "ambiguous VM", "one VM", "several", error.message)
        return
    if seen is None:
        if document.state not in (states.ERROR, states.CREATING):
            yield Finding("vm", label, "lost VM", vm.place.name if vm.place else "", "none",
                          "apply to create it again, or set register: true to take its files over")  # fmt: skip
        return
    if not seen.row.readable:
        yield Finding("vm", label, "unreadable VM", "connected", seen.row.connection_state,
                      "bring its host or datastore back")  # fmt: skip
        return
    now = seen.record(vm).write_to(document)
    before, after = _facts(document), _facts(now)
    if before != after:
        names = [key for key in after if before.get(key) != after[key]]
        yield Finding("vm", label, f"facts ({', '.join(names)})", str([after[key] for key in names]),
                      str([before.get(key) for key in names]), repairable=True, observed=now)  # fmt: skip
    if seen.detailed and seen.missing:
        yield Finding("vm", label, "detached disks", "attached", ", ".join(seen.missing), "attach them again")


def _facts(document: Document) -> dict[str, object]:
    """What only the platform or an administrator changes; addresses come and go with the guest."""
    return {"state": document.state, **{key: fact for key, fact in document.observed.items() if key != "address"}}
