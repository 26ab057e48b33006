# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU, memory, disks, snapshots and tools of a VM: what vCenter and ESXi refuse, in which state."""

from __future__ import annotations

import time

import pytest
from pyVmomi import vim, vmodl

from lab import Lab
from tests.integration.lab.by_hand import TOPOLOGY, empty, new_vm, paths
from tests.support.administrator import Administrator


@pytest.fixture(scope="module")
def lab():
    with Lab.start(TOPOLOGY) as running:
        yield running


@pytest.fixture(params=["vc", "esx"])
def either(request, lab):
    with Administrator(lab, request.param) as administrator:
        yield administrator
        empty(administrator)


@pytest.fixture
def admin(lab):
    with Administrator(lab, "vc") as administrator:
        yield administrator
        empty(administrator)


def size(vm):
    return vm.config.hardware.numCPU, vm.config.hardware.memoryMB


def test_nothing_is_hot_added_by_default(either):
    vm = new_vm(either)
    either.power(vm, "poweredOn")
    with pytest.raises(vim.fault.CpuHotPlugNotSupported):
        either.reconfigure(vm, numCPUs=2)
    with pytest.raises(vim.fault.MemoryHotPlugNotSupported):
        either.reconfigure(vm, memoryMB=2048)
    for flag in ("cpuHotAddEnabled", "memoryHotAddEnabled"):
        with pytest.raises(vim.fault.InvalidPowerState):
            either.reconfigure(vm, **{flag: True})
    either.reconfigure(vm, numCPUs=1, memoryMB=1024, cpuHotAddEnabled=False, annotation="unchanged sizes are no change")
    assert size(vm) == (1, 1024)
    either.power(vm, "poweredOff")
    either.reconfigure(vm, numCPUs=2, memoryMB=2048, cpuHotAddEnabled=True)
    assert size(vm) == (2, 2048)


def test_with_hot_add_a_running_vm_grows_and_does_not_shrink(either):
    vm = new_vm(either, cpuHotAddEnabled=True, memoryHotAddEnabled=True)
    either.power(vm, "poweredOn")
    either.reconfigure(vm, numCPUs=2, memoryMB=2048)
    assert size(vm) == (2, 2048)
    with pytest.raises(vim.fault.CpuHotPlugNotSupported):
        either.reconfigure(vm, numCPUs=1)
    with pytest.raises(vim.fault.InvalidPowerState):
        either.reconfigure(vm, memoryMB=1024)
    either.suspend(vm)
    with pytest.raises(vim.fault.InvalidPowerState):
        either.reconfigure(vm, numCPUs=4)
    assert size(vm) == (2, 2048)


def test_memory_is_a_multiple_of_4_mb(either):
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        new_vm(either, memoryMB=1026)
    assert caught.value.invalidProperty == "configSpec.memoryMB"
    vm = new_vm(either)
    with pytest.raises(vmodl.fault.InvalidArgument):
        either.reconfigure(vm, memoryMB=1030)


def test_a_disk_of_a_running_vm_grows(either):
    vm = new_vm(either)
    either.power(vm, "poweredOn")
    either.grow_disk(vm, 0, 4096)
    assert [disk.capacityInKB for disk in either.disks(vm)] == [4096, 2048], "an edit does not change the order"
    with pytest.raises(vim.fault.InvalidDeviceOperation):
        either.grow_disk(vm, 0, 1024)
    either.power(vm, "poweredOff")
    either.snapshot(vm)
    with pytest.raises(vim.fault.InvalidDeviceOperation):
        either.grow_disk(vm, 1, 8192)
    assert [disk.capacityInKB for disk in either.disks(vm)] == [4096, 2048]


def test_a_grown_disk_keeps_its_size_when_it_is_attached_again(either):
    vm = new_vm(either)
    either.grow_disk(vm, 1, 8192)
    path = either.detach(vm, 1)
    assert path in either.files()
    assert either.attach(vm, path).capacityInKB == 8192


