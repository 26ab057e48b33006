# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that runs is lost: moved, restored, unregistered and cloned VMs, disks of others, a lost CloudStore."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.vms import jobs

from tests.chaos.scene import tree
from tests.support.site import Site, codes, message

ONE = {"zone": "a", "spread_over": None}


# -- F1: a VM seen elsewhere -----------------------------------------------------------------------------------------


def of_two(vms: int, **vm: Any) -> dict[str, Any]:
    """The declaration of the site with two vCenters, its VMs in zone a."""
    declared = tree(vms, **{**ONE, **vm})
    declared["photon_hosts"] = [
        {"name": "esx[01:03].lab", "endpoint": "vc1", "zone": "a"},
        {"name": "esx21.lab", "endpoint": "vc2", "zone": "b"},
    ]
    declared["photon_image_datastores"] = ["shared1", "shared2"]
    return declared


def test_a_vm_moved_to_another_vcenter_is_recorded_there(two_vcenters: Site) -> None:
    site = two_vcenters
    declared = of_two(1, deletion_protection=True)
    site.good(declared)
    uuid = site.record("web-01").id
    site.admin["vc1"].move_to_endpoint("web-01", site.admin["vc2"], "esx21.lab", "shared2")
    outcome = site.run({**declared, "photon_max_deletes": 0})
    [row] = site.rows()
    assert (row["instance_uuid"], row["power_state"]) == (uuid, "poweredOn")
    assert outcome["failures"] == []
    assert any("declared for zone a: move it in vSphere" in text for text in outcome["warnings"])
    assert (site.endpoint_of("web-01"), site.host_of("web-01")) == ("vc2", "esx21.lab")
    assert [f for f in site.disagreements() if f.startswith("verify")] == []


def test_a_missing_vm_gets_no_twin_while_an_endpoint_is_unread(two_vcenters: Site) -> None:
    """It may have been moved there; neither is its record deleted."""
    site = two_vcenters
    site.good(of_two(1))
    site.admin["vc1"].move_to_endpoint("web-01", site.admin["vc2"], "esx21.lab", "shared2")
    site.lab.control.misbehave("vc2", "unreachable")
    for declared in (of_two(1), of_two(1, state="absent", force=True)):
        assert codes(site.run(declared))["acme/web/web-01"] == "DependencyFailed"
        assert len(site.rows()) == 1
    site.lab.control.misbehave("vc2", "")
    site.good(of_two(1, state="absent", force=True))
    assert site.rows() == []


def test_a_module_finds_the_vm_that_it_deletes_on_another_vcenter(two_vcenters: Site) -> None:
    site = two_vcenters
    site.good(of_two(1))
    site.admin["vc1"].move_to_endpoint("web-01", site.admin["vc2"], "esx21.lab", "shared2")
    outcome = site.vm(name="web-01", state="absent", force=True)
    assert (outcome["failures"], site.rows()) == ([], [])


def test_one_vcenter_under_two_addresses_is_refused(site: Site) -> None:
    site.good(tree(2))
    before = site.rows()
    twice = dict(next(e for e in site.endpoints if e["name"] == "vc1"), name="vc2", address="localhost")
    site.credentials["vc2"] = site.credentials["vc1"]
    site.endpoints.append(twice)
    outcome = site.run(tree(2))
    assert codes(outcome) == {"vc2": "DuplicateHost"}
    assert "same vCenter as endpoint vc1" in message(outcome)
    assert site.rows() == before
    site.endpoints.pop()


def test_a_deleted_vm_that_was_restored_is_reported_and_left_alone(site: Site) -> None:
    site.good(tree(1, **ONE))
    admin = site.admin["vc1"]
    backup = admin.backup("web-01")
    site.good(tree(1, state="absent", force=True, **ONE))
    admin.restore(backup, "esx01.lab", "shared1", same_uuid=True)
    outcome = site.good(tree(0))
    assert [row["name"] for row in site.rows()] == ["web-01"]
    outcome = site.run(tree(1, **{**ONE, "state": "stopped"}))
    assert len(site.rows()) == 2 - bool(outcome["failures"])
    assert any("was deleted by the platform and exists again " in text for text in outcome["warnings"])


