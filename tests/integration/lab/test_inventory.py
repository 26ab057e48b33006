# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a topology says is what the endpoints show."""

from __future__ import annotations

import time

import pytest
from pyVmomi import vim

from lab import LabError


def test_every_host_has_its_size_and_an_identity_of_its_own(vc, esx, clients):
    found = {}
    for client in clients.values():
        for name, host in client.hosts.items():
            hardware = host.summary.hardware
            assert (hardware.numCpuCores, hardware.numCpuThreads, hardware.cpuMhz) == (4, 8, 2000)
            assert host.hardware.memorySize == hardware.memorySize
            assert host.hardware.systemInfo.uuid == hardware.uuid
            assert host.runtime.connectionState == "connected"
            found[name] = (hardware.memorySize >> 30, hardware.uuid)
    assert {name: size for name, (size, _) in found.items()} == {"h1": 16, "h2": 16, "h3": 32, "e1": 16, "e2": 64}
    assert len({uuid for _, uuid in found.values()}) == 5


def test_endpoints_announce_a_current_version_and_their_kind(vc, esx):
    assert vc.content.about.apiVersion == esx.content.about.apiVersion == "8.0.3.0"
    assert (vc.content.about.apiType, esx.content.about.apiType) == ("VirtualCenter", "HostAgent")
    assert vc.content.about.instanceUuid != esx.content.about.instanceUuid


def test_clusters_have_their_hosts_and_their_drs(vc):
    clusters = {each.name: each for each in vc.datacenter.hostFolder.childEntity}
    assert {name: [host.name for host in cluster.host] for name, cluster in clusters.items()} == {
        "c1": ["h1", "h2"],
        "c2": ["h3"],
    }
    assert [clusters[name].configurationEx.drsConfig.enabled for name in ("c1", "c2")] == [True, False]
    assert clusters["c1"].summary.totalMemory == 32 << 30
    assert clusters["c1"].summary.numCpuCores == 8


def test_racks_are_a_custom_attribute(vc):
    fields = {field.name: field.key for field in vc.content.customFieldsManager.field}
    racks = {name: {v.key: v.value for v in host.customValue}[fields["rack"]] for name, host in vc.hosts.items()}
    assert racks == {"h1": "r1", "h2": "r1", "h3": "r2"}


def test_datastores_are_where_the_topology_says(vc, esx):
    stores = {each.name: each for each in vc.datacenter.datastore}
    hosts = {name: sorted(mount.key.name for mount in each.host) for name, each in stores.items()}
    assert hosts == {
        "shared": ["h1", "h2", "h3"],
        "second": ["h1", "h2", "h3"],
        "tiny": ["h1", "h2", "h3"],
        "local-h1": ["h1"],
        "local-h2": ["h2"],
        "local-h3": ["h3"],
    }
    assert stores["shared"].summary.capacity == stores["shared"].summary.freeSpace == 100 << 30
    assert stores["shared"].summary.multipleHostAccess
    assert not stores["local-h1"].summary.multipleHostAccess
    assert (stores["shared"].summary.type, stores["second"].summary.type) == ("VMFS", "NFS")
    assert sorted(each.name for each in esx.host.datastore) == ["second", "shared", "tiny"]


def test_port_groups_are_on_every_host_and_take_network_cards(vc, esx):
    assert {network.name for network in vc.hosts["h3"].network} >= {"VM Network", "lan", "dv"}
    assert {network.name for network in esx.host.network} == {"VM Network", "lan"}
    for client in (vc, esx):
        vm = client.create(client.spec(devices=[client.nic("lan")]))
        assert [network.name for network in vm.network] == ["lan"]
    group = next(each for each in vc.datacenter.network if each.name == "dv")
    port = vim.dvs.PortConnection(portgroupKey=group.key, switchUuid=group.config.distributedVirtualSwitch.uuid)
    card = vim.vm.device.VirtualVmxnet3(
        key=-30, backing=vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    )
    nic = vim.vm.device.VirtualDeviceSpec(operation="add", device=card)
    for host in vc.hosts.values():
        assert vc.create(vc.spec(devices=[nic]), host=host).network == [group]


def test_one_esxi_host_knows_nothing_of_another(esx, clients):
    esx.create(esx.spec("here"))
    assert [vm.name for vm in clients["esx2"].folder.childEntity] == []
    assert clients["esx2"].host.name == "e2"


def test_the_state_tells_what_a_test_compares_with(either):
    option = vim.option.OptionValue(key="guestinfo.key", value="value")
    vm = either.create(
        either.spec("told", numCPUs=2, memoryMB=512, extraConfig=[option], devices=[either.disk(), either.nic()])
    )
    state = either.state("told")
    assert state["moid"] == vm._moId
    assert state["instance_uuid"] == vm.config.instanceUuid
    assert state["change_version"] == vm.config.changeVersion
    assert (state["cpus"], state["memory_mb"], state["power_state"], state["host"]) == (
        2,
        512,
        "poweredOff",
        either.host.name,
    )
    assert (state["folder"], state["datastores"], state["networks"]) == ("vm", ["shared"], ["VM Network"])
    assert state["extra_config"]["guestinfo.key"] == "value"
    assert [(disk["file"], disk["thin"], disk["capacity"]) for disk in state["disks"]] == [
        ("[shared] told/told.vmdk", True, 64 << 20)
    ]
    assert {"told/", "told/told.vmx", "told/told.vmdk"} <= set(either.files())
    either.result(vm.Destroy_Task())
    assert either.files() == []


def test_two_hundred_vms_at_once(vc):
    started = time.monotonic()
    tasks = [vc.start_create(vc.spec(devices=[vc.disk()]), host=host) for _ in range(67) for host in vc.hosts.values()]
    vms = [vc.result(task) for task in tasks]
    for task in [vm.PowerOnVM_Task() for vm in vms]:
        vc.result(task)
    print(f"201 created and started in {time.monotonic() - started:.2f} s")
    assert sum(vm["power_state"] == "poweredOn" for vm in vc.lab.control.state("vc")["vms"]) == 201
    assert sorted(host["vms"] for host in vc.lab.control.state("vc")["hosts"]) == [67, 67, 67]


@pytest.mark.parametrize(("name", "endpoints", "hosts"), [("small", 2, 4), ("demo", 3, 10), ("large", 1, 64)])
def test_shipped_topologies_start(lab_factory, name, endpoints, hosts):
    lab = lab_factory(name)
    state = lab.control.state()
    assert len(state) == endpoints
    assert sum(len(each["hosts"]) for each in state.values()) == hosts
    assert all(store["free"] == store["capacity"] > 0 for each in state.values() for store in each["datastores"])


def test_an_unknown_endpoint_is_said_so(control):
    with pytest.raises(LabError, match="nowhere"):
        control.state("nowhere")
    with pytest.raises(LabError, match="does not answer"):
        type(control)("127.0.0.1:1").calls()
