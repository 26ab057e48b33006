# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery: tasks that a run left unfinished are finished where vSphere shows that they were done, else rolled back.

Only tasks of runs that are over are taken (their process has ended, or their lease ran out); from then on the old run's
lease is lost. Each task is settled in a transaction of its own: one that cannot be settled is reported and
locks its own resource only.
"""

from __future__ import annotations

from collections import defaultdict

from ..cloudstore import Snapshot, Task
from ..model import entities
from ..model.errors import PhotonError
from . import registry
from .context import Context
from .state import CurrentState


def settled_snapshot(context: Context, warnings: list[str]) -> Snapshot:
    """A snapshot in which no open task is that of a run that is over; what was settled is added to ``warnings``.

    A run can be over only after this one began, as when its lease runs out: without this its task would stay open
    until a run after this one. Tasks that cannot be settled are this run's from then on.
    """
    snapshot = context.store.snapshot()
    while any(t.run_id != context.run.id and t.run_id not in snapshot.live_runs for t in snapshot.open_tasks):
        warnings += recover(context)
        snapshot = context.store.snapshot()
    return snapshot


def recover(context: Context) -> list[str]:
    """Take over unfinished tasks and settle them; returns warnings that name what was settled and what was not."""
    tasks = context.store.take_over(context.run)
    if not tasks:
        return []
    state = CurrentState.of_snapshot(context.store.snapshot(), context.run.id)
    detailed = {vm for task in tasks for vm in task.data.get("vms", ())}
    context.read_endpoints(state, state.of(entities.ENDPOINT), detailed)
    if any(task.entity_kind == entities.DISK for task in tasks):
        context.read_disks(state)
    settled: dict[str, int] = defaultdict(int)
    lines = []
    for task in tasks:
        try:
            _settle(context, task, state)
            settled[task.operation] += 1
        except PhotonError as error:
            if error.ends_run:
                raise
            lines.append(f"{_label(task, state)} is still locked by the interrupted {task.operation}: {error.message}")
    if settled:
        listed = ", ".join(f"{number} {operation}" for operation, number in sorted(settled.items()))
        lines.insert(0, f"settled the unfinished tasks of interrupted runs: {listed}")
    return lines


def _settle(context: Context, task: Task, state: CurrentState) -> None:
    kind = registry.KINDS.get(task.entity_kind)
    recover_one = kind.recover if kind is not None else None

    def work(tx: object) -> None:
        document = tx.get([task.entity_id]).get(task.entity_id)  # type: ignore[attr-defined]
        if document is not None and recover_one is not None:
            recover_one(tx, task, document, state)
        tx.finish_tasks({task.id: None})  # type: ignore[attr-defined]

    context.store.run(work)


def _label(task: Task, state: CurrentState) -> str:
    document = state.get(task.entity_id)
    return f"{task.entity_kind} {state.path_of(document) if document else task.entity_id}"
