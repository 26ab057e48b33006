# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places of new disks that no new VM brings with it: near their VM, near the VMs of their affinity, or anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from .. import policies
from ..placement import place_volumes
from ..planning import Planning
from ..state import CurrentState
from ..vms.record import Vm
from .desired import Desired


def place_disks(wanted: list[tuple[Desired, Document | None]], planning: Planning) -> dict[str, PhotonError]:
    """Give each disk its datastore; returns the errors by the disk's id."""
    state = planning.state
    errors: dict[str, PhotonError] = {}
    requests: dict[str, dict[str, Any]] = {}
    for desired, vm in wanted:
        if desired.demand is not None and desired.demand.datastore is not None:
            _set(desired, desired.demand.datastore, state)
            continue
        try:
            requests[desired.disk.id] = _request(desired, vm, state)
        except PhotonError as error:
            errors[desired.disk.id] = error
    answers = place_volumes(requests, state, seed=planning.options.seed, policy=planning.options.policy)
    for desired, _vm in wanted:
        answer = answers.get(desired.disk.id)
        if isinstance(answer, PhotonError):
            errors[desired.disk.id] = _told(desired, answer)
        elif answer is not None:
            _set(desired, answer, state)
    return errors


def _request(desired: Desired, vm: Document | None, state: CurrentState) -> dict[str, Any]:
    disk = desired.disk
    request: dict[str, Any] = {
        "disks": [
            {
                "capacity": disk.capacity,
                "tags": policies.with_tag(disk.datastore_tags, desired.policy),
                "boot": False,
            }
        ],
        "tenant": state.tenant_of(state.must(disk.project)).name,
    }
    policies.check(desired.policy, f"disk {desired.label}", state, _endpoint_of(vm))
    if vm is not None:
        place = Vm.of(vm).place
        if place is None or state.get(place.host) is None:
            raise PhotonError(
                "DependencyFailed",
                f"disk {desired.label}: the host of VM {vm.name} is not declared; declare it, or move the VM",
            )
        request["host"] = place.host
    stores = {}
    for name in disk.affinity:
        near = state.find(entities.VM, disk.project, name)
        if near is None:
            raise PhotonError("VmNotFound", f"disk {desired.label}: no vm named {name!r}, which its affinity names")
        stores[name] = Vm.of(near).boot_disk.datastore
        if state.get(stores[name]) is None:
            raise PhotonError(
                "DependencyFailed",
                f"disk {desired.label}: VM {name} of its affinity is not on a known datastore; declare the host that "
                "it is on, or remove the affinity",
            )
    if len(set(stores.values())) > 1:
        where = ", ".join(f"{name} on {state.name_of(store)}" for name, store in sorted(stores.items()))
        raise PhotonError(
            "UnfullfillableDiskAffinities",
            f"disk {desired.label}: the VMs of its affinity share no datastore ({where})",
        )
    if stores:
        request["datastore"] = next(iter(stores.values()))
    return request


def _endpoint_of(vm: Document | None) -> str | None:
    place = Vm.of(vm).place if vm is not None else None
    return place.endpoint if place is not None else None


def _told(desired: Desired, error: PhotonError) -> PhotonError:
    """The scheduler's reason; what only the affinity makes impossible has a code of its own."""
    impossible = desired.disk.affinity and error.code not in (
        "NotEnoughDatastoreCapacity",
        "NoConstraintMatchingDatastore",
    )
    code = "UnfullfillableDiskAffinities" if impossible else error.code
    return PhotonError(code, f"disk {desired.label}: {error.message}", error.data)


def _set(desired: Desired, store_id: str, state: CurrentState) -> None:
    desired.disk = replace(desired.disk, datastore=store_id, endpoint=state.must(store_id).scope)
    state.put(desired.disk.write_to(state.must(desired.disk.id)))
