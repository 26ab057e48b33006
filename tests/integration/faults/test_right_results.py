# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run says and does is right: image copies, addresses, adapters, names, endpoints, rights."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils import vsphere

from tests.chaos.scene import tree
from tests.support.site import Site, codes, message

ONE = {"zone": "a", "spread_over": None}


# -- F16: image copies -----------------------------------------------------------------------------------------------


def test_a_deleted_image_copy_is_created_again(site: Site) -> None:
    site.good(tree(0))
    site.admin["vc1"].delete(site.named("image-copy", "vc1/shared1").observed["template_moid"])
    outcome = site.good(tree(1, **ONE))
    assert outcome["counts"]["image-copy"] == {"update": 1}
    assert "update image-copy debian/vc1/shared1 (deleted in vSphere)" in outcome["changes"]
    site.settled(tree(1, **ONE))


def test_a_renamed_datastore_gets_no_second_copy(site: Site) -> None:
    declared = tree(1, **ONE)
    del declared["photon_image_datastores"]
    site.good(declared)
    before = len(copies(site))
    site.admin["vc1"].rename_datastore("shared1", "SAN 01 (prod)")
    outcome = site.good(declared)
    assert outcome["counts"]["datastore"]["update"] == 1
    assert "create" not in outcome["counts"]["datastore"]
    assert len(copies(site)) == before
    assert any(path.startswith("[SAN 01 (prod)] ") for path in copies(site))
    assert site.named("image-copy", "vc1/SAN 01 (prod)").state == "READY"
    site.good({**declared, "photon_tenants": tree(2, **ONE)["photon_tenants"]})
    assert site.disagreements() == []


def copies(site: Site) -> list[str]:
    """The disks of all recorded copies of images."""
    return [d.observed["path"] for d in site.snapshot().documents if d.kind == "image-copy"]


# -- F17: addresses --------------------------------------------------------------------------------------------------


def test_the_first_adapters_routable_address_is_recorded(site: Site) -> None:
    site.good(tree(1, **ONE))
    site.lab.control.nics(
        "vc1",
        "web-01",
        [
            {"network": "docker0", "mac": "02:42:00:00:00:01", "addresses": ["172.17.0.1/16"]},
            {"adapter": 0, "addresses": ["fe80::250:56ff:fe00:1/64", "169.254.3.4/16", "10.1.2.3/24"]},
        ],
        address="172.17.0.1",
    )
    deadline = time.monotonic() + 20
    while site.record("web-01").address != "10.1.2.3" and time.monotonic() < deadline:
        site.good(tree(1, **ONE))
    assert site.record("web-01").address == "10.1.2.3"


def test_the_first_run_records_addresses_and_names_the_vms_without_one(site: Site) -> None:
    site.lab.control.guests(delay_ms=700, endpoint="vc1")
    outcome = site.good(tree(2))
    assert all(site.record(name).address for name in ("web-01", "web-02"))
    assert not any("address" in warning for warning in outcome["warnings"])
    site.lab.control.guests(off=True, endpoint="vc1")
    outcome = site.good({**tree(3), "photon_wait_for_addresses": 1})
    assert site.record("web-03").address is None
    [warning] = [warning for warning in outcome["warnings"] if "no address was reported" in warning]
    assert "acme/web/web-03" in warning
    assert "web-01" not in warning


def test_an_endpoint_that_leaves_during_the_wait_for_addresses_ends_no_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = vsphere.wait_for_addresses

    def cut_and_wait(*args: Any) -> Any:
        site.lab.control.misbehave("vc1", "unreachable")
        return wait(*args)

    monkeypatch.setattr(vsphere, "wait_for_addresses", cut_and_wait)
    site.lab.control.guests(off=True)
    outcome = site.good(tree(1, **ONE))
    assert any("addresses of new VMs could not be read" in text for text in outcome["warnings"])
    site.lab.control.misbehave("vc1", "")
    site.lab.control.guests()
    monkeypatch.undo()
    site.settled(tree(1, **ONE))


