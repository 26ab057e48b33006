# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of the site's report: load per host before and after a plan, quotas, stranded capacity.

Pure: resources as resource_info returns them, a plan as the platform module returns it in check mode.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..model import units
from ..model.names import collapse

Row = Mapping[str, Any]
DIMENSIONS = ("vcpus", "memory", "storage")
QUOTA_KEYS = ("vm.count", "vm.cpu", "vm.memory", "ephemeral-disk.capacity")


def summarize(resources: Sequence[Row], plan: Iterable[Row] = ()) -> dict[str, Any]:
    """``{totals, zones, tenants, stranded, plan, reference, same}`` for the page (playbooks/templates/report.html.j2).

    ``zones``: ``[{name, racks: [{name, hosts: [...]}]}]``; a host has name, state, vms and ``before``/``after``, each
    ``{vcpus, memory}`` in percent of its capacity. ``stranded``: per dimension free and stranded amounts; capacity is
    stranded on hosts on which no VM of the reference shape fits any more, because another dimension is exhausted; free
    storage only where that is so on every host. ``same``: the plan changes no load.
    """
    by_kind: dict[str, list[Row]] = defaultdict(list)
    for row in resources:
        by_kind[row["kind"]].append(row)
    plan = list(plan)
    moved = _planned_load(plan, by_kind["vm"])
    hosts = [_host(row, moved.get(row["name"], (0, 0, 0))) for row in by_kind["host"]]
    shape, used = _reference(by_kind["vm"], plan), in_use(resources)
    return {
        "totals": {
            "hosts": _counted(len(hosts), "host"),
            "vms": _counted(len(by_kind["vm"]), "VM"),
            "vms_after": _counted(len(by_kind["vm"]) + sum(m[2] for m in moved.values()), "VM"),
            "tenants": _counted(len(by_kind["tenant"]), "tenant"),
            "projects": _counted(len(by_kind["project"]), "project"),
            "changes": _counted(len(plan), "change"),
        },
        "same": not any(any(load) for load in moved.values()),
        "zones": _by_zone_and_rack(hosts),
        "tenants": [
            _quotas(row, used) for row in sorted(by_kind["tenant"] + by_kind["project"], key=lambda r: r["path"])
        ],
        "stranded": _stranded(by_kind["host"], by_kind["datastore"], shape),
        "reference": {
            "vcpus": _counted(shape[0], "vCPU"),
            "memory": units.show(shape[1]),
            "storage": units.show(shape[2]),
        },
        "plan": _steps(plan),
    }