# -- F2: disks of others ---------------------------------------------------------------------------------------------


def test_a_foreign_disk_survives_its_vm(site: Site) -> None:
    declared = tree(1, state="stopped", **ONE)
    site.good(declared)
    admin = site.admin["vc1"]
    path = admin.create_disk("[shared1] elsewhere/data.vmdk")
    admin.attach("web-01", path)
    outcome = site.good(declared)
    assert any("[shared1] elsewhere/data.vmdk" in text for text in outcome["warnings"])
    plan = site.run(tree(1, state="absent", **ONE), check=True, result="full")
    [step] = [step for step in plan["plan"] if step["kind"] == "vm"]
    assert step["before"] == {"foreign_disks": ["[shared1] elsewhere/data.vmdk"]}
    site.good(tree(1, state="absent", **ONE))
    assert site.rows() == []
    assert any("elsewhere/data.vmdk" in file for file in admin.files())


def test_a_foreign_disk_survives_its_vm_that_was_moved_to_another_vcenter(two_vcenters: Site) -> None:
    site = two_vcenters
    site.good(of_two(1))
    there = site.admin["vc2"]
    site.admin["vc1"].move_to_endpoint("web-01", there, "esx21.lab", "shared2")
    path = there.create_disk("[shared2] other/data.vmdk")
    there.attach("web-01", path)
    site.good(of_two(1, state="absent", force=True))
    assert site.rows() == []
    assert path in there.files()


# -- F4: a lost CloudStore -------------------------------------------------------------------------------------------


def test_a_deleted_cloudstore_stops_before_it_makes_twins(site: Site) -> None:
    site.good(tree(3))
    before = site.rows()
    os.remove(site.url.removeprefix("sqlite:///"))
    with pytest.raises(PhotonError) as caught:
        site.run(tree(3))
    assert caught.value.code == "CloudStoreLost"
    assert "photon_cloudstore_new: true" in caught.value.message
    assert "backup" in caught.value.message
    assert site.rows() == before
    with pytest.raises(PhotonError, match="CloudStoreLost"):
        site.run(tree(3), check=True)
    site.good({**tree(3), "photon_cloudstore_new": True})
    assert len(site.rows()) == 6


def test_a_restored_backup_stops_before_it_makes_twins(site: Site) -> None:
    site.good(tree(1, **ONE))
    path = site.url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as source, sqlite3.connect(f"{path}.backup") as backup:
        source.backup(backup)
    site.good(tree(2, **ONE))
    site.admin["vc1"].clone("web-02", "copy")  # with the mark of web-02
    os.replace(f"{path}.backup", path)
    for suffix in ("-wal", "-shm"):
        if os.path.exists(path + suffix):
            os.remove(path + suffix)
    with pytest.raises(PhotonError) as caught:
        site.run(tree(2, **ONE))
    assert caught.value.code == "CloudStoreLost"
    assert "web-02" in caught.value.message
    assert len(site.rows()) == 3


def test_a_lost_cloudstore_is_noticed_while_the_endpoint_of_its_vms_is_unread(site: Site) -> None:
    """The image's copy on the other endpoint shows it."""
    site.good(tree(1, **ONE))
    os.unlink(site.directory / "cloudstore.db")
    site.lab.control.misbehave("vc1", "unreachable")
    elsewhere = {**tree(1, zone="b", spread_over=None), "photon_image_datastores": ["datastore1"]}
    with pytest.raises(PhotonError) as caught:
        site.run(elsewhere)
    assert caught.value.code == "CloudStoreLost"
    assert len(site.rows()) == 1


def test_a_clone_of_a_vm_deleted_long_ago_does_not_mean_a_lost_cloudstore(site: Site) -> None:
    site.good(tree(1, state="stopped", **ONE))
    site.admin["vc1"].clone("web-01", "golden")
    site.good(tree(1, state="absent", **ONE))
    with sqlite3.connect(site.directory / "cloudstore.db") as database:
        database.execute("DELETE FROM tombstones")
    outcome = site.good(tree(1, **ONE))
    assert sorted(row["name"] for row in site.rows()) == ["golden", "web-01"]
    assert any("golden carries the platform's mark" in text for text in outcome["warnings"])


