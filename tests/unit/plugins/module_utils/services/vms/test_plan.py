# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMs as a plan: what it makes of a declaration, of the records and of what the endpoints show."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState

from tests.support import diskimages
from tests.support.datacenter import changes, failures

GB = 1 << 30
SITE = r"""
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}, {name: b}]
photon_hosts: [{name: esx01, endpoint: vc1, zone: a, tags: [gpu]}, {name: esx02, endpoint: vc1, zone: b}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_flavors:
  - {name: on-local, kind: ephemeral-disk, cost: {storage.LOCAL_VMFS: 1}}
  - {name: on-moon, kind: ephemeral-disk, cost: {storage.moon: 1}}
photon_tenants:
  - name: acme
    security_groups: ['photon\acme-admins']
    projects:
      - name: web
        security_groups: ['photon\web']
        quota: {vm.count: 4}
"""
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}
USER = Actor("cat@photon", frozenset({r"photon\web"}))


@pytest.fixture
def cloud(datacenter):
    plan = datacenter.apply(SITE)
    assert failures(plan) == {}
    return datacenter


def declare(cloud, actor: Actor | None = None, **keys):
    """Plan and take as done one item of the module vm, new VMs with image and flavors."""
    item = {"name": "web-01", **keys}
    return cloud.items("vm", [item], *([actor] if actor else []))


def refused(plan) -> PhotonError:
    [failure] = plan.failures
    return failure.error


def vm(cloud, name: str = "web-01") -> Document:
    return cloud.find(entities.VM, f"acme/web/{name}")


# -- creation ----------------------------------------------------------------------------------------------------


def test_a_new_vm_is_stopped(cloud) -> None:
    plan = declare(cloud, **VM)
    [action] = plan.of(entities.VM)
    assert (action.verb, action.steps, action.after["state"]) == ("create", ("CREATE_VM",), "STOPPED")
    assert changes(declare(cloud, **VM)) == []
    assert cloud.row("acme/web/web-01").power_state == "poweredOff"


def test_a_replica_added_later_avoids_the_hosts_of_the_others_though_they_are_emptier(cloud) -> None:
    declare(cloud, name="web-01", **VM)
    hosts = {cloud.find(entities.HOST, name).id: zone for name, zone in (("esx01", "a"), ("esx02", "b"))}
    first = vm(cloud).observed["host"]
    [(other, zone)] = [(host, zone) for host, zone in hosts.items() if host != first]
    declare(cloud, name="db-[1:2]", zone=zone, **VM)
    declare(cloud, name="web-02", **VM)
    assert vm(cloud, "web-02").observed["host"] == other


@pytest.mark.parametrize(
    ("state", "operations"),
    [("started", ["CREATE_VM", "START_VM"]), ("suspended", ["CREATE_VM", "START_VM", "SUSPEND_VM"])],
)
def test_a_new_vm_gets_the_state_that_is_asked(cloud, state: str, operations: list[str]) -> None:
    assert list(declare(cloud, state=state, **VM).of(entities.VM)[0].steps) == operations


def test_the_document_has_all_that_was_asked(cloud) -> None:
    disks = [{"name": "data", "flavor": "core-200", "capacity": "40 GB"}]
    declare(cloud, disks=disks, tags=["front"], **VM)
    body = vm(cloud).body
    assert (body["vcpus"], body["memory"], body["tags"], body["port_groups"]) == (1, 2 * GB, ["front"], ["VM Network"])
    assert [(d["name"], d["boot"], d["kind"]) for d in body["disks"]] == [
        ("boot-disk", True, "ephemeral-disk"),
        ("data", False, "ephemeral-disk"),
    ]
    assert body["disks"][0]["capacity"] == cloud.find(entities.IMAGE, "debian").body["size"]


def test_a_vm_is_charged_with_its_disks(cloud) -> None:
    declare(cloud, disks=[{"name": "data", "flavor": "core-200", "capacity": "40 GB"}], **VM)
    image = cloud.find(entities.IMAGE, "debian").body["size"]
    assert cloud.usage("acme/web") == {
        "vm": 1,
        "vm.count": 1,
        "vm.cpu": 1,
        "vm.memory": 2 * GB,
        "vm.cost": 1000,
        "vm.flavor.core-100": 1,
        "ephemeral-disk": 2,
        "ephemeral-disk.count": 2,
        "ephemeral-disk.cost": 2800,
        "ephemeral-disk.flavor.core-100": 1,
        "ephemeral-disk.flavor.core-200": 1,
        "ephemeral-disk.capacity": image + 40 * GB,
    }
    declare(cloud, state="absent")
    assert cloud.usage("acme/web") == {}


