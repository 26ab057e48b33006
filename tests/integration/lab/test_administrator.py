# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an administrator does to VMs by hand, with the helper that the chaos tests use, as vCenter answers it."""

from __future__ import annotations

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from lab import Lab, LabError
from tests.integration.lab.by_hand import TOPOLOGY, empty, mark, new_vm, paths
from tests.support.administrator import Administrator


@pytest.fixture(scope="module")
def lab():
    with Lab.start(TOPOLOGY) as running:
        yield running


@pytest.fixture
def admin(lab):
    with Administrator(lab, "vc") as administrator:
        yield administrator
        empty(administrator)


@pytest.fixture
def esx(lab):
    with Administrator(lab, "esx") as administrator:
        yield administrator
        empty(administrator)


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


def test_a_storage_move_needs_the_space(admin):
    vm = new_vm(admin)
    free = admin.datastore("shared").summary.freeSpace
    thick = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=admin.disks(vm)[0].controllerKey,
        unitNumber=2,
        capacityInKB=11 << 20,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="[shared] web-1/thick.vmdk", diskMode="persistent", thinProvisioned=False
        ),
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=thick)
    admin.reconfigure(vm, deviceChange=[change])
    with pytest.raises(vim.fault.NoDiskSpace):
        admin.move_to_datastore(vm, "local-h1")
    assert vm.config.files.vmPathName == "[shared] web-1/web-1.vmx"
    second = admin.datastore("second").summary.freeSpace
    admin.move_to_datastore(vm, "second")
    assert admin.datastore("shared").summary.freeSpace == free
    assert admin.datastore("second").summary.freeSpace == second - (11 << 30)


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


def test_a_vm_that_moved_and_was_powered_off_reserves_nothing(admin):
    most = vim.ResourceAllocationInfo(reservation=12 << 10)
    vm = new_vm(admin, memoryMB=12 << 10, memoryAllocation=most)
    admin.power(vm, "poweredOn")
    admin.move_to_host(vm, "h2")
    admin.power(vm, "poweredOff")
    other = new_vm(admin, name="web-2", host="h2", memoryMB=12 << 10, memoryAllocation=most)
    admin.power(other, "poweredOn")
    with pytest.raises(vim.fault.InsufficientMemoryResourcesFault):
        admin.power(vm, "poweredOn")


def test_the_parent_of_other_disks_does_not_move(admin):
    parent = new_vm(admin)
    child = new_vm(admin, name="web-2")
    admin.detach(child, 1)
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    disk = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=admin.disks(child)[0].controllerKey,
        unitNumber=1,
        capacityInKB=1024,
        backing=backing(
            fileName="[shared] web-2/child.vmdk",
            diskMode="persistent",
            parent=backing(fileName=paths(admin, parent)[0], diskMode="persistent"),
        ),
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
    admin.reconfigure(child, deviceChange=[change])
    with pytest.raises(vim.fault.FileLocked):
        admin.move_to_datastore(parent, "second")
    admin.move_to_datastore(child, "second")
    assert [disk.backing.parent for disk in admin.disks(child)] == [None, None]
    admin.move_to_datastore(parent, "second")


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
        empty(other)
    assert lab.control.state("vc")["vms"] == []
    assert not [file for file in admin.files() if "web-1/" in file]


def test_a_move_to_another_vcenter_needs_its_password(lab, admin):
    vm = new_vm(admin)
    with Administrator(lab, "vc2") as other:
        lab.control.password("vc2", "another")
        with pytest.raises(vim.fault.InvalidLogin):
            admin.move_to_endpoint(vm, other, "f1", "far-store")
        assert vm.runtime.host.name == "h1"
        assert not [file for file in other.files() if "web-1" in file]


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


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Kunden & Träger 100%", "Kunden & Träger 100%25"),
        ("a/b", "a%2fb"),
        ("a%2Fb", "a%2fb"),
        ("c\\d", "c%5cd"),
        ("50%25 off", "50%25 off"),
    ],
)
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
    with pytest.raises(LabError, match="InvalidDatastorePath"):
        admin.restore(saved, "h2", "local-h1", name="unreachable")
    twin = admin.restore(saved, "h1", "shared", name="web-1 old", same_uuid=True)
    assert twin.config.instanceUuid == identity


def test_a_clone_has_the_mark_and_a_uuid_of_its_own(admin):
    vm = new_vm(admin, cpuHotAddEnabled=True)
    copy = admin.clone(vm, "web-2", annotation="a copy")
    assert (mark(copy), copy.config.annotation, copy.config.cpuHotAddEnabled) == ("the-id", "a copy", True)
    assert copy.config.instanceUuid != vm.config.instanceUuid
    assert not set(paths(admin, copy)) & set(paths(admin, vm))
    assert [disk.capacityInKB for disk in admin.disks(copy)] == [1024, 2048]
    away = vim.vm.RelocateSpec(host=admin.host("h2"), datastore=admin.datastore("local-h1"))
    with pytest.raises(vim.fault.InvalidDatastorePath):
        admin.wait(vm.CloneVM_Task(vm.parent, "web-3", vim.vm.CloneSpec(location=away)))


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
