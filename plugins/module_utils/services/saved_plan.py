# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan in a file or in the CloudStore: apply plans again and does exactly that, or refuses and says what changed.

Usage differs from one moment to the next and never makes a plan stale; an action, a placement (host, and datastore of
each disk) or the version of a touched document that differs does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..cloudstore import CloudStore
from ..model import entities
from ..model.errors import PhotonError
from . import report
from .planning import KEEP
from .site import Planned
from .vms.actions import CreateVm

FORMAT = 2


def make(planned: Planned, only: Sequence[str] = ()) -> dict[str, Any]:
    """Return ``{format, site, store, only, actions, placements}`` as JSON values; a VM's metadata only as a digest."""
    return {
        "format": FORMAT,
        "site": planned.declaration.site,
        "store": planned.store_id,
        "only": list(only),
        "actions": _signatures(planned),
        "placements": {
            action.name: {"host_name": action.after["host"], "datastore_name": action.after["datastore"]}
            for action in planned.plan.of_type(CreateVm)
        },
    }


def write(path: str, planned: Planned, only: Sequence[str] = ()) -> None:
    """Write a plan into a file that only its owner can read, completely or not at all. Raises SpecInvalid."""
    text = json.dumps(make(planned, only), indent=1)
    temporary = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise PhotonError("SpecInvalid", f"the plan cannot be written to {path}: {error.strerror}") from error


def keep(store: CloudStore, planned: Planned, only: Sequence[str] = ()) -> str:
    """Keep a plan in the CloudStore, for every controller that shares it; returns its id."""
    plan: dict[str, Any] = json.loads(json.dumps(make(planned, only)))
    return store.keep_plan(plan)


def kept(store: CloudStore, plan_id: str) -> Any:
    """Return the plan of this id. Raises PlanNotFound."""
    plan = store.kept_plan(plan_id.strip().lower())
    if plan is None:
        raise PhotonError(
            "PlanNotFound",
            f"the CloudStore {store.location} keeps no plan {plan_id!r}: plans stay for 7 days; make a new one, and "
            "give its whole id",
        )
    return plan


def placements(saved: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{VM's path: {host_name, datastore_name}}``; raises SpecInvalid unless it is a saved plan."""
    if not isinstance(saved, Mapping) or saved.get("format") != FORMAT:
        raise PhotonError(
            "SpecInvalid", f"the file is not a saved plan of format {FORMAT}: make one with photon-plan -o FILE"
        )
    return {name: dict(row) for name, row in saved["placements"].items()}


def targets(saved: Mapping[str, Any], only: Sequence[str]) -> Sequence[str]:
    """The targets of a saved plan. Raises SpecInvalid for others than these."""
    kept = saved.get("only") or []
    if only and list(only) != kept:
        raise PhotonError(
            "SpecInvalid",
            f"the saved plan is of {', '.join(kept) or 'the whole site'}, not of {', '.join(only)}: apply it without "
            "targets, or make a new plan",
        )
    return kept


def verify(saved: Mapping[str, Any], planned: Planned) -> None:
    """Raise PlanChanged, with the differences, unless the new plan is the saved one."""
    old = {(a["kind"], a["name"]): a for a in saved["actions"]}
    new = {(a["kind"], a["name"]): a for a in json.loads(json.dumps(_signatures(planned)))}
    same_store = saved["store"] == planned.store_id
    differences = []
    if saved["store"] is not None and not same_store:
        differences.append("the plan was made for another CloudStore")
    differences += [
        f"{kind} {name}: {old[kind, name]['verb']} is not planned any more"
        for kind, name in old
        if (kind, name) not in new
    ]
    differences += [f"{a['verb']} {kind} {name} is new" for (kind, name), a in new.items() if (kind, name) not in old]
    for key, action in new.items():
        before = old.get(key)
        # The first apply creates the CloudStore and with it the key of digests.
        fields = [
            f for f in action if before is not None and before.get(f) != action[f] and (same_store or f != "metadata")
        ]
        if fields:
            differences.append(f"{key[0]} {key[1]}: {', '.join(fields)} changed")
    differences += [
        f"{f.kind} {f.name}: {f.error.message}"
        for f in planned.plan.failures
        if (f.kind, f.name) in old or f.kind == entities.ENDPOINT
    ]
    if differences:
        more = f"\n- and {len(differences) - 20} more" if len(differences) > 20 else ""
        raise PhotonError(
            "PlanChanged",
            "nothing was done, the saved plan is out of date; make a new plan:\n- "
            + "\n- ".join(differences[:20])
            + more,
            {"differences": differences},
        )


def _signatures(planned: Planned) -> list[dict[str, Any]]:
    rows = []
    for action in planned.plan.actions:
        if action.verb == KEEP:
            continue
        row = report.step(action)
        version = planned.versions.get(action.id, 0)
        rows.append(
            {
                **{key: row[key] for key in ("verb", "kind", "name", "before", "after", "changes")},
                **action.signature(planned.state),
                "version": version,
                **({"id": action.id} if version else {}),
            }
        )
    return rows
