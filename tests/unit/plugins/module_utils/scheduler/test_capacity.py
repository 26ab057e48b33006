"""Capacity questions and replace: answers checked against what can be counted by hand."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.scheduler import (
    capacity,
    fits,
    headroom,
    host_scores,
    place,
    rebalance,
    replace,
    what_if,
)

GB = 1 << 30


def fleet(used=(1, 1, 1), **changes):
    """Three hosts of 4 vCPUs with as many VMs of one vCPU as `used` says; a local datastore each, and a shared one."""
    hosts, vms, stores = [], [], [{"id": "shared", "capacity": 100 * GB, "used": 0}]
    for number, count in enumerate(used):
        stores.append({"id": f"local{number}", "capacity": 50 * GB, "used": 0, "tags": ["fast"]})
        hosts.append(
            {
                "id": f"h{number}",
                "zone": "ab"[number % 2],
                "rack": f"r{number}",
                "vcpus": 4,
                "cpu_overcommit": 1.0,
                "memory": 8 * GB,
                "used_vcpus": count,
                "used_memory": count * GB,
                "datastores": ["shared", f"local{number}"],
            }
        )
        vms += [{"id": f"v{number}{n}", "host": f"h{number}", "vcpus": 1, "memory": GB} for n in range(count)]
    return {"hosts": hosts, "datastores": stores, "zones": [{"name": "a"}, {"name": "b"}], "vms": vms, **changes}


def test_fits_counts_per_zone_and_says_what_stops():
    found = fits([{"id": "small", "vcpus": 1, "memory": GB}, {"id": "wide", "vcpus": 1, "memory": 4 * GB}], fleet())
    assert found["small"] == {"zones": {"a": 6, "b": 3}, "total": 9, "limited_by": "cpu"}
    assert found["wide"] == {"zones": {"a": 2, "b": 1}, "total": 3, "limited_by": "memory"}


def test_fits_counts_disks_and_groups():
    disk = {"id": "disk", "vcpus": 1, "memory": GB, "disks": [{"capacity": 20 * GB, "tags": ["fast"]}]}
    group = {"name": "g", "kind": "anti-affinity", "level": "zone", "hard": True}
    apart = {"id": "apart", "vcpus": 1, "memory": GB, "groups": [group]}
    found = fits([disk, apart], fleet())
    assert found["disk"] == {"zones": {"a": 4, "b": 2}, "total": 6, "limited_by": "storage"}
    assert found["apart"] == {"zones": {"a": 1, "b": 1}, "total": 2, "limited_by": "anti-affinity"}


@pytest.mark.parametrize(
    ("used", "level", "survives"),
    [
        ((2, 2, 2), "host", True),
        ((3, 3, 3), "host", False),
        ((1, 1, 1), "zone", True),
        ((2, 3, 2), "zone", False),
        ((4, 0, 0), "rack", True),
    ],
)
def test_headroom(used, level, survives):
    assert headroom(fleet(used), level=level)["survives"] is survives


def test_headroom_is_not_sure_where_totals_would_do_but_no_place_was_found():
    where = fleet((2, 0, 0))
    for vm in where["vms"]:
        vm.update(vcpus=3)
    where["hosts"][0]["used_vcpus"] = 6
    for number in (1, 2):
        where["hosts"][number]["used_vcpus"] = 1
    assert headroom(where)["survives"] is True
    where["vms"][0]["host_tags"] = ["gpu"]
    assert headroom(where)["survives"] is None
    pytest.importorskip("highspy")
    assert headroom(where, quality="optimal")["survives"] is False


def test_headroom_of_a_large_fleet_is_a_bound(monkeypatch):
    monkeypatch.setattr(capacity, "EXACT_WORK", 0)
    assert headroom(fleet((3, 3, 3)))["survives"] is False
    found = headroom(fleet((1, 1, 1)))
    assert (found["survives"], found["method"]) == (None, "bound")


def test_replace_places_just_the_lost_ones():
    where = fleet((2, 1, 1))
    result = replace(["h0"], where)
    assert {row["request"] for row in result["placements"]} == {"v00", "v01"}
    assert {row["host"] for row in result["placements"]} == {"h1", "h2"}


def test_replace_keeps_disks_that_others_mount():
    where = fleet((1, 0, 3))
    where["vms"][0]["disks"] = [
        {"capacity": 90 * GB, "datastore": "shared"},
        {"capacity": 40 * GB, "datastore": "local0"},
    ]
    where["datastores"][0]["used"] = 90 * GB
    [row] = replace(["h0"], where)["placements"]
    assert row["datastores"][0] == "shared"
    assert row["datastores"][1] == f"local{row['host'][1]}"
    where["hosts"][1]["datastores"] = ["local1"]
    [row] = replace(["h0"], where)["placements"]
    assert row["host"] == "h2"


def test_replace_obeys_groups_with_those_that_stayed():
    where = fleet((1, 1, 0))
    for vm in where["vms"]:
        vm["groups"] = [{"name": "g", "kind": "anti-affinity", "level": "host", "hard": True}]
    [row] = replace(["h0"], where)["placements"]
    assert row["host"] == "h2"


def test_rebalance_empties_given_hosts():
    result = rebalance(fleet((2, 1, 1)), empty=["h1"])
    assert [(move["vm"], move["from"]) for move in result["moves"]] == [("v10", "h1")]
    assert result["emptied"] == ["h1"]
    full = rebalance(fleet((4, 4, 1)), empty=["h2", "h1"])
    assert full["emptied"] == []
    assert full["failed"]


@pytest.mark.parametrize(("moves", "emptied"), [(0, []), (1, ["h1"]), (2, ["h0", "h1"]), (9, ["h1", "h2"])])
def test_rebalance_empties_many_with_few_moves(moves, emptied):
    where = fleet((1, 1, 2))
    before = copy.deepcopy(where)
    result = rebalance(where, moves=moves)
    assert len(result["moves"]) <= moves
    assert len(result["emptied"]) == len(emptied)
    assert where == before


def test_rebalance_leaves_hosts_with_foreign_vms():
    where = fleet((1, 1, 1))
    where["hosts"][0]["used_vcpus"] = 2
    assert "h0" not in rebalance(where, moves=9)["emptied"]


def test_what_if_hosts_came_or_went():
    requests = [{"id": f"new{n}", "vcpus": 4, "memory": GB} for n in range(2)]
    where = fleet((1, 0, 1))
    before = copy.deepcopy(where)
    added = what_if(requests, where, add=[{"id": "h9", "vcpus": 4, "memory": 8 * GB, "cpu_overcommit": 1.0}])
    assert (added["before"]["placed"], added["after"]["placed"], added["gained"]) == (1, 2, ["new1"])
    removed = what_if(requests, where, remove=["h0"])
    assert [row["request"] for row in removed["moved"]] == ["v00"]
    assert removed["lost"] == []
    assert where == before


def test_host_score_is_the_worst_part():
    scores = host_scores(fleet((1, 3, 1)))
    assert {name: row["score"] for name, row in scores.items()} == {"h0": 75, "h1": 25, "h2": 75}
    assert scores["h1"]["parts"] == {"cpu": 25, "memory": 62.5, "storage": 100}


def test_moves_need_sizes():
    where = fleet()
    del where["vms"][0]["memory"]
    with pytest.raises(PhotonError, match="vm v00: memory"):
        replace(["h0"], where)


def test_what_was_replaced_fits():
    where = fleet((3, 2, 2))
    result = replace(["h0"], where)
    again = capacity.moved(where, result["placements"])
    assert all(host["used_vcpus"] <= 4 for host in again["hosts"])
    assert place([{"id": "x", "vcpus": 2, "memory": GB, "zone": "b"}], again)["unplaced"]
