"""Arrivals and departures of the trace: host-hours of each policy over the bound, beside first fit, best fit, 4
samples."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.scheduler import place

from tests.benchmarks.bench_scheduler_speed import trace
from tests.support import workloads

GB = workloads.GB
CORES, MEMORY, BIN = 64, 448 * GB, 300
Vms = list[tuple[str, int, int, int]]  # id, vcpus, memory, bin in which it leaves
Arrivals = dict[int, Vms]
Peer = Callable[[list[list[int]], tuple[int, int], random.Random], int | None]


def run(context: Any) -> dict[str, float]:
    rows, source = trace(context, 100_000)
    print(f"{source}+derived: hosts of 64 cores / 448 GB; a VM of duration bin k lives 300 s x 1.3^k")
    hosts, bound, arrivals = prepare(rows)
    table, figures = [], {}
    for policy in ("spread", "pack", "photon"):
        hours = simulate(arrivals, hosts, lambda state, batch, policy=policy: by_place(state, batch, policy))
        figures[f"online_{policy}_over_bound_pct"] = 100 * (hours / bound - 1)
        table.append([policy, hours, figures[f"online_{policy}_over_bound_pct"]])
    for name, peer in (("first fit", first_fit), ("best fit", best_fit), ("4-host sample", sample)):
        rng = random.Random(1)
        hours = simulate(arrivals, hosts, lambda state, batch, peer=peer, rng=rng: by_peer(state, batch, peer, rng))
        table.append([name, hours, 100 * (hours / bound - 1)])
    context.table(["placer", "host-hours", "over the bound %"], table)
    return figures


def prepare(rows: list[dict[str, Any]]) -> tuple[int, float, Arrivals]:
    """(hosts of a fleet that is 1.3 times the peak, bound in host-hours, arrivals by bin: (id, vcpus, memory, end
    bin))."""
    start = rows[0]["time"]
    arrivals: Arrivals = {}
    for number, row in enumerate(rows):
        now = (row["time"] - start) // BIN
        life = max(1, round(1.3 ** int(row["duration"][1:])))
        arrivals.setdefault(now, []).append((f"vm-{number}", row["vcpus"], row["memory"], now + life))
    last = max(arrivals)
    cpu, memory = [0] * (last + 2), [0] * (last + 2)
    for now, batch in arrivals.items():
        for _name, vcpus, size, end in batch:
            for column, need in ((cpu, vcpus), (memory, size)):
                column[now] += need
                column[min(end, last + 1)] -= need
    used_cpu = used_memory = peak = 0
    bound = 0.0
    for now in range(last + 1):
        used_cpu, used_memory = used_cpu + cpu[now], used_memory + memory[now]
        hosts = max(-(-used_cpu // CORES), -(-used_memory // MEMORY))
        peak = max(peak, hosts)
        bound += hosts * BIN / 3600
    return int(1.3 * peak) + 1, bound, arrivals


def simulate(
    arrivals: dict[int, list[tuple[str, int, int, int]]], count: int, placer: Callable[..., dict[str, int]]
) -> float:
    """Host-hours: at the end of each bin every host that holds a VM counts."""
    free = [[CORES, MEMORY] for _host in range(count)]
    held = [0] * count
    leaving: list[tuple[int, int, int, int]] = []
    hours = 0.0
    for now in range(max(arrivals) + 1):
        while leaving and leaving[0][0] <= now:
            _end, host, vcpus, memory = heapq.heappop(leaving)
            free[host][0] += vcpus
            free[host][1] += memory
            held[host] -= 1
        batch = arrivals.get(now, [])
        if batch:
            places = placer(free, batch)
            for name, vcpus, memory, end in batch:
                if name not in places:
                    raise RuntimeError(f"{name} found no place")
                heapq.heappush(leaving, (end, places[name], vcpus, memory))
                held[places[name]] += 1
        hours += sum(n > 0 for n in held) * BIN / 3600
    return hours


def by_place(free: list[list[int]], batch: Vms, policy: str) -> dict[str, int]:
    fleet = {
        "hosts": [
            {
                "id": str(number),
                "vcpus": CORES,
                "cpu_overcommit": 1.0,
                "memory": MEMORY,
                "used_vcpus": CORES - room[0],
                "used_memory": MEMORY - room[1],
            }
            for number, room in enumerate(free)
        ]
    }
    result = place([{"id": row[0], "vcpus": row[1], "memory": row[2]} for row in batch], fleet, policy=policy)
    places = {row["request"]: int(row["host"]) for row in result["placements"]}
    for name, vcpus, memory, _end in batch:
        if name in places:
            free[places[name]][0] -= vcpus
            free[places[name]][1] -= memory
    return places


def by_peer(free: list[list[int]], batch: Vms, peer: Peer, rng: random.Random) -> dict[str, int]:
    places = {}
    for name, vcpus, memory, _end in batch:
        host = peer(free, (vcpus, memory), rng)
        if host is not None:
            free[host][0] -= vcpus
            free[host][1] -= memory
            places[name] = host
    return places


def first_fit(free: list[list[int]], need: tuple[int, int], _rng: random.Random) -> int | None:
    cpu, memory = need
    return next((host for host, room in enumerate(free) if room[0] >= cpu and room[1] >= memory), None)


def best_fit(free: list[list[int]], need: tuple[int, int], _rng: random.Random) -> int | None:
    fitting = [(room[0], room[1], host) for host, room in enumerate(free) if room[0] >= need[0] and room[1] >= need[1]]
    return min(fitting)[2] if fitting else None


def sample(free: list[list[int]], need: tuple[int, int], rng: random.Random) -> int | None:
    """Of four random hosts in use that fit the fullest; else the first that fits."""
    used = [host for host, room in enumerate(free) if room[0] < CORES]
    drawn = [
        host for host in rng.sample(used, min(4, len(used))) if free[host][0] >= need[0] and free[host][1] >= need[1]
    ]
    return min(drawn, key=lambda host: free[host]) if drawn else first_fit(free, need, rng)
