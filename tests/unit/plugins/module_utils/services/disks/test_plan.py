# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks as a plan: what it makes of a declaration, of the records and of what the endpoints show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.disks.record import Disk
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import DiskRow

from tests.support.datacenter import changes, failures

GB = 1 << 30
SITE = r"""
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}]
photon_hosts: [{name: esx01, endpoint: vc1, zone: a}, {name: esx02, endpoint: vc1, zone: a}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_image_datastores: [shared]
photon_flavors:
  - {name: local, kind: persistent-disk, cost: {persistent-disk.cost: 1, storage.LOCAL_VMFS: 1}}
  - {name: moon, kind: persistent-disk, cost: {persistent-disk.cost: 1, storage.VSAN: 1}}
photon_tenants:
  - name: acme
    projects:
      - {name: web, quota: {persistent-disk.capacity: 200 GB}}
      - {name: other}
"""
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}
DISK: dict[str, Any] = {"name": "data", "flavor": "core-100", "capacity": "10 GB"}


@pytest.fixture
def cloud(datacenter):
    assert failures(datacenter.apply(SITE)) == {}
    return datacenter


@pytest.fixture
def with_vms(cloud):
    assert failures(cloud.items("vm", [{"name": "web-[1:2]", **VM}])) == {}
    return cloud


def declare(cloud, **keys):
    """Plan and take as done one item of the module disk."""
    return cloud.items("disk", [{"name": "data", **keys}])


def refused(plan) -> PhotonError:
    [failure] = plan.failures
    return failure.error


def disk(cloud, name: str = "data") -> Disk:
    return Disk.of(cloud.find(entities.DISK, f"acme/web/{name}"))


def vm(cloud, name: str) -> Vm:
    return Vm.of(cloud.find(entities.VM, f"acme/web/{name}"))


def steps(plan) -> list[str]:
    return [step for action in plan.of(entities.DISK) for step in action.steps]


# -- creation ----------------------------------------------------------------------------------------------------


def test_a_new_disk_is_detached_on_the_emptiest_datastore(cloud) -> None:
    assert steps(declare(cloud, **DISK)) == ["CREATE_DISK"]
    made = disk(cloud)
    assert (made.state, made.vm, made.capacity) == ("DETACHED", None, 10 * GB)
    assert made.path == f"[shared] photon-disks/{made.id}.vmdk"
    assert changes(declare(cloud, **DISK)) == []


def test_quota_is_the_flavors_cost_and_the_capacity_and_is_given_back(cloud) -> None:
    declare(cloud, **DISK)
    assert cloud.usage("acme/web") == {
        "persistent-disk": 1,
        "persistent-disk.count": 1,
        "persistent-disk.cost": 1000,
        "persistent-disk.flavor.core-100": 1,
        "persistent-disk.capacity": 10 * GB,
    }
    declare(cloud, capacity="20 GB")
    assert cloud.usage("acme/web")["persistent-disk.capacity"] == 20 * GB
    declare(cloud, state="absent")
    assert cloud.usage("acme/web") == {}


def test_the_quota_fails_the_disk_and_nothing_stays_charged(cloud) -> None:
    plan = declare(cloud, **{**DISK, "capacity": "201 GB"})
    assert refused(plan).code == "QuotaError"
    assert cloud.usage("acme/web") == {}


def test_a_refused_change_in_a_project_beyond_its_quota(with_vms) -> None:
    declare(with_vms, **DISK)
    with_vms.counters[with_vms.find(entities.PROJECT, "acme/web").id]["persistent-disk.capacity"].limit = GB
    with_vms.row("acme/web/web-1").power_state = "suspended"
    assert refused(declare(with_vms, attached_to="web-1")).code == "InvalidVmState"
    assert with_vms.usage("acme/web")["persistent-disk.capacity"] == 10 * GB


