# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify on plain data: what is a finding, what a repair would do about it, and who may ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import CloudStore, Inventory, Snapshot, Task
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import registry, upkeep, verify
from ansible_collections.photon.platform.plugins.module_utils.services.findings import Finding, differences
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import (
    DatastoreRow,
    DiskRow,
    EndpointInventory,
    HostRow,
    VmRow,
)

GB = 1 << 30
KINDS = {"h1": "host", "h2": "host", "ds": "datastore", "t": "tenant", "p": "project"}
HOST = {"zone": "z", "cpu_overcommit": 4.0, "memory_overcommit": 1.0, "usage_tags": ["CLOUD"], "tags": [], "rack": None}


def host(name: str) -> Document:
    observed = {"moid": f"host-{name}", "cluster": "c1", "drs": False, "vcpus": 8, "memory": 64 * GB,
                "port_groups": [], "datastores": ["ds"], "connected": True, "in_maintenance": False,
                "hardware_uuid": ""}  # fmt: skip
    return Document(entities.HOST, name, "", "READY", id=name, body={"endpoint": "e", **HOST}, observed=observed)


def vm(name: str, where: str = "h1") -> Document:
    body = {"flavor": "f", "image": "i", "vcpus": 1, "memory": 2 * GB, "cost": {"vm.count": [1, "COUNT"]},
            "disks": [{"name": "boot", "flavor": "df", "capacity": 4 * GB, "boot": True}]}  # fmt: skip
    observed = {"endpoint": "e", "host": where, "cluster": "c1", "address": None,
                "vsphere": {"moid": f"vm-{name}", "name": name, "folder": "acme/web", "directory": name,
                            "change_version": "1"},
                "disks": {"boot": {"datastore": "ds", "path": f"[shared] {name}/boot.vmdk", "uuid": None, "unit": 0}},
                }  # fmt: skip
    return Document(entities.VM, name, "p", "STARTED", id=name, body=body, observed=observed)


def documents() -> list[Document]:
    return [
        Document(entities.ENDPOINT, "vc1", "", "READY", id="e", body={"type": "vcenter"}),
        Document(entities.ZONE, "a", "", "READY", id="z"),
        Document(entities.FLAVOR, "core", "vm", "READY", id="f"),
        Document(entities.FLAVOR, "core", "ephemeral-disk", "READY", id="df"),
        host("h1"),
        host("h2"),
        Document(entities.DATASTORE, "shared", "e", "READY", id="ds", body={"endpoint": "e"},
                 observed={"moid": "datastore-1", "url": "ds:///1/", "type": "SHARED_VMFS", "capacity": 1000 * GB,
                           "accessible": True}),
        Document(entities.TENANT, "acme", "", "READY", id="t"),
        Document(entities.PROJECT, "web", "t", "READY", id="p"),
        Document(entities.IMAGE, "debian", "", "READY", id="i", body={"size": 0}),
        Document(entities.IMAGE_COPY, "vc1/shared", "i", "READY", id="c",
                 body={"datastore": "ds", "size": 0, "template_uuid": "copy"},
                 observed={"path": "[shared] debian/disk.vmdk", "template_moid": "vm-copy"}),
        vm("v1"),
        vm("v2", "h2"),
    ]  # fmt: skip


def snapshot(of: list[Document] | None = None) -> Snapshot:
    """A sound CloudStore of these documents."""
    found = Snapshot(of or documents(), providers=dict(KINDS))
    limits = {("t", "vm.count"): 10, ("p", "vm.count"): 5, ("ds", "space"): 1000 * GB}
    limits |= {(name, "vcpus"): 32 for name in ("h1", "h2")} | {(name, "memory"): 64 * GB for name in ("h1", "h2")}
    for (provider, resource), limit in limits.items():
        unit = "B" if resource in ("memory", "space") else "COUNT"
        row = Inventory(provider, KINDS[provider], resource, unit, limit)
        found.inventories.setdefault(provider, {})[resource] = row
    state = CurrentState.of_snapshot(found)
    for document in found.documents:
        claim = registry.claim_of(document, state)
        if claim is not None:
            held = {(p, r): amount for p, amounts in claim.amounts.items() for r, amount in amounts.items()}
            found.held[claim.consumer] = held
            found.exclusives |= dict.fromkeys(claim.exclusive, claim.consumer)
    return found


def inventory() -> EndpointInventory:
    """The endpoint of the same site, with nothing that differs."""
    found = EndpointInventory("vcenter")
    for name in ("h1", "h2"):
        found.hosts[f"host-{name}"] = HostRow(
            f"host-{name}", name, "c1", "domain-c1", "pool", "dc", "folder", "connected", False, "poweredOn", 8,
            64 * GB, ["datastore-1"], [], [],
        )  # fmt: skip
    found.datastores["datastore-1"] = DatastoreRow(
        "datastore-1", "shared", "ds:///1/", "SHARED_VMFS", 1000 * GB, 990 * GB, True
    )
    for name, where, power in (("v1", "h1", "poweredOn"), ("v2", "h2", "poweredOn"), ("copy", "h1", "poweredOff")):
        add(found, row(name, where, power_state=power, template=name == "copy"))
    return found


