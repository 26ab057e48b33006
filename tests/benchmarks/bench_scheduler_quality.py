"""How tight place packs: over the proven bound on the trace, against an exact solver, and on sequences with groups."""

from __future__ import annotations

import csv
import gzip
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.scheduler import place

from tests.benchmarks.bench_scheduler_speed import trace
from tests.support import oracle, workloads
from tests.support.validity import violations

GB = workloads.GB
SHAPES = {"64/448": (64, 448), "48/128": (48, 128), "32/192": (32, 192)}
SHARES = (0.5, 0.3, 0.2)
# Capacity per core and need per VM, in GB: the third dimension is a disk, the fourth a second disk on a flash
# datastore.
DERIVED = ((100, lambda vcpus: 32 + 64 * vcpus, "disk"), (30, lambda vcpus: 24 * vcpus, "flash"))
CASES = 240


def run(context: Any) -> dict[str, float]:
    return on_the_trace(context) | against_the_oracle(context) | on_sequences(context)


def on_the_trace(context: Any) -> dict[str, float]:
    print("derived dimensions: disk 32 + 64 x vCPUs GB of 100 GB per core, flash 24 x vCPUs GB of 30 GB per core")
    table, gaps = [], []
    for count in (20_000, 100_000):
        rows, source = trace(context, count)
        for dimensions in (2, 3, 4):
            requests = as_requests(rows, dimensions)
            for name, fleet in fleets(rows, dimensions).items():
                started = time.perf_counter()
                result = place(requests, fleet, policy="pack", quality="optimal")
                seconds = time.perf_counter() - started
                broken = violations(requests, fleet, result)
                if broken or result["unplaced"]:
                    raise RuntimeError(f"{name}: {len(broken)} rules broken, {len(result['unplaced'])} unplaced")
                summary = result["summary"]
                bound, hosts = summary["bound"], summary["hosts_opened"]
                gap = 0.0 if hosts - bound <= 1 else 100 * (hosts - bound) / bound
                if source == "trace":
                    gaps.append(gap)
                label = source if dimensions == 2 else f"{source}+derived"
                peers = naive(rows, fleet, dimensions)
                table.append(
                    [
                        label,
                        f"{count // 1000}k",
                        dimensions,
                        name,
                        bound,
                        hosts,
                        gap,
                        seconds,
                        summary["fallback"] or "no",
                        *peers,
                    ]
                )
    context.table(
        ["data", "VMs", "dimensions", "fleet", "bound", "hosts", "gap %", "s", "fallback", "FFD", "dot product", "L2"],
        table,
    )
    return {"pack_gap_max_pct": max(gaps)} if gaps else {}


def as_requests(rows: list[dict[str, Any]], dimensions: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"vm-{number}",
            "vcpus": row["vcpus"],
            "memory": row["memory"],
            "disks": [
                {"capacity": need(row["vcpus"]) * GB, "tags": [tag]}
                for _per_core, need, tag in DERIVED[: dimensions - 2]
            ],
        }
        for number, row in enumerate(rows)
    ]


def fleets(rows: list[dict[str, Any]], dimensions: int) -> dict[str, dict[str, Any]]:
    """Enough hosts of one shape, and a finite mix of the three with 1.3 times what is asked for."""
    found = {
        name: hosts_of([(shape, 2 * needed(rows, [shape], (1,), dimensions) + 10)], dimensions)
        for name, shape in SHAPES.items()
    }
    total = 1.3 * needed(rows, list(SHAPES.values()), SHARES, dimensions)
    found["mixed"] = hosts_of(
        [(shape, int(total * share)) for shape, share in zip(SHAPES.values(), SHARES, strict=True)], dimensions
    )
    return found


def needed(
    rows: list[dict[str, Any]], shapes: Sequence[tuple[int, int]], shares: Sequence[float], dimensions: int
) -> int:
    """Hosts of a mix that hold the sum of what is asked for."""
    pairs = list(zip(shapes, shares, strict=True))
    cores = sum(shape[0] * share for shape, share in pairs)
    asked = [sum(row["vcpus"] for row in rows) / cores]
    asked.append(sum(row["memory"] for row in rows) / GB / sum(shape[1] * share for shape, share in pairs))
    asked += [sum(need(row["vcpus"]) for row in rows) / (per * cores) for per, need, _tag in DERIVED[: dimensions - 2]]
    return int(max(asked)) + 1


