# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the simulator is more lenient than vCenter with virtual machines, the lab is not."""

from __future__ import annotations

import time
import uuid

import pytest
from pyVmomi import vim, vmodl


def test_of_creates_with_one_name_in_a_folder_one_succeeds(either):
    tasks = [either.start_create(either.spec("twin")) for _ in range(6)]
    outcomes = []
    for task in tasks:
        try:
            outcomes.append(either.result(task))
        except vim.fault.DuplicateName as fault:
            outcomes.append(fault.name)
    assert sorted(str(outcome) == "twin" for outcome in outcomes) == [False] + [True] * 5
    assert [vm.name for vm in either.folder.childEntity] == ["twin"]


def test_one_name_in_two_folders_is_fine(vc):
    folder = vc.folder.CreateFolder("team")
    vc.create(vc.spec("same"))
    vc.create(vc.spec("same"), folder=folder)
    assert vc.state("same")["folder"] in ("vm", "vm/team")
    assert [vm.name for vm in folder.childEntity] == ["same"]


def test_a_name_is_free_again_after_a_failed_create_and_after_a_destroy(vc):
    with pytest.raises(vim.fault.NoDiskSpace):
        vc.create(vc.spec("again", devices=[vc.disk(16, thin=False, file="[tiny]")]))
    vm = vc.create(vc.spec("again"))
    vc.result(vm.Destroy_Task())
    assert vc.create(vc.spec("again")).name == "again"


def test_an_instance_uuid_is_unique(either):
    one = str(uuid.uuid4())
    either.create(either.spec(instanceUuid=one))
    with pytest.raises(vim.fault.AlreadyExists):
        either.create(either.spec(instanceUuid=one.upper()))
    assert either.content.searchIndex.FindByUuid(None, one, True, True).config.instanceUuid == one


def test_rename_to_a_taken_name_is_refused(vc):
    vc.create(vc.spec("first"))
    second = vc.create(vc.spec("second"))
    with pytest.raises(vim.fault.DuplicateName):
        vc.result(second.Rename_Task("first"))
    with pytest.raises(vim.fault.DuplicateName):
        vc.result(second.ReconfigVM_Task(vim.vm.ConfigSpec(name="first")))
    assert second.name == "second"


def test_only_reserved_memory_is_checked_at_power_on(either):
    limit = either.host.summary.hardware.memorySize >> 20
    overcommitted = either.create(either.spec(memoryMB=limit * 4))
    either.result(overcommitted.PowerOnVM_Task())
    allocation = vim.ResourceAllocationInfo(reservation=limit - 512)
    reserved = either.create(either.spec(memoryMB=limit, memoryAllocation=allocation))
    either.result(reserved.PowerOnVM_Task())
    small = vim.ResourceAllocationInfo(reservation=1024)
    refused = either.create(either.spec(memoryMB=1024, memoryAllocation=small))
    with pytest.raises(vim.fault.InsufficientMemoryResourcesFault) as caught:
        either.result(refused.PowerOnVM_Task())
    assert caught.value.unreserved == 512 << 20
    assert refused.runtime.powerState == "poweredOff"
    either.result(reserved.PowerOffVM_Task())
    either.result(refused.PowerOnVM_Task())


def test_only_reserved_cpu_is_checked_at_power_on(either):
    mhz = 2000 * 4
    for share, fits in ((mhz - 100, True), (200, False)):
        allocation = vim.ResourceAllocationInfo(reservation=share)
        vm = either.create(either.spec(numCPUs=8, cpuAllocation=allocation))
        if fits:
            either.result(vm.PowerOnVM_Task())
        else:
            with pytest.raises(vim.fault.InsufficientCpuResourcesFault):
                either.result(vm.PowerOnVM_Task())


