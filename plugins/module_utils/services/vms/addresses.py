# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for the addresses of the VMs that a run started: their guests report them some time after the start."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ... import vsphere
from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ...model.names import listed
from ..context import Applying
from ..planning import Action
from .record import Vm


def record_addresses(applying: Applying) -> None:
    """Record the addresses that guests report within ``Options.wait_for_addresses`` seconds; warn of the others."""
    timeout = applying.context.options.wait_for_addresses
    waiting: dict[str, dict[str, Action]] = defaultdict(dict)
    for action in applying.plan.of(entities.VM):
        place = _place_without_address(action)
        if place is not None:
            waiting[place.endpoint][place.moid] = action
    if timeout <= 0 or not waiting:
        return

    def wait(endpoint_id: str) -> dict[str, str]:
        endpoint = applying.state.must(endpoint_id)
        try:
            return vsphere.wait_for_addresses(applying.context.session(endpoint), waiting[endpoint_id], timeout)
        except PhotonError as error:  # the VMs themselves are done
            applying.plan.warnings.append(f"the addresses of new VMs could not be read: {error.message}")
            return {}

    with ThreadPoolExecutor(len(waiting)) as pool:
        found = dict(zip(waiting, pool.map(wait, waiting), strict=True))
    addresses = {waiting[i][moid].id: address for i, rows in found.items() for moid, address in rows.items()}
    recorded = applying.context.store.run(lambda tx: _record(tx, addresses)) if addresses else []
    documents = {d.id: d for d in recorded}
    silent = []
    for action in [action for actions in waiting.values() for action in actions.values()]:
        if action.id in documents and action.outcome is not None:
            action.outcome.document = applying.state.put(documents[action.id])
        else:
            silent.append(action.name)
    if silent:
        applying.plan.warnings.append(
            f"no address was reported within {timeout:g} s by {listed(silent)}: the next run records it; see that "
            "VMware Tools runs in the image, or wait longer (photon_wait_for_addresses)"
        )


def _place_without_address(action: Action) -> Any:
    """The place of a VM that runs now, was changed by this run and has no address in its record; else None."""
    document = action.outcome.document if action.changed and action.outcome is not None else None
    if document is None or document.state != states.STARTED:
        return None
    vm = Vm.of(document)
    return vm.place if vm.address is None and vm.port_groups and vm.place is not None and vm.place.moid else None


def _record(tx: Any, addresses: dict[str, str]) -> list[Document]:
    """Add the addresses to the facts as they are now: another run may have recorded newer ones during the wait."""
    current = tx.get(addresses).values()
    return list(tx.observe({d.id: {**d.observed, "address": addresses[d.id]} for d in current}))
