# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress of a run, noted by its heartbeat and read from the journal by another connection."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import (
    RUN,
    WAIT,
    Step,
    Task,
    open_store,
    process,
)
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.progress import Reader, StepCount, Waiting
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import stores


@pytest.fixture
def reader(cloudstore_url):
    made = Reader(cloudstore_url)
    yield made
    made.close()


def tasks(number):
    return [
        Task("CREATE_VM", "vm", f"vm-{i}", [Step(0, "CREATE_VM"), Step(1, "START_VM")], state="STARTED")
        for i in range(number)
    ]


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
    return found


def by_operation(progress):
    return {step.operation: step for step in progress.steps}


def test_where_there_is_no_cloudstore_and_no_run_there_is_nothing_to_show(reader, open_again):
    assert reader.read(os.getpid()) is None
    store = open_again()
    assert reader.read(os.getpid()) is None
    store.begin_run().end()
    assert reader.read(os.getpid()) is None


def test_a_run_shows_how_far_its_steps_came(reader, store):
    run = store.begin_run()
    assert (reader.read(os.getpid()).run, reader.read(os.getpid()).steps) == (run.id, [])
    made = store.run(lambda tx: tx.add_tasks(tasks(3)))
    run.note(made[0].id, 0, "COMPLETED")
    run.note(made[1].id, 0, "STARTED", {"done": 5, "of": 20, "unit": "B"})
    run.note(made[2].id, 0, "STARTED", {"done": 1, "of": 10, "unit": "B"})
    seen = until(lambda: (p := reader.read(os.getpid())) and by_operation(p)["CREATE_VM"].of and p)
    assert by_operation(seen) == {
        "CREATE_VM": StepCount("vm", "CREATE_VM", total=3, completed=1, done=6, of=30, unit="B"),
        "START_VM": StepCount("vm", "START_VM", total=3),
    }
    assert 0 <= seen.now - seen.started_at < 600
    error = PhotonError("InternalError", "no")
    store.run(lambda tx: (tx.steps([(made[1].id, 0, "ERROR", None, error)]), tx.finish_tasks({made[1].id: error})))
    store.run(lambda tx: tx.finish_tasks({made[0].id: None}))
    seen = by_operation(reader.read(os.getpid()))
    assert (seen["CREATE_VM"].completed, seen["CREATE_VM"].failed) == (1, 1)
    assert seen["START_VM"].completed == 1
    run.end()
    assert reader.read(os.getpid()) is None


def test_a_note_changes_no_step_that_has_ended(store, reader):
    run = store.begin_run()
    [made] = store.run(lambda tx: tx.add_tasks(tasks(1)))
    store.run(lambda tx: tx.finish_tasks({made.id: None}))
    run.note(made.id, 0, "STARTED", {"done": 1})
    [other] = store.run(lambda tx: tx.add_tasks([Task("CREATE_VM", "vm", "vm-9", [Step(0, "STOP_VM")])]))
    run.note(other.id, 0, "COMPLETED")
    until(lambda: by_operation(reader.read(os.getpid()))["STOP_VM"].completed)
    [task] = stores.tasks(store, entity_id="vm-0")
    assert [(step.state, step.result) for step in task.steps] == [("COMPLETED", None), ("COMPLETED", None)]


def test_a_run_of_another_process_tree_is_not_shown(store, reader):
    store.begin_run()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert reader.read(child.pid) is None
        assert reader.read(os.getppid()) is not None, "an ancestor sees the runs below it"
    finally:
        child.communicate(b"\n")


def test_tasks_of_interrupted_runs_do_not_count(store, open_again, reader):
    store.begin_run(ttl=-1)
    store.run(lambda tx: tx.add_tasks(tasks(2)))
    other = open_again()
    run = other.begin_run()
    store.close()
    assert len(other.take_over(run)) == 2
    found = reader.read(os.getpid())
    assert (found.run, found.steps) == (run.id, [])


def test_a_wait_is_in_the_journal_with_the_holder_of_the_other_run(store, open_again, reader):
    first = store.begin_run()
    store.run(lambda tx: tx.add_tasks(tasks(1)))
    other = open_again(by="somebody else")
    second = other.begin_run()
    holders = other.working([first.id, second.id, "nobody"])
    assert holders == {first.id: f"{process.describe()} (tester)"}
    task = Task(WAIT, RUN, second.id, data={"run": first.id, "by": holders[first.id]}, state="STARTED")
    [made] = other.run(lambda tx: tx.add_tasks([task]))
    store.run(lambda tx: tx.finish_tasks(dict.fromkeys([t.id for t in stores.tasks(store, entity_id="vm-0")])))
    first.end()
    found = reader.read(os.getpid())
    assert (found.run, found.steps) == (second.id, [])
    assert found.waiting == Waiting(first.id, holders[first.id], made.queued_at)
    assert other.working([first.id]) == {}
    other.run(lambda tx: tx.finish_tasks({made.id: None}))
    assert reader.read(os.getpid()).waiting is None


def test_reading_a_file_leaves_no_other_file_behind(tmp_path):
    url = f"sqlite:///{tmp_path}/cloudstore.db"
    with open_store(url, mode="write", allow_ephemeral=True) as store:
        run = store.begin_run()
        assert Reader(url).read(os.getpid()).run == run.id
        run.end()
    assert [path.name for path in tmp_path.iterdir()] == ["cloudstore.db"]


def test_what_is_no_url_is_refused():
    with pytest.raises(PhotonError, match="is not a CloudStore URL"):
        Reader("/some/file.db")
