# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what exists and how full it is: as it was recorded, or as the endpoints show it now."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

from ..model import entities, states
from ..model.authorization import SYSTEM, authorize
from ..model.declaration import Declaration
from ..model.errors import PhotonError
from ..scheduler import host_scores
from . import placement
from .context import Context
from .fleet import datastores
from .fleet import plan as fleet
from .fleet.capacity import limits_of
from .images.record import complete_copies
from .planning import Options, Plan, Planning
from .state import CurrentState
from .vms import observed
from .vms.record import Vm


@dataclass(slots=True)
class View:
    """One look: the current state, the fleet in the scheduler's terms, the score of each host."""

    state: CurrentState
    fleet: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)  # rows of ``fleet`` by id
    datastores: dict[str, dict[str, Any]] = field(default_factory=dict)
    vms_on: Counter[str] = field(default_factory=Counter)  # number of VMs by host id


def look(context: Context, live: bool = False, *, capacity: bool = True) -> View:
    """Read the CloudStore and, where ``live``, each endpoint once; nothing is changed anywhere.

    A live look takes states, places, addresses and the use of others from the endpoints; one that cannot be read is
    named in ``warnings``, and its part is shown as it was recorded. Without ``capacity`` the view has the state alone:
    it describes everything but hosts and datastores.
    """
    snapshot = context.store.snapshot()
    state = CurrentState.of_snapshot(snapshot)
    if live:
        context.read_endpoints(state, state.of(entities.ENDPOINT))
        _observe(state)
    warnings = [f"{state.must(i).name} shows what was recorded: {e.message}" for i, e in state.unreachable.items()]
    if not capacity:
        return View(state, warnings=warnings)
    description = placement.scheduler_fleet(state, None if live else _recorded_usage(state))
    view = View(state, description, host_scores(description), warnings)
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
        view.state.require(entities.ZONE, "", zone)
        description["hosts"] = [host for host in description["hosts"] if host["zone"] == zone]
    return description


def _recorded_usage(state: CurrentState) -> dict[str, placement.Usage]:
    """What others use of hosts and datastores, as the last run that read them recorded it."""
    usage: dict[str, placement.Usage] = defaultdict(placement.Usage)
    for provider, rows in state.capacity.items():
        for resource, row in rows.items():
            if resource in ("vcpus", "memory", "space"):
                setattr(usage[provider], resource, row.foreign)
    return usage


def _observe(state: CurrentState) -> None:
    """Write what the endpoints show into the hosts, datastores and VMs of the state."""
    planning = Planning(Declaration(), state, Plan(), SYSTEM, "", Options(), str)
    fleet.plan_hosts(planning)
    datastores.plan_datastores(planning)
    for document in state.of(entities.VM):
        vm = Vm.of(document)
        if vm.place is None or vm.place.endpoint not in state.inventories or vm.state == states.CREATING:
            continue
        try:
            seen = observed.find(vm, state)
        except PhotonError:
            continue  # ambiguous: shown as it was recorded
        if seen is None:
            state.put(replace(document, state=states.ERROR))
        elif seen.row.readable:
            state.put(seen.record(vm).write_to(document))


def _complete(view: View) -> None:
    """What is free, scores, and the images of each host."""
    state, description = view.state, view.fleet
    names: dict[str, list[str]] = defaultdict(list)  # of the images on a datastore
    for image in state.of(entities.IMAGE):
        for copy in complete_copies(image.id, state):
            names[copy.body["datastore"]].append(state.path_of(image))
        if not image.scope:
            description["images"][image.name] = description["images"][image.id]
    for row in description["vms"]:
        row["name"] = state.path_of(state.must(row["id"]))
    for row in description["datastores"]:
        row["free"] = row["capacity"] - row["used"]
    for row in description["hosts"]:
        limits = limits_of(state.must(row["id"]))
        row["free_vcpus"] = max(0, limits[0] - row["used_vcpus"])
        row["free_memory"] = max(0, limits[1] - row["used_memory"])
        score = view.scores[row["id"]]
        row["score"], row["parts"] = score["score"], {key: value for key, value in score.items() if key != "score"}
        row["endpoint"] = state.must(row["endpoint"]).name
        row["images"] = sorted({name for store in row["datastores"] for name in names[store]})
