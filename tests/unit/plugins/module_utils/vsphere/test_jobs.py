# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The job runner by itself: budgets, batches, followers, partial failure. Jobs here answer at once; those that start
tasks in vSphere are tested against the lab."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import api, retrieve, run_jobs
from ansible_collections.photon.platform.plugins.module_utils.vsphere.jobs import Budgets, Job


class Session:
    """What run_jobs needs of a session when no job starts a task."""

    stopped = False
    level = 0

    def interrupted(self):
        return self.level


class Gauge:
    """How many calls are under way, per name and in all, and the most there ever were."""

    def __init__(self):
        self.lock, self.now, self.most = threading.Lock(), {}, {}

    def call(self, *names, result=None, fail=None):
        def submit(_session):
            with self.lock:
                for name in ("all", *names):
                    self.now[name] = self.now.get(name, 0) + 1
                    self.most[name] = max(self.most.get(name, 0), self.now[name])
            time.sleep(0.005)
            with self.lock:
                for name in ("all", *names):
                    self.now[name] -= 1
            if fail:
                raise fail
            return result

        return submit


def test_results_and_partial_failure():
    gauge, error = Gauge(), PhotonError("NameTaken", "b is there")
    jobs = [
        Job("a", "a", gauge.call(result=1)),
        Job("b", "b", gauge.call(fail=error)),
        Job("c", "c", gauge.call(result=3)),
    ]
    assert {job.key: outcome for job, outcome in run_jobs(Session(), jobs)} == {"a": 1, "b": error, "c": 3}


def test_budgets_hold():
    gauge = Gauge()
    jobs = [
        Job(n, "j", gauge.call(f"host{n % 3}", f"ds{n % 2}"), host=f"h{n % 3}", host_units=4, datastore=f"d{n % 2}")
        for n in range(40)
    ]
    done = list(run_jobs(Session(), jobs, Budgets(per_host=8, per_datastore=2, threads=16)))
    assert len(done) == 40
    assert max(gauge.most[name] for name in ("host0", "host1", "host2")) <= 2  # 8 units, 4 each
    assert max(gauge.most[name] for name in ("ds0", "ds1")) <= 2


def test_after_an_interruption_nothing_more_is_begun():
    session, begun = Session(), []

    def submit(some):
        begun.append(some)
        some.level = 1

    ended = list(run_jobs(session, [Job(n, "j", submit) for n in range(5)], Budgets(batch=2, threads=1)))
    assert len(begun) == 2, "what was submitted goes on"
    failed = [outcome for _job, outcome in ended if isinstance(outcome, PhotonError)]
    assert [(error.code, error.data.get("unknown")) for error in failed] == [("Interrupted", None)] * 3


def test_overall_budget_and_threads():
    gauge = Gauge()
    list(run_jobs(Session(), [Job(n, "j", gauge.call()) for n in range(30)], Budgets(overall=3, threads=16)))
    assert gauge.most["all"] <= 3


def test_a_full_host_does_not_hold_up_the_others():
    other_host = threading.Event()
    full = [Job(n, "j", lambda _s: other_host.wait(10), host="a", host_units=16) for n in range(10)]
    other = Job(10, "j", lambda _s: other_host.set(), host="b", host_units=16)
    outcomes = {job.key: outcome for job, outcome in run_jobs(Session(), [*full, other], Budgets(threads=2))}
    assert outcomes[0] is True, "the first job went on only when that of the other host had run"


def test_job_larger_than_any_budget():
    ((_job, outcome),) = run_jobs(Session(), [Job("a", "a", lambda _s: 1, host="h", host_units=99)])
    assert outcome.code == "InternalError"


def test_what_the_guard_raises_ends_the_run():
    gone_out, session = [], Session()

    def submit(_session):
        if len(gone_out) == 3:
            session.stopped = True
            raise PhotonError("LeaseLost", "another controller took over")
        gone_out.append(1)

    jobs = [Job(n, "j", submit) for n in range(300)]
    with pytest.raises(PhotonError, match="took over"):
        list(run_jobs(session, jobs, Budgets(batch=4, threads=1)))
    assert len(gone_out) == 3


def test_followers_are_run_and_reported():
    seen = []
    first = Job("a", "first", lambda _s: "vm-1", then=lambda moid: Job("a", "second", lambda _s: seen.append(moid)))
    assert [job.what for job, _outcome in run_jobs(Session(), [first])] == ["first", "second"]
    assert seen == ["vm-1"]


def test_what_follows_a_job_comes_before_what_waits():
    first = Job("a", "first", lambda _s: 1, then=lambda _result: Job("a", "second", lambda _s: 2))
    ended = run_jobs(Session(), [first, Job("b", "other", lambda _s: 3)], Budgets(batch=1))
    assert [job.what for job, _outcome in ended] == ["first", "second", "other"]


def test_follower_that_cannot_be_built():
    def follow(_result):
        raise PhotonError("PortGroupNotFound", "no such port group")

    jobs = [Job("a", "a", lambda _s: 1, then=follow), Job("b", "b", lambda _s: 2)]
    seen = [
        (job.key, getattr(outcome, "code", outcome)) for job, outcome in run_jobs(Session(), jobs, Budgets(threads=1))
    ]
    assert sorted(seen, key=str) == [("a", "PortGroupNotFound"), ("a", 1), ("b", 2)]


def test_no_follower_after_a_failure():
    def fail(_session):
        raise PhotonError("NameTaken", "no")

    first = Job("a", "first", fail, then=lambda moid: Job("a", "second", lambda _s: None))
    assert [job.what for job, _outcome in run_jobs(Session(), [first])] == ["first"]


@pytest.mark.parametrize(("state", "done"), [("poweredOn", True), ("suspended", False)])
def test_fault_that_means_done(state, done):
    def fail(_session):
        raise PhotonError("InvalidVmState", "is there", {"fault": "InvalidPowerState", "existing_state": state})

    ((_job, outcome),) = run_jobs(Session(), [Job("a", "a", fail, done_by=frozenset({"InvalidPowerState:poweredOn"}))])
    assert (outcome is None) == done


def test_tasks_of_an_endpoint_that_answers_no_more_may_have_been_done(monkeypatch):
    def broken(*_args):
        raise PhotonError("EndpointUnreachable", "no answer", {"reason": "late"})

    monkeypatch.setattr(retrieve, "from_objects", broken)
    jobs = [Job(n, f"create VM {n}", lambda _s, n=n: api.load().vim.Task(f"task-{n}")) for n in range(2)]
    for job, outcome in run_jobs(Session(), jobs):
        assert (outcome.code, outcome.message) == ("EndpointUnreachable", f"{job.what}: no answer")
        assert outcome.data == {"reason": "late", "unknown": True}
