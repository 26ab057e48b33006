# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Host states: suspend and resume are the platform's own, maintenance is vSphere's too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import vsphere
from ..cloudstore import Step, Task
from ..model import entities
from ..model.entities import Document
from ..model.errors import PhotonError
from .context import Context
from .planning import CREATE, UPDATE, Action, Plan
from .world import World

_VSPHERE = {"ENTER_MAINTENANCE_MODE": vsphere.enter_maintenance, "EXIT_MAINTENANCE_MODE": vsphere.exit_maintenance}


def change_states(plan: Plan, world: World, context: Context, run: Any) -> None:
    """Carry out the operations that hosts' actions ask for; a host whose operation fails keeps its old record."""
    for action in plan.of(entities.HOST, CREATE, UPDATE):
        operations = [name for name in action.data.get("operations", []) if name in _VSPHERE]
        if not operations:
            continue
        try:
            _change(action, operations, world, context, run)
        except PhotonError as error:
            if error.code == "LeaseLost":
                raise
            plan.fail(entities.HOST, action.name, error, action.path)
            world.put(replace(action.document, state=action.data["seen"]))


def _change(action: Action, operations: list[str], world: World, context: Context, run: Any) -> None:
    host: Document = action.document
    endpoint = world.must(host.body["endpoint"])
    task = Task(
        operations[0],
        entities.HOST,
        host.id,
        state="STARTED",
        steps=[Step(number, name, "QUEUED") for number, name in enumerate(operations)],
    )
    context.store.run(lambda tx: tx.add_tasks([task]))
    error = None
    for name in operations:
        job = _VSPHERE[name](host.body["moid"], host.name, key=host.id, operation=name)
        for _job, outcome in vsphere.run_jobs(context.session(endpoint), [job], before_batch=run.renew):
            if isinstance(outcome, PhotonError):
                error = error or outcome
        if error is not None:
            break
    context.store.run(lambda tx: tx.finish_tasks({task.id: error}))
    if error is not None:
        raise error
