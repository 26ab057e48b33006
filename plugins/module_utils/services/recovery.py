# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run that died left unfinished: finished where vSphere shows that it was done, taken back where not.

Only tasks of runs that are over (their process is gone, or their lease ran out) are taken; from then on the old run's
lease is lost, so that if it was only paused, at most the batch in flight still goes out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..cloudstore import Task
from ..model import entities
from ..model.entities import Document
from . import vm_jobs
from .claims import capacity_claims
from .context import Context
from .vms import inventory_row
from .world import World


def recover(context: Context, run: Any) -> list[str]:
    """Take over and settle unfinished tasks; returns warnings for people. One commit for all of them."""
    tasks = context.store.take_over(run)
    if not tasks:
        return []
    snapshot = context.store.snapshot()
    world = World(snapshot.documents, snapshot.counters)
    wanted = {document.body.get("endpoint") for task in tasks if (document := world.get(task.entity_id))} - {None}
    context.read_endpoints(
        world, [e for i in wanted if (e := world.get(i)) is not None and e.kind == entities.ENDPOINT]
    )
    settled = [task for task in tasks if _reachable(task, world)]
    context.store.run(lambda tx: [_settle(tx, task, world) for task in settled])
    lines = [f"{len(settled)} unfinished tasks of a run that ended early were settled"] if settled else []
    if len(settled) < len(tasks):
        lines.append(f"{len(tasks) - len(settled)} unfinished tasks wait for an endpoint that cannot be read")
    return lines


def _reachable(task: Task, world: World) -> bool:
    document = world.get(task.entity_id)
    return document is None or document.body.get("endpoint") not in world.unreachable


def _settle(tx: Any, task: Task, world: World) -> None:
    document = world.get(task.entity_id)
    if document is not None and document.kind == entities.VM:
        _settle_vm(tx, task, document, world)
    elif document is not None and document.kind == entities.IMAGE and task.operation == "CREATE_IMAGE":
        tx.update([replace(document, state="READY" if document.body["copies"] else "ERROR")])
    tx.finish_tasks({task.id: None})


def _settle_vm(tx: Any, task: Task, document: Document, world: World) -> None:
    row = inventory_row(document, world)
    if row is not None and not row.readable:
        return  # its record stays as it is until its host or datastore is back
    if row is not None:
        tx.update([vm_jobs.seen(document, row, world)])
    elif task.operation == "DELETE_VM":
        tx.charge(document.scope, {key: (-amount, unit) for key, (amount, unit) in document.body["cost"].items()})
        tx.release(capacity_claims([document], world))
        tx.release_groups([document.id])
        tx.delete([document])
    elif task.operation == "CREATE_VM":
        # Nothing was made yet. Identity, quota and place stay for the run that makes it: when the old run was only
        # paused, its late call then meets the same name in the same folder.
        tx.update([replace(document, state="ERROR")])