def hosts_of(groups: list[tuple[tuple[int, int], int]], dimensions: int) -> dict[str, Any]:
    hosts, stores = [], []
    for kind, ((cores, memory), count) in enumerate(groups):
        for number in range(count):
            name = f"h{kind}-{number}"
            mine = []
            for per_core, _need, tag in DERIVED[: dimensions - 2]:
                stores.append({"id": f"{name}-{tag}", "tags": [tag], "capacity": per_core * cores * GB, "used": 0})
                mine.append(f"{name}-{tag}")
            hosts.append({"id": name, "vcpus": cores, "cpu_overcommit": 1.0, "memory": memory * GB, "datastores": mine})
    return {"hosts": hosts, "datastores": stores}


def naive(rows: list[dict[str, Any]], fleet: dict[str, Any], dimensions: int) -> list[int]:
    """Hosts used by first-fit decreasing, dot product and L2 greedy on the same fleet, in its order."""
    kinds = Counter((row["vcpus"], row["memory"]) for row in rows)
    needs = {k: (k[0], k[1] / GB, *[need(k[0]) for _p, need, _t in DERIVED[: dimensions - 2]]) for k in kinds}
    rooms = [
        (h["vcpus"], h["memory"] / GB, *[per * h["vcpus"] for per, _need, _tag in DERIVED[: dimensions - 2]])
        for h in fleet["hosts"]
    ]
    top = [max(column) for column in zip(*rooms, strict=True)]
    totals = [sum(needs[k][d] * n for k, n in kinds.items()) / top[d] for d in range(len(top))]
    weights = [total / sum(totals) for total in totals]

    def dot(need: Sequence[float], room: Sequence[float]) -> float:
        return sum(w * n / t * r / t for w, n, r, t in zip(weights, need, room, top, strict=True))

    def distance(need: Sequence[float], room: Sequence[float]) -> float:
        return -sum(w * ((r - n) / t) ** 2 for w, n, r, t in zip(weights, need, room, top, strict=True))

    return [first_fit(kinds, needs, rooms, top), fill(kinds, needs, rooms, dot), fill(kinds, needs, rooms, distance)]


def fill(kinds: Counter, needs: dict, rooms: list, worth: Callable[..., float]) -> int:
    """Host after host takes the VM worth most until none fits."""
    left, used, known = Counter(kinds), 0, {}
    for room in rooms:
        if not sum(left.values()):
            return used
        mix = known.get(room)
        if mix is None or any(left[kind] < n for kind, n in mix.items()):
            mix, free = Counter(), list(room)
            while True:
                fitting = [
                    k
                    for k, n in left.items()
                    if n > mix[k] and all(a <= b for a, b in zip(needs[k], free, strict=True))
                ]
                if not fitting:
                    break
                best = max(fitting, key=lambda k: worth(needs[k], free))
                mix[best] += 1
                free = [b - a for a, b in zip(needs[best], free, strict=True)]
            known[room] = mix
        if mix:
            used += 1
            left -= mix
    return used


def first_fit(kinds: Counter, needs: dict, rooms: list, top: Sequence[float]) -> int:
    free, used = [list(room) for room in rooms], set()
    for kind in sorted(kinds, key=lambda k: -max(n / t for n, t in zip(needs[k], top, strict=True))):
        first, need = 0, needs[kind]
        for _time in range(kinds[kind]):
            while not all(n <= f for n, f in zip(need, free[first], strict=True)):
                first += 1
            free[first] = [f - n for n, f in zip(need, free[first], strict=True)]
            used.add(first)
    return len(used)


