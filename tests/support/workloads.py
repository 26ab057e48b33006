"""Requests and fleets for benchmarks and large tests: from the traces where they are found, else synthetic."""

from __future__ import annotations

import csv
import gzip
import pathlib
import random
from typing import Any

GB = 1 << 30
# Share of the trace's flavors, for synthetic requests: (vcpus, GB, weight).
FLAVORS = ((1, 1.75, 659), (2, 3.5, 176), (4, 7.0, 92), (8, 14.0, 54), (1, 0.75, 16), (8, 56.0, 2), (2, 14.0, 1))


def azure(path: pathlib.Path, count: int) -> list[dict[str, Any]]:
    """The trace's first arrivals: time_s, batch_id, flavor, vcpus, memory in bytes, duration_bin."""
    rows = []
    with gzip.open(path, "rt") as lines:
        for row in csv.DictReader(lines):
            rows.append(
                {
                    "time": int(row["time_s"]),
                    "batch": row["batch_id"],
                    "flavor": row["flavor"],
                    "vcpus": int(float(row["vcpu"])),
                    "memory": int(float(row["mem_gb"]) * GB),
                    "duration": row["duration_bin"],
                }
            )
            if len(rows) == count:
                break
    return rows


def synthetic(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Rows of the same form without a trace."""
    rng = random.Random(seed)
    flavors = rng.choices(FLAVORS, [flavor[2] for flavor in FLAVORS], k=count)
    rows, batch = [], 0
    for number, (vcpus, memory, _weight) in enumerate(flavors):
        batch += rng.random() < 0.2
        rows.append(
            {
                "time": number // 7 * 300,
                "batch": str(batch),
                "flavor": f"{vcpus}-{memory}",
                "vcpus": vcpus,
                "memory": int(memory * GB),
                "duration": f"U{rng.randrange(15)}",
            }
        )
    return rows


def big_fleet(hosts: int = 10_000, zones: int = 8, seed: int = 7) -> dict[str, Any]:
    """Heterogeneous hosts in zones and racks; local and shared datastores, three port groups, tags, foreign use."""
    rng = random.Random(seed)
    shapes = ((64, 448), (48, 128), (32, 192), (64, 256))
    rows, stores = [], []
    shared = max(1, hosts // 100)
    stores += [
        {
            "id": f"shared-{number}",
            "name": f"shared-{number}",
            "type": "SHARED_VMFS",
            "tags": ["SHARED_VMFS"],
            "capacity": 1 << 50,
            "used": rng.randrange(1 << 45),
            "usable_for_vms": True,
        }
        for number in range(shared)
    ]
    for number in range(hosts):
        cores, memory = shapes[rng.randrange(len(shapes))]
        zone = number % zones
        local = f"local-{number}"
        stores.append(
            {
                "id": local,
                "name": local,
                "type": "LOCAL_VMFS",
                "tags": ["LOCAL_VMFS"],
                "capacity": 16 << 40,
                "used": rng.randrange(1 << 41),
                "usable_for_vms": True,
            }
        )
        rows.append(
            {
                "id": f"host-{number}",
                "name": f"esx{number:05}",
                "zone": f"z{zone}",
                "rack": f"r{zone}-{number // zones // 16}",
                "state": "READY" if number % 97 else "MAINTENANCE",
                "usage_tags": ["CLOUD"] if number % 50 else ["MGMT"],
                "tags": ["ssd", "gen3"] if number // zones % 4 else ["gen2"],
                "vcpus": cores,
                "cpu_overcommit": 1.0,
                "memory": memory * GB,
                "memory_overcommit": 1.0,
                "used_vcpus": rng.randrange(5),
                "used_memory": rng.randrange(9) * GB,
                "reserved_vcpus": 1,
                "reserved_memory": 2 * GB,
                "datastores": [local, f"shared-{(number // zones) % shared}"],
                "port_groups": ["vm-network", "dmz"] if number // zones % 3 else ["vm-network"],
                "cluster": None,
                "drs": False,
                "endpoint": f"vc{zone}",
                "generation": 1,
            }
        )
    return {
        "hosts": rows,
        "datastores": stores,
        "zones": [
            {"name": f"z{n}", "state": "READY", "dedicated_tenants": ["bank"] if n == zones - 1 else []}
            for n in range(zones)
        ],
        "images": {"debian": [store["id"] for number, store in enumerate(stores) if number % 20]},
        "vms": [],
    }


def constrained(rows: list[dict[str, Any]], zones: int = 8) -> list[dict[str, Any]]:
    """The rows as requests with every kind of constraint; VMs of one batch of 2 to 64 are kept on different hosts.

    Of the other VMs, some batches spread over racks or zones, some stay in one rack, some prefer to stay apart.
    """
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row["batch"]] = sizes.get(row["batch"], 0) + 1
    requests = []
    for number, row in enumerate(rows):
        batch = int(row["batch"])
        zone = batch % zones
        request: dict[str, Any] = {
            "id": f"vm-{number}",
            "vcpus": row["vcpus"],
            "memory": row["memory"],
            "zone": f"z{zone}",
            "tenant": "bank" if zone == zones - 1 else "acme",
            "image": "debian",
            "usage": "CLOUD",
            "host_tags": ["ssd"] if batch % 3 == 0 else [],
            "port_groups": ["dmz"] if batch % 5 == 0 else ["vm-network"],
            "disks": [
                {
                    "flavor": "core-100",
                    "capacity": (20 + 10 * row["vcpus"]) * GB,
                    "boot": True,
                    "tags": ["SHARED_VMFS"] if batch % 7 == 0 else [],
                }
            ],
        }
        size = sizes[row["batch"]]
        if 2 <= size <= 64:
            kind = batch % 50
            group = {"name": f"batch-{batch}", "kind": "anti-affinity", "level": "host", "hard": True}
            if kind == 1:
                request.update(spread_over="rack", spread_group=f"batch-{batch}")
            elif kind == 2:
                request.update(spread_over="zone", spread_group=f"batch-{batch}", max_skew=1)
                del request["zone"]
            elif kind == 3 and size <= 8:
                request["groups"] = [{**group, "kind": "affinity", "level": "rack"}]
            elif kind == 4:
                request["groups"] = [{**group, "level": "rack", "hard": False}]
            elif batch % 2:
                request["groups"] = [group]
        requests.append(request)
    return requests
