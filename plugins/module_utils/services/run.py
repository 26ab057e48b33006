# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan or apply: the service behind every entry point that changes something, for a whole site or items of one kind."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ..cloudstore import Conflict
from ..model.authorization import SYSTEM, Actor, check_group
from ..model.declaration import Declaration, check_items
from ..model.errors import PhotonError
from . import recovery, registry, report, saved_plan, site, waiting, write
from .context import Applying, Context, open_context
from .interruption import Interruption, interruptible
from .planning import Options

ATTEMPTS = 5  # times that a run plans before it gives up against others' changes


@dataclass(slots=True)
class Request:
    """One call of an entry point. ``check``: plan only. ``whole``: the tree is all of its site (prune needs that).

    ``result`` is ``summary`` or ``full``; ``save_to`` keeps the plan in a file (with check), ``saved`` is such a file's
    content, which the new plan must equal. ``keep`` keeps the plan in the CloudStore (with check), which is created
    where there is none; ``plan_id`` names such a plan. ``site`` owns the new resources of a single kind
    (``managed_by``); None: the API does. ``diff_limit`` None: the declaration's, or 50. ``only``: the targets (see
    targets.py), or all.
    """

    cloudstore_url: str | None = None
    allow_ephemeral: bool = False
    act_as: Mapping[str, Any] | None = None
    credentials: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    options: Options = field(default_factory=Options)
    check: bool = False
    whole: bool = False
    result: str = "summary"
    diff_limit: int | None = None
    saved: Mapping[str, Any] | None = None
    save_to: str | None = None
    keep: bool = False
    plan_id: str | None = None
    only: Sequence[str] = ()
    site: str | None = None
    by: str = ""


def actor_of(act_as: Mapping[str, Any] | None) -> Actor:
    """The system administrator, unless the caller acts as another user. Raises InvalidSecurityGroupFormat."""
    if not act_as:
        return SYSTEM
    return Actor(act_as["user"], frozenset(check_group(group) for group in act_as.get("groups") or []))


