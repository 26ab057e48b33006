# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there and how full it is, for readers: as it was recorded, or as the endpoints show it now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..model import entities, units
from ..model.authorization import SYSTEM, authorize
from ..model.errors import PhotonError
from ..scheduler import host_scores
from . import fleet, placement, vm_drift
from .context import Context
from .planning import Plan
from .world import World


@dataclass(slots=True)
class View:
    """One look: the world, the fleet in the scheduler's terms, the score of each host."""

    world: World
    fleet: dict[str, Any]
    scores: dict[str, dict[str, Any]]
    warnings: list[str] = field(default_factory=list)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)  # rows of ``fleet`` by id
    datastores: dict[str, dict[str, Any]] = field(default_factory=dict)
    vms_on: Counter[str] = field(default_factory=Counter)  # number of VMs by host id


def look(context: Context, live: bool = False) -> View:
    """Read the CloudStore and, where ``live``, each endpoint once; nothing is changed anywhere.

    A live look takes states, places, addresses and the use of others from the endpoints; one that cannot be read is
    told in ``warnings``, and what it holds is shown as it was recorded.
    """
    snapshot = context.store.snapshot()
    world = World(snapshot.documents, snapshot.counters)
    if live:
        context.read_endpoints(world, world.of(entities.ENDPOINT))
        _observe(world)
        description = placement.scheduler_fleet(world)
    else:
        recorded = {
            row.id: placement.Usage(row.vcpu_foreign, row.memory_foreign, row.space_foreign)
            for row in snapshot.capacity.values()
        }
        description = placement.scheduler_fleet(world, recorded)
    warnings = [f"{world.must(i).name} shows what was recorded: {e.message}" for i, e in world.unreachable.items()]
    view = View(world, description, host_scores(description), warnings)
    view.hosts = {row["id"]: row for row in description["hosts"]}
    view.datastores = {row["id"]: row for row in description["datastores"]}
    view.vms_on = Counter(row["host"] for row in description["vms"])
    _complete(view)
    return view


def fleet_of(context: Context, *, live: bool = False, zone: str | None = None) -> dict[str, Any]:
    """The fleet as ``place`` takes it, with what is free, each host's score and its parts, and images by name.

    ``{hosts, datastores, zones, images, vms}``; amounts are vCPUs and bytes. ``zone`` keeps the hosts of one zone.
    Hosts are the system administrator's to see. Raises AccessForbidden.
    """
    authorize(context.actor, "list", entities.HOST)
    view = look(context, live)
    description = view.fleet
    if zone is not None:
        view.world.require(entities.ZONE, "", zone)
        description["hosts"] = [host for host in description["hosts"] if host["zone"] == zone]
    return description


def _observe(world: World) -> None:
    """Write what the endpoints show into the world's hosts, datastores and VMs."""
    seen = Plan()
    fleet.plan_hosts((), world, seen, SYSTEM, "")
    fleet.plan_datastores((), None, world, seen, SYSTEM, "")
    for vm in world.of(entities.VM):
        inventory = world.inventories.get(vm.body.get("endpoint") or "")
        if inventory is None or vm.state == "CREATING":
            continue
        row = inventory.vm(vm.id, vm.body.get("vsphere", {}).get("moid"))
        if row is None:
            world.put(replace(vm, state="ERROR"))
        elif row.readable:
            body = {**vm.body, **vm_drift.observed(vm, row, world)}
            world.put(replace(vm, state=vm_drift.power_state(row), body=body))


def _complete(view: View) -> None:
    """What is free, scores, and the images of each host."""
    world, description = view.world, view.fleet
    names: dict[str, list[str]] = defaultdict(list)  # of the images on a datastore
    for image in world.of(entities.IMAGE):
        for store in image.body["copies"]:
            names[store].append(world.path_of(image))
        if not image.scope:
            description["images"][image.name] = sorted(image.body["copies"])
    for row in description["datastores"]:
        row["free"] = row["capacity"] - row["used"]
    for row in description["hosts"]:
        limits = int(row["vcpus"] * row["cpu_overcommit"]), int(row["memory"] * row["memory_overcommit"])
        row["free_vcpus"] = max(0, limits[0] - row["used_vcpus"])
        row["free_memory"] = max(0, limits[1] - row["used_memory"])
        score = view.scores[row["id"]]
        row["score"], row["parts"] = score["score"], {key: value for key, value in score.items() if key != "score"}
        row["endpoint"] = world.must(row["endpoint"]).name
        row["images"] = sorted({name for store in row["datastores"] for name in names[store]})


def names_of(ids: Iterable[str | None], world: World) -> list[str]:
    """The names of documents; ids of what is no longer there stay ids."""
    found = []
    for entity_id in ids:
        document = world.get(entity_id)
        found.append(document.name if document else str(entity_id))
    return sorted(found)


def quota_of(context: Context, path: str) -> dict[str, dict[str, Any]]:
    """``{key: {limit, usage, free, unit, text}}`` of a tenant (``acme``) or project (``acme/web``).

    Amounts are in base units (bytes, pieces, thousandths of a price), ``limit`` and ``free`` None where there is no
    limit; ``unit`` is how people wrote them, ``text`` says both. Raises TenantNotFound, ProjectNotFound,
    AccessForbidden.
    """
    snapshot = context.store.snapshot(kinds=(entities.DEPLOYMENT, entities.TENANT, entities.PROJECT))
    world = World(snapshot.documents, snapshot.counters)
    tenant_name, _slash, project_name = path.partition("/")
    document = world.require(entities.TENANT, "", tenant_name)
    if project_name:
        if "/" in project_name:
            raise PhotonError("SpecInvalid", f"{path!r} is neither a tenant nor a project: write acme or acme/web")
        document = world.require(entities.PROJECT, document.id, project_name)
    authorize(context.actor, "read", document.kind, *world.chain(document))
    return quota_rows(document.id, world)


def quota_rows(owner_id: str, world: World) -> dict[str, dict[str, Any]]:
    """The counters of a tenant or project as quota_of returns them."""
    rows = {}
    for key, counter in sorted(world.counters.get(owner_id, {}).items()):
        if counter.limit is None and not counter.usage:
            continue
        used = units.show(counter.usage, counter.unit)
        rows[key] = {
            "limit": counter.limit,
            "usage": counter.usage,
            "free": None if counter.limit is None else counter.limit - counter.usage,
            "unit": counter.unit,
            "text": used if counter.limit is None else f"{used} of {units.show(counter.limit, counter.unit)}",
        }
    return rows