def test_a_vm_that_must_have_an_address_fails_without_one_and_stays(site: Site) -> None:
    site.good(tree(0))
    site.lab.control.guests(off=True, endpoint="vc1")
    declared = {**tree(2, wait_for_address=1, **ONE), "photon_wait_for_addresses": 0}
    outcome = site.run(declared)
    assert codes(outcome) == {"acme/web/web-[01:02]": "AddressTimeout"}
    assert outcome["counts"]["vm"] == {"create": 2}
    assert site.record("web-01").state == "STARTED"
    again = site.run(declared)  # whoever started them: the address is what the item asks for
    assert codes(again) == {"acme/web/web-[01:02]": "AddressTimeout"}
    assert not again["changed"]
    site.lab.control.guests(endpoint="vc1")
    for name in ("web-01", "web-02"):
        site.lab.control.nics("vc1", name, [{"adapter": 0, "addresses": ["10.1.2.3/24"]}])
    outcome = site.good(tree(2, wait_for_address=60, **ONE))
    assert {site.record(name).address for name in ("web-01", "web-02")} == {"10.1.2.3"}
    site.settled(tree(2, wait_for_address=60, **ONE))


def test_a_module_waits_for_the_address_of_its_vm(site: Site) -> None:
    site.good(tree(1, **ONE))
    site.lab.control.guests(delay_ms=700, endpoint="vc1")
    item = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100", "zone": "a", "state": "started"}
    outcome = site.vm(name="db-1", wait_for_address=60, **item)
    assert outcome["failures"] == []
    assert site.record("db-1").address
    outcome = site.vm(name="db-2", wait_for_address=60, port_groups=[], **item)
    assert codes(outcome) == {"acme/web/db-2": "SpecInvalid"}


def test_vms_without_an_adapter_are_warned_of_once_per_item(site: Site) -> None:
    declared = {key: value for key, value in tree(3, **ONE).items() if key != "photon_default_port_group"}
    outcome = site.good(declared)
    [warning] = [warning for warning in outcome["warnings"] if "without a network adapter" in warning]
    assert warning.startswith("photon_tenants[0].projects[0].vms[0]: ")
    wanted = {**declared, "photon_tenants": tree(3, port_groups=[], **ONE)["photon_tenants"]}
    assert site.good(wanted)["warnings"] == []


# -- F18: adapters and names -----------------------------------------------------------------------------------------


def adapters(site: Site, name: str) -> list[tuple[str, str]]:
    from pyVmomi import vim

    devices = site.admin["vc1"].vm(name).config.hardware.device
    return [(type(d).__name__, d.macAddress) for d in devices if isinstance(d, vim.vm.device.VirtualEthernetCard)]


def test_a_changed_port_group_keeps_adapter_and_mac(site: Site) -> None:
    site.good(tree(1, **ONE))
    before = adapters(site, "web-01")
    site.good(tree(1, port_groups=["lan"], **ONE))
    assert adapters(site, "web-01") == before
    site.good(tree(1, port_groups=["dvpg1"], **ONE))
    assert adapters(site, "web-01") == before
    site.settled(tree(1, port_groups=["dvpg1"], **ONE))


@pytest.mark.parametrize("folder", ["Kunden & Träger 100%", "a%2fb", "100%25"])
def test_folders_with_escaped_characters(site: Site, folder: str) -> None:
    for endpoint in site.endpoints:
        endpoint["folder"] = folder
    site.good(tree(1, **ONE))
    site.settled(tree(2, **ONE))


# -- V14: identities -------------------------------------------------------------------------------------------------


def test_of_two_vms_with_one_uuid_the_recorded_one_is_ours(site: Site) -> None:
    site.good(tree(1, state="stopped", **ONE))
    admin = site.admin["vc1"]
    uuid = site.record("web-01").id
    moid = site.record("web-01").place.moid
    admin.clone("web-01", "copy")
    site.lab.control.identity("vc1", "copy", uuid)
    outcome = site.run(tree(1, state="absent", **ONE))
    assert outcome["failures"] == []
    assert [row["name"] for row in site.rows(uuid)] == ["copy"]
    assert moid not in [row["moid"] for row in site.rows()]


