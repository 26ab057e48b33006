# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for the addresses of VMs: their guests report them some time after the start."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ... import vsphere
from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.names import listed
from ..context import Applying
from ..planning import Action, Outcome
from .record import Vm


@dataclass(slots=True)
class _Waiting:
    """A VM without an address. ``demanded``: its item asks for one (wait_for_address), so it fails without."""

    action: Action
    seconds: float
    demanded: bool
    error: PhotonError | None = None


def record_addresses(applying: Applying) -> None:
    """Record the addresses that guests report in time.

    VMs that this run started get ``Options.wait_for_addresses`` seconds; those without an address are warned of. VMs
    with ``wait_for_address`` get as many seconds as that, whoever started them, and fail with AddressTimeout.
    """
    waiting = _waiting(applying)
    if not waiting:
        return

    def wait(endpoint_id: str) -> dict[str, str]:
        vms = waiting[endpoint_id]
        try:
            session = applying.context.session(applying.state.must(endpoint_id))
            return vsphere.wait_for_addresses(session, {moid: vm.seconds for moid, vm in vms.items()})
        except PhotonError as error:  # the VMs themselves are done
            for vm in vms.values():
                vm.error = error
            return {}

    with ThreadPoolExecutor(len(waiting)) as pool:
        found = dict(zip(waiting, pool.map(wait, waiting), strict=True))
    addresses = {waiting[i][moid].action.id: address for i, rows in found.items() for moid, address in rows.items()}
    recorded = applying.context.store.run(lambda tx: _record(tx, addresses)) if addresses else []
    documents = {d.id: applying.state.put(d) for d in recorded}
    silent = []
    for vm in [vm for vms in waiting.values() for vm in vms.values()]:
        document = documents.get(vm.action.id)
        if document is None:
            silent.append(vm)
        elif vm.action.outcome is not None:
            vm.action.outcome.document = document
        else:
            vm.action.document = document
    _report(silent, applying)


def _waiting(applying: Applying) -> dict[str, dict[str, _Waiting]]:
    """``{endpoint id: {moid: VM}}`` of the VMs to wait for."""
    found: dict[str, dict[str, _Waiting]] = defaultdict(dict)
    plan, default = applying.plan, applying.context.options.wait_for_addresses
    for action in plan.of(entities.VM):
        demanded = plan.waits.get(action.id, 0)
        seconds = demanded or (default if action.changed else 0)
        place = _place_without_address(applying.state.get(action.id)) if seconds > 0 and not action.failed else None
        if place is not None:
            found[place.endpoint][place.moid] = _Waiting(action, seconds, bool(demanded))
    return found


def _place_without_address(document: Document | None) -> Any:
    """The place of a VM that runs, has an adapter and no address in its record; else None."""
    if document is None or document.state != states.STARTED:
        return None
    vm = Vm.of(document)
    return vm.place if vm.address is None and vm.port_groups and vm.place is not None and vm.place.moid else None


def _record(tx: Any, addresses: dict[str, str]) -> list[Document]:
    """Add the addresses to the facts as they are now: another run may have recorded newer ones during the wait."""
    current = tx.get(addresses).values()
    return list(tx.observe({d.id: {**d.observed, "address": addresses[d.id]} for d in current}))


def _report(silent: list[_Waiting], applying: Applying) -> None:
    """Warn of VMs without an address; those that need one fail."""
    plan = applying.plan
    unread = {vm.error.message for vm in silent if vm.error is not None and not vm.demanded}
    plan.warnings += [f"the addresses of new VMs could not be read: {message}" for message in sorted(unread)]
    late = [vm for vm in silent if vm.error is None and not vm.demanded]
    if late:
        plan.warnings.append(
            f"no address was reported within {late[0].seconds:g} s by {listed([vm.action.name for vm in late])}: the "
            "next run records it; see that VMware Tools runs in the image, or wait longer (photon_wait_for_addresses)"
        )
    for vm in silent:
        if vm.demanded:
            document = applying.state.get(vm.action.id)
            plan.finish(vm.action, Outcome(vm.action.changed, vm.error or _timeout(vm), document))


def _timeout(vm: _Waiting) -> PhotonError:
    return PhotonError(
        "AddressTimeout",
        f"VM {vm.action.name} reported no address within {vm.seconds:g} s (wait_for_address); it stays as it is: see "
        "that VMware Tools runs in the image and that its network has DHCP, then run again",
    )
