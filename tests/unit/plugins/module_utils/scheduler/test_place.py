"""place on small fleets: every constraint with its code, its count and its sentence; groups, spreading, policies."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.scheduler import place

from tests.support.validity import violations

GB = 1 << 30


def host(name, **changes):
    return {
        "id": name,
        "name": name,
        "zone": "a",
        "rack": "r1",
        "state": "READY",
        "usage_tags": ["CLOUD"],
        "tags": ["ssd"],
        "vcpus": 4,
        "cpu_overcommit": 1.0,
        "memory": 16 * GB,
        "memory_overcommit": 1.0,
        "used_vcpus": 0,
        "used_memory": 0,
        "datastores": ["d1"],
        "port_groups": ["net"],
        **changes,
    }


def fleet(*hosts, **changes):
    store = {"id": "d1", "name": "d1", "type": "SHARED_VMFS", "tags": [], "capacity": 1000 * GB, "used": 0}
    return {
        "hosts": list(hosts),
        "datastores": [store],
        "zones": [{"name": "a"}, {"name": "b"}],
        "images": {"debian": ["d1"]},
        "vms": [],
        **changes,
    }


def request(name="vm", **changes):
    return {"id": name, "vcpus": 1, "memory": GB, **changes}


def group(kind="anti-affinity", level="host", *, name="g", hard=True):
    return {"name": name, "kind": kind, "level": level, "hard": hard}


def placed(requests, where, **options):
    """Hosts by request and index, after checking the answer as a whole."""
    result = place(requests, where, **options)
    assert violations(requests, where, result) == []
    return {(row["request"], row["index"]): row["host"] for row in result["placements"]}, result


DISK = {"flavor": "core-100", "capacity": 10 * GB, "boot": True, "tags": []}


@pytest.mark.parametrize(
    ("host_changes", "request_changes", "code", "constraint", "words"),
    [
        ({"state": "MAINTENANCE"}, {}, "NoSuchResource", "state", "READY"),
        ({"usage_tags": ["MGMT"]}, {}, "NoSuchResource", "usage", "usage tag CLOUD"),
        ({}, {"zone": "b"}, "NoSuchResource", "zone", "zone b"),
        ({}, {"host_tags": ["gpu"]}, "NoSuchResource", "host_tags", "gpu"),
        ({}, {"port_groups": ["net", "dmz"]}, "NoSuchResource", "port_groups", "dmz"),
        ({}, {"disks": [{**DISK, "tags": ["VSAN"]}]}, "NoConstraintMatchingDatastore", "datastore_tags", "tags"),
        ({}, {"disks": [DISK], "image": "centos"}, "NoSuchResource", "image", "centos"),
        ({}, {"vcpus": 5}, "NotEnoughCpuResource", "cpu", "needs 5 vCPUs, the freest host in zone a has 4"),
        (
            {"used_memory": int(6.5 * GB)},
            {"memory": 12 * GB},
            "NotEnoughMemoryResource",
            "memory",
            "needs 12 GB of memory, the freest host in zone a has 9.5 GB",
        ),
        (
            {},
            {"disks": [{**DISK, "capacity": 1001 * GB}]},
            "NotEnoughDatastoreCapacity",
            "storage",
            "needs 1001 GB on datastores, the emptiest one in zone a has 1000 GB",
        ),
    ],
)
def test_what_does_not_fit_says_why(host_changes, request_changes, code, constraint, words):
    where = fleet(host("h1", **host_changes), host("h2", **host_changes))
    result = place([request(**request_changes)], where)
    [row] = result["unplaced"]
    assert (row["code"], row["eliminated"]) == (code, [[constraint, 2]])
    assert words in row["message"]
    assert row["nearest"]["constraint"] == constraint


def test_eliminations_are_counted_in_order():
    where = fleet(
        host("h1", state="ERROR"),
        host("h2", zone="b"),
        host("h3", tags=[]),
        host("h4", used_vcpus=4),
        host("h5", used_memory=16 * GB),
        host("h6"),
    )
    where["vms"] = [{"id": "old", "host": "h6", "groups": [group()]}]
    [row] = place([request(zone="a", host_tags=["ssd"], groups=[group()])], where)["unplaced"]
    assert row["eliminated"] == [
        ["state", 1],
        ["zone", 1],
        ["host_tags", 1],
        ["cpu", 1],
        ["memory", 1],
        ["anti-affinity", 1],
    ]
    assert row["code"] == "UnfullfillableAffinities"
    assert row["nearest"]["host"] == "h6"


def test_an_empty_fleet_is_said_so():
    [row] = place([request("web")], {"hosts": []})["unplaced"]
    assert row["code"] == "NoSuchResource"
    assert "the fleet has no hosts" in row["message"]


def test_a_zone_dedicated_to_others_is_closed():
    where = fleet(host("h1"), zones=[{"name": "a", "dedicated_tenants": ["bank"]}])
    assert place([request(tenant="acme")], where)["unplaced"][0]["eliminated"] == [["zone", 1]]
    assert placed([request(tenant="bank")], where)[0] == {("vm", 0): "h1"}


def test_a_zone_that_is_not_ready_is_closed():
    where = fleet(host("h1"), zones=[{"name": "a", "state": "PENDING_DELETE"}])
    assert place([request()], where)["unplaced"][0]["eliminated"] == [["zone", 1]]


def test_the_boot_disk_lies_where_the_image_is():
    stores = [
        {"id": "d1", "capacity": 100 * GB, "used": 0},
        {"id": "d2", "capacity": 100 * GB, "used": 50 * GB},
    ]
    where = fleet(host("h1", datastores=["d1", "d2"]), datastores=stores, images={"debian": ["d2"]})
    disks = [DISK, {**DISK, "boot": False}]
    _hosts, result = placed([request(image="debian", disks=disks)], where)
    assert result["placements"][0]["datastores"] == ["d2", "d1"]
    free = request(image="debian", disks=disks, image_must_be_present=False)
    assert place([free], where)["placements"][0]["datastores"] == ["d1", "d1"]


def test_disks_are_tried_in_every_combination():
    stores = [{"id": f"d{n}", "capacity": size * GB, "used": 0} for n, size in enumerate((10, 7))]
    where = fleet(host("h1", datastores=["d0", "d1"]), datastores=stores)
    disks = [{"capacity": size * GB} for size in (4, 6, 7)]
    _hosts, result = placed([request(disks=disks)], where)
    assert result["placements"][0]["datastores"] == ["d0", "d0", "d1"]


def test_amounts_beyond_64_bits_add_up():
    big = 8 << 50
    stores = [{"id": f"d{n}", "capacity": big, "used": big - 1 if n else 0} for n in range(1025)]
    where = fleet(host("h1", datastores=[s["id"] for s in stores]), datastores=stores)
    hosts, result = placed([request(disks=[{"capacity": big}]), request("next", disks=[{"capacity": 2}])], where)
    assert hosts == {("vm", 0): "h1"}
    assert result["unplaced"][0]["nearest"]["available"] == 1


def test_overcommit_is_exact():
    where = fleet(host("h1", vcpus=3, cpu_overcommit=1.1))
    assert len(place([request(count=4)], where)["placements"]) == 3
    where = fleet(host("h1", vcpus=10, cpu_overcommit=1.1))
    assert len(place([request(count=12, memory=0)], where)["placements"]) == 11


def test_reservations_count_as_used():
    where = fleet(host("h1", used_vcpus=1, reserved_vcpus=1, reserved_memory=15 * GB))
    assert len(place([request(memory=0, count=3)], where)["placements"]) == 2
    assert place([request(memory=2 * GB)], where)["unplaced"][0]["code"] == "NotEnoughMemoryResource"


@pytest.mark.parametrize("policy", ["spread", "pack", "photon"])
@pytest.mark.parametrize("level", ["host", "rack", "zone"])
def test_hard_anti_affinity(policy, level):
    hosts = [host(f"h{n}", rack=f"r{n // 2}", zone="ab"[n // 4], vcpus=64, memory=640 * GB) for n in range(8)]
    number = {"host": 8, "rack": 4, "zone": 2}[level]
    _hosts, result = placed([request(count=9, groups=[group(level=level)])], fleet(*hosts), policy=policy)
    assert len(result["placements"]) == number
    assert {row["code"] for row in result["unplaced"]} == {"UnfullfillableAffinities"}


@pytest.mark.parametrize("policy", ["spread", "pack", "photon"])
@pytest.mark.parametrize("level", ["host", "rack", "zone"])
def test_hard_affinity_leaves_room_for_the_whole_group(policy, level):
    hosts = [host(f"h{n}", rack=f"r{n // 2}", zone="ab"[n // 4], vcpus=2 + n // 4 * 4) for n in range(8)]
    count = {"host": 5, "rack": 10, "zone": 20}[level]
    found, result = placed([request(count=count, groups=[group("affinity", level)])], fleet(*hosts), policy=policy)
    assert not result["unplaced"]
    values = {next(h for h in hosts if h["id"] == name)[level if level != "host" else "id"] for name in found.values()}
    assert len(values) == 1


def test_affinity_follows_the_members_that_exist():
    where = fleet(host("h1"), host("h2", used_vcpus=3), host("h3"))
    where["vms"] = [{"id": "old", "host": "h2", "groups": [group("affinity")]}]
    found, result = placed([request(count=2, groups=[group("affinity")])], where)
    assert found == {("vm", 0): "h2"}
    assert result["unplaced"][0]["code"] == "UnfullfillableAffinities"


def test_preferred_rules_are_kept_while_they_can_be():
    where = fleet(host("h1"), host("h2"))
    _found, result = placed([request(count=3, groups=[group(hard=False)])], where, policy="pack")
    rows = result["placements"]
    assert {row["host"] for row in rows[:2]} == {"h1", "h2"}
    assert [row["parts"]["preferences_broken"] for row in rows] == [0, 0, 1]


@pytest.mark.parametrize("policy", ["spread", "pack", "photon"])
@pytest.mark.parametrize("level", ["host", "rack", "zone"])
def test_spread_over_is_even_without_a_limit(policy, level):
    hosts = [host(f"h{n}", rack=f"r{n // 3}", zone="ab"[n // 6], vcpus=64, memory=640 * GB) for n in range(12)]
    found, _result = placed([request(count=24, spread_over=level)], fleet(*hosts), policy=policy)
    values = [next(h for h in hosts if h["id"] == name)[level if level != "host" else "id"] for name in found.values()]
    assert {values.count(value) for value in values} == {{"host": 2, "rack": 6, "zone": 12}[level]}


def test_max_skew_stops_where_a_zone_is_full():
    where = fleet(host("h1"), host("h2", zone="b", used_vcpus=3))
    _found, result = placed([request(count=5, spread_over="zone", max_skew=1)], where)
    assert len(result["placements"]) == 3
    assert result["unplaced"][0]["code"] == "UnfullfillableAffinities"
    assert "max_skew" in result["unplaced"][0]["message"]
    assert len(placed([request(count=5, spread_over="zone")], where)[0]) == 5


def test_spread_uses_all_hosts_and_pack_few():
    where = fleet(*[host(f"h{n}") for n in range(5)])
    assert place([request(count=5)], where)["summary"]["hosts_used"] == 5
    assert place([request(count=5)], where, policy="pack")["summary"]["hosts_used"] == 2


def test_pack_fills_hosts_in_use_first():
    where = fleet(host("h1"), host("h2", used_vcpus=1, used_memory=GB), host("h3"))
    assert set(placed([request(count=3)], where, policy="pack")[0].values()) == {"h2"}


def test_the_answer_depends_on_the_seed_alone():
    where = fleet(*[host(f"h{n}") for n in range(20)])
    requests = [request(f"vm{n}") for n in range(30)]
    assert place(requests, where, seed=3) == place(requests, where, seed=3)
    assert place(requests, where, seed=3) != place(requests, where, seed=4)


@pytest.mark.parametrize(("policy", "share"), [("spread", 0.1), ("photon", 0.1)])
def test_one_request_less_moves_few_others(policy, share):
    where = fleet(*[host(f"h{n}", vcpus=64, memory=256 * GB) for n in range(200)])
    requests = [request(f"vm{n}", vcpus=1 + n % 3, memory=(1 + n % 5) * GB) for n in range(400)]
    before = placed(requests, where, policy=policy)[0]
    after = placed(requests[:100] + requests[101:], where, policy=policy)[0]
    moved = sum(before[key] != name for key, name in after.items())
    assert moved <= share * len(after)


def test_what_list_order_leaves_out_is_tried_hardest_first():
    where = fleet(host("h1", vcpus=2), host("h2", vcpus=4))
    found, result = placed([request(f"s{n}") for n in range(2)] + [request("big", vcpus=4)], where)
    assert not result["unplaced"]
    assert found[("big", 0)] == "h2"


def test_a_shortfall_hits_the_last_of_the_list():
    where = fleet(host("h1", vcpus=2))
    result = place([request(f"vm{n}") for n in range(4)], where)
    assert [row["request"] for row in result["unplaced"]] == ["vm2", "vm3"]


@pytest.mark.parametrize(("policy", "without"), [("spread", "large"), ("photon", "large"), ("pack", "small")])
def test_list_order_decides_who_goes_without_under_pack_the_size(policy, without):
    where = fleet(host("h1", vcpus=5, memory=100 * GB), host("h2", state="ERROR", vcpus=5, memory=100 * GB))
    result = place([request("small", vcpus=2), request("large", vcpus=4)], where, policy=policy)
    assert [row["request"] for row in result["unplaced"]] == [without]


def test_a_number_and_a_truth_value_are_no_equal_demands():
    with pytest.raises(PhotonError, match="request second: vcpus: must be a whole number"):
        place([request("first", vcpus=1), request("second", vcpus=True)], fleet(host("h1")))


def test_demands_are_read_the_same_whatever_types_they_come_in():
    rows = [request("list", port_groups=["net"]), request("iterator", port_groups=frozenset({"net"}))]
    assert len(placed(rows, fleet(host("h1")))[0]) == 2


@pytest.mark.parametrize(
    ("requests", "where", "key", "words"),
    [
        ([request(vcpus=-1)], fleet(host("h1")), "vcpus", "request vm: vcpus: must be at least 0"),
        ([request(vcpus=True)], fleet(host("h1")), "vcpus", "whole number"),
        ([request(memory=1.5)], fleet(host("h1")), "memory", "whole number"),
        ([request(zone="aa")], fleet(host("h1")), "zone", "there are: a, b"),
        ([request(zone="a", zones=["b"])], fleet(host("h1")), "zone", "one or the other"),
        ([request(cpus=1)], fleet(host("h1")), "cpus", "did you mean 'vcpus'"),
        ([request(disks=[{"capacity": -1}])], fleet(host("h1")), "capacity", "disks[0]"),
        ([request(host="h9")], fleet(host("h1")), "host", "'h9'"),
        ([request(count=0)], fleet(host("h1")), "count", "at least 1"),
        ([request(), request()], fleet(host("h1")), "id", "twice"),
        ([request(max_skew=1)], fleet(host("h1")), "max_skew", "spread_over"),
        (
            [request(groups=[group("apart")])],
            fleet(host("h1")),
            "kind",
            "groups[0]: kind: must be affinity or anti-affinity",
        ),
        (
            [
                request(groups=[group("affinity", "rack"), group()]),
                request("b", groups=[group("anti-affinity", "zone")]),
            ],
            fleet(host("h1")),
            "groups",
            "must share a rack and must not share a zone",
        ),
        ([request()], fleet(host("h1"), host("h1")), "id", "twice"),
        ([request()], fleet(host("h1", cpu_overcommit=0.5)), "cpu_overcommit", "at least 1"),
        ([request()], fleet(host("h1", datastores=["dx"])), "datastores", "dx"),
        ([request()], {"host": []}, "host", "did you mean 'hosts'"),
        ([request(usage="BOTH")], fleet(host("h1")), "usage", "CLOUD or MGMT"),
        ("vm", fleet(host("h1")), "type", "list of requests"),
    ],
)
def test_nonsense_is_refused_by_item_and_key(requests, where, key, words):
    with pytest.raises(PhotonError) as caught:
        place(requests, where)
    assert caught.value.code == "SpecInvalid"
    assert caught.value.data["key"] == key
    assert words in caught.value.message


@pytest.mark.parametrize(
    "options", [{"policy": "best"}, {"quality": "high"}, {"seed": 1.5}, {"weights": {"gpu": 1}}, {"time_budget": 0}]
)
def test_unknown_options_are_refused(options):
    with pytest.raises(PhotonError, match=next(iter(options))):
        place([request()], fleet(host("h1")), **options)


def test_a_rack_may_be_called_like_a_number():
    where = fleet(host("h0", rack="1"), host("h1", rack=None), host("h2", rack="0"))
    assert len(placed([request(count=6, spread_over="rack")], where)[0]) == 6


def test_many_disks_on_many_datastores_end_in_time():
    stores = [{"id": f"d{n}", "capacity": 10 * GB, "used": 0} for n in range(12)]
    where = fleet(host("h1", datastores=[store["id"] for store in stores]), datastores=stores)
    result = place([request(disks=[{"capacity": 6 * GB}] * 13)], where)
    assert result["unplaced"][0]["code"] == "NotEnoughDatastoreCapacity"
    assert placed([request(disks=[{"capacity": 6 * GB}] * 12)], where)[0] == {("vm", 0): "h1"}


def test_replicas_use_every_host_before_they_share_one_however_loaded_it_is():
    where = fleet(host("empty"), host("half", used_vcpus=2), host("full", used_vcpus=3), host("out", used_vcpus=4))
    hosts, _ = placed([request("web", count=3)], where)
    assert sorted(hosts.values()) == ["empty", "full", "half"]
    packed, _ = placed([request("web", count=3)], where, policy="pack")
    assert set(packed.values()) == {"full", "half"}


def test_replicas_that_must_share_hosts_are_even_over_them():
    where = fleet(*[host(f"h{n}", vcpus=16) for n in range(4)])
    hosts, _ = placed([request("web", count=10)], where)
    assert sorted(Counter(hosts.values()).values()) == [2, 2, 3, 3]


def test_existing_replicas_of_the_item_count():
    old = [{"id": f"old-{n}", "host": f"h{n}", "spread_group": "web-*"} for n in range(3)]
    where = fleet(*[host(f"h{n}", used_vcpus=0 if n < 3 else 3) for n in range(4)], vms=old)
    hosts, _ = placed([request("web-4", spread_group="web-*")], where)
    assert set(hosts.values()) == {"h3"}


def test_replicas_keep_apart_inside_the_zone_that_spread_over_chose():
    where = fleet(*[host(f"{zone}{n}", zone=zone, vcpus=8) for zone in "ab" for n in range(4)])
    hosts, _ = placed([request("web", count=8, spread_over="zone")], where)
    assert len(set(hosts.values())) == 8


def test_among_equal_hosts_the_one_with_the_fewest_vms_of_the_project_is_preferred():
    """VMs of the project that weigh nothing, so that load alone would not tell the hosts apart."""
    old = [{"id": f"old-{n}", "host": f"h{n}", "project": "acme/web"} for n in range(1, 8)]
    where = fleet(*[host(f"h{n}", vcpus=64) for n in range(8)], vms=old)
    names = ("db", "cache", "mail", "web", "queue")
    for name in names:
        chosen, _ = placed([request(name, project="acme/web")], where)
        assert set(chosen.values()) == {"h0"}
    other = {h for name in names for h in placed([request(name, project="acme/db")], where)[0].values()}
    assert len(other) > 1


def test_a_user_s_rule_comes_before_keeping_replicas_apart():
    where = fleet(host("h1"), host("h2"))
    hosts, _ = placed([request("web", count=3, groups=[group("affinity")])], where)
    assert len(set(hosts.values())) == 1
    hosts, _ = placed([request("web", count=3, host="h2")], where)
    assert set(hosts.values()) == {"h2"}
    soft = [group("affinity", hard=False)]
    hosts, _ = placed([request("web", count=3, groups=soft)], where)
    assert len(set(hosts.values())) == 1


def test_replicas_of_a_rack_affinity_keep_apart_in_their_rack():
    where = fleet(*[host(f"{rack}-{n}", rack=rack, vcpus=8) for rack in ("r1", "r2") for n in range(3)])
    hosts, _ = placed([request("web", count=3, groups=[group("affinity", "rack")])], where)
    assert len(set(hosts.values())) == 3
    assert len({name[:2] for name in hosts.values()}) == 1
