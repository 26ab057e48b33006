# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage policies of flavors on a simulated vCenter, where alone they exist: set, compared, changed in place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import EndpointSpec, connect, read_policies
from pyVmomi import vim

from lab import Lab
from tests.chaos.scene import small
from tests.integration.disks.conftest import BACKINGS, HOSTS, DiskSite
from tests.support.site import codes, message

VMS = [{"name": "web-1", "flavor": "core-100", "boot_disk_flavor": "boot", "state": "started"}]
DATA = {"name": "data", "flavor": "data", "attached_to": "web-1"}


class PolicySite(DiskSite):
    """A site whose disks have flavors with a storage policy."""

    def tree(self, policy: str | None, vms: list[Any] = VMS, disks: Any = (DATA,), **more: Any) -> dict[str, Any]:
        named = {"storage_policy": policy} if policy else {}
        flavors = [
            {"name": "boot", "kind": "ephemeral-disk", "cost": {"ephemeral-disk.cost": 1}, **named},
            {"name": "data", "kind": "persistent-disk", "cost": {"persistent-disk.cost": 1}, **named},
        ]
        return self.declare(vms, list(disks), photon_flavors=flavors, **more)

    def policies(self) -> list[str]:
        """The policies of the VM's disks, as vSphere knows them; empty where a disk has none."""
        endpoint = self.lab.endpoints["vc1"]
        spec = EndpointSpec("vc1", "vc1", "vcenter", endpoint.address, endpoint.username, endpoint.password,
                            endpoint.port, str(endpoint.ca_file))  # fmt: skip
        machine = self.admin["vc1"].vm(self.record("web-1").id)
        keys = [f"{machine._moId}:{disk.key}" for disk in self.admin["vc1"].disks(machine)]
        with connect(spec) as session:
            found = read_policies(session)
            names = {identity: name for name, identity in found.ids.items()}
            return [names[identity] if identity else "" for identity in map(found.of_disks(keys).get, keys)]


@pytest.fixture(params=list(BACKINGS)[:2])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PolicySite]:
    topology = small()
    topology["endpoints"][0]["storage_policies"] = [
        {"name": "gold", "datastores": ["local-esx02"]},
        {"name": "silver", "datastores": ["local-esx02", "shared1"]},
        {"name": "local", "datastores": ["local-esx01"]},
    ]
    with Lab.start(topology) as lab, contextlib.closing(PolicySite(lab, tmp_path)) as made:
        made.endpoint, made.setting, made.backing = BACKINGS[request.param]
        yield made


def on_images(**more: Any) -> dict[str, Any]:
    return {"photon_image_datastores": ["shared1", "local-esx01", "local-esx02", "local-esx03"], **more}


def test_disks_are_placed_and_made_with_their_policy(site: Any) -> None:
    site.settled(site.tree("gold", **on_images()))
    assert site.policies() == ["gold", "gold"]
    vm, disk = site.record("web-1"), site.disk("data")
    names = {d.id: d.name for d in site.snapshot().documents}
    assert {names[str(vm.boot_disk.datastore)], names[str(disk.datastore)]} == {"local-esx02"}
    assert (vm.boot_disk.policy, disk.policy) == ("gold", "gold")


def test_policies_are_read_once_in_a_run_and_only_where_a_flavor_names_one(site: Any) -> None:
    """A few calls for all VMs and disks, and none without a policy."""

    def idle(policy: str | None, vms: int) -> int:
        many = [{**VMS[0], "name": f"web-[1:{vms}]"}]
        tree = site.tree(policy, vms=many, disks=[{**DATA, "name": f"data-[1:{vms}]", "attached_to": f"web-[1:{vms}]"}])
        site.good(tree)
        outcome = site.good(tree)
        assert not outcome["changed"]
        return outcome["calls"]["vc1"]

    without, one, many = idle(None, 1), idle("silver", 1), idle("silver", 5)
    assert without < one <= without + 6
    assert many <= one + 1


