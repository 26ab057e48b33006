# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site needs on AWX: every object with all its fields, from the variable ``awx`` and the CloudStore. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..model.errors import PhotonError
from .awx_surveys import State, survey
from .credentials import environment_prefix

Row = dict[str, Any]
SITE, RECOVERY, CLUSTERS, BALANCERS = "site", "recovery", "clusters", "load_balancers"
ON_CONTROLLER = (SITE, RECOVERY)  # plays of localhost, which need no SSH key
EVENTS = ("started", "success", "error", "approvals")
REQUIRED = ("image", "project", "inventory", "cloudstore")
DEFAULTS: Row = {
    "name": None,
    "organization": None,
    "image": None,
    "image_credential": None,
    "pull": "missing",
    "project": None,
    "playbooks": "playbooks",
    "inventory": None,
    "cloudstore": None,
    "operations": [SITE],
    "controller": True,
    "machine_credential": None,
    "approval_timeout": 86400,
    "schedules": [],
    "notifications": [],
}
PROJECT = {"scm_url": None, "scm_branch": "", "credential": None}
SCHEDULE = {"name": None, "template": None, "rrule": None, "enabled": True, "extra_data": {}}
NOTIFICATION = {"name": None, "type": "webhook", "configuration": {}, "on": ["error", "approvals"]}


@dataclass(frozen=True, slots=True)
class Operation:
    """A playbook that AWX offers: who it is for, what it asks, what it is always given."""

    group: str
    description: str
    questions: tuple[str, ...] = ()
    variables: tuple[tuple[str, Any], ...] = ()
    tags: str = ""
    controller: bool = False  # works on AWX itself


# Every playbook of the collection, by its file's name.
OPERATIONS: dict[str, Operation] = {
    "plan": Operation(SITE, "Show what would be done", ("only",), (("keep_plan", True),)),
    "site": Operation(SITE, "Apply the declaration, or exactly a kept plan", ("only", "plan_id")),
    "report": Operation(SITE, "One HTML page about the site", ("report_path",)),
    "show": Operation(SITE, "Read what the platform holds", ("live",)),
    "verify": Operation(SITE, "Compare the CloudStore with itself and with vSphere", ("repair",)),
    "vm": Operation(SITE, "Create, start, stop or delete VMs", ("project", "name", "state", "flavor", "image", "zone")),
    "maintain": Operation(SITE, "What the platform needs from time to time, for a schedule"),
    "awx": Operation(SITE, "Refresh the choices of the surveys", tags="surveys", controller=True),
    "cloudstore_rebuild": Operation(RECOVERY, "Fill an empty CloudStore in place of a lost one"),
    "cluster_backup": Operation(CLUSTERS, "Back a cluster up", ("cluster", "backup_directory")),
    "cluster_bundle": Operation(CLUSTERS, "Make a bundle for clusters without internet", ("bundle",)),
    "cluster_create": Operation(CLUSTERS, "Create a cluster", ("cluster",)),
    "cluster_credentials": Operation(CLUSTERS, "Publish a kubeconfig", ("cluster",)),
    "cluster_delete": Operation(CLUSTERS, "Delete a cluster", ("kubernetes_delete",)),
    "cluster_maintain": Operation(CLUSTERS, "Maintain etcd of a cluster", ("cluster",)),
    "cluster_repair": Operation(CLUSTERS, "Repair a cluster", ("cluster",)),
    "cluster_resize": Operation(CLUSTERS, "Add and remove nodes as declared", ("cluster",)),
    "cluster_restore": Operation(CLUSTERS, "Restore a cluster from a backup", ("cluster", "backup")),
    "cluster_rotate": Operation(CLUSTERS, "Rotate certificates and keys", ("cluster",)),
    "cluster_status": Operation(CLUSTERS, "Report the status of clusters", ("cluster",)),
    "cluster_upgrade": Operation(CLUSTERS, "Upgrade a cluster", ("cluster", "backup_directory")),
    "hosts_update": Operation(CLUSTERS, "Update the hosts' packages", ("cluster",)),
    "load_balancer": Operation(BALANCERS, "Configure the load balancers"),
    "load_balancer_drain": Operation(BALANCERS, "Drain a server", ("haproxy_service", "haproxy_server")),
    "load_balancer_ready": Operation(BALANCERS, "Take a drained server back", ("haproxy_service", "haproxy_server")),
    "load_balancer_remove": Operation(BALANCERS, "Remove retired balancers", ("haproxy_remove",)),
    "load_balancer_rotate_certificates": Operation(BALANCERS, "Rotate the balancers' certificates"),
    "load_balancer_status": Operation(BALANCERS, "Report the status of the balancers"),
}
TITLES = {"site": "apply", "awx": "surveys"}


