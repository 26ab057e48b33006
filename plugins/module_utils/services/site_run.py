# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan or apply: what every door that changes something calls, for a whole site or for the items of one kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from ..model.authorization import SYSTEM, Actor, check_group
from ..model.declaration import Declaration, check_items
from ..model.errors import PhotonError
from . import apply, recovery, report, saved_plan, site
from .context import Context, Options, open_context


@dataclass(slots=True)
class Request:
    """One call of a door. ``check``: plan only. ``whole``: the tree is all of its site (prune looks at the rest).

    ``result`` is ``summary`` or ``full``; ``save_to`` keeps the plan in a file (with check), ``saved`` is such a file's
    content, which the new plan must equal. ``site`` is whose the new entities of a single kind are (``managed_by``);
    none: the API's. ``diff_limit`` None: the declaration's, or 50.
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
    site: str | None = None
    by: str = ""


def actor_of(act_as: Mapping[str, Any] | None) -> Actor:
    """The system administrator, unless a door was told to act as somebody. Raises InvalidSecurityGroupFormat."""
    if not act_as:
        return SYSTEM
    return Actor(act_as["user"], frozenset(check_group(group) for group in act_as.get("groups") or []))


def run_site(tree: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """The variables of a site (``{"photon_tenants": ...}``): validate, plan and, unless ``check``, apply.

    Returns what report.outcome makes: changed, counts, failures, warnings, diff, plan. Raises PhotonError when nothing
    could be done at all; what failed for single items is in ``failures``. Where the request names no CloudStore or no
    credentials, the variables for the doors do.
    """
    request.cloudstore_url = request.cloudstore_url or tree.get("photon_cloudstore_url")
    request.allow_ephemeral = request.allow_ephemeral or _true(tree.get("photon_cloudstore_allow_ephemeral"))
    if not request.credentials and isinstance(tree.get("photon_credentials"), Mapping):
        request.credentials = tree["photon_credentials"]
    return _run(request, lambda snapshot: site.declare(tree, snapshot))


def run_items(
    kind: str,
    items: Iterable[Mapping[str, Any]],
    request: Request,
    *,
    root: str = "",
    scope: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Items of one kind as its module takes them; otherwise as run_site."""
    declaration = Declaration()
    declaration.of(kind)
    setattr(declaration, f"{kind}s", check_items(kind, items, root=root, scope=scope))
    return _run(request, lambda _snapshot: declaration)


def reading(request: Request) -> AbstractContextManager[Context]:
    """A context that only reads, for doors that show what there is."""
    return _context(request, "read")


def _run(request: Request, declare: Any) -> dict[str, Any]:
    with _context(request, "read" if request.check else "write") as context:
        if request.check:
            snapshot = context.store.snapshot()
            planned = _plan(declare(snapshot), context, snapshot, request)
            if request.save_to and not planned.plan.failures:
                saved_plan.write(request.save_to, planned)
            return report.outcome(planned, request, context)
        run = context.store.begin_run(ttl=request.options.lease_seconds)
        try:
            recovered = recovery.recover(context, run)
            snapshot = context.store.snapshot()
            planned = _plan(declare(snapshot), context, snapshot, request)
            planned.plan.warnings += recovered
            apply.Applier(planned, context, run).apply()
            return report.outcome(planned, request, context)
        finally:
            run.end()


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
        _take_settings(declaration, context, request)
    pinned = saved_plan.placements(request.saved) if request.saved else None
    planned = site.plan(declaration, context, snapshot, whole=request.whole, pinned=pinned)
    if request.saved:
        saved_plan.verify(request.saved, planned)
    return planned


def _take_settings(declaration: Declaration, context: Context, request: Request) -> None:
    """A whole site says for itself how it wants to be run."""
    settings, options = declaration.settings, context.options
    context.managed_by = declaration.managed_by
    request.diff_limit = settings["diff_limit"] if request.diff_limit is None else request.diff_limit
    options.policy, options.quality = settings["placement_policy"], settings["placement_quality"]
    options.prune, options.max_deletes = settings["prune"], settings["max_deletes"]
    options.atomic = options.atomic or settings["atomic"]
    options.default_port_group = options.default_port_group or settings.get("default_port_group")
    if settings.get("act_as") and context.actor.system_administrator:
        context.actor = actor_of(settings["act_as"])


def _true(value: Any) -> bool:
    """Variables may come as text, as those of ansible-playbook -e do."""
    return str(value).strip().lower() in ("true", "yes", "on", "1")


def failed(outcome: Mapping[str, Any], check: bool = False) -> PhotonError | None:
    """The error that a door fails with when items failed: the first one's code, all of them in the message."""
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
    how = "cannot be done" if check else "failed, everything else was done; mend the cause and run again"
    return PhotonError(failures[0]["error_code"], f"{number} {how}:\n" + "\n".join(lines))
