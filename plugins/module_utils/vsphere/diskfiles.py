# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the calls on persistent disks take and return: a disk, a new disk, a place in a VM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import PhotonError
from .jobs import Job
from .rows import FIRST_BUS, DatastoreRow, DiskRow
from .session import Session

FCD, VMDK = "fcd", "vmdk"
UUID_KEY = "disk.EnableUUID"  # with it a guest sees the uuids of its disks
PER_BUS, BUSES = 15, 4  # unit 7 of a SCSI bus is the controller's own
_OWN_UNIT = 7
FIRST_CONTROLLER = 1000  # key of the SCSI controller on bus 0; the others follow
GONE = frozenset({"NotFound", "FileNotFound", "ManagedObjectNotFound"})


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A persistent disk. ``path`` (``[ds] dir/disk.vmdk``) is where it is, ``id`` the first-class disk's.

    ``marks`` is the metadata of a first-class disk that was just read.
    """

    name: str
    backing: str
    path: str
    datastore: DatastoreRow
    id: str = ""
    uuid: str = ""
    capacity: int = 0
    marks: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class NewDisk:
    """A disk to be created, ``capacity`` in bytes. A managed VMDK needs ``path``, in a directory that exists
    (``make_directory``); vSphere chooses that of a first-class disk. ``policy`` is a storage policy's id. ``marks``
    become the metadata of a first-class disk.
    """

    name: str
    capacity: int
    datastore: DatastoreRow
    path: str = ""
    thin: bool = True
    policy: str = ""
    marks: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a disk in a VM. ``fresh``: no disk is on that bus, and its controller may be missing."""

    bus: int
    unit: int
    fresh: bool


def unit_of(place: int) -> int:
    """Return the unit number of the disk at a place of a SCSI bus, counted from 0."""
    return place if place < _OWN_UNIT else place + 1


def free_slots(present: Sequence[DiskRow], count: int, vm: str) -> list[Slot]:
    """Choose places for more disks: on the first SCSI bus, then on the next ones. Raises StateError beyond 60 disks."""
    taken = {(disk.bus, disk.unit) for disk in present}
    busy = {disk.bus for disk in present}
    slots = [
        Slot(bus, unit, bus not in busy)
        for bus in range(FIRST_BUS, FIRST_BUS + BUSES)
        for unit in range(PER_BUS + 1)
        if unit != _OWN_UNIT and (bus, unit) not in taken
    ]
    if len(slots) < count:
        raise PhotonError("StateError", f"VM {vm} has {len(present)} disks; at most {BUSES * PER_BUS} are possible")
    return slots[:count]


def uuid_of(text: str) -> str:
    """Return a uuid as an attached device shows it: the disk manager groups the digits with spaces."""
    digits = "".join(each for each in text.lower() if each in "0123456789abcdef")
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def datacenter(session: Session, moid: str) -> Any:
    """Return the datacenter of a path: names of datastores repeat across a vCenter's datacenters."""
    return session.reference("Datacenter", moid) if session.is_vcenter else None


def new_job(what: str, submit: Any, key: Any, options: dict[str, Any], **defaults: Any) -> Job:
    """Build a job; without a key its text is the key, and ``options`` replace the defaults."""
    return Job(key=what if key is None else key, what=what, submit=submit, **(defaults | options))
