# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CloudStore with all that a VM holds from, and what an endpoint's read showed: for tests of the rows VMs hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.cloudstore import CloudStore, Inventory, Task, open_store
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.claims import claim_of
from ansible_collections.photon.platform.plugins.module_utils.services.vms.desired import Desired
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Disk, Place, Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import (
    DatastoreRow,
    EndpointInventory,
    HostRow,
    VmRow,
)

GB = 1 << 30
COST = {"vm": (1, "COUNT"), "vm.memory": (3 * GB, "B")}
DISKS = (
    Disk("boot-disk", "d", 5 * GB, boot=True, datastore="d1"),
    Disk("data", "d", 7 * GB, datastore="d1"),
    Disk("log", "d", 11 * GB, datastore="d2"),
)
VM = Vm(
    "v1", "web-01", "p1", "STOPPED", "f", "i", 2, 3 * GB, COST, DISKS, place=Place("e1", "h1", "Web-01", "acme/web")
)
HOLDS = {
    ("p1", "vm"): 1,
    ("p1", "vm.memory"): 3 * GB,
    ("h1", "vcpus"): 2,
    ("h1", "memory"): 3 * GB,
    ("d1", "space"): 12 * GB,
    ("d2", "space"): 11 * GB,
}
KEYS = {"name:e1:acme/web:web-01"}


def host(number: int, **body: Any) -> Document:
    body = {"endpoint": "e1", "zone": f"z{number}", "cpu_overcommit": 4.0, "memory_overcommit": 1.5, **body}
    return Document(
        entities.HOST, f"esx{number}", id=f"h{number}", body=body, observed={"moid": f"host-{number}", "cluster": "c1"}
    )


def datastore(number: int) -> Document:
    observed = {"moid": f"datastore-{number}", "capacity": 900 * GB}
    return Document(
        entities.DATASTORE, f"ds{number}", "e1", id=f"d{number}", body={"endpoint": "e1"}, observed=observed
    )


def document(vm: Vm) -> Document:
    return vm.write_to(Document(entities.VM, vm.name, vm.project, id=vm.id))


def desired(vm: Vm, label: str = "acme/web/web-01", **fields: Any) -> Desired:
    """A VM as it is declared; the power state and the guest's keys stay as they are."""
    values = {"path": "", "flavor_name": "", "image_name": "", "power": None, "force": False, "register": False,
              "wait": 0, "needs": (), "metadata": None, **fields}  # fmt: skip
    return Desired(vm, label, **values)


def row(uuid: str, host_number: int, **facts: Any) -> VmRow:
    values = {
        "change_version": "1", "folder": "group-v1", "datastores": [], "vcpus": 2, "memory": 3 * GB,
        "space": {}, "guest_address": None, "tools": "", "template": False, "connection_state": "connected", **facts,
    }  # fmt: skip
    return VmRow(f"vm-{uuid}", "Web-01", uuid, f"host-{host_number}", "poweredOff", **values)


@dataclass
class Accounts:
    """A store with everything that a VM holds from, and an endpoint as it was read."""

    store: CloudStore
    inventory: EndpointInventory
    url: str

    def state(self) -> CurrentState:
        state = CurrentState.of_snapshot(self.store.snapshot())
        state.inventories["e1"] = self.inventory
        return state

    def show(self, shown: VmRow) -> None:
        self.inventory.vms[shown.moid] = shown
        self.inventory.vms_by_uuid[shown.uuid] = [shown]

    def add(self, vm: Vm) -> Document:
        """A recorded VM with its rows."""
        new, state = document(vm), self.state()

        def work(tx: Any) -> None:
            tx.insert([new])
            tx.claim([claim_of(new, state)])

        self.store.run(work)
        return self.stored(vm.id)

    def stored(self, entity_id: str) -> Document:
        return self.state().must(entity_id)

    def held(self, consumer: str = "v1") -> dict[tuple[str, str], int]:
        return self.store.snapshot(allocations=True).held.get(consumer, {})

    def keys(self, consumer: str = "v1") -> set[str]:
        return {key for key, holder in self.store.snapshot().exclusives.items() if holder == consumer}

    @contextmanager
    def other_run(self) -> Iterator[CloudStore]:
        """Another controller's store with an open run."""
        with open_store(self.url, mode="write", allow_ephemeral=True, by="others") as store:
            run = store.begin_run()
            yield store
            run.end()

    def task(self, entity_id: str, operation: str) -> Task:
        [task] = self.store.run(lambda tx: tx.add_tasks([Task(operation, entities.VM, entity_id, state="STARTED")]))
        return task


@contextmanager
def accounts(directory: Path) -> Iterator[Accounts]:
    """A tenant, a project, an endpoint, hosts h1 and h2 and datastores d1 and d2 in a new store with an open run."""
    inventory = EndpointInventory("vcenter")
    for number in (1, 2):
        inventory.datastores[f"datastore-{number}"] = DatastoreRow(
            f"datastore-{number}", f"ds{number}", f"ds:///{number}/", "VMFS", 900 * GB, 900 * GB, True
        )
        inventory.hosts[f"host-{number}"] = HostRow(
            f"host-{number}", f"esx{number}", "c1", "domain-c1", "resgroup-1", "dc-1", "group-v1", "connected", False,
            "poweredOn", 10, 100 * GB, networks=[], network_moids=[], datastores=[],
        )  # fmt: skip

    def fill(tx: Any) -> None:
        tx.insert(
            [
                Document(entities.TENANT, "acme", id="t1"),
                Document(entities.PROJECT, "web", "t1", id="p1"),
                Document(entities.ENDPOINT, "vc1", id="e1"),
                *(each(number) for each in (host, datastore) for number in (1, 2)),
            ]
        )
        for number in (1, 2):
            tx.set_inventories(
                [
                    Inventory(f"h{number}", entities.HOST, "vcpus", limit=40),
                    Inventory(f"h{number}", entities.HOST, "memory", "B", 150 * GB),
                    Inventory(f"d{number}", entities.DATASTORE, "space", "B", 900 * GB),
                ]
            )

    url = f"sqlite:///{directory}/cloud.db"
    with open_store(url, mode="write", allow_ephemeral=True, by="tests") as store:
        store.run(fill)
        store.begin_run()
        yield Accounts(store, inventory, url)
