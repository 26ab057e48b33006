# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers on one CloudStore: first applies at once, facts, and a host that is suspended in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Conflict
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Declaration, check_items
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import registry, site, write
from ansible_collections.photon.platform.plugins.module_utils.services.context import Applying
from ansible_collections.photon.platform.plugins.module_utils.services.fleet import apply
from ansible_collections.photon.platform.plugins.module_utils.services.fleet.record import effective_state
from ansible_collections.photon.platform.plugins.module_utils.services.images.record import Copy, new_copy
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Plan

from tests.support.datacenter import Datacenter, GivenContext, changes, failures

SITE = """
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}]
photon_hosts: [{name: esx01, endpoint: vc1, zone: a}, {name: esx02, endpoint: vc1}]
"""
MAINTENANCE = [{"name": "esx01", "state": "maintenance"}]


class Controller:
    """Plans against one snapshot, and writes that plan whenever the test says so."""

    def __init__(self, cloud: Datacenter, declared: str | list[dict[str, Any]]) -> None:
        self.store = cloud.store
        self.context = GivenContext(cloud.store, SYSTEM, "inventory:site")
        self.context.given = cloud.endpoints
        snapshot = cloud.store.snapshot()
        if isinstance(declared, str):
            declaration = site.declare(yaml.safe_load(declared), snapshot)
        else:
            declaration = Declaration(hosts=check_items("host", declared))
        self.planned = site.plan(declaration, self.context, snapshot)

    def write(self) -> Plan:
        run = self.store.begin_run()
        try:
            self.context.run = run
            applying = Applying(self.planned.plan, self.planned.state, self.context)
            write.begin(applying, 1)
            write.observe(applying)
            apply.apply_hosts(applying)
            write.end(applying)
        finally:
            run.end()
        return self.planned.plan


def find(cloud: Datacenter, kind: str, name: str) -> Any:
    return next(d for d in cloud.store.snapshot().documents if (d.kind, d.name) == (kind, name))


def test_two_first_applies_leave_no_orphans(datacenter: Datacenter) -> None:
    first, second = Controller(datacenter, SITE), Controller(datacenter, SITE)
    first.write()
    with pytest.raises(Conflict):
        second.write()
    documents = datacenter.store.snapshot().documents
    ids = {document.id for document in documents}
    assert len([d for d in documents if d.kind == entities.DATASTORE]) == 2
    assert all(d.scope in ids for d in documents if d.kind == entities.DATASTORE)
    assert changes(Controller(datacenter, SITE).planned.plan) == []


def test_a_datastore_needs_its_endpoint(datacenter: Datacenter) -> None:
    Controller(datacenter, SITE).write()
    datacenter.datastore("vc1", "extra")
    datacenter.endpoints["vc1"].hosts["host-esx01"].datastores.append("datastore-extra")
    late = Controller(datacenter, SITE)
    assert changes(late.planned.plan) == [("create", "vc1/extra")]
    endpoint = find(datacenter, entities.ENDPOINT, "vc1")
    datacenter.store.run(lambda tx: tx.delete([endpoint]))
    with pytest.raises(Conflict):
        late.write()
    assert not [d for d in datacenter.store.snapshot().documents if d.name == "extra"]


def test_two_runs_record_one_fact(datacenter: Datacenter) -> None:
    Controller(datacenter, SITE).write()
    before = find(datacenter, entities.HOST, "esx01")
    datacenter.endpoints["vc1"].hosts["host-esx01"].memory = 128 << 30
    runs = [Controller(datacenter, SITE), Controller(datacenter, SITE)]
    assert [(failures(run.write()), run.planned.plan.warnings) for run in runs] == [({}, []), ({}, [])]
    after = find(datacenter, entities.HOST, "esx01")
    assert (after.observed["memory"], after.version) == (128 << 30, before.version)
    assert datacenter.store.snapshot().inventories[after.id]["memory"].limit == 128 << 30


def test_a_run_without_changes_has_nothing_to_write(datacenter: Datacenter) -> None:
    datacenter.vm("vc1", "foreign", "someone-elses", "host-esx01", vcpus=3)
    Controller(datacenter, SITE).write()
    host = find(datacenter, entities.HOST, "esx01")
    rows = datacenter.store.snapshot().inventories[host.id]
    assert {key: (row.limit, row.foreign) for key, row in rows.items()} == {
        "vcpus": (128, 3),
        "memory": (64 << 30, 2 << 30),
    }
    again = Controller(datacenter, SITE).planned
    assert (changes(again.plan), again.plan.observed, registry.inventories(again.state)) == ([], {}, [])
    datacenter.endpoints["vc1"].vms["vm-someone-elses"].vcpus = 4
    changed = registry.inventories(Controller(datacenter, SITE).planned.state)
    assert [(row.provider, row.resource, row.foreign) for row in changed] == [(host.id, "vcpus", 4)]


