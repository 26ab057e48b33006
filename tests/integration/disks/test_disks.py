# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks, the same on all three backings: they outlive their VMs, move, grow, and never vanish unasked.

First-class disks (``simulated-first-class-disks``) exist only simulated.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import open_store
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_items
from pyVmomi import vim

from tests.support.site import codes, message

GB = 1 << 30
DATA: dict[str, Any] = {"name": "data"}


def test_a_life(site: Any) -> None:
    """Created detached, attached, moved, grown, detached, deleted."""
    vms = [{"name": "web-1", "state": "started"}, {"name": "web-2"}]
    declare = site.declare
    site.good(declare(vms, [{**DATA, "attached_to": ""}]))
    disk = site.disk("data")
    assert (disk.state, disk.size, disk.vm) == ("DETACHED", GB, None)
    assert (disk.backing, bool(disk.first_class)) == (site.backing, site.backing == "fcd")
    assert site.files() == [disk.path]
    assert site.usage() == {
        "persistent-disk": 1,
        "persistent-disk.count": 1,
        "persistent-disk.cost": 1000,
        "persistent-disk.flavor.core-100": 1,
        "persistent-disk.capacity": GB,
    }
    site.settled(declare(vms, [{**DATA, "attached_to": ""}]))

    site.good(declare(vms, [{**DATA, "attached_to": "web-1"}]))
    attached = site.disk("data")
    assert (attached.state, attached.vm, attached.uuid) == ("ATTACHED", site.record("web-1").id, disk.uuid)
    assert [d["file"] for d in site.devices("web-1")][1:] == [disk.path]
    site.settled(declare(vms, [{**DATA, "attached_to": "web-1"}]))

    site.good(declare(vms, [{**DATA, "attached_to": "web-2"}]))
    assert site.disk("data").vm == site.record("web-2").id
    assert [len(site.devices(vm)) for vm in ("web-1", "web-2")] == [1, 2]
    site.settled(declare(vms, [{**DATA, "attached_to": "web-2"}]))

    site.good(declare(vms, [{**DATA, "attached_to": "web-2", "capacity": "2 GB"}]))
    assert site.devices("web-2")[1]["capacity"] == 2 * GB
    assert site.usage()["persistent-disk.capacity"] == 2 * GB
    site.settled(declare(vms, [{**DATA, "attached_to": "web-2", "capacity": "2 GB"}]))

    site.good(declare(vms, [{**DATA, "attached_to": "", "capacity": "3 GB"}]))
    assert (site.disk("data").state, site.disk("data").size) == ("DETACHED", 3 * GB)
    assert site.files() == [disk.path]
    site.settled(declare(vms, [{**DATA, "attached_to": "", "capacity": "3 GB"}]))

    site.good(declare(vms, [{**DATA, "state": "absent"}]))
    assert site.files() == []
    assert site.usage() == {}
    site.settled(declare(vms, []))


def test_a_new_vm_gets_its_new_disks(site: Any) -> None:
    vms = [{"name": "web-[1:2]", "state": "started"}]
    disks = [{"name": "data-[1:2]", "attached_to": "web-[1:2]"}]
    site.good(site.declare(vms, disks))
    for number in (1, 2):
        disk = site.disk(f"data-{number}")
        assert (disk.state, disk.vm) == ("ATTACHED", site.record(f"web-{number}").id)
        assert disk.wwn == "0x" + disk.uuid.replace("-", "")
    site.settled(site.declare(vms, disks))


def test_a_new_vm_has_its_disks_before_its_first_start(site: Any) -> None:
    """One call makes the VM with its disks, and none changes it after its start; a first-class disk takes one more."""
    site.good(site.declare([], [{**DATA, "attached_to": ""}]))
    before = Counter(site.lab.control.calls()[site.endpoint])
    site.good(site.declare([{"name": "web-1", "state": "started"}], [{**DATA, "attached_to": "web-1"}]))
    made = Counter(site.lab.control.calls()[site.endpoint]) - before
    assert (made["CreateVM_Task"], made["PowerOnVM_Task"], made["ReconfigVM_Task"]) == (1, 1, 0)
    assert made["AttachDisk_Task"] == (site.backing == "fcd")
    assert site.disk("data").state == "ATTACHED"