def test_a_plan_without_a_cloudstore_says_so(site: Site) -> None:
    plan = site.run(tree(1), check=True)
    assert any("there is no CloudStore" in text for text in plan["warnings"])
    assert not os.path.exists(site.url.removeprefix("sqlite:///"))


# -- F5: a host that left --------------------------------------------------------------------------------------------


def test_vms_of_a_removed_host_are_not_created_again(site: Site) -> None:
    declared = tree(3, zone="a", spread_over=None, anti_affinity=[{"name": "apart"}])
    site.good(declared)
    admin = site.admin["vc1"]
    host = site.host_of("web-02")
    admin.remove_host(host)
    outcome = site.run(declared)
    assert codes(outcome)["acme/web/web-02"] == "DependencyFailed"
    assert codes(outcome)[host] == "HostNotFound"
    assert len(site.rows()) == 2
    assert site.record("web-02").place is not None


def test_lost_vms_are_created_again_up_to_a_limit(site: Site) -> None:
    site.good(tree(3))
    for name in ("web-01", "web-02"):
        site.admin_of(name).delete(name)
    outcome = site.run({**tree(3), "photon_max_recreates": 1})
    assert set(codes(outcome).values()) == {"TooManyRecreates"}
    assert len(site.rows()) == 1
    site.good({**tree(3), "photon_max_recreates": 2})
    site.settled(tree(3))


# -- F6: unregistered and restored VMs -------------------------------------------------------------------------------


def test_a_vm_that_vanishes_during_an_update_counts_as_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.good(tree(1, state="stopped", **ONE))
    read = jobs.read

    def delete_and_read(*args: Any) -> Any:
        monkeypatch.setattr(jobs, "read", read)
        site.admin["vc1"].delete("web-01")
        return read(*args)

    monkeypatch.setattr(jobs, "read", delete_and_read)
    larger = tree(1, state="stopped", flavor="core-200", **ONE)
    assert codes(site.run(larger)) == {"acme/web/web-01": "VmNotFound"}
    assert codes(site.run({**larger, "photon_max_recreates": 0})) == {"acme/web/web-01": "TooManyRecreates"}
    site.settled(larger)


def test_an_unregistered_vm_is_registered_again(site: Site) -> None:
    declared = tree(2, **ONE)
    site.good(declared)
    uuid = site.record("web-01").id
    site.admin["vc1"].power("web-01", "poweredOff")
    site.admin["vc1"].unregister("web-01")
    outcome = site.run(declared)
    assert codes(outcome) == {"acme/web/web-01": "DependencyFailed"}
    assert "register: true" in message(outcome)
    assert "remove" not in message(outcome)
    assert len(site.rows()) == 1
    site.good(tree(2, register=True, **ONE))
    assert len(site.rows(uuid)) == 1
    site.settled(declared)


def test_an_unregistered_vm_is_found_on_its_renamed_datastore(site: Site) -> None:
    declared, registered = tree(1, **ONE), tree(1, register=True, **ONE)
    for each in (declared, registered):
        del each["photon_image_datastores"]  # it names the datastore
    site.good(declared)
    uuid, admin = site.record("web-01").id, site.admin["vc1"]
    file = site.record("web-01").place.vmx
    admin.power("web-01", "poweredOff")
    admin.unregister("web-01")
    admin.rename_datastore(file.partition("]")[0].lstrip("["), "SAN 01 (prod)")
    outcome = site.run(declared)
    assert codes(outcome) == {"acme/web/web-01": "DependencyFailed"}
    assert "[SAN 01 (prod)]" in message(outcome)
    assert codes(site.run(declared)) == codes(outcome), "also when the new name is recorded"
    site.good(registered)
    assert (len(site.rows(uuid)), len(site.rows())) == (1, 1)
    site.settled(declared)