def test_a_disk_of_a_lost_vm_whose_host_is_not_declared_any_more(with_vms) -> None:
    """The VM's record names a host that was deleted; only this disk fails."""
    with_vms.documents = [
        replace(d, observed={**d.observed, "host": "gone"}) if d.name == "web-1" else d for d in with_vms.documents
    ]
    row = with_vms.row("acme/web/web-1")
    del with_vms.endpoints["vc1"].vms[row.moid], with_vms.endpoints["vc1"].vms_by_uuid[row.uuid]
    new = {"flavor": "core-100", "capacity": "1 GB"}
    plan = with_vms.items("disk", [{"name": "a", "attached_to": "web-1", **new}, {"name": "b", **new}])
    assert failures(plan) == {"acme/web/a": "DependencyFailed"}


def test_a_disk_without_place_is_not_charged(cloud) -> None:
    plan = declare(cloud, name="data", flavor="moon", capacity="1 GB")
    assert refused(plan).code == "NoConstraintMatchingDatastore"
    assert cloud.usage("acme/web") == {}
    assert not [d for d in cloud.documents if d.kind == entities.DISK]


def test_a_disk_larger_than_any_datastore(cloud) -> None:
    plan = cloud.apply(SITE.replace("persistent-disk.capacity: 200 GB", "vm.count: 9"))
    plan = cloud.items("disk", [{"name": "data", "flavor": "core-100", "capacity": "1001 GB"}])
    assert refused(plan).code == "NotEnoughDatastoreCapacity"


def test_two_disks_do_not_get_the_same_last_gigabytes(cloud) -> None:
    plan = cloud.items("disk", [{"name": "data-[1:2]", "flavor": "local", "capacity": "60 GB"}])
    assert failures(plan) == {"acme/web/data-2": "NotEnoughDatastoreCapacity"}


@pytest.mark.parametrize("missing", ["flavor", "capacity"])
def test_a_new_disk_needs_flavor_and_capacity(cloud, missing: str) -> None:
    plan = cloud.items("disk", [{key: value for key, value in DISK.items() if key != missing}])
    assert (refused(plan).code, plan.failures[0].path) == ("SpecInvalid", "disks[0]")


def test_a_flavor_in_pending_delete_makes_no_new_disk(cloud) -> None:
    declare(cloud, **DISK)
    flavor = {"name": "core-100", "kind": "persistent-disk"}
    plan = cloud.items("flavor", [{**flavor, "state": "absent"}])
    assert "1 disk uses it" in plan.actions[-1].reason
    plan = cloud.items("disk", [{**DISK, "name": "more"}])
    assert refused(plan).code == "InvalidFlavorState"


# -- attachment --------------------------------------------------------------------------------------------------


def test_attached_moved_and_detached(with_vms) -> None:
    cloud = with_vms
    assert steps(declare(cloud, **DISK, attached_to="web-1")) == ["CREATE_DISK", "ATTACH_DISK"]
    assert (disk(cloud).state, disk(cloud).vm) == ("ATTACHED", vm(cloud, "web-1").id)
    assert steps(declare(cloud)) == []
    assert steps(declare(cloud, attached_to="web-2")) == ["DETACH_DISK", "ATTACH_DISK"]
    assert steps(declare(cloud, attached_to="")) == ["DETACH_DISK"]
    assert (disk(cloud).state, disk(cloud).vm) == ("DETACHED", None)


def test_a_range_is_attached_member_by_member(with_vms) -> None:
    with_vms.items("disk", [{**DISK, "name": "data-[1:2]", "attached_to": "web-[1:2]"}])
    assert [disk(with_vms, f"data-{n}").vm for n in (1, 2)] == [vm(with_vms, f"web-{n}").id for n in (1, 2)]


def test_a_new_vm_goes_to_a_host_that_mounts_its_disks_datastore(cloud) -> None:
    declare(cloud, name="data", flavor="local", capacity="1 GB")
    tree = SITE.replace(
        "{name: web, quota: {persistent-disk.capacity: 200 GB}}",
        "{name: web, quota: {persistent-disk.capacity: 200 GB},"
        " vms: [{name: web-1, flavor: core-100, image: debian, boot_disk_flavor: core-100}],"
        " disks: [{name: data, flavor: local, capacity: 1 GB, attached_to: web-1},"
        " {name: more, flavor: local, capacity: 2 GB, attached_to: web-1}]}",
    )
    plan = cloud.apply(tree)
    assert failures(plan) == {}
    assert cloud.by_id(vm(cloud, "web-1").place.host).name == "esx01"
    local = cloud.by_id(disk(cloud).datastore)
    assert (local.name, disk(cloud, "more").datastore) == ("local", local.id)
    assert changes(cloud.apply(tree)) == []


