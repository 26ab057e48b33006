"""Affinity groups as wholes, further attempts, determinism, and the package's structure."""

from __future__ import annotations

import ast
import json
import pathlib
import random
import subprocess
import sys

import pytest
from ansible_collections.photon.platform.plugins.module_utils import scheduler
from ansible_collections.photon.platform.plugins.module_utils.scheduler import place

from tests.support.validity import violations


def sequence(seed):
    """A fleet in racks, cut into VMs that fill 70 to 97 % of it: affinity groups inside racks, anti-affinity groups,
    fault domains and single VMs, in random order."""
    rng = random.Random(seed)
    racks, fill = rng.randint(3, 10), rng.uniform(0.7, 0.97)
    hosts, requests = [], []
    for rack in range(racks):
        hosts += [
            {"id": f"h{rack}-{n}", "rack": f"r{rack}", "vcpus": 32, "cpu_overcommit": 1.0, "memory": 128}
            for n in range(rng.randint(2, 6))
        ]
    room = sum(host["vcpus"] for host in hosts) * fill
    largest = max(
        8, int(32 * max(sum(h["rack"] == f"r{n}" for h in hosts) for n in range(racks)) * rng.uniform(0.3, 0.9))
    )
    while room > 0:
        kind, size = rng.choice(("affinity", "affinity", "anti-affinity", "fault_domain", "single")), 0
        budget = rng.randint(4, largest) if kind == "affinity" else rng.randint(2, 16)
        name = f"g{len(requests)}"
        while size < budget and room > 0:
            vcpus = rng.choice((1, 2, 2, 4, 4, 8))
            request = {"id": f"vm{len(requests)}", "vcpus": vcpus, "memory": vcpus * rng.choice((2, 4))}
            if kind == "affinity":
                request["groups"] = [{"name": name, "kind": kind, "level": "rack"}]
            elif kind == "anti-affinity" and size // 2 < len(hosts) // 2:
                request["groups"] = [{"name": name, "kind": kind, "level": "host"}]
            elif kind == "fault_domain":
                request.update(spread_over="rack", spread_group=name)
            requests.append(request)
            size, room = size + vcpus, room - vcpus
    rng.shuffle(requests)
    return requests, {"hosts": hosts}


def simple_greedy(requests, fleet):
    """Affinity groups first, largest first, in the first rack that takes them; then the others; first fit. The number
    of VMs without a place."""
    free = {host["id"]: [host["vcpus"], host["memory"]] for host in fleet["hosts"]}
    racks: dict[str, list[str]] = {}
    for host in fleet["hosts"]:
        racks.setdefault(host["rack"], []).append(host["id"])
    wholes: dict[str, list[dict]] = {}
    taken: dict[str, set[str]] = {}
    others = []
    for request in requests:
        group = (request.get("groups") or [None])[0]
        if group and group["kind"] == "affinity":
            wholes.setdefault(group["name"], []).append(request)
        else:
            others.append((request, taken.setdefault(group["name"], set()) if group else set()))

    def put(request, names, avoid=()):
        for name in names:
            if name not in avoid and free[name][0] >= request["vcpus"] and free[name][1] >= request["memory"]:
                free[name][0] -= request["vcpus"]
                free[name][1] -= request["memory"]
                return name
        return None

    missing = 0
    for members in sorted(wholes.values(), key=lambda rows: -sum(row["vcpus"] for row in rows)):
        members.sort(key=lambda row: -row["vcpus"])
        for names in racks.values():
            saved = {name: list(room) for name, room in free.items()}
            if all(put(member, names) for member in members):
                break
            free.update(saved)
        else:
            missing += len(members)
    for request, avoid in others:
        name = put(request, free, avoid)
        missing += name is None
        avoid.add(name)
    return missing


@pytest.mark.parametrize("policy", ["pack", "spread"])
@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 60, 20)], ids=lambda seeds: seeds[0])
def test_places_all_where_a_simple_greedy_does(policy, seeds):
    compared = 0
    for seed in seeds:
        requests, fleet = sequence(seed)
        result = place(requests, fleet, policy=policy)
        assert violations(requests, fleet, result) == []
        if simple_greedy(requests, fleet) == 0:
            compared += 1
            assert not result["unplaced"], seed
    assert compared >= 5