def test_quota_fails_the_items_it_hits_in_list_order(cloud) -> None:
    plan = cloud.items("vm", [{"name": "web-[1:6]", **VM}])
    assert failures(plan) == {"acme/web/web-5": "QuotaError", "acme/web/web-6": "QuotaError"}
    assert refused_data(plan) == {"key": "vm.count", "limit": 4, "usage": 4, "newUsage": 5}
    assert cloud.usage("acme/web")["vm.count"] == 4


def refused_data(plan) -> dict:
    data = plan.failures[0].error.data
    return {key: data[key] for key in ("key", "limit", "usage", "newUsage")}


def test_a_vm_without_a_place_is_not_charged(cloud) -> None:
    plan = declare(cloud, host_tags=["fpga"], **VM)
    assert refused(plan).code == "NoSuchResource"
    assert cloud.usage("acme/web") == {}


@pytest.mark.parametrize(
    ("leave_out", "code"),
    [("boot_disk_flavor", "InvalidEntity"), ("image", "SpecInvalid"), ("flavor", "SpecInvalid")],
)
def test_what_a_new_vm_needs(cloud, leave_out: str, code: str) -> None:
    assert refused(declare(cloud, **{k: v for k, v in VM.items() if k != leave_out})).code == code


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"flavor": "none"}, "FlavorNotFound"),
        ({"image": "none"}, "ImageNotFound"),
        ({"boot_disk_flavor": "core-285"}, "FlavorNotFound"),
        ({"flavor": "core-285"}, "NotEnoughMemoryResource"),
        ({"disks": [{"name": "d", "flavor": "core-100", "capacity": "2000 GB"}]}, "NotEnoughDatastoreCapacity"),
        ({"boot_disk_flavor": "on-moon"}, "NoConstraintMatchingDatastore"),
        ({"port_groups": ["elsewhere"]}, "NoSuchResource"),
    ],
)
def test_why_a_vm_is_not_made(cloud, change: dict, code: str) -> None:
    for host in cloud.endpoints["vc1"].hosts.values():
        host.memory = 32 * GB
    assert refused(declare(cloud, **{**VM, **change})).code == code


def test_not_enough_cpus(cloud) -> None:
    for row in cloud.endpoints["vc1"].hosts.values():
        row.cores = 4
    cloud.items("host", [{"name": "esx01", "cpu_overcommit": 1}, {"name": "esx02", "cpu_overcommit": 1.5}])
    assert refused(declare(cloud, **{**VM, "flavor": "core-280"})).code == "NotEnoughCpuResource"


def test_zone_and_host_tags_and_port_groups_choose_the_host(cloud) -> None:
    def host_of(**keys) -> str:
        declare(cloud, state="absent")
        return declare(cloud, **VM, **keys).of(entities.VM, "create")[0].after["host"]

    assert host_of(zone="b") == "esx02"
    assert host_of(host_tags=["gpu"]) == "esx01"
    cloud.endpoints["vc1"].hosts["host-esx02"].networks.append("dmz")
    assert host_of(port_groups=["dmz"]) == "esx02"


def test_storage_key_chooses_the_datastore(cloud) -> None:
    plan = declare(cloud, **{**VM, "boot_disk_flavor": "on-local"})
    if plan.failures:  # the image was brought to the shared datastore alone
        assert refused(plan).code == "NoSuchResource"
        cloud.apply(SITE + "photon_image_datastores: [local, shared]")
        plan = declare(cloud, **{**VM, "boot_disk_flavor": "on-local"})
    assert plan.of(entities.VM, "create")[0].after["datastore"] == "local"


def test_a_flavor_that_goes_takes_nothing_new(cloud) -> None:
    declare(cloud, **VM)
    cloud.items("flavor", [{"name": "core-100", "kind": "vm", "state": "absent"}])
    plan = cloud.items("vm", [{"name": "web-02", **VM}])
    assert refused(plan).code == "InvalidFlavorState"
    assert failures(declare(cloud, **VM)) == {}  # who has it keeps it


def test_management_hosts_get_no_vm(cloud) -> None:
    cloud.items("host", [{"name": "esx01", "usage_tags": ["MGMT"]}, {"name": "esx02", "usage_tags": ["MGMT"]}])
    assert refused(declare(cloud, **VM)).code == "NoSuchResource"
    cloud.items("host", [{"name": "esx02", "usage_tags": ["MGMT", "CLOUD"]}])
    assert declare(cloud, **VM).of(entities.VM)[0].after["host"] == "esx02"


