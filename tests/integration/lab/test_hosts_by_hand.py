# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that leave a vCenter, come back, lose their connection or join it, with all their VMs."""

from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl

from lab import Lab
from tests.integration.lab.by_hand import TOPOLOGY, mark, new_vm, paths
from tests.support.administrator import Administrator


@pytest.fixture
def lab():
    """A data centre of the test's own: what leaves or joins changes it for good."""
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