def objects(
    declared: Mapping[str, Any],
    *,
    site: str,
    endpoints: Iterable[Mapping[str, Any]] = (),
    resources: Sequence[Mapping[str, Any]] = (),
    clusters: Iterable[str] = (),
) -> Row:
    """Return every object by kind, ready for the modules of awx.awx. Raises SpecInvalid with every mistake."""
    settings = _settings(declared, site)
    name = settings["name"]
    mark = f"Managed by photon.platform, site {name}."
    shared = {"organization": settings["organization"], "description": mark}
    types = _credential_types(name, mark, sorted({str(e.get("credential") or e["name"]) for e in endpoints}))
    image = f"{name} image"
    notified = _notified(settings["notifications"], name)
    chosen = _chosen(settings)
    templates = [
        _template(operation, settings, mark, image, types, State.of(resources, clusters), notified)
        for operation in chosen
    ]
    workflow = _workflow(settings, chosen, mark, notified) if {"plan", "site"} <= set(chosen) else {}
    return {
        "name": name,
        "mark": mark,
        "organization": {"name": settings["organization"]},
        "environment": {
            **shared,
            "name": image,
            "image": settings["image"],
            "pull": settings["pull"],
            **({"credential": settings["image_credential"]} if settings["image_credential"] else {}),
        },
        "credential_types": types,
        "credentials": [
            *(
                {
                    **shared,
                    "name": each["name"],
                    "credential_type": each["name"],
                    "for": each["for"],
                    **({"prefix": each["prefix"]} if "prefix" in each else {}),
                }
                for each in types
            ),
            *(
                [{**shared, "name": f"{name} controller", "credential_type": CONTROLLER, "for": "controller"}]
                if settings["controller"]
                else []
            ),
        ],
        "project": {
            **shared,
            "name": f"{name} project",
            "scm_type": "git",
            "scm_url": settings["project"]["scm_url"],
            "scm_branch": settings["project"]["scm_branch"],
            "scm_update_on_launch": True,
            "default_environment": image,
            **({"credential": settings["project"]["credential"]} if settings["project"]["credential"] else {}),
        },
        "inventory": {**shared, "name": f"{name} inventory"},
        "inventory_source": {
            "name": f"{name} declaration",
            "description": mark,
            "organization": settings["organization"],
            "inventory": f"{name} inventory",
            "source": "scm",
            "source_project": f"{name} project",
            "source_path": settings["inventory"],
            "credential": f"{name} CloudStore",
            "execution_environment": image,
            "overwrite": True,
            "overwrite_vars": True,
            "update_on_launch": True,
        },
        "templates": templates,
        "workflow": workflow,
        "schedules": _schedules(settings, chosen, workflow, mark),
        "notifications": [
            {
                **shared,
                "name": f"{name} {each['name']}",
                "for": each["name"],
                "type": each["type"],
                "configuration": each["configuration"],
            }
            for each in settings["notifications"]
        ],
    }


# AWX copies the project for each job; files that the declaration names are beside the inventory in it.
PROJECT_FOLDER = "{{ ansible_config_file | default('', true) | dirname | default('/runner/project', true) }}/"
INVENTORY_FOLDER = (
    "{{ inventory_path is ansible.builtin.directory | ternary(inventory_path, inventory_path | dirname) }}"
)
CONTROLLER = "Red Hat Ansible Automation Platform"  # comes with AWX


