# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run tells its door: counts, what changed, what failed, a bounded diff, and the plan for all readers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..model import entities
from ..model.names import collapse
from .planning import DELETE, KEEP, Action, Plan
from .vms.record import Vm

DIFF_LIMIT = 50  # items in a diff where nobody said how many


def outcome(planned: Any, request: Any, context: Any) -> dict[str, Any]:
    """``{changed, counts, failures, warnings, diff, plan | items}``.

    ``counts`` is ``{kind: {create, update, delete, keep}}``; ``diff`` one ``{before, after}`` of at most ``diff_limit``
    items; with ``result: full`` also ``items``, every action with its id and, for VMs, host, datastore, state and
    address, or in check mode ``plan``, what would be done to each entity (see step).
    """
    plan: Plan = planned.plan
    limit = DIFF_LIMIT if request.diff_limit is None else request.diff_limit
    done = [action for action in plan.actions if action.verb != KEEP and (request.check or _was_done(action))]
    answer: dict[str, Any] = {
        "changed": bool(done),
        "counts": plan.counts(check=request.check),
        "failures": failures(plan),
        "warnings": list(plan.warnings),
        "diff": diff(done, limit),
        "changes": changes(done, limit),
        "calls": {name_of(planned, i): session.calls for i, session in context.sessions.items()},
    }
    if request.result == "full" and request.check:
        answer["plan"] = [step(action) for action in done]
    elif request.result == "full":
        answer["items"] = [item(action, planned) for action in plan.actions]
    return answer


def failures(plan: Plan) -> list[dict[str, Any]]:
    """One row for items that failed alike: ``name`` holds all their names, neighbours as a range; ``count`` of them."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    names: dict[tuple[str, ...], list[str]] = {}
    for failure in plan.failures:
        error = failure.error
        key = (failure.kind, error.code, error.message.replace(failure.name, ""), failure.path)
        rows.setdefault(key, failure.to_dict())
        names.setdefault(key, []).append(failure.name)
    return [{**row, "name": ", ".join(collapse(names[key])), "count": len(names[key])} for key, row in rows.items()]


def name_of(planned: Any, entity_id: str) -> str:
    document = planned.state.get(entity_id)
    return document.name if document else entity_id


def changes(actions: list[Action], limit: int) -> list[str]:
    """One line per like changes: ``create vm acme/web/web-[01:20]``; at most ``limit`` lines and a total."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for action in actions:
        groups.setdefault((action.verb, action.kind, action.reason), []).append(action.name)
    lines = []
    for (verb, kind, reason), names in groups.items():
        lines += [f"{verb} {kind} {name}{f' ({reason})' if reason else ''}" for name in collapse(names)]
    return lines if len(lines) <= limit else [*lines[:limit], f"and {len(lines) - limit} more lines"]


def diff(actions: list[Action], limit: int) -> dict[str, str]:
    """Before and after as text, in Ansible's form; secrets never reach an action's fields."""
    shown = actions[:limit]
    rest = f"... and {len(actions) - limit} more items\n" if len(actions) > limit else ""
    return {
        "before": "".join(_side(action, before=True) for action in shown) + rest,
        "after": "".join(_side(action, before=False) for action in shown) + rest,
    }


def step(action: Action) -> dict[str, Any]:
    """One action as a plan shows and saves it, with its kind's own details."""
    return {
        **action.details(),
        "verb": action.verb,
        "kind": action.kind,
        "name": action.name,
        "reason": action.reason,
        "path": action.path,
        "before": action.before,
        "after": action.after,
        "changes": action.changes,
        "id": action.id,
        "version": action.document.version,
    }


def item(action: Action, planned: Any) -> dict[str, Any]:
    """One resource of a full result, as it is after the run."""
    document = action.outcome.document if action.outcome is not None else action.document
    row: dict[str, Any] = {
        "kind": action.kind,
        "name": action.name,
        "id": action.id,
        "action": action.verb,
        "state": document.state if document is not None else "DELETED",
    }
    if action.kind == entities.VM:
        vm = Vm.of(document or action.document)
        place = vm.place
        row["host"] = name_of(planned, place.host or "") if place else ""
        row["datastore"] = name_of(planned, vm.boot_disk.datastore or "")
        row["address"] = vm.address
    return row


def _was_done(action: Action) -> bool:
    """Whether an application changed something for an action, also when a later step of it failed."""
    return action.outcome is not None and action.outcome.changed


def _side(action: Action, before: bool) -> str:
    if (before and action.verb == "create") or (not before and action.verb == DELETE):
        return ""
    fields = action.before if before else action.after
    lines = [f"{action.kind} {action.name}:"] + [f"  {key}: {_text(value)}" for key, value in fields.items()]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_text(each)}" for key, each in value.items()) or "{}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "[" + ", ".join(_text(each) for each in value) + "]"
    return str(value)
