# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site made and no longer declares, and what waits for its last user before it goes.

Nothing is deleted merely because it is no longer declared: ``report`` only says so; ``delete`` takes away what this
inventory made, never more than ``max_deletes`` in a run, never what has deletion_protection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..model import entities
from ..model.authorization import Actor
from ..model.declaration import Declaration
from ..model.entities import Document
from ..model.errors import PhotonError
from . import flavors, fleet, images, tenancy, vms, zones
from .context import Context
from .planning import Plan
from .world import World

# Users first, then what they use.
ORDER = (
    entities.VM,
    entities.IMAGE,
    entities.PROJECT,
    entities.TENANT,
    entities.HOST,
    entities.ENDPOINT,
    entities.ZONE,
    entities.FLAVOR,
)


def plan_prune(declaration: Declaration, world: World, plan: Plan, context: Context) -> None:
    """Report or delete what is ``managed_by`` this site and not declared."""
    gone = undeclared(declaration, world, context.managed_by)
    if not gone:
        return
    names = ", ".join(f"{document.kind} {world.path_of(document)}" for document in gone[:10])
    more = f" and {len(gone) - 10} more" if len(gone) > 10 else ""
    if context.options.prune != "delete":
        plan.warnings.append(f"no longer declared and left alone: {names}{more}; photon_prune: delete removes them")
        return
    if len(gone) > context.options.max_deletes:
        plan.fail(
            "site",
            declaration.site,
            PhotonError(
                "TooManyDeletes",
                f"pruning would delete {len(gone)} entities ({names}{more}), more than photon_max_deletes "
                f"({context.options.max_deletes}): none was deleted; raise the limit for this run if that is meant",
            ),
        )
        return
    reason = "no longer declared"
    for document in gone:
        try:
            _DELETERS[document.kind](document, world, plan, context.actor, reason)
        except PhotonError as error:
            plan.fail(document.kind, world.path_of(document), error)


def undeclared(declaration: Declaration, world: World, managed_by: str) -> list[Document]:
    """Documents of this site that the declaration does not name, users before what they use."""
    declared = {(kind, _path(kind, item)) for kind in ORDER for item in declaration.of(kind)}
    return [
        d
        for kind in ORDER
        for d in world.of(kind)
        if d.managed_by == managed_by and d.state != "PENDING_DELETE" and (kind, world.path_of(d)) not in declared
    ]


def plan_pending(world: World, plan: Plan, actor: Actor) -> None:
    """Images, flavors and zones in PENDING_DELETE whose last user goes with this plan."""
    flavors.plan_pending_flavors(world, plan)
    zones.plan_pending_zones(world, plan)
    for image in world.of(entities.IMAGE):
        if image.state == "PENDING_DELETE" and not images.users_of(image, world):
            images.plan_delete(image, world, plan, actor, "its last user is gone")


def _path(kind: str, item: dict[str, Any]) -> str:
    parts = [item.get("tenant"), item.get("project"), item["name"]]
    if kind == entities.FLAVOR:
        parts = [item["kind"], item["name"]]
    return "/".join(part for part in parts if part)


_DELETERS: dict[str, Callable[..., None]] = {
    entities.VM: vms.plan_delete,
    entities.IMAGE: images.plan_delete,
    entities.PROJECT: tenancy.plan_delete,
    entities.TENANT: tenancy.plan_delete,
    entities.HOST: fleet.plan_delete_host,
    entities.ENDPOINT: fleet.plan_delete_endpoint,
    entities.ZONE: zones.plan_delete,
    entities.FLAVOR: flavors.plan_delete,
}