def row(name: str, where: str, **more: Any) -> VmRow:
    values = {"power_state": "poweredOn", "change_version": "1", "folder": "group-v1", "datastores": ["datastore-1"],
              "vcpus": 1, "memory": 2 * GB, "space": {}, "guest_address": None, "tools": "",
              "template": False, "connection_state": "connected"}  # fmt: skip
    return VmRow(f"vm-{name}", name, name, f"host-{where}", **{**values, **more})


def add(found: EndpointInventory, vm_row: VmRow) -> None:
    found.vms[vm_row.moid] = vm_row
    found.vms_by_uuid[vm_row.uuid] = [vm_row]


def findings(taken: Snapshot, endpoint: EndpointInventory | None = None) -> list[Finding]:
    state = CurrentState.of_snapshot(taken)
    if endpoint is not None:
        state.inventories["e"] = endpoint
    return list(verify.compare(taken, state))


def shown(found: list[Finding]) -> list[tuple[str, str, bool]]:
    return [(finding.what, finding.name, finding.repairable) for finding in found]


def test_a_sound_site_has_no_findings_with_and_without_its_endpoint() -> None:
    assert findings(snapshot()) == []
    assert findings(snapshot(), inventory()) == []


# -- the database ----------------------------------------------------------------------------------------------------


def test_a_wrong_allocation_names_consumer_provider_and_amounts() -> None:
    taken = snapshot()
    taken.held["v1"]["h1", "memory"] = 4 * GB
    [finding] = findings(taken)
    assert (finding.name, finding.expected, finding.found) == ("vm acme/web/v1 of host h1: memory", "2 GB", "4 GB")
    assert (finding.consumers, finding.repairable) == (("v1",), True)


def test_rows_of_a_consumer_without_document_are_to_be_deleted() -> None:
    taken = snapshot()
    taken.held["gone"] = {("p", "vm.count"): 1}
    [finding] = findings(taken)
    assert (finding.orphans, finding.consumers) == (("gone",), ())
    assert finding.name == "(no document) gone of project acme/web: vm.count"


def test_usage_above_a_limit_is_computed_from_documents_not_from_rows() -> None:
    taken = snapshot()
    taken.inventories["p"]["vm.count"].limit = 1
    taken.held["p"]["t", "vm.count"] = 1
    taken.held["v1"] = {}
    found = {finding.what: finding for finding in findings(taken)}
    assert (found["limit exceeded"].name, found["limit exceeded"].found) == ("acme/web", "2")
    assert not found["limit exceeded"].repairable


def test_what_others_use_counts_against_no_quota_of_hosts() -> None:
    """A host that administrators filled is over-committed, which is theirs to decide and no damage."""
    taken = snapshot()
    taken.inventories["h1"]["memory"].foreign = 64 * GB
    assert findings(taken) == []


@pytest.mark.parametrize(
    ("drop", "what", "step"),
    [
        ("i", ("vm", "image"), "restore a backup that has this image, or delete the vm"),
        ("p", ("vm", "project"), "restore a backup that has this project, or delete the vm"),
        ("t", ("project", "tenant"), "restore a backup that has this tenant, or delete the project"),
        ("z", ("host", "zone"), "restore a backup that has this zone, or delete the host"),
    ],
)
def test_a_missing_document_is_reported_by_those_that_name_it(drop: str, what: tuple[str, str], step: str) -> None:
    """What it held and offered stays untouched: a backup may bring it back."""
    taken = snapshot()
    taken.documents = [document for document in taken.documents if document.id != drop]
    found = [finding for finding in findings(taken) if finding.kind == what[0]]
    assert {finding.what for finding in found} == {"dangling reference"}
    assert {(finding.expected, finding.step) for finding in found} == {(f"the {what[1]} with id {drop}", step)}
    assert not any(finding.repairable for finding in findings(taken))


def test_exclusive_keys_missing_wrong_and_shared() -> None:
    key = "name:e:acme/web:v1"
    taken = snapshot()
    del taken.exclusives[key]
    [finding] = findings(taken)
    assert (finding.expected, finding.found, finding.consumers) == ("vm acme/web/v1", "none", ("v1",))
    taken.exclusives[key] = "v2"
    [finding] = findings(taken)
    assert (finding.found, finding.consumers) == ("vm acme/web/v2", ("v1", "v2"))
    twin = vm("v2", "h2")
    twin.observed["vsphere"]["name"] = "v1"
    of = [twin if document.id == "v2" else document for document in documents()]
    assert shown(findings(snapshot(of))) == [("shared key", key, False)]


