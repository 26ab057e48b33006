# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a request may use at all: the constraints that no placement changes, in the order they are explained in."""

from __future__ import annotations

from .fleet import Fleet
from .requests import Statics

# Names of the constraints in the order in which they remove hosts, and the code for having removed the last one.
CODES = {
    "state": "NoSuchResource",
    "usage": "NoSuchResource",
    "host": "NoSuchResource",
    "zone": "NoSuchResource",
    "host_tags": "NoSuchResource",
    "port_groups": "NoSuchResource",
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

    ``hosts``: positions; ``eliminated``: (constraint, hosts removed) in order; ``stores``: per disk the set of datastores
    that it may lie on (intersect with a host's own).
    """

    def __init__(self, statics: Statics, fleet: Fleet) -> None:
        self.stores = [eligible_stores(statics, tags, boot, fleet) for tags, boot in statics.disk_tags]
        self.by_tags = [by_tags(tags, fleet) for tags, _boot in statics.disk_tags]
        self.eliminated: list[tuple[str, int]] = []
        hosts = list(range(len(fleet.ids)))
        classes: dict[tuple[object, ...], str | None] = {}
        verdicts: dict[str, list[int]] = {}
        kept = []
        for host in hosts:
            key = (
                fleet.states[host], fleet.usage_tags[host], fleet.zones[host], fleet.tags[host],
                fleet.port_groups[host], fleet.stores[host], statics.host is None or fleet.ids[host] == statics.host,
            )
            if key not in classes:
                classes[key] = self._verdict(statics, fleet, host)
            if (verdict := classes[key]) is None:
                kept.append(host)
            else:
                verdicts.setdefault(verdict, []).append(host)
        self.hosts = kept
        self.members = frozenset(kept)
        self.eliminated = [(name, len(verdicts[name])) for name in CODES if name in verdicts]
        self.removed = verdicts

    def _verdict(self, statics: Statics, fleet: Fleet, host: int) -> str | None:
        """The first constraint that this host fails, or None."""
        if fleet.states[host] != "READY":
            return "state"
        if statics.usage not in fleet.usage_tags[host]:
            return "usage"
        if statics.host is not None and fleet.ids[host] != statics.host:
            return "host"
        if not zone_serves(statics, fleet, host):
            return "zone"
        if not statics.host_tags <= fleet.tags[host]:
            return "host_tags"
        if not statics.port_groups <= fleet.port_groups[host]:
            return "port_groups"
        return self._datastore_verdict(statics, fleet, host)

    def _datastore_verdict(self, statics: Statics, fleet: Fleet, host: int) -> str | None:
        mine = fleet.stores[host]
        if any(tagged.isdisjoint(mine) for tagged in self.by_tags):
            return "datastore_tags"
        if statics.datastore is not None and fleet.store_index[statics.datastore] not in mine:
            return "datastore"
        if any(allowed.isdisjoint(mine) for allowed in self.stores):
            return "image" if statics.image and statics.image_must_be_present else "datastore"
        return None


def zone_serves(statics: Statics, fleet: Fleet, host: int) -> bool:
    """The zone is one of those asked for, is READY, and is not dedicated to other tenants."""
    name = fleet.zones[host]
    if name is None:
        return not statics.zones
    if statics.zones and name not in statics.zones:
        return False
    zone = fleet.zone_table[name]
    return zone.state == "READY" and (not zone.dedicated_tenants or statics.tenant in zone.dedicated_tenants)


def by_tags(tags: frozenset[str], fleet: Fleet) -> frozenset[int]:
    """Datastores for VMs that carry all the tags."""
    return frozenset(
        s for s, found in enumerate(fleet.store_tags) if fleet.store_usable[s] and tags <= found
    )


def eligible_stores(statics: Statics, tags: frozenset[str], boot: bool, fleet: Fleet) -> frozenset[int]:
    """Datastores that a disk may lie on, space apart."""
    found = by_tags(tags, fleet)
    if statics.datastore is not None:
        found &= {fleet.store_index[statics.datastore]}
    if boot and statics.image and statics.image_must_be_present:
        found &= fleet.images.get(statics.image, frozenset())
    return found
