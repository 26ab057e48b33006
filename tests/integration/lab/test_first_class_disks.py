# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First-class disks of a vCenter; an ESXi host has none here."""

from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl

MIB = 1 << 20


class FirstClass:
    """The calls on first-class disks."""

    def __init__(self, client):
        self.client, self.manager = client, client.content.vStorageObjectManager

    def create(self, name="data", mib=4, *, keep=True, kind="thin", profile=None, datastore="shared", metadata=()):
        backing = vim.vslm.CreateSpec.DiskFileBackingSpec(
            datastore=self.client.datastore(datastore), provisioningType=kind
        )
        spec = vim.vslm.CreateSpec(
            name=name,
            capacityInMB=mib,
            backingSpec=backing,
            keepAfterDeleteVm=keep,
            profile=profile or [],
            metadata=list(metadata),
        )
        return self.client.result(self.manager.CreateDisk_Task(spec))

    def read(self, disk):
        return self.manager.RetrieveVStorageObject(disk.config.id, self.client.datastore())

    def ids(self):
        return [each.id for each in self.manager.ListVStorageObject(self.client.datastore())]

    def attach(self, vm, disk, unit=None):
        self.client.result(vm.AttachDisk_Task(disk.config.id, self.client.datastore(), 1000, unit))

    def detach(self, vm, disk):
        self.client.result(vm.DetachDisk_Task(disk.config.id))

    def extend(self, disk, mib):
        self.client.result(self.manager.ExtendDisk_Task(disk.config.id, self.client.datastore(), mib))

    def delete(self, disk):
        self.client.result(self.manager.DeleteVStorageObject_Task(disk.config.id, self.client.datastore()))


@pytest.fixture
def fcd(vc):
    first_class = FirstClass(vc)
    yield first_class
    for vm in vc.folder.childEntity:
        for disk in vc.disks(vm):
            vc.change(vm, "remove", disk)
    for store in vc.datacenter.datastore:
        for each in first_class.manager.ListVStorageObject(store):
            vc.result(first_class.manager.DeleteVStorageObject_Task(each, store))


def path(disk):
    return disk.config.backing.filePath


def test_the_manager_is_seen_in_every_copy_of_the_content(vc, esx):
    for content in (vc.instance.content, vc.instance.RetrieveContent()):
        assert isinstance(content.vStorageObjectManager, vim.vslm.vcenter.VStorageObjectManager)
    for content in (esx.instance.content, esx.instance.RetrieveContent()):
        assert content.vStorageObjectManager is None
    assert vc.instance.content.about.instanceUuid == vc.content.about.instanceUuid


def test_a_new_disk_is_a_sparse_file_with_an_id(vc, fcd, control):
    disk = fcd.create(mib=64 << 10)
    assert disk.config.name == "data"
    assert disk.config.keepAfterDeleteVm is True
    assert path(disk) == f"[shared] fcd/{disk.config.id.id}.vmdk"
    assert control.files("vc")[path(disk).replace(".vmdk", "-flat.vmdk")] == 64 << 30
    assert fcd.ids() == [disk.config.id.id]
    assert (fcd.read(disk).config.capacityInMB, fcd.read(disk).config.consumerId) == (64 << 10, [])
    assert vc.free() == 100 << 30
    thick = fcd.create(mib=1024, kind="lazyZeroedThick")
    assert vc.free() == 99 << 30
    with pytest.raises(vim.fault.NoDiskSpace):
        fcd.create(mib=100 << 10, kind="eagerZeroedThick")
    fcd.delete(thick)
    assert vc.free() == 100 << 30


def test_attaching_adds_a_device_and_detaching_leaves_the_file(vc, fcd):
    vm, disk = vc.create(vc.spec("web", devices=[vc.disk(1)])), fcd.create()
    vc.write(path(disk), b"kept")
    fcd.attach(vm, disk)
    device = vc.disks(vm)[1]
    assert (device.key, device.unitNumber, device.capacityInBytes) == (2001, 1, 4 * MIB)
    assert (device.vDiskId.id, device.backing.fileName) == (disk.config.id.id, path(disk))
    assert device.backing.thinProvisioned is True
    uuid = vc.content.virtualDiskManager.QueryVirtualDiskUuid(path(disk), vc.datacenter)
    assert device.backing.uuid == uuid
    assert [each.id for each in fcd.read(disk).config.consumerId] == [vm.config.uuid]
    fcd.detach(vm, disk)
    assert len(vc.disks(vm)) == 1
    assert fcd.read(disk).config.consumerId == []
    assert vc.read(path(disk), 0, 3) == b"kept"
    fcd.attach(vm, disk, unit=9)
    assert vc.disks(vm)[1].key == 2009


def test_a_disk_is_attached_once(vc, fcd):
    first, second, disk = vc.create(vc.spec("first")), vc.create(vc.spec("second")), fcd.create()
    fcd.attach(first, disk)
    for vm in (first, second):
        with pytest.raises(vim.fault.ResourceInUse, match="first"):
            fcd.attach(vm, disk)
    with pytest.raises(vim.fault.InvalidState):
        fcd.delete(disk)
    with pytest.raises(vim.fault.NotFound):
        fcd.detach(second, disk)
    assert (len(vc.disks(first)), len(vc.disks(second))) == (1, 0)
    fcd.detach(first, disk)
    with pytest.raises(vim.fault.NotFound):
        fcd.detach(first, disk)
    fcd.attach(second, disk)
    assert len(vc.disks(second)) == 1


