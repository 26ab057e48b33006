# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that is interrupted: it finishes what is under way, records it, ends its lease; the next one goes on."""

from __future__ import annotations

import collections
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.chaos.scene import tree
from tests.support.site import Site

ROOT = pathlib.Path(__file__).resolve().parents[3]
VMS = 30


@pytest.fixture
def site(lab_factory, tmp_path):
    made = Site(lab_factory("small"), tmp_path)
    made.good(tree(0))  # the image is there
    yield made
    made.lab.control.reset()
    made.close()


def begun(site, process, number=1):
    """Wait until this many VMs are being created by a run."""
    until = time.monotonic() + 120
    while sum(calls.get("CreateVM_Task", 0) for calls in site.lab.control.calls().values()) < number:
        assert process.poll() is None, "the run has ended"
        assert time.monotonic() < until, "no VM was ever begun"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_under_way_is_finished_and_the_rest_left_for_the_next_run(site, number):
    site.lab.control.reset()
    site.lab.control.delay(task={"CreateVm": 6000})  # longer than it takes to notice, on a busy machine
    child = site.start(tree(VMS))
    begun(site, child.process)
    child.process.send_signal(number)
    answer = child.end()
    assert "Traceback" not in answer["said"]
    outcome = answer["outcome"]
    failed = {row["error_code"]: row for row in outcome["failures"]}
    assert set(failed) == {"Interrupted"}
    assert "run again" in failed["Interrupted"]["message"]
    assert failed["Interrupted"]["count"] == VMS
    assert 0 < len(site.rows()) <= VMS, "what was under way is there"
    assert {row["power_state"] for row in site.rows()} == {"poweredOff"}, "and none was started"
    begun_alone = [text for text in site.disagreements() if "(ERROR) has no place" not in text]  # what was not begun
    assert begun_alone == []
    site.lab.control.delay(task={"CreateVm": 0})
    site.settled(tree(VMS))
    names = collections.Counter(row["name"] for row in site.rows())
    assert len(names) == VMS
    assert set(names.values()) == {1}


def test_a_second_interrupt_does_not_wait(site):
    site.lab.control.reset()
    site.lab.control.delay(task={"CreateVm": 60_000})
    child = site.start(tree(4))
    begun(site, child.process, 4)
    child.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert child.process.poll() is None, "it waits for what is under way"
    child.process.send_signal(signal.SIGINT)
    assert {row["error_code"] for row in child.end()["outcome"]["failures"]} == {"Interrupted"}


def test_a_run_whose_ansible_ends_stops_too(site):
    """As when AWX cancels a job: the session's leader is gone, and nobody waits for the answer."""
    site.lab.control.reset()
    site.lab.control.delay(task={"CreateVm": 3000})
    job = site.start(tree(VMS))
    job.kill()
    words = [sys.executable, "-m", "tests.chaos.child", str(site.directory / "job.json")]
    code = f"import subprocess; subprocess.call({words!r})"
    leader = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'collections'}{os.pathsep}{ROOT}"},
        start_new_session=True,
    )
    begun(site, leader)
    leader.kill()
    leader.wait()
    until = time.monotonic() + 120
    while not (site.directory / "answer.json").exists():
        assert time.monotonic() < until, "the run went on without anybody"
        time.sleep(0.1)
    assert {row["power_state"] for row in site.rows()} == {"poweredOff"}
