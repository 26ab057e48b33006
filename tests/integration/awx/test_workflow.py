# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""awx.yml on the lab's AWX, by awx.awx; then plan, approval and apply as its user sees them, by awxkit."""

from __future__ import annotations

import json
import os

import pytest

from .conftest import IMAGE, PROGRAMS, Image, wait

pytest.importorskip("awxkit", reason="scripts/venv awx installs the clients of AWX")
RULE = "DTSTART:20260101T020000Z RRULE:FREQ=WEEKLY;INTERVAL=1"
HOOK = {
    "url": "http://127.0.0.1:9/", "http_method": "POST", "headers": {}, "username": "", "password": "",
    "disable_ssl_verification": False,
}  # fmt: skip
WORKFLOW = "paris plan, approve, apply"


@pytest.fixture(scope="module")
def api(awx):
    """AWX as its Python client shows it."""
    from awxkit.api.client import Connection
    from awxkit.api.pages.api import Api

    connection = Connection(awx.url)
    connection.login(token=awx.token())
    return Api(connection).get().available_versions.v2.get()


def the(page, **query):
    [found] = page.get(**query).results
    return found


def launched(api, name=WORKFLOW):
    """A workflow that waits for its approval, and the approval."""
    job = the(api.workflow_job_templates, name=name).launch()

    def pending():
        found = api.workflow_approvals.get(status="pending").results
        return found or job.get().finished

    approvals = wait(pending)
    assert isinstance(approvals, list), [row.result_stdout for row in api.jobs.get().results]
    return job, approvals[0]


def jobs(awx, name):
    return [row for row in awx.objects.rows["jobs"].values() if row["name"] == name]


def test_what_awx_has(repository, awx, api):
    assert {line.partition(":")[0] for line in repository.first} >= {"Keep the project", "Keep the nodes that run jobs"}
    template = the(api.job_templates, name="paris plan")
    assert template.playbook == "playbooks/plan.yml"
    assert json.loads(template.extra_vars)["keep_plan"] is True
    assert [c.name for c in template.related.credentials.get().results] == [
        "paris vSphere endpoint vc1",
        "paris CloudStore",
    ]
    assert the(api.credentials, name="paris vSphere endpoint vc1").inputs.password == "$encrypted$"
    kind = the(api.credential_types, name="paris vSphere endpoint vc1")
    assert set(kind.injectors) == {"env"}, "secrets reach the environment alone"
    assert the(api.schedules, name="paris nightly").enabled
    secrets = (repository.login["password"], awx.password)
    assert not any(secret in json.dumps([template.extra_vars, template.get().json]) for secret in secrets)


def test_a_run_without_secrets_keeps_those_that_awx_has(repository, awx, monkeypatch, tmp_path):
    def inputs():
        return {row["name"]: row["inputs"] for row in awx.objects.rows["credentials"].values()}

    before = inputs()
    assert before["paris vSphere endpoint vc1"] == repository.login
    assert before["paris CloudStore"] == {"url": repository.store, "password": "st0re"}
    assert before["paris controller"]["oauth_token"] == repository.secrets["CONTROLLER_OAUTH_TOKEN"]
    moved = repository.store.replace("/cloudstore.db", "/./cloudstore.db")
    monkeypatch.setitem(repository.settings, "cloudstore", moved)
    repository.commit()
    login = tmp_path / ".tower_cli.cfg"  # the other place where awx.awx looks for a login
    login.write_text(f"host: {awx.url}\noauth_token: {repository.secrets['CONTROLLER_OAUTH_TOKEN']}\n")
    login.chmod(0o600)
    monkeypatch.setattr(repository, "secrets", {"HOME": str(tmp_path)})
    changed = repository.keep()
    assert [line.partition(":")[0] for line in changed] == ["Keep the credential of the CloudStore"]
    assert inputs() == {**before, "paris CloudStore": {"url": moved, "password": "st0re"}}
    monkeypatch.undo()
    repository.commit()
    repository.keep()
    assert inputs() == before


