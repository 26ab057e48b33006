# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet in columns: what the plain description says, checked once and made quick to ask."""

# The plain types first, which thousands of items have.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .reading import invalid, known_keys, names, ratio, rows, text, whole

LEVELS = ("host", "rack", "zone")
KINDS = ("affinity", "anti-affinity")
CPU_OVERCOMMIT = 16.0  # the original's default; memory is not overcommitted unless asked
MEMORY_OVERCOMMIT = 1.0

FLEET_KEYS = frozenset({"hosts", "datastores", "zones", "images", "vms"})
HOST_KEYS = frozenset(
    "id name zone rack state usage_tags tags vcpus cpu_overcommit memory memory_overcommit used_vcpus used_memory "
    "reserved_vcpus reserved_memory consumed_memory datastores port_groups cluster drs endpoint generation "
    # What the lookup fleet works out for people; nothing reads it here.
    "scheduling_constant free_vcpus free_memory score parts images".split()
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


_RULES = {(kind, level, hard): Rule(kind, level, hard) for kind in KINDS for level in LEVELS for hard in (True, False)}


class Zone(NamedTuple):
    state: str
    dedicated_tenants: frozenset[str]


class Fleet:
    """Hosts and datastores as parallel lists: position i is one host (s one datastore). Amounts are exact integers.

    Given as a mapping with the keys ``hosts``, ``datastores``, ``zones``, ``images``, ``vms`` (docs/scheduling.md has
    the whole shape). A host without a rack is its own rack, one without a zone its own zone. Raises SpecInvalid.
    """

    def __init__(self, description: Mapping[str, Any]) -> None:
        known_keys(description, FLEET_KEYS, "fleet")
        self._read_datastores(rows(description, "datastores", "fleet"))
        self._read_hosts(rows(description, "hosts", "fleet"))
        self._read_zones(rows(description, "zones", "fleet"))
        self._read_images(description.get("images") or {})
        self.rules: dict[str, set[Rule]] = defaultdict(set)
        self.members: dict[str, list[int]] = {}
        self.spread: dict[str, list[int]] = {}
        self._read_vms(rows(description, "vms", "fleet"))
        self._by_tags: dict[frozenset[str], frozenset[int]] = {}
        self._mounting: dict[frozenset[int], frozenset[int]] = {}
        # What Candidates find out: per disk the datastores it may lie on, by those that it may lie on anywhere.
        self.eligible: dict[tuple[Any, ...], frozenset[int]] = {}
        self.choices: dict[frozenset[int], list[tuple[int, ...] | None]] = {}
        self.options: dict[tuple[frozenset[int], ...], dict[int, list[tuple[int, ...]]]] = {}
        # Hosts that no request can tell apart, datastores and capacity aside.
        self.classes: dict[Any, list[int]] = {}
        for host, key in enumerate(
            zip(self.states, self.usage_tags, self.zones, self.tags, self.port_groups, strict=True)
        ):
            self.classes.setdefault(key, []).append(host)
        count = len(self.ids) or 1
        # CPU and memory of an average host, as a yardstick for sizes.
        self.average = (sum(self.cpu_limit) / count or 1.0, sum(self.memory_limit) / count or 1.0)

    def stores_with(self, tags: frozenset[str]) -> frozenset[int]:
        """Datastores for VMs that carry all the tags."""
        found = self._by_tags.get(tags)
        if found is None:
            found = self._by_tags[tags] = frozenset(
                [s for s, mine in enumerate(self.store_tags) if self.store_usable[s] and tags <= mine]
            )
        return found

    def mounting(self, stores: frozenset[int]) -> frozenset[int]:
        """Hosts that mount at least one of the datastores."""
        found = self._mounting.get(stores)
        if found is None:
            found = self._mounting[stores] = frozenset(
                [host for host, mine in enumerate(self.stores) if not stores.isdisjoint(mine)]
            )
        return found

    def free(self) -> tuple[list[int], list[int], list[int]]:
        """What is left, to be restored later."""
        return self.cpu_free.copy(), self.memory_free.copy(), self.store_free.copy()

    def restore(self, saved: tuple[list[int], list[int], list[int]]) -> None:
        """Put back what ``free`` returned."""
        for column, values in zip((self.cpu_free, self.memory_free, self.store_free), saved, strict=True):
            column[:] = values

    def _read_datastores(self, items: Iterable[Any]) -> None:
        self.store_ids: list[str] = []
        self.store_tags: list[frozenset[str]] = []
        self.store_capacity: list[int] = []
        self.store_free: list[int] = []
        self.store_usable: list[bool] = []
        self.store_index: dict[str, int] = {}
        same: dict[int, int] = {}
        sets: dict[tuple[str, ...], frozenset[str]] = {}
        for number, item in enumerate(items):
            where = f"datastores[{number}]"
            if type(item) is not dict or not item.keys() <= DATASTORE_KEYS:
                known_keys(item, DATASTORE_KEYS, where)
            name = text(item, "id", where, required=True)
            if name in self.store_index:
                raise invalid(where, "id", f"{name!r} is there twice")
            tags = names(item, "tags", where)
            if kind := text(item, "type", where):
                tags = (*tags, kind)
            self.store_index[name] = len(self.store_ids)
            self.store_ids.append(name)
            self.store_tags.append(sets.get(tags) or sets.setdefault(tags, frozenset(tags)))
            capacity = whole(item, "capacity", where)
            self.store_capacity.append(same.setdefault(capacity, capacity))
            self.store_free.append(self.store_capacity[-1] - whole(item, "used", where, 0))
            self.store_usable.append(item.get("usable_for_vms", True) is not False)

    def _read_hosts(self, items: Iterable[Any]) -> None:
        self.ids: list[str] = []
        self.names: list[str] = []
        self.zones: list[str | None] = []
        self.racks: list[str | None] = []
        self.zone_values: list[Any] = []
        self.rack_values: list[Any] = []
        self.states: list[str] = []
        self.usage_tags: list[frozenset[str]] = []
        self.tags: list[frozenset[str]] = []
        self.port_groups: list[frozenset[str]] = []
        self.stores: list[tuple[int, ...]] = []
        self.cpu_limit: list[int] = []
        self.memory_limit: list[int] = []
        self.cpu_free: list[int] = []
        self.memory_free: list[int] = []
        self.busy: list[bool] = []
        self.consumed_memory: list[int | None] = []
        self.physical_memory: list[int] = []
        self.constants: list[int | None] = []
        self.clusters: list[str | None] = []
        self.index: dict[str, int] = {}
        sets: dict[tuple[str, ...], frozenset[str]] = {}
        self._same: dict[int, int] = {}
        for number, item in enumerate(items):
            where = f"hosts[{number}]"
            if type(item) is not dict or not item.keys() <= HOST_KEYS:
                known_keys(item, HOST_KEYS, where)
            name = text(item, "id", where, required=True)
            where = f"host {item.get('name') or name}"
            if name in self.index:
                raise invalid(where, "id", f"{name!r} is there twice")
            self.index[name] = position = len(self.ids)
            self.ids.append(name)
            self.names.append(text(item, "name", where) or name)
            zone, rack = text(item, "zone", where), text(item, "rack", where)
            self.zones.append(zone)
            self.racks.append(rack)
            self.zone_values.append(zone if zone is not None else position)
            self.rack_values.append(rack if rack is not None else position)
            self.states.append(text(item, "state", where) or "READY")
            self.clusters.append(text(item, "cluster", where))
            for key, column in (("tags", self.tags), ("port_groups", self.port_groups)):
                found = names(item, key, where)
                column.append(sets.get(found) or sets.setdefault(found, frozenset(found)))
            usage = names(item, "usage_tags", where) if item.get("usage_tags") is not None else ("CLOUD",)
            self.usage_tags.append(sets.get(usage) or sets.setdefault(usage, frozenset(usage)))
            try:
                self.stores.append(tuple([self.store_index[s] for s in item.get("datastores") or ()]))
            except (KeyError, TypeError):
                missing = [s for s in names(item, "datastores", where) if s not in self.store_index]
                raise invalid(where, "datastores", f"{missing} are not among the fleet's datastores") from None
            self._read_amounts(item, where)

    def _read_amounts(self, item: Mapping[str, Any], where: str) -> None:
        vcpus, memory = whole(item, "vcpus", where), whole(item, "memory", where)
        cpu_limit = int(vcpus * ratio(item, "cpu_overcommit", where, CPU_OVERCOMMIT))
        memory_limit = int(memory * ratio(item, "memory_overcommit", where, MEMORY_OVERCOMMIT))
        # One object for equal amounts: what is looked at for every VM then stays in the processor's cache.
        cpu_limit = self._same.setdefault(cpu_limit, cpu_limit)
        memory_limit = self._same.setdefault(memory_limit, memory_limit)
        self.cpu_limit.append(cpu_limit)
        self.memory_limit.append(memory_limit)
        self.physical_memory.append(memory)
        self.cpu_free.append(cpu_limit - whole(item, "used_vcpus", where, 0) - whole(item, "reserved_vcpus", where, 0))
        self.memory_free.append(
            memory_limit - whole(item, "used_memory", where, 0) - whole(item, "reserved_memory", where, 0)
        )
        self.busy.append(bool(item.get("used_vcpus") or item.get("used_memory")))
        consumed = item.get("consumed_memory")
        self.consumed_memory.append(None if consumed is None else whole(item, "consumed_memory", where))
        constant = item.get("scheduling_constant")
        self.constants.append(None if constant is None else whole(item, "scheduling_constant", where))

    def _read_zones(self, items: Iterable[Any]) -> None:
        self.zone_table: dict[str, Zone] = {
            zone: Zone("READY", frozenset()) for zone in dict.fromkeys(self.zones) if zone is not None
        }
        for number, item in enumerate(items):
            where = f"zones[{number}]"
            known_keys(item, ZONE_KEYS, where)
            name = text(item, "name", where, required=True)
            self.zone_table[name] = Zone(
                text(item, "state", where) or "READY", frozenset(names(item, "dedicated_tenants", where))
            )

    def _read_images(self, images: Any) -> None:
        if not isinstance(images, Mapping):
            raise invalid("fleet", "images", "must map image ids to lists of datastore ids")
        self.images: dict[str, frozenset[int]] = {
            name: frozenset(self.store_index[s] for s in names(images, name, "images") if s in self.store_index)
            for name in images
        }

    def _read_vms(self, items: Iterable[Any]) -> None:
        self.vm_ids: dict[str, int | None] = {}
        self.vm_groups: dict[str, set[str]] = {}
        for number, item in enumerate(items):
            where = f"vms[{number}]"
            known_keys(item, VM_KEYS, where)
            name = text(item, "id", where, required=True)
            host = self.index.get(item.get("host"))
            self.vm_ids[name] = host
            if host is None:
                continue  # on a host that is not in this fleet: it can collide with nothing here
            for group, rule in read_groups(item, where):
                self.rules[group].add(rule)
                self.vm_groups.setdefault(name, set()).add(group)
            for group in self.vm_groups.get(name, ()):
                self.members.setdefault(group, []).append(host)
            if group := text(item, "spread_group", where):
                self.spread.setdefault(group, []).append(host)


def read_groups(item: Mapping[str, Any], where: str) -> list[tuple[str, Rule]]:
    """The ``groups`` of a request or VM as (name, rule) pairs."""
    found = []
    for number, group in enumerate(rows(item, "groups", where)):
        key = f"groups[{number}]"
        if type(group) is not dict and not isinstance(group, Mapping):
            raise invalid(where, key, f"must be a mapping with name, kind and level, not {group!r}")
        if not group.keys() <= GROUP_KEYS:
            known_keys(group, GROUP_KEYS, f"{where}: {key}")
        name = group.get("name")
        if not isinstance(name, str) or not name:
            name = text(group, "name", f"{where}: {key}", required=True)
        kind, level, hard = group.get("kind"), group.get("level", "host"), group.get("hard", True)
        if kind not in KINDS:
            raise invalid(where, f"{key}.kind", f"must be affinity or anti-affinity, not {kind!r}")
        if level not in LEVELS:
            raise invalid(where, f"{key}.level", f"must be host, rack or zone, not {level!r}")
        if not isinstance(hard, bool):
            raise invalid(where, f"{key}.hard", f"must be true or false, not {hard!r}")
        found.append((name, _RULES[kind, level, hard]))
    return found
