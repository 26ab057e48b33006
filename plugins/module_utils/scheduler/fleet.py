# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet: hosts, datastores, zones and existing VMs, read and checked once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .reading import Item, invalid

LEVELS = ("host", "rack", "zone")
KINDS = ("affinity", "anti-affinity")
CPU_OVERCOMMIT = 16.0  # the original's default; memory is not overcommitted unless asked
MEMORY_OVERCOMMIT = 1.0

FLEET_KEYS = frozenset("hosts datastores zones images vms".split())
HOST_KEYS = frozenset(
    "id name zone rack state usage_tags tags vcpus cpu_overcommit memory memory_overcommit used_vcpus used_memory "
    "reserved_vcpus reserved_memory consumed_memory scheduling_constant datastores port_groups "
    # Written by the lookup fleet for people; ignored here.
    "cluster drs endpoint generation free_vcpus free_memory score parts images".split()
)
DATASTORE_KEYS = frozenset("id name type tags capacity used free usable_for_vms".split())
IMAGE_KEYS = frozenset("size datastores copyable".split())
ZONE_KEYS = frozenset("name state dedicated_tenants".split())
VM_KEYS = frozenset(
    "id name host groups spread_group spread_over max_skew project vcpus memory disks zone zones host_tags port_groups "
    "tenant usage managed".split()
)
GROUP_KEYS = frozenset("name kind level hard".split())


class Rule(NamedTuple):
    """One (anti-)affinity rule of a group: members share, or do not share, a host, rack or zone."""

    kind: str
    level: str
    hard: bool

    @property
    def ties(self) -> bool:
        """All members must share the level."""
        return self.hard and self.kind == "affinity"

    @property
    def parts(self) -> bool:
        """No two members may share the level."""
        return self.hard and self.kind == "anti-affinity"


@dataclass(slots=True)
class Host:
    """One host; amounts are exact integers, ``datastores`` are positions in ``Fleet.datastores``."""

    id: str
    name: str
    zone: str | None
    rack: str | None
    state: str
    usage_tags: frozenset[str]
    tags: frozenset[str]
    port_groups: frozenset[str]
    datastores: tuple[int, ...]
    cpu_limit: int
    cpu_free: int
    memory_limit: int
    memory_free: int
    physical_memory: int
    consumed_memory: int | None
    busy: bool  # something runs on it already
    scheduling_constant: int | None


@dataclass(slots=True)
class Datastore:
    """One datastore; its type is one of its tags."""

    id: str
    tags: frozenset[str]
    capacity: int
    free: int
    usable: bool


class Zone(NamedTuple):
    """State of a zone, and the tenants that it is reserved for (none: it is open to all)."""

    state: str = "READY"
    dedicated_tenants: frozenset[str] = frozenset()


