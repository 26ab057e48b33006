"""The tables of photon-show: what a reader finds in them."""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.module_utils import tables

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


def test_two_tables_have_an_empty_line_between_them():
    assert tables.tables([], ["hosts", "vms"]) == [
        "HOST  ZONE  STATE  VMS  VCPUS  MEMORY",
        "",
        "PROJECT  VMS  FLAVOR  STATE  ZONE  HOST  DATASTORE",
    ]
