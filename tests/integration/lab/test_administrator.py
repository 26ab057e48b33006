# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator does by hand, with the helper that the chaos tests use, as vCenter answers it."""

from __future__ import annotations

import uuid

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from lab import Lab
from tests.support.administrator import Administrator

HOSTS = {"cores": 4, "threads": 8, "mhz": 2000, "memory": "16 GB"}
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc",
            "kind": "vcenter",
            "guest_delay_ms": 20,
            "clusters": [
                {"name": "c1", "drs": True, "hosts": [{"name": "h[1:2]", **HOSTS}]},
                {"name": "c2", "hosts": [{"name": "h3", **HOSTS}]},
            ],
            "hosts": [{"name": "h4", **HOSTS}],
            "datastores": [
                {"name": "shared", "capacity": "100 GB"},
                {"name": "second", "capacity": "100 GB"},
                {"name": "local-{host}", "capacity": "10 GB", "local": True},
            ],
            "port_groups": [{"name": "VM Network"}, {"name": "dv", "kind": "distributed"}],
        },
        {
            "name": "vc2",
            "kind": "vcenter",
            "clusters": [{"name": "far", "hosts": [{"name": "f1", **HOSTS}]}],
            "datastores": [{"name": "far-store", "capacity": "100 GB"}],
            "port_groups": [{"name": "VM Network"}, {"name": "dv", "kind": "distributed"}],
        },
        {
            "name": "esx",
            "kind": "esxi",
            "hosts": [{"name": "e1", **HOSTS}],
            "datastores": [{"name": "shared", "capacity": "100 GB"}],
            "port_groups": [{"name": "VM Network"}],
        },
    ]
}


@pytest.fixture
def lab():
    with Lab.start(TOPOLOGY) as running:
        yield running


@pytest.fixture
def admin(lab):
    with Administrator(lab, "vc") as administrator:
        yield administrator


@pytest.fixture
def esx(lab):
    with Administrator(lab, "esx") as administrator:
        yield administrator


def new_vm(admin, name="web-1", host="", datastore="shared", network="VM Network", **settings):
    """A VM with a boot disk and one more, marked as the platform marks its own."""
    target = admin.host(host or ("e1" if admin.endpoint.kind == "esxi" else "h1"))
    change = vim.vm.device.VirtualDeviceSpec
    devices = [change(operation="add", device=vim.vm.device.ParaVirtualSCSIController(
        key=-1, busNumber=0, sharedBus="noSharing"))]
    for unit, file in enumerate(("boot", "data")):
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=f"[{datastore}] {name}/{file}.vmdk", diskMode="persistent", thinProvisioned=True)
        devices.append(change(operation="add", fileOperation="create", device=vim.vm.device.VirtualDisk(
            key=-10 - unit, controllerKey=-1, unitNumber=unit, capacityInKB=1024 * (unit + 1), backing=backing)))
    card = vim.vm.device.VirtualVmxnet3(
        key=-30, backing=vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network))
    devices.append(change(operation="add", device=card))
    settings = {"numCPUs": 1, "memoryMB": 1024, "instanceUuid": str(uuid.uuid4())} | settings
    spec = vim.vm.ConfigSpec(
        name=name, files=vim.vm.FileInfo(vmPathName=f"[{datastore}] {name}/{name}.vmx"), deviceChange=devices,
        extraConfig=[vim.option.OptionValue(key="photon.id", value="the-id")], **settings)
    folder = admin.datacenter.vmFolder
    if not any(file.startswith(f"[{datastore}] {name}/") for file in admin.files()):
        admin.content.fileManager.MakeDirectory(f"[{datastore}] {name}", admin.datacenter, True)
    return admin.wait(folder.CreateVM_Task(spec, target.parent.resourcePool, target))


def mark(vm):
    return {each.key: each.value for each in vm.config.extraConfig}.get("photon.id")


def paths(admin, vm):
    return [disk.backing.fileName for disk in admin.disks(vm)]


# -- moves ---------------------------------------------------------------------------------------------------------