def test_the_module_returns_what_a_disk_is_found_by(site: Any) -> None:
    site.good(site.declare([{"name": "web-1"}], []))
    request = Request(
        cloudstore_url=site.url, allow_ephemeral=True, credentials=site.credentials, result="full", site="disks"
    )
    item = {**DATA, "flavor": "core-100", "capacity": "1 GB", "attached_to": "web-1"}
    outcome = run_items("disk", [item], request, scope={"tenant": "acme", "project": "web"})
    [row] = [each for each in outcome["items"] if each["kind"] == "disk"]
    disk = site.disk("data")
    assert {key: row[key] for key in ("id", "path", "uuid", "wwn", "attached_to", "state")} == {
        "id": disk.id,
        "path": disk.path,
        "uuid": disk.uuid,
        "wwn": "0x" + str(disk.uuid).replace("-", ""),
        "attached_to": "web-1",
        "state": "ATTACHED",
    }
    assert row["datastore"] == disk.path.partition("]")[0].lstrip("[")


def test_a_disk_outlives_its_vm(site: Any) -> None:
    vms, attached = [{"name": "web-1"}], [{**DATA, "attached_to": "web-1"}]
    site.good(site.declare(vms, attached))
    file = site.disk("data").path
    gone = [{"name": "web-1", "state": "absent"}]
    refused = site.run(site.declare(gone, [DATA]))
    assert codes(refused) == {"acme/web/web-1": "PersistentDiskAttached"}
    assert site.devices("web-1")[1]["file"] == file
    site.good(site.declare(gone, [{**DATA, "attached_to": ""}]))
    assert site.rows() == []
    assert site.files() == [file]
    site.settled(site.declare([{"name": "web-2"}], [{**DATA, "attached_to": "web-2"}]))
    assert site.devices("web-2")[1]["file"] == file


def test_a_file_that_vanished_is_never_made_again(site: Any) -> None:
    site.good(site.declare([], [{**DATA, "attached_to": ""}]))
    file = site.disk("data").path
    site.remove_file("data")
    for _run in range(2):
        outcome = site.run(site.declare([], [{**DATA, "attached_to": ""}]))
        assert codes(outcome) == {"acme/web/data": "DiskNotFound"}
        assert file in message(outcome)
        assert site.named("disk", "data").state == "ERROR"
        assert site.files() == []
    [finding] = site.verify(check=True)["findings"]
    assert finding["what"] == "lost file"
    site.good(site.declare([], [{**DATA, "state": "absent"}]))
    assert site.usage() == {}


def test_more_than_15_disks_open_a_second_controller(site: Any) -> None:
    vms, disks = [{"name": "web-1"}], [{"name": "d[01:17]", "attached_to": "web-1"}]
    site.good(site.declare(vms, disks))
    assert len(site.devices("web-1")) == 18
    machine = site.endpoint_admin.vm(site.record("web-1").id)
    buses = [d.busNumber for d in machine.config.hardware.device if hasattr(d, "sharedBus")]
    assert buses == [0, 1]
    site.settled(site.declare(vms, disks))


def test_a_disk_of_others_stays_foreign_beside_a_persistent_one(site: Any) -> None:
    vms, disks = [{"name": "web-1"}], [{**DATA, "attached_to": "web-1"}]
    site.good(site.declare(vms, disks))
    admin, machine = site.endpoint_admin, site.record("web-1").id
    store = site.disk("data").path.partition("]")[0]
    theirs = admin.create_disk(f"{store}] of-others/theirs.vmdk")
    admin.attach(machine, theirs)
    outcome = site.good(site.declare(vms, disks))
    assert [line for line in outcome["warnings"] if "not the platform's" in line and theirs in line]
    assert not [line for line in outcome["warnings"] if "photon-disks" in line]
    gone = [{"name": "web-1", "state": "absent"}]
    site.good(site.declare(gone, [{**DATA, "attached_to": ""}]))
    assert {theirs, site.disk("data").path} <= set(admin.files())


def test_what_was_done_by_hand_is_recorded(site: Any) -> None:
    vms = [{"name": "web-[1:2]"}]
    site.good(site.declare(vms, [{**DATA, "attached_to": "web-1"}]))
    admin, path = site.endpoint_admin, site.disk("data").path
    admin.detach(site.record("web-1").id, path)
    admin.attach(site.record("web-2").id, path)
    tree = site.declare(vms, [DATA])
    outcome = site.good(tree)
    assert not outcome["changed"]
    assert site.disk("data").vm == site.record("web-2").id
    assert site.disagreements() == []
    site.settled(site.declare(vms, [{**DATA, "attached_to": "web-1"}]))
    assert site.disk("data").vm == site.record("web-1").id


def test_a_disk_keeps_what_it_is_made_of(site: Any) -> None:
    site.good(site.declare([], [{**DATA, "attached_to": ""}]))
    before = site.disk("data")
    for setting in ("auto", "vmdk"):
        site.setting = setting
        site.settled(site.declare([{"name": "web-1"}], [{**DATA, "attached_to": "web-1"}]))
        assert (site.disk("data").backing, site.disk("data").uuid) == (site.backing, before.uuid)


