# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator does by hand to VMs, disks, hosts and datastores while the platform works."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from pyVmomi import vmodl

from lab.errors import LabError
from tests.chaos.audit import OTHERS
from tests.support.site import Site

FOREIGN = "[shared1] " + OTHERS + "data-{number}.vmdk"
HOSTS = ("esx01.lab", "esx02.lab", "esx03.lab")
GIB = 1 << 30
Deed = Callable[["Schedule", random.Random], None]
REFUSED = (vmodl.MethodFault, LookupError, PhotonError, LabError)  # what vSphere does not do at this moment


@dataclass
class Schedule:
    """One seed's site, its chance, and what a person has to remember."""

    seed: int
    site: Site
    chance: random.Random
    log: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)  # uuids of VMs that a person or a declaration deleted
    moved: set[str] = field(default_factory=set)  # uuids of VMs that a person brought under another moid
    away: set[str] = field(default_factory=set)  # uuids of VMs on hosts that a person took out of the vCenter
    foreign: list[str] = field(default_factory=list)  # files of others that must stay
    unregistered: dict[str, str] = field(default_factory=dict)  # directory: uuid
    detached: dict[str, str] = field(default_factory=dict)  # disk of ours: uuid of its VM
    capacity: int = 1  # GB of the largest data disk that was declared or made
    undo: list[tuple[str, Callable[[], Any]]] = field(default_factory=list)  # what a person puts back at the end

    @property
    def admin(self) -> Any:
        return self.site.admin["vc1"]

    def ours(self, *, on: bool | None = None, plain: bool = False) -> list[dict[str, Any]]:
        """Our VMs on the vCenter as the lab knows them; ``on``: those that are on, or off, alone; ``plain``: those
        without disks of others."""
        rows = [row for row in self.site.lab.control.state("vc1")["vms"] if is_ours(row) and not row["template"]]
        rows = [row for row in rows if on is None or (row["power_state"] == "poweredOn") == on]
        return [row for row in rows if not plain or not self.disks_of_others(row)]

    def some(self, chance: random.Random, **which: Any) -> dict[str, Any]:
        """One of our VMs. Raises LookupError where there is none."""
        rows = sorted(self.ours(**which), key=lambda row: row["name"])
        if not rows:
            raise LookupError("no such VM")
        return chance.choice(rows)

    def disks_of_others(self, row: dict[str, Any]) -> list[str]:
        return [disk["file"] for disk in row["disks"] if disk["file"] in self.foreign]


# -- deeds -----------------------------------------------------------------------------------------------------------


