# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deleted CloudStore is rebuilt out of the declaration and of what vSphere carries; then the plan is what it was.

First-class disks exist only simulated: no vCenter is at hand.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.integration.rebuild.conftest import LostSite, site_tree


def intents(site: LostSite) -> dict[str, Any]:
    """What is recorded of VMs, disks and images, with names instead of the ids that a rebuild does not keep."""
    snapshot = site.snapshot()
    names = {d.id: f"{d.kind} {d.name}" for d in snapshot.documents}

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {names.get(key, key): named(member) for key, member in value.items() if key != "change_version"}
        if isinstance(value, list):
            return [named(member) for member in value]
        return names.get(value, value) if isinstance(value, str) else value

    kept = [d for d in snapshot.documents if d.kind in ("vm", "disk", "image")]
    return {
        d.id: [d.name, d.state, d.managed_by, named(d.scope), named(_without_digest(d.body)), named(d.observed)]
        for d in kept
    }


def _without_digest(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "metadata_digest"}


def usage(site: LostSite) -> dict[str, Any]:
    snapshot = site.snapshot()
    names = {d.id: d.name for d in snapshot.documents}
    return {
        names[owner]: {k: (c.limit, c.usage) for k, c in table.items()} for owner, table in snapshot.counters().items()
    }


def test_a_lost_cloudstore_is_rebuilt_and_its_plan_is_empty(site: LostSite) -> None:
    declared = site_tree()
    before, used = intents(site), usage(site)
    site.lose()
    told = site.rebuild(declared, check=True)
    assert (told["contradictions"], told["rebuilt"]["vm"]) == ([], 3)
    assert not site.snapshot().documents  # check mode writes nothing
    done = site.rebuild(declared)
    assert done["rebuilt"] == told["rebuilt"]
    assert done["contradictions"] == []
    assert site.plan(declared) == {}
    assert usage(site) == used
    after = intents(site)
    for identity, old in before.items():
        assert after[identity][:5] == old[:5]
    assert after.keys() == before.keys()
    site.settled(declared)
    with pytest.raises(PhotonError) as caught:
        site.rebuild(declared)
    assert caught.value.code == "CloudStoreNotEmpty"
    site.rebuild(declared, force=True)
    assert site.plan(declared) == {}


def test_what_was_pending_is_pending_afterwards_and_nothing_else(site: LostSite) -> None:
    declared = site_tree()
    project = site.project(declared)
    project["vms"][1]["flavor"] = "core-100"
    project["disks"][1]["capacity"] = "2 GB"
    project["vms"][0]["metadata"]["user_data"] = "#cloud-config\nhostname: other"
    pending = site.plan(declared)
    assert set(pending) == {f"acme/web/{name}" for name in ("esx", "spare", "web-01", "web-02")}
    site.lose()
    site.rebuild(declared)
    found = site.plan(declared)
    assert found.keys() == pending.keys()
    # VMs are compared in detail now, so the guest's keys are named too.
    assert {n: [c for c in changes if not c.startswith("guestinfo.")] for n, changes in found.items()} == pending
    site.settled(declared)


def test_vms_that_were_renamed_and_moved_are_recorded_where_they_are(site: LostSite) -> None:
    declared, admin = site_tree(), site.admin["vc1"]
    admin.rename("web-02", "by-hand")
    admin.create_folder("elsewhere")
    admin.move_to_folder("by-hand", "elsewhere")
    admin.move_to_host("by-hand", "esx03.lab" if site.host_of("web-01") != "esx03.lab" else "esx02.lab")
    pending = site.plan(declared)
    record = site.record("web-02")
    site.lose()
    assert site.rebuild(declared)["contradictions"] == []
    assert site.plan(declared) == pending
    now = site.record("web-02")
    assert now.place is not None
    assert (now.id, now.place.name, now.place.folder) == (record.id, "by-hand", "elsewhere")
    site.settled(declared)


def contradictions(outcome: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["what"] for row in outcome["contradictions"]}


def test_of_two_vms_with_one_record_that_of_the_uuid_wins(site: LostSite) -> None:
    declared = site_tree()
    identity = site.record("web-02").id
    site.admin["vc1"].clone("web-02", "copy")
    site.lose()
    outcome = site.rebuild(declared)
    assert contradictions(outcome) == {"vc1/copy": "two with one id"}
    assert site.record("web-02").id == identity
    assert site.plan(declared) == {}


