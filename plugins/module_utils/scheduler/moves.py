# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other places for VMs that exist: after the loss of hosts, to empty hosts, or to use fewer of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .place import place
from .reading import Item, invalid

MOVABLE = "groups spread_group spread_over max_skew zone zones host_tags port_groups tenant usage".split()


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


def rebalance(
    fleet: Mapping[str, Any],
    *,
    empty: Iterable[str] | None = None,
    moves: int | None = None,
    quality: str = "normal",
    seed: int = 0,
) -> dict[str, Any]:
    """Find the fewest moves that leave the hosts ``empty``, or as many hosts emptied as can be with ``moves`` moves.

    Returns ``{moves: [{vm, from, to, datastores}], emptied: [host ids], failed: [unplaced rows]}``. Emptying given
    hosts moves each of their VMs once, which is the least there is. Raises SpecInvalid.
    """
    if (empty is None) == (moves is None):
        raise invalid("rebalance", "empty", "give either empty (host ids) or moves (a number)")
    if empty is None:
        return _empty_many(fleet, Item({"moves": moves}, "rebalance").whole("moves"), quality, seed)
    targets = Item({"empty": empty}, "rebalance").names("empty")
    result = replace(targets, fleet, policy="pack", quality=quality, seed=seed)
    homes = _homes(fleet)
    stuck = {homes[row["request"]] for row in result["unplaced"]}
    return {
        "moves": _moves(result, homes),
        "emptied": [name for name in targets if name not in stuck],
        "failed": result["unplaced"],
    }


def _empty_many(fleet: Mapping[str, Any], limit: int, quality: str, seed: int) -> dict[str, Any]:
    """Take hosts with the fewest VMs first; a host is emptied into hosts that stay in use, never into an empty one."""
    hosts = Item(fleet, "fleet").rows("hosts")
    vms: dict[str, list[Mapping[str, Any]]] = {host["id"]: [] for host in hosts}
    for vm in Item(fleet, "fleet").rows("vms"):
        if vm.get("host") in vms:
            vms[vm["host"]].append(vm)
    # Hosts that hold no VM, or VMs that are not ours to move, are neither emptied nor filled.
    ours = {h["id"] for h in hosts if h.get("used_vcpus", 0) <= sum(vm.get("vcpus") or 0 for vm in vms[h["id"]])}
    idle = {name for name in ours if not vms[name]}
    current, homes = dict(fleet), _homes(fleet)
    done: list[dict[str, Any]] = []
    emptied: list[str] = []
    received: set[str] = set()
    for name in sorted(ours - idle, key=lambda name: (len(vms[name]), name)):
        if name in received or len(done) + len(vms[name]) > limit:
            continue
        open_fleet = {**current, "hosts": [host for host in current["hosts"] if host["id"] not in idle]}
        result = replace([name], open_fleet, policy="pack", quality=quality, seed=seed)
        if result["unplaced"]:
            continue
        done += _moves(result, homes)
        emptied.append(name)
        idle.add(name)
        received |= {row["host"] for row in result["placements"]}
        current = moved(current, result["placements"])
    return {"moves": done, "emptied": emptied, "failed": []}


def moved(fleet: Mapping[str, Any], placements: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fleet after VMs moved: their hosts, and the usage of hosts and datastores."""
    vms, hosts, stores = (
        {row["id"]: dict(row) for row in Item(fleet, "fleet").rows(key)} for key in ("vms", "hosts", "datastores")
    )
    for row in placements:
        vm = vms[row["request"]]
        for name, sign in ((vm["host"], -1), (row["host"], 1)):
            if name in hosts:
                for key, need in (("used_vcpus", vm["vcpus"]), ("used_memory", vm["memory"])):
                    hosts[name][key] = hosts[name].get(key, 0) + sign * need
        disks = [dict(disk) for disk in vm.get("disks") or ()]
        for disk, store in zip(disks, row["datastores"], strict=True):
            if disk.get("datastore") != store:
                for name, sign in ((disk.get("datastore"), -1), (store, 1)):
                    if name in stores:
                        stores[name]["used"] = stores[name].get("used", 0) + sign * disk.get("capacity", 0)
                disk["datastore"] = store
        vm.update(host=row["host"], disks=disks)
    return {**fleet, "hosts": list(hosts.values()), "datastores": list(stores.values()), "vms": list(vms.values())}


def without_hosts(fleet: Mapping[str, Any], lost: Collection[str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the fleet that is left, and requests for the VMs that were on the lost hosts."""
    hosts, vms = Item(fleet, "fleet").rows("hosts"), Item(fleet, "fleet").rows("vms")
    unknown = sorted(set(lost) - {host["id"] for host in hosts})
    if unknown:
        raise invalid("hosts", "id", f"{unknown[0]!r} is not among the fleet's hosts")
    left = [host for host in hosts if host["id"] not in lost]
    mounted = {store for host in left for store in host.get("datastores") or ()}
    requests = [_as_request(vm, mounted) for vm in vms if vm.get("host") in lost]
    return {**fleet, "hosts": left, "vms": [vm for vm in vms if vm.get("host") not in lost]}, requests


def _as_request(vm: Mapping[str, Any], mounted: Collection[str]) -> dict[str, Any]:
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


def _homes(fleet: Mapping[str, Any]) -> dict[str, Any]:
    return {vm["id"]: vm.get("host") for vm in Item(fleet, "fleet").rows("vms")}


def _moves(result: Mapping[str, Any], homes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"vm": row["request"], "from": homes[row["request"]], "to": row["host"], "datastores": row["datastores"]}
        for row in result["placements"]
    ]