def test_a_disk_that_the_vms_host_does_not_reach(with_vms) -> None:
    declare(with_vms, name="data", flavor="local", capacity="1 GB")
    there = {with_vms.by_id(vm(with_vms, name).place.host).name: name for name in ("web-1", "web-2")}
    assert refused(declare(with_vms, attached_to=there["esx02"])).code == "UnfullfillableDiskAffinities"
    assert disk(with_vms).vm is None


def test_a_new_disk_goes_where_its_vms_host_reaches(with_vms) -> None:
    there = {with_vms.by_id(vm(with_vms, name).place.host).name: name for name in ("web-1", "web-2")}
    plan = declare(with_vms, name="data", flavor="local", capacity="1 GB", attached_to=there["esx02"])
    assert refused(plan).code == "NoConstraintMatchingDatastore"


def test_an_unknown_vm(cloud) -> None:
    assert refused(declare(cloud, **DISK, attached_to="web-9")).code == "VmNotFound"


def test_a_suspended_vm_neither_gets_nor_loses_a_disk(with_vms) -> None:
    declare(with_vms, **DISK, attached_to="web-1")
    for name in ("web-1", "web-2"):
        with_vms.row(f"acme/web/{name}").power_state = "suspended"
    assert refused(declare(with_vms, attached_to="")).code == "InvalidVmState"
    with_vms.row("acme/web/web-1").power_state = "poweredOn"
    assert refused(declare(with_vms, attached_to="web-2")).code == "InvalidVmState"


def test_at_most_60_disks(with_vms) -> None:
    plan = with_vms.items("disk", [{**DISK, "name": "d[01:60]", "capacity": "1 GB", "attached_to": "web-1"}])
    assert failures(plan) == {"acme/web/d60": "StateError"}


def test_a_disk_on_a_vm_of_others_is_left_there(with_vms) -> None:
    cloud = with_vms
    declare(cloud, **DISK)
    made = disk(cloud)
    row = DiskRow(2001, 1, made.capacity, str(made.path), None, uuid=str(made.uuid), files=(str(made.path),))
    cloud.vm("vc1", "theirs", "11111111-1111-4111-8111-111111111111", "host-esx01", disks=[row])
    assert refused(declare(cloud, attached_to="web-1")).code == "StateError"
    assert refused(declare(cloud, state="absent")).code == "StateError"


# -- affinity ----------------------------------------------------------------------------------------------------


def test_affinity_is_the_datastore_of_the_vms(with_vms) -> None:
    with_vms.items("disk", [{**DISK, "affinity": ["web-1", "web-2"]}])
    assert disk(with_vms).datastore == vm(with_vms, "web-1").boot_disk.datastore


def test_affinity_to_vms_that_share_no_datastore(with_vms) -> None:
    cloud = with_vms
    document = cloud.find(entities.VM, "acme/web/web-2")
    local = cloud.find(entities.DATASTORE, "vc1/local").id
    seen = document.observed["disks"]["boot-disk"]
    moved = document.with_observed(disks={"boot-disk": {**seen, "datastore": local}})
    cloud.documents = [moved if d.id == document.id else d for d in cloud.documents]
    plan = cloud.items("disk", [{**DISK, "affinity": ["web-1", "web-2"]}])
    assert refused(plan).code == "UnfullfillableDiskAffinities"


@pytest.mark.parametrize("store", [None, "gone"])
def test_affinity_to_a_vm_on_a_datastore_that_nobody_knows(with_vms, store: str | None) -> None:
    """Only this disk fails, and it is not put just anywhere."""
    for document in with_vms.documents:
        if document.name == "web-1":
            document.observed["disks"]["boot-disk"]["datastore"] = store
    plan = with_vms.items("disk", [{**DISK, "name": "a", "affinity": ["web-1"]}, {**DISK, "name": "b"}])
    assert failures(plan) == {"acme/web/a": "DependencyFailed"}


