"""Many processes on one CloudStore, processes that die in a transaction, answers that get lost."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import (
    Inventory,
    database,
    open_store,
)
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document

LIMIT, WRITERS, BATCHES, BATCH = 150, 16, 8, 4  # 512 VMs are asked for
PRELUDE = """
import json, os, random, signal, sys
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import *
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

store = open_store(sys.argv[1], mode="write", allow_ephemeral=True)
"""
WRITER = (
    PRELUDE
    + """
number, batches, batch = map(int, sys.argv[2:5])
chance = random.Random(number)
store.begin_run()
print("ready", flush=True)
sys.stdin.read()
made, outcome = [], {"made": 0, "deleted": 0, "QuotaError": 0, "InsufficientCapacity": 0}

def claim(vm):
    return Claim(vm.id, {"p1": {"vm": 1, "vm.memory": 10}, vm.body["host"]: {"vcpus": 1, "memory": 10}},
                 frozenset(["name:" + vm.name]))

def create(tx):
    fresh = tx.insert(vms)
    tx.add_tasks([Task("CREATE_VM", "vm", vm.id, [Step(0, "CREATE_VM")]) for vm in vms])
    tx.claim([claim(vm) for vm in vms])
    return fresh

def delete(tx):
    tx.bury(gone)
    tx.finish_tasks({t.id: None for t in open_tasks if t.entity_id in {vm.id for vm in gone}})

for n in range(batches):
    vms = [Document("vm", f"vm-{number}-{n}-{i}", "p1", body={"host": f"h{chance.randrange(8)}"}) for i in range(batch)]
    try:
        made += store.run(create)
        outcome["made"] += batch
    except Conflict as error:
        outcome[error.code] += 1
    if len(made) > batch and chance.random() < 0.3:
        gone, open_tasks = [made.pop(), made.pop()], store.snapshot().open_tasks
        store.run(delete)
        outcome["deleted"] += 2
