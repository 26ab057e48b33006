# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints as a whole that go wrong, faults with their fields, what guests report, and networks of one name."""

from __future__ import annotations

import http.client
import ssl
import time

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from lab import Lab, LabError
from tests.integration.lab.by_hand import TOPOLOGY, empty, new_vm
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


def test_no_permission_names_object_and_privilege(lab, admin):
    vm = new_vm(admin)
    lab.control.fault("PowerOnVM_Task", "NoPermission", fields={"privilegeId": "VirtualMachine.Interact.PowerOn"})
    with pytest.raises(vim.fault.NoPermission) as caught:
        vm.PowerOnVM_Task()
    assert (caught.value.object, caught.value.privilegeId) == (vm, "VirtualMachine.Interact.PowerOn")
    missing = caught.value.missingPrivileges[0]
    assert (missing.entity, missing.privilegeIds) == (vm, ["VirtualMachine.Interact.PowerOn"])
    lab.control.reset()
    lab.control.fault(
        "PowerOnVM_Task", "NoPermission", where="task", fields={"privilegeId": "X.Y", "object": "Folder:group-1"}
    )
    with pytest.raises(vim.fault.NoPermission) as caught:
        admin.power(vm, "poweredOn")
    assert (caught.value.object._moId, caught.value.privilegeId) == ("group-1", "X.Y")
    with pytest.raises(LabError, match="no field colour"):
        lab.control.fault("PowerOnVM_Task", "NoPermission", fields={"colour": "red"})


def test_an_endpoint_hangs_answers_503_or_is_not_there(lab, admin):
    endpoint = lab.endpoints["vc"]

    def ask(timeout):
        context = ssl.create_default_context(cafile=endpoint.ca_file)
        connection = http.client.HTTPSConnection(endpoint.address, endpoint.port, timeout=timeout, context=context)
        try:
            connection.request("GET", "/sdk/vimServiceVersions.xml")
            return connection.getresponse().status
        finally:
            connection.close()

    assert ask(20) == 200
    lab.control.misbehave("vc", "status", code=503)
    assert ask(20) == 503
    lab.control.misbehave("vc", "hang")
    with pytest.raises(TimeoutError):
        ask(0.3)
    lab.control.misbehave("vc", "unreachable")
    with pytest.raises((ConnectionError, ssl.SSLError)):
        ask(20)
    with Administrator(lab, "vc2") as other:
        assert other.host("f1").name == "f1", "the others are as before"
    lab.control.misbehave("vc", "")
    assert ask(20) == 200
    with pytest.raises(LabError, match="mode"):
        lab.control.misbehave("vc", "sideways")


def test_a_password_that_was_changed(lab, admin):
    lab.control.password("vc", "new")
    with pytest.raises(vim.fault.InvalidLogin):
        Administrator(lab, "vc")
    assert admin.host("h1").name == "h1", "open sessions stay"
    Disconnect(SmartConnect(**{**lab.endpoints["vc"].pyvmomi(), "pwd": "new"}))
    lab.control.reset()
    Administrator(lab, "vc").close()


def test_one_vcenter_has_one_instance_uuid_under_each_of_its_addresses(lab):
    found = {}
    for name, address in (("vc", "127.0.0.1"), ("vc", "localhost"), ("vc2", "localhost")):
        instance = SmartConnect(**{**lab.endpoints[name].pyvmomi(), "host": address})
        found[name, address] = instance.content.about.instanceUuid
        Disconnect(instance)
    assert found["vc", "127.0.0.1"] == found["vc", "localhost"] != found["vc2", "localhost"]
    assert all(found.values())


def test_what_a_guest_reports_of_its_network(lab, admin):
    vm = new_vm(admin, networks=("VM Network", "a/b"))
    cards = [each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualEthernetCard)]
    lab.control.nics(
        "vc",
        "web-1",
        [
            {"network": "docker0", "mac": "02:42:00:00:00:01", "addresses": ["172.17.0.1/16"]},
            {"adapter": 1, "addresses": ["169.254.7.7/16", "fe80::1/64"]},
            {"adapter": 0, "addresses": ["fe80::2/64", "2001:db8::5/64", "10.1.2.3/24"]},
            {"addresses": ["127.0.0.1/8"]},
        ],
    )
    assert [nic.ipAddress for nic in vm.guest.net] == [[], []], "nothing before it runs"
    admin.power(vm, "poweredOn")
    _until(lambda: vm.guest.ipAddress)
    assert vm.guest.ipAddress == vm.summary.guest.ipAddress == "172.17.0.1"
    seen = [(nic.deviceConfigId, list(nic.ipAddress)) for nic in vm.guest.net]
    assert seen == [
        (-1, ["172.17.0.1"]),
        (cards[1].key, ["169.254.7.7", "fe80::1"]),
        (cards[0].key, ["fe80::2", "2001:db8::5", "10.1.2.3"]),
        (-1, ["127.0.0.1"]),
    ]
    assert (vm.guest.net[0].network, vm.guest.net[2].network) == ("docker0", "VM Network")
    assert [each.prefixLength for each in vm.guest.net[2].ipConfig.ipAddress] == [64, 64, 24]
    lab.control.nics("vc", vm._moId, [{"adapter": 0, "addresses": ["10.9.9.9/24"]}], address="10.9.9.9")
    assert vm.guest.ipAddress == "10.9.9.9"
    admin.power(vm, "poweredOff")
    _until(lambda: not vm.guest.ipAddress)
    assert [(nic.deviceConfigId, list(nic.ipAddress)) for nic in vm.guest.net] == [
        (cards[0].key, []),
        (cards[1].key, []),
    ]


def test_addresses_come_some_time_after_power_on(lab, admin):
    lab.control.guests(delay_ms=500)
    vm = new_vm(admin)
    admin.power(vm, "poweredOn")
    assert vm.guest.ipAddress is None
    _until(lambda: vm.guest.ipAddress)


def test_port_groups_of_one_name_and_with_escaped_names(admin):
    named = [each for each in admin.datacenter.network if each.name == "same"]
    assert sorted(type(each).__name__ for each in named) == ["vim.Network", "vim.dvs.DistributedVirtualPortgroup"]
    assert all(host in each.host for each in named for host in [admin.host("h1")])
    vm = new_vm(admin, networks=("same", "a/b"))
    assert [type(each).__name__ for each in vm.network] == ["vim.Network", "vim.Network"]
    assert [each.name for each in vm.network] == ["same", "a%2fb"]
    card = next(each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualEthernetCard))
    group = next(each for each in named if isinstance(each, vim.dvs.DistributedVirtualPortgroup))
    card.backing = vim.vm.device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(
        port=vim.dvs.PortConnection(portgroupKey=group.key, switchUuid=group.config.distributedVirtualSwitch.uuid)
    )
    mac = card.macAddress
    admin.reconfigure(vm, deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)])
    assert group in vm.network
    kept = next(each for each in vm.config.hardware.device if each.key == card.key)
    assert (type(kept), kept.macAddress) == (type(card), mac)


def _until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
