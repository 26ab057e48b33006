# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run many vSphere tasks at once: submitted by several threads within budgets, waited for together.

All open tasks are polled with one RetrievePropertiesEx per round. (A PropertyCollector's WaitForUpdatesEx would answer
sooner, but its cost grows with updates times objects, and a second wait on a session's default collector returns all
that the first one watched.)
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

from ..model.errors import PhotonError
from . import api, faults, retrieve
from .session import Session

_TASK_PATHS = ["info.state", "info.error", "info.result"]
_PROGRESS = "info.progress"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


@dataclass(slots=True)
class Job:
    """One task to start and wait for.

    ``submit(session)`` makes the call and returns the Task (waited for) or anything else (the result at once). ``what``
    names the item in messages. ``host`` and ``datastore`` are the moids whose budgets it uses, ``host_units`` how much
    of the host's (a child disk or a power operation 1, a copy 4, a storage move 8). ``done_by`` lists faults that mean
    that the desired state is reached already, with the power state where it matters (``InvalidPowerState:poweredOn``).
    ``then(result)`` may return the next job of the same item, which is started as soon as this one is done; both are
    reported. When ``then`` raises PhotonError, the job is reported once more with that error. ``progress`` is called
    with the task's percents as they change.
    """

    key: Any
    what: str
    submit: Callable[[Session], Any]
    operation: str = ""
    host: str | None = None
    host_units: int = 1
    datastore: str | None = None
    timeout: float = 1800.0
    done_by: frozenset[str] = frozenset()
    then: Callable[[Any], Job | None] | None = None
    progress: Callable[[int], None] | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Budgets:
    """Bounds of what runs at the same time. vCenter queues more than 640 operations, 16 units per host, 128 per
    datastore.

    ``batch`` bounds how many calls wait for a thread.
    """

    overall: int = 640
    per_host: int = 16
    per_datastore: int = 128
    batch: int = 64
    threads: int = 8


def run_jobs(session: Session, jobs: Iterable[Job], budgets: Budgets | None = None) -> Iterator[tuple[Job, Any]]:
    """Run all jobs; yields ``(job, result)`` or ``(job, PhotonError)`` as they end, in no fixed order.

    A result is the task's (a created VM's moid, or the element of a data object) or None. After an error whose
    ``data["unknown"]`` is true, the call or task may have had its effect: look (``lookup_vms``) before doing it again.
    What ``session.guard`` raises is raised here; tasks under way then continue in vSphere, unreported.
    """
    run = _Run(session, deque(jobs), budgets or Budgets())
    executor = ThreadPoolExecutor(max_workers=run.budgets.threads, thread_name_prefix="vsphere")
    try:
        yield from run.results(executor)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


