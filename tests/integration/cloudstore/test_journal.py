"""Tasks, entity locks, leases and take-over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Step, Task
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

STEPS = ("RESERVE_RESOURCE", "CREATE_VM", "START_VM")


def task(entity_id="vm-1", operation="CREATE_VM", **fields):
    steps = [Step(number, name, options={"n": number}) for number, name in enumerate(STEPS)]
    return Task(operation, "vm", entity_id, steps, **fields)


def add(store, *tasks):
    return store.run(lambda tx: tx.add_tasks(tasks))


def refused(store, work):
    with pytest.raises(PhotonError) as caught:
        store.run(work)
    return caught.value


@pytest.fixture
def run(store):
    return store.begin_run("tester")


def test_a_task_from_queued_to_completed(store, run):
    [made] = add(store, task(data={"name": "web-1"}))
    assert (made.run_id, made.state, made.by) == (run.run_id, "QUEUED", "tester")
    assert store.snapshot().open_tasks == [made]
    store.run(lambda tx: tx.start_tasks([made.id]))
    store.run(lambda tx: tx.step(made.id, 0, "STARTED"))
    store.run(lambda tx: tx.steps([(made.id, 0, "COMPLETED", {"task": "task-7"}), (made.id, 1, "STARTED")]))
    store.run(lambda tx: tx.set_task_data({made.id: {"name": "web-2"}}))
    [now] = store.snapshot().open_tasks
    assert (now.state, now.data, [s.state for s in now.steps]) == (
        "STARTED",
        {"name": "web-2"},
        ["COMPLETED", "STARTED", "QUEUED"],
    )
    assert now.steps[0].result == {"task": "task-7"}
    assert now.steps[0].started_at <= now.steps[0].ended_at
    assert now.steps[1].ended_at is None
    store.run(lambda tx: tx.finish_tasks({made.id: None}))
    assert store.snapshot().open_tasks == []
    [done] = store.tasks(entity_id="vm-1")
    assert (done.state, {s.state for s in done.steps}, done.error) == ("COMPLETED", {"COMPLETED"}, None)
    assert done.queued_at <= done.started_at <= done.ended_at


def test_a_failed_task_keeps_its_error_at_the_step_that_failed(store, run):
    [made] = add(store, task())
    store.run(lambda tx: (tx.start_tasks([made.id]), tx.step(made.id, 1, "STARTED")))
    store.run(lambda tx: tx.finish_tasks({made.id: PhotonError("NoDiskSpace", "full", {"datastore": "d1"})}))
    [done] = store.tasks(states=["ERROR"])
    assert done.error == {"code": "NoDiskSpace", "message": "full", "data": {"datastore": "d1"}}
    assert [(s.state, s.error) for s in done.steps] == [("QUEUED", None), ("ERROR", done.error), ("QUEUED", None)]


def test_one_task_at_a_time_per_entity(store, run):
    [first] = add(store, task())

    def try_it(tx):
        with pytest.raises(PhotonError) as caught:
            tx.add_tasks([task("vm-2"), task("vm-1", "DELETE_VM"), task("vm-3")])
        return caught.value

    error = store.run(try_it)
    assert (error.code, error.data) == (
        "ConcurrentTask",
        {"entity_id": "vm-1", "task_id": first.id, "operation": "CREATE_VM"},
    )
    assert [t.entity_id for t in store.tasks()] == ["vm-1"]
    assert refused(store, lambda tx: tx.add_tasks([task("vm-2"), task("vm-2")])).code == "ConcurrentTask"
    store.run(lambda tx: tx.finish_tasks({first.id: None}))
    add(store, task("vm-1", "DELETE_VM"))


def test_a_task_needs_a_run(store):
    assert refused(store, lambda tx: tx.add_tasks([task()])).code == "InternalError"


def test_a_finished_task_is_not_written_again(store, run):
    [made] = add(store, task())
    store.run(lambda tx: tx.finish_tasks({made.id: None}))
    assert refused(store, lambda tx: tx.start_tasks([made.id])).code == "LeaseLost"


def test_a_living_runs_tasks_are_left_alone(store, run, open_again):
    add(store, task())
    other = open_again()
    assert other.take_over(other.begin_run()) == []
    run.renew()


def test_an_expired_run_is_taken_over_and_finds_out(store, open_again):
    run = store.begin_run(ttl=-1)  # its time is over at once, as for a controller that slept
    made, ended = store.run(lambda tx: tx.add_tasks([task("vm-1"), task("vm-2")]))
    store.run(lambda tx: tx.finish_tasks({ended.id: None}))
    other = open_again(by="the next one")
    successor = other.begin_run()
    [taken] = other.take_over(successor)
    assert (taken.id, taken.run_id, taken.data, len(taken.steps)) == (made.id, successor.run_id, made.data, 3)
    with pytest.raises(PhotonError) as caught:
        run.renew()
    assert caught.value.code == "LeaseLost"
    for work in (
        lambda tx: tx.start_tasks([made.id]),
        lambda tx: tx.finish_tasks({made.id: None}),
        lambda tx: tx.add_tasks([task("vm-9")]),
        lambda tx: tx.step(made.id, 0, "STARTED"),
    ):
        assert refused(store, work).code == "LeaseLost"
    assert [t.entity_id for t in other.snapshot().open_tasks] == ["vm-1"]
    assert other.take_over(successor) == []
    other.run(lambda tx: tx.finish_tasks({made.id: None}))


def test_an_expired_run_that_nobody_took_over_goes_on(store):
    run = store.begin_run(ttl=-1)
    add(store, task())
    run.renew()


def test_what_an_ended_run_left_is_taken_over(store, run, open_again):
    [made] = add(store, task())
    run.end()
    other = open_again()
    assert [t.id for t in other.take_over(other.begin_run())] == [made.id]


CHILD = """
import sys, time
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Step, Task, open_store
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

