# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan kept in a file: apply plans again and does exactly that, or refuses and says what changed.

Usage counters differ from one moment to the next and never make a plan stale; an action, a placement that no longer
holds, or the version of a touched document does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ..model import entities
from ..model.errors import PhotonError
from . import report
from .planning import CREATE, KEEP
from .site import Planned

FORMAT = 1


def make(planned: Planned) -> dict[str, Any]:
    """``{format, site, actions, placements}`` as JSON values; a VM's metadata is in it as a digest only."""
    return {
        "format": FORMAT,
        "site": planned.declaration.site,
        "actions": _signatures(planned),
        "placements": {
            a.name: {"host_name": a.after["host"], "datastore_name": a.after["datastore"]}
            for a in planned.plan.of(entities.VM, CREATE)
        },
    }


def write(path: str, planned: Planned) -> None:
    """Keep a plan in a file of its owner's alone, whole or not at all. Raises SpecInvalid."""
    text = json.dumps(make(planned), indent=1)
    temporary = f"{path}.{os.getpid()}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise PhotonError("SpecInvalid", f"the plan cannot be written to {path}: {error.strerror}") from error


def placements(saved: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{VM's path: {host_name, datastore_name}}``; raises SpecInvalid for what is no saved plan."""
    if not isinstance(saved, Mapping) or saved.get("format") != FORMAT:
        raise PhotonError("SpecInvalid", f"this is no saved plan of format {FORMAT}: make one with photon-plan -o FILE")
    return {name: dict(row) for name, row in saved["placements"].items()}


def verify(saved: Mapping[str, Any], planned: Planned) -> None:
    """Raise PlanChanged, saying what differs, unless the new plan is the saved one."""
    old = {(a["kind"], a["name"]): a for a in saved["actions"]}
    new = {(a["kind"], a["name"]): a for a in _signatures(planned)}
    differences = [
        f"{kind} {name} is no longer to be done ({old[kind, name]['verb']})"
        for kind, name in old
        if (kind, name) not in new
    ]
    differences += [f"{a['verb']} {kind} {name} is new" for (kind, name), a in new.items() if (kind, name) not in old]
    for key, action in new.items():
        before = old.get(key)
        if before is not None and before != action:
            fields = [field for field in action if before.get(field) != action[field]]
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
            "nothing was done, the saved plan is out of date; look at a new one:\n- "
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
                "verb": row["verb"],
                "kind": row["kind"],
                "name": row["name"],
                "before": row["before"],
                "after": row["after"],
                "changes": row["changes"],
                "version": version,
                **({"id": action.id} if version else {}),
            }
        )
    return rows
