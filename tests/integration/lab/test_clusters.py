# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster does by itself: DRS that moves VMs, vCenter's own VMs, and hosts on their way into maintenance."""

from __future__ import annotations

import copy
import time

import pytest
from pyVmomi import vim

from lab import Lab
from tests.integration.lab.by_hand import TOPOLOGY, new_vm
from tests.support.administrator import Administrator


@pytest.fixture
def lab():
    topology = copy.deepcopy(TOPOLOGY)
    topology["endpoints"] = topology["endpoints"][:1] + topology["endpoints"][2:]
    topology["endpoints"][0]["clusters"][0]["vcls"] = 2
    with Lab.start(topology) as running:
        yield running


@pytest.fixture
def admin(lab):
    with Administrator(lab, "vc") as administrator:
        yield administrator


def agents(lab):
    """Host and power state of vCenter's own VMs."""
    return [(vm["host"], vm["power_state"]) for vm in lab.control.state("vc")["vms"] if vm["name"].startswith("vCLS-")]


def test_drs_moves_at_power_on_where_it_is_set_to(lab, admin):
    vm = new_vm(admin)
    admin.power(vm, "poweredOn")
    assert vm.runtime.host.name == "h1", "DRS moves nothing by default"
    admin.power(vm, "poweredOff")
    version = vm.config.changeVersion
    lab.control.drs("vc", "c1", moves=True)
    admin.power(vm, "poweredOn")
    assert (vm.runtime.host.name, vm.config.changeVersion == version) == ("h2", False)
    fixed = new_vm(admin, name="local", datastore="local-h1")
    admin.power(fixed, "poweredOn")
    assert fixed.runtime.host.name == "h1", "no other host reaches its files"
    elsewhere = new_vm(admin, name="c2", host="h3")
    admin.power(elsewhere, "poweredOn")
    assert elsewhere.runtime.host.name == "h3"


def test_drs_keeps_the_rules(lab, admin):
    lab.control.drs("vc", "c1", moves=True)
    first, second = new_vm(admin, name="a", host="h2"), new_vm(admin, name="b", host="h1")
    rule = vim.cluster.AntiAffinityRuleSpec(name="apart", enabled=True, mandatory=True, vm=[first, second])
    spec = vim.cluster.ConfigSpecEx(rulesSpec=[vim.cluster.RuleSpec(operation="add", info=rule)])
    admin.power(first, "poweredOn")
    assert first.runtime.host.name == "h1"
    admin.wait(admin.cluster("c1").ReconfigureComputeResource_Task(spec, True))
    admin.move_to_host(second, "h2")
    admin.power(second, "poweredOn")
    assert second.runtime.host.name == "h2", "the other host has the VM it must be apart from"


def test_vcls_is_vcenters_own(lab, admin):
    assert sorted(agents(lab)) == [("h1", "poweredOn"), ("h2", "poweredOn")]
    vm = next(each for each in admin.folder("vCLS").childEntity)
    assert (vm.config.managedBy.extensionKey, vm.config.managedBy.type) == ("com.vmware.vim.eam", "cluster-agent")
    other = vim.vm.RelocateSpec(host=admin.host("h2"))
    for call in (
        vm.PowerOffVM_Task,
        vm.Destroy_Task,
        vm.UnregisterVM,
        lambda: vm.RelocateVM_Task(other),
        lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=2)),
        lambda: vm.Rename_Task("mine"),
    ):
        with pytest.raises(vim.fault.MethodDisabled) as caught:
            call()
        assert caught.value.source == "com.vmware.vim.eam"
    assert len(agents(lab)) == 2


def test_vcls_leaves_a_host_that_enters_maintenance(lab, admin):
    admin.enter_maintenance("h1")
    assert agents(lab) == [("h2", "poweredOn")] * 2
    admin.enter_maintenance("h2")
    assert agents(lab) == [("h2", "poweredOff")] * 2
    assert admin.host("h2").runtime.inMaintenanceMode
    admin.exit_maintenance("h2")
    deadline = time.monotonic() + 10
    while agents(lab) != [("h2", "poweredOn")] * 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_powered_off_vms_do_not_hinder_unless_they_are_to_leave(lab, admin):
    vm = new_vm(admin)
    admin.enter_maintenance("h1")
    assert (vm.runtime.host.name, admin.host("h1").runtime.inMaintenanceMode) == ("h1", True)
    admin.exit_maintenance("h1")
    with pytest.raises(vim.fault.Timedout):
        admin.enter_maintenance("h1", timeout=1, evacuate=True)
    lab.control.drs("vc", "c1", moves=True)
    admin.enter_maintenance("h1", evacuate=True)
    assert vm.runtime.host.name == "h2"


def test_running_vms_hinder_until_they_are_moved(lab, admin):
    vm = new_vm(admin)
    admin.power(vm, "poweredOn")
    with pytest.raises(vim.fault.Timedout):
        admin.enter_maintenance("h1", timeout=1)
    task = admin.host("h1").EnterMaintenanceMode_Task(0)
    admin.move_to_host(vm, "h2")
    admin.wait(task)
    admin.exit_maintenance("h1")
    lab.control.drs("vc", "c1", moves=True)
    admin.enter_maintenance("h2")
    assert (vm.runtime.host.name, vm.runtime.powerState) == ("h1", "poweredOn")


def test_an_esxi_host_waits_for_its_running_vms_only(lab):
    with Administrator(lab, "esx") as esx:
        vm = new_vm(esx)
        esx.enter_maintenance("e1", evacuate=True)
        esx.exit_maintenance("e1")
        esx.power(vm, "poweredOn")
        with pytest.raises(vim.fault.Timedout):
            esx.enter_maintenance("e1", timeout=1)
        esx.power(vm, "poweredOff")
        esx.enter_maintenance("e1")
        assert esx.host("e1").runtime.inMaintenanceMode