@pytest.mark.parametrize("state", ["suspended", "maintenance"])
def test_hosts_that_are_not_ready_get_no_vm(cloud, state: str) -> None:
    cloud.items("host", [{"name": "esx01", "state": state}])
    cloud.endpoints["vc1"].hosts["host-esx01"].in_maintenance = state == "maintenance"
    cloud.counters.clear()
    plan = cloud.items("vm", [{"name": "web-[1:4]", **VM}])
    assert {action.after["host"] for action in plan.of(entities.VM)} == {"esx02"}


def test_a_zone_is_for_its_tenants(cloud) -> None:
    cloud.apply(SITE.replace("{name: a}", "{name: a, dedicated_tenants: [other]}") + "  - name: other\n")
    plan = cloud.items("vm", [{"name": "web-[1:4]", **VM}])
    assert {action.after["zone"] for action in plan.of(entities.VM)} == {"b"}


def test_vms_apart_on_two_hosts(cloud) -> None:
    apart = [{"name": "g", "level": "host", "hard": True}]
    plan = cloud.items("vm", [{"name": "web-[1:3]", "anti_affinity": apart, **VM}])
    assert [failure.error.code for failure in plan.failures] == ["UnfullfillableAffinities"]
    assert {action.after["host"] for action in plan.of(entities.VM)} == {"esx01", "esx02"}


def test_vms_together(cloud) -> None:
    together = [{"name": "g", "level": "host", "hard": True}]
    plan = cloud.items("vm", [{"name": "web-[1:4]", "affinity": together, **VM}])
    assert len({action.after["host"] for action in plan.of(entities.VM)}) == 1


def test_guest_data_is_kept_as_a_digest_alone(cloud) -> None:
    declare(cloud, metadata={"environment": {"COLOUR": "sesame"}, "user_data": "#cloud-config sesame"}, **VM)
    assert "sesame" not in str(vm(cloud).body)
    plan = declare(cloud, metadata={"environment": {"COLOUR": "other"}}, **VM)
    assert plan.of(entities.VM)[0].changes == ["metadata"]
    assert "other" not in str(plan.of(entities.VM)[0].after)


def test_names_may_repeat_across_projects_and_outside(cloud) -> None:
    cloud.vm("vc1", "web-01", "someone-elses", "host-esx01", folder="group-v1")
    assert failures(declare(cloud, **VM)) == {}


def test_equal_names_in_one_project_are_distinguished_by_id() -> None:
    state = CurrentState([Document(entities.VM, "web-01", "p"), Document(entities.VM, "web-01", "p")])
    with pytest.raises(PhotonError, match="say which by id"):
        state.find(entities.VM, "p", "web-01")


def test_a_vm_in_error_keeps_its_quota_until_it_is_deleted(cloud) -> None:
    declare(cloud, **VM)
    index = next(i for i, d in enumerate(cloud.documents) if d.kind == entities.VM)
    cloud.documents[index] = replace(cloud.documents[index], state="ERROR")
    cloud.items("vm", [{"name": "web-02", **VM}])
    assert cloud.usage("acme/web")["vm.count"] == 2
    declare(cloud, state="absent")
    assert cloud.usage("acme/web")["vm.count"] == 1


def test_the_environment_is_passed_into_the_vm(cloud) -> None:
    plan = declare(cloud, metadata={"environment": {"COLOUR": "blue"}}, **VM)
    [action] = plan.of(entities.VM)
    assert action.desired.guest_keys()["guestinfo.environment.COLOUR"] == "blue"


def test_what_cannot_be_made_is_why_a_vm_is_not(datacenter) -> None:
    (datacenter.directory / "debian.ova").write_bytes(b"broken")
    plan = datacenter.apply(
        SITE + "        vms: [{name: web-01, flavor: core-100, image: debian, boot_disk_flavor: core-100}]\n"
    )
    assert failures(plan) == {"debian": "UnsupportedImageFileType", "acme/web/web-01": "DependencyFailed"}
    assert "image debian cannot be created" in plan.failures[-1].error.message


def test_a_vm_of_a_project_that_is_refused(cloud) -> None:
    text = SITE.replace("- name: web\n", "- name: new\n").replace("quota: {vm.count: 4}", "quota_percent: 4")
    plan = cloud.apply(
        text + "        vms: [{name: web-01, flavor: core-100, image: debian, boot_disk_flavor: core-100}]\n"
    )
    assert failures(plan) == {
        "acme/new": "InvalidResourceTicketSubdivide",
        "acme/new/web-01": "DependencyFailed",
    }