def _credential_types(name: str, mark: str, endpoints: Sequence[str]) -> list[Row]:
    """One type per endpoint, since a job takes one credential of each type; secrets reach jobs' environment alone."""
    login = [
        {"id": "username", "label": "Username", "type": "string"},
        {"id": "password", "label": "Password", "type": "string", "secret": True},
    ]
    types = []
    for endpoint in endpoints:
        prefix = environment_prefix(endpoint)
        types.append(
            {
                "name": f"{name} vSphere endpoint {endpoint}",
                "description": mark,
                "kind": "cloud",
                "for": endpoint,
                "prefix": prefix,
                "inputs": {"fields": login, "required": ["username", "password"]},
                "injectors": {"env": {f"{prefix}_USERNAME": "{{ username }}", f"{prefix}_PASSWORD": "{{ password }}"}},
            }
        )
    store = [
        {"id": "url", "label": "URL", "type": "string", "help_text": "postgresql+psycopg://user@host/database"},
        {"id": "password", "label": "Password", "type": "string", "secret": True},
    ]
    types.append(
        {
            "name": f"{name} CloudStore",
            "description": mark,
            "kind": "cloud",
            "for": "cloudstore",
            "inputs": {"fields": store, "required": ["url"]},
            "injectors": {"env": {"PHOTON_CLOUDSTORE": "{{ url }}", "PGPASSWORD": "{{ password }}"}},
        }
    )
    return types


def _template(
    operation: str, settings: Row, mark: str, image: str, types: Iterable[Row], state: State, notified: Row
) -> Row:
    known, name = OPERATIONS[operation], settings["name"]
    questions = survey(known.questions, state)
    credentials = [each["name"] for each in types]
    if known.controller:
        credentials.append(f"{name} controller")
    if known.group not in ON_CONTROLLER and settings["machine_credential"]:
        credentials.append(settings["machine_credential"])
    variables = dict(known.variables)
    if known.group in ON_CONTROLLER:
        variables["inventory_path"] = PROJECT_FOLDER + settings["inventory"]
        variables["base_directory"] = INVENTORY_FOLDER
    return {
        "name": title(name, operation),
        "operation": operation,
        "description": f"{known.description}. {mark}",
        "organization": settings["organization"],
        "inventory": f"{name} inventory",
        "project": f"{name} project",
        "playbook": f"{settings['playbooks']}/{operation}.yml".lstrip("/"),
        "execution_environment": image,
        "credentials": credentials,
        "extra_vars": variables,
        "job_tags": known.tags,
        "survey_enabled": bool(questions),
        "survey_spec": {"name": "", "description": "", "spec": questions} if questions else {},
        # What asks for nothing may run at the same time: leases and versions in the CloudStore keep jobs apart.
        "allow_simultaneous": known.group == SITE,
        **{key: value for key, value in notified.items() if not key.endswith("approvals")},
    }


def title(name: str, operation: str) -> str:
    """The name of a job template."""
    return f"{name} {TITLES.get(operation, operation.replace('_', ' '))}"


def _workflow(settings: Row, chosen: Sequence[str], mark: str, notified: Row) -> Row:
    """Plan, approval, apply: the plan's id reaches the last node as an artifact of the first. Last nodes first."""
    name = settings["name"]
    after = [("surveys", title(name, "awx"))] if "awx" in chosen else []
    nodes = [
        *({"identifier": step, "template": template} for step, template in after),
        {"identifier": "apply", "template": title(name, "site"), "success_nodes": [step for step, _t in after]},
        {"identifier": "plan", "template": title(name, "plan"), "success_nodes": ["approval"]},
    ]
    return {
        "name": f"{name} plan, approve, apply",
        "description": f"Plan; after an approval apply exactly this plan, or nothing. {mark}",
        "organization": settings["organization"],
        "approval": {
            "identifier": "approval",
            "name": f"{name}: apply this plan?",
            "description": mark,
            "timeout": settings["approval_timeout"],
        },
        "nodes": nodes,
        "identifiers": ["approval", *(node["identifier"] for node in nodes)],
        **notified,
    }


def _schedules(settings: Row, chosen: Sequence[str], workflow: Row, mark: str) -> list[Row]:
    name, rows = settings["name"], []
    templates = {TITLES.get(operation, operation): title(name, operation) for operation in chosen}
    if workflow:
        templates["workflow"] = workflow["name"]
    for index, each in enumerate(settings["schedules"]):
        path = f"awx.schedules[{index}].template"
        if each["template"] == "workflow" and not workflow:
            raise _invalid(path, "'workflow' needs the operations plan and apply: add them to awx.operations")
        if each["template"] not in templates:
            raise _invalid(path, f"{each['template']!r} is none of {', '.join(templates)}")
        rows.append(
            {
                "name": f"{name} {each['name']}",
                "description": mark,
                "unified_job_template": templates[each["template"]],
                "rrule": each["rrule"],
                "enabled": each["enabled"],
                "extra_data": each["extra_data"],
            }
        )
    return rows


