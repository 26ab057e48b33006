"""quality: optimal against an exact solver and against known bounds; its fallbacks."""

from __future__ import annotations

import builtins

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.scheduler import exact, place, solver

from tests.support import oracle
from tests.support.validity import violations

pytest.importorskip("highspy", reason="highspy is not installed: quality optimal is NOT tested here")


def uniform(count, cpu=48, memory=128, **changes):
    return {
        "hosts": [
            {"id": f"h{n}", "vcpus": cpu, "cpu_overcommit": 1.0, "memory": memory, **changes} for n in range(count)
        ]
    }


def mixed(count):
    sizes = ((30, 30), (18, 98), (16, 20), (7, 50), (5, 9))
    return [{"id": f"vm{n}", "vcpus": sizes[n % 5][0], "memory": sizes[n % 5][1]} for n in range(count)]


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 60, 10)], ids=lambda seeds: seeds[0])
def test_feasible_exactly_where_an_exact_solver_says_so(seeds):
    pytest.importorskip("ortools", reason="ortools is not installed: NOT compared with an exact solver here")
    for seed in seeds:
        case = oracle.case(seed)
        fewest = oracle.solve(case)
        result = place(case["requests"], case["fleet"], policy="pack", quality="optimal")
        assert violations(case["requests"], case["fleet"], result) == []
        assert (not result["unplaced"]) == (fewest is not None), seed
        if fewest is not None:
            assert result["summary"]["hosts_opened"] == fewest == result["summary"]["bound"], seed


def test_patterns_beat_the_quick_method_and_prove_it(monkeypatch):
    monkeypatch.setattr(exact, "MAX_VMS", 0)
    requests, fleet = mixed(300), uniform(300)
    quick = place(requests, fleet, policy="pack")["summary"]
    result = place(requests, fleet, policy="pack", quality="optimal")
    summary = result["summary"]
    assert violations(requests, fleet, result) == []
    assert summary["method"] == "patterns"
    assert summary["bound"] <= summary["hosts_opened"] <= summary["bound"] + 1
    assert summary["hosts_opened"] < quick["hosts_opened"]
    assert summary["gap_percent"] <= 1
    assert summary["fallback"] is None


def test_patterns_keep_groups_apart_and_bound_by_the_largest(monkeypatch):
    monkeypatch.setattr(exact, "MAX_VMS", 0)
    group = {"name": "g", "kind": "anti-affinity", "level": "host", "hard": True}
    requests = [{"id": f"vm{n}", "vcpus": 1, "memory": 1, "groups": [group] if n % 2 else []} for n in range(60)]
    fleet = uniform(40)
    result = place(requests, fleet, policy="pack", quality="optimal")
    assert violations(requests, fleet, result) == []
    assert (result["summary"]["hosts_opened"], result["summary"]["bound"]) == (30, 30)


def test_hosts_in_use_cost_nothing(monkeypatch):
    monkeypatch.setattr(exact, "MAX_VMS", 0)
    fleet = uniform(10)
    for host in fleet["hosts"][:3]:
        host.update(used_vcpus=8, used_memory=8)
    requests = [{"id": f"vm{n}", "vcpus": 10, "memory": 10} for n in range(14)]
    summary = place(requests, fleet, policy="pack", quality="optimal")["summary"]
    assert (summary["hosts_opened"], summary["bound"], summary["gap_percent"]) == (1, 1, 0.0)


def test_an_overfull_datastore_does_not_hide_the_others():
    stores = [{"id": "full", "capacity": 10, "used": 20}, {"id": "free", "capacity": 10, "used": 0}]
    fleet = {**uniform(1, datastores=["full", "free"]), "datastores": stores}
    result = place(
        [{"id": "vm", "vcpus": 1, "memory": 1, "disks": [{"capacity": 5}]}], fleet, policy="pack", quality="optimal"
    )
    assert [row["datastores"] for row in result["placements"]] == [["free"]]
    assert (result["summary"]["method"], result["summary"]["bound"]) == ("exact", 1)


def test_a_spent_budget_is_said(monkeypatch):
    monkeypatch.setattr(exact, "MAX_VMS", 0)
    monkeypatch.setattr(solver.Budget, "spent", property(lambda _self: True))
    result = place(mixed(300), uniform(300), policy="pack", quality="optimal", time_budget=0.001)
    assert "time budget of 0.001 s was spent" in result["summary"]["fallback"]
    assert not result["unplaced"]
    assert result["summary"]["bound"] <= result["summary"]["hosts_opened"]


def test_a_varied_fleet_is_packed_in_classes(monkeypatch):
    monkeypatch.setattr(exact, "MAX_VMS", 0)
    fleet = {"hosts": [host for n in range(92) for host in uniform(1, 40 + n, 100 + n, id=f"h{n}")["hosts"]]}
    requests = mixed(150)
    summary = place(requests, fleet, policy="pack", quality="optimal")["summary"]
    assert summary["fallback"] is None
    assert summary["method"] == "patterns"
    assert (
        0
        < summary["bound"]
        <= summary["hosts_opened"]
        <= place(requests, fleet, policy="pack")["summary"]["hosts_opened"]
    )


def test_other_policies_find_what_the_quick_method_misses():
    requests = [{"id": f"a{n}", "vcpus": 1, "memory": 6} for n in range(2)]
    requests += [{"id": f"b{n}", "vcpus": 1, "memory": 4} for n in range(3)]
    fleet = uniform(2, 48, 12)
    result = place(requests, fleet, policy="spread", quality="optimal")
    assert not result["unplaced"]
    assert violations(requests, fleet, result) == []


def test_without_the_library_the_error_names_it(monkeypatch):
    def refuse(name, *arguments, **options):
        if name == "highspy":
            raise ImportError(name)
        return original(name, *arguments, **options)

    original = builtins.__import__
    monkeypatch.setattr(solver, "_highspy", None)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(PhotonError, match="pip install highspy") as caught:
        place(mixed(1), uniform(1), policy="pack", quality="optimal")
    assert caught.value.code == "MissingLibrary"


def test_the_library_says_nothing_on_standard_output():
    import subprocess
    import sys

    code = (
        "from ansible_collections.photon.platform.plugins.module_utils.scheduler.solver import highs;"
        "h = highs(); h.addCol(1.0, 0, 1, 0, [], []); h.run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout == ""


def test_nothing_asked_for_is_nothing_opened():
    assert place([], uniform(1), policy="pack", quality="optimal")["summary"]["hosts_opened"] == 0