def test_first_class_disks_are_refused_where_there_are_none(site: Any) -> None:
    site.setting = "fcd"
    outcome = site.run(site.declare([], [{**DATA, "attached_to": ""}]))
    if site.endpoint == "esx9":
        assert codes(outcome) == {"acme/web/data": "UpdateNotSupported"}
        assert "photon_disk_backing" in message(outcome)
        assert site.files() == []
    else:
        assert site.disk("data").backing == "fcd"


def test_a_disk_of_a_running_vm_grows_and_moves(site: Any) -> None:
    vms = [{"name": "web-[1:2]", "state": "started"}]
    site.good(site.declare(vms, [{**DATA, "attached_to": "web-1"}]))
    site.settled(site.declare(vms, [{**DATA, "attached_to": "web-1", "capacity": "2 GB"}]))
    assert site.devices("web-1")[1]["capacity"] == 2 * GB
    site.settled(site.declare(vms, [{**DATA, "attached_to": "web-2", "capacity": "3 GB"}]))
    assert [disk["capacity"] for disk in site.devices("web-2")][1:] == [3 * GB]
    assert [row["power_state"] for row in site.rows()] == ["poweredOn"] * 2


def test_a_disk_that_was_grown_by_hand_is_recorded(site: Any) -> None:
    site.good(site.declare([{"name": "web-1"}], [{**DATA, "attached_to": "web-1"}]))
    admin = site.endpoint_admin
    admin.grow_disk(site.record("web-1").id, 1, 3 << 20)
    outcome = site.run(site.declare([{"name": "web-1"}], [{**DATA, "attached_to": "web-1"}]))
    assert codes(outcome) == {"acme/web/data": "UpdateNotSupported"}
    site.settled(site.declare([{"name": "web-1"}], [{**DATA, "attached_to": "web-1", "capacity": "3 GB"}]))


def test_a_detached_disk_that_was_moved_by_hand(site: Any) -> None:
    """A first-class disk is followed by its id; the file of a managed VMDK counts as lost until it is back."""
    tree = site.declare([{"name": "web-1"}], [{**DATA, "attached_to": ""}])
    site.good(tree)
    before, admin = site.disk("data"), site.endpoint_admin
    if site.backing == "fcd":
        manager, identity = admin.content.vStorageObjectManager, vim.vslm.ID(id=before.first_class)
        place = vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=admin.datastore("local-esx01"))
        here = admin.datastore(before.path[1:].partition("]")[0])
        admin.wait(manager.RelocateVStorageObject_Task(identity, here, vim.vslm.RelocateSpec(backingSpec=place)))
        site.settled(tree)
        after = site.disk("data")
        assert (after.path, after.uuid) == (f"[local-esx01] fcd/{before.first_class}.vmdk", before.uuid)
        assert site.named("datastore", "local-esx01").id == after.datastore
        return
    away = before.path.replace(before.id, "away")
    admin.move_disk(before.path, away)
    assert codes(site.run(tree)) == {"acme/web/data": "DiskNotFound"}
    assert site.files() == [away]
    admin.move_disk(away, before.path)
    site.settled(tree)
    assert site.disk("data").uuid == before.uuid


def test_bad_input_is_refused_before_anything_is_touched(site: Any) -> None:
    site.good(site.declare([{"name": "web-1"}], []))
    before = site.lab.control.calls()
    for disk, code in (
        ({"attached_to": "acme/other/web-1"}, "InvalidOperation"),
        ({"attached_to": "web-9"}, "VmNotFound"),
        ({"capacity": "1 MB"}, "InvalidEntity"),
    ):
        with pytest.raises(PhotonError) as caught:
            site.run(site.declare([{"name": "web-1"}], [{**DATA, **disk}]))
        [mistake] = caught.value.data["mistakes"]
        key = next(iter(disk))
        assert (mistake["path"], mistake["code"]) == (f"photon_tenants[0].projects[0].disks[0].{key}", code)
    assert site.lab.control.calls() == before


def test_quota_and_space_are_claimed_with_the_vms(site: Any) -> None:
    outcome = site.run(site.declare([{"name": "web-1"}], [{**DATA, "capacity": "101 GB", "attached_to": "web-1"}]))
    assert codes(outcome) == {"acme/web/data": "QuotaError"}
    site.good(site.declare([{"name": "web-1"}], [{**DATA, "attached_to": "web-1"}]))
    disk = site.disk("data")
    with open_store(site.url, allow_ephemeral=True) as store:
        held = store.snapshot(allocations=True).held[disk.id]
    assert held[disk.datastore, "space"] == GB
    assert held[disk.project, "persistent-disk.capacity"] == GB