def _notified(notifications: Iterable[Row], name: str) -> Row:
    """The notification templates of each event, as job templates name them."""
    return {
        f"notification_templates_{event}": [f"{name} {each['name']}" for each in notifications if event in each["on"]]
        for event in EVENTS
    }


def _chosen(settings: Row) -> list[str]:
    """The operations that get a job template, by the names and groups in the settings."""
    wanted = settings["operations"]
    known = {TITLES.get(operation, operation): operation for operation in OPERATIONS}
    groups = {operation.group for operation in OPERATIONS.values()}
    for index, each in enumerate(wanted):
        if each not in groups and each not in known:
            raise _invalid(f"awx.operations[{index}]", _unknown(each, [*sorted(groups), *known]))
    return [
        operation
        for short, operation in known.items()
        if (short in wanted or OPERATIONS[operation].group in wanted)
        and (settings["controller"] or not OPERATIONS[operation].controller)
    ]


# -- the declaration ---------------------------------------------------------------------------------------------------


def refuse_secrets(declared: Mapping[str, Any]) -> None:
    """Refuse secrets in the declaration by their key alone: the vault that their values name may not be here."""
    rows = declared.get("notifications")
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, Mapping) and "secrets" in row:
            raise _invalid(
                f"awx.notifications[{index}].secrets",
                f"move them to awx_secrets.notifications.{row.get('name')}, a variable outside of the repository",
            )


def _settings(declared: Mapping[str, Any], site: str) -> Row:
    """The settings with their defaults, checked. Raises SpecInvalid."""
    mistakes: list[str] = []
    settings = _filled("awx", declared, DEFAULTS, REQUIRED, mistakes)
    settings["name"] = settings["name"] or site
    settings["organization"] = settings["organization"] or settings["name"]
    if isinstance(settings["project"], Mapping):
        settings["project"] = _filled("awx.project", settings["project"], PROJECT, ("scm_url",), mistakes)
    elif settings["project"] is not None:
        mistakes.append("awx.project: must be a mapping: {scm_url: ..., scm_branch: ..., credential: ...}")
    for key, known, required in (
        ("schedules", SCHEDULE, ("name", "template", "rrule")),
        ("notifications", NOTIFICATION, ("name",)),
    ):
        rows = settings[key]
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            mistakes.append(f"awx.{key}: must be a list of mappings")
            continue
        settings[key] = [_filled(f"awx.{key}[{i}]", row, known, required, mistakes) for i, row in enumerate(rows)]
        names = [row["name"] for row in settings[key]]
        mistakes += [
            f"awx.{key}: {name!r} is declared twice"
            for name in sorted({n for n in names if names.count(n) > 1}, key=str)
        ]
    for index, each in enumerate(settings["notifications"] if not mistakes else ()):
        mistakes += [
            f"awx.notifications[{index}].on: {_unknown(event, EVENTS)}" for event in each["on"] if event not in EVENTS
        ]
    if not isinstance(settings["operations"], list):
        mistakes.append("awx.operations: must be a list of names")
    if mistakes:
        number = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise PhotonError("SpecInvalid", f"{number} in the variable awx; nothing was done:\n- " + "\n- ".join(mistakes))
    return settings


def _filled(path: str, given: Mapping[str, Any], known: Row, required: Iterable[str], mistakes: list[str]) -> Row:
    mistakes += [f"{path}.{key}: {_unknown(key, known)}" for key in given if key not in known]
    mistakes += [f"{path}.{key}: missing" for key in required if given.get(key) in (None, "")]
    return {key: given[key] if given.get(key) is not None else default for key, default in known.items()}


def _unknown(key: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(str(key), known, 1)
    return f"{key!r} is unknown: did you mean {near[0]!r}?" if near else f"{key!r} is unknown; use {', '.join(known)}"


def _invalid(path: str, message: str) -> PhotonError:
    return PhotonError("SpecInvalid", f"{path}: {message}")