def test_power_ons_at_once_do_not_overbook_reservations(vc, control):
    control.delay(task={"PowerOn": 50})
    half = vim.ResourceAllocationInfo(reservation=(16 << 10) // 2)
    vms = [vc.create(vc.spec(memoryMB=16 << 10, memoryAllocation=half)) for _ in range(4)]
    tasks = [vm.PowerOnVM_Task() for vm in vms]
    outcomes = []
    for task in tasks:
        try:
            vc.result(task)
            outcomes.append("on")
        except vim.fault.InsufficientMemoryResourcesFault:
            outcomes.append("refused")
    assert sorted(outcomes) == ["on", "on", "refused", "refused"]


def test_a_vm_wider_than_its_host_does_not_start(either):
    vm = either.create(either.spec(numCPUs=9))
    with pytest.raises(vim.fault.NotEnoughCpus):
        either.result(vm.PowerOnVM_Task())


def test_maintenance_waits_for_running_vms(vc):
    host = vc.hosts["h2"]
    vm = vc.create(host=host)
    vc.result(vm.PowerOnVM_Task())
    task = host.EnterMaintenanceMode_Task(0)
    time.sleep(0.2)
    assert (task.info.state, host.runtime.inMaintenanceMode) == ("running", False)
    vc.result(vm.PowerOffVM_Task())
    vc.result(task)
    assert host.runtime.inMaintenanceMode
    with pytest.raises(vim.fault.InvalidState):
        vc.create(host=host)
    with pytest.raises(vim.fault.InvalidState):
        vc.result(vm.PowerOnVM_Task())
    vc.result(host.ExitMaintenanceMode_Task(0))
    vc.create(host=host)


def test_maintenance_times_out_and_can_be_cancelled(vc):
    host = vc.hosts["h2"]
    vm = vc.create(host=host)
    vc.result(vm.PowerOnVM_Task())
    with pytest.raises(vim.fault.Timedout):
        vc.result(host.EnterMaintenanceMode_Task(1))
    task = host.EnterMaintenanceMode_Task(0)
    task.CancelTask()
    with pytest.raises(vmodl.fault.RequestCanceled):
        vc.result(task)
    vc.result(vm.PowerOffVM_Task())
    time.sleep(0.1)
    assert not host.runtime.inMaintenanceMode


def test_a_move_takes_the_vm_off_its_old_host(vc):
    vm = vc.create(vc.spec(devices=[vc.disk()]), host=vc.hosts["h1"])
    vc.result(vm.RelocateVM_Task(vim.vm.RelocateSpec(host=vc.hosts["h2"])))
    assert vm not in vc.hosts["h1"].vm
    assert vm in vc.hosts["h2"].vm
    assert vm.runtime.host == vc.hosts["h2"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        vc.result(vm.RelocateVM_Task(vim.vm.RelocateSpec(host=vc.hosts["h3"])))
    vc.result(vm.RelocateVM_Task(vim.vm.RelocateSpec(host=vc.hosts["h3"], pool=vc.pool(vc.hosts["h3"]))))
    assert vm.runtime.host == vc.hosts["h3"]


def test_a_move_to_where_the_disk_cannot_be_reached_is_refused(vc):
    vm = vc.create(vc.spec(devices=[vc.disk(file="[local-h1]")], datastore="local-h1"), host=vc.hosts["h1"])
    with pytest.raises(vim.fault.InvalidDatastorePath):
        vc.result(vm.RelocateVM_Task(vim.vm.RelocateSpec(host=vc.hosts["h2"])))


def test_a_move_into_maintenance_is_refused(vc):
    vm = vc.create(host=vc.hosts["h1"])
    vc.result(vc.hosts["h2"].EnterMaintenanceMode_Task(0))
    try:
        with pytest.raises(vim.fault.InvalidState):
            vc.result(vm.RelocateVM_Task(vim.vm.RelocateSpec(host=vc.hosts["h2"])))
    finally:
        vc.result(vc.hosts["h2"].ExitMaintenanceMode_Task(0))


def test_a_disconnected_host_takes_no_work(vc):
    host = vc.hosts["h3"]
    vm = vc.create(host=host)
    vc.result(host.DisconnectHost_Task())
    try:
        with pytest.raises(vmodl.fault.HostNotConnected):
            vc.create(host=host)
        with pytest.raises(vmodl.fault.HostNotConnected):
            vc.result(vm.PowerOnVM_Task())
    finally:
        vc.result(host.ReconnectHost_Task())
    vc.result(vm.PowerOnVM_Task())


def test_clone_is_vcenters_alone(vc, esx):
    source = esx.create()
    with pytest.raises(vmodl.fault.NotSupported):
        source.CloneVM_Task(esx.folder, "copy", vim.vm.CloneSpec(location=vim.vm.RelocateSpec()))
    source = vc.create()
    clone = vc.result(source.CloneVM_Task(vc.folder, "copy", vim.vm.CloneSpec(location=vim.vm.RelocateSpec())))
    assert clone.name == "copy"
    with pytest.raises(vim.fault.DuplicateName):
        vc.result(source.CloneVM_Task(vc.folder, "copy", vim.vm.CloneSpec(location=vim.vm.RelocateSpec())))


def test_a_guest_has_an_address_while_it_runs(either):
    vm = either.create(either.spec(devices=[either.nic()]))
    assert vm.guest.ipAddress is None
    either.result(vm.PowerOnVM_Task())
    deadline = time.monotonic() + 5
    while not vm.guest.ipAddress and time.monotonic() < deadline:
        time.sleep(0.01)
    address = vm.guest.ipAddress
    assert address.startswith("198.18.")
    assert vm.summary.guest.ipAddress == address
    assert vm.guest.toolsRunningStatus == "guestToolsRunning"
    assert either.state(vm.name)["address"] == address
    either.result(vm.PowerOffVM_Task())
    while vm.guest.ipAddress and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not vm.guest.ipAddress
    assert not vm.summary.guest.ipAddress
    assert vm.guest.toolsRunningStatus == "guestToolsNotRunning"


def test_a_guest_without_network_or_tools_has_no_address(vc, control):
    alone = vc.create()
    vc.result(alone.PowerOnVM_Task())
    control.guests(off=True, endpoint="vc")
    quiet = vc.create(vc.spec(devices=[vc.nic()]))
    vc.result(quiet.PowerOnVM_Task())
    time.sleep(0.3)
    assert not alone.guest.ipAddress
    assert not quiet.guest.ipAddress


def test_guests_of_different_endpoints_have_different_addresses(vc, esx):
    found = []
    for client in (vc, esx):
        for vm in [client.create(client.spec(devices=[client.nic()])) for _ in range(3)]:
            client.result(vm.PowerOnVM_Task())
            found.append(vm)
    deadline = time.monotonic() + 5
    while not all(vm.guest.ipAddress for vm in found) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len({vm.guest.ipAddress for vm in found}) == 6


def _change_cpu(client, vm):
    client.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=2)))


