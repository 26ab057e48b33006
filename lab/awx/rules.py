# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX checks beyond single fields: injectors, surveys, answers, schedules, notifications, workflow graphs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jinja2
import jinja2.sandbox
from jinja2 import meta

from .errors import Refused
from .resources import NOTIFICATIONS

if TYPE_CHECKING:
    from .objects import Objects, Row

# AWX sets these itself (awx/main/constants.py) and refuses what changes Ansible.
ENV_BLOCKLIST = frozenset(
    "VIRTUAL_ENV PATH PYTHONPATH JOB_ID INVENTORY_ID INVENTORY_SOURCE_ID INVENTORY_UPDATE_ID AD_HOC_COMMAND_ID "
    "REST_API_URL REST_API_TOKEN MAX_EVENT_RES CALLBACK_QUEUE CALLBACK_CONNECTION CACHE JOB_CALLBACK_DEBUG "
    "INVENTORY_HOSTVARS AWX_HOST PROJECT_REVISION SUPERVISOR_CONFIG_PATH".split()
)
QUESTION_TYPES = {"text": str, "textarea": str, "password": str, "multiplechoice": str, "multiselect": list,
                  "integer": int, "float": (int, float)}  # fmt: skip
_INPUT_KEYS = {
    "id",
    "label",
    "help_text",
    "type",
    "format",
    "secret",
    "multiline",
    "choices",
    "default",
    "ask_at_runtime",
}


def check(objects: Objects, collection: str, row: Row, before: Row) -> None:
    """Check an object as a whole. Raises Refused."""
    checks: dict[str, Callable[[], None]] = {
        "credential_types": lambda: _credential_type(row),
        "credentials": lambda: _credential(objects, row, before),
        "projects": lambda: _project(row),
        "inventory_sources": lambda: _inventory_source(row),
        "job_templates": lambda: _job_template(objects, row),
        "notification_templates": lambda: _notification(row, before),
        "schedules": lambda: _schedule(objects, row),
        "workflow_job_template_nodes": lambda: _node(objects, row),
    }
    checks.get(collection, lambda: None)()


# -- credentials -------------------------------------------------------------------------------------------------------


def secret_inputs(credential_type: Row) -> set[str]:
    return {each["id"] for each in credential_type["inputs"].get("fields", []) if each.get("secret")}


def _credential_type(row: Row) -> None:
    inputs, injectors = row["inputs"], row["injectors"]
    errors: dict[str, list[str]] = {}
    if unknown := set(inputs) - {"fields", "required"}:
        errors["inputs"] = [f"Additional properties are not allowed ({', '.join(sorted(unknown))})"]
    ids = []
    for each in inputs.get("fields", []):
        if not {"id", "label"} <= set(each) or set(each) - _INPUT_KEYS:
            errors["inputs"] = [f"{each}: id and label are needed, and no others than {', '.join(sorted(_INPUT_KEYS))}"]
        if each.get("type", "string") not in ("string", "boolean"):
            errors["inputs"] = [f"'{each['type']}' is not one of ['string', 'boolean']"]
        ids.append(each.get("id", ""))
    if len(set(ids)) != len(ids) or set(inputs.get("required", [])) - set(ids):
        errors["inputs"] = ["ids must be unique, and what is required among them"]
    if unknown := set(injectors) - {"env", "extra_vars", "file"}:
        errors["injectors"] = [f"Additional properties are not allowed ({', '.join(sorted(unknown))})"]
    for name in injectors.get("env", {}):
        if name.startswith("ANSIBLE_"):
            errors["injectors"] = [f"Environment variable {name} may affect Ansible configuration"]
        if name in ENV_BLOCKLIST or not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            errors["injectors"] = [f"Environment variable {name} is not allowed to be used in credentials."]
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment()
    for group in ("env", "extra_vars", "file"):
        for name, template in injectors.get(group, {}).items():
            try:
                used = meta.find_undeclared_variables(environment.parse(template))
            except jinja2.TemplateError as error:
                errors["injectors"] = [f"Syntax error rendering template for {name} inside of {group} ({error})"]
                continue
            if unknown := used - {*ids, "tower", "awx"}:
                errors["injectors"] = [f"{name} uses an undefined field ({', '.join(sorted(unknown))})"]
    if errors:
        raise Refused(errors)


