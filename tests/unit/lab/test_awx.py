# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's AWX refuses what AWX refuses, or would ignore without a word."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from lab.awx import Awx

LOGIN = {
    "fields": [{"id": "user", "label": "User"}, {"id": "secret", "label": "Secret", "secret": True}],
    "required": ["user"],
}


class Client:
    """Requests by the server's token; ``made`` names objects that every test may refer to."""

    def __init__(self, awx):
        self.awx, self.headers = awx, {"Authorization": f"Bearer {awx.token()}"}
        self.organization = self.good("POST", "organizations/", name="Platform")["id"]

    def ask(self, method, path, headers=None, **data):
        url = path if path.startswith("/") else f"/api/v2/{path}"
        body = json.dumps(data).encode() if method != "GET" else None
        request = urllib.request.Request(self.awx.url + url, body, headers or self.headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def good(self, method, path, **data):
        status, answer = self.ask(method, path, **data)
        assert status < 300, answer
        return answer

    def refused(self, method, path, **data):
        status, answer = self.ask(method, path, **data)
        assert 400 <= status < 500, answer
        return answer

    def template(self, **more):
        project = self.awx.objects.create(
            "projects", {"name": f"p{len(self.awx.objects.rows['projects'])}", "organization": self.organization},
            {"playbook_files": ["site.yml"]},
        )  # fmt: skip
        inventory = self.good("POST", "inventories/", name=f"i{project['id']}", organization=self.organization)["id"]
        values = {"name": f"t{project['id']}", "project": project["id"], "inventory": inventory, "playbook": "site.yml"}
        return self.good("POST", "job_templates/", **{**values, **more})


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Awx(tmp_path_factory.mktemp("awx"), {}) as awx:
        yield Client(awx)


@pytest.fixture
def client(server):
    """The server without what earlier tests made."""
    for row in list(server.awx.objects.rows["organizations"].values()):
        server.awx.objects.delete("organizations", row)
    for name in ("credentials", "credential_types", "workflow_job_templates"):
        for row in [row for row in server.awx.objects.rows[name].values() if not row.get("managed")]:
            server.awx.objects.delete(name, row)
    server.organization = server.good("POST", "organizations/", name="Platform")["id"]
    return server


def test_only_with_a_login(client):
    assert client.ask("GET", "organizations/", headers={"Authorization": "Bearer wrong"})[0] == 401
    assert client.ask("GET", "organizations/", headers={"X-None": ""})[0] == 401
    assert client.ask("GET", "/api/", headers={"X-None": ""})[0] == 200


@pytest.mark.parametrize(
    ("collection", "values", "field"),
    [
        ("organizations", {"name": "x", "colour": "red"}, "colour"),
        ("organizations", {"description": "no name"}, "name"),
        ("organizations", {"name": ""}, "name"),
        ("organizations", {"name": 7}, "name"),
        ("organizations", {"name": "x", "max_hosts": "7"}, "max_hosts"),
        ("organizations", {"name": "x", "max_hosts": True}, "max_hosts"),
        ("organizations", {"name": "Platform"}, "__all__"),
        ("inventories", {"name": "x", "organization": 999999}, "organization"),
        ("inventories", {"name": "x", "variables": "[1, 2]"}, "variables"),
        ("inventories", {"name": "x", "variables": "{a"}, "variables"),
        ("projects", {"name": "x", "scm_type": "cvs"}, "scm_type"),
        ("projects", {"name": "x", "scm_type": "git"}, "scm_url"),
        ("execution_environments", {"name": "x"}, "image"),
        ("execution_environments", {"name": "x", "image": "i", "pull": "sometimes"}, "pull"),
        ("credential_types", {"name": "x", "kind": "ssh"}, "kind"),
        ("credential_types", {"name": "x", "kind": "cloud", "inputs": {"fields": [{"id": "a"}]}}, "inputs"),
        ("credential_types", {"name": "x", "kind": "cloud", "inputs": {"fields": [], "required": ["a"]}}, "inputs"),
        ("credential_types", {"name": "x", "kind": "cloud", "injectors": {"env": {"ANSIBLE_FORKS": "1"}}}, "injectors"),
        ("credential_types", {"name": "x", "kind": "cloud", "injectors": {"env": {"PATH": "1"}}}, "injectors"),
        ("credential_types", {"name": "x", "kind": "cloud", "injectors": {"env": {"A": "{{ other }}"}}}, "injectors"),
        ("credential_types", {"name": "x", "kind": "cloud", "injectors": {"environment": {}}}, "injectors"),
        ("notification_templates", {"name": "x", "notification_type": "webhook"}, "notification_configuration"),
        ("notification_templates", {"name": "x", "notification_type": "fax"}, "notification_type"),
    ],
)
def test_a_wrong_value_is_named(client, collection, values, field):
    if collection in ("inventories", "projects", "notification_templates"):
        values = {"organization": client.organization, **values}
    answer = client.refused("POST", f"{collection}/", **values)
    assert list(answer) == [field]


def test_secrets_go_in_and_never_out(client):
    kind = client.good(
        "POST", "credential_types/", name="k", kind="cloud", inputs=LOGIN, injectors={"env": {"A": "{{ secret }}"}}
    )
    values = {"name": "c", "credential_type": kind["id"], "organization": client.organization}
    assert "required for k: user" in str(client.refused("POST", "credentials/", **values, inputs={"secret": "s"}))
    assert "unexpected" in str(client.refused("POST", "credentials/", **values, inputs={"user": "u", "token": "t"}))
    made = client.good("POST", "credentials/", **values, inputs={"user": "u", "secret": "s3cret"})
    assert made["inputs"] == {"user": "u", "secret": "$encrypted$"}
    client.good("PATCH", f"credentials/{made['id']}/", inputs={"user": "v", "secret": "$encrypted$"})
    assert client.awx.objects.rows["credentials"][made["id"]]["inputs"] == {"user": "v", "secret": "s3cret"}
    assert "in use" in str(client.refused("DELETE", f"credential_types/{kind['id']}/"))


def test_a_job_takes_one_credential_of_each_type(client):
    kind = client.good("POST", "credential_types/", name="k", kind="cloud", inputs=LOGIN)["id"]
    template = client.template()
    for name in ("one", "two"):
        made = client.good(
            "POST",
            "credentials/",
            name=name,
            credential_type=kind,
            organization=client.organization,
            inputs={"user": "u"},
        )
        answer = client.ask("POST", f"job_templates/{template['id']}/credentials/", id=made["id"])
    assert answer == (400, {"error": "Cannot assign multiple credentials of the same type."})
    assert client.good("GET", f"job_templates/{template['id']}/credentials/")["count"] == 1


def test_a_template_needs_a_playbook_of_its_project(client):
    made = client.template()
    answer = client.refused("PATCH", f"job_templates/{made['id']}/", playbook="other.yml")
    assert answer == {"playbook": ["Playbook not found for project."]}
    assert "prompting" in str(client.refused("PATCH", f"job_templates/{made['id']}/", inventory=None))


QUESTION = {
    "question_name": "Size",
    "variable": "size",
    "required": True,
    "type": "multiplechoice",
    "choices": ["s", "m"],
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "choice"}, "'choice' in survey question 0 is not one of"),
        ({"choices": []}, "must specify choices"),
        ({"default": "l"}, "Default choice must be answered"),
        ({"hint": "x"}, "unknown hint"),
    ],
)
def test_surveys_are_checked(client, change, words):
    template = client.template()
    spec = {"name": "", "description": "", "spec": [{**QUESTION, **change}]}
    assert words in client.refused("POST", f"job_templates/{template['id']}/survey_spec/", **spec)["error"]