def hosts(*vcpus, racks=None):
    return {
        "hosts": [
            {"id": f"h{n}", "rack": racks[n] if racks else None, "vcpus": size, "cpu_overcommit": 1.0, "memory": 100}
            for n, size in enumerate(vcpus)
        ]
    }


def affine(name, group, vcpus=1, level="rack", **changes):
    return {
        "id": name,
        "vcpus": vcpus,
        "memory": 1,
        "groups": [{"name": group, "kind": "affinity", "level": level}],
        **changes,
    }


@pytest.mark.parametrize("policy", ["pack", "spread"])
def test_a_group_gets_the_only_rack_that_holds_it_whatever_comes_first(policy):
    fleet = hosts(4, 4, 6, 6, racks=["a", "a", "b", "b"])
    requests = [{"id": f"s{n}", "vcpus": 1, "memory": 1} for n in range(7)]
    requests += [affine(f"m{n}", "g", 2) for n in range(5)]
    result = place(requests, fleet, policy=policy)
    assert violations(requests, fleet, result) == []
    assert {row["rack"] for row in result["placements"] if row["request"].startswith("m")} == {"b"}
    assert not result["unplaced"]


def test_groups_that_share_a_member_are_placed_together():
    fleet = hosts(4, 4, 4, 4, racks=["a", "a", "b", "b"])
    shared = affine("both", "g1")
    shared["groups"] = [*shared["groups"], {"name": "g2", "kind": "affinity", "level": "rack"}]
    requests = [affine("one", "g1", 3), affine("two", "g2", 3), shared]
    result = place(requests, fleet)
    assert not result["unplaced"]
    assert len({row["rack"] for row in result["placements"]}) == 1


def test_what_fits_of_a_group_too_large_for_any_rack_is_placed_in_the_largest():
    fleet = hosts(2, 4, 3, racks=["a", "b", "c"])
    requests = [affine(f"m{n}", "g") for n in range(6)]
    result = place(requests, fleet)
    assert {row["host"] for row in result["placements"]} == {"h1"}
    assert [row["request"] for row in result["unplaced"]] == ["m4", "m5"]
    assert result["unplaced"][0]["eliminated"] == [["cpu", 1], ["affinity", 2]]


def test_a_further_attempt_takes_no_place_from_an_earlier_request():
    fleet = hosts(4, 2)
    requests = [{"id": f"s{n}", "vcpus": 1, "memory": 1} for n in range(4)]
    requests += [{"id": "large", "vcpus": 4, "memory": 1}, {"id": "huge", "vcpus": 5, "memory": 1}]
    result = place(requests, fleet)
    assert {row["request"] for row in result["unplaced"]} == {"large", "huge"}
    assert {row["request"] for row in place(requests[2:], fleet)["unplaced"]} == {"huge"}


def test_the_answer_does_not_depend_on_the_hash_seed(tmp_path):
    requests, fleet = sequence(3)
    for number, request in enumerate(requests):
        if "groups" not in request and "spread_over" not in request:
            request["groups"] = [{"name": f"s{number % 7}", "kind": "anti-affinity", "level": "rack", "hard": False}]
    (tmp_path / "data.json").write_text(json.dumps([requests, fleet]))
    code = (
        "import json, sys;"
        "from ansible_collections.photon.platform.plugins.module_utils.scheduler import place;"
        "data = json.load(open(sys.argv[1]));"
        "print(json.dumps([place(*data, policy=name) for name in ('pack', 'spread', 'photon')]))"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / "data.json"],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1


def test_no_import_cycles():
    """Not even one that only type checkers see: the files can be read in one order."""
    files = {
        path.stem: path for path in pathlib.Path(scheduler.__file__).parent.glob("*.py") if path.stem != "__init__"
    }
    left = {
        name: {
            node.module
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module in files
        }
        for name, path in files.items()
    }
    while left:
        ready = [name for name, needs in left.items() if not needs & left.keys()]
        assert ready, f"a cycle among {sorted(left)}"
        for name in ready:
            del left[name]
