# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every object that a site has on AWX, from its variable awx and from what the CloudStore holds."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.photon.platform.plugins.filter.awx_objects import awx_objects
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import awx_surveys
from ansible_collections.photon.platform.plugins.module_utils.services.awx import OPERATIONS, objects

ROOT = pathlib.Path(__file__).resolve().parents[5]
AWX = {
    "image": "registry.example.org/photon:1",
    "project": {"scm_url": "https://git.example.org/site.git"},
    "inventory": "inventories/mine",
    "cloudstore": "postgresql+psycopg://photon@db1/photon",
}
RESOURCES = [
    {"kind": "tenant", "name": "acme", "state": "READY"},
    {"kind": "project", "name": "web", "tenant": "acme", "state": "READY"},
    {"kind": "flavor", "name": "core-100", "flavor_kind": "vm", "state": "READY"},
    {"kind": "flavor", "name": "nvme", "flavor_kind": "ephemeral-disk", "state": "READY"},
    {"kind": "zone", "name": "a", "state": "READY"},
    {"kind": "zone", "name": "old", "state": "PENDING_DELETE"},
]


def made(resources: Any = RESOURCES, **changes: Any) -> dict[str, Any]:
    return objects({**AWX, **changes}, site="paris", endpoints=[{"name": "vc1"}, {"name": "vc-2"}], resources=resources)


def templates(**changes: Any) -> dict[str, dict[str, Any]]:
    return {row["operation"]: row for row in made(**changes)["templates"]}


def test_every_playbook_is_an_operation() -> None:
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert set(OPERATIONS) == playbooks, "add a row for a new playbook to OPERATIONS of services/awx.py"


def test_every_question_is_asked() -> None:
    assert {name for each in OPERATIONS.values() for name in each.questions} == set(awx_surveys.QUESTIONS)


def test_secrets_reach_the_environment_alone() -> None:
    types = {row["for"]: row for row in made()["credential_types"]}
    vc1, vc2, store = types["vc1"], types["vc-2"], types["cloudstore"]
    assert vc1["injectors"] == {
        "env": {"PHOTON_CREDENTIAL_VC1_USERNAME": "{{ username }}", "PHOTON_CREDENTIAL_VC1_PASSWORD": "{{ password }}"}
    }
    assert set(vc2["injectors"]["env"]) == {"PHOTON_CREDENTIAL_VC_2_USERNAME", "PHOTON_CREDENTIAL_VC_2_PASSWORD"}
    assert store["injectors"] == {"env": {"PHOTON_CLOUDSTORE": "{{ url }}", "PGPASSWORD": "{{ password }}"}}
    for row in (vc1, vc2, store):
        assert [field["id"] for field in row["inputs"]["fields"] if field.get("secret")] == ["password"]


def test_credentials_of_endpoints_name_their_variables() -> None:
    prefixes = {row["for"]: row.get("prefix") for row in made()["credentials"]}
    assert prefixes == {
        "vc1": "PHOTON_CREDENTIAL_VC1", "vc-2": "PHOTON_CREDENTIAL_VC_2", "cloudstore": None, "controller": None,
    }  # fmt: skip


@pytest.mark.parametrize("inventory", ["inventories/mine", "inventories/mine/hosts.yml"])
def test_files_count_from_the_inventorys_folder(tmp_path: pathlib.Path, inventory: str) -> None:
    (tmp_path / "inventories" / "mine").mkdir(parents=True)
    (tmp_path / "inventories" / "mine" / "hosts.yml").touch()
    variables = templates(inventory=inventory)["site"]["extra_vars"]
    trusted = {name: trust_as_template(value) for name, value in variables.items()}
    templar = Templar(DataLoader(), {**trusted, "ansible_config_file": str(tmp_path / "ansible.cfg")})
    folder = templar.template(trust_as_template("{{ base_directory }}"))
    assert folder == str(tmp_path / "inventories" / "mine")


def test_schedules_of_what_is_offered_alone() -> None:
    schedule = {"name": "n", "template": "surveys", "rrule": "r"}
    assert made(schedules=[schedule])["schedules"][0]["unified_job_template"] == "paris surveys"
    with pytest.raises(PhotonError, match="'surveys' is none of plan, apply"):
        made(schedules=[schedule], controller=False)