# -- places of a saved plan ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "store", "outcome"),
    [
        ("esx01", "shared", None),
        ("esx01", "gone", "DatastoreNotFound"),
        ("esx02", "local", "DatastoreNotFound"),
        ("esx09", "shared", "HostNotFound"),
    ],
)
def test_a_place_of_a_saved_plan_is_used_or_the_vm_fails(cloud, host: str, store: str, outcome: str | None) -> None:
    text = SITE + "        vms: [{name: web-01, flavor: core-100, image: debian, boot_disk_flavor: core-100}]\n"
    plan = cloud.plan(text, pinned={"acme/web/web-01": {"host_name": host, "datastore_name": store}}).plan
    assert failures(plan) == ({"acme/web/web-01": outcome} if outcome else {})
    assert [action.after["host"] for action in plan.of(entities.VM)] == ([] if outcome else [host])


# -- power -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "state", "operations"),
    [
        ("STOPPED", "started", ["START_VM"]),
        ("STOPPED", "suspended", ["START_VM", "SUSPEND_VM"]),
        ("STOPPED", "stopped", []),
        ("STARTED", "stopped", ["STOP_VM"]),
        ("STARTED", "suspended", ["SUSPEND_VM"]),
        ("STARTED", "started", []),
        ("SUSPENDED", "started", ["RESUME_VM"]),
        ("SUSPENDED", "stopped", ["STOP_VM"]),
        ("SUSPENDED", "present", []),
        ("STARTED", "present", []),
    ],
)
def test_power(cloud, before: str, state: str, operations: list[str]) -> None:
    declare(cloud, **VM)
    cloud.row("acme/web/web-01").power_state = {
        "STARTED": "poweredOn",
        "STOPPED": "poweredOff",
        "SUSPENDED": "suspended",
    }[before]
    [action] = declare(cloud, state=state).of(entities.VM)
    assert action.verb == ("update" if operations else "keep")
    assert not operations or list(action.steps) == operations


# -- deletion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", ["poweredOn", "suspended"])
def test_a_running_vm_is_not_deleted(cloud, power: str) -> None:
    declare(cloud, **VM)
    cloud.row("acme/web/web-01").power_state = power
    assert refused(declare(cloud, state="absent")).code == "InvalidVmState"
    assert cloud.usage("acme/web")["vm.count"] == 1
    [action] = declare(cloud, state="absent", force=True).of(entities.VM)
    assert (action.verb, action.power_off) == ("delete", True)


def test_a_stopped_vm_is_deleted(cloud) -> None:
    declare(cloud, **VM)
    assert changes(declare(cloud, state="absent")) == [("delete", "acme/web/web-01")]
    assert changes(declare(cloud, state="absent")) == []


def test_a_protected_vm_is_not_deleted(cloud) -> None:
    declare(cloud, deletion_protection=True, **VM)
    assert refused(declare(cloud, state="absent", force=True)).code == "DeletionProtected"


# -- VMs that no item names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("template", "host"), [(False, "esx02"), (True, "esx01")])
def test_a_vm_that_moved_is_followed_unless_it_was_made_a_template(cloud, template: bool, host: str) -> None:
    declare(cloud, zone="a", **VM)
    row = cloud.row("acme/web/web-01")
    row.host, row.template = "host-esx02", template
    plan = cloud.items("vm", [{"name": "web-02", **VM}])
    state = CurrentState(cloud.documents)
    assert state.must(vm(cloud).observed["host"]).name == host
    assert (vm(cloud).id in plan.observed) == (not template)


@pytest.mark.parametrize(("in_maintenance", "host"), [(False, "esx01"), (True, "esx02")])
def test_an_unfinished_vm_goes_elsewhere_when_its_place_cannot_be_used(cloud, in_maintenance: bool, host: str) -> None:
    declare(cloud, host_tags=["gpu"], **VM)
    cloud.endpoints["vc1"].hosts["host-esx01"].in_maintenance = in_maintenance
    row = cloud.row("acme/web/web-01")
    del cloud.endpoints["vc1"].vms[row.moid], cloud.endpoints["vc1"].vms_by_uuid[row.uuid]
    index = next(i for i, d in enumerate(cloud.documents) if d.kind == entities.VM)
    cloud.documents[index] = replace(cloud.documents[index], state="ERROR")
    cloud.documents[index].observed["vsphere"]["vmx"] = None
    assert declare(cloud, host_tags=[], **VM).of(entities.VM)[0].after["host"] == host