class Fleet:
    """Hosts and datastores by position, read from the mapping that docs/scheduling.md describes.

    ``domains`` has per level and host position the host, rack or zone that the host belongs to; a host without a rack
    is its own rack, one without a zone its own zone. ``classes`` groups hosts that no request can tell apart but by
    capacity and datastores. ``members`` has the hosts of existing VMs by ("group", its name), ("item", their spread
    group) and ("project", its name). ``average`` are CPU and memory of an average host. Raises SpecInvalid.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        fleet = Item(description, "fleet", FLEET_KEYS)
        self.datastores = [_read_datastore(row, n) for n, row in enumerate(fleet.rows("datastores"))]
        self.store_index = _index(self.datastores, "datastores")
        self.hosts = [self._read_host(row, n) for n, row in enumerate(fleet.rows("hosts"))]
        self.index = _index(self.hosts, "hosts")
        self.domains: dict[str, Sequence[Any]] = {
            "host": range(len(self.hosts)),
            "rack": [n if host.rack is None else host.rack for n, host in enumerate(self.hosts)],
            "zone": [n if host.zone is None else host.zone for n, host in enumerate(self.hosts)],
        }
        self.zones = {host.zone: Zone() for host in self.hosts if host.zone is not None}
        for number, row in enumerate(fleet.rows("zones")):
            zone = Item(row, f"zones[{number}]", ZONE_KEYS)
            tenants = frozenset(zone.names("dedicated_tenants"))
            self.zones[zone.name("name")] = Zone(zone.text("state") or "READY", tenants)
        self.images: dict[str, frozenset[int]] = {}
        self.copyable: dict[str, frozenset[int]] = {}
        self.image_sizes: dict[str, int] = {}
        self._read_images(fleet.get("images") or {})
        self.rules: dict[str, set[Rule]] = defaultdict(set)
        self.members: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._read_vms(fleet.rows("vms"))
        self.classes: dict[Any, list[int]] = defaultdict(list)
        for number, host in enumerate(self.hosts):
            self.classes[host.state, host.usage_tags, host.zone, host.tags, host.port_groups].append(number)
        count = len(self.hosts) or 1
        self.average = (
            sum(host.cpu_limit for host in self.hosts) / count or 1.0,
            sum(host.memory_limit for host in self.hosts) / count or 1.0,
        )
        self._tagged: dict[frozenset[str], frozenset[int]] = {}
        self._options: dict[Any, list[list[int]]] = {}

    def stores_with(self, tags: frozenset[str]) -> frozenset[int]:
        """Return the datastores for VMs that carry all the tags."""
        if tags not in self._tagged:
            stores = enumerate(self.datastores)
            self._tagged[tags] = frozenset([n for n, store in stores if store.usable and tags <= store.tags])
        return self._tagged[tags]

    def options(
        self, tags: frozenset[str], image: str | None = None, datastore: str | None = None, pin: str | None = None
    ) -> list[list[int]]:
        """Return per host the datastores that a disk may lie on: for VMs, with all tags, with the image or where
        it can be copied to, this one; or just the one that the disk lies on already (``pin``)."""
        key = tags, image, datastore, pin
        found = self._options.get(key)
        if found is None:
            stores = self.stores_with(tags) if pin is None else {self.store_index[pin]}
            if pin is None and datastore is not None:
                stores &= {self.store_index[datastore]}
            if pin is None and image is not None:
                stores &= self.images.get(image, frozenset()) | self.copyable.get(image, frozenset())
            found = [[store for store in host.datastores if store in stores] for host in self.hosts]
            self._options[key] = found
        return found

    def size(self, vcpus: int, memory: int) -> float:
        """Return the share of an average host that an amount takes in its largest dimension."""
        return max(vcpus / self.average[0], memory / self.average[1])

    def size_of(self, shape: Any) -> float:
        """Return the share of an average host that a VM of a shape takes in its largest dimension."""
        return self.size(shape.vcpus, shape.memory)

    def _read_host(self, row: Any, number: int) -> Host:
        item = Item(row, f"hosts[{number}]", HOST_KEYS)
        host_id = item.name("id")
        item.where = f"host {item.get('name') or host_id}"
        memory = item.whole("memory")
        cpu_limit = int(item.whole("vcpus") * item.ratio("cpu_overcommit", CPU_OVERCOMMIT))
        memory_limit = int(memory * item.ratio("memory_overcommit", MEMORY_OVERCOMMIT))
        used_vcpus, used_memory = item.whole("used_vcpus", 0), item.whole("used_memory", 0)
        stores = item.names("datastores")
        missing = [store for store in stores if store not in self.store_index]
        if missing:
            raise invalid(item.where, "datastores", f"{missing} are not among the fleet's datastores")
        return Host(
            id=host_id,
            name=item.text("name") or host_id,
            zone=item.text("zone"),
            rack=item.text("rack"),
            state=item.text("state") or "READY",
            usage_tags=frozenset(("CLOUD",) if item.get("usage_tags") is None else item.names("usage_tags")),
            tags=frozenset(item.names("tags")),
            port_groups=frozenset(item.names("port_groups")),
            datastores=tuple([self.store_index[store] for store in stores]),
            cpu_limit=cpu_limit,
            cpu_free=cpu_limit - used_vcpus - item.whole("reserved_vcpus", 0),
            memory_limit=memory_limit,
            memory_free=memory_limit - used_memory - item.whole("reserved_memory", 0),
            physical_memory=memory,
            consumed_memory=item.optional("consumed_memory"),
            busy=bool(used_vcpus or used_memory),
            scheduling_constant=item.optional("scheduling_constant"),
        )

    def _read_images(self, rows: Mapping[str, Any]) -> None:
        """Read each image: the datastores that have it, or a mapping with its size and where else it can be copied."""
        images = Item(rows, "images")
        for name, row in rows.items():
            if not isinstance(row, Mapping):
                self.images[name] = self._known(images.names(name))
                continue
            image = Item(row, f"image {name}", IMAGE_KEYS)
            self.images[name] = self._known(image.names("datastores"))
            self.copyable[name] = self._known(image.names("copyable")) - self.images[name]
            self.image_sizes[name] = image.whole("size", 0)

    def _known(self, stores: Iterable[str]) -> frozenset[int]:
        return frozenset(self.store_index[store] for store in stores if store in self.store_index)

    def _read_vms(self, rows: Iterable[Any]) -> None:
        for number, row in enumerate(rows):
            vm = Item(row, f"vms[{number}]", VM_KEYS)
            vm.name("id")
            host = self.index.get(vm.get("host"))
            if host is None:
                continue  # on a host outside this fleet: it can collide with nothing here
            pairs = read_groups(vm)
            for group, rule in pairs:
                self.rules[group].add(rule)
            for group in {group for group, _rule in pairs}:
                self.members["group", group].append(host)
            for what, key in (("item", "spread_group"), ("project", "project")):
                if name := vm.text(key):
                    self.members[what, name].append(host)


def read_groups(item: Item) -> list[tuple[str, Rule]]:
    """Return the ``groups`` of a request or VM as (name, rule) pairs."""
    found = []
    for number, row in enumerate(item.rows("groups")):
        group = Item(row, f"{item.where}: groups[{number}]", GROUP_KEYS)
        rule = Rule(group.choice("kind", KINDS), group.choice("level", LEVELS, "host"), group.flag("hard", True))
        found.append((group.name("name"), rule))
    return found


def _read_datastore(row: Any, number: int) -> Datastore:
    item = Item(row, f"datastores[{number}]", DATASTORE_KEYS)
    kind, tags, capacity = item.text("type"), item.names("tags"), item.whole("capacity")
    return Datastore(
        id=item.name("id"),
        tags=frozenset((*tags, kind) if kind else tags),
        capacity=capacity,
        free=capacity - item.whole("used", 0),
        usable=item.flag("usable_for_vms", True),
    )


def _index(items: list[Any], key: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, item in enumerate(items):
        if item.id in found:
            raise invalid(f"{key}[{number}]", "id", f"{item.id!r} is defined twice")
        found[item.id] = number
    return found