def test_a_changed_policy_is_changed_in_place(site: Any) -> None:
    site.settled(site.tree("gold", **on_images()))

    outcome = site.good(site.tree("silver", **on_images()))
    assert {line.partition(" (")[0] for line in outcome["changes"]} == {
        "update flavor ephemeral-disk/boot",
        "update flavor persistent-disk/data",
        "update disk acme/web/data",
        "update vm acme/web/web-1",
    }
    assert site.policies() == ["silver", "silver"]
    assert site.rows()[0]["power_state"] == "poweredOn"

    site.settled(site.tree("silver", **on_images()))
    site.settled(site.tree(None, **on_images()))
    assert site.policies() == ["", ""]
    assert (site.record("web-1").boot_disk.policy, site.disk("data").policy) == ("", "")


def test_a_boot_disk_that_grows_keeps_its_policy(site: Any) -> None:
    """What takes the place of a child has the policy that the child had."""
    site.settled(site.tree("silver"))
    larger = site.tree("silver", vms=[{**VMS[0], "boot_disk": {"capacity": "2 GB"}, "force": True}])
    site.good(larger)
    assert site.policies() == ["silver", "silver"]
    site.settled(larger)


def test_a_policy_that_was_changed_by_hand_is_set_again(site: Any) -> None:
    site.settled(site.tree("silver"))
    admin = site.admin["vc1"]
    machine = admin.vm(site.record("web-1").id)
    for device in admin.disks(machine):
        spec = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
        spec.profile = [vim.vm.DefaultProfileSpec()]
        admin.wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))
    assert site.policies() == ["", ""]
    assert site.good(site.tree("silver"))["changed"]
    assert site.policies() == ["silver", "silver"]
    site.settled(site.tree("silver"))


def test_a_detached_disk(site: Any) -> None:
    """A first-class disk gets it at once; vSphere sets that of a VMDK only through a VM."""
    detached = {**DATA, "attached_to": ""}
    site.settled(site.tree(None, disks=[detached]))
    outcome = site.good(site.tree("silver", disks=[detached]))
    told = [line for line in outcome["warnings"] if "when it is attached" in line]
    assert len(told) == (site.backing == "vmdk")
    assert site.disk("data").policy == ("" if site.backing == "vmdk" else "silver")
    site.settled(site.tree("silver"))
    assert site.policies() == ["silver", "silver"]


def test_an_unknown_policy_is_refused_before_anything_is_made(site: Any) -> None:
    site.good(site.tree("platinum", vms=[], disks=[]))  # nothing uses the flavor yet
    outcome = site.run(site.tree("platinum", disks=[{**DATA, "attached_to": ""}]))
    assert set(codes(outcome).values()) == {"NoConstraintMatchingDatastore"}
    assert "gold, local, silver" in message(outcome)
    assert (site.rows(), site.files()) == ([], [])


def test_a_policy_that_the_disks_datastore_does_not_satisfy(site: Any) -> None:
    site.settled(site.tree("gold", **on_images()))
    outcome = site.run(site.tree("local", **on_images()))
    assert codes(outcome) == dict.fromkeys(["acme/web/web-1", "acme/web/data"], "NoConstraintMatchingDatastore")
    assert site.policies() == ["gold", "gold"]


def test_an_esxi_host_has_no_policies(site: Any) -> None:
    site.endpoint, site.setting = "esx9", "auto"
    outcome = site.run(site.tree("gold", disks=[{**DATA, "attached_to": ""}]))
    # The site has a vCenter too, whose datastores no declared host mounts.
    assert set(codes(outcome).values()) == {"NoConstraintMatchingDatastore"}
    site.good(site.tree(None, disks=[{**DATA, "attached_to": ""}]))
    outcome = site.run(site.tree("gold", disks=[DATA]))
    assert set(codes(outcome).values()) == {"UpdateNotSupported"}
    assert HOSTS["esx9"]


def test_an_esxi_host_alone(tmp_path: Path) -> None:
    topology = small()
    topology["endpoints"] = topology["endpoints"][1:]
    with Lab.start(topology) as lab, contextlib.closing(PolicySite(lab, tmp_path)) as site:
        site.endpoint, site.setting, site.backing = BACKINGS["vmdks-on-an-esxi-host"]
        outcome = site.run(site.tree("gold", disks=[{**DATA, "attached_to": ""}]))
        assert set(codes(outcome).values()) == {"UpdateNotSupported"}
        assert site.rows() == []
