# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM as the CloudStore records it: typed values for its document, its disks and its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ...model import flavors
from ...model.entities import Document

Cost = dict[str, tuple[int, str]]
# Fields under their own names in the body, the second ones as lists; in the observed part of a disk, and of vSphere.
_PLAIN = (
    "flavor", "image", "vcpus", "memory", "spread_over", "spread_group", "max_skew", "zone", "deletion_protection",
    "metadata_digest", "metadata_declared",
)  # fmt: skip
_LISTS = ("port_groups", "tags", "host_tags")
_PLACE = ("datastore", "path", "uuid", "unit", "linked")
_SEEN = (*_PLACE, "policy")
_VSPHERE = ("moid", "name", "folder", "directory", "change_version", "vmx", "marked")


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a VM: its intent, and where it was last seen.

    ``capacity`` in bytes. ``datastore`` is a document's id, ``path`` the backing file (``[ds] dir/disk.vmdk``),
    ``uuid`` the backing's uuid, ``unit`` the unit number on its controller, ``linked`` whether it is a child of another
    disk; each None while unknown. ``policy`` is the name of its storage policy, empty without one.
    """

    name: str
    flavor: str
    capacity: int
    boot: bool = False
    kind: str = flavors.EPHEMERAL_DISK
    datastore_tags: tuple[str, ...] = ()
    datastore: str | None = None
    path: str | None = None
    uuid: str | None = None
    unit: int | None = None
    linked: bool | None = None
    policy: str = ""

    def seen_at(self, other: Disk) -> Disk:
        """This disk's intent, its policy among it, at the place of ``other``."""
        return replace(self, **{key: getattr(other, key) for key in _PLACE})


@dataclass(frozen=True, slots=True)
class Group:
    """An affinity or anti-affinity group: ``name`` is ``tenant/project/group``, ``level`` host, rack or zone."""

    name: str
    kind: str
    level: str
    hard: bool

    def to_dict(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Static:
    """A static address with its prefix length (``10.0.0.5/24``); ``adapter`` is its place among the port groups."""

    adapter: int
    address: str
    gateway: str | None = None
    dns: tuple[str, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Static:
        return cls(row["adapter"], row["address"], row.get("gateway"), tuple(row.get("dns") or ()))

    def to_dict(self) -> dict[str, Any]:
        return {"adapter": self.adapter, "address": self.address, "gateway": self.gateway, "dns": list(self.dns)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a VM is: ids of documents (``host`` None on an undeclared host) and vSphere's own names for it.

    ``marked``: it carried a record (see mark.py) when it was last read in detail.
    """

    endpoint: str
    host: str | None
    name: str
    folder: str = ""
    directory: str = ""
    cluster: str | None = None
    moid: str | None = None
    change_version: str | None = None
    vmx: str | None = None  # its configuration file, ``[ds] dir/name.vmx``
    marked: bool = False


@dataclass(slots=True)
class Vm:
    """A VM's record; ``place`` is None before it was placed. ``state`` is its power state, CREATING or ERROR."""

    id: str
    name: str
    project: str
    state: str
    flavor: str
    image: str
    vcpus: int
    memory: int
    cost: Cost
    disks: tuple[Disk, ...]
    port_groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    spread_over: str | None = None
    spread_group: str | None = None
    zone: str | None = None
    host_tags: tuple[str, ...] = ()
    deletion_protection: bool = False
    metadata_digest: str = ""
    metadata_declared: bool = False
    place: Place | None = None
    address: str | None = None
    max_skew: int | None = None
    static: tuple[Static, ...] = ()
    nics: tuple[tuple[str, str], ...] = ()  # port group and MAC address of each adapter, as far as they are known

    @property
    def boot_disk(self) -> Disk:
        return self.disks[0]

    @classmethod
    def of(cls, document: Document) -> Vm:
        """The typed form of a VM's document."""
        body, seen = document.body, document.observed
        disks = seen.get("disks", {})
        place = None
        if seen.get("endpoint"):
            own = seen.get("vsphere") or {}
            place = Place(
                seen["endpoint"],
                seen.get("host"),
                own.get("name", document.name),
                own.get("folder", ""),
                own.get("directory", ""),
                seen.get("cluster"),
                own.get("moid"),
                own.get("change_version"),
                own.get("vmx"),
                bool(own.get("marked")),
            )
        return cls(
            document.id,
            document.name,
            document.scope,
            document.state,
            cost={key: (amount, unit) for key, (amount, unit) in body["cost"].items()},
            disks=tuple(_disk(each, disks.get(each["name"], {})) for each in body["disks"]),
            groups=tuple(Group(g["name"], g["kind"], g["level"], g["hard"]) for g in body.get("groups") or ()),
            static=tuple(map(Static.of, body.get("static") or ())),
            nics=tuple((name, mac) for name, mac in seen.get("nics") or ()),
            place=place,
            address=seen.get("address"),
            **{key: body[key] for key in _PLAIN if key in body},
            **{key: tuple(body.get(key) or ()) for key in _LISTS},
        )

    def body(self) -> dict[str, Any]:
        """The intent, as the document's body."""
        kept = ("name", "kind", "flavor", "capacity", "boot")
        return {
            **{key: getattr(self, key) for key in _PLAIN},
            **{key: list(getattr(self, key)) for key in _LISTS},
            "cost": {key: list(value) for key, value in self.cost.items()},
            "disks": [
                {**{key: getattr(disk, key) for key in kept}, "datastore_tags": list(disk.datastore_tags)}
                for disk in self.disks
            ],
            "groups": [group.to_dict() for group in self.groups],
            "static": [each.to_dict() for each in self.static],
        }

    def observed(self) -> dict[str, Any]:
        """The facts, as the document's observed part; empty before the VM was placed."""
        place = self.place
        if place is None:
            return {}
        return {
            **{key: getattr(place, key) for key in ("endpoint", "host", "cluster")},
            "address": self.address,
            "nics": [list(nic) for nic in self.nics],
            "vsphere": {key: getattr(place, key) for key in _VSPHERE},
            "disks": {disk.name: {key: getattr(disk, key) for key in _SEEN} for disk in self.disks},
        }

    def write_to(self, document: Document) -> Document:
        """The document with this VM's state, intent and facts."""
        return replace(document, state=self.state, body=self.body(), observed=self.observed())


def _disk(body: Mapping[str, Any], seen: Mapping[str, Any]) -> Disk:
    return Disk(
        body["name"],
        body["flavor"],
        body["capacity"],
        bool(body.get("boot")),
        body.get("kind", flavors.EPHEMERAL_DISK),
        tuple(body.get("datastore_tags") or ()),
        seen.get("datastore"),
        seen.get("path"),
        seen.get("uuid"),
        seen.get("unit"),
        seen.get("linked"),
        seen.get("policy") or "",
    )