def test_choices_come_from_the_state() -> None:
    questions = {each["variable"]: each for each in templates()["vm"]["survey_spec"]["spec"]}
    assert questions["vm_project"]["choices"] == ["acme/web"]
    assert questions["vm_flavor"]["choices"] == ["core-100"]
    assert questions["vm_zone"]["choices"] == ["a"]
    [targets] = templates()["plan"]["survey_spec"]["spec"]
    assert (targets["type"], targets["choices"], targets["required"]) == ("multiselect", ["acme", "acme/web"], False)


def test_without_a_state_texts_are_asked_for() -> None:
    [targets] = templates(resources=[])["plan"]["survey_spec"]["spec"]
    assert (targets["type"], targets["choices"]) == ("text", "")


def test_too_many_choices_are_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awx_surveys, "LIMIT", 1)
    assert templates()["plan"]["survey_spec"]["spec"][0]["type"] == "text"


def test_the_workflow_hands_the_plan_on() -> None:
    workflow = made()["workflow"]
    assert templates()["plan"]["extra_vars"]["keep_plan"] is True
    assert [node["identifier"] for node in workflow["nodes"]] == ["surveys", "apply", "plan"], "last nodes first"
    assert workflow["nodes"][-1]["success_nodes"] == ["approval"]
    assert made(operations=["plan"])["workflow"] == {}


def test_operations_by_name_and_by_group() -> None:
    assert list(templates(operations=["apply", "load_balancers"], controller=False))[:2] == ["site", "load_balancer"]
    assert "awx" not in templates(controller=False)
    assert not {"cluster_upgrade", "cloudstore_rebuild"} & set(templates())
    assert templates(operations=["clusters"], machine_credential="ssh")["cluster_create"]["credentials"][-1] == "ssh"


def test_notifications_go_where_they_are_wanted() -> None:
    notification = {"name": "ops", "configuration": {"url": "https://example.org"}, "on": ["error", "approvals"]}
    found = made(notifications=[notification])
    assert found["templates"][0]["notification_templates_error"] == ["paris ops"]
    assert found["templates"][0]["notification_templates_success"] == []
    assert "notification_templates_approvals" not in found["templates"][0]
    assert found["workflow"]["notification_templates_approvals"] == ["paris ops"]


def test_every_description_ends_with_the_mark() -> None:
    found = made(schedules=[{"name": "n", "template": "workflow", "rrule": "r"}], notifications=[{"name": "ops"}])
    rows = [found["environment"], found["project"], found["inventory"], found["inventory_source"], found["workflow"]]
    for kind in ("credential_types", "credentials", "templates", "schedules", "notifications"):
        rows += found[kind]
    assert [row["name"] for row in rows if not row["description"].endswith(found["mark"])] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"imag": "x"}, "awx.imag: 'imag' is unknown: did you mean 'image'?"),
        ({"image": None}, "awx.image: missing"),
        ({"project": {"url": "x"}}, "awx.project.scm_url: missing"),
        ({"project": "git"}, "awx.project: must be a mapping"),
        ({"operations": ["aply"]}, "awx.operations[0]: 'aply' is unknown: did you mean 'apply'?"),
        ({"operations": "plan"}, "awx.operations: must be a list"),
        (
            {"schedules": [{"name": "n", "template": "plam", "rrule": "r"}]},
            "awx.schedules[0].template: 'plam' is none of plan,",
        ),
        (
            {"operations": ["plan"], "schedules": [{"name": "n", "template": "workflow", "rrule": "r"}]},
            "awx.schedules[0].template: 'workflow' needs the operations plan and apply: add them to awx.operations",
        ),
        ({"schedules": {}}, "awx.schedules: must be a list of mappings"),
        ({"schedules": [{"name": "n"}]}, "awx.schedules[0].rrule: missing"),
        ({"notifications": [{"name": "n", "on": ["failure"]}]}, "awx.notifications[0].on: 'failure' is unknown"),
        ({"notifications": [{"name": "n"}, {"name": "n"}]}, "awx.notifications: 'n' is declared twice"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PhotonError) as caught:
        made(**changes)
    assert caught.value.code == "SpecInvalid"
    assert words in caught.value.message


def test_the_filter_says_what_is_wrong() -> None:
    assert awx_objects(AWX, "paris")["name"] == "paris"
    secrets = {**AWX, "notifications": [{"name": "chat", "secrets": {"token": "t0ken"}}]}
    for given, words in (
        ([], "must be a mapping"),
        ({"imag": 1}, "SpecInvalid: 5 mistakes"),
        (secrets, r"awx.notifications\[0\].secrets: move them to awx_secrets.notifications.chat"),
    ):
        with pytest.raises(Exception, match=words):
            awx_objects(given, "paris")
