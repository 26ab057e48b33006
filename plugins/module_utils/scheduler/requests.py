# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests, read and checked once, as kinds of VMs that differ by their names alone."""

# The plain type first, which thousands of requests have.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

import marshal
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .fleet import LEVELS, Fleet, Rule, read_groups
from .reading import Item, invalid

REQUEST_KEYS = frozenset(
    "id count vcpus memory disks zone zones host_tags port_groups image image_must_be_present tenant groups "
    "spread_over spread_group max_skew project host datastore usage".split()
)
NOT_OF_SHAPE = frozenset("id count groups spread_over spread_group max_skew project".split())
DISK_KEYS = frozenset("id name kind flavor capacity tags boot datastore".split())
USAGES = ("CLOUD", "MGMT")


class Disk(NamedTuple):
    """The demands of a disk. ``boot`` disks are children of the image's disk.

    A disk that stays where it is while its VM moves has capacity 0 and its ``datastore``, which the host must mount.
    """

    capacity: int
    tags: frozenset[str]
    boot: bool
    datastore: str | None = None


class Spread(NamedTuple):
    """Members of ``group`` are to be even over a level; ``max_skew`` None means as even as possible."""

    group: str
    level: str
    max_skew: int | None


class Statics(NamedTuple):
    """The demands on a host that no placement changes."""

    zones: tuple[str, ...]
    host_tags: frozenset[str]
    port_groups: frozenset[str]
    image: str | None
    image_must_be_present: bool
    tenant: str | None
    usage: str
    host: str | None
    datastore: str | None
    disks: tuple[Disk, ...]  # without their capacity


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Size and static demands; requests of one batch with equal ones have the same object."""

    vcpus: int
    memory: int
    disks: tuple[Disk, ...]
    statics: Statics


Vm = tuple[int, int]  # number of the request, index


@dataclass(slots=True, eq=False)
class Kind:
    """The VMs of a batch that differ by their names alone.

    Where VMs of one item keep apart, ``item`` is the spread group that they form and ``project`` their project;
    ``counted`` are the (what, name, level) whose members are counted.
    """

    shape: Shape
    groups: tuple[str, ...]
    spread: Spread | None
    item: str | None
    project: str | None
    vms: list[Vm]
    counted: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        found = [("item", self.spread.group, self.spread.level)] if self.spread else []
        found += [("item", self.item, "host")] if self.item else []
        found += [("project", self.project, "host")] if self.project else []
        self.counted = tuple(dict.fromkeys(found))


class Batch:
    """The requests of one call, read into kinds of VMs.

    ``ids`` and ``kind_of``: by number of the request; ``vms``: all in list order; ``rules``: those of all groups that
    requests or existing VMs name. ``apart``: the VMs of one item keep apart. Raises SpecInvalid naming request and key.
    """

    def __init__(self, items: Iterable[Any], fleet: Fleet, *, apart: bool = False) -> None:
        if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
            raise invalid("requests", "type", f"must be a list of requests, not {items!r}")
        self.fleet, self._apart = fleet, apart
        self.ids: list[str] = []
        self.kind_of: list[Kind] = []
        self.vms: list[Vm] = []
        self.rules: dict[str, set[Rule]] = defaultdict(set)
        for group, rules in fleet.rules.items():
            self.rules[group] |= rules
        self._shapes: dict[Any, Shape] = {}
        self._kinds: dict[Any, Kind] = {}
        read: dict[Any, tuple[int, Kind]] = {}  # requests that differ by their ids alone are read once
        for number, item in enumerate(items):
            if type(item) is not dict and not isinstance(item, Mapping):
                raise invalid(f"requests[{number}]", "type", f"must be a mapping, not {item!r}")
            name = item.get("id")
            if not isinstance(name, str) or not name:
                raise invalid(f"requests[{number}]", "id", f"must be a name, not {name!r}")
            key = _key({**item, "id": ""})
            like = read.get(key)
            if like is None:
                like = read[key] = self._read(item, name)
            count, kind = like
            if kind.item == "" or (kind.spread is not None and not kind.spread.group):
                kind = self._named(kind, f"request:{name}")
            vms = [(number, index) for index in range(count)] if count > 1 else ((number, 0),)
            kind.vms.extend(vms)
            self.vms.extend(vms)
            self.ids.append(name)
            self.kind_of.append(kind)
        self.kinds = [kind for kind in self._kinds.values() if kind.vms]
        if len(set(self.ids)) < len(self.ids):
            twice = next(name for name, times in Counter(self.ids).items() if times > 1)
            raise invalid(f"request {twice}", "id", "is defined twice; give each request its own")
        self._refuse_contradictions()

    def _read(self, values: Mapping[str, Any], name: str) -> tuple[int, Kind]:
        """Return how many VMs a request wants, and their kind."""
        item = Item(values, f"request {name}", REQUEST_KEYS)
        key = _key({key: value for key, value in values.items() if key not in NOT_OF_SHAPE})
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shapes[key] = self._read_shape(item)
        pairs = read_groups(item)
        for group, rule in pairs:
            self.rules[group].add(rule)
        groups = tuple(dict.fromkeys([group for group, _rule in pairs]))
        count, spread = item.whole("count", 1, minimum=1), _read_spread(item)
        own, project = item.text("spread_group"), item.text("project")
        if own is None and (count > 1 or spread is not None):
            own = ""
        return count, self._kind(shape, groups, spread, *((own, project) if self._apart else (None, None)))

    def _kind(self, *key: Any) -> Kind:
        return self._kinds.setdefault(key, Kind(*key, []))

    def _named(self, kind: Kind, group: str) -> Kind:
        """Return the kind with this spread group where it has none of its own."""
        spread = kind.spread._replace(group=group) if kind.spread is not None else None
        return self._kind(kind.shape, kind.groups, spread, group if kind.item == "" else kind.item, kind.project)

    def _read_shape(self, item: Item) -> Shape:
        """Return the one Shape object of this batch for these demands, however they are written."""
        vcpus, memory, image = item.whole("vcpus"), item.whole("memory"), item.text("image")
        rows = enumerate(item.rows("disks"))
        disks = [self._read_disk(Item(row, f"{item.where}: disks[{n}]", DISK_KEYS)) for n, row in rows]
        if image and disks and not any(disk.boot for disk in disks):
            disks[0] = disks[0]._replace(boot=True)
        host = item.text("host")
        if host is not None and host not in self.fleet.index:
            raise invalid(item.where, "host", f"{host!r} is not among the fleet's hosts")
        statics = Statics(
            zones=self._read_zones(item),
            host_tags=frozenset(item.names("host_tags")),
            port_groups=frozenset(item.names("port_groups")),
            image=image,
            image_must_be_present=item.flag("image_must_be_present", True),
            tenant=item.text("tenant"),
            usage=item.choice("usage", USAGES, "CLOUD"),
            host=host,
            datastore=self._read_datastore(item),
            disks=tuple(disk._replace(capacity=0) for disk in disks),
        )
        shape = Shape(vcpus, memory, tuple(disks), statics)
        return self._shapes.setdefault((vcpus, memory, shape.disks, statics), shape)

    def _read_disk(self, item: Item) -> Disk:
        tags, boot = frozenset(item.names("tags")), item.flag("boot", False)
        return Disk(item.whole("capacity"), tags, boot, self._read_datastore(item))

    def _read_datastore(self, item: Item) -> str | None:
        datastore = item.text("datastore")
        if datastore is not None and datastore not in self.fleet.store_index:
            raise invalid(item.where, "datastore", f"{datastore!r} is not among the fleet's datastores")
        return datastore

    def _read_zones(self, item: Item) -> tuple[str, ...]:
        zone, zones = item.text("zone"), item.names("zones")
        if zone is not None:
            if zones and zone not in zones:
                raise invalid(
                    item.where, "zone", f"{zone!r} is not among the zones {list(zones)}: give one or the other"
                )
            zones = (zone,)
        for name in zones:
            if name not in self.fleet.zones:
                known = ", ".join(sorted(self.fleet.zones)) or "none"
                raise invalid(item.where, "zone", f"{name!r} is not a zone of this fleet; there are: {known}")
        return tuple(sorted(set(zones)))

    def _refuse_contradictions(self) -> None:
        """Refuse groups that must share a host, rack or zone and must not share that level or a wider one."""
        contradictory = {}
        for group, rules in self.rules.items():
            together = [LEVELS.index(rule.level) for rule in rules if rule.ties]
            apart = [LEVELS.index(rule.level) for rule in rules if rule.parts]
            if together and apart and min(together) <= max(apart):
                contradictory[group] = (LEVELS[min(together)], LEVELS[max(apart)])
        for kind in self.kinds if contradictory else ():
            for group in filter(contradictory.__contains__, kind.groups):
                same, other = contradictory[group]
                problem = f"{group!r} must share a {same} and must not share a {other}; keep one of the two rules"
                raise invalid(f"request {self.ids[kind.vms[0][0]]}", "groups", problem)


def _key(values: dict[str, Any]) -> Any:
    """Return the same key for equal plain data, twice as fast as repr; version 2 does not depend on identity."""
    try:
        return (*values,), marshal.dumps([*values.values()], 2)
    except ValueError:  # not plain data
        return repr(values)


def _read_spread(item: Item) -> Spread | None:
    if item.get("spread_over") is None:
        if item.get("max_skew") is not None:
            raise invalid(item.where, "max_skew", "needs spread_over: zone, rack or host")
        return None
    skew = None if item.get("max_skew") is None else item.whole("max_skew", minimum=1)
    return Spread(item.text("spread_group") or "", item.choice("spread_over", LEVELS), skew)
