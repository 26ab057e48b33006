# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests, read and checked once; requests with the same demands share one Shape object."""

# The plain type first, which thousands of requests have.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..model.errors import PhotonError
from .fleet import LEVELS, Fleet, Rule, read_groups
from .reading import invalid, known_keys, names, rows, text, whole

REQUEST_KEYS = frozenset(
    "id count vcpus memory disks zone zones host_tags port_groups image image_must_be_present tenant groups "
    "spread_over spread_group max_skew host datastore usage".split()
)
NOT_OF_SHAPE = frozenset({"id", "count", "groups", "spread_over", "spread_group", "max_skew"})
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

    group: str | None
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


class Request(NamedTuple):
    """One item of the input: ``count`` VMs of a shape with the same groups."""

    id: str
    count: int
    shape: Shape
    groups: tuple[str, ...]
    spread: Spread | None


# All of a request but its id.
Kind = tuple[int, Shape, tuple[str, ...], Spread | None]  # pylint: disable=unsupported-binary-operation


@dataclass(slots=True)
class Batch:
    """The requests of one call, and the rules of all groups that they or existing VMs name."""

    requests: list[Request]
    rules: dict[str, set[Rule]]

    def hard_affinity(self, group: str) -> list[str]:
        """Return the levels that members of a group must share."""
        return [rule.level for rule in self.rules[group] if rule.hard and rule.kind == "affinity"]


def read(items: Iterable[Any], fleet: Fleet) -> Batch:
    """Check and convert requests. Raises SpecInvalid naming request and key."""
    if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
        raise invalid("requests", "type", f"must be a list of requests, not {items!r}")
    batch = Batch([], defaultdict(set, {group: set(rules) for group, rules in fleet.rules.items()}))
    kinds: dict[str, Kind] = {}
    shapes: dict[Any, Shape] = {}
    known: set[str] = set()
    for number, item in enumerate(items):
        if type(item) is not dict and not isinstance(item, Mapping):
            raise invalid(f"requests[{number}]", "type", f"must be a mapping, not {item!r}")
        name = item.get("id")
        if not isinstance(name, str) or not name:
            raise invalid(f"requests[{number}]", "id", f"must be a name, not {name!r}")
        if name in known:
            raise invalid(f"request {name}", "id", "is defined twice; give each request its own")
        known.add(name)
        # Requests that differ by their ids alone are read once; so are the demands of those that share them.
        text_of_kind = repr({**item, "id": ""})
        kind = kinds.get(text_of_kind)
        if kind is None:
            text_of_shape = repr({key: value for key, value in item.items() if key not in NOT_OF_SHAPE})
            if text_of_shape not in shapes:
                shapes[text_of_shape] = _read_shape(item, f"request {name}", fleet, shapes)
            kind = kinds[text_of_kind] = _read_kind(item, f"request {name}", shapes[text_of_shape], batch)
        count, shape, groups, spread = kind
        if spread is not None and spread.group is None:
            spread = spread._replace(group=f"request:{name}")
        batch.requests.append(Request(name, count, shape, groups, spread))
    _refuse_contradictions(batch)
    return batch


def _read_kind(item: Mapping[str, Any], where: str, shape: Shape, batch: Batch) -> Kind:
    pairs = read_groups(item, where)
    for group, rule in pairs:
        batch.rules[group].add(rule)
    groups = tuple(dict.fromkeys([group for group, _rule in pairs]))
    return whole(item, "count", where, 1, minimum=1), shape, groups, _read_spread(item, where)


def _read_shape(item: Mapping[str, Any], where: str, fleet: Fleet, shapes: dict[Any, Shape]) -> Shape:
    """Return the one Shape object of this batch for these demands, however they are written."""
    known_keys(item, REQUEST_KEYS, where)
    vcpus, memory = whole(item, "vcpus", where), whole(item, "memory", where)
    disks = tuple(_read_disk(disk, f"{where}: disks[{n}]", fleet) for n, disk in enumerate(rows(item, "disks", where)))
    image = text(item, "image", where)
    if image and disks and not any(disk.boot for disk in disks):
        disks = (disks[0]._replace(boot=True), *disks[1:])
    statics = _read_statics(item, where, fleet, image, tuple(disk._replace(capacity=0) for disk in disks))
    return shapes.setdefault((vcpus, memory, disks, statics), Shape(vcpus, memory, disks, statics))


