# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's AWX refuses what AWX refuses, or would ignore without a word."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

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


# -- workflows of approvals, which need no Ansible ---------------------------------------------------------------------


def workflow(client, timeout=0):
    """Two approvals, the second after the first."""
    flow = client.good("POST", "workflow_job_templates/", name="flow", organization=client.organization)["id"]
    nodes = []
    for name in ("first", "second"):
        node = client.good("POST", "workflow_job_template_nodes/", workflow_job_template=flow, identifier=name)["id"]
        path = f"workflow_job_template_nodes/{node}/create_approval_template/"
        client.good("POST", path, name=name, timeout=timeout)
        nodes.append(node)
    client.good("POST", f"workflow_job_template_nodes/{nodes[0]}/success_nodes/", id=nodes[1])
    return flow


def eventually(question):
    end = time.monotonic() + 20
    while not (answer := question()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return answer


def pending(client, name):
    query = f"workflow_approvals/?status=pending&name={name}"
    return eventually(lambda: client.good("GET", query)["results"])[0]


def ended(client, job):
    return eventually(lambda: (row := client.good("GET", f"workflow_jobs/{job}/"))["finished"] and row)


def test_approvals_lead_on_one_after_the_other(client):
    flow = workflow(client)
    job = client.good("POST", f"workflow_job_templates/{flow}/launch/")["id"]
    for name in ("first", "second"):
        client.good("POST", f"workflow_approvals/{pending(client, name)['id']}/approve/")
    assert ended(client, job)["status"] == "successful"


def test_a_denied_approval_leads_nowhere(client):
    flow = workflow(client)
    job = client.good("POST", f"workflow_job_templates/{flow}/launch/")["id"]
    approval = pending(client, "first")["id"]
    client.good("POST", f"workflow_approvals/{approval}/deny/")
    assert ended(client, job)["status"] == "failed"
    nodes = client.good("GET", f"workflow_jobs/{job}/workflow_nodes/")["results"]
    assert {node["identifier"]: node["do_not_run"] for node in nodes} == {"first": False, "second": True}
    assert "already" in str(client.refused("POST", f"workflow_approvals/{approval}/approve/"))


def test_an_approval_that_nobody_gives_expires(client):
    flow = workflow(client, timeout=1)
    job = client.good("POST", f"workflow_job_templates/{flow}/launch/")["id"]
    assert ended(client, job)["status"] == "failed"
    approval = client.good("GET", "workflow_approvals/?timed_out=true")["results"][-1]
    assert approval["job_explanation"] == "The approval node has expired"


def test_a_cancelled_workflow_ends(client):
    flow = workflow(client)
    job = client.good("POST", f"workflow_job_templates/{flow}/launch/")["id"]
    pending(client, "first")
    client.good("POST", f"workflow_jobs/{job}/cancel/")
    assert ended(client, job)["status"] == "canceled"
    assert client.ask("POST", f"workflow_jobs/{job}/cancel/")[0] == 405


def test_webhooks_are_sent(client):
    bodies = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = client.good(
            "POST", "notification_templates/", name="n", organization=client.organization, notification_type="webhook",
            notification_configuration={"url": f"http://127.0.0.1:{server.server_address[1]}/"},
        )  # fmt: skip
        flow = workflow(client)
        client.good("POST", f"workflow_job_templates/{flow}/notification_templates_error/", id=made["id"])
        job = client.good("POST", f"workflow_job_templates/{flow}/launch/")["id"]
        client.good("POST", f"workflow_approvals/{pending(client, 'first')['id']}/deny/")
        ended(client, job)
        eventually(lambda: bodies)
        server.shutdown()
    assert bodies == [{"id": job, "name": "flow", "status": "failed"}]
