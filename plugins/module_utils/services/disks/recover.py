# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery of interrupted tasks on disks: the record follows what the endpoints show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...cloudstore import Task
from ...model import states
from ...model.entities import Document
from ..state import CurrentState
from . import actions
from .observed import Sight
from .record import Disk, claim_of


def recover(tx: Any, task: Task, document: Document, state: CurrentState) -> None:
    """Settle one task: a disk is recorded where it is; one whose deletion was done is buried; one that was not created
    stays with its identity, quota and place for the run that creates it. Raises PhotonError when neither is certain."""
    disk = Disk.of(document)
    if disk.endpoint is None:
        tx.settle([replace(document, state=states.ERROR)])
        return
    seen = Sight.of(state).see(disk)
    if task.operation == actions.DELETE and (seen.gone or (disk.is_unfinished and seen.disk.state == states.ERROR)):
        tx.bury([document])
        return
    now = seen.disk
    if now.is_unfinished:
        now = replace(now, state=states.ERROR)
    settled = now.write_to(document)
    tx.settle([settled])
    tx.claim([claim_of(settled, state)], check=False)
