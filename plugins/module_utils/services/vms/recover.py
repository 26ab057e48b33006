# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of interrupted tasks on VMs: the record follows what vSphere shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...cloudstore import Task
from ...model import states
from ...model.entities import Document
from ...model.errors import PhotonError
from ..state import CurrentState
from .claims import claim_of
from .observed import find, refuse_unreadable
from .record import Vm


def recover(tx: Any, task: Task, document: Document, state: CurrentState) -> None:
    """Settle one task: a VM that exists is recorded as it is; a deleted one is buried; one that was not created stays
    with its identity, quota and place for the run that creates it. Raises PhotonError when neither is certain."""
    vm = Vm.of(document)
    seen = find(vm, state)
    if seen is not None:
        refuse_unreadable(document.name, seen)
        found = seen.record(vm)
        # How far the work came is unknown: without the change version the next plan compares in detail.
        now = replace(found, place=replace(found.place, change_version=None)).write_to(document)  # type: ignore[type-var]
        tx.settle([now])
        tx.claim([claim_of(now, state)], check=False)
    elif vm.place is not None and vm.place.endpoint not in state.inventories:
        raise PhotonError("DependencyFailed", f"the endpoint of VM {document.name} could not be read; run again")
    elif task.operation == "DELETE_VM":
        tx.bury([document])
    elif task.operation == "CREATE_VM":
        # Nothing was created yet. Identity, quota and place stay for the run that creates it: when the old run was only
        # paused, its late call then meets the same name in the same folder.
        tx.settle([replace(document, state=states.ERROR)])