def test_the_approved_plan_is_applied_and_nothing_else(repository, awx, api, lab):
    job, approval = launched(api)
    [plan] = jobs(awx, "paris plan")
    assert len(plan["artifacts"]["plan_id"]) == 64
    assert [vm for vm in lab.control.state("vc1")["vms"] if "web-0" in vm["name"]] == [], "a plan creates nothing"
    approval.approve()
    wait(lambda: job.get().finished)
    assert job.get().status == "successful", [awx.jobs.stdout(row["id"]) for row in jobs(awx, "paris apply")]
    [applied] = jobs(awx, "paris apply")
    assert json.loads(applied["extra_vars"])["plan_id"] == plan["artifacts"]["plan_id"]
    assert "+ acme/web/web-[01:02]" in awx.jobs.stdout(applied["id"])
    started = [vm["name"] for vm in lab.control.state("vc1")["vms"] if vm["power_state"] == "poweredOn"]
    assert {"web-01", "web-02"} <= set(started)
    for row in jobs(awx, "paris plan") + jobs(awx, "paris apply"):
        files = [path for path in awx.jobs.folder(row["id"]).rglob("*") if path.is_file()]
        found = {path.name for path in files if repository.login["password"].encode() in path.read_bytes()}
        assert found <= {"envvars", "command"}, "where ansible-runner keeps the environment; AWX removes the folder"

    # The workflow's last node refreshed the surveys with what exists now.
    survey = the(api.job_templates, name="paris plan").related.survey_spec.get().spec
    assert [question["choices"] for question in survey] == [["acme", "acme/web"]]
    assert [question["type"] for question in survey] == ["multiselect"]


def test_a_plan_approved_after_the_state_moved_is_refused(repository, awx, api, lab):
    repository.tree["photon_tenants"][0]["projects"][0]["vms"][0]["name"] = "web-[01:03]"
    repository.commit()
    job, approval = launched(api)
    by_hand = the(api.job_templates, name="paris apply").launch()
    wait(lambda: by_hand.get().finished)
    assert by_hand.get().status == "successful"
    approval.approve()
    wait(lambda: job.get().finished)
    assert job.get().status == "failed"
    output = awx.jobs.stdout(jobs(awx, "paris apply")[-1]["id"])
    assert "PlanChanged" in output
    assert "vm acme/web/web-03: create is not planned any more" in output
    assert [vm["name"] for vm in lab.control.state("vc1")["vms"]].count("web-03") == 1


def test_an_image_without_the_libraries_says_what_is_missing(repository, awx, bare_python):
    awx.jobs.images[IMAGE] = Image(bare_python, awx.jobs.images[IMAGE].collections)
    template = next(row for row in awx.objects.where("job_templates", name="paris plan"))
    job = awx.jobs.launch(template, {}, {})
    wait(lambda: job["finished"])
    awx.jobs.images[IMAGE] = Image(PROGRAMS, awx.jobs.images[IMAGE].collections)
    output = awx.jobs.stdout(job["id"])
    assert job["status"] == "failed", job
    assert "MissingLibrary" in output, (job, awx.jobs.output())
    assert "SQLAlchemy" in output
    assert "Traceback" not in output


def test_a_second_run_changes_nothing_but_what_was_taken_out(repository, awx, api):
    foreign = awx.objects.create("labels", {"name": "ours", "organization": the(api.organizations, name="Platform").id})
    repository.settings |= {"schedules": [], "operations": ["plan", "apply"], "controller": False}
    repository.commit()
    before = len(awx.requests)
    removed = {"schedules", "job templates", "credentials", "other nodes"}
    expected = {"Keep the nodes that run jobs", *(f"Remove {each}" for each in removed)}
    assert {line.partition(":")[0] for line in repository.keep()} == expected
    sent = [f"{method} {path.split('/')[3]}" for method, path in awx.requests[before:]]
    assert sorted(sent) == [
        "DELETE credentials",
        "DELETE job_templates",
        "DELETE schedules",
        "DELETE workflow_job_template_nodes",
        "POST workflow_job_template_nodes",  # apply no longer leads to the refresh of surveys
    ]
    assert {t.name for t in api.job_templates.get().results} == {"paris plan", "paris apply"}
    assert foreign["id"] in awx.objects.rows["labels"], "what others made stays"