def test_an_endpoint_that_cannot_be_read_leaves_the_cloudstore_empty(site: LostSite) -> None:
    declared = site_tree()
    site.lose()
    site.lab.control.misbehave("esx9", "unreachable")
    with pytest.raises(PhotonError) as caught:
        site.rebuild(declared)
    assert caught.value.code == "EndpointUnreachable"
    assert "esx9" in caught.value.message
    assert not site.snapshot().documents
    site.lab.control.misbehave("esx9", "")
    assert site.rebuild(declared)["contradictions"] == []
    assert site.plan(declared) == {}


def test_records_of_what_is_not_declared_are_reported(site: LostSite) -> None:
    declared = site_tree()
    declared["photon_tenants"][0]["name"] = "other"
    site.lose()
    outcome = site.rebuild(declared)
    found = [row for row in outcome["contradictions"] if row["kind"] in ("vm", "disk")]
    assert {row["what"] for row in found} == {"undeclared tenant"}
    assert len(found) == 6
    assert not {"vm", "disk"} & outcome["rebuilt"].keys()


def set_record(site: LostSite, name: str, text: str) -> None:
    """Replace a VM's record by hand; an empty one removes it."""
    admin = site.admin_of(name)
    admin.reconfigure(name, extra_config={"photon.record": text})


def record_of(site: LostSite, name: str) -> dict[str, Any]:
    identity = site.record(name).id
    [row] = site.rows(identity)
    found: dict[str, Any] = json.loads(row["extra_config"]["photon.record"])
    return found


HOSTILE: dict[str, Any] = {
    "broken": "{",
    "empty list": " []",  # the lab takes a text that begins with a bracket for a path
    "deep": " " + "[" * 50_000,
    "huge": "x" * 300_000,
    "later version": {"version": 2},
    "other kind": {"kind": "disk"},
    "other id": {"id": "00000000-0000-4000-8000-000000000000"},
    "path as name": {"name": "../../etc"},
    "text for a number": {"vcpus": "two"},
    "negative": {"memory": -1},
    "disks": {"disks": [{"name": 7}]},
    "cost": {"cost": {"vm.cpu": 1}},
    "unknown flavor": {"flavor": "none"},
    "unknown image": {"image": "none"},
    "control characters": {"tags": ["\u001b[2J"]},
    "half a character": {"tags": ["\ud800"]},
}


def test_hostile_records_are_reported_and_never_trusted(site: LostSite) -> None:
    declared = site_tree()
    right = record_of(site, "esx")
    assert right["tenant"] == "acme"
    assert "hostname" not in json.dumps(right)
    texts = {
        name: value if isinstance(value, str) else json.dumps({**right, **value}) for name, value in HOSTILE.items()
    }
    admin = site.admin_of("esx")
    vm = admin.vm("esx")
    site.lose()
    for name, text in texts.items():
        admin.reconfigure(vm, extra_config={"photon.record": text})
        outcome = site.rebuild(declared, check=True)
        assert contradictions(outcome).get("esx9/esx") == "unusable record", (name, outcome["contradictions"])
        assert outcome["rebuilt"]["vm"] == 2, name
        assert all(len(row["found"]) < 1000 for row in outcome["contradictions"])
    stranger = json.dumps({**right, "store": "00000000-0000-4000-8000-000000000000"})
    admin.reconfigure(vm, extra_config={"photon.record": stranger})
    assert "another CloudStore" in contradictions(site.rebuild(declared)).values()
    with pytest.raises(PhotonError) as caught:  # no twin is created
        site.run(declared)
    assert caught.value.code == "CloudStoreLost"


def test_a_record_that_is_missing_or_old_is_written_once(site: LostSite) -> None:
    declared = site_tree()
    before = record_of(site, "esx")
    for text in ("", "something else"):
        set_record(site, "esx", text)
        assert site.plan(declared) == {"acme/web/esx": ["photon.record"]}
        site.settled(declared)
        assert record_of(site, "esx") == before
    site.project(declared)["vms"][1]["tags"] = ["new"]
    assert site.plan(declared) == {"acme/web/esx": ["tags"]}
    site.settled(declared)
    assert record_of(site, "esx") == {**before, "tags": ["new"]}