def run_site(tree: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """The variables of a site (``{"photon_tenants": ...}``): validate, plan and, unless ``check``, apply.

    Returns report.outcome: changed, counts, failures, warnings, diff, plan. Raises PhotonError when nothing could be
    done at all; failures of single items are in ``failures``. CloudStore and credentials come from the request, else
    from the variables.
    """
    take_connection(tree, request)
    return _run(request, lambda snapshot: site.declare(tree, snapshot))


def take_connection(tree: Mapping[str, Any], request: Request) -> None:
    """Take from a site's variables where the CloudStore is and who logs in, as far as the request does not say."""
    request.cloudstore_url = request.cloudstore_url or tree.get("photon_cloudstore_url")
    request.allow_ephemeral = request.allow_ephemeral or _true(tree.get("photon_cloudstore_allow_ephemeral"))
    if not request.credentials and isinstance(tree.get("photon_credentials"), Mapping):
        request.credentials = tree["photon_credentials"]


def run_items(
    kind: str,
    items: Iterable[Mapping[str, Any]],
    request: Request,
    *,
    root: str = "",
    scope: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Items of one kind as its module takes them; otherwise as run_site."""
    return run_declared(Declaration(**{f"{kind}s": check_items(kind, items, root=root, scope=scope)}), request)


def run_declared(declaration: Declaration, request: Request) -> dict[str, Any]:
    """A checked declaration, an empty one included: what waited for its last user goes; otherwise as run_site."""
    return _run(request, lambda _snapshot: declaration)


def reading(request: Request) -> AbstractContextManager[Context]:
    """A context for entry points that only read."""
    return _context(request, "read")


@contextlib.contextmanager
def changing(request: Request) -> Iterator[Context]:
    """A context with a run of its own, whose lease every change needs; the CloudStore is created where none exists."""
    with _context(request, "write") as context:
        context.run = context.store.begin_run(ttl=request.options.lease_seconds)
        try:
            yield context
        except BaseException:
            with contextlib.suppress(PhotonError):  # the first error is the one to report
                context.run.end()
            raise
        context.run.end()


def _run(request: Request, declare: Any) -> dict[str, Any]:
    with interruptible(changing=not request.check) as interruption:
        return _run_until(interruption, request, declare)


def _run_until(interruption: Interruption, request: Request, declare: Any) -> dict[str, Any]:
    if request.check:
        with reading(request) as context:
            _fetch_plan(request, context)
            snapshot = context.store.snapshot()
            planned = _plan(declare(snapshot), context, snapshot, request)
            if not context.store.exists:
                planned.plan.warnings.insert(0, f"there is no CloudStore at {context.store.location} yet: "
                                             "the first apply creates it")  # fmt: skip
            if request.save_to and not planned.plan.failures:
                saved_plan.write(request.save_to, planned, request.only)
            outcome = report.outcome(planned, request, context)
            if request.keep and not planned.plan.failures:
                with _context(request, "write") as writing:
                    outcome["plan_id"] = saved_plan.keep(writing.store, planned, request.only)
            return outcome
    with changing(request) as context:
        context.interruption = interruption
        _fetch_plan(request, context)
        planned = _apply(request, declare, context)
        return report.outcome(planned, request, context)


def _fetch_plan(request: Request, context: Context) -> None:
    if request.plan_id:
        request.saved = saved_plan.kept(context.store, request.plan_id)


def _apply(request: Request, declare: Any, context: Context) -> site.Planned:
    """Plan and begin until no other controller came in between, then do the external work kind by kind."""
    recovered: list[str] = []
    for attempt in range(1, ATTEMPTS + 1):
        planned = _planned(request, declare, context, recovered)
        applying = Applying(planned.plan, planned.state, context)
        context.interruption.check()
        try:
            write.begin(applying, attempt)
            break
        except Conflict as conflict:
            if request.saved is not None:
                raise PhotonError(
                    "PlanChanged",
                    f"nothing was done, the saved plan is out of date: {conflict.message}; make a new plan",
                    {"differences": [conflict.message]},
                ) from conflict
            if attempt == ATTEMPTS:
                raise PhotonError(
                    conflict.code,
                    f"nothing was done: other controllers changed the same resources {ATTEMPTS} times while this run "
                    f"planned (last: {conflict.message}); run again",
                    conflict.data,
                ) from conflict
            time.sleep(random.uniform(0.05, 0.5) * attempt)  # competitors do not come back together
    write.observe(applying)
    for kind in registry.KINDS.values():
        if kind.apply is not None:
            kind.apply(applying)
    for kind in registry.KINDS.values():
        if kind.apply_after is not None:
            kind.apply_after(applying)
    for kind in registry.backwards():
        if kind.apply_deletes is not None:
            kind.apply_deletes(applying)
    write.end(applying)
    planned.plan.warnings += recovered
    return planned


def _planned(request: Request, declare: Any, context: Context, recovered: list[str]) -> site.Planned:
    """Plan, and plan again after another run that works on the same resources has ended."""
    began = time.monotonic()
    while True:
        snapshot = recovery.settled_snapshot(context, recovered)
        planned = _plan(declare(snapshot), context, snapshot, request)
        until = began + context.options.wait_for_runs
        if not planned.others or not waiting.wait_for(planned.others, context, until):
            return planned


def _context(request: Request, mode: str) -> AbstractContextManager[Context]:
    actor = actor_of(request.act_as)
    return open_context(
        request.cloudstore_url,
        mode=mode,
        allow_ephemeral=request.allow_ephemeral,
        by=request.by or actor.user,
        actor=actor,
        managed_by=f"inventory:{request.site}" if request.site else "api",
        credentials=request.credentials,
        options=request.options,
    )


def _plan(declaration: Declaration, context: Context, snapshot: Any, request: Request) -> site.Planned:
    if request.whole:
        take_settings(declaration, context, request)
    pinned = saved_plan.placements(request.saved) if request.saved is not None else None
    only = saved_plan.targets(request.saved, request.only) if request.saved is not None else request.only
    planned = site.plan(declaration, context, snapshot, whole=request.whole, pinned=pinned, only=only)
    if request.saved is not None:
        saved_plan.verify(request.saved, planned)
    return planned


def take_settings(declaration: Declaration, context: Context, request: Request) -> None:
    """Take the settings of a run from a whole site's variables."""
    settings, options = declaration.settings, context.options
    context.managed_by = declaration.managed_by
    request.diff_limit = settings["diff_limit"] if request.diff_limit is None else request.diff_limit
    options.policy, options.quality = settings["placement_policy"], settings["placement_quality"]
    options.prune, options.max_deletes = settings["prune"], settings["max_deletes"]
    options.max_recreates = settings["max_recreates"]
    options.disk_backing = settings["disk_backing"]
    options.wait_for_addresses, options.wait_for_runs = settings["wait_for_addresses"], settings["wait_for_runs"]
    options.cloudstore_new = options.cloudstore_new or settings["cloudstore_new"]
    options.atomic = options.atomic or settings["atomic"]
    options.default_port_group = options.default_port_group or settings.get("default_port_group")
    if settings.get("act_as") and context.actor.system_administrator:
        context.actor = actor_of(settings["act_as"])


def _true(value: Any) -> bool:
    """Read a boolean variable, which may be text: ansible-playbook -e passes text."""
    return str(value).strip().lower() in ("true", "yes", "on", "1")


def failed(outcome: Mapping[str, Any], check: bool = False) -> PhotonError | None:
    """The error of a run in which items failed: the first item's code, all items in the message; None without any."""
    failures = outcome["failures"]
    if not failures:
        return None
    lines = [
        f"- {f['kind']} {f['name']}" + (f" ({f['path']})" if f["path"] else "") + f": {f['error_code']}: {f['message']}"
        for f in failures[:20]
    ]
    if len(failures) > 20:
        lines.append(f"- and {len(failures) - 20} more")
    number = "1 item" if len(failures) == 1 else f"{len(failures)} items"
    how = "blocked" if check else "failed, everything else was done. Fix the cause and run again"
    return PhotonError(failures[0]["error_code"], f"{number} {how}:\n" + "\n".join(lines))
