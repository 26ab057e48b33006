# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed actions on persistent disks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...cloudstore import Step, Task
from ...model import entities
from ...model.entities import Document
from ...model.errors import PhotonError
from ..planning import CREATE as NEW
from ..planning import Action
from ..state import CurrentState
from .record import Disk

CREATE, DETACH, GROW, ATTACH, DELETE = "CREATE_DISK", "DETACH_DISK", "GROW_DISK", "ATTACH_DISK", "DELETE_DISK"
SET_POLICY, DESCRIBE = "SET_POLICY", "DESCRIBE_DISK"


@dataclass(slots=True, kw_only=True)
class DiskAction(Action):
    """Work on a disk: ``steps`` in order (none: the record alone).

    ``disk`` is the disk as it is meant to be, ``previous`` as it was seen before. ``source`` and ``target`` are the
    ids of the VMs that it is detached from and attached to. ``policy`` is the name of the storage policy that it gets.
    ``done`` are the steps that were done, ``failure`` the error that ended them, ``failed_step`` where.
    """

    disk: Disk
    previous: Disk
    steps: tuple[str, ...] = ()
    source: str | None = None
    target: str | None = None
    policy: str = ""
    done: list[str] = field(default_factory=list)
    failure: PhotonError | None = None
    failed_step: str = ""

    def signature(self, state: CurrentState) -> dict[str, Any]:
        """Its datastore and its backing."""
        store, backing = state.name_of(self.disk.datastore), self.disk.backing
        return {"datastore": store, "backing": backing, "steps": list(self.steps)}

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier run may have begun with it."""
        return self.verb != NEW

    def is_due(self, step: str) -> bool:
        """Whether this step is still to be done."""
        return step in self.steps and step not in self.done and self.failure is None and self.outcome is None

    def fail_at(self, step: str, error: PhotonError) -> None:
        self.failure, self.failed_step = error, step


def task_of(entity_id: str, steps: tuple[str, ...], endpoint: str | None, vms: tuple[str | None, ...]) -> Task:
    """The journal entry of an action on a disk; ``vms`` are the VMs whose devices tell how far it came."""
    return Task(
        steps[0] if DELETE not in steps else DELETE,
        entities.DISK,
        entity_id,
        state="STARTED",
        steps=[Step(number, name, "QUEUED") for number, name in enumerate(steps)],
        data={"endpoint": endpoint, "vms": [vm for vm in vms if vm]},
    )


def item_of(document: Document, state: CurrentState) -> dict[str, Any]:
    """The fields of a disk in a full result."""
    disk = Disk.of(document)
    return {
        "datastore": state.name_of(disk.datastore),
        "backing": disk.backing,
        "path": disk.path,
        "uuid": disk.uuid,
        "wwn": disk.wwn,
        "attached_to": state.name_of(disk.vm),
    }
