# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance on the small data centre: its duties, one leader, its time, its figures, and what it leaves alone."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import maintenance
from ansible_collections.photon.platform.plugins.module_utils.services.maintenance import DUTIES, maintain
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request

from tests.chaos.scene import tree
from tests.integration.faults.test_interrupt import begun
from tests.support.site import Site


@pytest.fixture
def site(lab_factory, tmp_path):
    made = Site(lab_factory("small"), tmp_path)
    yield made
    made.lab.control.reset()
    made.close()


@pytest.fixture
def run(site):
    """run(duties..., time_budget=, metrics_file=, and fields of the Request) -> the result."""

    def run(*duties, time_budget=0.0, metrics_file=None, **fields):
        options = Options(base_directory=str(site.directory))
        given = {**site._request(), "whole": False, **fields}
        return maintain(Request(**given, options=options), duties, time_budget, metrics_file)

    return run


def test_nothing_to_do_changes_nothing(site, run):
    site.settled(tree(2))
    versions = {d.id: d.version for d in site.snapshot().documents}
    answer = run()
    assert (answer["leader"], answer["changed"], answer["failures"]) == (True, False, [])
    assert [(duty["name"], duty["state"]) for duty in answer["duties"]] == [(name, "done") for name in DUTIES]
    assert {d.id: d.version for d in site.snapshot().documents} == versions
    assert site.snapshot().open_tasks == []


def test_what_waited_for_its_last_user_goes(site, run):
    site.settled(tree(2))
    declared = tree(0)
    declared["photon_images"][0]["state"] = "absent"
    declared["photon_tenants"][0]["projects"][0]["security_groups"] = ["photon\\web"]
    site.good(declared)
    assert site.named("image", "debian").state == "PENDING_DELETE"
    assert not run("pending_deletes")["changed"]
    somebody = {"user": "eve@photon", "groups": ["photon\\web"]}  # who may delete VMs of the project, and no image
    for name in ("web-01", "web-02"):
        assert site.vm(name=name, state="absent", force=True, act_as=somebody)["failures"] == []
    assert run("pending_deletes", check=True)["changed"]
    assert site.named("image", "debian").state == "PENDING_DELETE"
    assert "delete image debian (its last user is gone)" in run("pending_deletes")["duties"][0]["changes"]
    assert [d for d in site.snapshot().documents if d.kind == "image"] == []
    assert [row["name"] for state in site.lab.control.state().values() for row in state["vms"]] == [], "and its copies"
    assert not run("pending_deletes")["changed"]


def test_what_an_interrupted_run_left_is_settled(site, run):
    site.good(tree(0))
    site.lab.control.reset()
    site.lab.control.delay(task={"CreateVm": 2000})
    child = site.start(tree(2))
    begun(site, child.process)
    child.kill()
    until = time.monotonic() + 60
    while len(site.rows()) < 2:  # vSphere finishes what it was told
        assert time.monotonic() < until
        time.sleep(0.2)
    site.lab.control.reset()
    left = len(site.snapshot().open_tasks)
    assert left
    assert len(run("locks", check=True)["duties"][0]["changes"]) == left
    assert len(site.snapshot().open_tasks) == left
    assert run("locks")["changed"]
    assert site.snapshot().open_tasks == []
    site.settled(tree(2))


def test_hosts_are_read_again(site, run):
    site.settled(tree(0))
    before = site.named("datastore", "shared1").observed
    site.admin["vc1"].rename_datastore("shared1", "renamed")
    assert run("hosts")["failures"] == []
    assert site.named("datastore", "renamed").observed["moid"] == before["moid"]


def test_findings_are_counted_and_left(site, run):
    site.settled(tree(2))
    site.admin_of("web-01").delete("web-01")
    answer = run("verify")
    assert answer["duties"][0]["findings"] >= 1
    assert not answer["changed"]


def test_an_endpoint_that_does_not_answer_fails_its_duty_alone(site, run):
    site.settled(tree(2))
    credentials = {name: {**login, "password": "wrong"} for name, login in site.credentials.items()}
    answer = run(credentials=credentials)
    states = {duty["name"]: duty["state"] for duty in answer["duties"]}
    assert states["hosts"] == "failed"
    assert states["locks"] == "done"
    assert {row["name"] for row in answer["failures"]} == {n for n, state in states.items() if state == "failed"}


def test_no_duty_is_begun_when_the_time_is_over(site, run, monkeypatch):
    site.settled(tree(1))
    slow = {"locks": lambda request, duty: threading.Event().wait(0.3), "verify": DUTIES["verify"]}
    monkeypatch.setattr(maintenance, "DUTIES", slow)
    assert [duty["state"] for duty in run(time_budget=0.2)["duties"]] == ["done", "skipped"]


def test_an_interrupt_ends_the_whole(site, run, monkeypatch):
    site.settled(tree(1))

    def interrupted(_request, _duty):
        raise PhotonError("Interrupted", "the run was interrupted")

    begun_too = []
    duties = {"locks": interrupted, "verify": lambda _request, duty: begun_too.append(duty)}
    monkeypatch.setattr(maintenance, "DUTIES", duties)
    with pytest.raises(PhotonError, match="interrupted"):
        run()
    assert begun_too == []
    assert site.snapshot().open_tasks == []


def test_a_second_one_leaves_at_once(site, run, monkeypatch):
    site.settled(tree(1))
    began, go_on = threading.Event(), threading.Event()
    answers = []

    def wait(_request, _duty):
        began.set()
        assert go_on.wait(60)

    monkeypatch.setattr(maintenance, "DUTIES", {"locks": wait})
    first = threading.Thread(target=lambda: answers.append(run()))
    first.start()
    assert began.wait(60)
    try:
        assert run() == {"changed": False, "leader": False, "duties": []}
        assert site.good(tree(2))["changed"]  # others work meanwhile
    finally:
        go_on.set()
        first.join()
    assert answers[0]["leader"]
    monkeypatch.setattr(maintenance, "DUTIES", DUTIES)
    assert run()["leader"], "the lock is gone"


def test_only_the_system_administrator_may(site, run):
    site.settled(tree(1))
    with pytest.raises(PhotonError) as caught:
        run(act_as={"user": "eve@corp", "groups": []})
    assert caught.value.code == "AccessForbidden"


def test_figures_are_replaced_as_a_whole(site, run, tmp_path):
    site.settled(tree(2))
    path = tmp_path / "photon.prom"
    path.write_text("old")
    run(metrics_file=str(path), check=True)
    assert path.read_text() == "old"
    run(metrics_file=str(path))
    lines = path.read_text().splitlines()
    assert lines[-1] == "# EOF"
    assert 'photon_resources{kind="vm",state="STARTED"} 2' in lines
    assert 'photon_quota_used{kind="project",path="acme/web",key="vm.count"} 2' in lines
    assert 'photon_quota_limit{kind="tenant",path="acme",key="vm.memory"} 429496729600' in lines
    assert 'photon_maintenance_duty_failed{duty="hosts"} 0' in lines
    assert path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".photon-metrics")] == []
    with pytest.raises(PhotonError, match=r"metrics_file .* cannot be written"):
        run(metrics_file=str(tmp_path / "nowhere" / "photon.prom"))
    assert run()["leader"], "a failure at the end leaves no lock"