def test_an_unregistered_vm_waits_for_its_host(site: Site) -> None:
    site.good(tree(1, **ONE))
    host, admin = site.host_of("web-01"), site.admin["vc1"]
    admin.unregister("web-01")
    cluster = admin.remove_host(host)
    outcome = site.run(tree(1, register=True, **ONE))
    assert codes(outcome)["acme/web/web-01"] == "DependencyFailed"
    assert f"its host {host} is not in endpoint vc1 any more" in outcome["failures"][-1]["message"]
    admin.add_host(host, cluster)
    site.good(tree(1, register=True, **ONE))
    site.settled(tree(1, **ONE))


@pytest.mark.parametrize("register", [True, False])
def test_a_deleted_vm_whose_directory_is_still_there_is_created_again(site: Site, register: bool) -> None:
    """Only the configuration file makes a directory a VM that can be registered."""
    site.good(tree(2, **ONE))
    uuid = site.record("web-01").id
    admin = site.admin["vc1"]
    [row] = site.rows(uuid)
    admin.delete("web-01")
    other = admin.create_disk(f"{row['disks'][0]['file'].rpartition('/')[0]}/boot.vmdk")
    site.good(tree(2, register=register, **ONE))
    assert len(site.rows(uuid)) == 1
    assert other in admin.files()
    assert not site.good(tree(2, register=register, **ONE))["changed"]


def test_a_vm_that_was_unregistered_during_its_creation_gets_no_twin(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.photon.platform.plugins.module_utils.services.vms import jobs

    read, admin = jobs.read, site.admin["vc1"]
    files: list[Any] = []

    def unregister_first(*args: Any) -> Any:
        monkeypatch.setattr(jobs, "read", read)
        files.append(admin.unregister("web-01"))
        return read(*args)

    monkeypatch.setattr(jobs, "read", unregister_first)
    assert codes(site.run(tree(1, **ONE))) == {"acme/web/web-01": "VmNotFound"}
    outcome = site.run(tree(1, **ONE))
    assert codes(outcome) == {"acme/web/web-01": "DependencyFailed"}
    assert "register: true" in message(outcome)
    assert site.rows() == []
    site.good(tree(1, register=True, **ONE))
    assert site.record("web-01").place.vmx == files[0].vmx
    site.settled(tree(1, **ONE))


def test_a_vm_restored_under_another_uuid_gets_no_twin(site: Site) -> None:
    declared = tree(2, **ONE)
    site.good(declared)
    uuid = site.record("web-01").id
    admin = site.admin["vc1"]
    backup = admin.backup("web-01")
    admin.delete("web-01")
    admin.restore(backup, "esx02.lab", "shared1")
    outcome = site.run(declared)
    assert codes(outcome) == {"acme/web/web-01": "DependencyFailed"}
    assert "carries its mark" in message(outcome)
    assert len(site.rows()) == 2
    site.good(tree(2, register=True, **ONE))
    assert len(site.rows(uuid)) == 1
    site.settled(declared)


def test_a_clone_is_reported_and_left_alone(site: Site) -> None:
    declared = tree(1, state="stopped", **ONE)
    site.good(declared)
    site.admin["vc1"].clone("web-01", "copy")
    site.good(declared)
    outcome = site.run(tree(2, state="stopped", **ONE))
    assert outcome["failures"] == []
    assert any("copy carries the mark of VM acme/web/web-01" in text for text in outcome["warnings"])
    assert sorted(row["name"] for row in site.rows()) == ["copy", "web-01", "web-02"]


# -- F3: protection in between ---------------------------------------------------------------------------------------


def test_protection_set_after_the_plan_is_respected(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.photon.platform.plugins.module_utils.services import write

    site.good(tree(2, state="stopped"))
    begin, calls = write.begin, []

    def protect_first(*args: Any) -> None:
        if not calls:
            calls.append(1)
            monkeypatch.setattr(write, "begin", begin)
            site.good(tree(2, deletion_protection=True))
            monkeypatch.setattr(write, "begin", protect_first)
        begin(*args)

    monkeypatch.setattr(write, "begin", protect_first)
    outcome = site.run(tree(2, state="absent"))
    assert set(codes(outcome).values()) == {"DeletionProtected"}
    assert len(site.rows()) == 2