def test_a_storage_move_takes_the_files_along(admin):
    vm = new_vm(admin)
    version, identity = vm.config.changeVersion, vm.config.instanceUuid
    admin.move_to_datastore("web-1", "second")
    assert paths(admin, vm) == ["[second] web-1/web-1.vmdk", "[second] web-1/web-1_1.vmdk"]
    assert vm.config.files.vmPathName == "[second] web-1/web-1.vmx"
    assert vm.summary.config.vmPathName == "[second] web-1/web-1.vmx"
    assert [each.name for each in vm.datastore] == ["second"]
    assert vm in admin.datastore("second").vm
    assert vm not in admin.datastore("shared").vm
    assert (vm.config.instanceUuid, mark(vm)) == (identity, "the-id")
    assert vm.config.changeVersion != version
    files = admin.files()
    assert {"[second] web-1/web-1.vmx", "[second] web-1/web-1.vmdk", "[second] web-1/web-1_1.vmdk"} <= set(files)
    assert not [file for file in files if file.startswith("[shared]")]
    admin.delete(vm)
    assert not [file for file in admin.files() if file.startswith("[second]")]


def test_one_disk_moves_alone(admin):
    vm = new_vm(admin)
    locator = vim.vm.RelocateSpec.DiskLocator(diskId=admin.disks(vm)[1].key, datastore=admin.datastore("second"))
    admin.wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(disk=[locator])))
    assert paths(admin, vm) == ["[shared] web-1/boot.vmdk", "[second] web-1/web-1.vmdk"]
    assert vm.config.files.vmPathName == "[shared] web-1/web-1.vmx"
    assert sorted(each.name for each in vm.datastore) == ["second", "shared"]


def test_a_running_vm_moves_between_hosts_and_keeps_running(admin):
    vm = new_vm(admin)
    admin.power(vm, "poweredOn")
    admin.move_to_host(vm, "h2")
    assert (vm.runtime.host.name, vm.runtime.powerState) == ("h2", "poweredOn")
    admin.wait(vm.MigrateVM_Task(None, admin.host("h1"), "defaultPriority"))
    assert vm.runtime.host.name == "h1"
    with pytest.raises(vim.fault.InvalidPowerState):
        admin.wait(vm.MigrateVM_Task(None, admin.host("h2"), "defaultPriority", "poweredOff"))
    admin.move_to_host(vm, "h3")
    assert (vm.runtime.host.name, vm.resourcePool.owner.name) == ("h3", "c2")
    assert vm in vm.resourcePool.vm


def test_a_vm_moves_to_another_vcenter_with_all_it_is(lab, admin):
    vm = new_vm(admin)
    admin.power(vm, "poweredOn")
    before = lab.control.state("vc")["vms"][0]
    with Administrator(lab, "vc2") as other:
        assert other.content.about.instanceUuid != admin.content.about.instanceUuid
        admin.move_to_endpoint(vm, other, "f1", "far-store")
        moved = other.vm("web-1")
        assert (moved.config.instanceUuid, mark(moved)) == (before["instance_uuid"], "the-id")
        assert (moved.runtime.powerState, moved.runtime.host.name) == ("poweredOn", "f1")
        assert paths(other, moved) == ["[far-store] web-1/boot.vmdk", "[far-store] web-1/data.vmdk"]
        assert "[far-store] web-1/data.vmdk" in other.files()
    assert lab.control.state("vc")["vms"] == []
    assert not [file for file in admin.files() if "web-1/" in file]


def test_a_move_to_another_vcenter_needs_its_password(lab, admin):
    vm = new_vm(admin)
    lab.control.password("vc2", "another")
    with pytest.raises(vim.fault.InvalidLogin):
        with_old = lab.endpoints["vc2"]
        service = vim.ServiceLocator(
            instanceUuid=_about(lab, "vc2"), url=with_old.url,
            credential=vim.ServiceLocator.NamePassword(username=with_old.username, password=with_old.password))
        admin.wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(service=service)))
    assert vm.name == "web-1"


def _about(lab, endpoint):
    lab.control.reset()
    with Administrator(lab, endpoint) as other:
        found = other.content.about.instanceUuid
    lab.control.password(endpoint, "another")
    return found


def test_an_esxi_host_moves_and_marks_nothing(esx):
    vm = new_vm(esx)
    with pytest.raises(vmodl.fault.NotSupported):
        vm.RelocateVM_Task(vim.vm.RelocateSpec(datastore=esx.datastore("shared")))
    with pytest.raises(vmodl.fault.NotSupported):
        vm.MarkAsTemplate()
    assert esx.content.about.instanceUuid is None
    assert vm.config.template is False


