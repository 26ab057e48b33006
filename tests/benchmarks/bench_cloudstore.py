"""Claims on the CloudStore: 16 writer processes on one project's quota, and 6,400 VMs in one transaction.

The project holds 10,000 VMs already, and each new one takes 11 resources of it, since a claim's price is the sum over
everything that the project holds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from typing import Any

if __name__ == "__main__":  # one writer process: the product is imported as the tests import it
    sys.path[:0] = [os.path.join(os.getcwd(), "collections"), os.getcwd()]

from ansible_collections.photon.platform.plugins.module_utils.cloudstore import (
    Claim,
    CloudStore,
    Inventory,
    Step,
    Task,
    Transaction,
    open_store,
)
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document, name_key

from tests.benchmarks.harness import IN_MEMORY, file_system
from tests.support import postgresql

WRITERS = 16
WARM_UP = 6  # claims before the clock starts: the first ones of a process build and prepare its statements
PRESENT = 10_000  # VMs that the project holds before
HOSTS = 64
LARGE = 6400
NAMESPACE = uuid.UUID("9f9c2f3a-50c1-4f0e-8f57-0d6fdc1c3a52")  # every id is as long as a real one
GB = 1 << 30
COST = {
    "vm": 1,
    "vm.count": 1,
    "vm.cpu": 2,
    "vm.memory": 4 * GB,
    "vm.cost": 2000,
    "vm.flavor.core-200": 1,
    "ephemeral-disk": 1,
    "ephemeral-disk.count": 1,
    "ephemeral-disk.capacity": 16 * GB,
    "ephemeral-disk.cost": 1000,
    "ephemeral-disk.flavor.core-100": 1,
}


def entity(name: str) -> str:
    """The id of an entity that all processes know."""
    return str(uuid.uuid5(NAMESPACE, name))


PROJECT, TENANT = entity("project"), entity("tenant")
HOST = [entity(f"host {n}") for n in range(HOSTS)]
DATASTORE = [entity(f"datastore {n}") for n in range(HOSTS)]


def run(context: Any) -> dict[str, float]:
    """Figures: VMs claimed per second in batches of 20 on each database, seconds for one claim of 6,400 (slower)."""
    figures: dict[str, float] = {}
    rows, large = [], []
    context.work.chmod(0o711)  # the database server runs under an account of its own
    with postgresql.running(context.work, fsync=True) as server:
        if file_system(server.folder) in IN_MEMORY:
            raise RuntimeError(
                f"{server.folder} lies in memory: set PHOTON_BENCH_WORK to a folder that everybody can enter"
            )
        for name in ("sqlite", "postgresql"):
            for batch, batches in ((20, 20), (1, 10)):
                url = _url(name, context.work, server)
                seconds = _compete(url, batch, batches, context.root)
                rate = WRITERS * batch * batches / seconds
                _check(url, PRESENT + WRITERS * batch * (batches + WARM_UP))
                rows.append([name, batch, WRITERS * batch * batches, seconds, rate])
                if batch == 20:
                    figures[f"claims_per_s_{name}"] = rate
            large.append(_claim_large(_url(name, context.work, server)))
            rows.append([name, LARGE, LARGE, large[-1], LARGE / large[-1]])
    context.table(["database", "batch", "VMs", "seconds", "VMs/s"], rows)
    return {**figures, "claim_6400_s": max(large)}


def _url(name: str, work: Any, server: postgresql.Server) -> str:
    """A new CloudStore with one project that holds VMs, and hosts of which none is full."""
    label = f"bench-{uuid.uuid4().hex[:8]}"
    url = server.create(label) if name == "postgresql" else f"sqlite:///{work}/{label}.db"
    with open_store(url, mode="write", allow_ephemeral=True) as store:
        store.run(_fill)
        store.begin_run()
        for start in range(0, PRESENT, 1000):
            _claim(store, [_vm(f"present-{n}", n) for n in range(start, start + 1000)])
    if name == "postgresql":
        server.execute("VACUUM ANALYZE", label)  # as autovacuum leaves a database that was not filled a second ago
    return url


def _fill(tx: Transaction) -> None:
    tx.insert(
        [
            Document("tenant", "acme", id=TENANT, name_key="tenant//acme"),
            Document("project", "web", TENANT, id=PROJECT, name_key=name_key("project", TENANT, "web")),
            *(Document("host", f"host-{n}", id=key) for n, key in enumerate(HOST)),
            *(Document("datastore", f"store-{n}", id=key) for n, key in enumerate(DATASTORE)),
        ]
    )
    tx.set_limits(PROJECT, "project", {key: (amount * 100_000, "COUNT") for key, amount in COST.items()})
    tx.set_inventories([Inventory(key, "host", "vcpus", limit=1 << 30) for key in HOST])
    tx.set_inventories([Inventory(key, "host", "memory", "B", 1 << 60) for key in HOST])
    tx.set_inventories([Inventory(key, "datastore", "space", "B", 1 << 60) for key in DATASTORE])


def _compete(url: str, batch: int, batches: int, root: Any) -> float:
    """Seconds from the start signal, given when every writer is ready, until the last one is done."""
    words = [sys.executable, os.path.abspath(__file__), url, str(batch), str(batches)]
    writers = [
        subprocess.Popen([*words, str(n)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in range(WRITERS)
    ]
    for writer in writers:
        if writer.stdout.readline() != b"ready\n":
            raise RuntimeError("a writer did not start")
    started = time.perf_counter()
    for writer in writers:
        writer.stdin.close()
    codes = [writer.wait() for writer in writers]
    seconds = time.perf_counter() - started
    for writer in writers:
        writer.stdout.close()
    if any(codes):
        raise RuntimeError(f"writers ended with {codes}")
    return seconds


def _check(url: str, expected: int) -> None:
    with open_store(url, allow_ephemeral=True) as store:
        snapshot = store.snapshot()
    usage = snapshot.usage[PROJECT]
    claimed = sum(snapshot.usage[key]["vcpus"] for key in HOST)
    living = sum(document.kind == "vm" for document in snapshot.documents)
    if (
        living != expected
        or usage != {key: amount * expected for key, amount in COST.items()}
        or claimed != 2 * expected
        or len(snapshot.exclusives) != expected
    ):
        raise RuntimeError(f"{living} VMs live of {expected}, usage is {usage}, {claimed} vCPUs are claimed")


def _claim_large(url: str) -> float:
    with open_store(url, mode="write", allow_ephemeral=True) as store:
        store.begin_run()
        vms = [_vm(f"large-{n}", n) for n in range(LARGE)]
        started = time.perf_counter()
        _claim(store, vms)
        return time.perf_counter() - started


def _vm(name: str, number: int) -> Document:
    """A VM's document as the VM service records it with its claim."""
    host, datastore = HOST[number % HOSTS], DATASTORE[number % HOSTS]
    body = {
        "flavor": str(uuid.uuid4()),
        "image": str(uuid.uuid4()),
        "vcpus": 2,
        "memory": 4 * GB,
        "cost": {key: [amount, "COUNT"] for key, amount in COST.items()},
        "disks": [
            {
                "name": "boot-disk",
                "kind": "ephemeral-disk",
                "flavor": "core-100",
                "capacity": 16 * GB,
                "boot": True,
                "datastore_tags": [],
            }
        ],
        "port_groups": ["VM Network"],
        "tags": ["bench"],
        "groups": [],
        "spread_over": "zone",
        "metadata_digest": "0" * 64,
        "deletion_protection": False,
    }
    observed = {
        "endpoint": "endpoint-1",
        "host": host,
        "address": None,
        "vsphere": {"name": name, "folder": "photon/acme/web"},
        "disks": {
            "boot-disk": {"datastore": datastore, "path": f"[store] {name}/{name}.vmdk", "uuid": None, "unit": 0}
        },
    }
    key = name_key("vm", PROJECT, name)
    return Document("vm", name, PROJECT, "CREATING", "inventory:bench", name_key=key, body=body, observed=observed)