print(json.dumps(outcome))
"""
)


@pytest.fixture
def python(cloudstore_url, pytestconfig):
    """`python(code, *arguments)` starts a process with the CloudStore's URL as its first argument."""
    processes = []

    def started(code, *arguments, url=cloudstore_url):
        environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath / "collections")}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", code, url, *map(str, arguments)],
                env=environment,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def test_sixteen_writers_never_overbook_and_see_no_lock_error(store, python):
    def prepare(tx):
        tx.set_limits("p1", "project", {"vm": (LIMIT, "COUNT"), "vm.memory": (10 * LIMIT, "B")})
        tx.set_inventories([Inventory(f"h{n}", "host", "vcpus", limit=19) for n in range(8)])  # 152 in all
        tx.set_inventories([Inventory(f"h{n}", "host", "memory", "B", 190) for n in range(8)])

    store.run(prepare)
    writers = [python(WRITER, number, BATCHES, BATCH) for number in range(WRITERS)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n", writer.stderr.read()
    for writer in writers:
        writer.stdin.close()
    outcomes = []
    for writer in writers:
        text = writer.stdout.read()
        assert writer.wait() == 0, writer.stderr.read()
        outcomes.append(json.loads(text))
    total = {key: sum(outcome[key] for outcome in outcomes) for key in outcomes[0]}
    assert total["QuotaError"] + total["InsufficientCapacity"] > 0, (
        "nothing was ever refused: the test does not reach the limit"
    )
    snapshot = store.snapshot()
    living = [d for d in snapshot.documents if d.kind == "vm"]
    assert len(living) == total["made"] - total["deleted"]
    assert len(living) <= LIMIT
    assert snapshot.usage["p1"] == {"vm": len(living), "vm.memory": 10 * len(living)}
    for host in (f"h{n}" for n in range(8)):
        here = sum(vm.body["host"] == host for vm in living)
        assert snapshot.usage.get(host, {}) == ({"vcpus": here, "memory": 10 * here} if here else {})
        assert here <= 19
    assert snapshot.exclusives == {f"name:{vm.name}": vm.id for vm in living}
    assert len(store.tombstones()) == total["deleted"]
    assert all(len(store.history(vm.id)) == 1 for vm in living[:20])


SAME = (
    PRELUDE
    + """
store.begin_run()
print("ready", flush=True)
sys.stdin.read()
codes = []
for n in range(20):
    def work(tx):
        if n % 4 == 0:
            tx.insert([Document("vm", "x", "p1", name_key=f"vm/p1/{n}")])
        elif n % 4 == 1:
            tx.add_tasks([Task("CREATE_VM", "vm", f"entity-{n}")])
        elif n % 4 == 2:
            tx.claim([Claim(f"{sys.argv[2]}-{n}", exclusive=frozenset([f"key-{n}"]))])
        else:
            tx.claim([Claim(f"{sys.argv[2]}-{n}", {f"p{n}": {"vm": 1}})])
    try:
        store.run(work)
        codes.append("won")
    except Conflict as error:
        codes.append(error.code)
print(json.dumps(codes))
"""
)


def test_of_those_who_want_the_same_exactly_one_gets_it(store, python):
    store.run(lambda tx: [tx.set_limits(f"p{n}", "project", {"vm": (1, "COUNT")}) for n in range(3, 20, 4)])
    racers = [python(SAME, number) for number in range(6)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n", racer.stderr.read()
    for racer in racers:
        racer.stdin.close()
    answers = [json.loads(racer.stdout.read()) for racer in racers]
    for number, codes in enumerate(zip(*answers, strict=True)):
        lost = ("NameTaken", "ConcurrentTask", "NameTaken", "QuotaError")[number % 4]
        assert sorted(codes) == sorted([lost] * 5 + ["won"]), f"round {number}: {codes}"
    snapshot = store.snapshot()
    assert len(snapshot.documents) == len(snapshot.open_tasks) == len(snapshot.exclusives) == len(snapshot.usage) == 5


CROSSING = (
    PRELUDE
    + """
print("ready", flush=True)
sys.stdin.read()
def work(tx):
    claims = [Claim(f"a-{sys.argv[2]}-{n}", {"p1": {"vm": 1}}), Claim(f"b-{sys.argv[2]}-{n}", {"h0": {"vcpus": 1}})]
    for claim in claims if int(sys.argv[2]) % 2 else reversed(claims):
        tx.claim([claim])
for n in range(10):
    store.run(work)
"""
)


def test_transactions_that_touch_rows_in_opposite_order_all_get_through(store, python):
    store.run(lambda tx: tx.set_inventories([Inventory("h0", "host", "vcpus", limit=100)]))
    store.run(lambda tx: tx.set_limits("p1", "project", {"vm": (100, "COUNT")}))
    writers = [python(CROSSING, number) for number in range(4)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n", writer.stderr.read()
    for writer in writers:
        writer.stdin.close()
    for writer in writers:
        assert writer.wait() == 0, writer.stderr.read()
    assert store.snapshot().usage == {"p1": {"vm": 40}, "h0": {"vcpus": 40}}


BOOKING = (
    PRELUDE
    + """
import time
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import allocations, bulk

if sys.argv[2] == "without the lock":
    allocations._LOCK = bulk.Fetch("providers", "id")
elif sys.argv[2] == "REPEATABLE READ":
    store.database.engine = store.database.engine.execution_options(isolation_level="REPEATABLE READ")
print("ready", flush=True)
sys.stdin.read()

def work(tx):
    tx.claim([Claim(f"{sys.argv[3]}-{n}", {"p1": {"vm": 1}})])
    time.sleep(0.02)  # others come in between

for n in range(8):
    try:
        store.run(work)
    except Conflict:
        pass
"""
)


def booked(store, python, how):
    """What 16 writers that want 128 of a limit of 40 get."""
    store.run(lambda tx: tx.set_limits("p1", "project", {"vm": (40, "COUNT")}))
    writers = [python(BOOKING, how, number) for number in range(16)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n", writer.stderr.read()
    for writer in writers:
        writer.stdin.close()
    for writer in writers:
        assert writer.wait() == 0, writer.stderr.read()
    return store.snapshot().usage["p1"]["vm"]


def test_a_limit_holds_under_sixteen_writers(store, python):
    assert booked(store, python, "as it is") == 40


@pytest.mark.parametrize("cloudstore_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("how", ["without the lock", "REPEATABLE READ"])
def test_other_ways_to_isolate_claims_pass_the_limit(store, python, how):
    """The lock and the later statement are both needed: without either the same writers overbook."""
    assert booked(store, python, how) > 40


KILLED = (
    PRELUDE
    + """
store.begin_run()
def work(tx):
    tx.insert([Document("zone", "half", name_key="zone//half")])
    tx.set_limits("p1", "project", {"vm": (1, "COUNT")})
    tx.claim([Claim("vm-1", {"p1": {"vm": 1}}, frozenset(["half"]))])
    tx.add_tasks([Task("CREATE_VM", "vm", "vm-1")])
    os.kill(os.getpid(), signal.SIGKILL)
store.run(work)
"""
)


def test_a_process_killed_in_a_transaction_leaves_nothing(store, python):
    process = python(KILLED)
    assert process.wait() == -9
    snapshot = store.snapshot()
    assert (snapshot.documents, snapshot.usage, snapshot.exclusives, snapshot.open_tasks) == ([], {}, {}, [])
    store.run(lambda tx: tx.insert([Document("zone", "half", name_key="zone//half")]))  # nothing is locked either


def test_a_killed_writers_log_is_read_without_it(store, python, open_again):
    code = (
        PRELUDE
        + """
store.run(lambda tx: tx.insert([Document("zone", "a")]))
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    store.close()
    assert python(code).wait() == -9
    assert [d.name for d in open_again("read").snapshot().documents] == ["a"]


def test_a_named_transaction_happens_once(store, open_again):
    def work(tx):
        tx.insert([Document("zone", "a")])
        return {"made": 1}

    assert store.run(work, key="plan-7") == {"made": 1}
    assert open_again().run(work, key="plan-7") == {"made": 1}
    assert store.run(work, key="plan-8") == {"made": 1}
    assert store.run(lambda tx: None, key="silent") is None
    assert store.run(lambda tx: 1, key="silent") is None
    assert len(store.snapshot().documents) == 2


class Proxy:
    """TCP in front of a server that can lose the answer to a COMMIT: it is passed on, its answer never comes back."""

    def __init__(self, port):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.lose = self.lost = 0
        self._open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._open = False
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while self._open:
                client, _address = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                state = {"cut": False}
                threading.Thread(target=self._to_server, args=(client, server, state), daemon=True).start()
                threading.Thread(target=self._to_client, args=(client, server, state), daemon=True).start()

    def _to_server(self, client, server, state):
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if self.lose and b"COMMIT" in data:
                    self.lose -= 1
                    state["cut"] = True
                server.sendall(data)
        server.close()

    def _to_client(self, client, server, state):
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if state["cut"]:
                    self.lost += 1  # the server has answered: the commit is done
                    break
                client.sendall(data)
        for end in (client, server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.mark.parametrize("key", [None, "plan-7"])
def test_a_commit_whose_answer_was_lost_is_recognised(postgresql_server, key, request):
    name = f"lost-{key}"
    postgresql_server.create(name)
    request.addfinalizer(lambda: postgresql_server.drop(name))
    proxy = Proxy(postgresql_server.port)
    request.addfinalizer(proxy.close)
    calls = []

    def work(tx):
        calls.append(1)
        return [len(tx.insert([Document("vm", "web-1", "p1", name_key="vm/p1/web-1")]))]

    with open_store(postgresql_server.url(name, proxy.port), mode="write") as store:
        proxy.lose = 1
        assert store.run(work, key=key) == [1]
        assert (proxy.lost, len(calls)) == (1, 1)
        snapshot = store.snapshot()
    assert len(snapshot.documents) == 1


def test_a_connection_that_breaks_is_opened_again(postgresql_server, request):
    name = "broken"
    url = postgresql_server.create(name)
    request.addfinalizer(lambda: postgresql_server.drop(name))
    with open_store(url, mode="write") as store:
        store.run(lambda tx: tx.insert([Document("zone", "a")]))
        postgresql_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'broken'")
        store.run(lambda tx: tx.insert([Document("zone", "a")]))
        postgresql_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'broken'")
        assert len(store.snapshot().documents) == 2


def test_a_store_that_another_process_holds_is_waited_for_and_then_named(store, open_again, monkeypatch):
    monkeypatch.setattr(database, "PATIENCE", 0.3)
    other = open_again()
    if store.database.dialect == "sqlite":
        monkeypatch.setattr(database, "SQLITE_TIMEOUT", 0.1)
        other = open_again()
        blocked = lambda: other.run(lambda tx: tx.update([made.with_body(size=2)]))  # noqa: E731
    else:

        def blocked():
            def work(tx):
                tx.connection.exec_driver_sql("SET LOCAL lock_timeout = '50ms'")
                tx.update([made.with_body(size=2)])

            other.run(work)

    [made] = store.run(lambda tx: tx.insert([Document("zone", "a")]))

    def hold(tx):
        tx.update([made.with_body(size=1)])
        with pytest.raises(Exception, match="look for a process that holds it") as caught:
            blocked()
        return caught.value.code

    assert store.run(hold) == "CloudStoreUnavailable"
    assert store.snapshot().documents[0].body == {"size": 1}
