"""The report's figures: load before and after a plan, stranded capacity, quotas."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.services import site_report

GB = 1 << 30


def host(name, *, zone="a", rack="r1", used=(0, 0), capacity=(32, 64 * GB), state="READY", tags=("CLOUD",)):
    return {
        "kind": "host",
        "name": name,
        "path": name,
        "zone": zone,
        "rack": rack,
        "state": state,
        "usage_tags": list(tags),
        "vms": 1,
        "used": {"vcpus": used[0], "memory": used[1]},
        "capacity": {"vcpus": capacity[0], "memory": capacity[1]},
        "free": {"vcpus": capacity[0] - used[0], "memory": capacity[1] - used[1]},
    }


def vm(name, on, vcpus=2, memory=4 * GB):
    return {
        "kind": "vm",
        "path": name,
        "name": name,
        "host": on,
        "vcpus": vcpus,
        "memory": memory,
        "disks": [{"capacity": GB}],
    }


def step(verb, name, on="", vcpus=2, memory=4 * GB):
    return {
        "verb": verb,
        "kind": "vm",
        "name": name,
        "reason": "declared",
        "after": {"host": on},
        "vcpus": vcpus,
        "memory": memory,
    }


def hosts_of(figures):
    return {h["name"]: h for zone in figures["zones"] for rack in zone["racks"] for h in rack["hosts"]}


def test_a_plan_moves_the_load_of_the_hosts_it_names():
    resources = [host("esx1", used=(2, 4 * GB)), host("esx2", used=(2, 4 * GB)), vm("p/a", "esx1"), vm("p/b", "esx2")]
    plan = [step("create", "p/c", "esx1"), step("delete", "p/b"), step("update", "p/a", vcpus=4, memory=8 * GB)]
    hosts = hosts_of(site_report.summarize(resources, plan))
    assert hosts["esx1"]["before"] == {"vcpus": 7, "memory": 7}
    assert hosts["esx1"]["after"] == {"vcpus": 19, "memory": 19}
    assert (hosts["esx1"]["vms_after"], hosts["esx2"]["vms_after"]) == (2, 0)
    assert hosts["esx2"]["after"] == {"vcpus": 0, "memory": 0}


def test_hosts_stand_by_zone_and_rack():
    figures = site_report.summarize([host("z", zone="b"), host("y"), host("x", rack=None, zone=None)])
    assert [(z["name"], r["name"], [h["name"] for h in r["hosts"]]) for z in figures["zones"] for r in z["racks"]] == [
        ("a", "r1", ["y"]),
        ("b", "r1", ["z"]),
        ("no zone", "no rack", ["x"]),
    ]


@pytest.mark.parametrize(
    ("used", "stranded_vcpus", "stranded_memory"),
    [
        ((0, 0), "0", "0 B"),
        ((0, 32 * GB), "0", "0 B"),  # memory will run out first, but another VM fits
        ((32, 0), "0", "64 GB"),  # no vCPU is left: all its memory is stranded
        ((0, 62 * GB), "32", "2 GB"),  # 2 GB fit no VM
    ],
)
def test_capacity_is_stranded_when_another_dimension_of_its_host_ran_out(used, stranded_vcpus, stranded_memory):
    rows = site_report.summarize([host("esx1", used=used), vm("p/a", "esx1")])["stranded"]
    assert {r["dimension"]: r["stranded"] for r in rows if r["dimension"] != "storage"} == {
        "vcpus": stranded_vcpus,
        "memory": stranded_memory,
    }


def test_only_hosts_that_take_tenants_vms_have_free_capacity():
    figures = site_report.summarize([host("m", tags=("MGMT",)), host("s", state="MAINTENANCE"), vm("p/a", "m")])
    assert [row["free"] for row in figures["stranded"]] == ["0", "0 B", "0 B"]


def test_like_steps_are_one_line():
    plan = [step("create", f"p/web-{n:02d}", "esx1") for n in range(1, 5)] + [step("create", "p/web-05", "esx2")]
    figures = site_report.summarize([], plan)
    assert [(s["name"], s["host"]) for s in figures["plan"]] == [("p/web-[01:04]", "esx1"), ("p/web-05", "esx2")]
    assert figures["totals"]["changes"] == {"number": 5, "noun": "changes"}


def test_what_a_tenant_uses_stands_apart_from_what_it_gave_to_its_projects():
    def counter(usage, limit):
        return {"vm.count": {"usage": usage, "limit": limit, "unit": "COUNT", "text": ""}}

    rows = [
        {"kind": "tenant", "name": "globex", "path": "globex", "quota": counter(20, 20)},
        {"kind": "project", "name": "shop", "path": "globex/shop", "quota": counter(1, 20)},
    ]
    tenant, project = site_report.summarize(rows)["tenants"]
    assert tenant["bars"] == [{"key": "vm.count", "text": "1 of 20", "percent": 5, "given": "20"}]
    assert project["bars"] == [{"key": "vm.count", "text": "1 of 20", "percent": 5, "given": ""}]


def test_one_picture_where_the_plan_moves_nothing_and_counts_in_good_grammar():
    figures = site_report.summarize([host("esx1"), vm("p/a", "esx1")], [{**step("create", "b"), "kind": "zone"}])
    assert figures["same"]
    assert figures["totals"]["hosts"] == {"number": 1, "noun": "host"}
    assert figures["totals"]["vms"] == {"number": 1, "noun": "VM"}
    assert not site_report.summarize([host("esx1")], [step("create", "p/c", "esx1")])["same"]