def test_a_concurrent_suspension_stays(datacenter: Datacenter) -> None:
    Controller(datacenter, SITE).write()
    datacenter.endpoints["vc1"].hosts["host-esx01"].memory = 128 << 30
    facts = Controller(datacenter, SITE)
    tagged = Controller(datacenter, [{"name": "esx01", "tags": ["x"]}])
    Controller(datacenter, [{"name": "esx01", "state": "suspended"}]).write()
    facts.write()
    with pytest.raises(Conflict):
        tagged.write()
    host = find(datacenter, entities.HOST, "esx01")
    assert (host.state, host.observed["memory"], host.body["tags"]) == ("SUSPENDED", 128 << 30, [])


def test_no_vm_lands_on_a_host_that_is_suspended_concurrently(datacenter: Datacenter) -> None:
    Controller(datacenter, SITE).write()
    store = find(datacenter, entities.DATASTORE, "shared")
    body = {"file": "debian.ova", "size": 1 << 30, "replication": "EAGER"}
    image = entities.Document(entities.IMAGE, "debian", body=body)
    copied = Copy.of(new_copy(image, store))
    ready = replace(copied, state="READY", path="[shared] debian/disk.vmdk", template_moid="vm-1")
    row = datacenter.vm("vc1", "debian", copied.template_uuid, "host-esx01", template=True)
    assert row.moid
    datacenter.store.run(lambda tx: tx.insert([image, ready.write_to(new_copy(image, store))]))
    vms = """
photon_tenants: [{name: acme, projects: [{name: web, vms: [
  {name: web-1, flavor: core-100, image: debian, boot_disk_flavor: core-100}]}]}]
"""
    late = Controller(datacenter, vms)
    assert ("create", "acme/web/web-1") in changes(late.planned.plan)
    Controller(datacenter, [{"name": "esx01", "state": "suspended"}, {"name": "esx02", "state": "suspended"}]).write()
    with pytest.raises(Conflict):
        late.write()
    assert failures(Controller(datacenter, vms).planned.plan) == {"acme/web/web-1": "NoSuchResource"}


def test_an_endpoint_is_kept_for_a_host_that_was_added_concurrently(datacenter: Datacenter) -> None:
    datacenter.host("vc1", "bare", [])
    Controller(datacenter, "photon_endpoints: [{name: vc1, address: vc1.example.org}]").write()
    late = Controller(datacenter, "photon_endpoints: [{name: vc1, state: absent}]")
    assert changes(late.planned.plan) == [("delete", "vc1")]
    Controller(datacenter, [{"name": "bare", "endpoint": "vc1"}]).write()
    assert set(failures(late.write())) == {"vc1"}
    assert find(datacenter, entities.HOST, "bare").body["endpoint"] == find(datacenter, entities.ENDPOINT, "vc1").id


def answer(monkeypatch: pytest.MonkeyPatch, outcome: Any) -> list[str]:
    """Answer the maintenance jobs; returns the names of what was asked for."""
    asked = []

    def run_jobs(session: Any, jobs: Any) -> Any:
        for job in jobs:
            asked.append(job.what)
            yield job, outcome

    monkeypatch.setattr(apply.vsphere, "run_jobs", run_jobs)
    monkeypatch.setattr(GivenContext, "session", lambda self, endpoint: None)
    return asked


def test_a_failed_maintenance_task_is_the_hosts_failure(datacenter: Datacenter, monkeypatch: Any) -> None:
    Controller(datacenter, SITE).write()
    answer(monkeypatch, PhotonError("TaskNotCompleted", "timed out"))
    plan = Controller(datacenter, MAINTENANCE).write()
    assert failures(plan) == {"esx01": "TaskNotCompleted"}
    snapshot = datacenter.store.snapshot()
    host = find(datacenter, entities.HOST, "esx01")
    assert (host.state, effective_state(host), snapshot.open_tasks) == ("MAINTENANCE", "SUSPENDED", [])
    assert Controller(datacenter, [{"name": "esx01"}]).planned.plan.changed is False
    asked = answer(monkeypatch, None)
    plan = Controller(datacenter, MAINTENANCE).write()
    assert (failures(plan), asked) == ({}, ["enter maintenance mode of host esx01"])
    assert effective_state(find(datacenter, entities.HOST, "esx01")) == "MAINTENANCE"


def test_a_lost_lease_stops_the_run(datacenter: Datacenter, monkeypatch: Any) -> None:
    Controller(datacenter, SITE).write()
    answer(monkeypatch, PhotonError("LeaseLost", "another run took over"))
    with pytest.raises(PhotonError) as caught:
        Controller(datacenter, MAINTENANCE).write()
    assert caught.value.code == "LeaseLost"


def test_an_unreachable_endpoint_fails_its_hosts(datacenter: Datacenter, monkeypatch: Any) -> None:
    Controller(datacenter, SITE).write()

    def session(self: Any, endpoint: Any) -> Any:
        raise PhotonError("EndpointUnreachable", "no answer")

    monkeypatch.setattr(GivenContext, "session", session)
    assert failures(Controller(datacenter, MAINTENANCE).write()) == {"esx01": "EndpointUnreachable"}
    assert datacenter.store.snapshot().open_tasks == []
