# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a request may use at all: the constraints that no placement changes, in the order they are explained
in."""

from __future__ import annotations

from .fleet import Fleet
from .requests import Disk, Statics

# Names of the constraints in the order in which they remove hosts, and the code for having removed the last one.
CODES = {
    "state": "NoSuchResource",
    "usage": "NoSuchResource",
    "zone": "NoSuchResource",
    "host_tags": "NoSuchResource",
    "port_groups": "NoSuchResource",
    "host": "NoSuchResource",
    "datastore_tags": "NoConstraintMatchingDatastore",
    "datastore": "NoSuchResource",
    "image": "NoSuchResource",
    "cpu": "NotEnoughCpuResource",
    "memory": "NotEnoughMemoryResource",
    "storage": "NotEnoughDatastoreCapacity",
    "affinity": "UnfullfillableAffinities",
    "anti-affinity": "UnfullfillableAffinities",
    "max_skew": "UnfullfillableAffinities",
}


class Candidates:
    """The hosts that pass a request's static demands.

    ``hosts``: positions; ``removed``: hosts by the first constraint they fail; ``eliminated``: their numbers in order;
    ``stores``: per disk the datastores that it may lie on; ``options``: what of these a host mounts, where asked
    before.
    """

    def __init__(self, statics: Statics, fleet: Fleet) -> None:
        self.stores = [eligible_stores(statics, disk, fleet) for disk in statics.disks]
        self.by_tags = [fleet.stores_with(disk.tags) for disk in statics.disks]
        self.removed: dict[str, list[int]] = {}
        kept: list[int] = []
        for hosts in fleet.classes.values():
            verdict = self._verdict(statics, fleet, hosts[0])
            if verdict is None:
                kept += hosts
            else:
                self.removed.setdefault(verdict, []).extend(hosts)
        # What candidates with the same base can share: the hosts before tags and port groups are looked at.
        self.base_key = (statics.usage, statics.zones, statics.tenant)
        self.base = kept + self.removed.get("host_tags", []) + self.removed.get("port_groups", [])
        if statics.host is not None:
            kept = self._keep(kept, "host", [h for h in kept if fleet.ids[h] == statics.host])
        for allowed in dict.fromkeys(self.stores):
            mounting = fleet.mounting(allowed)
            for host in kept:
                if host not in mounting:
                    self.removed.setdefault(self._datastore_verdict(statics, fleet, host), []).append(host)
            kept = [host for host in kept if host in mounting]
        kept.sort()
        self.hosts = kept
        self.members = bytearray(len(fleet.ids))  # 1 for each of them
        for host in kept:
            self.members[host] = 1
        self.eliminated = [(name, len(self.removed[name])) for name in CODES if name in self.removed]
        # Shared with all requests whose disks may lie on the same datastores.
        self.options = fleet.options.setdefault(tuple(self.stores), {})
        self._mounted = fleet.stores
        # The same for a single disk, by host position.
        self.choices: list[tuple[int, ...] | None] = []
        if len(self.stores) == 1:
            if self.stores[0] not in fleet.choices:
                fleet.choices[self.stores[0]] = [None] * len(fleet.ids)
            self.choices = fleet.choices[self.stores[0]]

    def read_options(self, host: int) -> list[tuple[int, ...]]:
        """Per disk the datastores of one candidate that it may lie on."""
        mine = self._mounted[host]
        found = self.options[host] = [tuple([s for s in mine if s in allowed]) for allowed in self.stores]
        return found

    def read_choice(self, host: int) -> tuple[int, ...]:
        """The datastores of one candidate that the single disk may lie on."""
        mine, allowed = self._mounted[host], self.stores[0]
        found = self.choices[host] = mine if allowed.issuperset(mine) else tuple([s for s in mine if s in allowed])
        return found

    def _keep(self, before: list[int], name: str, after: list[int]) -> list[int]:
        if len(after) < len(before):
            self.removed[name] = sorted(set(before) - set(after))
        return after

    def _verdict(self, statics: Statics, fleet: Fleet, host: int) -> str | None:
        """The first constraint that this host fails, or None."""
        if fleet.states[host] != "READY":
            return "state"
        if statics.usage not in fleet.usage_tags[host]:
            return "usage"
        if not zone_serves(statics, fleet, host):
            return "zone"
        if not statics.host_tags <= fleet.tags[host]:
            return "host_tags"
        if not statics.port_groups <= fleet.port_groups[host]:
            return "port_groups"
        return None

    def _datastore_verdict(self, statics: Statics, fleet: Fleet, host: int) -> str:
        """Why no datastore of the host will do for one of the disks."""
        mine = fleet.stores[host]
        if any(tagged.isdisjoint(mine) for tagged in self.by_tags):
            return "datastore_tags"
        if statics.datastore is not None and fleet.store_index[statics.datastore] not in mine:
            return "datastore"
        return "image" if statics.image and statics.image_must_be_present else "datastore"


def zone_serves(statics: Statics, fleet: Fleet, host: int) -> bool:
    """The zone is one of those asked for, is READY, and is not dedicated to other tenants."""
    name = fleet.zones[host]
    if name is None:
        return not statics.zones
    if statics.zones and name not in statics.zones:
        return False
    zone = fleet.zone_table[name]
    return zone.state == "READY" and (not zone.dedicated_tenants or statics.tenant in zone.dedicated_tenants)


def eligible_stores(statics: Statics, disk: Disk, fleet: Fleet) -> frozenset[int]:
    """Datastores that a disk may lie on, space apart."""
    if disk.datastore is not None:
        return frozenset({fleet.store_index[disk.datastore]})
    image = statics.image if disk.boot and statics.image and statics.image_must_be_present else None
    key = (disk.tags, statics.datastore, image)
    if key not in fleet.eligible:
        found = fleet.stores_with(disk.tags)
        if statics.datastore is not None:
            found &= {fleet.store_index[statics.datastore]}
        if image is not None:
            found &= fleet.images.get(image, frozenset())
        fleet.eligible[key] = found
    return fleet.eligible[key]
