# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are files: their bytes, their size, who may use them."""

from __future__ import annotations

import pytest
from pyVmomi import vim

from lab import LabError

MIB = 1 << 20


def test_a_new_disk_is_a_sparse_file_of_full_size(either, control):
    path = either.make_disk("[shared] disks/a.vmdk", 64 << 10)  # 64 GiB of nothing
    assert control.files(either.name)["[shared] disks/a-flat.vmdk"] == 64 << 30
    assert either.read(path, (64 << 30) - 4) == bytes(4)
    either.create(either.spec("web", devices=[either.disk(32 << 10)]))
    assert control.files(either.name)["[shared] web/web-flat.vmdk"] == 32 << 30
    assert either.free() == either.datastore().summary.capacity


def test_growth_keeps_what_was_written(either, control):
    path = either.make_disk("[shared] disks/a.vmdk", 4)
    either.write(path, b"kept" * 1000)
    assert control.files(either.name)["[shared] disks/a-flat.vmdk"] == 4 * MIB
    either.extend(path, 8)
    assert control.files(either.name)["[shared] disks/a-flat.vmdk"] == 8 * MIB
    assert either.read(path, 0, 3999) == b"kept" * 1000
    assert either.read(path, 8 * MIB - 2) == bytes(2)
    vm = either.create(either.spec("web", devices=[either.disk(1, file=path, existing=True)]))
    either.grow(vm, either.disks(vm)[0], 16)
    assert control.files(either.name)["[shared] disks/a-flat.vmdk"] == 16 * MIB
    assert either.read(path, 0, 3999) == b"kept" * 1000


def test_an_attached_disk_has_the_size_and_the_uuid_of_its_file(either):
    path = either.make_disk("[shared] disks/a.vmdk", 4)
    manager = either.content.virtualDiskManager
    uuid = manager.QueryVirtualDiskUuid(path, either.datacenter)
    vm = either.create(either.spec(devices=[either.disk(0, file=path, existing=True)]))
    [disk] = either.disks(vm)
    assert (disk.capacityInKB, disk.capacityInBytes, disk.backing.uuid) == (4 << 10, 4 * MIB, uuid)
    either.change(vm, "remove", disk)
    other = either.create(either.spec())
    either.change(other, "add", either.disk(0, file=path, existing=True).device)
    assert [(each.capacityInKB, each.backing.uuid) for each in either.disks(other)] == [(4 << 10, uuid)]
    either.extend(path, 8)  # nobody runs on it: the VM that has it sees the new size
    assert either.disks(other)[0].capacityInBytes == 8 * MIB


def test_a_disk_keeps_its_uuid_when_it_moves_and_a_copy_has_its_own(either):
    path = either.make_disk("[shared] disks/a.vmdk")
    manager, center = either.content.virtualDiskManager, either.datacenter
    uuid = manager.QueryVirtualDiskUuid(path, center)
    either.result(manager.MoveVirtualDisk_Task(path, center, "[second] b.vmdk", center, False))
    assert manager.QueryVirtualDiskUuid("[second] b.vmdk", center) == uuid
    either.create(either.spec(devices=[either.disk(0, file="[second] b.vmdk", existing=True)]))
    either.result(either.copy("[second] b.vmdk", "[second] c.vmdk"))
    assert manager.QueryVirtualDiskUuid("[second] c.vmdk", center) not in ("", uuid)


def test_a_disk_that_a_vm_runs_on_is_locked_for_others(either):
    path = either.make_disk("[shared] disks/a.vmdk", 4)
    first = either.create(either.spec("first", devices=[either.disk(0, file=path, existing=True)]))
    second = either.create(either.spec("second"))
    either.result(first.PowerOnVM_Task())
    attach = either.disk(0, file=path, existing=True)
    attempts = [
        lambda: either.change(second, "add", attach.device),
        lambda: either.create(either.spec("third", devices=[attach])),
        lambda: either.extend(path, 8),
    ]
    for attempt in attempts:
        with pytest.raises(vim.fault.FileLocked) as caught:
            attempt()
        assert caught.value.file == path
    assert either.disks(second) == []
    either.grow(first, either.disks(first)[0], 8)  # its own VM may
    either.result(first.PowerOffVM_Task())
    either.change(second, "add", attach.device)
    either.extend(path, 16)
    assert [either.disks(vm)[0].capacityInBytes for vm in (first, second)] == [16 * MIB] * 2