def test_a_reconfigure_attaches_the_same_disk(vc, fcd):
    vm, disk = vc.create(vc.spec("web")), fcd.create()
    vc.change(vm, "add", vc.disk(0, file=path(disk), existing=True).device)
    [device] = vc.disks(vm)
    assert device.vDiskId.id == disk.config.id.id
    assert [each.id for each in fcd.read(disk).config.consumerId] == [vm.config.uuid]
    vc.grow(vm, device, 8)
    assert fcd.read(disk).config.capacityInMB == 8
    vc.change(vm, "remove", vc.disks(vm)[0])
    assert fcd.read(disk).config.consumerId == []


def test_a_disk_grows_but_never_shrinks(vc, fcd, control):
    vm, disk = vc.create(vc.spec("web")), fcd.create(mib=4)
    vc.write(path(disk), b"kept")
    fcd.extend(disk, 8)
    with pytest.raises(vmodl.fault.InvalidArgument):
        fcd.extend(disk, 7)
    assert fcd.read(disk).config.capacityInMB == 8
    assert control.files("vc")[path(disk).replace(".vmdk", "-flat.vmdk")] == 8 * MIB
    assert vc.read(path(disk), 0, 3) == b"kept"
    fcd.attach(vm, disk)
    fcd.extend(disk, 16)
    assert vc.disks(vm)[0].capacityInBytes == 16 * MIB


def test_what_a_vm_takes_along_when_it_is_destroyed(vc, fcd):
    vm = vc.create(vc.spec("web", devices=[vc.disk(1)]))
    kept, lost = fcd.create("kept", keep=True), fcd.create("lost", keep=False)
    vc.write(path(kept), b"kept")
    fcd.attach(vm, kept)
    fcd.attach(vm, lost)
    vc.result(vm.PowerOnVM_Task())
    with pytest.raises(vim.fault.InvalidPowerState):
        vc.result(vm.Destroy_Task())
    assert len(vc.disks(vm)) == 3
    vc.result(vm.PowerOffVM_Task())
    vc.result(vm.Destroy_Task())
    assert fcd.ids() == [kept.config.id.id]
    assert fcd.read(kept).config.consumerId == []
    assert vc.read(path(kept), 0, 3) == b"kept"
    with pytest.raises(vim.fault.NotFound):
        fcd.read(lost)
    assert not [file for file in vc.files() if lost.config.id.id in file or file.startswith("web")]


def test_a_folder_that_is_destroyed_keeps_them_too(vc, fcd):
    folder = vc.folder.CreateFolder("tenant")
    vm = vc.create(vc.spec("web"), folder=folder)
    kept = fcd.create("kept")
    fcd.attach(vm, kept)
    vc.result(folder.Destroy_Task())
    assert fcd.ids() == [kept.config.id.id]
    assert vc.read(path(kept), 0, 0) == b"\0"


def test_a_disk_whose_file_vanished_is_listed_and_not_found(vc, fcd, control):
    disk = fcd.create()
    control.vanish(path(disk))
    assert fcd.ids() == [disk.config.id.id]
    with pytest.raises(vim.fault.NotFound):
        fcd.read(disk)


def test_a_disk_moves_to_another_datastore_with_its_bytes_and_its_id(vc, fcd):
    disk = fcd.create()
    vc.write(path(disk), b"kept")
    place = vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=vc.datastore("second"))
    spec = vim.vslm.RelocateSpec(backingSpec=place)
    vc.result(fcd.manager.RelocateVStorageObject_Task(disk.config.id, vc.datastore(), spec))
    with pytest.raises(vim.fault.NotFound):
        fcd.read(disk)
    moved = fcd.manager.RetrieveVStorageObject(disk.config.id, vc.datastore("second"))
    assert path(moved) == f"[second] fcd/{disk.config.id.id}.vmdk"
    assert vc.read(path(moved), 0, 3) == b"kept"


def test_metadata_is_set_at_creation_and_changes_key_by_key(vc, fcd):
    pair = vim.KeyValue
    disk = fcd.create(metadata=[pair(key="a", value="1"), pair(key="b", value="2")])

    def metadata():
        return {each.key: each.value for each in fcd.read(disk).config.metadata}

    assert metadata() == {"a": "1", "b": "2"}
    method = fcd.manager.VCenterUpdateVStorageObjectMetadataEx_Task
    vc.result(method(disk.config.id, vc.datastore(), [pair(key="a", value="3"), pair(key="c", value="4")], ["b"]))
    assert metadata() == {"a": "3", "c": "4"}
    with pytest.raises(vim.fault.NotFound):
        vc.result(method(vim.vslm.ID(id="none"), vc.datastore(), [], ["a"]))


def test_an_esxi_host_has_no_first_class_disks(esx):
    vm = esx.create(esx.spec("web"))
    with pytest.raises(vmodl.fault.NotSupported):
        vm.AttachDisk_Task(vim.vslm.ID(id="any"), esx.datastore(), 1000, None)
    with pytest.raises(vmodl.fault.NotSupported):
        vm.DetachDisk_Task(vim.vslm.ID(id="any"))
