"""Tasks, entity locks, leases and take-over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Conflict, Step, Task, runs
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import stores

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
    return store.begin_run()


def test_a_task_from_queued_to_completed(store, run):
    [made] = add(store, task(data={"name": "web-1"}, state="STARTED"))
    assert (made.run_id, made.state, made.by) == (run.id, "STARTED", "tester")
    assert store.snapshot().open_tasks == [made]
    store.run(lambda tx: tx.steps([(made.id, 0, "STARTED")]))
    store.run(lambda tx: tx.steps([(made.id, 0, "COMPLETED", {"task": "task-7"}), (made.id, 1, "STARTED")]))
    [now] = store.snapshot().open_tasks
    assert (now.state, now.data, [s.state for s in now.steps]) == (
        "STARTED",
        {"name": "web-1"},
        ["COMPLETED", "STARTED", "QUEUED"],
    )
    assert now.steps[0].result == {"task": "task-7"}
    assert now.steps[0].started_at <= now.steps[0].ended_at
    assert now.steps[1].ended_at is None
    store.run(lambda tx: tx.finish_tasks({made.id: None}))
    assert store.snapshot().open_tasks == []
    [done] = stores.tasks(store, entity_id="vm-1")
    assert (done.state, {s.state for s in done.steps}, done.error) == ("COMPLETED", {"COMPLETED"}, None)
    assert done.queued_at <= done.started_at <= done.ended_at


def test_a_failed_task_keeps_its_error_at_the_step_that_failed(store, run):
    [made] = add(store, task())
    store.run(lambda tx: tx.steps([(made.id, 1, "STARTED")]))
    store.run(lambda tx: tx.finish_tasks({made.id: PhotonError("NoDiskSpace", "full", {"datastore": "d1"})}))
    [done] = stores.tasks(store, states=["ERROR"])
    assert done.error == {"code": "NoDiskSpace", "message": "full", "data": {"datastore": "d1"}}
    assert [(s.state, s.error) for s in done.steps] == [("QUEUED", None), ("ERROR", done.error), ("QUEUED", None)]


def test_one_task_at_a_time_per_entity(store, run):
    [first] = add(store, task())
    error = refused(store, lambda tx: tx.add_tasks([task("vm-2"), task("vm-1", "DELETE_VM"), task("vm-3")]))
    assert isinstance(error, Conflict)
    assert (error.code, error.data) == (
        "ConcurrentTask",
        {"ids": ["vm-1"], "entity_id": "vm-1", "task_id": first.id, "operation": "CREATE_VM"},
    )
    assert [t.entity_id for t in stores.tasks(store)] == ["vm-1"]
    twins = refused(store, lambda tx: tx.add_tasks([task("vm-2"), task("vm-2")]))
    assert (twins.code, isinstance(twins, Conflict)) == ("ConcurrentTask", False)
    store.run(lambda tx: tx.finish_tasks({first.id: None}))
    add(store, task("vm-1", "DELETE_VM"))


def test_a_task_needs_a_run(store):
    assert refused(store, lambda tx: tx.add_tasks([task()])).code == "InternalError"


def test_a_finished_task_is_not_written_again(store, run):
    [made] = add(store, task())
    store.run(lambda tx: tx.finish_tasks({made.id: None}))
    assert refused(store, lambda tx: tx.finish_tasks({made.id: None})).code == "LeaseLost"


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
    assert (taken.id, taken.run_id, taken.data, len(taken.steps)) == (made.id, successor.id, made.data, 3)
    with pytest.raises(PhotonError) as caught:
        run.renew()
    assert caught.value.code == "LeaseLost"
    for work in (
        lambda tx: tx.finish_tasks({made.id: None}),
        lambda tx: tx.add_tasks([task("vm-9")]),
        lambda tx: tx.steps([(made.id, 0, "STARTED")]),
    ):
        assert refused(store, work).code == "LeaseLost"
    assert [t.entity_id for t in other.snapshot().open_tasks] == ["vm-1"]
    assert other.take_over(successor) == []
    other.run(lambda tx: tx.finish_tasks({made.id: None}))


def test_an_expired_run_that_was_not_taken_over_goes_on(store):
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
    run.check()
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
    assert (left.id, left.run_id, left.state) == (made, run.id, "QUEUED")


def test_a_controller_that_is_not_taken_over_finishes(controller, store):
    process, made = controller(3600)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == "finished"
    assert [t.id for t in stores.tasks(store, states=["COMPLETED"])] == [made]


def test_groom_removes_finished_tasks_and_ended_runs_only(store, run, open_again):
    done, kept = add(store, task("vm-1"), task("vm-2"))
    store.run(lambda tx: tx.finish_tasks({done.id: None}))
    other = open_again()
    other.begin_run().end()
    add_expired_run(store)
    removed = stores.groom(store, -60)
    assert (removed["tasks"], removed["runs"]) == (1, 2)
    assert [(t.id, len(t.steps)) for t in stores.tasks(store)] == [(kept.id, 3)]
    run.renew()


def add_expired_run(store):
    """The run of a controller that was killed without any unfinished task."""
    store.begin_run(ttl=-120)


def test_the_end_of_a_run_grooms(store, monkeypatch):
    monkeypatch.setattr(runs, "KEPT", -60)
    store.begin_run().end()
    assert store.snapshot().live_runs == set()
    run = store.begin_run()
    [made] = add(store, task())
    store.run(lambda tx: tx.finish_tasks({made.id: None}))
    run.end()
    assert stores.tasks(store) == []


# -- the heartbeat -----------------------------------------------------------------------------------------------------


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def heartbeats():
    return [t for t in threading.enumerate() if t.name == runs.HEARTBEAT]


def test_a_new_run_stops_the_heartbeat_of_the_one_before(store):
    before = store.begin_run()
    store.begin_run()
    assert [t is before._thread for t in heartbeats()] == [False]


def expiry(store, run):
    def read(connection):
        table = runs.tables().runs
        return connection.execute(table.select().where(table.c.id == run.id)).one().expires_at

    return store.database.read(read)


def test_the_heartbeat_renews_the_lease_while_the_run_does_nothing(store):
    run = store.begin_run(ttl=1.5)
    first = expiry(store, run)
    until(lambda: expiry(store, run) > first + 1.0)
    assert store.snapshot().live_runs == {run.id}
    run.end()
    until(lambda: not heartbeats())


def test_closing_the_store_stops_the_heartbeat(store):
    store.begin_run()
    assert len(heartbeats()) == 1
    store.close()
    assert heartbeats() == []


def test_a_check_is_free_while_the_lease_is_young(store, monkeypatch):
    run = store.begin_run()
    monkeypatch.setattr(store.database, "write", None)  # any use of the database fails
    run.check()
    monkeypatch.undo()


def test_a_run_that_was_paused_renews_before_it_goes_on(store, monkeypatch):
    run = store.begin_run()
    run.stop()
    before = expiry(store, run)
    clock = runs._now
    monkeypatch.setattr(runs, "_now", lambda: clock() + 21)  # more than two thirds of 30 s
    run.check()
    assert expiry(store, run) > before


def test_a_run_that_was_paused_and_taken_over_stops(store, open_again, monkeypatch):
    run = store.begin_run(ttl=-1)
    add(store, task())
    other = open_again()
    other.take_over(other.begin_run())
    for _time in range(2):
        with pytest.raises(PhotonError) as caught:
            run.check()
        assert caught.value.code == "LeaseLost"
    run.end()


def test_the_heartbeat_finds_out_that_the_lease_is_lost(store, open_again, monkeypatch):
    run = store.begin_run(ttl=1.5)
    add(store, task())
    other = open_again()
    successor = other.begin_run()
    monkeypatch.setattr(runs.process, "is_dead", lambda _process: True)
    assert len(other.take_over(successor)) == 1
    monkeypatch.setattr(run, "renew", None)  # only the heartbeat can know
    until(lambda: not [t for t in heartbeats() if t is run._thread])
    with pytest.raises(PhotonError) as caught:
        run.check()
    assert caught.value.code == "LeaseLost"


def test_threads_that_check_at_once_renew_once(store, monkeypatch):
    run = store.begin_run()
    run.stop()
    clock, calls = runs._now, []
    monkeypatch.setattr(runs, "_now", lambda: clock() + (0 if calls else 25))
    real = run.renew
    monkeypatch.setattr(run, "renew", lambda: (real(), calls.append(1)))
    run._renewed = clock() - 25
    threads = [threading.Thread(target=run.check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_a_snapshot_tells_which_runs_live(store, run, open_again):
    open_again().begin_run(ttl=-1)
    ended = open_again().begin_run()
    ended.end()
    assert store.snapshot().live_runs == {run.id}
