# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply the planned changes of VMs: delete, update, create, in this order, so that what goes makes room for what comes.

Everything is journalled and holds its quota and capacity before the first external call (write.begin); results are
committed in batches, and a conflict on one item never discards another's result.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ... import vsphere
from ...model import entities, states
from ...model.entities import Document
from ...model.errors import PhotonError
from ..context import Applying
from ..disks.backings import attachable
from ..planning import Action, Outcome
from . import jobs
from .actions import CreateVm, DeleteVm, RegisterVm, UpdateVm
from .addresses import record_addresses
from .claims import claim_of
from .observed import observe
from .record import Vm
from .rules import RuleWriter

FLUSH_EVERY = 100  # results that one commit records
Work = Callable[[Document, list[Any]], None]


@dataclass(slots=True)
class Result:
    """What became of one action: the record as it is now (None: deleted), and where it failed."""

    action: Action
    document: Document | None
    changed: bool
    failed_step: str | None = None
    error: PhotonError | None = None


def apply_vms(applying: Applying) -> None:
    """Do everything that the plan says about VMs and their DRS rules; what fails becomes a failure of the plan."""
    rules = RuleWriter(applying)
    if applying.plan.of(entities.VM):
        _Runner(applying, rules).run()
    rules.finish()
    record_addresses(applying)