def _read_statics(
    item: Mapping[str, Any], where: str, fleet: Fleet, image: str | None, disks: tuple[Disk, ...]
) -> Statics:
    host, datastore = text(item, "host", where), text(item, "datastore", where)
    if host is not None and host not in fleet.index:
        raise invalid(where, "host", f"{host!r} is not among the fleet's hosts")
    _check_datastore(datastore, where, fleet)
    usage = item.get("usage") or "CLOUD"
    if usage not in USAGES:
        raise invalid(where, "usage", f"must be CLOUD or MGMT, not {usage!r}")
    must = item.get("image_must_be_present", True)
    if must not in (True, False, None):
        raise invalid(where, "image_must_be_present", f"must be true or false, not {must!r}")
    return Statics(
        zones=_read_zones(item, where, fleet),
        host_tags=frozenset(names(item, "host_tags", where)),
        port_groups=frozenset(names(item, "port_groups", where)),
        image=image,
        image_must_be_present=must is not False,
        tenant=text(item, "tenant", where),
        usage=usage,
        host=host,
        datastore=datastore,
        disks=disks,
    )


def _read_disk(disk: Any, where: str, fleet: Fleet) -> Disk:
    known_keys(disk, DISK_KEYS, where)
    datastore = text(disk, "datastore", where)
    _check_datastore(datastore, where, fleet)
    return Disk(
        whole(disk, "capacity", where), frozenset(names(disk, "tags", where)), bool(disk.get("boot")), datastore
    )


def _check_datastore(datastore: str | None, where: str, fleet: Fleet) -> None:
    if datastore is not None and datastore not in fleet.store_index:
        raise invalid(where, "datastore", f"{datastore!r} is not among the fleet's datastores")


def _read_zones(item: Mapping[str, Any], where: str, fleet: Fleet) -> tuple[str, ...]:
    zone, zones = text(item, "zone", where), names(item, "zones", where)
    if zone is not None:
        if zones and zone not in zones:
            raise invalid(where, "zone", f"{zone!r} is not among the zones {list(zones)}: give one or the other")
        zones = (zone,)
    for name in zones:
        if name not in fleet.zones:
            known = ", ".join(sorted(fleet.zones)) or "none"
            raise invalid(where, "zone", f"{name!r} is not a zone of this fleet; there are: {known}")
    return tuple(sorted(set(zones)))


def _read_spread(item: Mapping[str, Any], where: str) -> Spread | None:
    level, skew = item.get("spread_over"), item.get("max_skew")
    if level is None and skew is None:
        return None
    if level is None:
        raise invalid(where, "max_skew", "needs spread_over: zone, rack or host")
    if level not in LEVELS:
        raise invalid(where, "spread_over", f"must be host, rack or zone, not {level!r}")
    if skew is not None:
        whole(item, "max_skew", where, minimum=1)
    return Spread(text(item, "spread_group", where), level, skew)


def _refuse_contradictions(batch: Batch) -> None:
    """Refuse groups that must share a host, rack or zone and must not share that level or a wider one."""
    contradictory = {}
    for group, rules in batch.rules.items():
        together = [LEVELS.index(level) for level in batch.hard_affinity(group)]
        apart = [LEVELS.index(rule.level) for rule in rules if rule.hard and rule.kind == "anti-affinity"]
        if together and apart and min(together) <= max(apart):
            contradictory[group] = (LEVELS[min(together)], LEVELS[max(apart)])
    for request in batch.requests if contradictory else ():
        for group in filter(contradictory.__contains__, request.groups):
            same, other = contradictory[group]
            raise PhotonError(
                "SpecInvalid",
                f"request {request.id}: groups: {group!r} must share a {same} and must not share a {other}; "
                "keep one of the two rules",
                {"item": f"request {request.id}", "key": "groups"},
            )
