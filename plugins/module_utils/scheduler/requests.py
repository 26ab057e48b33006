# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests, read once: identical ones share a shape, so that whatever depends on the shape alone is worked out once."""

# The plain types first, which thousands of requests have.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

import marshal
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any, NamedTuple

from ..model.errors import PhotonError
from .fleet import LEVELS, Fleet, read_groups
from .reading import invalid, known_keys, names, rows, text, whole

REQUEST_KEYS = frozenset(
    "id count vcpus memory disks zone zones host_tags port_groups image image_must_be_present tenant groups "
    "spread_over spread_group max_skew host datastore usage".split()
)
NOT_OF_SHAPE = frozenset({"id", "groups", "spread_over", "spread_group", "max_skew", "count"})
DISK_KEYS = frozenset("id name kind flavor capacity tags boot datastore".split())
USAGES = ("CLOUD", "MGMT")


class Disk(NamedTuple):
    """What matters of a disk for its place. ``boot`` disks are children of the image's disk.

    A disk that exists already (its VM moves, it stays) has capacity 0 and its ``datastore``, which the host must mount.
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
    """What a request asks of a host that no placement changes."""

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


class Shape(NamedTuple):
    """Size and static demands: all that two requests must share to be interchangeable but for their groups."""

    vcpus: int
    memory: int
    disks: tuple[Disk, ...]
    statics: Statics


class Request(NamedTuple):
    """One line of the input: ``count`` VMs of a shape with the same groups."""

    id: str
    count: int
    shape: Shape
    groups: tuple[str, ...]
    spread: Spread | None


NAME = itemgetter("id")
# All of a request but its id.
Kind = tuple[int, Shape, tuple[str, ...], Spread | None]  # pylint: disable=unsupported-binary-operation


class Requests(Sequence[Request]):
    """Requests in columns. Those that are alike but for their ids have one and the same kind: what depends on it alone
    can be kept as long as ``kinds`` goes on with the same object."""

    def __init__(self, ids: list[str], kinds: list[Kind]) -> None:
        self.ids, self.kinds = ids, kinds
        self.counts = list(map(itemgetter(0), kinds))
        # Each kind once, with the number of VMs of that kind; by identity, for hashing a shape costs more.
        known = dict(zip(map(id, kinds), kinds, strict=True))
        self.numbers = [(known[key], times * known[key][0]) for key, times in Counter(map(id, kinds)).items()]

    @cached_property
    def shapes(self) -> list[Shape]:
        """The shape of each."""
        return list(map(itemgetter(1), self.kinds))

    @cached_property
    def free(self) -> list[bool]:
        """Whether no group and no spread binds it."""
        free = {id(kind): not kind[2] and kind[3] is None for kind, _number in self.numbers}
        return list(map(free.__getitem__, map(id, self.kinds)))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, number: Any) -> Any:
        return Request(self.ids[number], *self.kinds[number])


def read(items: Iterable[Any], fleet: Fleet) -> Requests:
    """Check and convert requests; their rules are added to ``fleet.rules``. Raises SpecInvalid naming request and
    key."""
    if isinstance(items, str | Mapping) or not isinstance(items, Iterable):
        raise invalid("requests", "type", f"must be a list of requests, not {items!r}")
    items = items if isinstance(items, list) else list(items)
    for kind in set(map(type, items)):
        if not issubclass(kind, Mapping):
            number, item = next((n, item) for n, item in enumerate(items) if type(item) is kind)
            raise invalid(f"requests[{number}]", "type", f"must be a mapping, not {item!r}")
    ids: list[str] = []
    shapes: dict[bytes, Shape] = {}
    layouts: dict[tuple[Any, ...], tuple[Callable[[Any], Any], dict[bytes, Kind]]] = {}
    kinds: list[Kind] = []
    for layout, run in groupby(items, tuple):
        some = list(run)
        if "id" not in layout:
            raise _nameless(len(ids), None)
        ids += map(NAME, some)
        if layout not in layouts:
            keys = [key for key in layout if key != "id"]
            layouts[layout] = itemgetter(*keys) if keys else lambda _item: None, {}
        values, known = layouts[layout]
        kinds += _read_run(some, values, known, fleet, shapes)
    if set(map(type, ids)) - {str} or "" in ids:
        raise next(_nameless(n, name) for n, name in enumerate(ids) if type(name) is not str or not name)
    if len(set(ids)) < len(ids):
        name = next(name for name, times in Counter(ids).items() if times > 1)
        raise invalid(f"request {name}", "id", "is there twice; give each request its own")
    requests = Requests(ids, kinds)
    _refuse_contradictions(requests, fleet)
    return requests


def _nameless(number: int, name: Any) -> PhotonError:
    return invalid(f"requests[{number}]", "id", f"must be a name, not {name!r}")


def _read_run(
    items: list[Any],
    values: Callable[[Any], Any],
    known: dict[bytes, Kind],
    fleet: Fleet,
    shapes: dict[bytes, Shape],
) -> list[Any]:
    """The kinds of requests that have the same keys in the same order: what equal ones say is read once.

    They are told apart by all their values but the id, types included, as bytes. Version 2 of marshal has no
    references, which would depend on more than the value; what is no plain data has no bytes and is read each time.
    """
    try:
        texts: list[bytes | None] = list(map(marshal.dumps, map(values, items), repeat(2)))
    except ValueError:
        texts = list(map(_dumped, map(values, items)))
    found = list(map(known.get, texts))
    if all(found):
        return found
    for at, data in enumerate(texts):
        if found[at] is None:
            kind = known.get(data)
            if kind is None:
                item = items[at]
                kind = _read_one(item, f"request {item['id']}", fleet, shapes)
                # A spread without a group of its own is over the request's VMs, so it is not like another request's.
                if data is not None and (kind[-1] is None or item.get("spread_group")):
                    known[data] = kind
            found[at] = kind
    return found


def _dumped(values: Any) -> bytes | None:
    try:
        return marshal.dumps(values, 2)
    except ValueError:
        return None


def _key(item: Mapping[str, Any], without: Collection[str] = ("id",)) -> bytes:
    """A mapping but some keys as bytes; ValueError for other than plain data."""
    return b"-" + marshal.dumps({key: value for key, value in item.items() if key not in without}, 2)


def _read_one(item: Mapping[str, Any], where: str, fleet: Fleet, shapes: dict[bytes, Shape]) -> Kind:
    try:
        key = _key(item, NOT_OF_SHAPE)
    except ValueError:
        key = None
    shape = shapes.get(key) if key is not None else None
    if shape is None:
        shape = _read_shape(item, where, fleet)
        if key is not None:
            shapes[key] = shape
    pairs = read_groups(item, where) if item.get("groups") is not None else []
    for group, rule in pairs:
        fleet.rules[group].add(rule)
    spread = None
    if item.get("spread_over") is not None or item.get("max_skew") is not None:
        spread = _read_spread(item, where)
    count = whole(item, "count", where, 1, minimum=1)
    groups = tuple(dict.fromkeys([group for group, _rule in pairs])) if pairs else ()
    return count, shape, groups, spread


def _read_shape(item: Mapping[str, Any], where: str, fleet: Fleet) -> Shape:
    known_keys(item, REQUEST_KEYS, where)
    vcpus, memory = whole(item, "vcpus", where, minimum=0), whole(item, "memory", where, minimum=0)
    disks = tuple(_read_disk(disk, number, where, fleet) for number, disk in enumerate(rows(item, "disks", where)))
    zones = _read_zones(item, where, fleet)
    image = text(item, "image", where)
    if image and disks and not any(disk.boot for disk in disks):
        disks = (disks[0]._replace(boot=True), *disks[1:])
    host, datastore = text(item, "host", where), text(item, "datastore", where)
    if host is not None and host not in fleet.index:
        raise invalid(where, "host", f"{host!r} is not among the fleet's hosts")
    if datastore is not None and datastore not in fleet.store_index:
        raise invalid(where, "datastore", f"{datastore!r} is not among the fleet's datastores")
    usage = item.get("usage") or "CLOUD"
    if usage not in USAGES:
        raise invalid(where, "usage", f"must be CLOUD or MGMT, not {usage!r}")
    must = item.get("image_must_be_present", True)
    if must not in (True, False, None):
        raise invalid(where, "image_must_be_present", f"must be true or false, not {must!r}")
    return Shape(
        vcpus,
        memory,
        disks,
        Statics(
            zones,
            frozenset(names(item, "host_tags", where)),
            frozenset(names(item, "port_groups", where)),
            image,
            must is not False,
            text(item, "tenant", where),
            usage,
            host,
            datastore,
            tuple(disk._replace(capacity=0) for disk in disks),
        ),
    )


def _read_disk(disk: Any, number: int, where: str, fleet: Fleet) -> Disk:
    place = f"{where}: disks[{number}]"
    known_keys(disk, DISK_KEYS, place)
    datastore = text(disk, "datastore", place)
    if datastore is not None and datastore not in fleet.store_index:
        raise invalid(place, "datastore", f"{datastore!r} is not among the fleet's datastores")
    tags = frozenset(names(disk, "tags", place))
    return Disk(whole(disk, "capacity", place), tags, bool(disk.get("boot")), datastore)


def _read_zones(item: Mapping[str, Any], where: str, fleet: Fleet) -> tuple[str, ...]:
    zone, zones = item.get("zone"), names(item, "zones", where)
    if zone is not None:
        zone = text(item, "zone", where)
        if zones and zone not in zones:
            raise invalid(where, "zone", f"{zone!r} is not among the zones {list(zones)}: give one or the other")
        zones = (zone,)
    for name in zones:
        if name not in fleet.zone_table:
            known = ", ".join(sorted(fleet.zone_table)) or "none"
            raise invalid(where, "zone", f"{name!r} is no zone of this fleet; there are: {known}")
    return tuple(sorted(set(zones)))


def _read_spread(item: Mapping[str, Any], where: str) -> Spread:
    level = item.get("spread_over")
    if level is None:
        raise invalid(where, "max_skew", "needs spread_over: zone, rack or host")
    if level not in LEVELS:
        raise invalid(where, "spread_over", f"must be host, rack or zone, not {level!r}")
    skew = item.get("max_skew")
    if skew is not None:
        whole(item, "max_skew", where, minimum=1)
    return Spread(text(item, "spread_group", where) or f"request:{item['id']}", level, skew)


def _refuse_contradictions(requests: Requests, fleet: Fleet) -> None:
    """Together within a host, rack or zone, yet apart on that level or a wider one: no placement can do that."""
    contradictory = {}
    for group, rules in fleet.rules.items():
        together = [LEVELS.index(r.level) for r in rules if r.hard and r.kind == "affinity"]
        apart = [LEVELS.index(r.level) for r in rules if r.hard and r.kind == "anti-affinity"]
        if together and apart and min(together) <= max(apart):
            contradictory[group] = (LEVELS[min(together)], LEVELS[max(apart)])
    if contradictory:
        for request in requests:
            for group in request.groups:
                if group in contradictory:
                    same, other = contradictory[group]
                    raise PhotonError(
                        "SpecInvalid",
                        f"request {request.id}: groups: {group!r} must share a {same} and must not share a {other}; "
                        "keep one of the two rules",
                        {"item": f"request {request.id}", "key": "groups"},
                    )
