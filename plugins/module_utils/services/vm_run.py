# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs: carries a plan's actions out on the endpoints, side by side, and records what became of each.

The order is delete, update, create: what goes makes room for what comes. Every change is journalled before its first
external call, so that a run that died is taken up by the next one (recovery.py).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ..cloudstore import Step, Task
from ..model import entities, flavors
from ..model.entities import Document
from ..model.errors import PhotonError
from . import claims, drs_rules, vm_jobs
from .context import Context
from .planning import CREATE, DELETE, KEEP, UPDATE, Action, Plan
from .world import World

FLUSH_EVERY = 100  # results that one commit records


@dataclass(slots=True)
class Result:
    """What became of one action: the document as it is now (None: deleted), and the failure of step ``failed``."""

    action: Action
    document: Document | None
    failed: int | None = None
    error: PhotonError | None = None


@dataclass(slots=True)
class Runner:
    """One run's work on VMs; results of all endpoints meet in ``record``, which commits them in batches."""

    world: World
    plan: Plan
    context: Context
    run: Any
    rules: drs_rules.Keeper
    lock: Any = field(default_factory=threading.Lock)
    results: list[Result] = field(default_factory=list)
    flushes: int = 0

    def apply(self) -> None:
        """Everything the plan says about VMs; what fails is appended to the plan's failures."""
        self._journalled(self.plan.of(entities.VM, DELETE), lambda action: ["DELETE_VM"], self._delete_on)
        updates = self.plan.of(entities.VM, UPDATE)
        self._journalled(updates, vm_jobs.update_operations, self._update_on, claims.claim_changes)
        self._observe()
        created = claims.claim(self.plan.of(entities.VM, CREATE), self.world, self.plan, self.context, self.run)
        self._on_endpoints(created, self._create_on)

    def record(self, result: Result) -> None:
        result.action.data["recorded"] = True
        with self.lock:
            self.results.append(result)
            if len(self.results) >= FLUSH_EVERY:
                self._flush()

    # -- the three kinds of work on one endpoint -------------------------------------------------------------

    def _create_on(self, endpoint: Document, actions: list[Action]) -> None:
        session, inventory = self.context.session(endpoint), self.world.inventories[endpoint.id]
        self.run.renew()
        folders = vm_jobs.folders(session, inventory, actions, self.world)
        bound = {action.id for action in actions if self.rules.binds(action)}
        jobs = self._prepared(
            actions, lambda action: vm_jobs.create(action, inventory, folders, self.world, action.id in bound)
        )
        made: dict[str, str] = {}
        finished: list[Action] = []
        doubtful = self._created(session, jobs, actions, made, finished)
        waiting = bound & made.keys()
        if doubtful:  # one look for all whose answer was lost or whose name was found taken: by us, under our uuid?
            rows = vm_jobs.read(session, list(doubtful))
            found = [action for action in actions if action.id in doubtful and action.id in rows]
            made.update((action.id, rows[action.id].moid) for action in found)
            waiting |= {action.id for action in found}
            finished += [action for action in found if vm_jobs.is_last(action, "CREATE_VM")]
            for action in actions:
                if action.id in doubtful and action.id not in rows:
                    self.record(_half_made(action, "CREATE_VM", None, vm_jobs.settled(doubtful[action.id])))
        if bound & made.keys():  # DRS may choose another host at power-on: it must know its rules by then
            self.rules.write(endpoint)
        rest = [action for action in actions if action.id in waiting]
        jobs = self._prepared(rest, lambda action: vm_jobs.after_create(action, made[action.id], self.world))
        self._created(session, jobs, rest, made, finished)
        self._settle(endpoint, finished, made)

    def _created(
        self, session: Any, jobs: list[Any], actions: list[Action], made: dict[str, str], finished: list[Action]
    ) -> dict[str, PhotonError]:
        """Run creates or what follows them; returns ``{id: error}`` of those that may have been made all the same."""
        doubtful: dict[str, PhotonError] = {}
        for action, job, outcome in self._outcomes(session, jobs, actions):
            if isinstance(outcome, PhotonError) and job.operation == "CREATE_VM" and vm_jobs.is_doubtful(outcome):
                doubtful[action.id] = outcome
            elif isinstance(outcome, PhotonError):
                self.record(_half_made(action, job.operation, made.get(action.id), outcome))
            else:
                if job.operation == "CREATE_VM":
                    made[action.id] = outcome
                if vm_jobs.is_last(action, job.operation):
                    finished.append(action)
        return doubtful

    def _update_on(self, endpoint: Document, actions: list[Action]) -> None:
        session, inventory = self.context.session(endpoint), self.world.inventories[endpoint.id]
        if endpoint.id in self.rules.pending and any(a.data["operations"] and self.rules.binds(a) for a in actions):
            self.rules.write(endpoint, last=False)
        jobs = self._prepared(actions, lambda action: vm_jobs.update(action, session, inventory, self.world))
        failed: set[str] = set()
        for action, job, outcome in self._outcomes(session, jobs, actions):
            if isinstance(outcome, PhotonError):
                failed.add(action.id)
                self.record(
                    Result(
                        action, action.data["previous"], vm_jobs.update_operations(action).index(job.operation), outcome
                    )
                )
        self._settle(endpoint, [a for a in actions if a.id not in failed and not self._has_result(a)], {})

    def _delete_on(self, endpoint: Document, actions: list[Action]) -> None:
        session = self.context.session(endpoint)
        jobs = self._prepared(actions, vm_jobs.delete)
        gone = {action.id for action in actions if action.data["moid"] is None}
        for action in actions:
            if action.id in gone:
                self.record(Result(action, None))
        for action, job, outcome in self._outcomes(session, jobs, actions):
            if isinstance(outcome, PhotonError):
                self.record(Result(action, action.document, 0, outcome))
            elif job.operation == "DELETE_VM":
                self.record(Result(action, None))

    # -- shared ----------------------------------------------------------------------------------------------

    def _journalled(
        self,
        actions: list[Action],
        operations: Callable[[Action], list[str]],
        work: Callable[[Document, list[Action]], None],
        claim: Callable[[Any, list[Action], list[Task], World], dict[str, int]] = claims.claim_nothing,
    ) -> None:
        """Write the tasks, which locks the entities, and claim what the actions need, then do the work.

        An entity that another run has locked, or whose claim is refused, is left out.
        """
        if not actions:
            return
        tasks = {
            action.id: Task(
                operations(action)[-1],
                entities.VM,
                action.id,
                state="STARTED",
                steps=[Step(number, name, "QUEUED") for number, name in enumerate(operations(action))],
            )
            for action in actions
        }
        for action in actions:
            action.data["task"] = tasks[action.id].id
        try:
            self._claim(actions, tasks, claim)
            free = actions
        except PhotonError as error:
            if error.code not in claims.REFUSALS:
                raise
            free = []
            for action in actions:  # one of them is refused: find out which
                try:
                    self._claim([action], tasks, claim)
                    free.append(action)
                except PhotonError as refused:
                    self.plan.fail(entities.VM, action.name, refused, action.path)
        self._on_endpoints(free, work)

    def _claim(self, actions: list[Action], tasks: dict[str, Task], claim: Callable[..., dict[str, int]]) -> None:
        """One transaction; the documents that the claim wrote have a new version from then on."""
        chosen = [tasks[action.id] for action in actions]
        versions = self.context.store.run(lambda tx: claim(tx, actions, chosen, self.world))
        for action in actions:
            if action.id in versions:
                action.data["claimed"] = True
                action.document = replace(action.document, version=versions[action.id])
                action.data["previous"] = replace(action.data["previous"], version=versions[action.id])

    def _on_endpoints(self, actions: list[Action], work: Callable[[Document, list[Action]], None]) -> None:
        groups: dict[str | None, list[Action]] = defaultdict(list)
        for action in actions:
            groups[action.document.body.get("endpoint")].append(action)
        for action in groups.pop(None, []):  # never had a place: there is only a record to delete
            self.record(Result(action, None))
        if groups:
            with ThreadPoolExecutor(len(groups)) as pool:
                for future in [
                    pool.submit(self._guarded, work, self.world.get(i), group) for i, group in groups.items()
                ]:
                    future.result()
        with self.lock:
            self._flush()

    def _guarded(
        self, work: Callable[[Document, list[Action]], None], endpoint: Document, actions: list[Action]
    ) -> None:
        """When the endpoint itself fails, every action without a result fails with it."""
        try:
            work(endpoint, actions)
        except PhotonError as error:
            if error.code == "LeaseLost":
                raise
            with self.lock:
                self._flush()
                for action in actions:
                    if not action.data.get("recorded"):
                        action.data["recorded"] = True
                        self.results.append(
                            Result(
                                action,
                                replace(action.document, state="ERROR")
                                if action.verb == CREATE
                                else action.data.get("previous", action.document),
                                0,
                                _unknown(error),
                            )
                        )

    def _prepared(self, actions: Iterable[Action], make: Callable[[Action], Any]) -> list[Any]:
        jobs = []
        for action in actions:
            try:
                job = make(action)
                if job is not None:
                    jobs.append(job)
            except PhotonError as error:
                document = (
                    replace(action.document, state="ERROR")
                    if action.verb == CREATE
                    else action.data.get("previous", action.document)
                )
                self.record(Result(action, document, 1 if action.verb == CREATE else 0, error))
        return jobs

    def _outcomes(self, session: Any, jobs: list[Any], actions: list[Action]) -> Iterable[tuple[Action, Any, Any]]:
        by_id = {action.id: action for action in actions}
        for job, outcome in vm_jobs.run(session, jobs, self.run.renew):
            yield by_id[job.key], job, outcome

    def _settle(self, endpoint: Document, actions: list[Action], made: dict[str, str]) -> None:
        """One read of what was made or changed: power state, address, change version; then the record."""
        if not actions:
            return
        rows = vm_jobs.read(self.context.session(endpoint), [a.id for a in actions])
        for action in actions:
            row = rows.get(action.id)
            if row is None:
                self.record(
                    Result(
                        action,
                        replace(action.document, state="ERROR"),
                        None,
                        PhotonError(
                            "VmNotFound",
                            f"VM {action.name} vanished from {endpoint.name} while it was worked on; run again",
                        ),
                    )
                )
            elif not self._has_result(action):
                self.record(Result(action, vm_jobs.seen(action.document, row, self.world)))

    def _has_result(self, action: Action) -> bool:
        return bool(action.data.get("recorded"))

    def _observe(self) -> None:
        """Record what vSphere changed by itself (host, address, change version) for VMs that need nothing."""
        kept = [action for action in self.plan.of(entities.VM, KEEP) if action.data.get("observed_only")]
        if not kept:
            return
        moved = [
            (a.data["previous"], a.document)
            for a in kept
            if a.data["previous"].body.get("host") != a.document.body.get("host")
        ]
        self.context.store.run(
            lambda tx: (
                tx.move(
                    claims.capacity_claims([old for old, _new in moved], self.world),
                    claims.capacity_claims([new for _old, new in moved], self.world),
                ),
                tx.update([action.document for action in kept]),
            )
        )

    def _flush(self) -> None:
        """Commit the results so far; called with the lock held."""
        results, self.results = self.results, []
        if results:
            self.flushes += 1
            self.context.store.run(
                lambda tx: _commit(tx, results, self.world), key=f"{self.run.run_id}/results/{self.flushes}"
            )
        for result in results:
            if result.document is not None:
                result.action.data["outcome"] = result.document  # for the report
            if result.error is not None:
                self.plan.fail(entities.VM, result.action.name, result.error, result.action.path)