def test_a_disk_is_not_moved_for_its_affinity(with_vms) -> None:
    declare(with_vms, name="data", flavor="local", capacity="1 GB")
    assert refused(with_vms.items("disk", [{"name": "data", "affinity": ["web-1"]}])).code == "UpdateNotSupported"


# -- changes -----------------------------------------------------------------------------------------------------


def test_a_disk_grows_and_does_not_shrink(cloud) -> None:
    declare(cloud, **DISK)
    assert steps(declare(cloud, capacity="11 GB")) == ["GROW_DISK", "DESCRIBE_DISK"]
    refusal = refused(declare(cloud, capacity="10 GB"))
    assert refusal.code == "UpdateNotSupported"
    assert refusal.message == "disk data cannot shrink from 11 GB to 10 GB: declare at least 11 GB"


def test_growth_under_a_snapshot(with_vms) -> None:
    declare(with_vms, **DISK, attached_to="web-1")
    made, row = disk(with_vms), with_vms.row("acme/web/web-1")
    files = ("[shared] web-1/data-000001.vmdk", str(made.path))
    row.disks = [DiskRow(2001, 1, made.capacity, files[0], None, uuid=str(made.uuid), files=files)]
    assert refused(declare(with_vms, capacity="11 GB")).code == "StateError"


def test_another_flavor(cloud) -> None:
    declare(cloud, **DISK)
    assert refused(declare(cloud, flavor="core-200")).code == "UpdateNotSupported"


def test_tags_and_protection_are_recorded(cloud) -> None:
    declare(cloud, **DISK)
    plan = declare(cloud, tags=["b", "a"], deletion_protection=True)
    assert (steps(plan), changes(plan)) == (["DESCRIBE_DISK"], [("update", "acme/web/data")])
    assert (disk(cloud).tags, disk(cloud).deletion_protection) == (("a", "b"), True)
    assert refused(declare(cloud, state="absent")).code == "DeletionProtected"


# -- deletion ----------------------------------------------------------------------------------------------------


def test_an_attached_disk_is_deleted_only_where_it_is_detached_first(with_vms) -> None:
    declare(with_vms, **DISK, attached_to="web-1")
    assert refused(declare(with_vms, state="absent")).code == "StateError"
    assert steps(declare(with_vms, state="absent", force=True)) == ["DETACH_DISK", "DELETE_DISK"]
    declare(with_vms, **DISK, attached_to="web-1")
    assert steps(declare(with_vms, state="absent", attached_to="")) == ["DETACH_DISK", "DELETE_DISK"]


def test_a_vm_with_a_disk_is_not_deleted(with_vms) -> None:
    declare(with_vms, **DISK, attached_to="web-1")
    plan = with_vms.items("vm", [{"name": "web-1", "state": "absent"}])
    assert refused(plan).code == "PersistentDiskAttached"
    assert "detach them in the same run" in refused(plan).message
    assert with_vms.usage("acme/web")["vm.count"] == 2


WHOLE = SITE.replace("{name: web, quota:", "{name: web, vms: [%s], disks: [%s], quota:")
WEB = "{name: %s, flavor: core-100, image: debian, boot_disk_flavor: core-100}"
DATA = "{name: data, flavor: core-100, capacity: 10 GB, attached_to: %s}"
GONE = "{name: web-1, state: absent}"


@pytest.mark.parametrize(
    ("vms", "disks", "expected"),
    [
        (GONE, DATA % "''", ["delete acme/web/web-1", "update acme/web/data"]),
        (f"{GONE}, {WEB % 'web-2'}", DATA % "web-2", ["delete acme/web/web-1", "update acme/web/data"]),
        (GONE, "{name: data, state: absent, force: true}", ["delete acme/web/data", "delete acme/web/web-1"]),
    ],
)
def test_a_vm_whose_disk_leaves_in_the_same_plan_is_deleted(
    with_vms, vms: str, disks: str, expected: list[str]
) -> None:
    declare(with_vms, **DISK, attached_to="web-1")
    plan = with_vms.apply(WHOLE % (vms, disks), whole=True)
    assert failures(plan) == {}
    mine = [f"{verb} {name}" for verb, name in changes(plan, entities.VM, entities.DISK)]
    assert sorted(mine) == expected