class _Run:
    def __init__(self, session: Session, pending: deque[Job], budgets: Budgets) -> None:
        self.session = session
        self.pending = pending
        self.budgets = budgets
        self.submitting: dict[Future[Any], Job] = {}
        self.running: dict[str, tuple[Job, float]] = {}  # by the task's moid: job and deadline
        self.units: Counter[str] = Counter()

    def results(self, executor: ThreadPoolExecutor) -> Iterator[tuple[Job, Any]]:
        pause, next_poll = _FIRST_PAUSE, 0.0
        while self.pending or self.submitting or self.running:
            yield from self._interrupted()
            for job in self._start(executor):
                yield job, PhotonError("InternalError", f"{job.what}: it needs more of a host than the whole budget")
            if self.submitting:
                left = max(0.0, next_poll - time.monotonic()) if self.running else None
                done, _others = wait(self.submitting, timeout=left, return_when=FIRST_COMPLETED)
                for future in done:
                    yield from self._submitted(future)
                if done and self.submitting:
                    continue  # calls first: they are answered faster than tasks end
            yield from self._interrupted()
            if not self.running:
                continue
            left = next_poll - time.monotonic()
            if left > 0:
                if self.submitting:
                    continue
                time.sleep(left)
            began = time.monotonic()
            ended = list(self._poll())
            pause = _FIRST_PAUSE if ended else min(pause * 1.5, _LONGEST_PAUSE)
            # A round over many tasks takes time itself: spend at most a third of it on polling.
            next_poll = time.monotonic() + max(pause, 2 * (time.monotonic() - began))
            for job, outcome in ended:
                yield from self._ended(job, outcome)

    def _interrupted(self) -> Iterator[tuple[Job, Any]]:
        """After an interruption nothing more is submitted; after a second one what runs is not waited for."""
        level = self.session.interrupted()
        while level >= 1 and self.pending:
            job = self.pending.popleft()
            yield job, PhotonError("Interrupted", "not begun, as the run was interrupted; run again")
        while level >= 2 and self.running:
            _moid, (job, _deadline) = self.running.popitem()
            message = "still under way when the run was interrupted; run again to see what came of it"
            yield job, PhotonError("Interrupted", message, {"unknown": True})

    def _start(self, executor: ThreadPoolExecutor) -> list[Job]:
        """Submit the next batch that the budgets allow; returns jobs that exceed a whole budget."""
        impossible: list[Job] = []
        if len(self.submitting) > self.budgets.threads:  # no thread is idle: fewer, larger batches
            return impossible
        room = min(
            self.budgets.batch - len(self.submitting), self.budgets.overall - len(self.submitting) - len(self.running)
        )
        batch: list[Job] = []
        passed: deque[Job] = deque()
        while self.pending and len(batch) < room:
            job = self.pending.popleft()
            if job.host and job.host_units > self.budgets.per_host:
                impossible.append(job)
            elif self._fits(job):
                self._take(job, 1)
                batch.append(job)
            else:
                passed.append(job)
        passed.extend(self.pending)
        self.pending = passed
        for job in batch:
            self.submitting[executor.submit(job.submit, self.session)] = job
        return impossible

    def _fits(self, job: Job) -> bool:
        return (not job.host or self.units["host " + job.host] + job.host_units <= self.budgets.per_host) and (
            not job.datastore or self.units["datastore " + job.datastore] < self.budgets.per_datastore
        )

    def _take(self, job: Job, sign: int) -> None:
        if job.host:
            self.units["host " + job.host] += sign * job.host_units
        if job.datastore:
            self.units["datastore " + job.datastore] += sign

    def _submitted(self, future: Future[Any]) -> Iterator[tuple[Job, Any]]:
        job = self.submitting.pop(future)
        try:
            answer = future.result()
        except PhotonError as error:
            if self.session.stopped:
                raise
            yield from self._ended(job, _forgiven(job, error))
            return
        if isinstance(answer, api.load().vim.Task):
            self.running[answer._moId] = (job, time.monotonic() + job.timeout)  # pylint: disable=protected-access
        else:
            yield from self._ended(job, answer)

    def _poll(self) -> Iterator[tuple[Job, Any]]:
        """Read all open tasks at once; yields those that ended, timed out or vanished."""
        seen = set()
        watched = [_PROGRESS] if any(job.progress for job, _deadline in self.running.values()) else []
        try:
            rows = retrieve.from_objects(self.session, "Task", self.running, _TASK_PATHS + watched)
        except PhotonError as error:  # the endpoint is unreachable: the state of the tasks is unknown
            for moid in list(self.running):
                job, _deadline = self.running.pop(moid)
                yield job, PhotonError(error.code, f"{job.what}: {error.message}", {**error.data, "unknown": True})
            return
        for _kind, moid, values in rows:
            seen.add(moid)
            state = values.get("info.state")
            if (percent := values.get(_PROGRESS)) and (report := self.running[moid][0].progress):
                report(int(percent))
            if state == "success":
                job, _deadline = self.running.pop(moid)
                result = values.get("info.result")
                yield job, result if retrieve.is_object(result) else result or None
            elif state == "error":
                job, _deadline = self.running.pop(moid)
                yield job, _forgiven(job, task_error(job.what, values.get("info.error")))
        now = time.monotonic()
        for moid, (job, deadline) in list(self.running.items()):
            if moid in seen and now <= deadline:
                continue
            del self.running[moid]
            said = f"its task {moid} still runs after {job.timeout:g} s; run again when it has ended"
            if moid not in seen:
                said = f"vSphere no longer knows its task {moid}; run again, and what it did is found by its uuid"
            data = {"unknown": True, "what": job.what, "task": moid}
            yield job, PhotonError("TaskNotCompleted", f"{job.what}: {said}", data)

    def _ended(self, job: Job, outcome: Any) -> Iterator[tuple[Job, Any]]:
        self._take(job, -1)
        yield job, outcome
        if job.then and not isinstance(outcome, PhotonError):
            try:
                follower = job.then(outcome)
            except PhotonError as error:  # the next job cannot be built: only this item fails
                yield replace(job, then=None), error
            else:
                if follower is not None:
                    self.pending.appendleft(follower)


def _forgiven(job: Job, error: PhotonError) -> Any:
    fault, state = error.data.get("fault"), error.data.get("existing_state")
    return None if job.done_by & {fault, f"{fault}:{state}"} else error


def task_error(what: str, element: Any) -> PhotonError:
    """Translate the LocalizedMethodFault of a task."""
    fault = retrieve.child(element, "fault") if retrieve.is_object(element) else None
    if fault is None:
        return faults.from_name(what, "MethodFault", faults.Details("the task failed without a reason"))
    return retrieve.fault(what, fault, "MethodFault", retrieve.text(element, "localizedMessage"))