def test_a_disk_that_comes_back_elsewhere_has_another_key_and_place(either):
    vm = new_vm(either)
    assert [(disk.key, disk.unitNumber) for disk in either.disks(vm)] == [(2000, 0), (2001, 1)]
    boot, data = paths(either, vm)
    either.detach(vm, boot)
    either.detach(vm, data)
    either.attach(vm, data)
    either.attach(vm, boot, unit=5)
    assert [(disk.key, disk.unitNumber) for disk in either.disks(vm)] == [(2000, 0), (2005, 5)]
    assert paths(either, vm) == [data, boot]


def test_unit_7_is_the_controllers(either):
    vm = new_vm(either)
    extra = [either.create_disk(f"[shared] more/{n}.vmdk") for n in range(7)]
    for path in extra[:6]:
        either.attach(vm, path)
    assert [disk.unitNumber for disk in either.disks(vm)] == [0, 1, 2, 3, 4, 5, 6, 8]
    for taken in (7, 3):
        with pytest.raises(vim.fault.InvalidDeviceSpec):
            either.attach(vm, extra[6], unit=taken)
    assert either.attach(vm, extra[6], unit=15).key == 2015


def test_one_disk_of_two_running_vms_is_refused(either):
    first = new_vm(either)
    second = new_vm(either, name="web-2")
    shared = either.create_disk("[shared] both/disk.vmdk")
    either.attach(first, shared)
    either.attach(second, shared)
    either.power(first, "poweredOn")
    with pytest.raises(vim.fault.GenericVmConfigFault, match="lock"):
        either.power(second, "poweredOn")
    with pytest.raises(vim.fault.FileLocked):
        either.wait(second.Destroy_Task())
    either.detach(second, shared)
    either.power(second, "poweredOn")
    with pytest.raises(vim.fault.FileLocked):
        either.attach(second, shared)
    with pytest.raises(vim.fault.FileLocked):
        either.wait(either.content.virtualDiskManager.ExtendVirtualDisk_Task(shared, either.datacenter, 1 << 20))
    either.delete(second)
    assert shared in either.files()


def test_the_current_snapshot_goes_after_a_revert(either):
    vm = new_vm(either)
    first = either.snapshot(vm, "first")
    other = either.snapshot(vm, "second")
    either.wait(first.RevertToSnapshot_Task())
    either.wait(first.RemoveSnapshot_Task(False))
    assert [tree.name for tree in vm.snapshot.rootSnapshotList] == ["second"]
    either.wait(other.RemoveSnapshot_Task(False))
    assert vm.rootSnapshot == []


def test_a_guest_without_tools_is_not_shut_down(either, lab):
    lab.control.guests(off=True)
    vm = new_vm(either)
    with pytest.raises(vim.fault.InvalidPowerState):
        vm.ShutdownGuest()
    either.power(vm, "poweredOn")
    for call in (vm.ShutdownGuest, vm.RebootGuest, vm.StandbyGuest):
        with pytest.raises(vim.fault.ToolsUnavailable):
            call()
    assert vm.runtime.powerState == "poweredOn"
    lab.control.guests(delay_ms=0)
    either.power(vm, "poweredOff")
    either.power(vm, "poweredOn")
    _until(lambda: vm.guest.toolsRunningStatus == "guestToolsRunning")
    vm.ShutdownGuest()
    _until(lambda: vm.runtime.powerState == "poweredOff")


def test_two_vms_of_one_instance_uuid(lab, admin):
    first, second = new_vm(admin), new_vm(admin, name="web-2")
    identity = first.config.instanceUuid
    lab.control.identity("vc", second._moId, identity)
    assert second.config.instanceUuid == identity
    found = admin.content.searchIndex.FindAllByUuid(None, identity, True, True)
    assert {vm._moId for vm in found} == {first._moId, second._moId}


def _until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