store = open_store(sys.argv[1], mode="write", allow_ephemeral=True)
run = store.begin_run(ttl=float(sys.argv[2]))
[made] = store.run(lambda tx: tx.add_tasks([Task("CREATE_VM", "vm", "vm-1", [Step(0, "CREATE_VM")])]))
print(made.id, flush=True)
sys.stdin.readline()
try:
    run.renew()
    store.run(lambda tx: tx.finish_tasks({made.id: None}))
    print("finished", flush=True)
except PhotonError as error:
    print(error.code, flush=True)
"""


@pytest.fixture
def controller(cloudstore_url, pytestconfig):
    """`controller(ttl)`: another controller with one open task; `(process, task id)`."""
    processes = []

    def started(ttl):
        environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath / "collections")}
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, cloudstore_url, str(ttl)],
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        processes.append(process)
        return process, process.stdout.readline().strip()

    yield started
    for process in processes:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_killed_controller_on_this_machine_is_seen_at_once(controller, store, run):
    process, made = controller(3600)
    assert store.take_over(run) == []
    process.kill()
    process.wait()
    assert [t.id for t in store.take_over(run)] == [made]


def test_a_paused_controller_wakes_up_without_its_lease(controller, store, run):
    process, made = controller(0)
    process.send_signal(signal.SIGSTOP)
    assert [t.id for t in store.take_over(run)] == [made]
    process.send_signal(signal.SIGCONT)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "LeaseLost"
    [left] = store.snapshot().open_tasks
    assert (left.id, left.run_id, left.state) == (made, run.run_id, "QUEUED")


def test_a_controller_that_is_not_taken_over_finishes(controller, store):
    process, made = controller(3600)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "finished"
    assert [t.id for t in store.tasks(states=["COMPLETED"])] == [made]


def test_groom_removes_finished_tasks_and_ended_runs_only(store, run, open_again):
    done, kept = add(store, task("vm-1"), task("vm-2"))
    store.run(lambda tx: tx.finish_tasks({done.id: None}))
    other = open_again()
    other.begin_run().end()
    removed = store.groom(-60)
    assert (removed["tasks"], removed["runs"]) == (1, 1)
    assert [(t.id, len(t.steps)) for t in store.tasks()] == [(kept.id, 3)]
    run.renew()
