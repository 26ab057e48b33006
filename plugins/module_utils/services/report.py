# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run: counts, changes, failures, a bounded diff, and the plan for all readers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..model.names import collapse
from . import registry
from .planning import CREATE, DELETE, Action, Plan

DIFF_LIMIT = 50  # items in a diff by default


def outcome(planned: Any, request: Any, context: Any) -> dict[str, Any]:
    """Return ``{changed, counts, failures, warnings, diff, changes, calls, plan | items}``.

    ``counts`` is ``{kind: {create, update, delete, keep}}``; ``diff`` one ``{before, after}`` of at most ``diff_limit``
    items; with ``result: full`` also ``items``, every action with its id and state (see item), or in check mode
    ``plan``, every change that would be made (see step). After an application changes are those that were made: an
    item that failed counts where part of it was done.
    """
    plan: Plan = planned.plan
    limit = DIFF_LIMIT if request.diff_limit is None else request.diff_limit
    applied = not request.check
    changed = plan.changes(applied=applied)
    answer: dict[str, Any] = {
        "changed": bool(changed),
        "counts": plan.counts(applied=applied),
        "failures": failures(plan),
        "warnings": list(plan.warnings),
        "diff": diff(changed, limit),
        "changes": changes(changed, limit),
        "calls": {planned.state.name_of(i): session.calls for i, session in context.sessions.items()},
    }
    if request.result == "full" and request.check:
        answer["plan"] = [step(action) for action in changed]
    elif request.result == "full":
        answer["items"] = [item(action, planned) for action in plan.actions]
    return answer


def failures(plan: Plan) -> list[dict[str, Any]]:
    """Return one row for items that failed alike: ``name`` holds their names as ranges, ``count`` their number."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    names: dict[tuple[str, ...], list[str]] = {}
    for failure in plan.failures:
        error = failure.error
        key = (failure.kind, error.code, error.message.replace(failure.name, ""), failure.path)
        rows.setdefault(key, failure.to_dict())
        names.setdefault(key, []).append(failure.name)
    return [{**row, "name": ", ".join(collapse(names[key])), "count": len(names[key])} for key, row in rows.items()]


def changes(actions: list[Action], limit: int) -> list[str]:
    """Return one line per like changes: ``create vm acme/web/web-[01:20]``; at most ``limit`` lines and a total."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for action in actions:
        groups.setdefault((action.verb, action.kind, action.reason), []).append(action.name)
    lines = []
    for (verb, kind, reason), names in groups.items():
        lines += [
            f"{verb} {kind} {name}{f' ({reason})' if reason not in ('', 'declared') else ''}"
            for name in collapse(names)
        ]
    return lines if len(lines) <= limit else [*lines[:limit], f"and {len(lines) - limit} more lines"]


def diff(actions: list[Action], limit: int) -> dict[str, str]:
    """Return before and after as text, in Ansible's form; secrets never reach an action's fields."""
    shown = actions[:limit]
    rest = f"... and {len(actions) - limit} more items\n" if len(actions) > limit else ""
    return {
        "before": "".join(_side(action, before=True) for action in shown) + rest,
        "after": "".join(_side(action, before=False) for action in shown) + rest,
    }


def step(action: Action) -> dict[str, Any]:
    """Return one action as a plan shows and saves it, with the details of its kind (a VM's size, its place's score)."""
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
    """Return one resource of a full result as its record is afterwards; ``error_code`` only where it failed."""
    outcome = action.outcome
    document = outcome.document if outcome is not None else action.document
    if document is None and not action.changed:
        document = action.document
    row = {
        "kind": action.kind,
        "name": action.name,
        "id": action.id,
        "action": action.verb,
        "changed": action.changed,
        "state": "DELETED" if document is None or (action.verb == DELETE and not action.failed) else document.state,
    }
    if outcome is not None and outcome.error is not None:
        row["error_code"] = outcome.error.code
    kind = registry.KINDS.get(action.kind)
    if kind is not None and kind.item is not None:
        row |= kind.item(document or action.document, planned.state)
    return row


def _side(action: Action, before: bool) -> str:
    if (before and action.verb == CREATE) or (not before and action.verb == DELETE):
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
