# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastores: space, files, disks that are none, parents that must stay."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from lab import images

GIB = 1 << 30


def test_thick_disks_take_space_and_thin_ones_do_not(either):
    free = either.free()
    either.create(either.spec(devices=[either.disk(10 << 10, thin=True)]))
    assert either.free() == free
    vm = either.create(either.spec(devices=[either.disk(10 << 10, thin=False)]))
    assert either.free() == free - 10 * GIB
    assert either.datastore().info.freeSpace == free - 10 * GIB
    either.result(vm.Destroy_Task())
    assert either.free() == free == either.datastore().summary.capacity


def test_a_thick_disk_beyond_the_free_space_is_refused_a_thin_one_is_not(either):
    with pytest.raises(vim.fault.NoDiskSpace) as caught:
        either.create(either.spec("big", devices=[either.disk(200 << 10, thin=False)]))
    assert caught.value.datastore == "shared"
    assert [vm.name for vm in either.folder.childEntity] == []
    either.create(either.spec("big", devices=[either.disk(200 << 10, thin=True)]))


def test_creates_at_once_do_not_overbook_a_datastore(vc, control):
    control.delay(task={"CreateVm": 50})
    tasks = [vc.start_create(vc.spec(devices=[vc.disk(40 << 10, thin=False)])) for _ in range(4)]
    outcomes = []
    for task in tasks:
        try:
            vc.result(task)
            outcomes.append("made")
        except vim.fault.NoDiskSpace:
            outcomes.append("refused")
    assert sorted(outcomes) == ["made", "made", "refused", "refused"]
    assert vc.free() == 20 * GIB


def test_growing_and_adding_disks_takes_space(either):
    vm = either.create(either.spec(devices=[either.disk(10 << 10, thin=False)]))
    disk = next(each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk))
    disk.capacityInKB = 30 << 20
    disk.capacityInBytes = 30 << 30
    grow = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    either.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[grow])))
    assert either.free() == 70 * GIB
    more = either.disk(71 << 10, thin=False, unit=1)
    with pytest.raises(vim.fault.NoDiskSpace):
        either.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[more])))
    more = either.disk(20 << 10, thin=False, unit=1)
    either.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[more])))
    assert either.free() == 50 * GIB
    added = next(
        each
        for each in vm.config.hardware.device
        if isinstance(each, vim.vm.device.VirtualDisk) and each.unitNumber == 1
    )
    remove = vim.vm.device.VirtualDeviceSpec(operation="remove", fileOperation="destroy", device=added)
    either.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[remove])))
    assert either.free() == 70 * GIB


def test_the_disk_manager_takes_and_gives_back_space(either):
    manager, files = either.content.virtualDiskManager, either.content.fileManager
    either.make_folder("disks")
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
        diskType="preallocated", adapterType="lsiLogic", capacityKb=10 << 20
    )
    either.result(manager.CreateVirtualDisk_Task("[shared] disks/a.vmdk", either.datacenter, spec))
    assert either.free() == 90 * GIB
    either.result(
        manager.CopyVirtualDisk_Task(
            "[shared] disks/a.vmdk", either.datacenter, "[shared] disks/b.vmdk", either.datacenter, None, False
        )
    )
    assert either.free() == 80 * GIB
    either.result(manager.ExtendVirtualDisk_Task("[shared] disks/b.vmdk", either.datacenter, 20 << 20, False))
    assert either.free() == 70 * GIB
    either.result(
        manager.MoveVirtualDisk_Task(
            "[shared] disks/b.vmdk", either.datacenter, "[shared] disks/c.vmdk", either.datacenter, False
        )
    )
    assert either.free() == 70 * GIB
    either.result(manager.DeleteVirtualDisk_Task("[shared] disks/c.vmdk", either.datacenter))
    assert either.free() == 90 * GIB
    with pytest.raises(vim.fault.NoDiskSpace):
        either.result(
            manager.CopyVirtualDisk_Task(
                "[shared] disks/a.vmdk", either.datacenter, "[tiny] a.vmdk", either.datacenter, None, False
            )
        )
    either.result(files.DeleteDatastoreFile_Task("[shared] disks", either.datacenter))
    assert either.free() == 100 * GIB


def test_a_copy_needs_its_target_folder_and_replaces_nothing(either):
    manager = either.content.virtualDiskManager
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="thin", adapterType="lsiLogic", capacityKb=1 << 20)
    either.result(manager.CreateVirtualDisk_Task("[shared] a.vmdk", either.datacenter, spec))

    def copy(target):
        either.result(
            manager.CopyVirtualDisk_Task("[shared] a.vmdk", either.datacenter, target, either.datacenter, None, False)
        )

    with pytest.raises(vim.fault.FileNotFound):
        copy("[second] nowhere/a.vmdk")
    either.make_folder("somewhere", "second")
    copy("[second] somewhere/a.vmdk")
    with pytest.raises(vim.fault.FileAlreadyExists):
        copy("[second] somewhere/a.vmdk")
    assert sorted(either.files("second")) == ["somewhere/", "somewhere/a-flat.vmdk", "somewhere/a.vmdk"]