def test_the_secrets_of_notifications_are_not_shown(repository, awx, tmp_path):
    given = tmp_path / "secrets.json"
    given.write_text(json.dumps({"awx_secrets": {"notifications": {"chat": {"token": "t0ken"}}}}))
    chat = {"name": "chat", "type": "slack", "configuration": {"channels": ["#ops"]}}
    repository.settings["notifications"] = [chat]
    repository.commit()

    refused = repository.playbook()
    assert refused.returncode != 0
    assert "AWX does not have paris chat as declared" in refused.stdout
    done = repository.playbook("-vvv", "-e", f"@{given}")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "t0ken" not in done.stdout + done.stderr

    chat["configuration"]["channels"] = ["#night"]
    repository.commit()
    repository.keep()
    [row] = awx.objects.rows["notification_templates"].values()
    shown = row["notification_configuration"]
    assert (shown["channels"], shown["token"]) == (["#night"], "t0ken"), "a token that is not given stays"
    assert repository.keep("-e", f"@{given}") == []


def test_secrets_in_the_declaration_are_refused_without_their_vault(repository):
    """As the refresh of surveys meets them, in a job without the vault."""
    chat = repository.settings["notifications"][0]
    repository.settings["notifications"] = [{**chat, "secrets": {"token": "{{ vaulted_token }}"}}]
    repository.commit()
    done = repository.playbook("--tags", "surveys")
    repository.settings["notifications"] = [chat]
    repository.commit()
    assert done.returncode != 0
    assert "awx.notifications[0].secrets: move them to awx_secrets.notifications.chat" in done.stdout


def test_a_new_endpoint_needs_a_login(repository, awx):
    [endpoint] = repository.tree["photon_endpoints"]
    repository.commit(photon_endpoints=[endpoint, {**endpoint, "name": "vc-2"}])
    done = repository.playbook()
    repository.commit(photon_endpoints=[endpoint])
    assert done.returncode != 0
    assert (
        "no login for endpoint vc-2: set photon_credentials, or PHOTON_CREDENTIAL_VC_2_USERNAME and "
        "PHOTON_CREDENTIAL_VC_2_PASSWORD"
    ) in done.stdout
    names = {row["name"] for row in awx.objects.rows["credentials"].values()}
    assert "paris vSphere endpoint vc-2" not in names


if os.environ.get("PHOTON_CHAOS") == "all":  # a minute each: make chaos

    def test_every_operation_and_a_second_run_that_sends_nothing(repository, awx, api, tmp_path):
        """With notifications, whose secrets AWX does not show, and then nothing at all."""
        repository.settings |= {
            "operations": ["site"],
            "controller": True,
            "schedules": [{"name": "weekly", "template": "workflow", "rrule": RULE}],
            "notifications": [
                {"name": "chat", "type": "slack", "configuration": {"channels": ["#ops"]}},
                {"name": "hook", "configuration": HOOK, "on": ["error", "approvals"]},
            ],
        }
        repository.commit()
        given = tmp_path / "secrets.json"
        given.write_text(json.dumps({"awx_secrets": {"notifications": {"chat": {"token": "t0ken"}}}}))
        assert repository.keep("-e", f"@{given}") != []
        before = len(awx.requests)
        assert repository.keep("-e", f"@{given}") == []
        assert awx.requests[before:] == []
        assert "t0ken" not in json.dumps([row.json for row in api.notification_templates.get().results])
        assert repository.keep("-e", "awx_state=absent") != []
        for name in ("job_templates", "schedules", "credentials", "projects", "inventories", "notification_templates"):
            assert awx.objects.rows[name] == {}, name