def _claim(store: CloudStore, vms: list[Document]) -> None:
    """Everything that is recorded before the first external call, in one transaction."""
    tasks = [
        Task(
            "CREATE_VM",
            "vm",
            vm.id,
            [Step(n, name) for n, name in enumerate(("RESERVE_RESOURCE", "CREATE_VM", "START_VM"))],
            {"name": vm.name, "folder": "photon/acme/web", "host": vm.observed["host"]},
        )
        for vm in vms
    ]
    claims = [
        Claim(
            vm.id,
            {
                PROJECT: COST,
                vm.observed["host"]: {"vcpus": 2, "memory": 4 * GB},
                vm.observed["disks"]["boot-disk"]["datastore"]: {"space": 16 * GB},
            },
            frozenset([f"name:endpoint-1:photon/acme/web/{vm.name}"]),
        )
        for vm in vms
    ]
    versions = {key: 1 for vm in vms for key in (PROJECT, vm.observed["host"])}

    def work(tx: Transaction) -> None:
        tx.check_versions(versions)
        tx.insert(vms)
        tx.add_tasks(tasks)
        tx.claim(claims)

    store.run(work)


def _write(url: str, batch: int, batches: int, number: int) -> None:
    with open_store(url, mode="write", allow_ephemeral=True) as store:
        store.begin_run()
        for n in range(WARM_UP):
            _claim(store, [_vm(f"warm-{number}-{n}-{i}", i) for i in range(batch)])
        print("ready", flush=True)
        sys.stdin.read()
        for n in range(batches):
            start = (number * batches + n) * batch
            _claim(store, [_vm(f"vm-{start + i}", start + i) for i in range(batch)])


if __name__ == "__main__":
    _write(sys.argv[1], *map(int, sys.argv[2:5]))
