"""Small hard cases and an exact solver for them (OR-tools CP-SAT), to compare the scheduler's quality: optimal with."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

LEVELS = ("host", "rack", "zone")
KINDS = ("affinity", "anti-affinity")


def case(seed: int) -> dict[str, Any]:
    """``{"requests", "fleet", "fill"}``: hosts cut into VMs, so that without rules all VMs fit, then rules of one or
    both kinds: some groups follow the cut and can be kept, others are drawn at random and often cannot."""
    rng = random.Random(seed)
    hosts, pieces = [], []
    for number in range(rng.randint(4, 7)):
        cpu, memory = rng.choice(((8, 32), (12, 24), (16, 64)))
        hosts.append(
            {
                "id": f"h{number}",
                "zone": f"z{number % 2}",
                "rack": f"r{number % 4}",
                "vcpus": cpu,
                "cpu_overcommit": 1.0,
                "memory": memory,
                "memory_overcommit": 1.0,
            }
        )
        while cpu > 0 and memory > 0:
            take_cpu = min(cpu, rng.randint(1, 6))
            take_memory = min(memory, max(1, rng.choice((2, 3, 4)) * take_cpu))
            if cpu - take_cpu == 0:
                take_memory = memory
            pieces.append((take_cpu, take_memory, number))
            cpu, memory = cpu - take_cpu, memory - take_memory
    total = sum(host["memory"] for host in hosts)
    rng.shuffle(pieces)
    need = sum(piece[1] for piece in pieces)
    while len(pieces) > 4 and (need - pieces[-1][1]) / total >= 0.88:
        need -= pieces.pop()[1]
    requests = [
        {"id": f"vm{number}", "vcpus": cpu, "memory": memory, "groups": []}
        for number, (cpu, memory, _home) in enumerate(pieces)
    ]
    free = set(range(len(pieces)))
    kinds = [KINDS[seed % 2]] if rng.random() < 0.7 else list(KINDS)
    for number in range(rng.randint(2, 5)):
        kind, level = rng.choice(kinds), rng.choice(LEVELS)
        size = rng.randint(3, 5) if kind == "affinity" else rng.randint(2, {"host": 5, "rack": 4, "zone": 3}[level])
        members = _members(rng, kind, level, size, pieces, free, kept=rng.random() < 0.3)
        for member in members if len(members) > 1 else ():
            free.discard(member)
            requests[member]["groups"].append({"name": f"g{number}", "kind": kind, "level": level, "hard": True})
    return {"requests": requests, "fleet": {"hosts": hosts}, "fill": need / total}


def _members(
    rng: random.Random,
    kind: str,
    level: str,
    size: int,
    pieces: list[tuple[int, int, int]],
    free: set[int],
    *,
    kept: bool,
) -> list[int]:
    order = rng.sample(sorted(free), len(free))
    if not kept:
        return order[:size]
    value = {"host": lambda home: home, "rack": lambda home: home % 4, "zone": lambda home: home % 2}[level]
    chosen: list[int] = []
    for member in order:
        values = [value(pieces[other][2]) for other in chosen]
        mine = value(pieces[member][2])
        if len(chosen) < size and (not chosen or (mine in values) == (kind == "affinity")):
            chosen.append(member)
    return chosen


def solve(problem: Mapping[str, Any], without: str | None = None, seconds: float = 60.0) -> int | None:
    """The fewest hosts that take all VMs, or None where that is impossible; ``without`` leaves one kind of rule out."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    hosts, requests = problem["fleet"]["hosts"], problem["requests"]
    on = {(r, h): model.new_bool_var(f"{r}-{h}") for r in range(len(requests)) for h in range(len(hosts))}
    used = [model.new_bool_var(f"used-{h}") for h in range(len(hosts))]
    for r in range(len(requests)):
        model.add_exactly_one(on[r, h] for h in range(len(hosts)))
    for h, host in enumerate(hosts):
        for key in ("vcpus", "memory"):
            model.add(sum(request[key] * on[r, h] for r, request in enumerate(requests)) <= host[key] * used[h])
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for r, request in enumerate(requests):
        for group in request["groups"]:
            if group["kind"] != without:
                groups[group["name"], group["kind"], group["level"]].append(r)
    for (_name, kind, level), members in groups.items():
        places: dict[str, list[int]] = defaultdict(list)
        for h, host in enumerate(hosts):
            places[host["id"] if level == "host" else host[level]].append(h)
        if kind == "anti-affinity":
            for there in places.values():
                model.add(sum(on[r, h] for r in members for h in there) <= 1)
        else:
            for there in places.values():
                first = sum(on[members[0], h] for h in there)
                for other in members[1:]:
                    model.add(sum(on[other, h] for h in there) == first)
    model.minimize(sum(used))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 1
    solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return None
    if status != cp_model.OPTIMAL:
        raise TimeoutError("the exact solver found no proven answer in time")
    return round(solver.objective_value)


def decisive(problem: Mapping[str, Any]) -> set[str]:
    """For a case that is impossible: the kinds of rules without which it would be possible."""
    return {kind for kind in KINDS if solve(problem, without=kind) is not None}
