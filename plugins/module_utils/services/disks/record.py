# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A persistent disk as the CloudStore records it: typed values for its document."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...cloudstore import Claim
from ...model import states
from ...model.entities import Document
from ...vsphere import VMDK
from ..state import CurrentState

Cost = dict[str, tuple[int, str]]
DIRECTORY = "photon-disks"  # of each datastore; the disks in it are named by their ids
MOST_DISKS = 60  # of a VM: 15 on each of 4 SCSI controllers


def directory_of(datastore: str) -> str:
    """The directory of the persistent disks on a datastore of that name."""
    return f"[{datastore}] {DIRECTORY}"


def file_of(datastore: str, disk_id: str) -> str:
    """The file of a persistent disk on a datastore of that name."""
    return f"{directory_of(datastore)}/{disk_id}.vmdk"


@dataclass(frozen=True, slots=True)
class Disk:
    """A persistent disk: its intent, and where it was last seen.

    ``capacity`` in bytes. ``affinity`` are names of VMs, ``wanted_vm`` the id of the VM that it was last declared to be
    attached to. Facts: ``endpoint`` and ``datastore`` (ids), ``path`` (``[ds] dir/id.vmdk``), the backing's ``uuid``
    (None until the file was made once), ``size`` in bytes, and ``vm``, the id of the VM that it is attached to.
    ``backing`` is fcd or vmdk (None until it is placed), ``first_class`` the id of a first-class disk, ``policy`` the
    name of its storage policy, empty without one. ``described``: its record in vSphere is that of this intent.
    """

    id: str
    name: str
    project: str
    state: str
    flavor: str
    capacity: int
    cost: Cost
    datastore_tags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    affinity: tuple[str, ...] = ()
    deletion_protection: bool = False
    wanted_vm: str | None = None
    endpoint: str | None = None
    datastore: str | None = None
    path: str | None = None
    uuid: str | None = None
    size: int | None = None
    vm: str | None = None
    backing: str | None = None
    first_class: str | None = None
    policy: str = ""
    described: bool = False

    @property
    def wwn(self) -> str | None:
        """How a guest names the disk: ``/dev/disk/by-id/wwn-<wwn>``."""
        return f"0x{self.uuid.replace('-', '')}" if self.uuid else None

    @property
    def is_unfinished(self) -> bool:
        """Whether its file was never made, as far as is known."""
        return self.uuid is None

    @property
    def identities(self) -> frozenset[str]:
        """What its backing is recognised by."""
        return frozenset(each for each in (self.uuid, self.path) if each)

    @classmethod
    def of(cls, document: Document) -> Disk:
        """The typed form of a disk's document."""
        body, seen = document.body, document.observed
        return cls(
            document.id,
            document.name,
            document.scope,
            document.state,
            body["flavor"],
            body["capacity"],
            {key: (amount, unit) for key, (amount, unit) in body["cost"].items()},
            tuple(body.get("datastore_tags") or ()),
            tuple(body.get("tags") or ()),
            tuple(body.get("affinity") or ()),
            bool(body.get("deletion_protection")),
            body.get("vm"),
            seen.get("endpoint"),
            seen.get("datastore"),
            seen.get("path"),
            seen.get("uuid"),
            seen.get("size"),
            seen.get("vm"),
            seen.get("backing") or (VMDK if seen.get("uuid") else None),
            seen.get("first_class"),
            seen.get("policy") or "",
            bool(seen.get("described")),
        )

    def write_to(self, document: Document) -> Document:
        """The document with this disk's state, intent and facts."""
        body = {
            "flavor": self.flavor,
            "capacity": self.capacity,
            "cost": {key: list(value) for key, value in self.cost.items()},
            "datastore_tags": list(self.datastore_tags),
            "tags": list(self.tags),
            "affinity": list(self.affinity),
            "deletion_protection": self.deletion_protection,
            "vm": self.wanted_vm,
        }
        observed = {
            "endpoint": self.endpoint,
            "datastore": self.datastore,
            "path": self.path,
            "uuid": self.uuid,
            "size": self.size,
            "vm": self.vm,
            "backing": self.backing,
            "first_class": self.first_class,
            "policy": self.policy,
            "described": self.described,
        }
        return replace(document, state=self.state, body=body, observed=observed if self.endpoint else {})

    def settled(self) -> Disk:
        """The disk in the state that its facts say."""
        if self.state == states.ERROR and self.is_unfinished:
            return self
        return replace(self, state=states.ATTACHED if self.vm else states.DETACHED)


def claim_of(document: Document, state: CurrentState) -> Claim:
    """What a disk holds: its cost of its project's quota, and its space on its datastore."""
    disk = Disk.of(document)
    amounts: dict[str, dict[str, int]] = {disk.project: {key: amount for key, (amount, _unit) in disk.cost.items()}}
    if state.get(disk.datastore) is not None:
        amounts[str(disk.datastore)] = {"space": max(disk.capacity, disk.size or 0)}
    return Claim(disk.id, amounts)