def test_a_record_stays_with_its_vm_when_another_has_its_uuid(site: Site) -> None:
    """Also after a change, when it is read again: a later deletion would destroy the other one."""
    site.good(tree(1, state="stopped", **ONE))
    moid = site.record("web-01").place.moid
    site.admin["vc1"].clone("web-01", "copy")
    site.lab.control.identity("vc1", "copy", site.record("web-01").id)
    site.good(tree(1, state="stopped", flavor="core-200", **ONE))
    assert site.record("web-01").place.moid == moid
    site.good(tree(1, state="absent", **ONE))
    assert [row["name"] for row in site.rows()] == ["copy"]


def test_of_two_vms_with_one_uuid_none_is_taken_when_the_record_names_neither(site: Site) -> None:
    site.good(tree(1, state="stopped", **ONE))
    admin = site.admin["vc1"]
    uuid = site.record("web-01").id
    for name in ("copy-1", "copy-2"):
        admin.clone("web-01", name)
    admin.delete("web-01")
    for name in ("copy-1", "copy-2"):
        site.lab.control.identity("vc1", name, uuid)
    outcome = site.run(tree(1, state="absent", **ONE))
    assert codes(outcome) == {"acme/web/web-01": "InvalidVmState"}
    assert "copy-1" in message(outcome)
    assert "copy-2" in message(outcome)
    assert len(site.rows()) == 2


def test_a_vm_converted_to_a_template_says_what_to_do(site: Site) -> None:
    site.good(tree(1, state="stopped", **ONE))
    site.admin["vc1"].mark_as_template("web-01")
    outcome = site.run(tree(1, state="started", **ONE))
    assert codes(outcome) == {"acme/web/web-01": "InvalidVmState"}
    assert "convert it back to a virtual machine" in message(outcome)


# -- F19: endpoints and runs -----------------------------------------------------------------------------------------


def test_an_endpoint_that_a_task_does_not_need_cannot_fail_it(site: Site) -> None:
    site.good(tree(1, **ONE))
    site.credentials["esx9"] = {"username": "root", "password": "wrong"}
    outcome = site.vm(name="web-01", state="stopped")
    assert outcome["failures"] == []
    assert outcome["calls"].keys() == {"vc1"}
    outcome = site.vm(name="web-09", flavor="core-100", image="debian", boot_disk_flavor="core-100", zone="a")
    assert outcome["failures"] == []
    assert any("esx9 could not be read" in text for text in outcome["warnings"])
    outcome = site.vm(name="web-10", flavor="core-100", image="debian", boot_disk_flavor="core-100", zone="b")
    assert "esx9 could not be read" in message(outcome)


# -- F20, F21: rights ------------------------------------------------------------------------------------------------


def test_a_missing_privilege_is_named(site: Site) -> None:
    site.good(tree(1, state="stopped", **ONE))
    fields = {"privilegeId": "VirtualMachine.Interact.PowerOn"}
    site.lab.control.fault("PowerOnVM_Task", "NoPermission", endpoint="vc1", fields=fields)
    outcome = site.run(tree(1, state="started", **ONE))
    assert codes(outcome) == {"acme/web/web-01": "AccessForbidden"}
    assert "VirtualMachine.Interact.PowerOn" in message(outcome)


def test_a_user_without_rights_changes_nothing(site: Site) -> None:
    site.good(tree(1, state="stopped", **ONE))
    site.good(tree(1, state="stopped", **ONE) | {"photon_flavors": [{"name": "spare", "kind": "vm", "cost": {
        "vm.cpu": 1, "vm.memory": "1 GB"}}]})  # fmt: skip
    before, documents = site.rows(), {d.id: d.version for d in site.snapshot().documents}
    outcome = site.vm(name="web-01", state="started", act_as={"user": "nobody@lab", "groups": []})
    assert codes(outcome) == {"acme/web/web-01": "AccessForbidden"}
    assert not outcome["changed"]
    assert (site.rows(), {d.id: d.version for d in site.snapshot().documents}) == (before, documents)