# -- renames -------------------------------------------------------------------------------------------------------


def test_a_renamed_datastore_is_the_same_with_new_paths(admin):
    vm = new_vm(admin)
    store = admin.datastore("shared")
    before = (store._moId, store.summary.url, store.summary.freeSpace, store.summary.capacity)
    admin.rename_datastore("shared", "SAN 01 (prod)")
    assert (store._moId, store.summary.url, store.summary.freeSpace, store.summary.capacity) == before
    assert (store.name, store.summary.name, store.info.name) == ("SAN 01 (prod)",) * 3
    assert paths(admin, vm) == ["[SAN 01 (prod)] web-1/boot.vmdk", "[SAN 01 (prod)] web-1/data.vmdk"]
    assert vm.config.files.vmPathName == "[SAN 01 (prod)] web-1/web-1.vmx"
    admin.power(vm, "poweredOn")
    with pytest.raises(vim.fault.DuplicateName):
        admin.rename_datastore("SAN 01 (prod)", "second")
    admin.delete(vm)
    assert not [file for file in admin.files() if "web-1/" in file]


def test_vms_and_folders_are_renamed(admin):
    vm = new_vm(admin)
    version = vm.config.changeVersion
    admin.create_folder("old")
    admin.create_folder("other")
    admin.move_to_folder(vm, "old")
    admin.rename_folder("old", "new")
    admin.rename(vm, "db-1")
    assert (vm.name, vm.parent.name) == ("db-1", "new")
    assert vm.config.changeVersion != version
    with pytest.raises(vim.fault.DuplicateName):
        admin.rename_folder("new", "other")


@pytest.mark.parametrize(("given", "shown"), [
    ("Kunden & Träger 100%", "Kunden & Träger 100%25"), ("a/b", "a%2fb"), ("a%2Fb", "a%2fb"), ("c\\d", "c%5cd"),
    ("50%25 off", "50%25 off"),
])
def test_names_are_shown_escaped_however_they_came(admin, given, shown):
    folder = admin.create_folder(given)
    assert folder.name == shown
    for again in (given, shown):
        with pytest.raises(vim.fault.DuplicateName) as caught:
            admin.create_folder(again)
        assert (caught.value.name, caught.value.object) == (shown, folder)
    vm = new_vm(admin, name="plain")
    with pytest.raises(vim.fault.DuplicateName):
        admin.rename(vm, given)
    admin.rename(vm, f"{given}!")
    assert (vm.name, vm.config.name) == (f"{shown}!", f"{shown}!")
    copy = admin.clone(vm, f"{given} copy")
    assert copy.name == f"{shown} copy"
    admin.rename_datastore("second", given)
    assert admin.datastore(shown).summary.name == shown


# -- files ---------------------------------------------------------------------------------------------------------


def test_an_unregistered_vm_is_registered_again_as_it_was(admin):
    vm = new_vm(admin, numCPUs=2, cpuHotAddEnabled=True)
    identity, moid = vm.config.instanceUuid, vm._moId
    files = admin.files()
    left = admin.unregister(vm)
    assert set(admin.files()) == set(files)
    with pytest.raises(LookupError):
        admin.vm("web-1")
    again = admin.register(left, host="h3")
    assert (again.config.instanceUuid, mark(again)) == (identity, "the-id")
    assert again._moId != moid
    assert (again.runtime.host.name, again.config.hardware.numCPU, again.config.cpuHotAddEnabled) == ("h3", 2, True)
    assert paths(admin, again) == ["[shared] web-1/boot.vmdk", "[shared] web-1/data.vmdk"]
    assert [disk.capacityInKB for disk in admin.disks(again)] == [1024, 2048]
    admin.power(again, "poweredOn")
    with pytest.raises(vim.fault.AlreadyExists):
        admin.register(left)


def test_a_vm_of_one_host_is_not_registered_where_its_files_are_not(admin):
    vm = new_vm(admin, datastore="local-h1")
    left = admin.unregister(vm)
    with pytest.raises(vim.fault.InvalidDatastorePath):
        admin.register(left, host="h2")
    with pytest.raises(vim.fault.NotFound):
        admin.register("[shared] nowhere/nothing.vmx", host="h1")
    assert admin.register(left, host="h1").name == "web-1"


