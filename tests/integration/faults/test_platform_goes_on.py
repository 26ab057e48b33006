# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing stops the platform: disks in another order, moved VMs, races of controllers, failed tasks, a lost lease."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.services import write
from ansible_collections.photon.platform.plugins.module_utils.services.vms import jobs

from tests.chaos.scene import tree
from tests.support.site import Site, codes, message

GB = 1 << 20  # KiB
A = {"name": "aa", "flavor": "core-100", "capacity": "1 GB"}
B = {"name": "bb", "flavor": "core-100", "capacity": "2 GB"}
ONE = {"zone": "a", "spread_over": None}


def before_begin(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> list[int]:
    """Let ``work`` happen between the first plan of the next run and its write transaction; returns the attempts."""
    real, attempts = write.begin, []

    def begin(applying: Any, attempt: int) -> None:
        attempts.append(attempt)
        if len(attempts) == 1:
            monkeypatch.setattr(write, "begin", real)
            work()
            monkeypatch.setattr(write, "begin", begin)
        real(applying, attempt)

    monkeypatch.setattr(write, "begin", begin)
    return attempts


# -- F7, F8: disks ---------------------------------------------------------------------------------------------------


def test_disks_declared_in_another_order_change_nothing(site: Site) -> None:
    site.good(tree(1, disks=[A, B], **ONE))
    outcome = site.good(tree(1, disks=[B, A], **ONE))
    assert not outcome["changed"]
    site.good(tree(2, disks=[B, A], **ONE))
    site.settled(tree(2, disks=[A, B], **ONE))
    site.good(tree(2, disks=[A, B], state="absent", force=True, **ONE))
    assert site.disagreements() == []


def test_the_declared_disk_grows_after_a_detach_and_attach(site: Site) -> None:
    site.good(tree(1, disks=[A, B], **ONE))
    admin = site.admin["vc1"]
    path = admin.detach("web-01", next(d.path for d in site.record("web-01").disks if d.name == "aa"))
    admin.attach("web-01", path, unit=9)
    site.good(tree(1, disks=[{**A, "capacity": "3 GB"}, B], **ONE))
    [row] = site.rows()
    sizes = {disk["file"]: disk["capacity"] for disk in row["disks"]}
    recorded = {disk.name: disk.path for disk in site.record("web-01").disks}
    assert (sizes[recorded["aa"]], sizes[recorded["bb"]]) == (3 << 30, 2 << 30)
    site.settled(tree(1, disks=[{**A, "capacity": "3 GB"}, B], **ONE))


@pytest.mark.parametrize("during", [True, False])
def test_a_new_vm_that_is_moved_to_another_datastore_keeps_its_disks(
    site: Site, monkeypatch: pytest.MonkeyPatch, during: bool
) -> None:
    """A storage move gives its disks other names, also before the run that created it has read them."""
    declared = tree(1, disks=[A], **ONE)
    read = jobs.read

    def move() -> None:
        site.admin["vc1"].move_to_datastore("web-01", f"local-{site.rows()[0]['host'].partition('.')[0]}")

    def move_and_read(*args: Any) -> Any:
        monkeypatch.setattr(jobs, "read", read)
        move()
        return read(*args)

    if during:
        monkeypatch.setattr(jobs, "read", move_and_read)
    site.good(declared)
    if not during:
        move()
    site.settled(declared)
    assert all(disk.path and disk.path.startswith("[local-") for disk in site.record("web-01").disks)


def test_a_disk_grows_after_a_storage_move(site: Site) -> None:
    site.good(tree(1, disks=[A], **ONE))
    site.admin["vc1"].move_to_datastore("web-01", f"local-{site.rows()[0]['host'].partition('.')[0]}")
    site.settled(tree(1, disks=[{**A, "capacity": "2 GB"}], **ONE))
    assert site.rows()[0]["disks"][1]["capacity"] == 2 << 30


def test_a_disk_grows_in_the_run_after_one_that_was_killed_before_it(site: Site) -> None:
    site.good(tree(1, disks=[A], **ONE))
    larger = tree(1, disks=[{**A, "capacity": "2 GB"}], **ONE)
    child = site.start(larger, pause_at=("before ReconfigVM_Task", 1))
    assert child.paused()
    child.kill()
    site.good(larger)
    assert site.rows()[0]["disks"][1]["capacity"] == 2 << 30
    site.settled(larger)


def test_a_disk_that_is_detached_during_an_update_is_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.good(tree(1, disks=[A], state="stopped", **ONE))
    read, larger = jobs.read, tree(1, disks=[A], state="stopped", flavor="core-200", **ONE)
    path = site.rows()[0]["disks"][1]["file"]

    def detach_and_read(*args: Any) -> Any:
        monkeypatch.setattr(jobs, "read", read)
        site.admin["vc1"].detach("web-01", path)
        return read(*args)

    monkeypatch.setattr(jobs, "read", detach_and_read)
    site.good(larger)
    assert "were detached in vSphere: attach them again" in message(site.run(larger))
    site.admin["vc1"].attach("web-01", path)
    site.settled(larger)


# -- F9: claims follow the VM ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("delete", [False, True])
def test_allocations_follow_a_vm_that_moved_and_is_resized(site: Site, delete: bool) -> None:
    site.good(tree(1, state="stopped", **ONE))
    here = site.host_of("web-01")
    there = "esx02.lab" if here != "esx02.lab" else "esx03.lab"
    site.admin["vc1"].move_to_host("web-01", there)
    site.good(tree(1, flavor="core-200", state="stopped", **ONE))
    assert site.host_of("web-01") == there
    assert site.disagreements() == []
    if delete:
        site.good(tree(1, state="absent", **ONE))
        site.settled(tree(0))


def test_a_vm_that_vanishes_during_its_resize_blocks_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.good(tree(2, state="stopped", **ONE))
    before_begin(monkeypatch, lambda: site.admin["vc1"].delete("web-01"))
    outcome = site.run(tree(2, flavor="core-200", state="stopped", **ONE))
    assert set(codes(outcome)) == {"acme/web/web-01"}
    monkeypatch.undo()
    site.settled(tree(2, flavor="core-200", state="stopped", **ONE))
    site.good(tree(2, state="absent", **ONE))
    assert site.disagreements() == []


def test_drs_moves_at_power_on(drs_site: Site) -> None:
    site = drs_site
    site.lab.control.drs("vc1", "cluster1", moves=True)
    site.good(tree(3, **ONE))
    assert site.disagreements() == []
    site.good(tree(3, flavor="core-200", force=True, **ONE))
    site.settled(tree(3, flavor="core-200", **ONE))


# -- F10, F12: races -------------------------------------------------------------------------------------------------


def test_two_first_applies_at_once(site: Site) -> None:
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(site.run(tree(2)))) for _each in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    assert [codes(outcome) for outcome in outcomes] == [{}, {}], "the second one waits for the first"
    site.settled(tree(2))