# -- what cannot change ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"boot_disk_flavor": "core-200"},
        {"disks": [{"name": "new", "flavor": "core-100", "capacity": 4}]},
        {"image": "other"},
    ],
)
def test_what_is_set_when_a_vm_is_made(cloud, change: dict) -> None:
    diskimages.ova(cloud.directory / "other.ova", b"other")
    cloud.items("image", [{"name": "other", "file": "other.ova", "replication": "ON_DEMAND"}])
    declare(cloud, **VM)
    assert refused(declare(cloud, **{**VM, **change})).code == "UpdateNotSupported"


def test_a_larger_flavor_is_charged(cloud) -> None:
    declare(cloud, **VM)
    plan = declare(cloud, **{**VM, "flavor": "core-200"})
    reconfigure = plan.of(entities.VM)[0].reconfigure
    assert (reconfigure.vcpus, reconfigure.memory) == (2, 4 * GB)
    assert cloud.usage("acme/web").get("vm.cpu") == 2


def test_creates_and_updates_claim_what_the_vm_will_hold(cloud) -> None:
    for flavor, vcpus in (("core-100", 1), ("core-200", 2)):
        [action] = declare(cloud, **{**VM, "flavor": flavor}).of(entities.VM)
        assert action.claim is not None
        amounts = action.claim.amounts
        assert amounts[cloud.find(entities.PROJECT, "acme/web").id]["vm.cpu"] == vcpus
        assert amounts[action.vm.place.host] == {"vcpus": vcpus, "memory": 2 * vcpus * GB}
        assert len(action.claim.exclusive) == 1


def test_a_larger_flavor_beyond_the_quota(cloud) -> None:
    declare(cloud, **VM)
    cloud.items("tenant", [{"name": "acme"}])
    cloud.apply(SITE.replace("{vm.count: 4}", "{vm.count: 4, vm.cpu: 1}"))
    assert refused(declare(cloud, **{**VM, "flavor": "core-200"})).code == "QuotaError"
    assert cloud.usage("acme/web")["vm.cpu"] == 1


def beyond_quota(cloud, key: str) -> None:
    """The limit of a project is below its usage, as verify reports it."""
    cloud.counters[cloud.find(entities.PROJECT, "acme/web").id][key].limit = 1


def test_a_smaller_flavor_in_a_project_beyond_its_quota(cloud) -> None:
    cloud.items("vm", [{"name": "web-[1:2]", **VM, "flavor": "core-200"}])
    beyond_quota(cloud, "vm.cpu")
    plan = cloud.items("vm", [{"name": "web-1", **VM}])
    assert [action.verb for action in plan.of(entities.VM)] == ["update"]
    assert cloud.usage("acme/web")["vm.cpu"] == 3


def test_a_refused_item_in_a_project_beyond_its_quota(cloud) -> None:
    cloud.items("vm", [{"name": "web-[1:2]", **VM}])
    beyond_quota(cloud, "vm.cpu")
    plan = cloud.items("vm", [{"name": "web-1", **VM, "flavor": "core-200"}, {"name": "web-3", **VM}])
    assert failures(plan) == {"acme/web/web-1": "QuotaError", "acme/web/web-3": "QuotaError"}
    assert cloud.usage("acme/web")["vm.cpu"] == 2


def test_an_unfinished_vm_without_a_place_in_a_project_beyond_its_quota(cloud) -> None:
    cloud.items("vm", [{"name": "web-[1:2]", **VM}])
    beyond_quota(cloud, "vm.cpu")
    index = next(i for i, d in enumerate(cloud.documents) if d.name == "web-1")
    cloud.documents[index] = replace(cloud.documents[index], state="ERROR", observed={})
    plan = cloud.items("vm", [{"name": "web-1", "host_tags": ["fpga"], **VM}])
    assert failures(plan) == {"acme/web/web-1": "NoSuchResource"}
    assert cloud.usage("acme/web")["vm.cpu"] == 2


# -- who may -----------------------------------------------------------------------------------------------------


def test_project_users_run_their_vms(cloud) -> None:
    assert failures(declare(cloud, USER, **VM)) == {}
    assert failures(declare(cloud, USER, state="started")) == {}
    assert failures(declare(cloud, USER, state="absent", force=True)) == {}


@pytest.mark.parametrize("keys", [{"state": "started"}, {"state": "absent"}, {**VM, "name": "web-02"}])
def test_others_do_not(cloud, keys: dict) -> None:
    declare(cloud, **VM)
    assert refused(declare(cloud, Actor("dan@photon", frozenset({r"photon\db"})), **keys)).code == "AccessForbidden"
