# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a VM went nowhere, in numbers and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .constraints import CODES
from .photon import utilization_score
from .requests import Request

if TYPE_CHECKING:
    from .engine import Engine
    from .pools import Test
    from .view import View

UNITS = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))


class Reasons:
    """Answers for VMs without a place. VMs of a shape that is full share one, whatever their number."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._full: dict[Any, dict[str, Any]] = {}

    def of(self, request: Request, index: int, view: View) -> dict[str, Any]:
        """The ``unplaced`` mapping: hosts that each constraint removed, in order, the nearest miss, and the
        sentence."""
        if not view.full:
            return {"request": request.id, "index": index, **self._explain(request, view)}
        found = self._full.get(request.shape)
        if found is None:
            found = self._full[request.shape] = self._explain(request, view)
        return {"request": request.id, "index": index, **found}

    def _explain(self, request: Request, view: View) -> dict[str, Any]:
        engine, candidates = self.engine, view.candidates
        eliminated = list(candidates.eliminated)
        last = eliminated[-1][0] if eliminated else None
        left = survivors = candidates.hosts
        for name, test in [*capacity_tests(engine, request, view), *engine.tests(request, view)]:
            if not left:
                break
            survivors = left
            left = [host for host in survivors if test(host)]
            if len(left) < len(survivors):
                eliminated.append((name, len(survivors) - len(left)))
                last = name
        hosts = survivors if candidates.hosts else candidates.removed.get(last or "", [])
        nearest = nearest_miss(engine, request, last, hosts)
        return {
            "code": CODES[last] if last else "NoSuchResource",
            "eliminated": [list(pair) for pair in eliminated],
            "nearest": nearest,
            "message": sentence(request, last, nearest, len(engine.fleet.ids)),
        }


def capacity_tests(engine: Engine, request: Request, view: View) -> list[tuple[str, Test]]:
    """CPU, memory and storage as (constraint, test of a host), with the original's 95 % limit under its policy."""
    fleet, shape = engine.fleet, request.shape
    tests: list[tuple[str, Test]] = [
        ("cpu", lambda host: fleet.cpu_free[host] >= shape.vcpus),
        ("memory", lambda host: fleet.memory_free[host] >= shape.memory),
        ("storage", lambda host: view.fit_disks(host) is not None),
    ]
    if engine.policy.name == "photon":

        def refusal(host: int) -> str | None:
            parts = utilization_score(fleet, host, shape, view.fit_disks(host) or ())
            return parts if isinstance(parts, str) else None

        tests += [(name, lambda host, name=name: refusal(host) != name) for name in ("cpu", "memory", "storage")]
    return tests


def nearest_miss(engine: Engine, request: Request, constraint: str | None, hosts: Sequence[int]) -> dict[str, Any]:
    """The host that came closest to the last constraint: what was needed there, what it has."""
    fleet, shape = engine.fleet, request.shape
    if constraint is None or not hosts:
        return {}
    if constraint == "cpu":
        best = max(hosts, key=lambda host: fleet.cpu_free[host])
        needed, has = shape.vcpus, fleet.cpu_free[best]
    elif constraint == "memory":
        best = max(hosts, key=lambda host: fleet.memory_free[host])
        needed, has = shape.memory, fleet.memory_free[best]
    elif constraint == "storage":

        def room(host: int) -> int:
            return max((fleet.store_free[s] for s in fleet.stores[host]), default=0)

        best = max(hosts, key=room)
        needed, has = sum(disk.capacity for disk in shape.disks), room(best)
    else:
        best = hosts[0]
        return {"constraint": constraint, "host": fleet.ids[best], "name": fleet.names[best], "zone": fleet.zones[best]}
    return {
        "constraint": constraint,
        "host": fleet.ids[best],
        "name": fleet.names[best],
        "zone": fleet.zones[best],
        "needed": needed,
        "available": has,
        "missing": needed - has,
    }


def sentence(request: Request, constraint: str | None, nearest: dict[str, Any], hosts: int) -> str:
    """One line for people: what is needed, what the nearest host has, what would help."""
    if not hosts:
        return f"request {request.id}: hosts: the fleet has no hosts; declare some or wait until their endpoint answers"
    where = f" in zone {nearest['zone']}" if nearest.get("zone") else ""
    statics = request.shape.statics
    if constraint in ("cpu", "memory", "storage"):
        need, have = nearest["needed"], max(0, nearest["available"])
        if constraint == "cpu":
            return f"needs {need} vCPUs, the freest host{where} has {have} left"
        if constraint == "memory":
            return f"needs {size(need)} of memory, the freest host{where} has {size(have)}"
        return f"needs {size(need)} on datastores, the emptiest one{where} has {size(have)}"
    open_zones = f"zone {', '.join(statics.zones)}" if statics.zones else "a zone open to this tenant"
    groups = ", ".join(request.groups)
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


def summary(engine: Engine, placements: Sequence[Any], unplaced: Sequence[Any]) -> dict[str, Any]:
    """Totals of one call."""
    return {
        "policy": engine.policy.name,
        "quality": engine.policy.quality,
        "placed": len(placements),
        "unplaced": len(unplaced),
        "hosts_used": engine.used.count(2) + engine.used.count(3),
        "hosts_opened": engine.used.count(2),
    }


def size(amount: int) -> str:
    """Bytes as people write them: ``9.5 GB``."""
    for factor, unit in UNITS:
        if amount >= factor:
            return f"{amount / factor:.4g} {unit}"
    return f"{amount} B"
