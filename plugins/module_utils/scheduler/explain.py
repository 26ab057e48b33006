# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explain: the reason why a VM found no place, in numbers and in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..model import units
from .filters import CODES
from .photon import photon_scores
from .reading import Item
from .requests import Kind
from .search import Search
from .state import State, Test


def reason(search: Search, kind: Kind) -> dict[str, Any]:
    """Return why a VM has no place: code, the hosts that each constraint removed in order, the nearest miss, and the
    sentence."""
    candidates = search.queue(kind.shape).candidates
    eliminated = list(candidates.eliminated)
    last = eliminated[-1][0] if eliminated else None
    left = survivors = candidates.hosts
    for name, test in [*_capacity_tests(search, kind), *search.tests(kind)]:
        if not left:
            break
        survivors = left
        left = [host for host in survivors if test(host)]
        if len(left) < len(survivors):
            eliminated.append((name, len(survivors) - len(left)))
            last = name
    hosts = survivors if candidates.hosts else candidates.removed.get(last or "", [])
    nearest = _nearest(search.state, kind, last, hosts)
    return {
        "code": CODES[last] if last else "NoSuchResource",
        "eliminated": [list(pair) for pair in eliminated],
        "nearest": nearest,
        "message": _sentence(kind, last, nearest, len(search.state.fleet.hosts)),
    }


def explain(result: Mapping[str, Any], *, limit: int = 50) -> list[str]:
    """Return the answer of place in lines for people: first VMs without a place and why, then places and scores.

    At most ``limit`` lines of each kind, then how many more there are. VMs that fail for one reason share a line.
    """
    alike: Counter[tuple[str, str, str]] = Counter()
    for row in Item(result, "result").rows("unplaced"):
        removed = ", ".join(f"{number} {name}" for name, number in row["eliminated"])
        alike[row["request"], f"{row['code']}: {row['message']}", removed] += 1
    failed = [
        f"{name}{f' ({times} VMs)' if times > 1 else ''}: no place: {why}"
        + (f" (hosts removed: {removed})" if removed else "")
        for (name, why, removed), times in alike.items()
    ]
    placed = []
    for row in Item(result, "result").rows("placements"):
        parts = ", ".join(f"{key} {value:g}" for key, value in row["parts"].items())
        zone = f" in zone {row['zone']}" if row.get("zone") else ""
        placed.append(f"{row['request']}[{row['index']}]: {row['host']}{zone}: score {row['score']:g} ({parts})")
    return [*_cut(failed, limit, "without a place"), *_cut(placed, limit, "placed")]


def _cut(lines: list[str], limit: int, what: str) -> list[str]:
    more = len(lines) - limit
    return lines if more <= 0 else [*lines[:limit], f"... and {more} more {what}"]


def _capacity_tests(search: Search, kind: Kind) -> list[tuple[str, Test]]:
    """Return CPU, memory and storage as (constraint, test of a host); ``photon`` adds the original's 95 % limit."""
    state, shape, fit = search.state, kind.shape, search.queue(kind.shape).fit
    tests: list[tuple[str, Test]] = [
        ("cpu", lambda host: state.cpu_free[host] >= shape.vcpus),
        ("memory", lambda host: state.memory_free[host] >= shape.memory),
        ("storage", lambda host: fit(host) is not None),
    ]
    if state.policy.name == "photon":
        tests += [
            (name, lambda host, name=name: photon_scores(state, host, shape, fit(host) or ())[0] != name)
            for name in ("cpu", "memory", "storage")
        ]
    return tests


def _nearest(state: State, kind: Kind, constraint: str | None, hosts: Sequence[int]) -> dict[str, Any]:
    """Return the host that came closest to the last constraint, and for amounts what was needed and available there."""
    if constraint is None or not hosts:
        return {}
    shape, table = kind.shape, state.fleet.hosts
    amounts = {
        "cpu": (shape.vcpus, state.cpu_free.__getitem__),
        "memory": (shape.memory, state.memory_free.__getitem__),
        "storage": (
            sum(disk.capacity for disk in shape.disks),
            lambda host: max((state.store_free[store] for store in table[host].datastores), default=0),
        ),
    }
    if constraint not in amounts:
        row = table[hosts[0]]
        return {"constraint": constraint, "host": row.id, "name": row.name, "zone": row.zone}
    needed, available = amounts[constraint]
    best = max(hosts, key=available)
    row, has = table[best], available(best)
    return {
        "constraint": constraint,
        "host": row.id,
        "name": row.name,
        "zone": row.zone,
        "needed": needed,
        "available": has,
        "missing": needed - has,
    }


def _sentence(kind: Kind, constraint: str | None, nearest: dict[str, Any], hosts: int) -> str:
    """Return one line for people: the need, what the nearest host has, what would help."""
    if not hosts:
        return "the fleet has no hosts; declare some or wait until their endpoint answers"
    where = f" in zone {nearest['zone']}" if nearest.get("zone") else ""
    statics = kind.shape.statics
    if constraint in ("cpu", "memory", "storage"):
        need, have = nearest["needed"], max(0, nearest["available"])
        if constraint == "cpu":
            return f"needs {need} vCPUs, the freest host{where} has {have} left"
        if constraint == "memory":
            return f"needs {units.show(need)} of memory, the freest host{where} has {units.show(have)}"
        return f"needs {units.show(need)} on datastores, the emptiest one{where} has {units.show(have)}"
    open_zones = f"zone {', '.join(statics.zones)}" if statics.zones else "a zone open to this tenant"
    groups = ", ".join(kind.groups)
    texts = {
        "state": "no host is READY; provision or resume one",
        "usage": f"no READY host has the usage tag {statics.usage}",
        "host": f"the host {statics.host} asked for is not available",
        "zone": f"no usable host in {open_zones}",
        "host_tags": f"no host there carries the tags {', '.join(sorted(statics.host_tags))}",
        "port_groups": f"no host there has the port groups {', '.join(sorted(statics.port_groups))}",
        "datastore_tags": "no host there has a datastore for VMs with the tags that the disks ask for",
        "datastore": f"no host there has the datastore {statics.datastore}",
        "image": f"the image {statics.image} is on no datastore of the hosts there; replicate it",
        "affinity": f"no host that fits lets it stay together with its group {groups}",
        "anti-affinity": f"every host that fits is taken by its group {groups}; add hosts or relax the rule",
        "max_skew": "every host that fits would make the spread too uneven; raise max_skew or add hosts",
    }
    return texts[constraint or "state"]
