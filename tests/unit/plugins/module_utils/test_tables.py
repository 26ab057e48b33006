"""The tables of photon-show: what a reader finds in them."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils import tables
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

GB = 1 << 30


def vm(name, host="esx01", **fields):
    row = {
        "kind": "vm",
        "name": name,
        "path": f"acme/web/{name}",
        "tenant": "acme",
        "project": "web",
        "flavor": "core-100",
        "state": "STARTED",
        "zone": "a",
        "host": host,
        "datastore": "shared",
    }
    return row | fields


def test_like_vms_share_a_line_with_their_names_as_a_range():
    lines = tables.tables(
        [vm("web-01"), vm("web-02"), vm("web-03"), vm("db", host=None, datastore=None, zone=None)], ["vms"]
    )
    assert [line.split() for line in lines[1:]] == [
        ["acme/web", "db", "core-100", "STARTED", "-", "-", "-"],
        ["acme/web", "web-[01:03]", "core-100", "STARTED", "a", "esx01", "shared"],
    ]


def test_projects_stand_below_their_tenant_with_a_bar_per_limit():
    quota = {
        "vm.count": {"usage": 1, "limit": 100, "unit": "COUNT"},
        "vm.memory": {"usage": 8 * GB, "limit": None, "unit": "GB"},
    }
    rows = [
        {"kind": "project", "name": "web", "path": "acme/web", "quota": quota},
        {"kind": "tenant", "name": "acme", "path": "acme", "quota": {}},
    ]
    head, tenant, project = tables.tables(rows, ["tenants"])
    assert head.startswith("TENANT / PROJECT")
    assert tenant.split() == ["acme", "-", "-", "-", "-"]
    assert project.split() == ["web", "█░░░░░░░░░", "1", "of", "100", "-", "8", "GB", "-"]


def test_hosts_are_listed_by_zone_with_their_load():
    host = {
        "kind": "host",
        "name": "esx01",
        "zone": "b",
        "state": "READY",
        "vms": 3,
        "used": {"vcpus": 3, "memory": 64 * GB},
        "capacity": {"vcpus": 512, "memory": 64 * GB},
    }
    lines = tables.tables([host, host | {"name": "esx02", "zone": "a", "used": {"vcpus": 0, "memory": 0}}], ["hosts"])
    assert [line.split()[0] for line in lines[1:]] == ["esx02", "esx01"]
    assert "3/512" in lines[2]
    assert "██████████ 64 GB of 64 GB" in lines[2]
    assert "░░░░░░░░░░ 0 B of 64 GB" in lines[1]


def test_a_tenant_shows_what_is_in_use_apart_from_what_was_given():
    quota = {"vm.count": {"usage": 70, "limit": 100, "unit": "COUNT"}}
    used = {"vm.count": {"usage": 10, "limit": 70, "unit": "COUNT"}}
    rows = [
        {"kind": "tenant", "name": "acme", "path": "acme", "quota": quota},
        {"kind": "project", "name": "web", "path": "acme/web", "quota": used},
    ]
    _head, tenant, project = tables.tables(rows, ["tenants"])
    assert "█░░░░░░░░░ 10 of 100 (70 given to projects)" in tenant
    assert "10 of 70" in project


def test_rows_are_filtered_by_globs_of_their_fields():
    rows = [vm("web-01"), vm("db", host="esx02", state="STOPPED"), {"kind": "tenant", "name": "acme", "path": "acme"}]
    assert [row["name"] for row in tables.select(rows, {"host": "esx*2"})] == ["db", "acme"]
    assert [row["name"] for row in tables.select(rows, {"state": "STARTED", "tenant": "a*"})] == ["web-01", "acme"]
    assert tables.select([vm("web-01", tags=["web", "blue"])], {"tags": "bl*"}) != []
    with pytest.raises(PhotonError, match=r"no resource has a field 'hots': filter by one of .*host"):
        tables.select(rows, {"hots": "x"})


def test_hosts_and_vms_are_sorted_by_a_column():
    def host(name, memory):
        load = {"used": {"vcpus": 1, "memory": memory}, "capacity": {"vcpus": 8, "memory": 64 * GB}}
        return {"kind": "host", "name": name, "zone": "a", "state": "READY", "vms": 1, **load}

    lines = tables.tables([host("esx01", GB), host("esx02", 9 * GB)], ["hosts"], "memory")
    assert [line.split()[0] for line in lines[1:]] == ["esx02", "esx01"]
    lines = tables.tables([vm("a", host="esx02"), vm("b", host="esx01")], ["vms"], "host")
    assert [line.split()[1] for line in lines[1:]] == ["b", "a"]


def test_nothing_is_said_in_words_instead_of_a_head_alone():
    assert tables.tables([vm("a")], ["vms", "disks", "hosts"])[2:] == ["", "no disks", "", "no hosts"]
    assert tables.tables([], ["vms"]) == ["no VMs"]