def against_the_oracle(context: Any) -> dict[str, float]:
    mismatches, gaps, impossible, missed = 0, [], 0, 0
    decisive: Counter[str] = Counter()
    for seed in range(CASES):
        case = oracle.case(seed)
        fewest = oracle.solve(case)
        result = place(case["requests"], case["fleet"], policy="pack", quality="optimal")
        if violations(case["requests"], case["fleet"], result):
            raise RuntimeError(f"case {seed}: a rule is broken")
        mismatches += (not result["unplaced"]) != (fewest is not None)
        if fewest is None:
            impossible += 1
            decisive.update(oracle.decisive(case))
            continue
        missed += bool(place(case["requests"], case["fleet"], policy="pack")["unplaced"])
        if not result["unplaced"]:
            gaps.append(100 * (result["summary"]["hosts_opened"] - fewest) / fewest)
    gaps.sort()
    context.table(
        ["cases", "impossible %", *decisive, "mismatches", "gap p50 %", "p95", "max", "missed at normal quality"],
        [
            [
                CASES,
                100 * impossible / CASES,
                *decisive.values(),
                mismatches,
                statistics.median(gaps),
                gaps[len(gaps) * 95 // 100],
                gaps[-1],
                missed,
            ]
        ],
    )
    return {"cpsat_feasible_mismatches": mismatches, "cpsat_gap_max_pct": gaps[-1]}


def on_sequences(context: Any) -> dict[str, float]:
    try:
        hosts = sequence_hosts(context)
        names = [context.data(f"huawei_vm_{name}.csv.gz") for name in ("C1", "C2", "C3", "C4")]
    except FileNotFoundError as problem:
        print(problem)
        return {}
    print("affinity: one rack; anti-affinity: different hosts; fault_domain: even over racks")
    table, figures = [], {}
    for path in names:
        with gzip.open(path, "rt") as lines:
            requests = [sequence_request(number, row) for number, row in enumerate(csv.DictReader(lines))]
        fleet = {"hosts": hosts, "datastores": []}
        shares = []
        for policy in ("pack", "spread", "photon"):
            result = place(requests, fleet, policy=policy)
            if violations(requests, fleet, result):
                raise RuntimeError(f"{path.name}: a rule is broken")
            shares.append(100 * len(result["placements"]) / len(requests))
        greedy = 100 * naive_sequence(requests, hosts) / len(requests)
        label = path.name.removeprefix("huawei_vm_").removesuffix(".csv.gz")
        table.append([label, len(requests), *shares, greedy])
        figures[f"huawei_{label.lower()}_placed_pct"] = min(shares[:2])  # photon samples
        figures[f"huawei_{label.lower()}_naive_pct"] = greedy
    context.table(["sequence", "VMs", "placed by pack %", "by spread %", "by photon %", "naive greedy %"], table)
    return figures


def sequence_hosts(context: Any) -> list[dict[str, Any]]:
    with gzip.open(context.data("huawei_topology.csv.gz"), "rt") as lines:
        racks = {row["host_id"]: row["rack_id"] for row in csv.DictReader(lines)}
    with gzip.open(context.data("huawei_hosts.csv.gz"), "rt") as lines:
        return [
            {
                "id": f"host-{number}",
                "rack": racks[f"host-{number}"],
                "vcpus": int(row["CPU1"]) + int(row["CPU2"]),
                "cpu_overcommit": 1.0,
                "memory": int(row["RAM1"]) + int(row["RAM2"]),
            }
            for number, row in enumerate(csv.DictReader(lines))
        ]


def sequence_request(number: int, row: dict[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {
        "id": f"vm-{number}",
        "vcpus": int(row["flavor_vcpus"]),
        "memory": int(row["flavor_ram"]),
    }
    group = f"{row['strategy']}-{row['group']}"
    if row["strategy"] == "affinity":
        request["groups"] = [{"name": group, "kind": "affinity", "level": "rack", "hard": True}]
    elif row["strategy"] == "anti-affinity":
        request["groups"] = [{"name": group, "kind": "anti-affinity", "level": "host", "hard": True}]
    elif row["strategy"] == "fault_domain":
        request.update(spread_over="rack", spread_group=group)
    return request


def naive_sequence(requests: list[dict[str, Any]], hosts: list[dict[str, Any]]) -> int:
    """First host in order that fits and breaks no rule of the members before; fault domains as they come."""
    free = [[host["vcpus"], host["memory"]] for host in hosts]
    members: dict[str, list[int]] = {}
    placed = 0
    for request in requests:
        group = (request.get("groups") or [None])[0]
        there = members.setdefault(group["name"], []) if group else []
        for number, room in enumerate(free):
            if room[0] < request["vcpus"] or room[1] < request["memory"]:
                continue
            if group and there:
                if group["kind"] == "anti-affinity" and number in there:
                    continue
                if group["kind"] == "affinity" and hosts[number]["rack"] != hosts[there[0]]["rack"]:
                    continue
            room[0] -= request["vcpus"]
            room[1] -= request["memory"]
            there.append(number)
            placed += 1
            break
    return placed
