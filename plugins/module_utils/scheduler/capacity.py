# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about capacity: how many more fit, whether a loss is survived, how to empty hosts, what if the fleet
changed."""

# A bool is not a whole number.  pylint: disable=unidiomatic-typecheck

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace as replace_fields
from typing import Any

from ..model.errors import PhotonError
from .explain import reason
from .fleet import LEVELS, Fleet
from .place import place
from .policies import Policy
from .reading import names, rows
from .replace import replace, without_hosts
from .requests import Batch, Request, read
from .search import Search
from .state import State

# Placing is tried for every loss up to this many losses times hosts; beyond, totals decide.
EXACT_WORK = 400_000
MORE_THAN_ENOUGH = 1_000_000


def fits(requests: Iterable[Mapping[str, Any]], fleet: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many more VMs like each request fit, were they alone: ``{id: {total, zones: {name: n}, limited_by}}``.

    ``limited_by`` is the constraint that stops the next one. A ``count`` is ignored. Groups and spreading count.
    Raises SpecInvalid.
    """
    hosts = Fleet(fleet)
    found: dict[str, Any] = {}
    batch = read(requests, hosts)
    for request in batch.requests:
        shape = request.shape
        total, limited_by = _fit(request, batch, hosts)
        zones = {}
        for zone in sorted(shape.statics.zones or hosts.zones):
            narrowed = replace_fields(shape, statics=shape.statics._replace(zones=(zone,)))
            zones[zone], _constraint = _fit(request._replace(shape=narrowed), batch, hosts)
        found[request.id] = {"zones": zones, "total": total, "limited_by": limited_by}
    return found