def test_a_change_and_a_grown_boot_disk_take_the_record_with_them(site: LostSite) -> None:
    declared = site_tree()
    item = site.project(declared)["vms"][1]
    item["flavor"] = "core-100"
    item["boot_disk"] = {"capacity": "3 GB"}
    site.settled(declared)
    found = record_of(site, "esx")
    assert (found["flavor"], found["disks"][0]["capacity"]) == ("core-100", 3 << 30)
    site.lose()
    assert site.rebuild(declared)["contradictions"] == []
    assert site.plan(declared) == {}


def test_disks_without_a_record_get_one_and_their_records_follow_them(site: LostSite) -> None:
    declared = site_tree()
    disks = site.project(declared)["disks"]
    disks[0]["tags"], disks[1]["capacity"], disks[2]["tags"] = ["changed"], "2 GB", ["changed"]
    site.settled(declared)
    site.lose()
    assert site.rebuild(declared)["contradictions"] == []
    assert site.plan(declared) == {}
    for disk in disks:
        disk.update(state="absent", attached_to="")
    site.good(declared)
    files = [file for admin in site.admin.values() for file in admin.files()]
    assert not [file for file in files if "photon-disks/" in file]


def test_a_vmdk_that_its_vm_took_elsewhere_is_found_by_its_record(site: LostSite) -> None:
    declared = site_tree()
    declared["photon_disk_backing"] = "vmdk"
    disks = site.project(declared)["disks"]
    disks.append({"name": "moving", "flavor": "core-100", "capacity": "1 GB", "attached_to": "web-02"})
    site.settled(declared)
    old = site.named("disk", "moving").observed
    admin = site.admin["vc1"]
    host = site.host_of("web-02")
    admin.move_to_datastore("web-02", f"local-{str(host).partition('.')[0]}")
    site.good(declared)
    pending, now = site.plan(declared), site.named("disk", "moving").observed
    assert now["uuid"] == old["uuid"]
    site.lose()
    assert site.rebuild(declared)["contradictions"] == []
    assert site.plan(declared) == pending
    after = site.named("disk", "moving").observed
    assert (after["path"], after["uuid"]) == (now["path"], now["uuid"])


def test_a_record_whose_disk_is_gone_is_reported(site: LostSite) -> None:
    declared = site_tree()
    site.project(declared)["disks"][2]["attached_to"] = ""
    site.settled(declared)
    disk = site.named("disk", "local")
    site.lab.control.vanish(disk.observed["path"], endpoint="esx9")
    site.lose()
    outcome = site.rebuild(declared, check=True)
    [row] = [row for row in outcome["contradictions"] if row["kind"] == "disk"]
    assert disk.id in row["name"]
    assert row["found"] == "there is a record, and its file is missing"


def test_copies_of_images_without_a_record_are_known_by_their_file(site: LostSite) -> None:
    declared = site_tree()
    for name, state in site.lab.control.state().items():
        for row in state["vms"]:
            if "photon.template" in row["extra_config"]:
                admin, vm = site.admin[name], site.admin[name].vm(row["moid"])
                if name == "vc1":  # nobody can change a template
                    admin.mark_as_vm(vm, row["host"])
                admin.reconfigure(vm, extra_config={"photon.record": ""})
                if name == "vc1":
                    admin.mark_as_template(vm)
    site.lose()
    assert site.rebuild(declared)["contradictions"] == []
    assert site.plan(declared) == {}


def test_a_template_that_was_cloned_by_hand_is_reported_and_left_alone(site: LostSite) -> None:
    declared, admin = site_tree(), site.admin["vc1"]
    [template] = [row for row in site.lab.control.state()["vc1"]["vms"] if row["name"].endswith("-shared1")]
    admin.mark_as_template(admin.clone(admin.vm(template["moid"]), "a-clone"))
    site.lose()
    found = site.rebuild(declared)["contradictions"]
    assert [(row["what"], "a-clone" in str(row)) for row in found] == [("two copies on one datastore", True)]
    assert [d.observed["template_moid"] for d in site.snapshot().documents if d.name == "vc1/shared1"] == [
        template["moid"]
    ]