def test_a_suspended_host_gets_no_vm_from_a_plan_made_before(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.good(tree(0))
    declared = tree(4, **ONE)

    def suspend() -> None:
        suspended = tree(0)
        suspended["photon_hosts"][0] = {"name": "esx[01:03].lab", "endpoint": "vc1", "zone": "a", "state": "suspended"}
        site.good(suspended)
        back = tree(0)
        back["photon_hosts"] = [
            {"name": "esx01.lab", "endpoint": "vc1", "zone": "a", "state": "ready"},
            {"name": "esx[02:03].lab", "endpoint": "vc1", "zone": "a"},
            back["photon_hosts"][1],
        ]
        site.good(back)

    attempts = before_begin(monkeypatch, suspend)
    site.good(declared)
    assert attempts == [1, 2]
    assert {site.host_of(f"web-0{n}") for n in range(1, 5)} == {"esx01.lab"}
    assert site.named("host", "esx02.lab").state == "SUSPENDED"


def test_two_runs_record_one_move(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.good(tree(1, **ONE))
    there = next(h for h in ("esx01.lab", "esx02.lab") if h != site.host_of("web-01"))
    site.admin["vc1"].move_to_host("web-01", there)
    before_begin(monkeypatch, lambda: site.good(tree(1, **ONE)))
    site.good(tree(1, **ONE))
    assert site.host_of("web-01") == there
    assert site.disagreements() == []


# -- F13: anti-affinity ----------------------------------------------------------------------------------------------


def test_a_host_is_free_for_its_group_when_a_member_left(site: Site) -> None:
    apart = {"anti_affinity": [{"name": "apart"}], **ONE}
    site.good(tree(3, **apart))
    left = tree(3, **apart)
    vms = left["photon_tenants"][0]["projects"][0]["vms"]
    vms[0]["name"] = "web-[02:03]"
    vms.append({**vms[0], "name": "web-01", "anti_affinity": []})
    site.good(left)
    vms.append({**vms[0], "name": "web-04"})
    site.good(left)
    site.settled(left)


def test_the_old_host_is_free_when_a_member_moved(site: Site) -> None:
    apart = {"anti_affinity": [{"name": "apart"}], **ONE}
    site.good(tree(2, **apart))
    taken = {site.host_of("web-01"), site.host_of("web-02")}
    [free] = {"esx01.lab", "esx02.lab", "esx03.lab"} - taken
    old = site.host_of("web-01")
    site.admin["vc1"].move_to_host("web-01", free)
    site.good(tree(2, **apart))
    site.good(tree(3, **apart))
    assert site.host_of("web-03") == old
    assert site.disagreements() == []


# -- F14: what is said is what was done --------------------------------------------------------------------------------


def test_atomic_creates_all_or_none(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.good(tree(0))
    small = tree(0)
    small["photon_tenants"][0]["quota"]["vm.count"] = 3
    small["photon_tenants"][0]["projects"][0]["quota_percent"] = 100
    declared = {**tree(10, **ONE), "photon_atomic": True}
    before_begin(monkeypatch, lambda: site.good(small))
    declared["photon_tenants"][0].pop("quota")
    declared["photon_tenants"][0]["projects"][0].pop("quota_percent")
    outcome = site.run(declared)
    assert len(outcome["failures"]) >= 1
    assert outcome["counts"].get("vm") is None
    assert site.rows() == []


def test_a_resize_of_a_running_vm_needs_hot_add_or_force(site: Site) -> None:
    site.good(tree(1, flavor="core-200", **ONE))
    site.good(tree(1, flavor="core-240", **ONE))  # growth is hot: new VMs have hot-add
    assert site.rows()[0]["cpus"] == 4
    outcome = site.run(tree(1, flavor="core-100", **ONE))
    assert codes(outcome) == {"acme/web/web-01": "InvalidVmState"}
    assert "force: true" in message(outcome)
    outcome = site.run(tree(1, flavor="core-100", **ONE), check=True)
    assert codes(outcome) == {"acme/web/web-01": "InvalidVmState"}
    site.good(tree(1, flavor="core-100", force=True, **ONE))
    [row] = site.rows()
    assert (row["cpus"], row["power_state"]) == (1, "poweredOn")
    site.settled(tree(1, flavor="core-100", **ONE))


def test_a_changed_zone_is_refused_unless_the_vm_is_there(site: Site) -> None:
    site.good(tree(1, **ONE))
    outcome = site.run(tree(1, zone="b", spread_over=None))
    assert codes(outcome) == {"acme/web/web-01": "UpdateNotSupported"}
    outcome = site.run(tree(1, host_tags=["gpu"], **ONE))
    assert codes(outcome) == {"acme/web/web-01": "UpdateNotSupported"}
    site.settled(tree(1, **ONE))


def test_a_resize_that_was_done_before_its_start_failed(site: Site) -> None:
    site.good(tree(1, state="stopped", **ONE))
    site.lab.control.fault("PowerOnVM_Task", "InsufficientMemoryResourcesFault", where="task", endpoint="vc1", count=1)
    outcome = site.run(tree(1, flavor="core-200", state="started", **ONE))
    assert codes(outcome) == {"acme/web/web-01": "NotEnoughMemoryResource"}
    assert outcome["changed"]
    assert site.record("web-01").vcpus == site.rows()[0]["cpus"] == 2
    assert site.disagreements() == []
