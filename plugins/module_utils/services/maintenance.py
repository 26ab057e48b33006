# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the platform does by itself from time to time, as the original's housekeeper did: one leader, duty by duty.

Each duty is a run of its own, so other controllers can work concurrently; one that fails leaves the others alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..cloudstore import RUN, Conflict, Task
from ..model import entities
from ..model.authorization import authorize
from ..model.declaration import Declaration
from ..model.errors import PhotonError
from . import metrics, recovery, run, verify
from .context import Context
from .run import Request, changing, reading

_LEADER = "maintenance"  # the task that the leader holds is on this id


@dataclass(slots=True)
class Duty:
    """What became of one duty. ``state``: done, failed or skipped; ``changes``: what it changed, in people's words."""

    name: str
    state: str = "done"
    seconds: float = 0.0
    changes: list[str] = field(default_factory=list)
    findings: int = 0
    error: str = ""
    error_code: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "seconds": round(self.seconds, 3),
            "changes": self.changes,
            "findings": self.findings,
            "error": self.error,
            "error_code": self.error_code,
        }


def maintain(
    request: Request, duties: Sequence[str] = (), time_budget: float = 0.0, metrics_file: str | None = None
) -> dict[str, Any]:
    """Do these duties, or all: ``{changed, leader, duties, failures}``.

    ``time_budget``: seconds after which none is begun, 0: no end. ``metrics_file`` gets the figures as OpenMetrics.

    One controller does them: where another one is at it, nothing is done and ``leader`` is False. With
    ``request.check`` nothing is changed. Raises AccessForbidden, and SpecInvalid where the file cannot be written.
    """
    until = time.monotonic() + time_budget if time_budget else float("inf")
    names = [name for name in DUTIES if name in duties or not duties]
    if request.check:
        with reading(request) as context:
            _authorize(context)
            done = _do(names, request, until, lambda: None)
        return _answer(done)
    with changing(request) as context:
        _authorize(context)
        task = Task("MAINTENANCE", RUN, _LEADER, state="STARTED")
        if not _lead(task, context):
            return {"changed": False, "leader": False, "duties": []}
        try:
            done = _do(names, request, until, context.run.check)
        finally:
            context.store.run(lambda tx: tx.finish_tasks({task.id: None}))
        if metrics_file:
            metrics.write(metrics_file, context, [duty.to_dict() for duty in done])
    return _answer(done)


def _lead(task: Task, context: Context) -> bool:
    """Become the leader, also after one that was killed; False while another one is at it."""
    for again in (True, False):
        try:
            context.store.run(lambda tx: tx.add_tasks([task]))
        except Conflict:
            if again:
                recovery.recover(context)
        else:
            return True
    return False


def _authorize(context: Context) -> None:
    snapshot = context.store.snapshot([entities.DEPLOYMENT])
    authorize(context.actor, "verify", entities.DEPLOYMENT, *snapshot.documents)


def _do(names: Sequence[str], request: Request, until: float, check: Callable[[], Any]) -> list[Duty]:
    done = []
    for name in names:
        duty = Duty(name)
        done.append(duty)
        if time.monotonic() >= until:
            duty.state = "skipped"
            continue
        check()
        began = time.monotonic()
        try:
            DUTIES[name](request, duty)
        except PhotonError as error:
            if error.ends_run or error.code == "Interrupted":
                raise
            duty.state, duty.error, duty.error_code = "failed", error.message, error.code
        duty.seconds = time.monotonic() - began
    return done


def _answer(done: Sequence[Duty]) -> dict[str, Any]:
    return {
        "changed": any(duty.changes for duty in done),
        "leader": True,
        "duties": [duty.to_dict() for duty in done],
        "failures": [
            {"kind": "duty", "name": d.name, "path": "", "error_code": d.error_code, "message": d.error, "count": 1}
            for d in done
            if d.error
        ],
    }


# -- the duties ----------------------------------------------------------------------------------------------------


def _locks(request: Request, duty: Duty) -> None:
    """Settle what interrupted runs left unfinished and locked."""
    if request.check:
        with reading(request) as context:
            snapshot = context.store.snapshot([])
        left = [task for task in snapshot.open_tasks if task.run_id not in snapshot.live_runs]
        duty.changes = [f"settle {task.operation}" for task in left]
        return
    with changing(request) as context:
        duty.changes = recovery.recover(context)


def _pending(request: Request, duty: Duty) -> None:
    """Delete what waited for its last user (PENDING_DELETE)."""
    _note(run.run_declared(Declaration(), request), duty)


def _hosts(request: Request, duty: Duty) -> None:
    """Read the endpoints and record what hosts and datastores are by now."""
    with reading(request) as context:
        snapshot = context.store.snapshot([entities.HOST, entities.ENDPOINT])
    endpoints = {d.id: d.name for d in snapshot.documents if d.kind == entities.ENDPOINT}
    hosts = [d for d in snapshot.documents if d.kind == entities.HOST]
    items = [{"name": host.name, "endpoint": endpoints[host.body["endpoint"]]} for host in hosts]
    if items:
        _note(run.run_items(entities.HOST, items, request), duty)


def _verify(request: Request, duty: Duty) -> None:
    """Count what differs between records, allocations and endpoints; nothing is repaired."""
    with reading(request) as context:
        found = verify.verify(context)
    duty.findings = len(found.left)
    if found.unread:
        raise PhotonError("EndpointUnreachable", f"not compared, as it could not be read: {', '.join(found.unread)}")


def _note(outcome: Mapping[str, Any], duty: Duty) -> None:
    duty.changes = list(outcome.get("changes") or [])
    failures = outcome["failures"]
    for row in failures:
        if row["error_code"] == "Interrupted":  # it is the whole that was to end
            raise PhotonError("Interrupted", row["message"])
    if failures:
        duty.state, duty.error_code = "failed", failures[0]["error_code"]
        duty.error = "; ".join(f"{row['kind']} {row['name']}: {row['message']}" for row in failures[:5])


DUTIES: dict[str, Callable[[Request, Duty], None]] = {
    "locks": _locks,
    "pending_deletes": _pending,
    "hosts": _hosts,
    "verify": _verify,
}