def test_a_launch_takes_what_the_survey_asks(client):
    template = client.template(survey_enabled=True)
    path = f"job_templates/{template['id']}"
    client.good("POST", f"{path}/survey_spec/", name="", description="", spec=[QUESTION])
    assert "missing" in str(client.refused("POST", f"{path}/launch/", extra_vars={}))
    assert "not one of the choices" in str(client.refused("POST", f"{path}/launch/", extra_vars={"size": "xl"}))
    assert client.refused("POST", f"{path}/launch/", limit="web") == {
        "limit": ["Field is not configured to prompt on launch."]
    }
    assert "no such prompt" in str(client.refused("POST", f"{path}/launch/", colour="red"))
    started = client.good("POST", f"{path}/launch/", extra_vars={"size": "s", "other": 1})
    assert started["ignored_fields"] == {"extra_vars": {"other": 1}}
    assert json.loads(started["extra_vars"]) == {"size": "s"}


def test_workflows_have_no_cycles_and_no_strangers(client):
    template = client.template()
    flows = [client.good("POST", "workflow_job_templates/", name=n)["id"] for n in ("one", "two")]
    nodes = [
        client.good(
            "POST", "workflow_job_template_nodes/", workflow_job_template=flow, unified_job_template=template["id"]
        )["id"]
        for flow in (flows[0], flows[0], flows[1])
    ]
    client.good("POST", f"workflow_job_template_nodes/{nodes[0]}/success_nodes/", id=nodes[1])
    for parent, child, words in ((nodes[1], nodes[0], "Cycle"), (nodes[0], nodes[2], "different workflows")):
        assert words in str(client.refused("POST", f"workflow_job_template_nodes/{parent}/success_nodes/", id=child))
    answer = client.refused("PATCH", f"workflow_job_template_nodes/{nodes[0]}/", extra_data={"a": 1})
    assert "not allowed on launch" in str(answer)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("RRULE:FREQ=DAILY;INTERVAL=1", "DTSTART"),
        ("DTSTART:20260101T020000Z", "One RRULE"),
        ("DTSTART:20260101T020000Z RRULE:FREQ=DAILY", "INTERVAL"),
        ("DTSTART:20260101T020000Z RRULE:FREQ=SECONDLY;INTERVAL=1", "FREQ"),
    ],
)
def test_schedules_need_a_start_and_an_interval(client, rule, words):
    template = client.template()
    answer = client.refused("POST", "schedules/", name="s", unified_job_template=template["id"], rrule=rule)
    assert words in str(answer["rrule"])


