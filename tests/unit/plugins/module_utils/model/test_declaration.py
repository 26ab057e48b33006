"""The declared tree: its normal form, and every mistake with its key path."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Known, validate
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support.declarations import SITE, VM, mistakes, vm, web

GB = 1 << 30


@pytest.fixture
def tree() -> dict[str, Any]:
    return yaml.safe_load(SITE)


def test_normal_form(tree: dict[str, Any]) -> None:
    site = validate(tree)
    assert (site.site, site.managed_by) == ("lab", "inventory:lab")
    assert [host["name"] for host in site.hosts] == ["esx01", "esx02", "esx03", "esx04"]
    assert [v["name"] for v in site.vms] == [f"web-{n:02d}" for n in range(1, 21)]
    first = site.vms[0]
    assert (first["tenant"], first["project"], first["path"], first["state"]) == ("acme", "web", VM, "started")
    assert first["disks"] == [{"name": "data", "flavor": "core-100", "capacity": 40 * GB}]
    assert first["spread_group"] == "web-*"
    assert first["tags"] == []
    assert site.tenants[0]["quota"]["vm.memory"] == (400 * GB, "GB")
    assert "projects" not in site.tenants[0]
    project = site.projects[0]
    assert (project["tenant"], project["quota_percent"], project["quota"]) == ("acme", 50, None)
    assert site.flavors[0]["kind"] == "ephemeral-disk"
    assert site.flavors[0]["cost"] == {"ephemeral-disk.cost": (2500, "COST"), "storage.SHARED_VMFS": (1, "COUNT")}
    image = site.images[0]
    assert (image["tenant"], image["project"], image["file_type"]) == ("", "", "OVA")
    assert site.endpoints[0]["tls"] == {"verify": True, "ca_file": None, "thumbprint": None}
    assert site.settings == {
        "prune": "report",
        "max_deletes": 10,
        "max_recreates": 10,
        "wait_for_addresses": 30,
        "wait_for_runs": 600,
        "cloudstore_new": False,
        "placement_policy": "spread",
        "disk_backing": "auto",
        "placement_quality": "normal",
        "atomic": False,
        "default_port_group": None,
        "diff_limit": 50,
        "act_as": None,
    }
    assert site.warnings == []


def test_validation_changes_nothing_of_what_it_is_given(tree: dict[str, Any]) -> None:
    before = copy.deepcopy(tree)
    validate(tree)
    assert tree == before


def test_an_empty_site() -> None:
    site = validate({})
    assert (site.site, site.vms, site.security_groups, site.image_datastores) == ("site", [], None, None)


@pytest.mark.parametrize(("key", "hint"), [("photon_tennants", "photon_tenants"), ("photon_host", "photon_hosts")])
def test_unknown_variable(key: str, hint: str) -> None:
    assert mistakes({key: []})[key] == ("SpecInvalid", f"unknown key: did you mean {hint!r}?")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("flavour", "flavor"),
        ("boot_disk_flavour", "boot_disk_flavor"),
        ("networks", "port_groups"),
        ("Zone", "zone"),
        ("template", "image"),
        ("antiaffinity", "anti_affinity"),
    ],
)
def test_unknown_key_of_a_vm(tree: dict[str, Any], key: str, hint: str) -> None:
    vm(tree)[key] = "x"
    assert mistakes(tree) == {f"{VM}.{key}": ("SpecInvalid", f"unknown key: did you mean {hint!r}?")}


def test_unknown_key_far_from_all(tree: dict[str, Any]) -> None:
    vm(tree)["qqqqqq"] = 1
    assert mistakes(tree)[f"{VM}.qqqqqq"][1] == "unknown key"


def adapter(**keys: Any) -> dict[str, Any]:
    """Port groups of the VMs of the item, the first with static addresses."""
    return {"port_groups": [{"name": "lan", "address": "10.0.0.[5:24]/24", **keys}, "dmz"]}


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"name": 7}, "name", "InvalidEntity"),
        ({"name": "7up"}, "name", "InvalidEntity"),
        ({"name": "web-[9:1]"}, "name", "SpecInvalid"),
        ({"name": "a" * 64}, "name", "InvalidEntity"),
        ({"flavor": ["core-100"]}, "flavor", "InvalidEntity"),
        ({"flavor": "core-999"}, "flavor", "FlavorNotFound"),
        ({"flavor": None}, "flavor", "SpecInvalid"),
        ({"image": None}, "image", "SpecInvalid"),
        ({"image": "debian-12"}, "image", "ImageNotFound"),
        ({"zone": "c"}, "zone", "AvailabilityZoneNotFound"),
        ({"boot_disk_flavor": None}, "boot_disk_flavor", "InvalidEntity"),
        ({"boot_disk_flavor": "core-10"}, "boot_disk_flavor", "FlavorNotFound"),
        ({"boot_disk_flavor": None, "boot_disk": {"capacity": 40}}, "boot_disk_flavor", "InvalidEntity"),
        ({"boot_disk_flavor": None, "boot_disk": {"flavor": "core-10"}}, "boot_disk.flavor", "FlavorNotFound"),
        ({"boot_disk": "core-100"}, "boot_disk", "SpecInvalid"),
        ({"boot_disk": {"flavor": "core-200"}}, "boot_disk.flavor", "SpecInvalid"),
        ({"boot_disk": {"size": 40}}, "boot_disk.size", "SpecInvalid"),
        ({"boot_disk": {"capacity": "4 COUNT"}}, "boot_disk.capacity", "SpecInvalid"),
        ({"wait_for_address": -1}, "wait_for_address", "SpecInvalid"),
        ({"port_groups": ["lan", "lan"]}, "port_groups[1]", "SpecInvalid"),
        ({"port_groups": [7]}, "port_groups[0].name", "SpecInvalid"),
        ({"port_groups": [{"address": "10.0.0.[5:24]/24"}]}, "port_groups[0].name", "SpecInvalid"),
        ({"port_groups": [{"name": "lan", "dns": ["10.0.0.1"]}]}, "port_groups[0].dns", "SpecInvalid"),
        ({"port_groups": [{"name": "lan", "gateway": "10.0.0.1"}]}, "port_groups[0].gateway", "SpecInvalid"),
        ({"port_groups": [{"name": "lan", "addres": "10.0.0.[5:24]/24"}]}, "port_groups[0].addres", "SpecInvalid"),
        (adapter(address="10.0.0.5/24"), "port_groups[0].address", "SpecInvalid"),
        (adapter(address="10.0.0.[5:6]/24"), "port_groups[0].address", "SpecInvalid"),
        (adapter(address="10.0.0.[5:24]"), "port_groups[0].address", "SpecInvalid"),
        (adapter(address="10.0.0.[05:24]/24"), "port_groups[0].address", "SpecInvalid"),
        (adapter(address="10.0.0.[237:256]/24"), "port_groups[0].address", "SpecInvalid"),
        (adapter(address="10.0.0.[0:19]/24"), "port_groups[0].address", "SpecInvalid"),
        (adapter(address="10.0.0.[236:255]/24"), "port_groups[0].address", "SpecInvalid"),
        (adapter(gateway="10.0.1.1"), "port_groups[0].gateway", "SpecInvalid"),
        (adapter(gateway="fd00::1"), "port_groups[0].gateway", "SpecInvalid"),
        (adapter(gateway="10.0.0.6"), "port_groups[0].gateway", "SpecInvalid"),
        (adapter(gateway="router"), "port_groups[0].gateway", "SpecInvalid"),
        (adapter(dns=["10.0.0.1", "dns.lab"]), "port_groups[0].dns[1]", "SpecInvalid"),
        (
            {**adapter(), "metadata": {"meta_data": {"network": {}}}},
            "metadata.meta_data.network",
            "SpecInvalid",
        ),
        ({"state": "running"}, "state", "SpecInvalid"),
        ({"spread_over": "zones"}, "spread_over", "SpecInvalid"),
        ({"max_skew": 0}, "max_skew", "SpecInvalid"),
        ({"max_skew": "x"}, "max_skew", "SpecInvalid"),
        ({"max_skew": 1, "spread_over": None}, "max_skew", "SpecInvalid"),
        ({"force": "maybe"}, "force", "SpecInvalid"),
        ({"tags": "web"}, "tags", "SpecInvalid"),
        ({"tags": ["web", "web"]}, "tags[1]", "SpecInvalid"),
        ({"tags": [1]}, "tags[0]", "SpecInvalid"),
        ({"metadata": "x"}, "metadata", "SpecInvalid"),
        ({"metadata": {"user-data": "x"}}, "metadata.user-data", "SpecInvalid"),
        ({"metadata": {"meta_data": "x"}}, "metadata.meta_data", "SpecInvalid"),
        ({"metadata": {"environment": {"A": []}}}, "metadata.environment.A", "SpecInvalid"),
        ({"disks": {"name": "x"}}, "disks", "SpecInvalid"),
        ({"disks": ["x"]}, "disks[0]", "SpecInvalid"),
        ({"disks": [{"name": "d", "flavor": "core-100"}]}, "disks[0].capacity", "SpecInvalid"),
        ({"disks": [{"name": "d", "flavor": "core-100", "capacity": 0}]}, "disks[0].capacity", "SpecInvalid"),
        ({"disks": [{"name": "d", "flavor": "core-100", "capacity": "4 COUNT"}]}, "disks[0].capacity", "SpecInvalid"),
        ({"disks": [{"name": "d", "flavor": "core-1", "capacity": 4}]}, "disks[0].flavor", "FlavorNotFound"),
        ({"disks": [{"name": "d", "flavor": "core-100", "capacity": 4}] * 2}, "disks[1].name", "SpecInvalid"),
        (
            {"disks": [{"name": "d", "kind": "persistent-disk", "flavor": "core-100", "capacity": 4}]},
            "disks[0].kind",
            "SpecInvalid",
        ),
        ({"disks": [{"name": "d", "flavor": "keep", "capacity": 4}]}, "disks[0].flavor", "FlavorNotFound"),
        ({"affinities": [{"kind": "vm", "id": "x"}]}, "affinities", "SpecInvalid"),
        ({"anti_affinity": [{"name": "g", "level": "city"}]}, "anti_affinity[0].level", "SpecInvalid"),
        ({"affinity": [{"name": "g"}], "anti_affinity": [{"name": "g"}]}, "anti_affinity", "UnfullfillableAffinities"),
    ],
)
def test_one_mistake_in_a_vm(tree: dict[str, Any], change: dict[str, Any], path: str, code: str) -> None:
    vm(tree).update(change)
    found = mistakes(tree)
    assert list(found) == [f"{VM}.{path}"]
    assert found[f"{VM}.{path}"][0] == code


def test_each_vm_of_a_range_has_an_address_of_its_own(tree: dict[str, Any]) -> None:
    vm(tree).update(adapter(gateway="10.0.0.1", dns=["10.0.0.2", "fd00::2"]))
    found = validate(tree).vms
    assert [each["port_groups"] for each in found] == [["lan", "dmz"]] * 20
    rest = {"adapter": 0, "gateway": "10.0.0.1", "dns": ["10.0.0.2", "fd00::2"]}
    assert [each["static"] for each in found] == [[{"address": f"10.0.0.{n}/24", **rest}] for n in range(5, 25)]


def test_a_gateway_of_ipv6_may_be_link_local(tree: dict[str, Any]) -> None:
    own = {"name": "lan", "address": "fd00::[5:24]/64", "gateway": "fe80::1"}
    vm(tree)["port_groups"] = [own]
    assert {each["static"][0]["gateway"] for each in validate(tree).vms} == {"fe80::1"}


def test_an_address_is_declared_once_per_port_group(tree: dict[str, Any]) -> None:
    vm(tree).update(adapter())
    web(tree)["vms"].append({**vm(tree), "name": "db-1", "port_groups": [{"name": "dmz", "address": "10.0.0.7/24"}]})
    assert len(validate(tree).vms) == 21
    web(tree)["vms"][-1]["port_groups"][0]["name"] = "lan"
    [(path, (code, message))] = mistakes(tree).items()
    assert (path, code) == ("photon_tenants[0].projects[0].vms[1].port_groups[0].address", "IpAddressInUse")
    assert "10.0.0.7 is the address of web-03" in message


def test_a_guest_has_one_default_route_per_ip_version(tree: dict[str, Any]) -> None:
    second = {"name": "dmz", "address": "10.9.0.[5:24]/24", "gateway": "10.9.0.1"}
    vm(tree)["port_groups"] = [{"name": "lan", "address": "10.0.0.[5:24]/24", "gateway": "10.0.0.1"}, second]
    assert list(mistakes(tree)) == [f"{VM}.port_groups[1].gateway"]
    vm(tree)["port_groups"][1] = {"name": "dmz", "address": "fd00::[5:24]/64", "gateway": "fd00::1"}
    assert [each["adapter"] for each in validate(tree).vms[0]["static"]] == [0, 1]


def test_a_boot_disk_has_two_forms(tree: dict[str, Any]) -> None:
    assert validate(tree).vms[0]["boot_disk_capacity"] is None
    vm(tree).update(boot_disk_flavor=None, boot_disk={"flavor": "core-100", "capacity": 40})
    [first, *_others] = validate(tree).vms
    assert (first["boot_disk_flavor"], first["boot_disk_capacity"]) == ("core-100", 40 << 30)


def test_all_mistakes_at_once(tree: dict[str, Any]) -> None:
    vm(tree)["flavor"] = "core-1000"
    vm(tree)["colour"] = "red"
    web(tree)["quota_percent"] = 101
    tree["photon_hosts"][0]["zone"] = "z"
    tree["photon_tenants"][0]["quota"]["vm.count"] = "4 GB"
    found = mistakes(tree)
    assert set(found) == {
        f"{VM}.flavor",
        f"{VM}.colour",
        "photon_tenants[0].projects[0].quota_percent",
        "photon_hosts[0].zone",
        "photon_tenants[0].quota.vm.count",
    }
    assert "did you mean 'core-100'?" in found[f"{VM}.flavor"][1]


@pytest.mark.parametrize(
    ("variable", "item", "path", "code"),
    [
        ("photon_endpoints", {"name": "v", "kind": "xen", "address": "x"}, "kind", "SpecInvalid"),
        ("photon_endpoints", {"name": "v"}, "address", "SpecInvalid"),
        ("photon_endpoints", {"name": "v", "address": "x", "port": 0}, "port", "SpecInvalid"),
        ("photon_endpoints", {"name": "v", "address": "x", "tls": {"verfy": True}}, "tls.verfy", "SpecInvalid"),
        ("photon_hosts", {"name": "h"}, "endpoint", "SpecInvalid"),
        ("photon_hosts", {"name": "h", "endpoint": "vc9"}, "endpoint", "EndpointNotFound"),
        ("photon_hosts", {"name": "h", "endpoint": "vc1", "zone": "q"}, "zone", "AvailabilityZoneNotFound"),
        ("photon_hosts", {"name": "h", "endpoint": "vc1", "usage_tags": []}, "usage_tags", "SpecInvalid"),
        ("photon_hosts", {"name": "h", "endpoint": "vc1", "usage_tags": ["cloud"]}, "usage_tags", "SpecInvalid"),
        ("photon_hosts", {"name": "h", "endpoint": "vc1", "cpu_overcommit": 0}, "cpu_overcommit", "SpecInvalid"),
        ("photon_hosts", {"name": "h[1:3]", "endpoint": "vc1", "address": "h[1:2].lab"}, "address", "SpecInvalid"),
        ("photon_hosts", {"name": "h", "endpoint": "vc1", "address": "esx01"}, "address", "DuplicateHost"),
        ("photon_hosts", {"name": "esx03", "endpoint": "vc1"}, "name", "NameTaken"),
        ("photon_datastores", {"name": "ds", "endpoint": "x"}, "endpoint", "EndpointNotFound"),
        ("photon_zones", {"name": "a"}, "name", "NameTaken"),
        ("photon_zones", {"name": "c", "dedicated_tenants": ["acmee"]}, "dedicated_tenants[0]", "TenantNotFound"),
        ("photon_flavors", {"name": "x", "kind": "disk", "cost": {"a": 1}}, "kind", "InvalidEntity"),
        ("photon_flavors", {"name": "x", "kind": "vm"}, "cost", "InvalidFlavorSpecification"),
        ("photon_flavors", {"name": "x", "kind": "vm", "cost": {}}, "cost", "InvalidFlavorSpecification"),
        ("photon_flavors", {"name": "x", "kind": "vm", "cost": {"vm.cpu": 1}}, "cost", "InvalidFlavorSpecification"),
        (
            "photon_flavors",
            {"name": "x", "kind": "vm", "cost": {"vm.cpu": "1 GB", "vm.memory": "1 GB"}},
            "cost.vm.cpu",
            "InvalidFlavorSpecification",
        ),
        ("photon_flavors", {"name": "fast", "kind": "ephemeral-disk", "cost": {"a": 1}}, "name", "NameTaken"),
        ("photon_images", {"name": "i", "file": "i.qcow2", "replication": "EAGER"}, "file", "UnsupportedImageFileType"),
        ("photon_images", {"name": "i", "file": "i.ova"}, "replication", "InvalidImageReplicationType"),
        (
            "photon_images",
            {"name": "i", "file": "i.ova", "replication": "LAZY"},
            "replication",
            "InvalidImageReplicationType",
        ),
        ("photon_images", {"name": "i", "replication": "EAGER"}, "file", "ImageUploadError"),
        ("photon_images", {"name": "debian-13", "file": "i.ova", "replication": "EAGER"}, "name", "NameTaken"),
        ("photon_tenants", {"name": "acme"}, "name", "NameTaken"),
        ("photon_tenants", {"name": "b", "security_groups": ["x"]}, "security_groups[0]", "InvalidSecurityGroupFormat"),
        ("photon_tenants", {"name": "b", "security_groups": "x"}, "security_groups", "InvalidSecurityGroupFormat"),
        ("photon_tenants", {"name": "b", "quota": []}, "quota", "SpecInvalid"),
        ("photon_tenants", {"name": "b", "quota": {"vm.memory": 4}}, "quota.vm.memory", "SpecInvalid"),
    ],
)
def test_one_mistake_in_an_item(
    tree: dict[str, Any], variable: str, item: dict[str, Any], path: str, code: str
) -> None:
    rows = tree.setdefault(variable, [])
    rows.append(item)
    found = mistakes(tree)
    assert list(found) == [f"{variable}[{len(rows) - 1}].{path}"]
    assert found[f"{variable}[{len(rows) - 1}].{path}"][0] == code


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("photon_tenants", {"name": "acme"}),
        ("photon_tenants", "acme"),
        ("photon_prune", "yes"),
        ("photon_max_deletes", -1),
        ("photon_site", "1"),
        ("photon_placement_policy", "random"),
        ("photon_placement_quality", "best"),
        ("photon_act_as", "bob"),
        ("photon_atomic", 3),
    ],
)
def test_wrong_variables(variable: str, value: object) -> None:
    assert variable in mistakes({variable: value})


def test_a_tree_that_is_not_a_mapping() -> None:
    with pytest.raises(PhotonError, match="must be a mapping"):
        validate([1])  # type: ignore[arg-type]


def test_duplicates_after_ranges(tree: dict[str, Any]) -> None:
    web(tree)["vms"].append({**vm(tree), "name": "web-[20:21]"})
    found = mistakes(tree)
    path = "photon_tenants[0].projects[0].vms[1].name"
    assert found == {path: ("NameTaken", f"'web-20' is already declared at {VM}")}


def test_a_range_that_repeats_itself(tree: dict[str, Any]) -> None:
    vm(tree)["name"] = "web-[1:11][1:11]"
    assert mistakes(tree)[f"{VM}.name"][0] == "NameTaken"


def test_a_project_that_comes_twice(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["projects"].append({"name": "web", "quota_percent": 1})
    assert mistakes(tree)["photon_tenants[0].projects[1].name"][0] == "NameTaken"


def test_a_persistent_flavor_makes_no_ephemeral_disk(tree: dict[str, Any]) -> None:
    tree["photon_flavors"].append({"name": "keep", "kind": "persistent", "cost": {"persistent-disk.cost": 1}})
    vm(tree)["disks"] = [{"name": "d", "flavor": "keep", "capacity": 4}]
    assert mistakes(tree)[f"{VM}.disks[0].flavor"][0] == "FlavorNotFound"


def test_equal_names_in_two_projects_are_fine(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["projects"].append({**copy.deepcopy(web(tree)), "name": "db"})
    assert len(validate(tree).vms) == 40


def test_flavors_share_a_name_across_kinds(tree: dict[str, Any]) -> None:
    tree["photon_flavors"].append({"name": "fast", "kind": "persistent-disk", "cost": {"persistent-disk.cost": 1}})
    assert len(validate(tree).flavors) == 2


def test_ranges_in_step(tree: dict[str, Any]) -> None:
    tree["photon_endpoints"].append({"name": "esx[11:12]", "kind": "esxi", "address": "10.0.0.[11:12]"})
    tree["photon_hosts"].append({"name": "edge[11:12]", "endpoint": "esx[11:12]", "zone": "b"})
    site = validate(tree)
    assert [(e["name"], e["address"], e["credential"]) for e in site.endpoints[1:]] == [
        ("esx11", "10.0.0.11", "esx11"),
        ("esx12", "10.0.0.12", "esx12"),
    ]
    assert [(h["name"], h["endpoint"]) for h in site.hosts[4:]] == [("edge11", "esx11"), ("edge12", "esx12")]


def test_quota_or_percent(tree: dict[str, Any]) -> None:
    web(tree)["quota"] = dict(tree["photon_tenants"][0]["quota"])
    assert mistakes(tree)["photon_tenants[0].projects[0].quota_percent"][0] == "SpecInvalid"


def test_percents_above_a_hundred(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["projects"] += [{"name": "db", "quota_percent": 51}]
    assert mistakes(tree)["photon_tenants[0].projects"][0] == "QuotaError"


def test_limits_above_the_tenants(tree: dict[str, Any]) -> None:
    quota = {**tree["photon_tenants"][0]["quota"], "vm.count": 51}
    tree["photon_tenants"][0]["projects"] += [
        {"name": "db", "quota": {**dict.fromkeys(quota, "0 GB"), "vm.count": 51, "vm.cpu": 1}}
    ]
    assert mistakes(tree) == {
        "photon_tenants[0].quota.vm.count": ("QuotaError", "the projects' limits add up to 101, the tenant's is 100")
    }


def test_limits_equal_to_the_tenants(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["projects"] += [{"name": "db", "quota_percent": 50}]
    validate(tree)


def test_a_project_limits_every_key_of_its_tenant(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["projects"] += [{"name": "db", "quota": {"vm.count": 1}}]
    code, message = mistakes(tree)["photon_tenants[0].projects[1].quota"]
    assert code == "InvalidResourceTicketSubdivide"
    assert "vm.cpu, vm.memory, ephemeral-disk.capacity" in message


def test_a_new_project_without_quota_below_limits(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["projects"] += [{"name": "db"}]
    assert mistakes(tree)["photon_tenants[0].projects[1].quota"][0] == "InvalidResourceTicketSubdivide"
    known = Known()
    known.projects.add(("acme", "db"))
    validate(tree, known)


def test_quota_key_in_two_places(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["quota_exclude"] = ["vm.cpu"]
    assert "photon_tenants[0].quota_exclude" in mistakes(tree)


def test_a_limit_that_nothing_is_charged_for(tree: dict[str, Any]) -> None:
    tree["photon_tenants"] = [{"name": "acme", "quota": {"vm.memroy": "4 GB"}}]
    [warning] = validate(tree).warnings
    assert warning == (
        "photon_tenants[0].quota.vm.memroy: no flavor of this declaration is charged for vm.memroy, so it limits "
        "nothing; did you mean 'vm.memory'?"
    )


def test_absent_things_need_no_more_than_their_name() -> None:
    site = validate(
        {
            "photon_endpoints": [{"name": "vc", "state": "absent"}],
            "photon_hosts": [{"name": "h", "state": "absent"}],
            "photon_images": [{"name": "i", "state": "absent"}],
            "photon_flavors": [{"name": "f", "kind": "vm", "state": "absent"}],
            "photon_tenants": [
                {
                    "name": "t",
                    "projects": [{"name": "p", "state": "absent", "vms": [{"name": "v-[1:3]", "state": "absent"}]}],
                }
            ],
        }
    )
    assert [v["state"] for v in site.vms] == ["absent"] * 3


def test_nothing_lives_in_what_is_absent(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["state"] = "absent"
    assert mistakes(tree)["photon_tenants[0].projects[0].state"][0] == "ContainerNotEmpty"
    tree["photon_tenants"][0]["state"] = "present"
    web(tree)["state"] = "absent"
    assert mistakes(tree)[f"{VM}.state"][0] == "ContainerNotEmpty"


def test_absent_things_cannot_be_referred_to(tree: dict[str, Any]) -> None:
    vm(tree)["zone"] = "b"
    tree["photon_zones"][1]["state"] = "absent"
    tree["photon_images"][0]["state"] = "absent"
    assert {path: code for path, (code, _) in mistakes(tree).items()} == {
        f"{VM}.zone": "AvailabilityZoneNotFound",
        f"{VM}.image": "ImageNotFound",
    }


def test_zone_of_another_tenant(tree: dict[str, Any]) -> None:
    tree["photon_tenants"].append({"name": "umbrella"})
    tree["photon_zones"][1]["dedicated_tenants"] = ["umbrella"]
    vm(tree)["zone"] = "b"
    assert mistakes(tree)[f"{VM}.zone"][0] == "UnfullfillableAffinities"


def test_a_project_image_is_for_its_project_alone(tree: dict[str, Any]) -> None:
    web(tree)["images"] = [{"name": "own", "file": "own.vmdk", "replication": "ON_DEMAND"}]
    vm(tree)["image"] = "own"
    site = validate(tree)
    assert [(i["project"], i["file_type"]) for i in site.images] == [("", "OVA"), ("web", "VMDK")]
    tree["photon_tenants"][0]["projects"].append({"name": "db", "quota_percent": 1, "vms": [{**vm(tree)}]})
    assert mistakes(tree) == {
        "photon_tenants[0].projects[1].vms[0].image": ("ImageNotFound", "no image is named 'own'; known: debian-13")
    }


IMAGE_URL = "https://images.example.org/debian.ova?build=7"
CHECKSUM = f"sha256:{'A' * 64}"


def test_an_image_from_a_url(tree: dict[str, Any]) -> None:
    tree["photon_images"][0] = {
        "name": "debian-13", "url": IMAGE_URL, "checksum": CHECKSUM, "ca_file": "ca.pem", "replication": "EAGER"
    }  # fmt: skip
    image = validate(tree).images[0]
    assert (image["file_type"], image["file"], image["ca_file"]) == ("OVA", None, "ca.pem")
    assert image["checksum"] == CHECKSUM.lower()


@pytest.mark.parametrize(
    ("keys", "key", "code", "words"),
    [
        ({}, "file", "ImageUploadError", "missing: name the image's file, or its url with a checksum"),
        ({"flie": "a.ova"}, "flie", "SpecInvalid", "did you mean 'file'?"),
        ({"url": IMAGE_URL}, "checksum", "ImageUploadError", "missing: the digest of"),
        ({"url": IMAGE_URL, "checksum": "md5:" + "a" * 32}, "checksum", "ImageUploadError", "64 hexadecimal digits"),
        ({"url": IMAGE_URL, "checksum": CHECKSUM + "\n"}, "checksum", "ImageUploadError", "64 hexadecimal digits"),
        ({"url": "http://h/a.ova", "checksum": CHECKSUM}, "url", "ImageUploadError", "must begin with https://"),
        ({"url": "https://u:p@h/a.ova", "checksum": CHECKSUM}, "url", "ImageUploadError", "has a user or a password"),
        ({"url": "https://:p@h/a.ova", "checksum": CHECKSUM}, "url", "ImageUploadError", "has a user or a password"),
        ({"url": "https:///a.ova", "checksum": CHECKSUM}, "url", "ImageUploadError", "write https://HOST/PATH"),
        ({"url": "https://[h/a.ova", "checksum": CHECKSUM}, "url", "ImageUploadError", "write https://HOST/PATH"),
        ({"url": "https://h:99999/a.ova", "checksum": CHECKSUM}, "url", "ImageUploadError", "write https://HOST/PATH"),
        ({"url": "https://h/a.qcow2", "checksum": CHECKSUM}, "url", "UnsupportedImageFileType", "must end in .ova"),
        ({"url": "https://h/a.ovf", "checksum": CHECKSUM}, "url", "ImageUploadError", "pack them as an OVA"),
        ({"url": "https://h/a.iso", "checksum": CHECKSUM}, "url", "InvalidEntity", "an ISO makes no boot disk"),
        ({"file": "a.iso"}, "file", "InvalidEntity", "an ISO makes no boot disk"),
        ({"file": "a.ova", "url": IMAGE_URL, "checksum": CHECKSUM}, "url", "ImageUploadError", "remove one of the two"),
        ({"file": "a.ova", "checksum": CHECKSUM}, "checksum", "ImageUploadError", "has no effect without url"),
        ({"file": "a.ova", "ca_file": "ca.pem"}, "ca_file", "ImageUploadError", "has no effect without url"),
    ],
)
def test_image_sources_that_cannot_be(
    tree: dict[str, Any], keys: dict[str, str], key: str, code: str, words: str
) -> None:
    tree["photon_images"][0] = {"name": "debian-13", "replication": "EAGER", **keys}
    [(path, said)] = mistakes(tree).items()
    assert (path, said[0]) == (f"photon_images[0].{key}", code)
    assert words in said[1]


def test_what_the_cloudstore_knows_can_be_referred_to(tree: dict[str, Any]) -> None:
    tenant = Document("tenant", "old")
    project = Document("project", "p", tenant.id)
    known = Known.of(
        [
            tenant,
            project,
            Document("zone", "z"),
            Document("endpoint", "vc9"),
            Document("host", "h"),
            Document("flavor", "big", "vm"),
            Document("image", "all"),
            Document("image", "own", project.id),
        ]
    )
    assert known.projects == {("old", "p")}
    assert known.images == {("", "", "all"), ("old", "p", "own")}
    vm(tree).update(zone="z", flavor="big", image="all")
    tree["photon_hosts"][0]["endpoint"] = "vc9"
    validate(tree, known)


def test_6400_vms_of_one_range_make_one_mistake(tree: dict[str, Any]) -> None:
    tree["photon_tenants"][0]["quota"]["vm.count"] = 6400
    vm(tree).update(name="web-[0001:6400]", flavor="core-101")
    assert list(mistakes(tree)) == [f"{VM}.flavor"]
    vm(tree)["flavor"] = "core-100"
    assert len(validate(tree).vms) == 6400


def test_a_long_list_of_mistakes_is_cut_in_the_message_alone() -> None:
    with pytest.raises(PhotonError) as caught:
        validate({"photon_zones": [{"name": f"{n}"} for n in range(80)]})
    assert len(caught.value.data["mistakes"]) == 80
    assert "80 mistakes" in caught.value.message
    assert "and 30 more" in caught.value.message


def test_connection_variables_are_not_part_of_the_plan() -> None:
    site = validate(
        {"photon_credentials": {"vc1": {"username": "u", "password": "p"}}, "photon_cloudstore_url": "sqlite:////x"}
    )
    assert not {"credentials", "cloudstore_url"} & set(site.settings)


SECRET = "s3cret-word"


@pytest.mark.parametrize(
    ("metadata", "path"),
    [
        (SECRET, ""),
        ([SECRET], ""),
        ({"user_data": [SECRET]}, ".user_data"),
        ({"user_data": {"password": SECRET}}, ".user_data"),
        ({"meta_data": SECRET}, ".meta_data"),
        ({"environment": SECRET}, ".environment"),
        ({"environment": {"TOKEN": [SECRET]}}, ".environment.TOKEN"),
    ],
)
def test_mistakes_in_metadata_do_not_show_its_values(tree: dict[str, Any], metadata: Any, path: str) -> None:
    vm(tree)["metadata"] = metadata
    with pytest.raises(PhotonError) as caught:
        validate(tree)
    assert SECRET not in caught.value.message + str(caught.value.data)
    assert {row["path"] for row in caught.value.data["mistakes"]} == {f"{VM}.metadata{path}"}
    assert "must be" in caught.value.message


@pytest.mark.parametrize(
    ("credentials", "path"),
    [
        (SECRET, "photon_credentials"),
        ([SECRET], "photon_credentials"),
        ({"vc1": SECRET}, "photon_credentials.vc1"),
        ({"vc1": [SECRET]}, "photon_credentials.vc1"),
        ({"vc1": {SECRET: None}}, "photon_credentials.vc1"),
    ],
)
def test_mistakes_in_credentials_do_not_show_their_values(credentials: Any, path: str) -> None:
    with pytest.raises(PhotonError) as caught:
        validate({"photon_credentials": credentials})
    assert SECRET not in caught.value.message + str(caught.value.data)
    assert [row["path"] for row in caught.value.data["mistakes"]] == [path]


@pytest.mark.parametrize("text", ["a\x00", "\x08", "\x1b[31m", "\ud800", "\uffff"])
def test_characters_that_vsphere_cannot_store(tree: dict[str, Any], text: str) -> None:
    vm(tree).update(
        tags=[text], metadata={"user_data": text, "meta_data": {"a": [{text: 1}]}, "environment": {"a": text}}
    )
    tree["photon_hosts"][0]["rack"] = text
    found = mistakes(tree)
    assert set(found) == {
        f"{VM}.tags", f"{VM}.metadata.user_data", f"{VM}.metadata.meta_data", f"{VM}.metadata.environment",
        "photon_hosts[0].rack",
    }  # fmt: skip
    shown = f"U+{ord(text.strip('a')[0]):04X}"
    assert all(shown in message for _code, message in found.values())


@pytest.mark.parametrize(
    "text", ["a\nb\tc", "'; DROP TABLE vms; --", "100%/\\", "\u202eabc", "{{ x }}", "<a>&", "日本語 🙂"]
)
def test_any_other_text_is_taken_as_it_is(tree: dict[str, Any], text: str) -> None:
    vm(tree).update(tags=[text], metadata={"user_data": text})
    site = validate(tree)
    assert (site.vms[0]["tags"], site.vms[0]["metadata"]["user_data"]) == ([text], text)


def test_values_that_are_not_secret_are_shown(tree: dict[str, Any]) -> None:
    vm(tree)["zone"] = ["here"]
    assert "['here']" in mistakes(tree)[f"{VM}.zone"][1]


@pytest.mark.parametrize("key", ["photon_max_recreates", "photon_max_deletes"])
def test_limits_of_a_run_are_not_negative(key: str) -> None:
    assert mistakes({key: -1})[key] == ("SpecInvalid", "-1 is out of range: at least 0")
    assert validate({key: 0}).settings[key.removeprefix("photon_")] == 0


@pytest.mark.parametrize(("policy", "quality"), [("spread", "normal"), ("pack", "optimal"), ("photon", "normal")])
def test_placement_settings(policy: str, quality: str) -> None:
    settings = validate({"photon_placement_policy": policy, "photon_placement_quality": quality}).settings
    assert (settings["placement_policy"], settings["placement_quality"]) == (policy, quality)
    assert "photon_placement_quality" in mistakes({"photon_placement_quality": "best"})


def test_a_vm_may_be_registered_again(tree: dict[str, Any]) -> None:
    assert validate(tree).vms[0]["register"] is False
    vm(tree)["register"] = True
    assert validate(tree).vms[0]["register"] is True


def test_a_vm_flavor_has_no_storage_policy() -> None:
    flavor = {"name": "fast", "kind": "vm", "cost": {"vm.cpu": 1, "vm.memory": "1 GB"}, "storage_policy": "gold"}
    assert mistakes({"photon_flavors": [flavor]}) == {
        "photon_flavors[0].storage_policy": (
            "InvalidFlavorSpecification",
            "a vm flavor has no storage policy: set it on the flavors of its disks",
        )
    }