@dataclass(slots=True)
class _Runner:
    """One run's work on VMs; the results of all endpoints meet in ``record``."""

    applying: Applying
    rules: RuleWriter
    lock: Any = field(default_factory=threading.Lock)
    results: list[Result] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)
    flushes: int = 0

    def run(self) -> None:
        plan = self.applying.plan
        self._on_endpoints(plan.of_type(DeleteVm), self._delete)
        self._on_endpoints(plan.of_type(UpdateVm), self._update)
        self._on_endpoints(plan.of_type(RegisterVm), self._register)
        self._on_endpoints(plan.of_type(CreateVm), self._create)

    def record(self, result: Result) -> None:
        """Keep a result for the next commit; an action has one."""
        with self.lock:
            if result.action.id in self.recorded:
                return
            self.recorded.add(result.action.id)
            self.results.append(result)
            if len(self.results) >= FLUSH_EVERY:
                self._flush()

    # -- the kinds of work on one endpoint -----------------------------------------------------------------------

    def _delete(self, endpoint: Document, actions: list[DeleteVm]) -> None:
        first = {action.id: jobs.delete(action) for action in actions}
        for action in actions:
            if first[action.id] is None:
                self.record(Result(action, None, changed=True))
        for action, job, outcome in self._outcomes(endpoint, [job for job in first.values() if job], actions):
            if isinstance(outcome, PhotonError):  # the jobs before the one that failed were done
                self.record(Result(action, action.document, job is not first[action.id], job.operation, outcome))
            elif job.operation == "DELETE_VM":
                self.record(Result(action, None, changed=True))

    def _update(self, endpoint: Document, actions: list[UpdateVm]) -> None:
        state, session = self.applying.state, self.applying.context.session(endpoint)
        inventory = state.inventories[endpoint.id]
        if endpoint.id in self.rules.pending and any(a.steps and self.rules.binds(a.document) for a in actions):
            self.rules.write(endpoint, last=False)
        prepared = self._prepared(actions, lambda action: jobs.update(action, session, inventory, state))
        done: dict[str, list[str]] = defaultdict(list)
        failed: dict[str, tuple[str, PhotonError]] = {}
        for action, job, outcome in self._outcomes(endpoint, prepared, actions):
            if isinstance(outcome, PhotonError):
                failed[action.id] = (job.operation, outcome)
            elif not job.data.get("part"):
                done[action.id].append(job.operation)
        open_ones = [action for action in actions if action.id not in self.recorded]
        rows = _look(session, inventory, {a.id: a.moid for a in open_ones})  # also what changed since the plan
        for action in open_ones:
            step, error = failed.get(action.id, (None, None))
            # Changes that were not sent to vSphere are reverted in the record, the others are kept.
            undone = error is not None and bool({*action.steps}.intersection(jobs.CHANGES) - {*done[action.id]})
            vm = action.previous if undone else action.vm
            self._seen(action, vm, rows.get(action.id), endpoint, error is None or bool(done[action.id]), step, error)

    def _register(self, endpoint: Document, actions: list[RegisterVm]) -> None:
        state, session = self.applying.state, self.applying.context.session(endpoint)
        inventory = state.inventories[endpoint.id]
        made = jobs.folders(session, inventory, [a.vm for a in actions if a.marked is None], state)
        prepared = self._prepared(actions, lambda action: jobs.register(action, inventory, made, state))
        for action, job, outcome in self._outcomes(endpoint, prepared, actions):
            if isinstance(outcome, PhotonError):
                self.record(Result(action, action.document, False, job.operation, outcome))
        rows = _look(session, inventory, {a.id: a.marked[1].moid if a.marked else None for a in actions})
        for action in actions:
            self._seen(action, action.vm, rows.get(action.id), endpoint, True)

    def _create(self, endpoint: Document, actions: list[CreateVm]) -> None:
        context, state = self.applying.context, self.applying.state
        session, inventory = context.session(endpoint), state.inventories[endpoint.id]
        made = jobs.folders(session, inventory, [action.vm for action in actions], state)
        bound = {action.id for action in actions if self.rules.binds(action.document)}
        attached = attachable(self.applying)  # there before the first start
        prepared = self._prepared(
            actions,
            lambda action: jobs.create(
                action, inventory, made, state, context.store, action.id in bound, attached.get(action.id, ())
            ),
        )
        progress = _Progress()
        self._created(endpoint, prepared, actions, progress)
        if progress.doubtful:  # one look for all whose answer was lost or whose name was found taken: are they ours?
            rows = jobs.read(session, dict.fromkeys(progress.doubtful))
            for action in actions:
                if action.id in rows:
                    progress.moids[action.id] = rows[action.id].moid
                    bound.add(action.id)
                elif action.id in progress.doubtful:
                    error = jobs.settled(progress.doubtful[action.id])
                    self._not_made(action, "CREATE_VM", error, unknown=False)
        waiting = [action for action in actions if action.id in bound and action.id in progress.moids]
        if any(self.rules.binds(action.document) for action in waiting):
            self.rules.write(endpoint)  # DRS may choose another host at power-on: it must know its rules by then
        rest = self._prepared(
            waiting, lambda action: jobs.after_create(action, progress.moids[action.id], inventory, state)
        )
        self._created(endpoint, rest, waiting, progress)
        finished = [action for action in actions if action.id in progress.moids and action.id not in self.recorded]
        found = {action.id: progress.moids[action.id] for action in finished}
        rows = _look(session, inventory, found)  # the disks' uuids, before anything moves them
        for action in finished:
            step, error = progress.failed.get(action.id, (None, None))
            self._seen(action, action.vm, rows.get(action.id), endpoint, True, step, error)

    def _created(self, endpoint: Document, prepared: list[Any], actions: list[CreateVm], progress: _Progress) -> None:
        """Run creates or what follows them, and note how far each came."""
        for action, job, outcome in self._outcomes(endpoint, prepared, actions):
            if job.operation == "CREATE_VM" and isinstance(outcome, PhotonError):
                if jobs.is_doubtful(outcome):
                    progress.doubtful[action.id] = outcome
                else:
                    self._not_made(action, job.operation, outcome, unknown=False)
            elif isinstance(outcome, PhotonError):
                progress.failed[action.id] = (job.operation, outcome)
            elif job.operation == "CREATE_VM":
                progress.moids[action.id] = outcome

    # -- shared --------------------------------------------------------------------------------------------------

    def _not_made(self, action: CreateVm, step: str, error: PhotonError, unknown: bool) -> None:
        """A VM that was not created keeps its quota until it is deleted; its place is free unless it may exist."""
        document = replace(action.document, state=states.ERROR)
        if not unknown:
            document = action.lost or replace(document, observed={})
        self.record(Result(action, document, False, step, error))

    def _fail(self, action: Any, error: PhotonError, unknown: bool) -> None:
        """Record that nothing was done, or (``unknown``) that nobody knows."""
        if isinstance(action, CreateVm):
            self._not_made(action, "CREATE_VM", error, unknown)
        else:
            self.record(Result(action, _unchanged(action), False, None, error))

    def _seen(
        self,
        action: Any,
        vm: Vm,
        row: Any,
        endpoint: Document,
        changed: bool,
        step: str | None = None,
        error: PhotonError | None = None,
    ) -> None:
        """Record a VM as vSphere shows it after the work on it."""
        if row is None:
            missing = PhotonError(
                "VmNotFound", f"VM {action.name} was removed from {endpoint.name} concurrently; run again"
            )
            # Only a new VM is an unfinished one now: another that vanished counts as lost.
            state = states.ERROR if isinstance(action, CreateVm) else action.document.state
            self.record(Result(action, replace(action.document, state=state), changed, step, error or missing))
            return
        seen = observe(vm, row, endpoint.id, self.applying.state)
        self.record(Result(action, seen.record(vm).write_to(action.document), changed, step, error))

    def _on_endpoints(self, actions: Iterable[Any], work: Work) -> None:
        groups: dict[str | None, list[Any]] = defaultdict(list)
        for action in actions:
            if action.outcome is None:
                groups[_endpoint_of(action)].append(action)
        for action in groups.pop(None, []):  # never had a place: there is only a record to delete
            self.record(Result(action, None, changed=True))
        try:
            if groups:
                state = self.applying.state
                with ThreadPoolExecutor(len(groups)) as pool:
                    futures = [pool.submit(self._guarded, work, state.must(i), some) for i, some in groups.items()]
                for future in futures:
                    future.result()
        finally:  # whatever ends the run, finished work is recorded
            with self.lock:
                self._flush()

    def _guarded(self, work: Work, endpoint: Document, actions: list[Any]) -> None:
        """When the endpoint itself fails, every action without a result fails with it, and no other."""
        try:
            work(endpoint, actions)
        except PhotonError as error:
            if error.ends_run:
                raise
            unknown = PhotonError(error.code, error.message, {**error.data, "unknown": True})
            for action in actions:
                self._fail(action, unknown, unknown=True)

    def _prepared(self, actions: Iterable[Any], make: Callable[[Any], Any]) -> list[Any]:
        prepared = []
        for action in actions:
            try:
                job = make(action)
                if job is not None:
                    prepared.append(job)
            except PhotonError as error:
                if error.ends_run:
                    raise
                self._fail(action, error, unknown=False)
        return prepared

    def _outcomes(self, endpoint: Document, prepared: list[Any], actions: list[Any]) -> Iterator[tuple[Any, Any, Any]]:
        by_id = {action.id: action for action in actions}
        if prepared:
            for job, outcome in vsphere.run_jobs(self.applying.context.session(endpoint), prepared):
                if not isinstance(outcome, PhotonError):
                    self.applying.note(by_id[job.key].task, job.operation)
                yield by_id[job.key], job, outcome

    def _flush(self) -> None:
        """Commit the results so far; called with the lock held."""
        results, self.results = self.results, []
        if not results:
            return
        self.flushes += 1
        store, state = self.applying.context.store, self.applying.state
        store.run(lambda tx: _commit(tx, results, state), key=f"{self.applying.context.run.id}/vms/{self.flushes}")
        for result in results:
            self.applying.plan.finish(result.action, Outcome(result.changed, result.error, result.document))
            if result.document is not None:
                state.put(result.document)


