# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet: hosts, datastores, zones and existing VMs, read and checked once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .reading import invalid, known_keys, names, ratio, rows, text, whole

LEVELS = ("host", "rack", "zone")
KINDS = ("affinity", "anti-affinity")
CPU_OVERCOMMIT = 16.0  # the original's default; memory is not overcommitted unless asked
MEMORY_OVERCOMMIT = 1.0

FLEET_KEYS = frozenset({"hosts", "datastores", "zones", "images", "vms"})
HOST_KEYS = frozenset(
    "id name zone rack state usage_tags tags vcpus cpu_overcommit memory memory_overcommit used_vcpus used_memory "
    "reserved_vcpus reserved_memory consumed_memory scheduling_constant datastores port_groups "
    # Written by the lookup fleet for people; ignored here.
    "cluster drs endpoint generation free_vcpus free_memory score parts images".split()
)
DATASTORE_KEYS = frozenset("id name type tags capacity used free usable_for_vms".split())
ZONE_KEYS = frozenset("name state dedicated_tenants".split())
VM_KEYS = frozenset(
    "id name host groups spread_group spread_over max_skew vcpus memory disks zone zones host_tags port_groups tenant "
    "usage managed".split()
)
GROUP_KEYS = frozenset("name kind level hard".split())


class Rule(NamedTuple):
    """One (anti-)affinity rule of a group: members share, or do not share, a host, rack or zone."""

    kind: str
    level: str
    hard: bool


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


@dataclass(slots=True)
class Zone:
    """State of a zone, and the tenants that it is reserved for (none: it is open to all)."""

    state: str = "READY"
    dedicated_tenants: frozenset[str] = frozenset()


