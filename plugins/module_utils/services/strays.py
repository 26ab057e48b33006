# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs that a controller made after it had been overtaken: they carry our id, but no record says that they are here.

A paused controller can send at most the batch in flight when it wakes up. Mostly that meets its own names and does
nothing; where the record went elsewhere meanwhile, or was deleted, the VM it makes is a stray and is removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from .. import vsphere
from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from .context import Context
from .planning import DELETE, Action, Plan
from .world import World

KIND = "stray vm"


def unknown_uuids(world: World) -> set[str]:
    """The instanceUuids of all VMs seen that no record names."""
    return {
        vm.uuid
        for inventory in world.inventories.values()
        for vm in inventory.vms.values()
        if world.get(vm.uuid) is None
    }


def plan_strays(world: World, deleted: Collection[str], plan: Plan) -> None:
    """Add the removal of each stray. ``deleted``: ids of VMs that were deleted lately (the tombstones)."""
    for endpoint_id, row in _strays(world, deleted):
        endpoint = world.must(endpoint_id)
        document = world.get(row.uuid) or Document(entities.VM, row.name, id=row.uuid)
        reason = "made by a controller after it was overtaken"
        data = {"endpoint": endpoint_id, "row": row}
        plan.add(Action(DELETE, KIND, f"{endpoint.name}/{row.name}", document, reason, data=data))


def remove(plan: Plan, world: World, context: Context, run: Any) -> None:
    """Power off and destroy the strays, after their marker was read: only what carries our id is touched."""
    for action in plan.of(KIND, DELETE):
        row = action.data["row"]
        session = context.session(world.must(action.data["endpoint"]))
        try:
            vsphere.read_heavy(session, [row], {})
            if (row.extra_config or {}).get(vsphere.guestinfo.ID_KEY) != row.uuid:
                continue
            destroy = vsphere.destroy(row.moid, row.name, row.uuid)
            first = (
                destroy
                if row.power_state == "poweredOff"
                else vsphere.power_off(row.moid, row.name, then=lambda _result, job=destroy: job)
            )
            for _job, outcome in vsphere.run_jobs(session, [first], before_batch=run.renew):
                if isinstance(outcome, PhotonError):
                    raise outcome
        except PhotonError as error:
            if error.code == "LeaseLost":
                raise
            plan.fail(KIND, action.name, error)


def _strays(world: World, deleted: Collection[str]) -> Iterator[tuple[str, Any]]:
    for endpoint_id, inventory in world.inventories.items():
        for row in inventory.vms.values():
            document = world.get(row.uuid)
            elsewhere = (
                document is not None
                and document.kind == entities.VM
                and document.body.get("endpoint") not in (None, endpoint_id)
            )
            if elsewhere or (document is None and row.uuid in deleted):
                yield endpoint_id, row