def _fit(request: Request, batch: Batch, fleet: Fleet) -> tuple[int, str | None]:
    state = State(fleet, Batch([request], batch.rules), Policy("pack"))
    search, shape, count = Search(state), request.shape, 0
    if not (shape.disks or request.groups or request.spread) and (shape.vcpus or shape.memory):
        for host in search.view(shape).candidates.hosts:
            room = [state.cpu_free[host] // shape.vcpus] if shape.vcpus else []
            room += [state.memory_free[host] // shape.memory] if shape.memory else []
            times = max(0, min(room))
            state.add(request, host, (), times)
            count += times
    while count < MORE_THAN_ENOUGH:
        found = search.find(request, count)
        if found is None:
            eliminated = reason(search, request)["eliminated"]
            return count, eliminated[-1][0] if eliminated else None
        state.add(request, *found)
        count += 1
    return count, None


def headroom(
    fleet: Mapping[str, Any], *, level: str = "host", quality: str = "normal", seed: int = 0
) -> dict[str, Any]:
    """Find out whether all VMs survive the loss of any one host, rack or zone.

    Returns ``{survives, level, method, losses: [{name, survives, vms, message}]}`` with the losses that are not
    survived or not known to be. True means that places were found (or that there was nothing to place), False that
    there are none; null that the quick method found none although totals would allow it: ask again with quality
    optimal. Fleets too large to try every loss are judged by totals alone (method bound): False is certain there, and
    what passes is null. Raises SpecInvalid.
    """
    if level not in LEVELS:
        raise PhotonError("SpecInvalid", f"level: must be host, rack or zone, not {level!r}", {"key": "level"})
    hosts = rows(fleet, "hosts", "fleet")
    domains: dict[str, list[str]] = {}
    for host in hosts:
        value = host["id"] if level == "host" else host.get(level)
        if value is not None:
            domains.setdefault(value, []).append(host["id"])
    exact = len(domains) * len(hosts) <= EXACT_WORK
    losses = [
        _loss(fleet, name, lost, exact=exact, quality=quality, seed=seed) for name, lost in sorted(domains.items())
    ]
    bad = [loss for loss in losses if loss["survives"] is not True]
    survives = False if any(loss["survives"] is False for loss in bad) else None if bad else True
    return {"survives": survives, "level": level, "method": "placed" if exact else "bound", "losses": bad}


def _loss(
    fleet: Mapping[str, Any], name: str, lost: list[str], *, exact: bool, quality: str, seed: int
) -> dict[str, Any]:
    left, requests = without_hosts(fleet, set(lost))
    answer: dict[str, Any] = {"name": name, "vms": len(requests), "survives": True, "message": ""}
    if not requests:
        return answer
    short = _short(left, requests)
    if short:
        answer.update(survives=False, message=short)
    elif not exact:
        answer.update(survives=None, message="the totals would do; the fleet is too large to try every loss")
    else:
        result = place(requests, left, policy="pack", quality=quality, seed=seed)
        if result["unplaced"]:
            proven = (
                quality == "optimal" and result["summary"]["method"] == "exact" and not result["summary"]["fallback"]
            )
            first = result["unplaced"][0]
            proven = proven or len(requests) == 1
            answer.update(survives=False if proven else None, message=f"VM {first['request']}: {first['message']}")
    return answer


def _short(left: Mapping[str, Any], requests: list[dict[str, Any]]) -> str:
    """Return in which total the rest of the fleet is too small, or ''."""
    ready = [host for host in Fleet({**left, "vms": []}).hosts if host.state == "READY"]
    for what, key, frees in (
        ("vCPUs", "vcpus", [host.cpu_free for host in ready]),
        ("bytes of memory", "memory", [host.memory_free for host in ready]),
    ):
        need, have = sum(request[key] for request in requests), sum(free for free in frees if free > 0)
        if need > have:
            return f"needs {need} {what}, all other hosts together have {have}"
    return ""


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
        raise PhotonError(
            "SpecInvalid", "rebalance: give either empty (host ids) or moves (a number)", {"key": "empty"}
        )
    homes = {vm["id"]: vm.get("host") for vm in rows(fleet, "vms", "fleet")}
    if empty is not None:
        targets = list(names({"empty": list(empty)}, "empty", "rebalance"))
        result = replace(targets, fleet, policy="pack", quality=quality, seed=seed)
        stuck = {homes[row["request"]] for row in result["unplaced"]}
        return {
            "moves": [_move(row, homes) for row in result["placements"]],
            "emptied": [name for name in targets if name not in stuck],
            "failed": result["unplaced"],
        }
    if type(moves) is not int or moves < 0:
        raise PhotonError(
            "SpecInvalid", f"moves: must be a whole number of at least 0, not {moves!r}", {"key": "moves"}
        )
    return _empty_many(fleet, homes, moves, quality, seed)


def _empty_many(
    fleet: Mapping[str, Any], homes: Mapping[str, Any], moves: int, quality: str, seed: int
) -> dict[str, Any]:
    """Take hosts with the fewest VMs first; a host is emptied into hosts that stay in use, never into an empty one."""
    vms: dict[str, list[Mapping[str, Any]]] = {host["id"]: [] for host in rows(fleet, "hosts", "fleet")}
    for vm in rows(fleet, "vms", "fleet"):
        if vm.get("host") in vms:
            vms[vm["host"]].append(vm)
    current = dict(fleet)
    foreign = _foreign(fleet, vms)
    # Hosts that hold no VM, or VMs that are not ours to move, are neither emptied nor filled.
    candidates = sorted((name for name in vms if vms[name] and not foreign[name]), key=lambda n: (len(vms[n]), n))
    idle = {name for name in vms if not vms[name] and not foreign[name]}
    done: list[dict[str, Any]] = []
    emptied: list[str] = []
    received: set[str] = set()
    for name in candidates:
        if name in received or len(done) + len(vms[name]) > moves:
            continue
        open_fleet = {**current, "hosts": [host for host in current["hosts"] if host["id"] not in idle]}
        result = replace([name], open_fleet, policy="pack", quality=quality, seed=seed)
        if result["unplaced"]:
            continue
        done += [_move(row, homes) for row in result["placements"]]
        emptied.append(name)
        idle.add(name)
        received |= {row["host"] for row in result["placements"]}
        current = moved(current, result["placements"])
    return {"moves": done, "emptied": emptied, "failed": []}


def _foreign(fleet: Mapping[str, Any], vms: Mapping[str, list[Mapping[str, Any]]]) -> dict[str, bool]:
    """Return for each host whether more is in use than the listed VMs account for."""
    return {
        host["id"]: host.get("used_vcpus", 0) > sum(vm.get("vcpus") or 0 for vm in vms[host["id"]])
        for host in rows(fleet, "hosts", "fleet")
    }


def moved(fleet: Mapping[str, Any], placements: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fleet after VMs moved: their hosts, and the usage of hosts and datastores."""
    vms = {vm["id"]: dict(vm) for vm in rows(fleet, "vms", "fleet")}
    hosts = {host["id"]: dict(host) for host in rows(fleet, "hosts", "fleet")}
    stores = {store["id"]: dict(store) for store in rows(fleet, "datastores", "fleet")}
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


def what_if(
    requests: Iterable[Mapping[str, Any]],
    fleet: Mapping[str, Any],
    *,
    add: Iterable[Mapping[str, Any]] = (),
    add_datastores: Iterable[Mapping[str, Any]] = (),
    remove: Iterable[str] = (),
    policy: str = "spread",
    quality: str = "normal",
    seed: int = 0,
) -> dict[str, Any]:
    """Place the requests on the fleet as it is and as it would be with hosts added or removed; nothing is changed.

    The VMs of removed hosts are placed first. Returns ``{before, after: summaries of place, moved: placements of
    these VMs, lost: those without a place, gained, failing: ids of requests that fit only after, only before}``.
    Raises SpecInvalid.
    """
    requests = list(requests)
    left, homeless = without_hosts(fleet, set(remove))
    left["hosts"] = [*left["hosts"], *add]
    left["datastores"] = [*rows(fleet, "datastores", "fleet"), *add_datastores]
    before = place(requests, fleet, policy=policy, quality=quality, seed=seed)
    first = place(homeless, left, policy=policy, seed=seed)
    changed = moved({**left, "vms": rows(fleet, "vms", "fleet")}, first["placements"])
    gone = set(remove)
    changed["vms"] = [vm for vm in changed["vms"] if vm.get("host") not in gone]
    after = place(requests, changed, policy=policy, quality=quality, seed=seed)
    failed_before, failed_after = ({row["request"] for row in answer["unplaced"]} for answer in (before, after))
    return {
        "before": before["summary"],
        "after": after["summary"],
        "moved": first["placements"],
        "lost": first["unplaced"],
        "gained": sorted(failed_before - failed_after),
        "failing": sorted(failed_after - failed_before),
        "placements": after["placements"],
        "unplaced": after["unplaced"],
    }


def _move(row: Mapping[str, Any], homes: Mapping[str, Any]) -> dict[str, Any]:
    return {"vm": row["request"], "from": homes[row["request"]], "to": row["host"], "datastores": row["datastores"]}
