# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people change in vSphere by hand is seen by the next run, which puts it back or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_site
from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim

from tests.support import diskimages

NAMES = ["web-1", "web-2", "web-3", "web-4", "web-5"]
CALLS = 10  # to an endpoint, by a run that finds nothing to do


class Site:
    """Five declared VMs on a simulated vCenter."""

    def __init__(self, lab: Any, directory: Any) -> None:
        self.endpoint, self.directory = lab.endpoints["vc1"], directory
        diskimages.ova(directory / "debian.ova")
        self.service = SmartConnect(**self.endpoint.pyvmomi())

    def run(self, *, check: bool = False) -> dict[str, Any]:
        endpoint, vm = self.endpoint, {
            "name": "web-[1:5]", "flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100",
            "disks": [{"name": "data", "flavor": "core-100", "capacity": "1 GB"}],
            "metadata": {"user_data": "#cloud-config\n"}}
        tree = {
            "photon_site": "test",
            "photon_endpoints": [{"name": "vc1", "address": endpoint.address, "port": endpoint.port,
                                  "tls": {"ca_file": endpoint.ca_file}}],
            "photon_zones": [{"name": "a"}],
            "photon_hosts": [{"name": "esx[01:03].lab", "endpoint": "vc1", "zone": "a"}],
            "photon_images": [{"name": "debian", "file": "debian.ova", "replication": "ON_DEMAND"}],
            "photon_image_datastores": ["shared1"],
            "photon_default_port_group": "VM Network",
            "photon_tenants": [{"name": "acme", "quota": {"vm.count": 10, "vm.memory": "100 GB"},
                                "projects": [{"name": "web", "quota_percent": 100, "vms": [vm]}]}]}
        return run_site(tree, Request(
            cloudstore_url=f"sqlite:///{self.directory}/cloud.db", allow_ephemeral=True, whole=True, check=check,
            credentials={"vc1": {"username": endpoint.username, "password": endpoint.password}},
            options=Options(base_directory=str(self.directory))))

    def machine(self, name: str) -> Any:
        content = self.service.RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        return next(machine for machine in view.view if machine.name == name)

    def change(self, name: str, spec: Any) -> None:
        WaitForTask(self.machine(name).ReconfigVM_Task(spec))

    def device(self, name: str, kind: type) -> Any:
        return [each for each in self.machine(name).config.hardware.device if isinstance(each, kind)][-1]

    def edit(self, name: str, device: Any) -> None:
        change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
        self.change(name, vim.vm.ConfigSpec(deviceChange=[change]))

    def guestinfo(self, name: str) -> str | None:
        pairs = {each.key: each.value for each in self.machine(name).config.extraConfig}
        return pairs.get("guestinfo.userdata")


@pytest.fixture
def site(lab_factory, tmp_path):
    site = Site(lab_factory("small"), tmp_path)
    outcome = site.run()
    assert outcome["failures"] == []
    yield site
    Disconnect(site.service)


def other_processors(site: Site) -> None:
    site.change("web-1", vim.vm.ConfigSpec(numCPUs=3))


def other_network(site: Site) -> None:
    card = site.device("web-2", vim.vm.device.VirtualEthernetCard)
    card.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="lan")
    site.edit("web-2", card)


def other_user_data(site: Site) -> None:
    site.change("web-3", vim.vm.ConfigSpec(
        extraConfig=[vim.option.OptionValue(key="guestinfo.userdata", value="c3Bvb2ZlZA==")]))


def other_memory(site: Site) -> None:
    site.change("web-5", vim.vm.ConfigSpec(memoryMB=4096))


def processors(site: Site) -> Any:
    return site.machine("web-1").config.hardware.numCPU


def network(site: Site) -> Any:
    devices = site.machine("web-2").config.hardware.device
    return [each.backing.deviceName for each in devices if isinstance(each, vim.vm.device.VirtualEthernetCard)]


def user_data(site: Site) -> Any:
    return site.guestinfo("web-3")


def memory(site: Site) -> Any:
    return site.machine("web-5").config.hardware.memoryMB


@pytest.mark.parametrize(
    ("name", "field", "change", "look"),
    [
        ("web-1", "vcpus", other_processors, processors),
        ("web-2", "port_groups", other_network, network),
        ("web-3", "guestinfo.userdata", other_user_data, user_data),
        ("web-5", "memory", other_memory, memory),
    ],
)
def test_a_change_by_hand_is_seen_and_put_back(
    site: Site, name: str, field: str, change: Callable[[Site], None], look: Callable[[Site], Any]
) -> None:
    before = look(site)
    change(site)
    by_hand = look(site)
    assert by_hand != before

    seen = site.run(check=True)
    assert [line for line in seen["changes"] if name in line and field in line], seen["changes"]
    assert seen["counts"]["vm"] == {"update": 1, "keep": 4}
    assert look(site) == by_hand, "a plan changes nothing"

    assert site.run()["failures"] == []
    assert look(site) == before
    assert not site.run()["changed"]


def test_a_disk_grown_by_hand_is_told_and_nothing_else_is_held_up(site: Site) -> None:
    disk = site.device("web-4", vim.vm.device.VirtualDisk)
    disk.capacityInKB, disk.capacityInBytes = 2 << 20, 2 << 30
    site.edit("web-4", disk)
    other_processors(site)

    outcome = site.run()
    assert [(each["name"], each["error_code"]) for each in outcome["failures"]] == [
        ("acme/web/web-4", "UpdateNotSupported")]
    assert "disk data was grown in vSphere" in outcome["failures"][0]["message"]
    assert processors(site) == 1


def test_a_lost_disk_is_told(site: Site) -> None:
    disk = site.device("web-4", vim.vm.device.VirtualDisk)
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=vim.vm.device.VirtualDisk(key=disk.key))
    site.change("web-4", vim.vm.ConfigSpec(deviceChange=[change]))
    outcome = site.run(check=True)
    assert "its disks data were detached in vSphere" in outcome["failures"][0]["message"]
    assert outcome["failures"][0]["name"] == "acme/web/web-4"


def test_a_run_that_finds_nothing_to_do_makes_few_calls(site: Site) -> None:
    site.run()
    outcome = site.run()
    assert not outcome["changed"]
    assert outcome["counts"]["vm"] == {"keep": 5}
    assert 0 < outcome["calls"]["vc1"] <= CALLS