def injected(credential_type: Row, inputs: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables that a credential sets."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined)
    known = {
        each["id"]: inputs.get(each["id"], each.get("default", "")) for each in credential_type["inputs"]["fields"]
    }
    return {
        name: environment.from_string(template).render(**known)
        for name, template in credential_type["injectors"].get("env", {}).items()
    }


def _credential(objects: Objects, row: Row, before: Row) -> None:
    kind = objects.rows["credential_types"].get(row["credential_type"])
    assert kind is not None
    fields = {each["id"]: each for each in kind["inputs"].get("fields", [])}
    errors = [
        f"Additional properties are not allowed ('{name}' was unexpected)" for name in set(row["inputs"]) - set(fields)
    ]
    for name, value in list(row["inputs"].items()):
        if value == "$encrypted$":
            row["inputs"] = {**row["inputs"], name: before.get("inputs", {}).get(name, "")}
        elif name in fields and not isinstance(value, bool if fields[name].get("type") == "boolean" else str):
            errors.append(f"{name}: {value!r} is not of type '{fields[name].get('type', 'string')}'")
        if name in fields and fields[name].get("choices") and value not in fields[name]["choices"]:
            errors.append(f"{name}: {value!r} is not one of {fields[name]['choices']}")
    errors += [
        f"required for {kind['name']}: {name}"
        for name in kind["inputs"].get("required", [])
        if not row["inputs"].get(name)
    ]
    if errors:
        raise Refused({"inputs": errors})


def check_credential(credential: Row, others: Iterable[Row]) -> None:
    if any(o["id"] != credential["id"] and o["credential_type"] == credential["credential_type"] for o in others):
        raise Refused({"error": "Cannot assign multiple credentials of the same type."})


# -- projects, inventories, templates ----------------------------------------------------------------------------------


def _project(row: Row) -> None:
    if row["scm_type"] and not row["scm_url"]:
        raise Refused({"scm_url": ["SCM URL is required."]})
    if row["scm_type"] and row["local_path"] and not row.get("id"):
        raise Refused({"local_path": ["local_path is for manual projects."]})
    if row["scm_type"] and row["scm_type"] != "git":
        raise Refused({"scm_type": ["the lab has git projects alone"]})


def _inventory_source(row: Row) -> None:
    if row["source"] == "scm" and row["source_project"] is None:
        raise Refused({"source_project": ["Project required for scm type sources."]})
    if row["source"] != "scm" and (row["source_project"] or row["source_path"]):
        raise Refused({"detail": "Cannot set source_path or source_project if not SCM type."})


def _job_template(objects: Objects, row: Row) -> None:
    project = objects.rows["projects"].get(row["project"])
    assert project is not None
    row["organization"] = project["organization"]
    files = project.get("playbook_files", [])
    if row["playbook"] not in files and not project["allow_override"]:
        raise Refused({"playbook": ["Playbook not found for project."]})
    if row["inventory"] is None and not row["ask_inventory_on_launch"]:
        raise Refused({"inventory": ["A Job Template must have an inventory, or allow prompting for it."]})


def _notification(row: Row, before: Row) -> None:
    known, given = NOTIFICATIONS[row["notification_type"]], dict(row["notification_configuration"])
    if unknown := set(given) - set(known):
        raise Refused({"notification_configuration": [f"Unknown parameters: {', '.join(sorted(unknown))}"]})
    missing = [name for name, default in known.items() if default is None and name not in given]
    if missing:
        raise Refused(
            {"notification_configuration": [f"Missing required fields for Notification Configuration: {missing}"]}
        )
    for name, default in known.items():
        given.setdefault(name, default)
        if given[name] == "$encrypted$":
            given[name] = before.get("notification_configuration", {}).get(name, "")
    row["notification_configuration"] = given


# -- surveys and launches ----------------------------------------------------------------------------------------------


def check_survey(spec: Any) -> None:
    """Raises Refused as AWX's survey_spec endpoint does."""
    if not isinstance(spec, dict) or set(spec) != {"name", "description", "spec"}:
        raise Refused({"error": "'name', 'description' and 'spec' are needed in survey, and nothing else."})
    if not isinstance(spec["spec"], list) or not spec["spec"]:
        raise Refused({"error": "'spec' must be a list of items, and not empty."})
    allowed = {
        "question_name",
        "question_description",
        "required",
        "type",
        "variable",
        "min",
        "max",
        "default",
        "choices",
        "new_question",
    }
    names = set()
    for index, each in enumerate(spec["spec"]):
        if each.get("type") not in QUESTION_TYPES:
            raise Refused(
                {"error": f"'{each.get('type')}' in survey question {index} is not one of {list(QUESTION_TYPES)}"}
            )
        for key in ("question_name", "variable", "required"):
            if key not in each:
                raise Refused({"error": f"'{key}' missing from survey question {index}"})
        if set(each) - allowed:
            raise Refused({"error": f"survey question {index}: unknown {', '.join(sorted(set(each) - allowed))}"})
        if each["variable"] in names:
            raise Refused({"error": f"'variable' '{each['variable']}' duplicated in survey question {index}."})
        names.add(each["variable"])
        if each["type"].startswith("multi"):
            if not each.get("choices"):
                raise Refused({"error": f"Survey Question {index} of type {each['type']} must specify choices."})
            default = each.get("default") or ""
            if set(default.splitlines()) - set(choices_of(each)):
                raise Refused({"error": f"Default choice must be answered from the choices listed (question {index})."})


def choices_of(question: Mapping[str, Any]) -> list[str]:
    found = question["choices"]
    return found.splitlines() if isinstance(found, str) else list(found)


def answers(
    template: Row, spec: Mapping[str, Any] | None, given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The variables that a launch or a node may set, and those that are ignored. Raises Refused for wrong answers."""
    questions = {each["variable"]: each for each in (spec or {}).get("spec", [])} if template["survey_enabled"] else {}
    accepted: dict[str, Any] = {}
    errors = []
    for name, question in questions.items():
        value = given.get(name)
        if value in (None, "", []):
            if question.get("default"):
                value = question["default"]
                value = value.splitlines() if question["type"] == "multiselect" else value
            elif question["required"]:
                errors.append(f"'{name}' value missing")
                continue
            else:
                continue
        if not isinstance(value, QUESTION_TYPES[question["type"]]):
            errors.append(f"Value {value!r} for '{name}' expected to be of type {question['type']}.")
        elif question["type"].startswith("multi"):
            wrong = set([value] if isinstance(value, str) else value) - set(choices_of(question))
            errors += [f"Value {each} for '{name}' is not one of the choices" for each in sorted(wrong)]
        accepted[name] = value
    if errors:
        raise Refused({"variables_needed_to_start": errors})
    others = {name: value for name, value in given.items() if name not in questions}
    if template["ask_variables_on_launch"]:
        return {**others, **accepted}, []
    return accepted, sorted(others)


def _node(objects: Objects, row: Row) -> None:
    if row["unified_job_template"] is None:
        return
    template = objects.get("unified_job_templates", row["unified_job_template"])
    if row["extra_data"]:
        spec = objects.surveys.get((objects.collection_of(template), template["id"]))
        asked = {each["variable"] for each in (spec or {}).get("spec", [])} if template.get("survey_enabled") else set()
        unknown = set(row["extra_data"]) - asked
        if unknown and not template.get("ask_variables_on_launch"):
            names = ", ".join(sorted(unknown))
            raise Refused(
                {"extra_data": [f"Variables {names} are not allowed on launch. Check the Prompt on Launch setting."]}
            )
    for prompt in ("limit", "job_tags", "skip_tags", "job_type", "inventory", "scm_branch"):
        ask = "ask_" + {"job_tags": "tags"}.get(prompt, prompt) + "_on_launch"
        if row[prompt] and not template.get(ask):
            raise Refused({prompt: ["Field is not configured to prompt on launch."]})


def check_node(objects: Objects, parent: Row, child: Row) -> None:
    """Refuse edges to other workflows and cycles."""
    if parent["workflow_job_template"] != child["workflow_job_template"]:
        raise Refused({"error": "Nodes are of different workflows."})
    seen, waiting = set(), [child]
    while waiting:
        node = waiting.pop()
        if node["id"] == parent["id"]:
            raise Refused({"error": "Cycle detected."})
        if node["id"] not in seen:
            seen.add(node["id"])
            waiting += [
                each for way in ("success_nodes", "failure_nodes", "always_nodes") for each in objects.linked(node, way)
            ]


def _schedule(objects: Objects, row: Row) -> None:
    text, errors = row["rrule"], []
    if not re.search(r"DTSTART(;TZID=[A-Za-z0-9_/+-]+:\d{8}T\d{6}|:\d{8}T\d{6}Z)", text):
        errors.append("Valid DTSTART required in rrule. Value should start with: DTSTART:YYYYMMDDTHHMMSSZ")
    rules = re.findall(r"RRULE:([^\s]+)", text)
    if len(rules) != 1:
        errors.append("One RRULE required in rrule.")
    for rule in rules:
        parts = dict(part.split("=", 1) for part in rule.split(";") if "=" in part)
        if parts.get("FREQ") not in ("MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
            errors.append("FREQ must be one of MINUTELY ... YEARLY; SECONDLY is not supported.")
        if "INTERVAL" not in parts:
            errors.append("INTERVAL required in rrule.")
        if "COUNT" in parts and "UNTIL" in parts:
            errors.append("RRULE may not contain both COUNT and UNTIL")
    if errors:
        raise Refused({"rrule": errors})
    template = objects.get("unified_job_templates", row["unified_job_template"])
    if row["extra_data"]:
        spec = objects.surveys.get((objects.collection_of(template), template["id"]))
        _accepted, ignored = answers(template, spec, row["extra_data"])
        if ignored:
            raise Refused({"extra_data": [f"Variables {', '.join(ignored)} are not allowed on launch."]})