def _change_disk(client, vm):
    disk = next(each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk))
    disk.capacityInKB *= 2
    disk.capacityInBytes *= 2
    edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    client.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))


def _change_nic(client, vm):
    client.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[client.nic("lan")])))


def _change_extra_config(client, vm):
    option = vim.option.OptionValue(key="guestinfo.hand", value="made")
    client.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))


def _rename(client, vm):
    client.result(vm.Rename_Task(vm.name + "-renamed"))


@pytest.mark.parametrize("change", [_change_cpu, _change_disk, _change_nic, _change_extra_config, _rename])
def test_the_change_version_moves_with_every_change(either, change):
    vm = either.create(either.spec(devices=[either.disk()]))
    before = vm.config.changeVersion
    change(either, vm)
    deadline = time.monotonic() + 5
    while vm.config.changeVersion == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert vm.config.changeVersion != before


def test_the_change_version_stays_with_power_and_reads(either):
    vm = either.create(either.spec(devices=[either.disk(), either.nic()]))
    before = vm.config.changeVersion
    assert before
    either.result(vm.PowerOnVM_Task())
    time.sleep(0.1)
    either.result(vm.PowerOffVM_Task())
    time.sleep(0.1)
    assert vm.config.changeVersion == before


def test_a_reconfigure_with_an_old_change_version_is_refused(vc):
    vm = vc.create()
    old = vm.config.changeVersion
    vc.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=2, changeVersion=old)))
    with pytest.raises(vim.fault.ConcurrentAccess):
        vc.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=3, changeVersion=old)))
    assert vm.config.hardware.numCPU == 2


