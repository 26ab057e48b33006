"""20 and 200 VMs by one task, beside loops of two other modules and beside raw pyvmomi, on one simulated vCenter."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

from tests.benchmarks.cloud import FLOOR, Cloud, RawSession, interleaved, median

FEW, MANY, REPEAT = 20, 200, 5


def run(context: Any) -> dict[str, float]:
    """Figures: time per VM against the better peer, whole time against the floor, vSphere calls per VM."""
    with Cloud(context) as cloud:
        few = _ours(cloud, FEW)
        calls: list[int] = []
        cloud.declare([cloud.vm(f"web-[001:{MANY}]")])

        def ours() -> float:
            seconds, number = _create(cloud, MANY)
            calls.append(number)
            return seconds

        # Each peer between two runs of ours, so that a machine that others use slows both sides alike.
        turns, others = [ours()], []
        for name, tasks in peers(cloud).items():
            others.append(_peer(cloud, name, tasks))
            turns.append(ours())
        created, raw, floor = interleaved(REPEAT, ours, lambda: _raw(cloud), lambda: cloud.run(FLOOR).seconds)
    rows = [
        ["photon.platform.vm", FEW, few, few / FEW],
        ["community.vmware.vmware_guest", FEW, others[0], others[0] / FEW],
        ["vmware.vmware.vm + vm_powerstate", FEW, others[1], others[1] / FEW],
        ["photon.platform.vm", MANY, median(created), median(created) / MANY],
        ["raw pyvmomi", MANY, median(raw), median(raw) / MANY],
    ]
    context.table(["create and power on", "VMs", "seconds", "s per VM"], rows)
    print(f"floor: raw {median(raw):.3f} s + playbook with one module of two imports {median(floor):.3f} s")
    print(f"calls of one task: {calls}; all runs: ours {_shown(created)}, raw {_shown(raw)}, playbook {_shown(floor)}")
    around = [(before + after) / 2 / MANY for before, after in pairwise(turns)]
    speedups = [other / FEW / beside for other, beside in zip(others, around, strict=True)]
    print("time per VM of each peer over ours before and after it: " + ", ".join(f"{each:.1f}" for each in speedups))
    return {
        "vm_create_20_s": few,
        "vm_create_200_s": median(created),
        "vm_create_200_raw_s": median(raw),
        "playbook_floor_s": median(floor),
        "vm_create_200_speedup": min(speedups),
        "vm_create_200_over_floor": median(created) / (median(raw) + median(floor)),
        "vm_create_calls_per_vm": max(calls) / MANY,
    }


def peers(cloud: Cloud) -> dict[str, list[dict[str, Any]]]:
    """The same VMs by the two modules that people use, one item a turn; unchecked certificates spare them work."""
    endpoint = cloud.endpoint
    login = {
        "hostname": endpoint.address,
        "port": endpoint.port,
        "username": endpoint.username,
        "password": endpoint.password,
        "validate_certs": False,
    }
    loop = {"loop": list(range(1, FEW + 1))}
    guest = {
        "name": "VMs",
        "community.vmware.vmware_guest": {
            **login,
            "name": "guest-{{ item }}",
            "datacenter": "dc1",
            "cluster": "cluster1",
            "folder": "/dc1/vm",
            "guest_id": "otherGuest64",
            "state": "poweredon",
            "disk": [{"size_gb": 1, "type": "thin", "datastore": "shared1"}],
            "hardware": {"memory_mb": 2048, "num_cpus": 1, "scsi": "paravirtual"},
            "networks": [{"name": "VM Network", "device_type": "vmxnet3"}],
        },
        **loop,
    }
    machine = {
        "name": "VMs",
        "vmware.vmware.vm": {
            **login,
            "name": "vm-{{ item }}",
            "datacenter": "dc1",
            "cluster": "cluster1",
            "datastore": "shared1",
            "guest_id": "otherGuest64",
            "cpu": {"cores": 1},
            "memory": {"size_mb": 2048},
            "disks": [{"size": "1gb", "provisioning": "thin", "device_node": "SCSI(0:0)"}],
            "scsi_controllers": [{"controller_type": "paravirtual", "bus_number": 0}],
            "network_adapters": [{"network": "VM Network", "adapter_type": "vmxnet3"}],
        },
        **loop,
    }
    start = {
        "name": "Running",
        "vmware.vmware.vm_powerstate": {**login, "name": "vm-{{ item }}", "datacenter": "dc1", "state": "powered-on"},
        **loop,
    }
    return {"guest.yml": [guest], "machine.yml": [machine, start]}


def _ours(cloud: Cloud, number: int) -> float:
    cloud.declare([cloud.vm(f"web-[001:{number}]")])
    return median(_create(cloud, number)[0] for _ in range(3))


def _create(cloud: Cloud, number: int) -> tuple[float, int]:
    """Seconds of the whole playbook and the simulator's calls in it."""
    cloud.clear()
    seconds = cloud.run().seconds
    calls = sum(cloud.calls().values())
    _expect(cloud, number)
    return seconds, calls


def _peer(cloud: Cloud, name: str, tasks: list[dict[str, Any]]) -> float:
    """Seconds of the whole playbook, after which that many new VMs have to run."""
    cloud.playbook(name, tasks)
    cloud.clear()
    seconds = cloud.run(name).seconds
    _expect(cloud, FEW)
    return seconds


def _raw(cloud: Cloud) -> float:
    """Log in, create, power on, log out."""
    cloud.clear()
    started = time.perf_counter()
    with RawSession(cloud.endpoint) as raw:
        raw.create([f"raw-{number:03}" for number in range(MANY)], cloud.image)
    seconds = time.perf_counter() - started
    _expect(cloud, MANY)
    return seconds


def _expect(cloud: Cloud, number: int) -> None:
    if (running := cloud.running()) != number:
        raise RuntimeError(f"{running} VMs run instead of {number}")


def _shown(values: list[float]) -> str:
    return json.dumps([round(value, 2) for value in values])