def test_provider_rows_and_capacity() -> None:
    taken = snapshot()
    del taken.providers["p"]
    taken.providers["ghost"] = "host"
    taken.inventories["h1"]["vcpus"].limit = 1
    del taken.inventories["ds"]["space"]
    assert shown(findings(taken)) == [
        ("provider", "acme/web", True),
        ("provider", "ghost", True),
        ("capacity", "h1", True),
        ("capacity", "vc1/shared", True),
    ]
    assert shown(findings(taken, inventory())) == shown(findings(taken)), "the same by the endpoint's own numbers"
    capacity = [finding.capacity for finding in findings(taken) if finding.capacity is not None]
    assert [(each.resource, each.limit) for each in capacity] == [("vcpus", 32), ("space", 1000 * GB)]


def test_tasks_of_ended_runs_are_findings_and_those_of_live_runs_lock() -> None:
    taken = snapshot()
    taken.open_tasks = [Task("START_VM", entities.VM, "v1", run_id="r1")]
    assert shown(findings(taken)) == [("interrupted task", "acme/web/v1", True)]
    taken.live_runs = {"r1"}
    endpoint = inventory()
    endpoint.vms["vm-v1"].power_state = "poweredOff"
    assert findings(taken, endpoint) == [], "its facts are being changed right now"


# -- the endpoint ----------------------------------------------------------------------------------------------------


def test_a_moved_vm_is_shown_with_names_and_repaired_with_its_change_version_kept() -> None:
    endpoint = inventory()
    moved = endpoint.vms["vm-v1"]
    moved.host, moved.power_state, moved.change_version, moved.guest_address = "host-h2", "poweredOff", "2", "10.0.0.5"
    [finding] = findings(snapshot(), endpoint)
    assert (finding.what, finding.expected, finding.found) == (
        "facts",
        "state=STOPPED, host=h2",
        "state=STARTED, host=h1",
    )
    assert finding.observed is not None
    assert finding.observed.observed["host"] == "h2"
    assert finding.observed.observed["vsphere"]["change_version"] == "1", "the next plan still compares its hardware"


def test_an_address_or_a_disk_seen_for_the_first_time_is_not_a_finding() -> None:
    endpoint = inventory()
    seen = endpoint.vms["vm-v1"]
    seen.guest_address, seen.change_version = "10.0.0.5", "2"
    file = "[shared] v1/boot.vmdk"
    seen.disks = [DiskRow(2000, 0, 4 * GB, file, "datastore-1", uuid="u1", bus=0, files=(file,))]
    assert findings(snapshot(), endpoint) == []


def lost(endpoint: EndpointInventory) -> None:
    del endpoint.vms["vm-v1"], endpoint.vms_by_uuid["v1"]


def without_host(endpoint: EndpointInventory) -> None:
    lost(endpoint)
    del endpoint.hosts["host-h1"]


def detached(endpoint: EndpointInventory) -> None:
    endpoint.vms["vm-v1"].disks = []


def converted(endpoint: EndpointInventory) -> None:
    endpoint.vms["vm-v1"].template = True


def unreadable(endpoint: EndpointInventory) -> None:
    endpoint.vms["vm-v1"].connection_state = "inaccessible"


def doubled(endpoint: EndpointInventory) -> None:
    endpoint.vms_by_uuid["v1"] = [replace(endpoint.vms["vm-v1"], moid=f"vm-{n}") for n in (8, 9)]


@pytest.mark.parametrize(
    ("damage", "what", "step"),
    [
        (lost, "lost", "register: true"),
        (without_host, "lost", "add the host again"),
        (detached, "detached disk", "attach it again"),
        (converted, "template", "convert it back"),
        (unreadable, "unreadable", "bring its host or datastore back"),
        (doubled, "ambiguous", "remove the copies"),
    ],
)
def test_a_vm_that_only_a_person_can_bring_back(
    damage: Callable[[EndpointInventory], None], what: str, step: str
) -> None:
    endpoint = inventory()
    damage(endpoint)
    [finding] = [finding for finding in findings(snapshot(), endpoint) if finding.kind == entities.VM]
    assert (finding.what, finding.name, finding.repairable) == (what, "acme/web/v1", False)
    assert step in finding.step


def test_hosts_datastores_and_copies() -> None:
    endpoint = inventory()
    endpoint.hosts["host-h1"].memory = 32 * GB
    del endpoint.hosts["host-h2"]
    endpoint.datastores["datastore-1"].name = "renamed"
    del endpoint.vms["vm-copy"], endpoint.vms_by_uuid["copy"]
    found = findings(snapshot(), endpoint)
    assert shown(found) == [
        ("capacity", "h1", True),
        ("facts", "h1", True),
        ("facts", "h2", True),
        ("name", "vc1/shared", False),
        ("lost copy", "debian/vc1/shared", False),
    ]
    assert (found[1].expected, found[2].expected) == (f"memory={32 * GB}", "connected=False")


