# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures for a monitoring system, as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/)."""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..cloudstore import Snapshot
from ..model import entities
from ..model.errors import PhotonError
from .context import Context
from .state import CurrentState

Labels = Mapping[str, str]


class Metric(NamedTuple):
    """One gauge with its samples."""

    name: str
    meaning: str
    samples: Iterable[tuple[Labels, float]]


def write(path: str, context: Context, duties: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file as a whole: a reader sees the old figures or the new ones. Raises SpecInvalid."""
    path = context.path(path)
    content = text([*_of_duties(duties), *_of_store(context.store.snapshot())])
    try:
        handle, part = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".photon-metrics-")
        try:
            with open(handle, "w", encoding="utf-8") as stream:
                stream.write(content)
            os.chmod(part, 0o644)
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
    except OSError as error:
        raise PhotonError(
            "SpecInvalid", f"metrics_file {path} cannot be written ({error.strerror}): make its folder, or name another"
        ) from error


def text(metrics: Iterable[Metric]) -> str:
    """Return metrics in OpenMetrics' text format."""
    lines = []
    for metric in metrics:
        lines += [f"# TYPE {metric.name} gauge", f"# HELP {metric.name} {metric.meaning}"]
        lines += [f"{metric.name}{_labels(labels)} {_number(value)}" for labels, value in metric.samples]
    return "\n".join([*lines, "# EOF", ""])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _of_duties(duties: Sequence[Mapping[str, Any]]) -> list[Metric]:
    def of(name: str, meaning: str, value: Any) -> Metric:
        return Metric(name, meaning, [({"duty": d["name"]}, float(value(d))) for d in duties])

    return [
        Metric("photon_maintenance_timestamp_seconds", "When the last maintenance ended.", [({}, int(time.time()))]),
        of("photon_maintenance_duty_seconds", "How long a duty took.", lambda d: d["seconds"]),
        of("photon_maintenance_duty_failed", "1 where a duty failed.", lambda d: d["state"] == "failed"),
        of("photon_maintenance_duty_skipped", "1 where no time was left for it.", lambda d: d["state"] == "skipped"),
        of("photon_maintenance_duty_changes", "How many lines of changes a duty made.", lambda d: len(d["changes"])),
        of("photon_maintenance_duty_findings", "What a duty found to differ.", lambda d: d["findings"]),
    ]


def _of_store(snapshot: Snapshot) -> list[Metric]:
    state = CurrentState.of_snapshot(snapshot)
    resources = Counter((d.kind, d.state) for d in snapshot.documents if d.kind != entities.DEPLOYMENT)
    usage, limits = [], []
    for tenant in state.of(entities.TENANT):
        for owner in (tenant, *state.of(entities.PROJECT, tenant.id)):
            labels = {"kind": owner.kind, "path": state.path_of(owner)}
            for key, row in sorted(snapshot.inventories.get(owner.id, {}).items()):
                named = {**labels, "key": key}
                usage.append((named, snapshot.usage.get(owner.id, {}).get(key, 0)))
                if row.limit is not None:
                    limits.append((named, row.limit))
    return [
        Metric(
            "photon_resources",
            "Resources by kind and state.",
            [({"kind": kind, "state": state}, number) for (kind, state), number in sorted(resources.items())],
        ),
        Metric("photon_quota_used", "What a tenant or project uses of a quota key, in bytes or pieces.", usage),
        Metric("photon_quota_limit", "The limit of a quota key, in bytes or pieces.", limits),
        Metric("photon_open_tasks", "Tasks that have not ended.", [({}, len(snapshot.open_tasks))]),
    ]