def test_a_child_does_not_grow_and_neither_does_its_parent(either):
    parent = either.create(either.spec("parent", devices=[either.disk(4)]))
    child = either.create(either.spec("child", devices=[either.disk(4, parent="[shared] parent/parent.vmdk")]))
    with pytest.raises(vim.fault.InvalidDeviceOperation):
        either.grow(child, either.disks(child)[0], 8)
    with pytest.raises(vim.fault.InvalidDeviceOperation):
        either.extend("[shared] child/child.vmdk", 8)
    with pytest.raises(vim.fault.FileLocked):
        either.grow(parent, either.disks(parent)[0], 8)
    with pytest.raises(vim.fault.FileLocked):
        either.extend("[shared] parent/parent.vmdk", 8)
    assert [either.disks(vm)[0].capacityInBytes for vm in (parent, child)] == [4 * MIB] * 2


@pytest.fixture
def chain(either, control):
    """A disk, its child and that one's child, with what a guest sees of the last."""
    vms = [either.create(either.spec("one", devices=[either.disk(4)]))]
    either.write("[shared] one/one.vmdk", b"1" * 4 * MIB)
    vms.append(either.create(either.spec("two", devices=[either.disk(4, parent="[shared] one/one.vmdk")])))
    vms.append(either.create(either.spec("three", devices=[either.disk(4, parent="[shared] two/two.vmdk")])))
    for name, offset in (("two", 1), ("three", 2)):
        control.damage(f"[shared] {name}/{name}.vmdk", offset * MIB, MIB // 2, endpoint=either.name)
    half = b"\xff" * (MIB // 2) + b"1" * (MIB // 2)
    yield vms[-1], b"1" * MIB + half + half + b"1" * MIB
    control.reset()
    for vm in reversed(vms):
        either.result(vm.Destroy_Task())


def test_a_copy_of_a_child_holds_the_whole_chain(either, chain, control):
    _vm, expected = chain
    either.make_folder("copies", "second")
    either.result(either.copy("[shared] three/three.vmdk", "[second] copies/c.vmdk"))
    assert either.read("[second] copies/c.vmdk") == expected
    vm = either.create(either.spec("full", devices=[either.disk(0, file="[second] copies/c.vmdk", existing=True)]))
    [disk] = either.disks(vm)
    assert (disk.backing.parent, disk.capacityInBytes) == (None, 4 * MIB)
    either.grow(vm, disk, 8)


def test_a_child_that_is_detached_stays_one(either, chain):
    vm, expected = chain
    either.change(vm, "remove", either.disks(vm)[0])
    either.result(either.copy("[shared] three/three.vmdk", "[shared] copy.vmdk"))
    assert either.read("[shared] copy.vmdk") == expected
    either.change(vm, "add", either.disk(0, file="[shared] three/three.vmdk", existing=True).device)
    assert either.disks(vm)[0].backing.parent.fileName == "[shared] two/two.vmdk"


def test_clones_moves_and_backups_of_a_child_hold_the_whole_chain(vc, control):
    vc.create(vc.spec("one", devices=[vc.disk(4)]))
    vc.write("[shared] one/one.vmdk", b"1" * 4 * MIB)
    vm = vc.create(vc.spec("two", devices=[vc.disk(4, parent="[shared] one/one.vmdk")]))
    control.damage("[shared] two/two.vmdk", MIB, 10, endpoint="vc")
    expected = b"1" * MIB + b"\xff" * 4096 + b"1" * (3 * MIB - 4096)
    expected = expected[: MIB + 10] + bytes(4086) + expected[MIB + 4096 :]  # a block is written as a whole
    saved = control.backup("vc", "two")
    where = vim.vm.RelocateSpec(datastore=vc.datastore("second"))
    clone = vc.result(vm.CloneVM_Task(vc.folder, "clone", vim.vm.CloneSpec(location=where)))
    vc.result(vm.RelocateVM_Task(where))
    back = control.restore("vc", saved, host="h1", datastore="shared", name="back")
    assert back["instance_uuid"]
    restored = next(each for each in vc.folder.childEntity if each.name == "back")
    for each in (clone, vm, restored):
        [disk] = vc.disks(each)
        assert disk.backing.parent is None
        assert vc.read(disk.backing.fileName) == expected


def test_damage_inverts_bytes_and_shows_in_nothing_else(either, control):
    path = either.make_disk("[shared] disks/a.vmdk", 1)
    either.write(path, b"abc" * 100)
    before = either.http("HEAD", either.extent(path)).headers["Last-Modified"]
    control.damage(path, 3, 3, endpoint=either.name)
    assert either.read(path, 0, 8) == b"abc" + bytes(each ^ 0xFF for each in b"abc") + b"abc"
    control.damage("[shared] disks/a-flat.vmdk", 3, 3, endpoint=either.name)
    assert either.read(path, 0, 8) == b"abcabcabc"
    answer = either.http("HEAD", either.extent(path)).headers
    assert (answer["Content-Length"], answer["Last-Modified"]) == (str(MIB), before)
    with pytest.raises(LabError, match="not all in a file of 1048576 bytes"):
        control.damage(path, MIB - 1, 2, endpoint=either.name)
    with pytest.raises(LabError, match="no file"):
        control.damage("[shared] disks/b.vmdk", 0, 1)


def test_a_file_that_several_endpoints_have_needs_a_name(vc, esx, control):
    for client in (vc, esx):
        client.make_disk("[shared] a.vmdk", 1)
    with pytest.raises(LabError, match="several endpoints"):
        control.vanish("[shared] a.vmdk")
    control.vanish("[shared] a.vmdk", endpoint="esx")
    assert (vc.files(), esx.files()) == (["a-flat.vmdk", "a.vmdk"], [])


def test_a_disk_that_vanishes_takes_its_extent_and_its_space_along(either, control):
    vm = either.create(either.spec("web", devices=[either.disk(1024, thin=False)]))
    either.result(vm.PowerOnVM_Task())
    assert either.free() == 99 << 30
    control.vanish("[shared] web/web.vmdk", endpoint=either.name)
    assert not [file for file in either.files() if file.endswith(".vmdk")]
    assert either.free() == 100 << 30
    assert either.disks(vm)[0].backing.fileName == "[shared] web/web.vmdk"  # vCenter has not noticed


def test_a_disk_in_the_folder_of_a_vm_that_does_not_have_it_survives_the_vm(either):
    vm = either.create(either.spec("web", devices=[either.disk(1), either.disk(2, unit=1)]))
    [_boot, data] = either.disks(vm)
    path = data.backing.fileName
    either.write(path, b"kept")
    either.change(vm, "remove", data)
    either.result(vm.Destroy_Task())
    name = path.split("] ")[1]
    assert sorted(either.files()) == ["web/", name.replace(".vmdk", "-flat.vmdk"), name]
    assert either.read(path, 0, 3) == b"kept"


def test_one_search_lists_every_disk_with_its_size(either):
    either.make_disk("[shared] disks/thin.vmdk", 8)
    either.make_disk("[shared] disks/deep/thick.vmdk", 4, kind="preallocated")
    either.write("[shared] disks/thin.vmdk", b"x" * 4096)
    query = vim.host.DatastoreBrowser.VmDiskQuery(
        details=vim.host.DatastoreBrowser.VmDiskQuery.Details(
            capacityKb=True, thin=True, diskType=False, hardwareVersion=False
        )
    )
    spec = vim.host.DatastoreBrowser.SearchSpec(
        query=[query],
        matchPattern=["*"],
        details=vim.host.DatastoreBrowser.FileInfo.Details(
            fileType=True, fileSize=True, modification=False, fileOwner=False
        ),
    )
    found = either.result(either.datastore().browser.SearchDatastoreSubFolders_Task("[shared]", spec))
    disks = {
        f"{folder.folderPath}/{file.path}": (file.fileSize, file.capacityKb, file.thin)
        for folder in found
        for file in folder.file
    }
    assert disks == {
        "[shared]/disks/thin.vmdk": (4096, 8 << 10, True),
        "[shared]/disks/deep/thick.vmdk": (4 * MIB, 4 << 10, False),
    }