def _half_made(action: Action, operation: str, moid: str | None, error: PhotonError) -> Result:
    """A VM that was made but not started stays, STOPPED; one that was not made is ERROR and keeps its quota."""
    step = action.data["operations"].index(operation) + 1
    if moid is None:
        return Result(action, replace(action.document, state="ERROR"), step, error)
    vsphere = {**action.document.body["vsphere"], "moid": moid}
    return Result(action, replace(action.document.with_body(vsphere=vsphere), state="STOPPED"), step, error)


def _commit(tx: Any, results: list[Result], world: World) -> None:
    gone = [r.action.document for r in results if r.document is None]
    # What never came to be gives its place back; its quota stays charged until the VM is deleted, as in the original.
    # What may have come to be keeps both: the next run looks for it there.
    unmade = {
        r.action.id
        for r in results
        if r.document is not None and r.document.state == "ERROR" and r.action.verb == CREATE and not _is_unknown(r)
    }
    # Documents, tasks, quota, capacity: every transaction takes them in this order, so that none waits in a circle.
    tx.update(
        [_without_place(r.document) if r.action.id in unmade else r.document for r in results if r.document is not None]
    )
    tx.delete(gone)
    tx.steps([(r.action.data["task"], r.failed, "ERROR", None, r.error) for r in results if r.failed is not None])
    tx.finish_tasks({r.action.data["task"]: r.error for r in results})
    refunds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for document in gone:
        refunds[document.scope].append({key: (-amount, unit) for key, (amount, unit) in document.body["cost"].items()})
    for project_id, costs in sorted(refunds.items()):
        tx.charge(project_id, flavors.add_costs(costs))
    for result in results:
        _correct(tx, result, world)
    freed = gone + [r.action.document for r in results if r.action.id in unmade]
    if freed:
        tx.release(claims.capacity_claims(freed, world))
        tx.release_groups([document.id for document in freed])


def _correct(tx: Any, result: Result, world: World) -> None:
    """An update that failed gives back what it had claimed; one that found its VM on another host moves the claim."""
    action, previous = result.action, result.action.data.get("previous")
    if action.verb != UPDATE or result.document is None or previous is None:
        return
    claimed = action.document if action.data.get("claimed") else previous
    if result.error is not None and action.data.get("claimed"):
        tx.charge(result.document.scope, claims.cost_change(action.document, previous))
    before, after = (claims.capacity_claims([document], world) for document in (claimed, result.document))
    if before != after:
        tx.move(before, after)


def _unknown(error: PhotonError) -> PhotonError:
    """An endpoint's failure that hits items in the middle of their work: nobody knows how far each one got."""
    return PhotonError(error.code, error.message, {**error.data, "unknown": True})


def _is_unknown(result: Result) -> bool:
    return result.error is not None and bool(result.error.data.get("unknown"))


def _without_place(document: Document) -> Document:
    return replace(
        document,
        body={
            key: value
            for key, value in document.body.items()
            if key not in ("host", "datastore", "endpoint", "cluster", "vsphere")
        },
    )