def test_a_create_over_the_files_of_an_unregistered_vm_is_refused(admin):
    identity = admin.vm(new_vm(admin)).config.instanceUuid
    admin.unregister("web-1")
    before = admin.files()
    with pytest.raises(vim.fault.FileAlreadyExists) as caught:
        new_vm(admin, instanceUuid=identity)
    assert caught.value.file == "[shared] web-1/web-1.vmx"
    assert admin.files() == before


def test_a_restored_vm_has_the_old_mark_and_a_new_uuid(admin):
    vm = new_vm(admin)
    identity = vm.config.instanceUuid
    saved = admin.backup(vm)
    admin.delete(vm)
    restored = admin.restore(saved, "h2", "second")
    assert restored.config.instanceUuid != identity
    assert (restored.name, mark(restored), restored.runtime.host.name) == ("web-1", "the-id", "h2")
    assert paths(admin, restored) == ["[second] web-1/boot.vmdk", "[second] web-1/data.vmdk"]
    twin = admin.restore(saved, "h1", "shared", name="web-1 old", same_uuid=True)
    assert twin.config.instanceUuid == identity


def test_a_clone_has_the_mark_and_a_uuid_of_its_own(admin):
    vm = new_vm(admin, cpuHotAddEnabled=True)
    copy = admin.clone(vm, "web-2", annotation="a copy")
    assert (mark(copy), copy.config.annotation, copy.config.cpuHotAddEnabled) == ("the-id", "a copy", True)
    assert copy.config.instanceUuid != vm.config.instanceUuid
    assert not set(paths(admin, copy)) & set(paths(admin, vm))
    assert [disk.capacityInKB for disk in admin.disks(copy)] == [1024, 2048]


def test_a_template_does_not_start_until_it_is_a_vm_again(admin):
    vm = new_vm(admin)
    admin.mark_as_template(vm)
    with pytest.raises(vim.fault.InvalidState):
        admin.power(vm, "poweredOn")
    admin.mark_as_vm(vm, "h1")
    admin.power(vm, "poweredOn")
    assert vm.config.template is False


def test_a_deleted_vm_takes_every_attached_disk_along(admin):
    vm = new_vm(admin)
    foreign = admin.create_disk("[second] theirs/data.vmdk", kib=4096)
    disk = admin.attach(vm, foreign)
    assert (disk.unitNumber, disk.capacityInKB) == (2, 4096)
    kept = admin.create_disk("[second] theirs/kept.vmdk")
    admin.delete(vm)
    assert "[second] theirs/data.vmdk" not in admin.files()
    assert kept in admin.files()


def test_the_task_of_a_delete_names_its_method(lab, admin):
    vm = new_vm(admin)
    lab.control.delay(task={"Destroy": 300})
    WaitForTask(vm.Destroy_Task(), si=admin.instance)
    assert lab.control.state("vc")["vms"] == []


# -- hosts ---------------------------------------------------------------------------------------------------------


def test_a_cluster_host_leaves_with_its_vms_and_comes_back_with_them(lab, admin):
    vm = new_vm(admin)
    admin.power(vm, "poweredOn")
    identity, free = vm.config.instanceUuid, admin.datastore("shared").summary.freeSpace
    with pytest.raises(vim.fault.InvalidState):
        admin.wait(admin.host("h1").Destroy_Task())
    cluster = admin.remove_host("h1")
    assert cluster == "c1"
    state = lab.control.state("vc")
    assert [host["name"] for host in state["hosts"]] == ["h2", "h3", "h4"]
    assert state["vms"] == []
    assert "local-h1" not in [store["name"] for store in state["datastores"]]
    assert "[shared] web-1/boot.vmdk" in admin.files()
    assert admin.cluster("c1").summary.numCpuCores == 4
    host = admin.add_host("h1", cluster)
    again = admin.vm("web-1")
    assert (again.config.instanceUuid, mark(again)) == (identity, "the-id")
    assert (again.runtime.powerState, again.runtime.host) == ("poweredOn", host)
    assert {store.name for store in host.datastore} == {"shared", "second", "local-h1"}
    assert {"VM Network", "dv"} <= {network.name for network in host.network}
    assert (host.summary.hardware.numCpuCores, host.runtime.connectionState) == (4, "connected")
    assert admin.datastore("shared").summary.freeSpace == free
    new_vm(admin, name="web-2", host="h1", datastore="local-h1")


