# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What administrators did in vSphere: facts are recorded by a repair, the rest is reported with the next step."""

from __future__ import annotations

from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.verify_text import verify_lines

from tests.integration.verify.conftest import declared, vsphere, whats
from tests.support.damage import Tables
from tests.support.site import Site


def found(outcome: dict[str, Any], what: str) -> list[dict[str, Any]]:
    return [finding for finding in outcome["findings"] if finding["what"] == what]


def other_host(site: Site, vm: str) -> str:
    return next(name for name in ("esx02.lab", "esx03.lab") if site.host_of(vm) != name)


def test_facts_after_changes_by_hand_are_recorded(changed: Site) -> None:
    """A repair records them with the allocations that follow; the next apply changes nothing but the power."""
    site, admin = changed, changed.admin["vc1"]
    home, target = site.host_of("web-01"), other_host(site, "web-01")
    admin.move_to_host("web-01", target)
    admin.power("web-02", "poweredOn")
    damaged, before = Tables(site.url).dump(), vsphere(site)
    check = site.verify(check=True)
    moved, started = sorted(found(check, "facts"), key=lambda finding: finding["name"])
    assert (moved["name"], moved["expected"], moved["found"]) == ("acme/web/web-01", f"host={target}", f"host={home}")
    assert (started["name"], started["expected"], started["found"]) == (
        "acme/web/web-02",
        "state=STARTED",
        "state=STOPPED",
    )
    assert Tables(site.url).dump() == damaged
    assert site.verify()["left"] == 0
    assert (site.host_of("web-01"), site.record("web-02").state) == (target, "STARTED")
    assert vsphere(site) == before
    assert site.verify(check=True)["found"] == 0
    site.settled(declared())


def test_a_repair_does_not_hide_drift_from_the_next_plan(changed: Site) -> None:
    """A grown disk is no fact of the record: the plan must still see it after the move was recorded."""
    site, admin = changed, changed.admin["vc1"]
    admin.reconfigure("web-01", extra_config={"guestinfo.userdata": "c3Bvb2ZlZA=="})
    admin.move_to_host("web-01", other_host(site, "web-01"))
    assert site.verify()["left"] == 0
    [step] = [step for step in site.run(declared(), check=True, result="full")["plan"] if step["verb"] == "update"]
    assert "guestinfo.userdata" in step["after"]
    site.settled(declared())


def test_what_is_lost_or_unknown_is_reported_and_left_alone(changed: Site) -> None:
    """Lost VM, detached disk, lost copy of an image, a clone with our mark, a deleted VM that was restored."""
    site, admin = changed, changed.admin["vc1"]
    path = admin.detach("web-02", 1)
    admin.clone("web-03", "copy-of-web-03")
    admin.delete("web-01")
    esxi = site.admin["esx9"]
    [template] = [row for row in site.lab.control.state("esx9")["vms"] if "photon.template" in row["extra_config"]]
    esxi.delete(template["moid"])
    damaged, before = Tables(site.url).dump(), vsphere(site)

    check = site.verify(check=True)
    assert Tables(site.url).dump() == damaged
    assert whats(check) == ["detached disk", "lost", "lost copy", "orphan"]
    assert (check["changed"], check["repairable"]) == (False, 0)
    [lost], [disk] = found(check, "lost"), found(check, "detached disk")
    assert (lost["name"], disk["name"]) == ("acme/web/web-01", "acme/web/web-02")
    assert "register: true" in lost["step"]
    assert disk["expected"] == f"data {path}"
    assert [finding["name"] for finding in found(check, "orphan")] == ["vc1/copy-of-web-03"]
    assert [finding["name"] for finding in found(check, "lost copy")] == ["debian/esx9/datastore1"]

    repaired = site.verify()
    assert (repaired["changed"], repaired["left"]) == (False, check["left"])
    assert vsphere(site) == before

    admin.attach("web-02", path)
    admin.delete("copy-of-web-03")
    site.settled(declared())


