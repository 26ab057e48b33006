# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions that AWX asks before a job, with choices from the CloudStore. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LIMIT = 500  # choices of one question: more are not readable in a list, and a text is asked for instead


@dataclass(frozen=True, slots=True)
class State:
    """What there is to choose from, by the names that ``Question.choices`` uses."""

    names: dict[str, list[str]]

    @classmethod
    def of(cls, resources: Iterable[Mapping[str, Any]], clusters: Iterable[str] = ()) -> State:
        """From the rows of resource_info, and the names of declared clusters."""
        names: dict[str, set[str]] = {key: set() for key in ("tenants", "projects", "flavors", "images", "zones")}
        for row in resources:
            if row.get("state") in ("DELETED", "PENDING_DELETE"):
                continue
            kind, name = row["kind"], str(row["name"])
            if kind == "tenant":
                names["tenants"].add(name)
            elif kind == "project":
                names["projects"].add(f"{row['tenant']}/{name}")
            elif kind == "flavor" and row.get("flavor_kind", "vm") == "vm":
                names["flavors"].add(name)
            elif kind in ("image", "zone"):
                names[f"{kind}s"].add(name)
        found = {key: sorted(values) for key, values in names.items()}
        found["targets"] = sorted([*found["tenants"], *found["projects"]])
        return cls({**found, "clusters": sorted(set(clusters))})


@dataclass(frozen=True, slots=True)
class Question:
    """``choices`` are fixed, or name what State has; where that is empty a text is asked for."""

    text: str
    variable: str
    description: str = ""
    type: str = "text"
    choices: str | tuple[str, ...] = ()
    required: bool = False
    default: str = ""


QUESTIONS: dict[str, Question] = {
    "only": Question(
        "Targets", "only", "Tenants or projects, with what they need; none: the whole site", "multiselect", "targets"
    ),
    "plan_id": Question("Plan", "plan_id", "Id of a kept plan, to do exactly that; empty: plan and apply"),
    "report_path": Question("File or folder of the page", "report_path", "On a volume that outlives the job"),
    "live": Question("Read the endpoints too", "live", "", "multiplechoice", ("false", "true"), True, "false"),
    "repair": Question(
        "Repair what needs no decision", "repair", "", "multiplechoice", ("false", "true"), True, "false"
    ),
    "project": Question("Project", "vm_project", "", "multiplechoice", "projects", True),
    "name": Question("Name", "vm_name", "One VM, or a range such as web-[01:04]", required=True),
    "state": Question("State", "vm_state", "", "multiplechoice", ("started", "stopped", "absent"), True, "started"),
    "flavor": Question("Flavor", "vm_flavor", "Not needed for VMs that exist", "multiplechoice", "flavors"),
    "image": Question("Image", "vm_image", "Not needed for VMs that exist", "multiplechoice", "images"),
    "zone": Question("Zone", "vm_zone", "None: any", "multiplechoice", "zones"),
    "cluster": Question("Cluster", "photon_cluster", "Not needed where one is declared", "multiplechoice", "clusters"),
    "backup_directory": Question(
        "Folder for backups", "photon_backup_directory", "On a volume that outlives the job", required=True
    ),
    "backup": Question("Backup", "photon_backup", "The file to restore from", required=True),
    "bundle": Question("Bundle", "photon_bundle", "The file to write", required=True),
    "kubernetes_delete": Question("Cluster to delete", "kubernetes_delete", "Its name", required=True),
    "haproxy_service": Question("Service", "haproxy_service", required=True),
    "haproxy_server": Question("Server", "haproxy_server", required=True),
    "haproxy_remove": Question("Group or host to remove", "haproxy_remove", "Empty: the group of retired balancers"),
}


def survey(names: Sequence[str], state: State) -> list[dict[str, Any]]:
    """Return the items of a survey, in the form in which AWX keeps them."""
    return [_item(QUESTIONS[name], state) for name in names]


def _item(question: Question, state: State) -> dict[str, Any]:
    choices = state.names[question.choices] if isinstance(question.choices, str) else list(question.choices)
    kind = question.type if 0 < len(choices) <= LIMIT else "text"
    return {
        "question_name": question.text,
        "question_description": question.description,
        "required": question.required,
        "type": kind,
        "variable": question.variable,
        "min": None if kind.startswith("multi") else 0,
        "max": None if kind.startswith("multi") else 1024,
        "default": question.default,
        "choices": choices if kind != "text" else "",
        "new_question": False,
    }
