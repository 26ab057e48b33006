# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replace: places for VMs that exist and must leave their hosts, after the loss of a host or to empty one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .place import place
from .reading import invalid, rows

MOVABLE = (
    "groups",
    "spread_group",
    "spread_over",
    "max_skew",
    "zone",
    "zones",
    "host_tags",
    "port_groups",
    "tenant",
    "usage",
)


def replace(
    lost: Iterable[str],
    fleet: Mapping[str, Any],
    *,
    policy: str = "spread",
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
    quality: str = "normal",
    time_budget: float | None = None,
) -> dict[str, Any]:
    """Place just the VMs of the lost hosts on the others; everything else stays where it is.

    The fleet's VMs need ``vcpus`` and ``memory`` and may have ``disks`` (capacity, tags, datastore) and whatever else
    a request has. A disk on a datastore that another host mounts stays there, and its VM goes to such a host; one on a
    datastore that went with its host is placed again. Returns what place returns, each request being a VM's id. Raises
    SpecInvalid.
    """
    left, requests = without_hosts(fleet, set(lost))
    return place(requests, left, policy=policy, weights=weights, seed=seed, quality=quality, time_budget=time_budget)


def without_hosts(fleet: Mapping[str, Any], lost: Collection[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the fleet that is left, and requests for the VMs that were on the lost hosts."""
    hosts = rows(fleet, "hosts", "fleet")
    known = {host["id"] for host in hosts}
    for name in lost:
        if name not in known:
            raise invalid("hosts", "id", f"{name!r} is not among the fleet's hosts")
    left = [host for host in hosts if host["id"] not in lost]
    mounted = {store for host in left for store in host.get("datastores") or ()}
    staying, requests = [], []
    for vm in rows(fleet, "vms", "fleet"):
        if vm.get("host") in lost:
            requests.append(as_request(vm, mounted))
        else:
            staying.append(vm)
    return {**fleet, "hosts": left, "vms": staying}, requests


def as_request(vm: Mapping[str, Any], mounted: Collection[str]) -> dict[str, Any]:
    """Return a request for a VM that exists."""
    for key in ("vcpus", "memory"):
        if vm.get(key) is None:
            raise invalid(f"vm {vm.get('id')}", key, "is required to find another place for it")
    request: dict[str, Any] = {"id": vm["id"], "vcpus": vm["vcpus"], "memory": vm["memory"], "disks": []}
    for disk in vm.get("disks") or ():
        if disk.get("datastore") in mounted:
            request["disks"].append({"capacity": 0, "datastore": disk["datastore"]})
        else:
            request["disks"].append({"capacity": disk.get("capacity", 0), "tags": disk.get("tags") or []})
    request.update({key: vm[key] for key in MOVABLE if vm.get(key)})
    return request