def test_an_interrupted_deletion_is_finished(changed: Site) -> None:
    """The one record that a repair deletes: its resource was deleted by the run that did not end."""
    from tests.integration.verify.test_database import Damage, task_of_a_dead_run

    site, damage = changed, Damage(Tables(changed.url), changed)
    task_of_a_dead_run(damage)
    damage.sql("UPDATE tasks SET operation = 'DELETE_VM' WHERE ended_at IS NULL")
    site.admin["vc1"].delete("web-01")
    assert whats(site.verify(check=True)) == ["interrupted task", "lost"]
    repaired = site.verify()
    assert repaired["left"] == 0
    assert "settled the unfinished tasks of interrupted runs: 1 DELETE_VM" in repaired["warnings"]
    assert [d.name for d in site.snapshot().documents if d.kind == "vm"] == ["web-02", "web-03"]
    site.settled(declared())


def test_a_restored_backup_is_reported_object_by_object(changed: Site) -> None:
    """A backup older than two VMs, a deletion and a move: every difference has its line and its next step."""
    site, admin = changed, changed.admin["vc1"]
    backup, more = Tables(site.url).dump(), declared(5)
    [item] = more["photon_tenants"][0]["projects"][0]["vms"]
    more["photon_tenants"][0]["projects"][0]["vms"] = [
        {**item, "name": "web-[01:02]"},
        {**item, "name": "web-03", "state": "absent"},
        {**item, "name": "web-[04:05]"},
    ]
    site.good(more)
    admin.move_to_host("web-02", other_host(site, "web-02"))
    site.good(more)
    present = Tables(site.url).dump()
    Tables(site.url).restore(backup)

    outcome = site.verify(check=True)
    assert whats(outcome) == ["facts", "lost", "orphan"]
    assert sorted(finding["name"] for finding in found(outcome, "orphan")) == ["vc1/web-04", "vc1/web-05"]
    assert [finding["name"] for finding in found(outcome, "lost")] == ["acme/web/web-03"]
    assert [finding["name"] for finding in found(outcome, "facts")] == ["acme/web/web-02"]
    text = "\n".join(verify_lines(outcome))
    assert "! vc1/web-04: orphan: carries the platform's mark" in text
    assert "-> restore the record from a backup, remove the VM, or clear its photon.id" in text
    assert text.endswith("1 to repair (--repair), 3 for you to decide")
    assert whats(site.verify()) == ["lost", "orphan"]

    Tables(site.url).restore(present)
    assert site.verify(check=True)["found"] == 0
    site.settled(more)


def test_without_endpoints_the_database_is_verified(changed: Site) -> None:
    """Wrong passwords stand for endpoints that do not answer: findings of the database, and a line that says so."""
    from tests.integration.verify.test_database import Damage, allocation_deleted, capacity_changed

    site = changed
    nobody = {name: {"username": "nobody", "password": "wrong"} for name in site.credentials}
    for damage in (allocation_deleted, capacity_changed):
        damage(Damage(Tables(site.url), site))
    outcome = site.verify(credentials=nobody, check=True)
    assert whats(outcome) == ["allocation", "capacity"]
    assert outcome["endpoints"] == {"compared": [], "not_compared": ["esx9", "vc1"]}
    assert "no endpoint could be read: the CloudStore alone was verified" in outcome["warnings"]
    assert "CloudStore compared with no endpoint, not with esx9, vc1" in verify_lines(outcome)
    assert site.verify(credentials=nobody)["left"] == 0
    assert site.verify(check=True)["found"] == 0


def test_another_platform_on_the_same_vcenter_is_left_out(changed: Site) -> None:
    """VMs with the mark of another CloudStore and site are that platform's own."""
    admin = changed.admin["vc1"]
    identity = "6a0e7c9e-0000-4000-8000-000000000001"
    marks = {"photon.id": identity, "photon.store": "another", "photon.site": "inventory:x"}
    admin.clone("web-03", "foreign", instanceUuid=identity)
    admin.reconfigure("foreign", extra_config=marks)
    assert changed.verify(check=True)["found"] == 0
    admin.reconfigure("foreign", extra_config={"photon.store": ""})
    assert whats(changed.verify(check=True)) == ["orphan"]
    admin.delete("foreign")