class Fleet:
    """Hosts and datastores by position, read from the mapping that docs/scheduling.md describes.

    ``domains`` has per level and host position the host, rack or zone that the host belongs to; a host without a rack
    is its own rack, one without a zone its own zone. ``classes`` groups hosts that no request can tell apart but by
    capacity and datastores. ``members`` and ``spread_members`` have the hosts of existing VMs by group. Raises
    SpecInvalid.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        known_keys(description, FLEET_KEYS, "fleet")
        self.datastores = [_read_datastore(item, n) for n, item in enumerate(rows(description, "datastores", "fleet"))]
        self.store_index = _index(self.datastores, "datastores")
        self.hosts = [self._read_host(item, n) for n, item in enumerate(rows(description, "hosts", "fleet"))]
        self.index = _index(self.hosts, "hosts")
        self.mounted = [host.datastores for host in self.hosts]
        self.domains: dict[str, Sequence[Any]] = {
            "host": range(len(self.hosts)),
            "rack": [n if host.rack is None else host.rack for n, host in enumerate(self.hosts)],
            "zone": [n if host.zone is None else host.zone for n, host in enumerate(self.hosts)],
        }
        self.zones: dict[str, Zone] = {host.zone: Zone() for host in self.hosts if host.zone is not None}
        for number, item in enumerate(rows(description, "zones", "fleet")):
            where = f"zones[{number}]"
            known_keys(item, ZONE_KEYS, where)
            self.zones[text(item, "name", where, required=True)] = Zone(
                text(item, "state", where) or "READY", frozenset(names(item, "dedicated_tenants", where))
            )
        self.images = self._read_images(description.get("images") or {})
        self.rules: dict[str, set[Rule]] = defaultdict(set)
        self.members: dict[str, list[int]] = defaultdict(list)
        self.spread_members: dict[str, list[int]] = defaultdict(list)
        self._read_vms(rows(description, "vms", "fleet"))
        self.classes: dict[Any, list[int]] = defaultdict(list)
        for number, host in enumerate(self.hosts):
            self.classes[host.state, host.usage_tags, host.zone, host.tags, host.port_groups].append(number)
        count = len(self.hosts) or 1
        # CPU and memory of an average host, as a measure for sizes.
        self.average = (
            sum(host.cpu_limit for host in self.hosts) / count or 1.0,
            sum(host.memory_limit for host in self.hosts) / count or 1.0,
        )
        self._tagged: dict[frozenset[str], frozenset[int]] = {}

    def stores_with(self, tags: frozenset[str]) -> frozenset[int]:
        """Return the datastores for VMs that carry all the tags."""
        found = self._tagged.get(tags)
        if found is None:
            found = self._tagged[tags] = frozenset(
                [n for n, store in enumerate(self.datastores) if store.usable and tags <= store.tags]
            )
        return found

    def size(self, vcpus: int, memory: int) -> float:
        """Return the share of an average host that an amount takes in its largest dimension."""
        return max(vcpus / self.average[0], memory / self.average[1])

    def _read_host(self, item: Any, number: int) -> Host:
        where = f"hosts[{number}]"
        known_keys(item, HOST_KEYS, where)
        name = text(item, "id", where, required=True)
        where = f"host {item.get('name') or name}"
        vcpus, memory = whole(item, "vcpus", where), whole(item, "memory", where)
        cpu_limit = int(vcpus * ratio(item, "cpu_overcommit", where, CPU_OVERCOMMIT))
        memory_limit = int(memory * ratio(item, "memory_overcommit", where, MEMORY_OVERCOMMIT))
        used_vcpus, used_memory = whole(item, "used_vcpus", where, 0), whole(item, "used_memory", where, 0)
        stores = names(item, "datastores", where)
        missing = [store for store in stores if store not in self.store_index]
        if missing:
            raise invalid(where, "datastores", f"{missing} are not among the fleet's datastores")
        return Host(
            id=name,
            name=text(item, "name", where) or name,
            zone=text(item, "zone", where),
            rack=text(item, "rack", where),
            state=text(item, "state", where) or "READY",
            usage_tags=frozenset(("CLOUD",) if item.get("usage_tags") is None else names(item, "usage_tags", where)),
            tags=frozenset(names(item, "tags", where)),
            port_groups=frozenset(names(item, "port_groups", where)),
            datastores=tuple([self.store_index[store] for store in stores]),
            cpu_limit=cpu_limit,
            cpu_free=cpu_limit - used_vcpus - whole(item, "reserved_vcpus", where, 0),
            memory_limit=memory_limit,
            memory_free=memory_limit - used_memory - whole(item, "reserved_memory", where, 0),
            physical_memory=memory,
            consumed_memory=_optional(item, "consumed_memory", where),
            busy=bool(used_vcpus or used_memory),
            scheduling_constant=_optional(item, "scheduling_constant", where),
        )

    def _read_images(self, images: Any) -> dict[str, frozenset[int]]:
        if not isinstance(images, Mapping):
            raise invalid("fleet", "images", "must map image ids to lists of datastore ids")
        return {
            name: frozenset(self.store_index[s] for s in names(images, name, "images") if s in self.store_index)
            for name in images
        }

    def _read_vms(self, items: Iterable[Any]) -> None:
        for number, item in enumerate(items):
            where = f"vms[{number}]"
            known_keys(item, VM_KEYS, where)
            text(item, "id", where, required=True)
            host = self.index.get(item.get("host"))
            if host is None:
                continue  # on a host outside this fleet: it can collide with nothing here
            pairs = read_groups(item, where)
            for group, rule in pairs:
                self.rules[group].add(rule)
            for group in {group for group, _rule in pairs}:
                self.members[group].append(host)
            if group := text(item, "spread_group", where):
                self.spread_members[group].append(host)


def read_groups(item: Mapping[str, Any], where: str) -> list[tuple[str, Rule]]:
    """Return the ``groups`` of a request or VM as (name, rule) pairs."""
    found = []
    for number, group in enumerate(rows(item, "groups", where)):
        key = f"groups[{number}]"
        if not isinstance(group, Mapping):
            raise invalid(where, key, f"must be a mapping with name, kind and level, not {group!r}")
        known_keys(group, GROUP_KEYS, f"{where}: {key}")
        name = text(group, "name", f"{where}: {key}", required=True)
        rule = Rule(group.get("kind"), group.get("level", "host"), group.get("hard", True))
        if rule.kind not in KINDS:
            raise invalid(where, f"{key}.kind", f"must be affinity or anti-affinity, not {rule.kind!r}")
        if rule.level not in LEVELS:
            raise invalid(where, f"{key}.level", f"must be host, rack or zone, not {rule.level!r}")
        if not isinstance(rule.hard, bool):
            raise invalid(where, f"{key}.hard", f"must be true or false, not {rule.hard!r}")
        found.append((name, rule))
    return found


def _read_datastore(item: Any, number: int) -> Datastore:
    where = f"datastores[{number}]"
    known_keys(item, DATASTORE_KEYS, where)
    name, kind = text(item, "id", where, required=True), text(item, "type", where)
    tags = names(item, "tags", where)
    capacity = whole(item, "capacity", where)
    return Datastore(
        id=name,
        tags=frozenset((*tags, kind) if kind else tags),
        capacity=capacity,
        free=capacity - whole(item, "used", where, 0),
        usable=item.get("usable_for_vms", True) is not False,
    )


def _index(items: list[Any], key: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, item in enumerate(items):
        if item.id in found:
            raise invalid(f"{key}[{number}]", "id", f"{item.id!r} is defined twice")
        found[item.id] = number
    return found


def _optional(item: Mapping[str, Any], key: str, where: str) -> int | None:
    return None if item.get(key) is None else whole(item, key, where)
