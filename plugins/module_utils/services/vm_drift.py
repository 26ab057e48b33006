# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a VM differs: from its record, and in vSphere from what the record says it should be.

Heavy properties were read only where ``config.changeVersion`` moved, so a VM that nobody touched costs nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..model.entities import Document
from ..model.errors import PhotonError
from . import guest
from .world import World

_POWER_STATES = {"poweredOn": "STARTED", "poweredOff": "STOPPED", "suspended": "SUSPENDED"}
_FIXED = {
    "image": "an image is chosen when a VM is made",
    "boot_disk_flavor": "a boot disk's flavor is set when a VM is made",
}


@dataclass(slots=True)
class Difference:
    """``before``/``after`` per differing field; ``reconfigure`` is what vSphere must be told, in its tool's terms."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    reconfigure: dict[str, Any] = field(default_factory=dict)
    impossible: list[str] = field(default_factory=list)
    cost_changes: bool = False

    @property
    def fields(self) -> list[str]:
        return list(self.after)

    def note(self, name: str, before: Any, after: Any) -> None:
        self.before[name], self.after[name] = before, after

    def refuse_impossible(self, label: str) -> None:
        """Raises UpdateNotSupported when something differs that cannot be changed in place."""
        if self.impossible:
            raise PhotonError(
                "UpdateNotSupported",
                f"VM {label}: {'; '.join(self.impossible)}; delete the VM and declare it again, "
                "or put the declaration back",
            )


def power_state(row: Any) -> str:
    """STARTED, STOPPED or SUSPENDED."""
    return _POWER_STATES[row.power_state]


def refuse_unreadable(label: str, row: Any) -> None:
    """Raises InvalidVmState for a VM whose files are out of reach: what is said of it is old or missing."""
    if not row.readable:
        raise PhotonError(
            "InvalidVmState",
            f"VM {label}: its configuration cannot be read ({row.connection_state}), so it is left alone; bring its "
            "host or datastore back, then run again",
        )


def compare(current: Document, wanted: Document, row: Any, world: World, item: dict[str, Any]) -> Difference:
    """The record (``current``) and vSphere (``row``) against the declaration (``wanted``)."""
    difference = Difference()
    _compare_records(current, wanted, item, difference, world)
    _compare_hardware(wanted, row, difference)
    if row.extra_config is not None:
        _compare_disks(wanted, row, difference)
        _compare_nics(wanted, row, difference)
        if item.get("metadata") is not None or not current.body.get("metadata_declared"):
            _compare_guest(wanted, row, item, difference)
    return difference


def observed(document: Document, row: Any, world: World) -> dict[str, Any]:
    """The body fields that vSphere owns: where the VM is, its address, its change version."""
    body = document.body
    host = world.hosts_of(body["endpoint"]).get(row.host)
    seen = {
        "address": row.guest_address,
        "vsphere": {
            **body.get("vsphere", {}),
            "moid": row.moid,
            "name": row.name,
            "change_version": row.change_version,
        },
    }
    if host is not None and host.id != body.get("host"):
        seen.update(host=host.id, cluster=host.body.get("cluster"))
    return seen


def _compare_records(
    current: Document, wanted: Document, item: dict[str, Any], difference: Difference, world: World
) -> None:
    old, new = current.body, wanted.body
    if old["image"] != new["image"]:
        difference.impossible.append(_FIXED["image"])
    boot_old, boot_new = old["disks"][0], new["disks"][0]
    if boot_old["flavor"] != boot_new["flavor"]:
        difference.impossible.append(_FIXED["boot_disk_flavor"])
    _compare_disk_lists(old["disks"][1:], new["disks"][1:], difference)
    if old["flavor"] != new["flavor"]:
        names = [document.name if (document := world.get(i)) else i for i in (old["flavor"], new["flavor"])]
        difference.note("flavor", *names)
        difference.cost_changes = True
    for key in ("tags", "groups", "deletion_protection", "spread_over", "zone"):
        if (old.get(key) or None) != (new.get(key) or None):
            difference.note(key, old.get(key), new.get(key))
    if old.get("port_groups") != new.get("port_groups"):
        difference.note("port_groups", old.get("port_groups"), new.get("port_groups"))
        difference.reconfigure["port_groups"] = new["port_groups"]
    if old.get("metadata_digest") != new.get("metadata_digest"):
        difference.note("metadata", "(another)", "(as declared)")
        difference.reconfigure["extra_config"] = guest.keys(item, wanted.name, wanted.id)


def _compare_disk_lists(old: list[dict[str, Any]], new: list[dict[str, Any]], difference: Difference) -> None:
    by_name = {disk["name"]: disk for disk in old}
    if set(by_name) != {disk["name"] for disk in new}:
        difference.impossible.append("ephemeral disks live and die with their VM: none can be added or taken away")
        return
    for disk in new:
        before = by_name[disk["name"]]
        if before["flavor"] != disk["flavor"]:
            difference.impossible.append(f"the flavor of disk {disk['name']} is set when a VM is made")
        if disk["capacity"] < before["capacity"]:
            difference.impossible.append(
                f"disk {disk['name']} cannot shrink from {before['capacity']} to {disk['capacity']} B"
            )
        elif disk["capacity"] > before["capacity"]:
            difference.note(f"disks.{disk['name']}.capacity", before["capacity"], disk["capacity"])
            difference.reconfigure.setdefault("disks", {})[disk["name"]] = disk["capacity"]
            difference.cost_changes = True


def _compare_hardware(wanted: Document, row: Any, difference: Difference) -> None:
    for key, seen in (("vcpus", row.vcpus), ("memory", row.memory)):
        if seen != wanted.body[key]:
            difference.note(key, seen, wanted.body[key])
            difference.reconfigure[key] = wanted.body[key]


def _compare_disks(wanted: Document, row: Any, difference: Difference) -> None:
    """Disks are matched in the order in which they were made: the boot disk first."""
    declared = wanted.body["disks"]
    if len(row.disks) < len(declared):
        difference.impossible.append(
            f"{len(declared) - len(row.disks)} of its {len(declared)} disks were taken away in vSphere"
        )
        return
    for disk, seen in zip(declared, row.disks, strict=False):
        if seen.capacity > disk["capacity"] and not difference.reconfigure.get("disks", {}).get(disk["name"]):
            difference.impossible.append(
                f"disk {disk['name']} was grown in vSphere from {disk['capacity']} to {seen.capacity} B "
                "and cannot shrink"
            )
        elif seen.capacity < disk["capacity"]:
            difference.note(f"disks.{disk['name']}.capacity", seen.capacity, disk["capacity"])
            difference.reconfigure.setdefault("disks", {})[disk["name"]] = disk["capacity"]


def _compare_nics(wanted: Document, row: Any, difference: Difference) -> None:
    seen = [nic.network for nic in row.nics]
    if sorted(seen) != sorted(wanted.body["port_groups"]):
        difference.note("port_groups", seen, wanted.body["port_groups"])
        difference.reconfigure["port_groups"] = wanted.body["port_groups"]


def _compare_guest(wanted: Document, row: Any, item: dict[str, Any], difference: Difference) -> None:
    """The keys by name, never their values: user-data may hold secrets."""
    changes = guest.changed_keys(guest.keys(item, wanted.name, wanted.id), row.extra_config)
    for key in sorted(changes):
        difference.note(key, "(changed in vSphere)" if key in row.extra_config else "(missing)", "(as declared)")
    if changes:
        difference.reconfigure["extra_config"] = changes