def test_a_host_outside_clusters_leaves_and_comes_back(admin):
    vm = new_vm(admin, host="h4")
    identity = vm.config.instanceUuid
    assert admin.remove_host("h4") == ""
    with pytest.raises(LookupError):
        admin.host("h4")
    admin.add_host("h4")
    assert admin.vm("web-1").config.instanceUuid == identity


def test_a_vm_that_was_registered_elsewhere_stays_there_when_its_host_comes_back(admin):
    left = admin.unregister(new_vm(admin))
    admin.register(left, host="h1")
    cluster = admin.remove_host("h1")
    there = admin.register(left, host="h2")
    admin.add_host("h1", cluster)
    assert there.runtime.host.name == "h2"
    assert len(admin.lab.control.state("vc")["vms"]) == 1


def test_vms_of_a_disconnected_host_are_disconnected(lab, admin):
    vm = new_vm(admin)
    admin.disconnect("h1")
    assert (vm.runtime.connectionState, admin.host("h1").runtime.connectionState) == ("disconnected", "disconnected")
    with pytest.raises(vmodl.fault.HostNotConnected):
        admin.reconfigure(vm, annotation="unreachable")
    admin.reconnect("h1")
    assert vm.runtime.connectionState == "connected"
    lab.control.connection("vc", "h1", "notResponding")
    assert admin.host("h1").runtime.connectionState == "notResponding"
    with pytest.raises(vmodl.fault.HostNotConnected):
        admin.power(vm, "poweredOn")
    lab.control.connection("vc", "h1", "connected")
    admin.power(vm, "poweredOn")


def test_a_host_of_the_lab_joins_a_vcenter(lab, admin, esx):
    vm = new_vm(esx)
    esx.power(vm, "poweredOn")
    identity = vm.config.instanceUuid
    admin.add_host("e1", "c2")
    seen = admin.vm(identity)
    assert (seen.runtime.host.name, seen.runtime.powerState, mark(seen)) == ("e1", "poweredOn", "the-id")
    assert admin.host("e1").summary.hardware.uuid == esx.host("e1").summary.hardware.uuid
    assert esx.host("e1").summary.managementServerIp == "127.0.0.1"
    assert vm.config.instanceUuid == identity, "the host shows it as well"
    assert paths(admin, seen) == ["[shared (1)] web-1/boot.vmdk", "[shared (1)] web-1/data.vmdk"]
    with pytest.raises(vim.fault.HostAccessRestrictedToManagementServer):
        vm.PowerOffVM_Task()
    admin.power(seen, "poweredOff")
    admin.reconfigure(seen, numCPUs=2, extra_config={"photon.id": "another"})
    admin.detach(seen, 1)
    here = lab.control.state("esx")["vms"][0]
    assert (here["power_state"], here["cpus"], here["extra_config"]["photon.id"]) == ("poweredOff", 2, "another")
    assert [disk["file"] for disk in here["disks"]] == ["[shared] web-1/boot.vmdk"]
    new_vm(admin, name="web-2", host="e1", datastore="shared (1)")
    assert [each["name"] for each in lab.control.state("esx")["vms"]] == ["web-1", "web-2"]
    admin.delete(seen)
    assert [each["name"] for each in lab.control.state("esx")["vms"]] == ["web-2"]


def test_a_host_joins_by_its_control_verb_and_with_its_password_only(lab, admin, esx):
    spec = vim.host.ConnectSpec(hostName="e1", userName="root", password="wrong", force=True)
    with pytest.raises(vim.fault.InvalidLogin):
        admin.wait(admin.cluster("c1").AddHost_Task(spec, True))
    new_vm(esx)
    moid = lab.control.join("esx", "vc")
    assert admin.vm("web-1").runtime.host._moId == moid
    assert admin.vm("web-1").parent.name == "Discovered virtual machine"
    admin.remove_host("e1")
    esx.power("web-1", "poweredOn")
