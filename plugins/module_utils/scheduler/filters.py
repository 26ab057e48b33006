# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter: the hosts that a request may use at all, by the constraints that no placement changes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from .fleet import Fleet, Host
from .requests import Statics

# Constraints in the order in which they remove hosts, and the error code for the one that removed the last host.
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

    ``hosts``: positions, in the order of ``keys``; ``removed``: the other hosts by the first constraint they fail;
    ``options``: per disk and host the datastores that the disk may lie on.
    """

    def __init__(self, statics: Statics, fleet: Fleet, keys: list[int]) -> None:
        self.fleet, self.keys = fleet, keys
        self.removed: dict[str, list[int]] = defaultdict(list)
        image = statics.image if statics.image_must_be_present else None
        self.options = [
            fleet.options(disk.tags, image if disk.boot else None, statics.datastore, disk.datastore)
            for disk in statics.disks
        ]
        self._domains: dict[str, dict[Any, list[int]]] = {}
        passed: list[int] = []
        for hosts in fleet.classes.values():
            verdict = _verdict(statics, fleet, fleet.hosts[hosts[0]])
            (passed if verdict is None else self.removed[verdict]).extend(hosts)
        if statics.host is not None:
            only = fleet.index[statics.host]
            self.removed["host"] = [host for host in passed if host != only]
            passed = [host for host in passed if host == only]
        for options in {id(options): options for options in self.options}.values():
            for host in passed:
                if not options[host]:
                    self.removed[_datastore_verdict(statics, fleet, fleet.hosts[host].datastores)].append(host)
            passed = [host for host in passed if options[host]]
        self.hosts = sorted(passed, key=keys.__getitem__)

    def stores(self, host: int) -> list[list[int]]:
        """Return the datastores of a host that each disk may lie on."""
        return [options[host] for options in self.options]

    @property
    def eliminated(self) -> list[tuple[str, int]]:
        """The numbers of removed hosts, in the order of the constraints."""
        return [(name, len(self.removed[name])) for name in CODES if self.removed.get(name)]

    def domains(self, level: str) -> dict[Any, list[int]]:
        """Return the candidates by host, rack or zone."""
        if level not in self._domains:
            found: dict[Any, list[int]] = defaultdict(list)
            column = self.fleet.domains[level]
            for host in self.hosts:
                found[column[host]].append(host)
            self._domains[level] = dict(found)
        return self._domains[level]


def _verdict(statics: Statics, fleet: Fleet, host: Host) -> str | None:
    """Return the first constraint that a host fails, or None."""
    if host.state != "READY":
        return "state"
    if statics.usage not in host.usage_tags:
        return "usage"
    if not _zone_serves(statics, fleet, host.zone):
        return "zone"
    if not statics.host_tags <= host.tags:
        return "host_tags"
    return None if statics.port_groups <= host.port_groups else "port_groups"


def _zone_serves(statics: Statics, fleet: Fleet, name: str | None) -> bool:
    """Return whether a zone is one of those asked for, READY, and not reserved for other tenants."""
    if statics.zones and name not in statics.zones:
        return False
    if name is None:
        return True
    zone = fleet.zones[name]
    return zone.state == "READY" and (not zone.dedicated_tenants or statics.tenant in zone.dedicated_tenants)


def _datastore_verdict(statics: Statics, fleet: Fleet, mounted: tuple[int, ...]) -> str:
    """Return why no datastore of the host will do for one of the disks."""
    if any(fleet.stores_with(disk.tags).isdisjoint(mounted) for disk in statics.disks):
        return "datastore_tags"
    if statics.datastore is not None and fleet.store_index[statics.datastore] not in mounted:
        return "datastore"
    return "image" if statics.image and statics.image_must_be_present else "datastore"