def test_lists_are_filtered_and_come_in_pages(client):
    for number in range(5):
        client.good(
            "POST",
            "inventories/",
            name=f"i{number}",
            organization=client.organization,
            description=f"mark {number % 2}",
        )
    page = client.good("GET", "inventories/?page_size=2")
    assert (page["count"], len(page["results"]), page["next"]) == (5, 2, "/api/v2/inventories/?page=2&page_size=2")
    assert client.good("GET", "inventories/?description__endswith=1")["count"] == 2
    assert client.good("GET", "inventories/?organization__name=Platform&name=i3")["count"] == 1
    assert client.good("GET", "inventories/?or__name=i1&or__id=0")["count"] == 1
    assert "no field named 'colour'" in client.refused("GET", "inventories/?colour=red")["detail"]


def test_a_deletion_takes_along_what_belongs_to_it(client):
    template = client.template()
    rule = "DTSTART:20260101T020000Z RRULE:FREQ=DAILY;INTERVAL=1"
    client.good("POST", "schedules/", name="s", unified_job_template=template["id"], rrule=rule)
    client.ask("DELETE", f"job_templates/{template['id']}/")
    assert client.good("GET", "schedules/")["count"] == 0
    managed = client.good("GET", "credential_types/?managed=true")["results"][0]
    assert client.ask("DELETE", f"credential_types/{managed['id']}/")[0] == 403
