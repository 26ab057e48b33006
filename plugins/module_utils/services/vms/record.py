# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM as the CloudStore records it: typed values for its document, its disks and its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ...model import flavors
from ...model.entities import Document

Cost = dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Disk:
    """A disk of a VM: its intent, and where it was last seen.

    ``capacity`` in bytes. ``datastore`` is a document's id, ``path`` the backing file (``[ds] dir/disk.vmdk``),
    ``uuid`` the backing's uuid, ``unit`` the unit number on its controller; each None while unknown.
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

    def seen_at(self, other: Disk) -> Disk:
        """This disk's intent at the place of ``other``."""
        return replace(self, datastore=other.datastore, path=other.path, uuid=other.uuid, unit=other.unit)


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
class Place:
    """Where a VM is: ids of documents (``host`` None on an undeclared host) and vSphere's own names for it."""

    endpoint: str
    host: str | None
    name: str
    folder: str = ""
    directory: str = ""
    cluster: str | None = None
    moid: str | None = None
    change_version: str | None = None
    vmx: str | None = None  # its configuration file, ``[ds] dir/name.vmx``


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
    max_skew: int | None = field(default=None)

    @property
    def boot_disk(self) -> Disk:
        return self.disks[0]

    @classmethod
    def of(cls, document: Document) -> Vm:
        """The typed form of a VM's document."""
        body, seen = document.body, document.observed
        disks = seen.get("disks", {})
        vsphere = seen.get("vsphere") or {}
        place = None
        if seen.get("endpoint"):
            place = Place(
                seen["endpoint"],
                seen.get("host"),
                vsphere.get("name", document.name),
                vsphere.get("folder", ""),
                vsphere.get("directory", ""),
                seen.get("cluster"),
                vsphere.get("moid"),
                vsphere.get("change_version"),
                vsphere.get("vmx"),
            )
        return cls(
            document.id,
            document.name,
            document.scope,
            document.state,
            body["flavor"],
            body["image"],
            body["vcpus"],
            body["memory"],
            {key: (amount, unit) for key, (amount, unit) in body["cost"].items()},
            tuple(_disk(each, disks.get(each["name"], {})) for each in body["disks"]),
            tuple(body.get("port_groups") or ()),
            tuple(body.get("tags") or ()),
            tuple(_group(each) for each in body.get("groups") or ()),
            body.get("spread_over"),
            body.get("spread_group"),
            body.get("zone"),
            tuple(body.get("host_tags") or ()),
            bool(body.get("deletion_protection")),
            body.get("metadata_digest", ""),
            bool(body.get("metadata_declared")),
            place,
            seen.get("address"),
            body.get("max_skew"),
        )

    def body(self) -> dict[str, Any]:
        """The intent, as the document's body."""
        return {
            "flavor": self.flavor,
            "image": self.image,
            "vcpus": self.vcpus,
            "memory": self.memory,
            "cost": {key: list(value) for key, value in self.cost.items()},
            "disks": [
                {"name": d.name, "kind": d.kind, "flavor": d.flavor, "capacity": d.capacity, "boot": d.boot,
                 "datastore_tags": list(d.datastore_tags)}
                for d in self.disks
            ],
            "port_groups": list(self.port_groups),
            "tags": list(self.tags),
            "groups": [group.to_dict() for group in self.groups],
            "spread_over": self.spread_over,
            "spread_group": self.spread_group,
            "max_skew": self.max_skew,
            "zone": self.zone,
            "host_tags": list(self.host_tags),
            "deletion_protection": self.deletion_protection,
            "metadata_digest": self.metadata_digest,
            "metadata_declared": self.metadata_declared,
        }  # fmt: skip

    def observed(self) -> dict[str, Any]:
        """The facts, as the document's observed part; empty before the VM was placed."""
        if self.place is None:
            return {}
        place = self.place
        return {
            "endpoint": place.endpoint,
            "host": place.host,
            "cluster": place.cluster,
            "address": self.address,
            "vsphere": {"moid": place.moid, "name": place.name, "folder": place.folder,
                        "directory": place.directory, "change_version": place.change_version,
                        "vmx": place.vmx},
            "disks": {d.name: {"datastore": d.datastore, "path": d.path, "uuid": d.uuid, "unit": d.unit}
                      for d in self.disks},
        }  # fmt: skip

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
    )


def _group(body: Mapping[str, Any]) -> Group:
    return Group(body["name"], body["kind"], body["level"], body["hard"])