@dataclass(slots=True)
class _Progress:
    """How far the creates of one endpoint came: moids of what was made, errors that leave that open, later failures."""

    moids: dict[str, str] = field(default_factory=dict)
    doubtful: dict[str, PhotonError] = field(default_factory=dict)
    failed: dict[str, tuple[str, PhotonError]] = field(default_factory=dict)


def _look(session: Any, inventory: Any, moids: dict[str, str | None]) -> dict[str, Any]:
    """``{id: VmRow}`` of VMs as vSphere shows them now, in detail; ``moids`` by id, None where unknown."""
    rows = jobs.read(session, moids) if moids else {}
    vsphere.read_heavy(session, rows.values(), inventory.networks)
    return rows


def _endpoint_of(action: Any) -> str | None:
    if isinstance(action, RegisterVm) and action.marked is not None:
        return str(action.marked[0])
    vm = action.previous if isinstance(action, UpdateVm) else action.vm
    return vm.place.endpoint if vm.place is not None else None


def _unchanged(action: Any) -> Document:
    """The record of an update, delete or registration that did not happen."""
    return action.previous.write_to(action.document) if isinstance(action, UpdateVm) else action.document


def _commit(tx: Any, results: list[Result], state: Any) -> None:
    """Documents, claims, tasks: every transaction takes them in this order, to avoid deadlocks."""
    kept = [r.document for r in results if r.document is not None]
    vanished = set(tx.settle(kept))
    tx.bury([r.action.document for r in results if r.document is None])
    tx.claim([claim_of(d, state) for d in kept if d.id not in vanished], check=False)
    tx.steps(
        [
            (r.action.task.id, step.sequence, "ERROR", None, r.error)
            for r in results
            for step in r.action.task.steps
            if step.operation == r.failed_step
        ]
    )
    tx.finish_tasks({r.action.task.id: r.error for r in results})
