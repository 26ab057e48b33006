# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the plan of a verb (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from . import create, delete, repair, resize, restore, state, update, upgrade

VERBS = ("create", "delete", "resize", "upgrade", "repair", "restore", "state", "update")


def plan(
    verb: str,
    cluster: Mapping[str, Any],
    observed: Mapping[str, Any],
    only: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the plan of one of VERBS; PhotonError lists every obstacle.

    ``observed``: host -> result of module kubernetes_info, or of a task that failed to reach it. ``settings``: at_once
    (upgrade), again (repair), manifest (restore), updates and reboot (update).
    """
    reached = {host: None if _silent(answer) else answer for host, answer in observed.items()}
    given = settings or {}
    if verb == "create":
        return create.plan(cluster, reached, only)
    if verb == "resize":
        source = state.source_of(cluster, reached)
        if source is None:
            raise PhotonError(
                "ClusterNotFound", f"no control-plane member of {cluster['name']} answers. Run cluster_repair."
            )
        return resize.plan(cluster, source, reached[source] or {}, only or ())
    if verb == "upgrade":
        return upgrade.plan(cluster, reached, int(given.get("at_once", 1)))
    if verb == "repair":
        return repair.plan(cluster, reached, bool(given.get("again", False)))
    if verb == "delete":
        return delete.plan(cluster, reached)
    if verb == "restore":
        return restore.plan(cluster, reached, given["manifest"])
    if verb == "update":
        updates = {host: answer if "updates" in answer else None for host, answer in given["updates"].items()}
        return update.plan(cluster, reached, updates, given.get("reboot", update.REQUIRED))
    if verb == "state":
        return state.state(cluster, reached)
    raise PhotonError("InvalidOperation", f"must be one of {', '.join(VERBS)}, got {verb!r}")


def _silent(answer: Any) -> bool:
    return not isinstance(answer, Mapping) or bool(answer.get("unreachable")) or "host" not in answer
