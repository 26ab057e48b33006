# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply changes of hosts: maintenance mode is vSphere's, everything else was done with the record."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ... import vsphere
from ...model.errors import PhotonError
from ..context import Applying
from ..planning import Outcome
from .plan import ChangeHost
from .record import effective_state

_JOBS = {"ENTER_MAINTENANCE_MODE": vsphere.enter_maintenance, "EXIT_MAINTENANCE_MODE": vsphere.exit_maintenance}


def apply_hosts(applying: Applying) -> None:
    """Change the maintenance mode of hosts, all of an endpoint together; a failure is that host's alone."""
    by_endpoint: dict[str, list[ChangeHost]] = {}
    for action in applying.plan.of_type(ChangeHost):
        if action.task is not None:
            by_endpoint.setdefault(action.document.body["endpoint"], []).append(action)
    for endpoint_id, actions in by_endpoint.items():
        left = {action.id: action for action in actions}
        try:
            _apply(endpoint_id, left, applying)
        except PhotonError as error:
            if error.ends_run:
                raise
            for action in left.values():  # the endpoint itself cannot be reached
                _finish(action, error, applying)


def _apply(endpoint_id: str, left: dict[str, ChangeHost], applying: Applying) -> None:
    """Run one job per host; takes out of ``left`` what was finished."""
    session = applying.context.session(applying.state.must(endpoint_id))
    jobs = []
    for action in left.values():
        make = _JOBS[action.task.operation]  # type: ignore[union-attr]
        jobs.append(make(action.document.observed["moid"], action.document.name, key=action.id))
    for job, outcome in vsphere.run_jobs(session, jobs):
        error = outcome if isinstance(outcome, PhotonError) else None
        if error is not None and error.ends_run:
            raise error
        _finish(left.pop(job.key), error, applying)


def _finish(action: ChangeHost, error: PhotonError | None, applying: Applying) -> None:
    """Record the result. After a failure the record keeps the declared state, which is tried again by the next run."""
    task, document = action.task, action.document
    if error is None:
        entered = task.operation == "ENTER_MAINTENANCE_MODE"  # type: ignore[union-attr]
        document = document.with_observed(in_maintenance=entered)

    def work(tx: Any) -> None:
        if error is None:
            tx.settle([document])
        tx.finish_tasks({task.id: error})  # type: ignore[union-attr]

    applying.context.store.run(work)
    action.document = applying.state.put(replace(document))
    changed = error is None or effective_state(document) != action.seen or action.changes != ["state"]
    applying.plan.finish(action, Outcome(changed, error, document))
