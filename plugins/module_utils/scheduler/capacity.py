# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about capacity: how good each host is, how many more fit, whether a loss is survived, what if the fleet
changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace as replace_fields
from typing import Any

from .explain import reason
from .fleet import LEVELS, Fleet
from .moves import moved, without_hosts
from .place import place
from .policies import Policy
from .reading import Item
from .requests import Batch, Kind
from .search import Search
from .state import State

# Placing is tried for every loss up to this many losses times hosts; beyond, totals decide.
EXACT_WORK = 400_000
MORE_THAN_ENOUGH = 1_000_000


def host_scores(fleet: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return ``{host id: {score, parts}}`` from 0 to 100 as things are: the more room, the better.

    ``parts`` are the free shares of CPU, memory and storage in percent. Raises SpecInvalid.
    """
    hosts, chosen = Fleet(fleet), Policy()
    state = State(hosts, Batch([], hosts), chosen)
    scores = {}
    for number, host in enumerate(hosts.hosts):
        cpu, memory, load = state.measure(number)
        storage = round(100 * (1 - state.storage_used(number)), 1) if host.datastores else 0.0
        parts = {"cpu": cpu / 10, "memory": memory / 10, "storage": storage}
        scores[host.id] = {"score": round(chosen.score(load), 1), "parts": parts}
    return scores


def fits(requests: Iterable[Mapping[str, Any]], fleet: Mapping[str, Any]) -> dict[str, Any]:
    """Return how many more VMs like each request fit, were they alone: ``{id: {total, zones: {name: n}, limited_by}}``.

    ``limited_by`` is the constraint that stops the next one. A ``count`` is ignored. Groups and spreading count.
    Raises SpecInvalid.
    """
    hosts = Fleet(fleet)
    batch = Batch(requests, hosts)
    found: dict[str, Any] = {}
    for name, kind in zip(batch.ids, batch.kind_of, strict=True):
        total, limited_by = _fit(kind, batch, hosts)
        zones = {}
        for zone in sorted(kind.shape.statics.zones or hosts.zones):
            shape = replace_fields(kind.shape, statics=kind.shape.statics._replace(zones=(zone,)))
            zones[zone], _constraint = _fit(replace_fields(kind, shape=shape), batch, hosts)
        found[name] = {"zones": zones, "total": total, "limited_by": limited_by}
    return found


def _fit(kind: Kind, batch: Batch, fleet: Fleet) -> tuple[int, str | None]:
    state = State(fleet, batch, Policy("pack"))
    search, shape, count = Search(state), kind.shape, 0
    if not (shape.disks or kind.groups or kind.spread) and (shape.vcpus or shape.memory):
        for host in search.queue(shape).hosts:
            room = [state.cpu_free[host] // shape.vcpus] if shape.vcpus else []
            room += [state.memory_free[host] // shape.memory] if shape.memory else []
            times = max(0, min(room))
            state.add(kind, host, (), times)
            count += times
    find = search.finder(kind)
    while count < MORE_THAN_ENOUGH and (found := find(0)):
        state.add(kind, *found)
        count += 1
    eliminated = reason(search, kind)["eliminated"] if count < MORE_THAN_ENOUGH else []
    return count, eliminated[-1][0] if eliminated else None


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
    Item({"level": level}, "headroom").choice("level", LEVELS)
    hosts = Item(fleet, "fleet").rows("hosts")
    domains: dict[str, list[str]] = {}
    for host in hosts:
        value = host["id"] if level == "host" else host.get(level)
        if value is not None:
            domains.setdefault(value, []).append(host["id"])
    exact = len(domains) * len(hosts) <= EXACT_WORK
    bad = []
    for name, lost in sorted(domains.items()):
        left, requests = without_hosts(fleet, set(lost))
        survives, message = _survives(left, requests, exact, quality, seed)
        if survives is not True:
            bad.append({"name": name, "vms": len(requests), "survives": survives, "message": message})
    survives = False if any(loss["survives"] is False for loss in bad) else None if bad else True
    return {"survives": survives, "level": level, "method": "placed" if exact else "bound", "losses": bad}


def _survives(
    left: Mapping[str, Any], requests: list[dict[str, Any]], exact: bool, quality: str, seed: int
) -> tuple[bool | None, str]:
    """Return whether the hosts that are left take the VMs (None: not known), and why not."""
    if not requests:
        return True, ""
    ready = [host for host in Fleet({**left, "vms": []}).hosts if host.state == "READY"]
    for what, key, frees in (
        ("vCPUs", "vcpus", [host.cpu_free for host in ready]),
        ("bytes of memory", "memory", [host.memory_free for host in ready]),
    ):
        need, have = sum(request[key] for request in requests), sum(free for free in frees if free > 0)
        if need > have:
            return False, f"needs {need} {what}, all other hosts together have {have}"
    if not exact:
        return None, "the totals would do; the fleet is too large to try every loss"
    result = place(requests, left, policy="pack", quality=quality, seed=seed)
    if not result["unplaced"]:
        return True, ""
    summary, first = result["summary"], result["unplaced"][0]
    proven = len(requests) == 1 or (summary.get("method") == "exact" and not summary["fallback"])
    return False if proven else None, f"VM {first['request']}: {first['message']}"


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
    requests, gone, item = list(requests), set(remove), Item(fleet, "fleet")
    left, homeless = without_hosts(fleet, gone)
    left["hosts"] = [*left["hosts"], *add]
    left["datastores"] = [*item.rows("datastores"), *add_datastores]
    before = place(requests, fleet, policy=policy, quality=quality, seed=seed)
    first = place(homeless, left, policy=policy, seed=seed)
    changed = moved({**left, "vms": item.rows("vms")}, first["placements"])
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