def test_uploads_take_space_and_a_full_datastore_takes_no_more(either):
    url = either.url("file.bin", "tiny")
    assert either.http("PUT", url, data=b"x" * (1 << 20)).status_code == 201
    assert either.free("tiny") == 7 << 20
    assert either.http("PUT", url, data=b"y" * (2 << 20)).status_code == 200
    assert either.free("tiny") == 6 << 20
    assert either.http("PUT", either.url("more.bin", "tiny"), data=b"x" * (9 << 20)).status_code == 507
    assert either.files("tiny") == ["file.bin"]
    assert either.http("GET", url).content == b"y" * (2 << 20)
    copy = either.content.fileManager.CopyDatastoreFile_Task(
        "[tiny] file.bin", either.datacenter, "[second] file.bin", either.datacenter, False
    )
    either.result(copy)
    assert either.free("second") == 100 * GIB - (2 << 20)
    assert either.http("DELETE", url).status_code == 204
    assert either.http("GET", url).status_code == 404
    assert either.free("tiny") == 8 << 20
    assert either.http("DELETE", url).status_code == 404


def test_an_upload_needs_its_folder(either):
    assert either.http("PUT", either.url("nowhere/file.bin"), data=b"x").status_code == 404
    either.make_folder("somewhere")
    assert either.http("PUT", either.url("somewhere/file.bin"), data=b"x").status_code == 201
    assert either.http("DELETE", either.url("somewhere")).status_code == 409
    assert either.http("PUT", either.url("file.bin", "no-such-datastore"), data=b"x").status_code == 404


@pytest.mark.parametrize("form", ["streamOptimized", "monolithicSparse", "flat"])
def test_an_image_that_was_merely_uploaded_is_not_a_disk(either, tmp_path, form):
    image = images.make_vmdk(tmp_path / "image.vmdk", size_mib=2, form=form)
    for file in tmp_path.iterdir():
        assert either.http("PUT", either.url(file.name), data=file.read_bytes()).status_code == 201
    for disk in (
        either.disk(2, file=f"[shared] {image.name}", existing=True),
        either.disk(2, parent=f"[shared] {image.name}"),
    ):
        with pytest.raises(vim.fault.InvalidDeviceSpec):
            either.create(either.spec(devices=[disk]))
        vm = either.create()
        with pytest.raises(vim.fault.InvalidDeviceSpec):
            either.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[disk])))
    manager = either.content.virtualDiskManager
    with pytest.raises(vim.fault.FileFault):
        either.result(
            manager.CopyVirtualDisk_Task(
                f"[shared] {image.name}", either.datacenter, "[second] x.vmdk", either.datacenter, None, False
            )
        )


def test_a_parent_outlives_its_children(either):
    parent = either.create(either.spec("parent", devices=[either.disk()]))
    file = either.state("parent")["disks"][0]["file"]
    child = either.create(either.spec("child", devices=[either.disk(parent=file)]))
    assert either.state("child")["disks"][0]["parent"] == file
    manager, files = either.content.virtualDiskManager, either.content.fileManager
    attempts = [
        parent.Destroy_Task,
        lambda: manager.DeleteVirtualDisk_Task(file, either.datacenter),
        lambda: files.DeleteDatastoreFile_Task(file, either.datacenter),
        lambda: files.DeleteDatastoreFile_Task("[shared] parent", either.datacenter),
        lambda: manager.MoveVirtualDisk_Task(file, either.datacenter, "[shared] x.vmdk", either.datacenter, False),
    ]
    for attempt in attempts:
        with pytest.raises(vim.fault.FileLocked):
            either.result(attempt())
    assert either.http("DELETE", either.url("parent/parent.vmdk")).status_code == 423
    assert "parent/parent.vmdk" in either.files()
    either.result(child.Destroy_Task())
    either.result(parent.Destroy_Task())
    assert either.files() == []


def test_a_parent_disk_is_not_destroyed_by_a_reconfigure(vc):
    parent = vc.create(vc.spec("parent", devices=[vc.disk()]))
    vc.create(vc.spec("child", devices=[vc.disk(parent=vc.state("parent")["disks"][0]["file"])]))
    disk = next(each for each in parent.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk))
    remove = vim.vm.device.VirtualDeviceSpec(operation="remove", fileOperation="destroy", device=disk)
    with pytest.raises(vim.fault.FileLocked):
        vc.result(parent.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[remove])))


def test_the_disk_of_a_running_vm_is_locked(either):
    vm = either.create(either.spec("runs", devices=[either.disk()]))
    either.result(vm.PowerOnVM_Task())
    with pytest.raises(vim.fault.FileLocked):
        either.result(
            either.content.virtualDiskManager.DeleteVirtualDisk_Task("[shared] runs/runs.vmdk", either.datacenter)
        )


def test_refreshing_a_datastore_keeps_its_size(either):
    either.create(either.spec(devices=[either.disk(10 << 10, thin=False)]))
    either.datastore().RefreshDatastore()
    assert either.datastore().summary.capacity == 100 * GIB
    assert either.free() == 90 * GIB
