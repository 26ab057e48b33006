# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs on the same resources: the second waits, and those who watch it see for whom and since when."""

from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils import progress_text
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.progress import Reader
from ansible_collections.photon.platform.plugins.module_utils.services import waiting

from tests.chaos.scene import tree
from tests.support.site import Site, codes


@pytest.fixture
def site(lab_factory, tmp_path):
    made = Site(lab_factory("small"), tmp_path)
    made.good(tree(0))
    made.lab.control.reset()
    yield made
    made.lab.control.reset()
    made.close()


def until(condition, what):
    end = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.05)
    return found


def busy(site, milliseconds=4000, vms=2):
    """A run in another process that creates VMs, and is doing so."""
    site.lab.control.delay(task={"CreateVm": milliseconds})
    child = site.start(tree(vms))
    calls = site.lab.control.calls
    until(lambda: sum(each.get("CreateVM_Task", 0) for each in calls().values()) >= vms, "no VM was begun")
    return child


def test_a_second_run_waits_says_so_and_finds_nothing_to_do(site):
    first = busy(site, 20_000)
    reader = Reader(site.url)
    first_id = reader.read(first.process.pid).run
    answer = site.directory / "second.json"
    job = (site.directory / "job.json").read_text().replace("answer.json", "second.json")
    (site.directory / "job2.json").write_text(job)
    second = type(first)(site.directory / "job2.json", answer)
    seen = until(lambda: (p := reader.read(second.process.pid)) and p.waiting and p, "it never waited")
    assert seen.waiting.run == first_id
    assert f"waiting for run {first_id[:8]} by " in progress_text.line(seen, {})
    assert seen.waiting.since >= seen.started_at
    outcome = first.end()["outcome"]
    assert (outcome["failures"], outcome["counts"]["vm"]) == ([], {"create": 2})
    outcome = second.end()["outcome"]
    assert (outcome["failures"], outcome["changed"], outcome["counts"]["vm"]) == ([], False, {"keep": 2})
    assert not [text for text in outcome["warnings"] if "another run" in text]
    reader.close()
    assert site.disagreements() == []


def test_a_run_that_does_not_want_to_wait_is_refused_at_once(site):
    first = busy(site)
    outcome = site.run(tree(2, tags=["new"]) | {"photon_wait_for_runs": 0})
    assert codes(outcome) == {"acme/web/web-[01:02]": "ConcurrentTask"}
    assert "run again when that run has ended" in outcome["failures"][0]["message"]
    assert first.end()["outcome"]["failures"] == []


def test_a_wait_ends_with_its_time(site):
    first = busy(site, 20_000)
    outcome = site.run(tree(2, tags=["new"]) | {"photon_wait_for_runs": 2})
    assert codes(outcome) == {"acme/web/web-[01:02]": "ConcurrentTask"}
    assert first.process.poll() is None, "the other run is not disturbed"
    first.kill()


def test_a_run_that_is_killed_is_not_waited_for(site, monkeypatch):
    first = busy(site)
    first.kill()  # its lease lasts for 30 s more
    until(lambda: len(site.rows()) == 2, "what it began is done")
    monkeypatch.setattr(waiting, "wait_for", None)
    site.good(tree(2))
    assert site.disagreements() == []


def test_an_interrupt_ends_the_wait(site):
    first = busy(site, 20_000)
    job = (site.directory / "job.json").read_text().replace("answer.json", "second.json")
    (site.directory / "job2.json").write_text(job)
    second = type(first)(site.directory / "job2.json", site.directory / "second.json")
    reader = Reader(site.url)
    until(lambda: (p := reader.read(second.process.pid)) and p.waiting, "it never waited")
    second.process.send_signal(signal.SIGINT)
    answer = second.end()
    assert answer["error"]["code"] == "Interrupted"
    assert "before anything was done" in answer["error"]["message"]
    assert reader.read(second.process.pid) is None
    reader.close()
    first.kill()


def test_what_another_run_does_elsewhere_is_not_waited_for(site):
    first = busy(site, 20_000)
    declared = tree(0)
    declared["photon_tenants"].append({"name": "globex", "quota": {"vm.count": 1}, "projects": []})
    del declared["photon_images"]
    assert site.good(declared)["counts"]["tenant"]["create"] == 1
    assert first.process.poll() is None
    first.kill()


def test_an_upload_reports_bytes_and_copies(lab_factory, tmp_path):
    """The journal shows them while the upload lasts; here every one that was noted is looked at."""
    site = Site(lab_factory("small"), tmp_path)
    notes = []
    from ansible_collections.photon.platform.plugins.module_utils.cloudstore.runs import Run

    real = Run.note
    try:
        Run.note = lambda run, *values: (notes.append(values), real(run, *values))[0]
        site.good(tree(0))
    finally:
        Run.note = real
        site.close()
    uploads = [result for _task, sequence, _state, result in notes if sequence == 0 and result]
    copies = [result for _task, sequence, _state, result in notes if sequence == 1 and result]
    assert {row["unit"] for row in uploads} == {"B"}
    assert uploads[-1]["done"] == uploads[-1]["of"] > 0
    assert [row["done"] for row in copies] == list(range(1, copies[-1]["of"] + 1))
    assert os.path.getsize(site.directory / "debian.ova") >= uploads[-1]["of"] / len(site.endpoints)