def rename(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.rename(schedule.some(chance)["moid"], f"by-hand-{chance.randrange(1 << 20)}")


def move_to_host(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.move_to_host(schedule.some(chance)["moid"], chance.choice(HOSTS))


def move_to_datastore(schedule: Schedule, chance: random.Random) -> None:
    """To the local datastore of the VM's host, from where it can only come back."""
    row = schedule.some(chance, plain=True)
    schedule.admin.move_to_datastore(row["moid"], chance.choice(["shared1", f"local-{row['host'].partition('.')[0]}"]))


def move_to_endpoint(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance, plain=True)
    other = schedule.site.admin.get("vc2")
    if other is None:
        raise LookupError("there is no other vCenter")
    schedule.moved.add(row["instance_uuid"])
    schedule.admin.move_to_endpoint(row["moid"], other, "esx21.lab", "shared2")


def delete(schedule: Schedule, chance: random.Random) -> None:
    """A person deletes a VM of ours; what is attached to it of others is kept apart first."""
    row = schedule.some(chance)
    for file in schedule.disks_of_others(row):
        schedule.admin.detach(row["moid"], file)
    schedule.asked.add(row["instance_uuid"])
    schedule.admin.delete(row["moid"])


def unregister(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance)
    schedule.moved.add(row["instance_uuid"])
    files = schedule.admin.unregister(row["moid"])
    schedule.unregistered[files.vmx.rpartition("/")[0].partition("] ")[2]] = row["instance_uuid"]


def register(schedule: Schedule, chance: random.Random) -> None:
    """A person unregisters a VM and registers it again."""
    row = schedule.some(chance)
    schedule.moved.add(row["instance_uuid"])
    schedule.admin.register(schedule.admin.unregister(row["moid"]))


def clone(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.clone(schedule.some(chance, on=False)["moid"], f"clone-{chance.randrange(1 << 20)}")


def restore_copy(schedule: Schedule, chance: random.Random) -> None:
    """A backup of a VM is restored as another VM."""
    _restore(schedule, schedule.some(chance), chance, same_uuid=False)


def restore(schedule: Schedule, chance: random.Random) -> None:
    """A VM is deleted and restored from its backup, under its instanceUuid or a new one."""
    row = schedule.some(chance, plain=True)
    schedule.asked.add(row["instance_uuid"])
    _restore(schedule, row, chance, same_uuid=chance.random() < 0.5, delete=True)


def _restore(
    schedule: Schedule, row: dict[str, Any], chance: random.Random, same_uuid: bool, delete: bool = False
) -> None:
    backup = schedule.admin.backup(row["moid"])
    if delete:
        schedule.admin.delete(row["moid"])
    name = f"restored-{chance.randrange(1 << 20)}"
    schedule.admin.restore(backup, chance.choice(HOSTS), "shared1", name=name, same_uuid=same_uuid)


def reconfigure(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.reconfigure(schedule.some(chance, on=False)["moid"], numCPUs=chance.choice([1, 2, 3]))


def grow_disk(schedule: Schedule, chance: random.Random) -> None:
    """A person grows a data disk: the declaration has to follow, since no disk can shrink."""
    row = schedule.some(chance, on=False)
    at = next((at for at, disk in enumerate(row["disks"]) if disk["file"].endswith("/data.vmdk")), None)
    if at is None:
        raise LookupError("no data disk")
    capacity = row["disks"][at]["capacity"] // GIB + 1
    schedule.admin.grow_disk(row["moid"], at, capacity << 20)
    schedule.capacity = max(schedule.capacity, capacity)


def attach(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance)
    path = schedule.admin.create_disk(FOREIGN.format(number=len(schedule.foreign)))
    schedule.foreign.append(path)
    schedule.admin.attach(row["moid"], path)


def detach(schedule: Schedule, chance: random.Random) -> None:
    """Our data disk is detached; it is attached again at the end, as the message says."""
    row = schedule.some(chance, on=False)
    own = [disk["file"] for disk in row["disks"][1:] if disk["file"] not in schedule.foreign]
    if not own:
        raise LookupError("no data disk")
    schedule.detached[schedule.admin.detach(row["moid"], own[0])] = row["instance_uuid"]


def detach_and_attach(schedule: Schedule, chance: random.Random) -> None:
    """Our disk comes back at another place."""
    row = schedule.some(chance, on=False)
    if len(row["disks"]) < 2:
        raise LookupError("no data disk")
    path = schedule.admin.detach(row["moid"], row["disks"][1]["file"])
    schedule.admin.attach(row["moid"], path, unit=chance.randrange(8, 14))


def suspend(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.suspend(schedule.some(chance, on=True)["moid"])


def stop(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.power(schedule.some(chance, on=True)["moid"], "poweredOff")


def move_folder(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.move_to_folder(schedule.some(chance)["moid"], "")


def rename_folder(schedule: Schedule, chance: random.Random) -> None:
    schedule.admin.rename_folder("acme", f"acme-by-hand-{chance.randrange(1 << 20)}")


def mark_as_template(schedule: Schedule, chance: random.Random) -> None:
    row = schedule.some(chance, on=False)
    schedule.admin.mark_as_template(row["moid"])
    schedule.undo.append(("mark_as_vm", lambda: schedule.admin.mark_as_vm(row["instance_uuid"], row["host"])))


def disconnect_host(schedule: Schedule, chance: random.Random) -> None:
    host = chance.choice(HOSTS)
    schedule.admin.disconnect(host)
    schedule.undo.append((f"reconnect {host}", lambda: schedule.admin.reconnect(host)))


def remove_host(schedule: Schedule, chance: random.Random) -> None:
    """A host is taken out of the vCenter with its VMs, which run on; it comes back at the end."""
    host = chance.choice(HOSTS)
    gone = {row["instance_uuid"] for row in schedule.site.rows() if row["host"] == host}
    cluster = schedule.admin.remove_host(host)
    schedule.moved |= gone
    schedule.away |= gone
    schedule.undo.append((f"add {host}", lambda: schedule.admin.add_host(host, cluster)))


def maintenance(schedule: Schedule, chance: random.Random) -> None:
    host = chance.choice(HOSTS)
    schedule.admin.enter_maintenance(host, timeout=2, evacuate=True)
    schedule.undo.append((f"exit_maintenance {host}", lambda: schedule.admin.exit_maintenance(host)))


def rename_datastore(schedule: Schedule, chance: random.Random) -> None:
    """The local one keeps its new name; the declared one gets its old name back at the end."""
    if chance.random() < 0.5:
        schedule.admin.rename_datastore("local-esx02", f"by-hand-{chance.randrange(1 << 20)}")
    elif not schedule.foreign:  # their paths name it
        schedule.admin.rename_datastore("shared1", "renamed")
        schedule.undo.append(("rename shared1", lambda: schedule.admin.rename_datastore("renamed", "shared1")))


DEEDS: tuple[Deed, ...] = (
    rename, move_to_host, move_to_datastore, move_to_endpoint, delete, unregister, register, clone, restore_copy,
    restore, reconfigure, grow_disk, attach, detach, detach_and_attach, suspend, stop, move_folder, rename_folder,
    mark_as_template, disconnect_host, remove_host, maintenance, rename_datastore,
)  # fmt: skip


def do(schedule: Schedule, chance: random.Random, where: str = "") -> None:
    """One deed; what vSphere refuses at this moment is not done."""
    deed = chance.choice(DEEDS)
    try:
        deed(schedule, chance)
        schedule.log.append(f"{deed.__name__} {where}".rstrip())
    except REFUSED as fault:
        schedule.log.append(f"({deed.__name__} {where}: {type(fault).__name__})")


def is_ours(row: dict[str, Any]) -> bool:
    return row["instance_uuid"] == row["extra_config"].get("photon.id") and "photon.template" not in row["extra_config"]
