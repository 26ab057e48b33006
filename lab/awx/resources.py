# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resources that AWX has: their fields, references and associations. Names and defaults are AWX's own (24.6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

TEMPLATES = ("job_templates", "workflow_job_templates", "projects", "inventory_sources", "workflow_approval_templates")
NOTIFIED = ("notification_templates_started", "notification_templates_success", "notification_templates_error")


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a resource: JSON type, default, choices, the collection that it refers to.

    ``fixed``: the server sets it, and it is ignored in requests, as AWX does. ``cascade``: what it refers to takes this
    along when it is deleted.
    """

    type: type = str
    default: Any = ""
    required: bool = False
    choices: tuple[Any, ...] = ()
    to: tuple[str, ...] = ()
    cascade: bool = False
    fixed: bool = False
    text_of_object: bool = False  # a YAML or JSON mapping, written as text


@dataclass(frozen=True, slots=True)
class Resource:
    """A collection of the API: the type of its members, their fields, the fields that are unique together."""

    type: str
    fields: dict[str, Field]
    unique: tuple[str, ...] = ("name",)
    associations: dict[str, str] = field(default_factory=dict)  # name -> collection
    read_only: bool = False


def text(default: str = "", **more: Any) -> Field:
    return Field(str, default, **more)


def flag(default: bool = False) -> Field:
    return Field(bool, default)


def number(default: int = 0, choices: tuple[int, ...] = ()) -> Field:
    return Field(int, default, choices=choices)


def ref(*to: str, required: bool = False, cascade: bool = False) -> Field:
    return Field(int, None, required=required, to=to, cascade=cascade)


def mapping() -> Field:
    return Field(str, "", text_of_object=True)


NAME = text(required=True)
BASE = {"name": NAME, "description": text()}
ORGANIZATION = ref("organizations", required=True, cascade=True)
PROMPTS = {
    "inventory": ref("inventories"),
    "scm_branch": text(),
    "job_type": Field(str, None, choices=("run", "check", "")),
    "job_tags": text(),
    "skip_tags": text(),
    "limit": text(),
    "diff_mode": Field(bool, None),
    "verbosity": Field(int, None, choices=(0, 1, 2, 3, 4, 5)),
    "execution_environment": ref("execution_environments"),
    "forks": Field(int, None),
    "job_slice_count": Field(int, None),
    "timeout": Field(int, None),
}
ASK = (
    "scm_branch diff_mode variables limit tags skip_tags job_type verbosity inventory credential execution_environment "
    "forks instance_groups job_slice_count labels timeout"
).split()
WORKFLOW_ASK = "inventory scm_branch limit variables labels tags skip_tags".split()
STATUS = {
    "status": text("pending", fixed=True),
    "failed": Field(bool, False, fixed=True),
    "started": Field(str, None, fixed=True),
    "finished": Field(str, None, fixed=True),
    "elapsed": Field(float, 0.0, fixed=True),
    "job_explanation": text(fixed=True),
    "event_processing_finished": Field(bool, False, fixed=True),
    "unified_job_template": Field(int, None, to=TEMPLATES, fixed=True, cascade=True),
    "launch_type": text("manual", fixed=True),
    "created_by": text(fixed=True),
}


def job(kind: str, **more: Field) -> Resource:
    fields = {name: Field(each.type, each.default, to=each.to, fixed=True) for name, each in more.items()}
    return Resource(kind, {**BASE, **STATUS, **fields}, unique=(), read_only=True)


RESOURCES: dict[str, Resource] = {
    "organizations": Resource(
        "organization",
        {
            **BASE,
            "max_hosts": number(),
            "custom_virtualenv": Field(str, None),
            "default_environment": ref("execution_environments"),
        },
        associations={
            "instance_groups": "instance_groups",
            "galaxy_credentials": "credentials",
            **dict.fromkeys((*NOTIFIED, "notification_templates_approvals"), "notification_templates"),
        },
    ),
    "users": Resource("user", {"username": NAME, "is_superuser": flag()}, unique=("username",), read_only=True),
    "instance_groups": Resource("instance_group", {"name": NAME}, read_only=True),
    "labels": Resource("label", {"name": NAME, "organization": ORGANIZATION}, unique=("name", "organization")),
    "execution_environments": Resource(
        "execution_environment",
        {
            **BASE,
            "organization": ref("organizations", cascade=True),
            "image": NAME,
            "credential": ref("credentials"),
            "pull": text(choices=("", "always", "missing", "never")),
            "managed": Field(bool, False, fixed=True),
        },
    ),
    "credential_types": Resource(
        "credential_type",
        {
            **BASE,
            "kind": text(required=True, choices=("net", "cloud")),
            "namespace": Field(str, None, fixed=True),
            "managed": Field(bool, False, fixed=True),
            "inputs": Field(dict, {}),
            "injectors": Field(dict, {}),
        },
        unique=("name", "kind"),
    ),
    "credentials": Resource(
        "credential",
        {
            **BASE,
            "organization": ref("organizations", cascade=True),
            "credential_type": ref("credential_types", required=True),
            "inputs": Field(dict, {}),
        },
        unique=("name", "organization", "credential_type"),
    ),
    "projects": Resource(
        "project",
        {
            **BASE,
            "organization": ORGANIZATION,
            "local_path": text(),
            "scm_type": text(choices=("", "git", "svn", "insights", "archive")),
            "scm_url": text(),
            "scm_branch": text(),
            "scm_refspec": text(),
            "scm_clean": flag(),
            "scm_track_submodules": flag(),
            "scm_delete_on_update": flag(),
            "scm_update_on_launch": flag(),
            "scm_update_cache_timeout": number(),
            "allow_override": flag(),
            "timeout": number(),
            "credential": ref("credentials"),
            "signature_validation_credential": ref("credentials"),
            "default_environment": ref("execution_environments"),
            "scm_revision": text(fixed=True),
            "status": text("never updated", fixed=True),
        },
        unique=("name", "organization"),
        associations=dict.fromkeys(NOTIFIED, "notification_templates"),
    ),
    "inventories": Resource(
        "inventory",
        {
            **BASE,
            "organization": ORGANIZATION,
            "kind": Field(str, "", choices=("", "smart", "constructed", None)),
            "host_filter": Field(str, None),
            "variables": mapping(),
            "prevent_instance_group_fallback": flag(),
        },
        unique=("name", "organization"),
        associations={"instance_groups": "instance_groups"},
    ),
    "inventory_sources": Resource(
        "inventory_source",
        {
            **BASE,
            "inventory": ref("inventories", required=True, cascade=True),
            "source": text(
                required=True, choices=("scm", "ec2", "gce", "azure_rm", "vmware", "openstack", "controller")
            ),
            "source_path": text(),
            "source_vars": mapping(),
            "source_project": ref("projects"),
            "scm_branch": text(),
            "credential": ref("credentials"),
            "execution_environment": ref("execution_environments"),
            "enabled_var": text(),
            "enabled_value": text(),
            "host_filter": text(),
            "overwrite": flag(),
            "overwrite_vars": flag(),
            "timeout": number(),
            "verbosity": number(1, choices=(0, 1, 2)),
            "limit": text(),
            "update_on_launch": flag(),
            "update_cache_timeout": number(),
            "status": text("never updated", fixed=True),
        },
        unique=("name", "inventory"),
        associations=dict.fromkeys(NOTIFIED, "notification_templates"),
    ),
    "job_templates": Resource(
        "job_template",
        {
            **BASE,
            **PROMPTS,
            "job_type": text("run", choices=("run", "check")),
            "diff_mode": flag(),
            "verbosity": number(0, choices=(0, 1, 2, 3, 4, 5)),
            "forks": number(),
            "job_slice_count": number(1),
            "timeout": number(),
            "organization": Field(int, None, to=("organizations",), fixed=True),  # the project's
            "project": ref("projects", required=True, cascade=True),
            "playbook": NAME,
            "extra_vars": mapping(),
            "force_handlers": flag(),
            "start_at_task": text(),
            "use_fact_cache": flag(),
            "host_config_key": text(),
            "survey_enabled": flag(),
            "become_enabled": flag(),
            "allow_simultaneous": flag(),
            "webhook_service": text(choices=("", "github", "gitlab")),
            "webhook_credential": ref("credentials"),
            "prevent_instance_group_fallback": flag(),
            **{f"ask_{name}_on_launch": flag() for name in ASK},
        },
        unique=("name", "organization"),
        associations={
            "credentials": "credentials",
            "labels": "labels",
            "instance_groups": "instance_groups",
            **dict.fromkeys(NOTIFIED, "notification_templates"),
        },
    ),
    "workflow_job_templates": Resource(
        "workflow_job_template",
        {
            **BASE,
            "organization": ref("organizations", cascade=True),
            "extra_vars": mapping(),
            "survey_enabled": flag(),
            "allow_simultaneous": flag(),
            "inventory": ref("inventories"),
            "limit": text(),
            "scm_branch": text(),
            "job_tags": text(),
            "skip_tags": text(),
            "webhook_service": text(choices=("", "github", "gitlab")),
            "webhook_credential": ref("credentials"),
            **{f"ask_{name}_on_launch": flag() for name in WORKFLOW_ASK},
        },
        unique=("name", "organization"),
        associations={
            "labels": "labels",
            **dict.fromkeys((*NOTIFIED, "notification_templates_approvals"), "notification_templates"),
        },
    ),
    "workflow_job_template_nodes": Resource(
        "workflow_job_template_node",
        {
            **PROMPTS,
            "workflow_job_template": ref("workflow_job_templates", required=True, cascade=True),
            "unified_job_template": Field(int, None, to=TEMPLATES),
            "identifier": text(),
            "extra_data": Field(dict, {}),
            "all_parents_must_converge": flag(),
        },
        unique=("identifier", "workflow_job_template"),
        associations={
            "credentials": "credentials",
            "labels": "labels",
            "instance_groups": "instance_groups",
            **dict.fromkeys(("always_nodes", "success_nodes", "failure_nodes"), "workflow_job_template_nodes"),
        },
    ),
    "workflow_approval_templates": Resource("workflow_approval_template", {**BASE, "timeout": number()}, unique=()),
    "notification_templates": Resource(
        "notification_template",
        {
            **BASE,
            "organization": ORGANIZATION,
            "notification_type": text(required=True, choices=("email", "slack", "webhook", "mattermost", "grafana")),
            "notification_configuration": Field(dict, {}),
            "messages": Field(dict, None),
        },
        unique=("name", "organization"),
    ),
    "schedules": Resource(
        "schedule",
        {
            **BASE,
            **PROMPTS,
            "rrule": NAME,
            "unified_job_template": Field(int, None, required=True, to=TEMPLATES, cascade=True),
            "extra_data": Field(dict, {}),
            "enabled": flag(True),
        },
        unique=("name", "unified_job_template"),
        associations=dict.fromkeys(("credentials", "labels", "instance_groups"), "credentials"),
    ),
    "jobs": job(
        "job",
        job_type=text(),
        playbook=text(),
        extra_vars=text("{}"),
        artifacts=Field(dict, {}),
        job_template=ref("job_templates"),
        inventory=ref("inventories"),
        project=ref("projects"),
        execution_environment=ref("execution_environments"),
    ),
    "project_updates": job("project_update", project=ref("projects"), scm_revision=text()),
    "inventory_updates": job("inventory_update", inventory_source=ref("inventory_sources")),
    "workflow_jobs": job("workflow_job", extra_vars=text("{}"), workflow_job_template=ref("workflow_job_templates")),
    "workflow_approvals": job("workflow_approval", approved_or_denied_by=text(), timed_out=flag()),
    "workflow_job_nodes": Resource(
        "workflow_job_node",
        {
            "identifier": text(fixed=True),
            "workflow_job": Field(int, None, to=("workflow_jobs",), fixed=True),
            "unified_job_template": Field(int, None, to=TEMPLATES, fixed=True),
            "job": Field(int, None, to=("jobs", "workflow_approvals"), fixed=True),
            "do_not_run": Field(bool, False, fixed=True),
        },
        unique=(),
        read_only=True,
    ),
}
UNIONS = {
    "unified_job_templates": TEMPLATES,
    "unified_jobs": ("jobs", "project_updates", "inventory_updates", "workflow_jobs", "workflow_approvals"),
}
# Notification types: their parameters with defaults; None: required. Secrets are never shown.
NOTIFICATIONS: dict[str, dict[str, Any]] = {
    "webhook": {
        "url": None,
        "http_method": "POST",
        "disable_ssl_verification": False,
        "username": "",
        "password": "",
        "headers": {},
    },
    "slack": {"token": None, "channels": None, "hex_color": ""},
    "email": {
        "host": None,
        "port": None,
        "username": None,
        "password": None,
        "use_tls": None,
        "use_ssl": None,
        "sender": None,
        "recipients": None,
        "timeout": 30,
    },
    "mattermost": {
        "mattermost_url": None,
        "mattermost_username": "",
        "mattermost_channel": "",
        "mattermost_icon_url": "",
        "mattermost_no_verify_ssl": False,
    },
    "grafana": {
        "grafana_url": None,
        "grafana_key": None,
        "dashboardId": "",
        "panelId": "",
        "annotation_tags": [],
        "grafana_no_verify_ssl": False,
        "isRegion": True,
    },
}
SECRET_PARAMETERS = ("password", "token", "grafana_key")