def in_use(resources: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Return ``{tenant: {quota key: what its projects use}}``; a tenant's own usage is what was given to them."""
    used: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in resources:
        if row["kind"] == "project":
            for key, counter in row["quota"].items():
                used[row["path"].partition("/")[0]][key] += counter["usage"]
    return used


def _counted(number: int, noun: str) -> dict[str, Any]:
    return {"number": number, "noun": noun if number == 1 else f"{noun}s"}


def _steps(plan: Sequence[Row]) -> list[dict[str, Any]]:
    """Group like steps into one line, with their names as ranges."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for step in plan:
        key = (step["verb"], step["kind"], step["reason"], step["after"].get("host", ""))
        groups.setdefault(key, []).append(step["name"])
    return [
        {
            "verb": verb,
            "kind": kind,
            "name": ", ".join(collapse(names)),
            "reason": reason,
            "host": host,
            "count": len(names),
        }
        for (verb, kind, reason, host), names in groups.items()
    ]


def _planned_load(plan: Sequence[Row], vms: Sequence[Row]) -> dict[str, tuple[int, int, int]]:
    """Return ``{host: (vCPUs, memory, VMs)}`` that the plan adds; negative where it frees."""
    current = {row["path"]: row for row in vms}
    load: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for step in plan:
        if step["kind"] != "vm":
            continue
        known = current.get(step["name"])
        if step["verb"] == "create" and known is None:
            _add(load[step["after"]["host"]], step["vcpus"], step["memory"], 1)
        elif step["verb"] == "delete" and known is not None and known["host"]:
            _add(load[known["host"]], -known["vcpus"], -known["memory"], -1)
        elif step["verb"] == "update" and known is not None and known["host"]:
            _add(load[known["host"]], step["vcpus"] - known["vcpus"], step["memory"] - known["memory"], 0)
    return {host: (vcpus, memory, count) for host, (vcpus, memory, count) in load.items()}


def _add(sums: list[int], *amounts: int) -> None:
    for at, amount in enumerate(amounts):
        sums[at] += amount


def _host(row: Row, more: tuple[int, int, int]) -> dict[str, Any]:
    used, capacity = row["used"], row["capacity"]
    after = {"vcpus": used["vcpus"] + more[0], "memory": used["memory"] + more[1]}
    return {
        "name": row["name"],
        "zone": row["zone"] or "no zone",
        "rack": row["rack"] or "no rack",
        "state": row["state"],
        "vms": row["vms"],
        "vms_after": row["vms"] + more[2],
        "before": {key: _percent(used[key], capacity[key]) for key in after},
        "after": {key: _percent(after[key], capacity[key]) for key in after},
        "memory": f"{units.show(used['memory'])} of {units.show(capacity['memory'])}",
        "vcpus": f"{used['vcpus']} of {capacity['vcpus']}",
    }


def _by_zone_and_rack(hosts: Iterable[Row]) -> list[dict[str, Any]]:
    tree: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for host in sorted(hosts, key=lambda h: h["name"]):
        tree[host["zone"]][host["rack"]].append(host)
    return [
        {"name": zone, "racks": [{"name": rack, "hosts": tree[zone][rack]} for rack in sorted(tree[zone])]}
        for zone in sorted(tree)
    ]


def _quotas(row: Row, used: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """The bars of a tenant show what its projects use; what was given to them is said apart from it."""
    bars, tenant = [], row["kind"] == "tenant"
    for key in [*QUOTA_KEYS, *sorted(set(row["quota"]) - set(QUOTA_KEYS))]:
        counter = row["quota"].get(key)
        if counter is not None and counter["limit"] is not None:
            amount = used.get(row["name"], {}).get(key, 0) if tenant else counter["usage"]
            show = partial(units.show, unit=counter["unit"])
            bars.append(
                {
                    "key": key,
                    "text": f"{show(amount)} of {show(counter['limit'])}",
                    "percent": _percent(amount, counter["limit"]),
                    "given": show(counter["usage"]) if tenant else "",
                }
            )
    return {"name": row["name"], "path": row["path"], "project": row["kind"] == "project", "bars": bars}


def _reference(vms: Sequence[Row], plan: Sequence[Row]) -> tuple[int, int, int]:
    """Return the average of the VMs, else of the planned ones: vCPUs, memory and disk, each at least 1."""
    rows = list(vms) or [step for step in plan if step["kind"] == "vm" and step["verb"] == "create"]
    if not rows:
        return 1, units.FACTORS["GB"], units.FACTORS["GB"]
    disks = sum(disk["capacity"] for row in rows for disk in row.get("disks", ()))
    return (
        max(1, sum(row["vcpus"] for row in rows) // len(rows)),
        max(1, sum(row["memory"] for row in rows) // len(rows)),
        max(1, disks // len(rows)),
    )


def _stranded(hosts: Iterable[Row], datastores: Iterable[Row], shape: tuple[int, int, int]) -> list[dict[str, Any]]:
    free, usable = dict.fromkeys(DIMENSIONS, 0), dict.fromkeys(DIMENSIONS, 0)
    room = False
    for host in hosts:
        if host["state"] == "READY" and "CLOUD" in host["usage_tags"]:
            vcpus, memory = host["free"]["vcpus"], host["free"]["memory"]
            free["vcpus"] += vcpus
            free["memory"] += memory
            if vcpus >= shape[0] and memory >= shape[1]:
                room = True
                usable["vcpus"] += vcpus
                usable["memory"] += memory
    free["storage"] = sum(row["free"] for row in datastores if row["usable_for_vms"])
    usable["storage"] = free["storage"] if room else 0
    return [
        {
            "dimension": name,
            "free": units.show(free[name], unit),
            "stranded": units.show(free[name] - usable[name], unit),
            "percent": _percent(free[name] - usable[name], free[name]),
        }
        for name, unit in zip(DIMENSIONS, (units.COUNT, "B", "B"), strict=True)
    ]


def _percent(amount: int, whole: int) -> int:
    """Round up, so that every use is visible; 0 of 0 is 0."""
    return -(-100 * amount // whole) if whole > 0 else 0
