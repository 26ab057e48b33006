# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole declaration: planned at once, applied in the order in which one thing needs another.

Planning is here; site_run.py is what every door that changes something calls, for a whole site or for one kind.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import entities
from ..model.declaration import Declaration, Known, validate
from ..model.errors import PhotonError
from ..vsphere import inspect_image
from . import drs_rules, flavors, fleet, images, prune, strays, tenancy, vms, zones
from .context import Context
from .planning import DELETE, Plan
from .world import World


@dataclass(slots=True)
class Planned:
    """A plan, the world as it will be after it, and the versions of the documents that it was made from."""

    declaration: Declaration
    plan: Plan
    world: World
    versions: dict[str, int] = field(default_factory=dict)
    capacity: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


def declare(tree: Mapping[str, Any], snapshot: Any) -> Declaration:
    """Validate the variables of a site against what the CloudStore knows. Raises SpecInvalid with every mistake."""
    return validate(tree, Known.of(snapshot.documents))


def plan(
    declaration: Declaration,
    context: Context,
    snapshot: Any,
    *,
    whole: bool = False,
    pinned: Mapping[str, Any] | None = None,
) -> Planned:
    """Compare the declaration with the CloudStore and the endpoints; nothing is changed anywhere.

    ``whole``: the declaration is all of its site, so that what it no longer names is reported or pruned. ``pinned``:
    placements of a saved plan, ``{VM's path: {host, datastore}}``.
    """
    world = World(snapshot.documents, snapshot.counters)
    planned = Planned(
        declaration,
        Plan(warnings=list(declaration.warnings)),
        world,
        {document.id: document.version for document in snapshot.documents},
        dict(snapshot.capacity),
        {d.id: fleet.fact_of(d) for d in snapshot.documents if d.kind in (entities.HOST, entities.DATASTORE)},
    )
    result, actor, owner = planned.plan, context.actor, context.managed_by
    tenancy.plan_security_groups(declaration.security_groups, world, result, actor)
    fleet.plan_endpoints(declaration.endpoints, world, result, actor, owner)
    zones.plan_zones(declaration.zones, world, result, actor, owner)
    flavors.plan_shipped_flavors(world, result)
    flavors.plan_flavors(declaration.flavors, world, result, actor, owner)
    if whole or _needs_fleet(declaration):
        context.read_endpoints(world, world.of(entities.ENDPOINT))
        _report_unreachable(world, result)
        if strays.unknown_uuids(world):
            strays.plan_strays(world, {d.id for d in context.store.tombstones()}, result)
        fleet.plan_hosts(declaration.hosts, world, result, actor, owner)
        fleet.plan_datastores(declaration.datastores, _image_datastores(declaration), world, result, actor, owner)
    tenancy.plan_tenancy(declaration.tenants, declaration.projects, world, result, actor, owner)
    images.plan_images(declaration.images, _files(declaration, context, world), world, result, actor, owner)
    vms.plan_vms(declaration.vms, world, result, actor, _settings(context, pinned))
    tenancy.plan_removals(declaration.tenants, declaration.projects, world, result, actor)
    if whole:
        prune.plan_prune(declaration, world, result, context)
    prune.plan_pending(world, result, actor)
    _supersede(result)
    _refuse_all(result, context)
    drs_rules.plan_rules(world, result, context)
    return planned


def _needs_fleet(declaration: Declaration) -> bool:
    return bool(
        declaration.endpoints
        or declaration.hosts
        or declaration.datastores
        or declaration.images
        or declaration.vms
        or declaration.image_datastores
    )


def _image_datastores(declaration: Declaration) -> list[str] | None:
    """photon_image_datastores and the datastores that say ``image: true``; None leaves the choice as it is."""
    flagged = [item["name"] for item in declaration.datastores if item.get("image")]
    if declaration.image_datastores is None and not flagged:
        return None
    return sorted({*(declaration.image_datastores or []), *flagged})


def _report_unreachable(world: World, result: Plan) -> None:
    for endpoint_id, error in world.unreachable.items():
        endpoint = world.must(endpoint_id)
        result.fail(entities.ENDPOINT, endpoint.name, error)


def _files(declaration: Declaration, context: Context, world: World) -> dict[str, Any]:
    """The facts of the image files that must be looked at, by the name that the declaration gives them."""
    facts: dict[str, Any] = {}
    for name in images.files_to_read(declaration.images, lambda file: _stat(context.path(file)), world):
        try:
            facts[name] = {**inspect_image(context.path(name)), "stat": _stat(context.path(name))}
        except PhotonError as error:
            facts[name] = error
    return facts


def _stat(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _settings(context: Context, pinned: Mapping[str, Any] | None) -> vms.Settings:
    options = context.options
    return vms.Settings(
        managed_by=context.managed_by,
        digest=context.store.digest,
        policy=options.policy,
        quality=options.quality,
        seed=options.seed,
        default_port_group=options.default_port_group,
        pinned=dict(pinned or {}),
    )


def _supersede(result: Plan) -> None:
    """A zone, flavor or image that waits for its last user, who goes in the same plan, is only deleted."""
    gone = {action.id for action in result.actions if action.verb == DELETE}
    result.actions = [a for a in result.actions if a.verb == DELETE or a.id not in gone]


def _refuse_all(result: Plan, context: Context) -> None:
    """``atomic``: when one VM cannot be made, none is."""
    if context.options.atomic and any(failure.kind == entities.VM for failure in result.failures):
        for action in result.of(entities.VM, "create"):
            result.fail(
                entities.VM,
                action.name,
                PhotonError(
                    "DependencyFailed",
                    f"VM {action.name} is not made because atomic is set and another VM cannot be made",
                ),
                action.path,
            )
        result.actions = [a for a in result.actions if not (a.kind == entities.VM and a.verb == "create")]