def test_a_vm_stays_when_its_disk_cannot_leave(with_vms) -> None:
    """The disk is to go to a VM that cannot be had."""
    declare(with_vms, **DISK, attached_to="web-1")
    new = WEB.replace("debian,", "debian, host_tags: [nowhere],") % "web-3"
    plan = with_vms.apply(WHOLE % (f"{GONE}, {new}", DATA % "web-3"))
    assert failures(plan)["acme/web/web-1"] == "PersistentDiskAttached"
    assert failures(plan)["acme/web/data"] == "DependencyFailed"
    assert changes(plan, entities.VM, entities.DISK) == []


def test_pruning_deletes_disks_with_their_vms(with_vms) -> None:
    declare(with_vms, **DISK, attached_to="web-1")
    plan = with_vms.apply(WHOLE % ("", ""), whole=True, prune="report")
    assert "disk acme/web/data" in plan.warnings[-1]
    plan = with_vms.apply(WHOLE % ("", ""), whole=True, prune="delete")
    assert failures(plan) == {}
    assert ("delete", "acme/web/data") in changes(plan)
    assert ("delete", "acme/web/web-1") in changes(plan)


def test_a_project_with_disks_is_not_deleted(cloud) -> None:
    declare(cloud, **DISK)
    plan = cloud.apply("photon_tenants: [{name: acme, projects: [{name: web, state: absent}]}]")
    assert refused(plan).code == "ContainerNotEmpty"


# -- lost files --------------------------------------------------------------------------------------------------


def test_a_lost_file_is_an_error_and_never_made_again(cloud) -> None:
    declare(cloud, **DISK)
    path = str(disk(cloud).path)
    kept = cloud.files.pop(path)
    plan = declare(cloud, **DISK)
    assert (refused(plan).code, steps(plan), disk(cloud).state) == ("DiskNotFound", [], "ERROR")
    assert "is gone" in cloud.items("vm", [{"name": "web-1", **VM}]).warnings[0]
    cloud.files[path] = kept
    assert failures(declare(cloud, **DISK)) == {}
    assert disk(cloud).state == "DETACHED"


def test_a_lost_disk_can_be_deleted(cloud) -> None:
    declare(cloud, **DISK)
    cloud.files.clear()
    declare(cloud, **DISK)
    assert steps(declare(cloud, state="absent")) == ["DELETE_DISK"]


def test_an_interrupted_creation_is_resumed_with_its_identity(cloud) -> None:
    declare(cloud, **DISK)
    document = cloud.find(entities.DISK, "acme/web/data")
    unfinished = replace(Disk.of(document), uuid=None, size=None, state="ERROR").write_to(document)
    cloud.documents = [unfinished if d.id == document.id else d for d in cloud.documents]
    cloud.files.clear()
    plan = declare(cloud, **DISK)
    assert (steps(plan), plan.actions[-1].reason) == (["CREATE_DISK"], "its creation is resumed")
    assert disk(cloud).path == Disk.of(document).path


# -- what it is made of ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "setting", "expected"),
    [
        ("", "auto", "fcd"),
        ("", "fcd", "fcd"),
        ("", "vmdk", "vmdk"),
        ("too old", "auto", "vmdk"),
        ("too old", "vmdk", "vmdk"),
    ],
)
def test_a_new_disk_is_what_its_endpoint_has(cloud, reason: str, setting: str, expected: str) -> None:
    cloud.endpoints["vc1"].no_first_class = reason
    [action] = cloud.items("disk", [DISK], disk_backing=setting).of(entities.DISK)
    assert (action.disk.backing, bool(action.disk.path)) == (expected, expected == "vmdk")


def test_a_disk_that_cannot_be_first_class_is_refused_with_the_reason(cloud) -> None:
    cloud.endpoints["vc1"].no_first_class = "it is too old"
    error = refused(cloud.items("disk", [DISK], disk_backing="fcd"))
    assert error.code == "UpdateNotSupported"
    assert "it is too old" in error.message