def test_a_refused_disk_change_leaves_the_rest_as_it_was(vc):
    vm = vc.create(vc.spec(devices=[vc.disk(64)]))
    disk = next(each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk))
    disk.capacityInKB //= 2
    disk.capacityInBytes //= 2
    edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    version = vm.config.changeVersion
    with pytest.raises(vim.fault.InvalidDeviceOperation):
        vc.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=4, deviceChange=[edit])))
    assert (vm.config.hardware.numCPU, vm.config.changeVersion) == (1, version)


def test_pyvmomi_reads_every_property_whole(either):
    vm = either.create(either.spec(devices=[either.disk(), either.nic()]))
    either.result(vm.PowerOnVM_Task())
    assert vm.runtime.powerState == vm.summary.runtime.powerState == "poweredOn"
    assert vm.runtime.faultToleranceState == "notConfigured"
    assert vm.config.hardware.numCPU == 1


def test_a_folder_takes_its_vms_along(vc):
    folder = vc.folder.CreateFolder("gone")
    vm = vc.create(folder=folder)
    vc.result(vm.PowerOnVM_Task())
    with pytest.raises(vim.fault.InvalidPowerState):
        vc.result(folder.Destroy_Task())
    vc.result(vm.PowerOffVM_Task())
    vc.result(folder.Destroy_Task())
    assert vc.lab.control.state("vc")["vms"] == []
    assert vc.files() == []


def test_a_vm_is_registered_under_a_free_name_only(vc):
    vm = vc.create(vc.spec("files", devices=[vc.disk()]))
    path = vm.config.files.vmPathName
    vm.UnregisterVM()
    vc.create(vc.spec("taken"))

    def register(name):
        return vc.result(vc.folder.RegisterVM_Task(path, name, False, vc.pool(), vc.host))

    with pytest.raises(vim.fault.DuplicateName):
        register("taken")
    assert register("files").name == "files"


def test_many_are_started_at_once_or_none(vc):
    half = vim.ResourceAllocationInfo(reservation=(16 << 10) // 2)
    vms = [vc.create(vc.spec(memoryMB=16 << 10, memoryAllocation=half)) for _ in range(3)]
    with pytest.raises(vim.fault.InsufficientMemoryResourcesFault):
        vc.result(vc.datacenter.PowerOnMultiVM_Task(vms))
    assert {vm.runtime.powerState for vm in vms} == {"poweredOff"}
    vc.result(vc.datacenter.PowerOnMultiVM_Task(vms[:2]))
    deadline = time.monotonic() + 5
    while {vm.runtime.powerState for vm in vms[:2]} != {"poweredOn"} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert {vm.runtime.powerState for vm in vms[:2]} == {"poweredOn"}


def test_what_would_end_the_simulator_is_refused(vc):
    vm = vc.create(vc.spec("sparse"))
    backing = vim.vm.device.VirtualDisk.SeSparseBackingInfo(fileName="[shared]", diskMode="persistent")
    disk = vc.disk()
    disk.device.backing = backing
    vc.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[disk])))
    with pytest.raises(vmodl.fault.NotSupported):
        vc.result(vm.CloneVM_Task(vc.folder, "copy", vim.vm.CloneSpec(location=vim.vm.RelocateSpec())))
    cluster = vc.hosts["h1"].parent
    placement = vim.cluster.PlacementSpec(placementType="create", hosts=[vc.hosts["h1"]], configSpec=vc.spec())
    with pytest.raises(vmodl.fault.NotSupported):
        cluster.PlaceVm(placement)
    assert vc.create(vc.spec("copy")).name == "copy"