def test_vms_are_compared_with_the_facts_of_their_hosts_as_they_are_now() -> None:
    """One repair is enough when a host changed its cluster."""
    endpoint = inventory()
    endpoint.hosts["host-h1"].cluster = "c2"
    assert [(f.kind, f.expected) for f in findings(snapshot(), endpoint)] == [
        ("host", "cluster=c2"),
        ("vm", "cluster=c2"),
    ]


def test_another_vcenter_at_the_address_of_an_endpoint() -> None:
    taken, endpoint = snapshot(), inventory()
    taken.documents[0].observed["instance_uuid"], endpoint.instance_uuid = "one", "two"
    assert shown(findings(taken, endpoint)) == [("identity", "vc1", False)]


# -- results and rights ------------------------------------------------------------------------------------------------


def test_differences_name_every_field() -> None:
    assert differences({"a": 1, "b": None, "c": ["x"]}, {"a": 1, "b": "y", "c": []}) == ("b=none, c=[x]", "b=y, c=[]")


def finding(what: str, repairable: bool) -> Finding:
    return Finding("vm", f"acme/web/{what}", what, "this", "that", "do it", repairable)


def test_a_result_counts_everything_and_shows_what_needs_a_person_first() -> None:
    verified = verify.Verified([finding("facts", True), finding("lost", False)], [finding("allocation", True)])
    outcome = verified.outcome(check=False, limit=2)
    assert outcome["counts"] == {"allocation": 1, "facts": 1, "lost": 1}
    assert [outcome[key] for key in ("found", "left", "repairable", "repaired", "changed")] == [3, 2, 1, 1, True]
    assert [row["what"] for row in outcome["findings"]] == ["lost", "facts"]
    assert outcome["diff"] == {
        "before": "vm acme/web/allocation: that\n",
        "after": "vm acme/web/allocation: this\n",
    }
    assert [row["repaired"] for row in verified.outcome(check=False, limit=None)["findings"]] == [False, False, True]


def test_a_check_is_changed_where_a_repair_would_change_something() -> None:
    assert verify.Verified([finding("facts", True)]).outcome(check=True)["changed"]
    assert not verify.Verified([finding("lost", False)]).outcome(check=True)["changed"]


@pytest.mark.parametrize("check", [True, False])
def test_only_the_system_administrator_may_verify(platform: Any, tmp_path: Any, check: bool) -> None:
    platform.apply("photon_security_groups: ['photon\\admins']")
    url = f"sqlite:///{tmp_path}/cloud.db"

    def asked(*groups: str) -> dict[str, Any]:
        act_as = {"user": "u@photon", "groups": groups}
        return upkeep.verify(Request(cloudstore_url=url, allow_ephemeral=True, act_as=act_as, check=check))

    with pytest.raises(PhotonError) as refused:
        asked("photon\\others")
    assert refused.value.code == "AccessForbidden"
    assert refused.value.message == "u@photon may not verify deployment: only the system administrator may"
    assert asked("photon\\admins")["found"] == 0


def test_a_repair_starts_again_after_a_concurrent_change(
    platform: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims that were computed from an old version of a document are not written."""
    platform.apply("photon_tenants: [{name: acme, quota: {vm.count: 9}, projects: [{name: web, quota_percent: 50}]}]")
    project = platform.find(entities.PROJECT, "acme/web")
    platform.store.run(lambda tx: tx.release([project.id]))
    real, taken = CloudStore.snapshot, []

    def snapshot_then_change(store: CloudStore, *args: Any, **options: Any) -> Snapshot:
        taken.append(real(store, *args, **options))
        if len(taken) == 2:  # what the first attempt of the repair is made from
            platform.store.run(lambda tx: tx.update([project.with_body(deletion_protection=True)]))
        return taken[-1]

    monkeypatch.setattr(CloudStore, "snapshot", snapshot_then_change)
    outcome = upkeep.verify(Request(cloudstore_url=f"sqlite:///{tmp_path}/cloud.db", allow_ephemeral=True))
    assert (outcome["repaired"], outcome["left"], len(taken)) == (1, 0, 4)


@pytest.mark.parametrize("check", [True, False])
def test_without_a_cloudstore_nothing_is_created(tmp_path: Any, check: bool) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(PhotonError) as missing:
        upkeep.verify(Request(cloudstore_url=url, allow_ephemeral=True, check=check))
    assert missing.value.code == "CloudStoreNotFound"
    assert list(tmp_path.iterdir()) == []
