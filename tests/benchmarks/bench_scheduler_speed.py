"""How fast place is: 100,000 VMs on 10,000 hosts in 8 zones with all constraints; growth, memory, a single VM."""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.scheduler import place

from tests.support import workloads
from tests.support.validity import violations

VMS, HOSTS, ZONES = 100_000, 10_000, 8
MEMORY = """
import json, resource, sys
from ansible_collections.photon.platform.plugins.module_utils.scheduler import place
requests, fleet = json.load(sys.stdin)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
place(requests, fleet)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def run(context: Any) -> dict[str, float]:
    rows, source = trace(context, VMS)
    requests, fleet = workloads.constrained(rows), workloads.big_fleet(HOSTS, ZONES)
    print(f"{source}: {len(requests):,} VMs, {HOSTS:,} hosts, {ZONES} zones, every kind of constraint, one process")
    kinds = {
        "groups": sum(bool(request.get("groups")) for request in requests),
        "spread over racks or zones": sum("spread_over" in request for request in requests),
        "host tags": sum(bool(request["host_tags"]) for request in requests),
        "datastore tags": sum(bool(request["disks"][0]["tags"]) for request in requests),
    }
    print(", ".join(f"{number:,} with {name}" for name, number in kinds.items()))
    figures: dict[str, float] = {}
    table = []
    for policy in ("spread", "pack"):
        runs, result = [], {}
        for _time in range(5):
            result = {}  # the last answer is given back before the clock starts: that is no part of the next call
            wall, cpu = time.perf_counter(), time.process_time()
            result = place(requests, fleet, policy=policy)
            runs.append((time.perf_counter() - wall, time.process_time() - cpu))
        wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        broken = len(violations(requests, fleet, result))
        table.append([policy, VMS / wall, VMS / cpu, min(run[0] for run in runs), len(result["unplaced"]), broken])
        if broken:
            raise RuntimeError(f"{policy}: {broken} rules are broken")
        figures[f"place_per_s_{policy}"] = VMS / wall
        figures[f"place_per_cpu_s_{policy}"] = VMS / cpu
    context.table(["policy", "placements/s", "per CPU s", "best run s", "unplaced", "rules broken"], table)
    figures |= growth(context, requests)
    cold = 1000 * context.time(place, requests[:1], fleet, repeat=5).seconds
    print(f"one VM in a call of its own, which reads the fleet: {cold:.0f} ms")
    return figures | {"place_one_cold_ms": cold}


def growth(context: Any, requests: list[dict[str, Any]]) -> dict[str, float]:
    table = []
    for hosts in (100, 1_000, 10_000):
        some, fleet = requests[: hosts * 10], workloads.big_fleet(hosts, ZONES)
        seconds = {policy: context.time(place, some, fleet, repeat=3).seconds for policy in ("spread",)}
        pack = context.time(lambda some=some, fleet=fleet: place(some, fleet, policy="pack"), repeat=3).seconds
        table.append([hosts, len(some), len(some) / seconds["spread"], len(some) / pack])
    print("growth:")
    context.table(["hosts", "VMs", "spread/s", "pack/s"], table)
    import json
    import subprocess

    text = json.dumps([requests, workloads.big_fleet(HOSTS, ZONES)])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        input=text,
        text=True,
        capture_output=True,
        check=True,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        cwd=context.root,
    )
    print(f"peak memory of a process with requests, fleet and answer: {float(done.stdout):,.0f} MiB")
    return {"place_100k_peak_mb": float(done.stdout)}


def trace(context: Any, count: int) -> tuple[list[dict[str, Any]], str]:
    """The trace's rows and "trace", or synthetic ones where there is no trace."""
    try:
        return workloads.azure(context.data("azure_v1_dev_100k.csv.gz"), count), "trace"
    except FileNotFoundError as problem:
        print(problem)
        return workloads.synthetic(count), "synthetic"
