# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for another run that works on what this one has planned; it waits before it has begun anything itself."""

from __future__ import annotations

import time
from collections.abc import Collection

from ..cloudstore import RUN, WAIT, Task
from .context import Context

_LOOK_EVERY = 0.5  # seconds


def wait_for(run_ids: Collection[str], context: Context, until: float) -> bool:
    """Wait until the tasks of these runs have ended, one run after the other, at the latest ``until`` (monotonic).

    Returns whether it waited, so that a new plan may find more to do. The wait is in the journal, for those who watch.
    Raises Interrupted.
    """
    waited = False
    while time.monotonic() < until and (others := context.store.working(run_ids)):
        run, holder = next(iter(others.items()))
        task = Task(WAIT, RUN, context.run.id, data={"run": run, "by": holder}, state="STARTED")
        context.store.run(lambda tx, task=task: tx.add_tasks([task]))  # type: ignore[misc]
        try:
            while time.monotonic() < until and context.store.working([run]):
                time.sleep(_LOOK_EVERY)
                context.interruption.check()
        finally:
            context.store.run(lambda tx, task=task: tx.finish_tasks({task.id: None}))  # type: ignore[misc]
        waited = True
    return waited
