# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints, hosts and datastores: what a plan makes of a declaration and of what the endpoints show."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities, states
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.fleet.record import effective_state

from tests.support.datacenter import changes, failures

SITE = """
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}, {name: b}]
photon_hosts:
  - {name: esx01, endpoint: vc1, zone: a, rack: r1, tags: [gpu], usage_tags: [CLOUD, MGMT], metadata: {owner: lab}}
  - {name: esx02, endpoint: vc1, zone: b}
"""


def host(datacenter, name: str = "esx01"):
    return datacenter.find(entities.HOST, name)


def test_hosts_are_taken_in_with_what_they_have(datacenter) -> None:
    plan = datacenter.apply(SITE)
    assert failures(plan) == {}
    assert changes(plan, entities.HOST, entities.ENDPOINT) == [
        ("create", "vc1"),
        ("create", "esx01"),
        ("create", "esx02"),
    ]
    document = host(datacenter)
    assert document.state == "READY"
    assert {key: document.body[key] for key in ("rack", "tags", "usage_tags", "metadata")} == {
        "rack": "r1",
        "tags": ["gpu"],
        "usage_tags": ["CLOUD", "MGMT"],
        "metadata": {"owner": "lab"},
    }
    assert (document.observed["vcpus"], document.observed["memory"]) == (8, 64 << 30)
    assert {datacenter.by_id(i).name for i in document.observed["datastores"]} == {"local", "shared"}
    assert changes(datacenter.apply(SITE)) == []


def test_datastores_have_their_type(datacenter) -> None:
    datacenter.apply(SITE)
    assert datacenter.find(entities.DATASTORE, "vc1/local").observed["type"] == "LOCAL_VMFS"
    assert datacenter.find(entities.DATASTORE, "vc1/shared").observed["type"] == "SHARED_VMFS"


def test_only_allowed_datastores_are_used(datacenter) -> None:
    datacenter.apply(SITE)
    datacenter.items("host", [{"name": "esx01", "allowed_datastores": ["shared"]}])
    assert [datacenter.by_id(i).name for i in host(datacenter).observed["datastores"]] == ["shared"]


def test_usage_tags_are_known_ones(datacenter) -> None:
    for tags in ([], ["cloud"], ["CLOUD", "OTHER"]):
        with pytest.raises(PhotonError) as caught:
            datacenter.items("host", [{"name": "esx01", "endpoint": "vc1", "usage_tags": tags}])
        assert caught.value.code == "SpecInvalid"


def test_zone_is_set_once(datacenter) -> None:
    datacenter.apply(SITE)
    plan = datacenter.items("host", [{"name": "esx01", "zone": "b"}])
    assert failures(plan) == {"esx01": "HostAvailabilityZoneAlreadySet"}
    assert failures(datacenter.items("host", [{"name": "esx01", "zone": "a"}])) == {}


def test_zone_can_be_set_later(datacenter) -> None:
    datacenter.apply(SITE.replace("zone: b", "rack: r2"))
    datacenter.items("host", [{"name": "esx02", "zone": "b"}])
    assert datacenter.by_id(host(datacenter, "esx02").body["zone"]).name == "b"


def test_zone_that_is_not_ready_takes_no_hosts(datacenter) -> None:
    datacenter.apply(SITE.replace("zone: b", "rack: r2"))
    datacenter.items("zone", [{"name": "a", "state": "absent"}])
    assert datacenter.find(entities.ZONE, "a").state == "PENDING_DELETE"
    plan = datacenter.items("host", [{"name": "esx02", "zone": "a"}])
    assert failures(plan) == {"esx02": "InvalidAvailabilityZoneState"}


def test_one_host_under_two_names(datacenter) -> None:
    datacenter.apply(SITE)
    plan = datacenter.items("host", [{"name": "other", "endpoint": "vc1", "address": "esx01"}])
    assert failures(plan) == {"other": "DuplicateHost"}


def test_one_address_for_two_endpoints(datacenter) -> None:
    datacenter.apply(SITE)
    datacenter.endpoint("vc2")
    plan = datacenter.apply("photon_endpoints: [{name: vc2, address: vc1.example.org}]")
    assert failures(plan) == {"vc2": "DuplicateHost"}


def test_host_that_the_endpoint_does_not_have(datacenter) -> None:
    plan = datacenter.apply(SITE.replace("name: esx02", "name: esx09"))
    assert failures(plan) == {"esx09": "HostNotFound"}
    assert host(datacenter).state == "READY"


@pytest.mark.parametrize("code", ["InvalidLoginCredentials", "EndpointUnreachable", "EndpointCertificateError"])
def test_endpoint_that_cannot_be_read(datacenter, code: str) -> None:
    datacenter.endpoints["vc1"] = PhotonError(code, "no")
    plan = datacenter.apply(SITE, whole=True)
    assert failures(plan) == {"vc1": code, "esx01": "DependencyFailed", "esx02": "DependencyFailed"}
    assert plan.of(entities.ZONE, "create")


def test_suspend_and_resume(datacenter) -> None:
    datacenter.apply(SITE)
    plan = datacenter.items("host", [{"name": "esx01", "state": "suspended"}])
    assert plan.of(entities.HOST)[0].task is None  # nothing is done in vSphere
    assert host(datacenter).state == "SUSPENDED"
    assert changes(datacenter.items("host", [{"name": "esx01", "state": "suspended"}])) == []
    datacenter.items("host", [{"name": "esx01", "state": "ready"}])
    assert host(datacenter).state == "READY"


def test_maintenance_and_back(datacenter) -> None:
    datacenter.apply(SITE)
    plan = datacenter.items("host", [{"name": "esx01", "state": "maintenance"}])
    assert [step.operation for step in plan.of(entities.HOST)[0].task.steps] == ["ENTER_MAINTENANCE_MODE"]
    datacenter.endpoints["vc1"].hosts["host-esx01"].in_maintenance = True
    plan = datacenter.items("host", [{"name": "esx01", "state": "ready"}])
    assert [step.operation for step in plan.of(entities.HOST)[0].task.steps] == ["EXIT_MAINTENANCE_MODE"]


def test_host_with_vms_does_not_enter_maintenance(datacenter) -> None:
    datacenter.apply(SITE)
    datacenter.vm("vc1", "foreign", "someone-elses", "host-esx01", "STARTED")
    plan = datacenter.items("host", [{"name": "esx01", "state": "maintenance"}])
    assert failures(plan) == {"esx01": "HostHasVms"}
    assert failures(datacenter.items("host", [{"name": "esx01", "state": "suspended"}])) == {}


def test_host_out_of_reach_has_no_way_into_maintenance(datacenter) -> None:
    datacenter.apply(SITE)
    datacenter.endpoints["vc1"].hosts["host-esx01"].connection_state = "notResponding"
    plan = datacenter.items("host", [{"name": "esx01", "state": "maintenance"}])
    assert failures(plan) == {"esx01": "InvalidHostState"}


@pytest.mark.parametrize(("state", "code"), [("ready", "InvalidHostState"), ("suspended", "InvalidHostState")])
def test_host_is_deleted_from_maintenance(datacenter, state: str, code: str) -> None:
    datacenter.apply(SITE)
    datacenter.items("host", [{"name": "esx01", "state": state}])
    assert failures(datacenter.items("host", [{"name": "esx01", "state": "absent"}])) == {"esx01": code}
    datacenter.endpoints["vc1"].hosts["host-esx01"].in_maintenance = True
    assert changes(datacenter.items("host", [{"name": "esx01", "state": "absent"}]), entities.HOST) == [
        ("delete", "esx01")
    ]


def test_maintenance_by_hand_is_seen_and_not_undone(datacenter) -> None:
    datacenter.apply(SITE)
    datacenter.endpoints["vc1"].hosts["host-esx01"].in_maintenance = True
    assert changes(datacenter.apply(SITE), entities.HOST) == []
    assert effective_state(host(datacenter)) == "MAINTENANCE"


def test_endpoint_with_hosts_stays(datacenter) -> None:
    datacenter.apply(SITE)
    plan = datacenter.apply("photon_endpoints: [{name: vc1, state: absent}]")
    assert failures(plan) == {"vc1": "EndpointInUse"}


def test_image_datastores_only_grow(datacenter) -> None:
    datacenter.apply(SITE + "photon_image_datastores: [shared]")
    plan = datacenter.apply(SITE + "photon_image_datastores: [local]")
    assert failures(plan) == {"image_datastores": "InvalidImageDatastoreSet"}
    assert failures(datacenter.apply(SITE + "photon_image_datastores: [local, shared]")) == {}
    assert datacenter.find(entities.DEPLOYMENT, "deployment").body["image_datastores"] == ["local", "shared"]


def test_unknown_image_datastore(datacenter) -> None:
    plan = datacenter.apply(SITE + "photon_image_datastores: [elsewhere]")
    assert failures(plan) == {"image_datastores": "DatastoreNotFound"}


def test_datastore_is_kept_free_of_vms(datacenter) -> None:
    datacenter.apply(SITE + "photon_datastores: [{name: local, usable_for_vms: false, tags: [slow]}]")
    body = datacenter.find(entities.DATASTORE, "vc1/local").body
    assert (body["usable_for_vms"], body["tags"]) == (False, ["slow"])


def test_datastore_that_nobody_mounts(datacenter) -> None:
    plan = datacenter.apply(SITE + "photon_datastores: [{name: nowhere}]")
    assert failures(plan) == {"nowhere": "DatastoreNotFound"}


@pytest.mark.parametrize("kind", ["endpoint", "host"])
def test_the_fleet_is_the_administrators(datacenter, kind: str) -> None:
    datacenter.apply(SITE)
    plan = datacenter.apply(SITE.replace("tags: [gpu]", "tags: []"), Actor("dan@photon"))
    assert set(failures(plan).values()) == {"AccessForbidden"}
    assert kind in {failure.kind for failure in plan.failures}


def test_facts_are_refreshed_in_each_run(datacenter) -> None:
    datacenter.apply(SITE)
    row = datacenter.endpoints["vc1"].hosts["host-esx01"]
    row.memory, row.networks, row.datastores = 128 << 30, ["VM Network", "dmz"], ["datastore-shared"]
    assert changes(datacenter.apply(SITE)) == []
    seen = host(datacenter).observed
    assert (seen["memory"], seen["port_groups"]) == (128 << 30, ["VM Network", "dmz"])
    assert [datacenter.by_id(i).name for i in seen["datastores"]] == ["shared"]


def test_states_are_those_of_a_host(datacenter) -> None:
    datacenter.apply(SITE)
    row = datacenter.endpoints["vc1"].hosts["host-esx01"]
    seen = []
    for connection, maintenance in (("connected", False), ("connected", True), ("notResponding", False)):
        row.connection_state, row.in_maintenance = connection, maintenance
        datacenter.apply(SITE)
        seen.append(effective_state(host(datacenter)))
    assert seen == ["READY", "MAINTENANCE", "ERROR"]
    assert set(seen) <= set(states.STATES[entities.HOST])


@pytest.mark.parametrize("facts", [{"power": "STOPPED"}, {"power": "SUSPENDED"}, {"power": "STARTED", "agent": True}])
def test_vms_that_do_not_run_and_agents_do_not_hinder_maintenance(datacenter, facts: dict) -> None:
    datacenter.apply(SITE)
    datacenter.vm("vc1", "some-vm", "uuid-1", "host-esx01", **facts)
    assert failures(datacenter.items("host", [{"name": "esx01", "state": "maintenance"}])) == {}


def moved_vm(datacenter, **observed) -> None:
    """A VM that is recorded on esx01."""
    vm = entities.Document(
        entities.VM,
        "web-1",
        "project",
        id="uuid-1",
        state="STOPPED",
        body={"flavor": "f", "image": "i", "vcpus": 1, "memory": 1 << 30, "cost": {}, "disks": []},
        observed={"endpoint": host(datacenter).body["endpoint"], "host": host(datacenter).id, **observed},
    )
    datacenter.documents.append(vm)


def test_a_vm_that_moved_to_an_undeclared_host_does_not_keep_its_old_one(datacenter) -> None:
    datacenter.apply(SITE)
    moved_vm(datacenter)
    datacenter.endpoints["vc1"].hosts["host-esx01"].in_maintenance = True
    datacenter.vm("vc1", "web-1", "uuid-1", "host-esx01")
    planned = datacenter.plan("photon_hosts: [{name: esx01, state: absent}]")
    assert failures(planned.plan) == {"esx01": "HostHasVms"}
    datacenter.endpoints["vc1"].vms["vm-uuid-1"].host = "host-undeclared"
    planned = datacenter.plan("photon_hosts: [{name: esx01, state: absent}]")
    assert changes(planned.plan, entities.HOST) == [("delete", "esx01")]


def test_a_disconnected_host_gives_a_warning(datacenter) -> None:
    datacenter.apply(SITE)
    datacenter.endpoints["vc1"].hosts["host-esx01"].connection_state = "disconnected"
    plan = datacenter.apply(SITE)
    assert (failures(plan), changes(plan)) == ({}, [])
    assert [warning.partition(":")[0] for warning in plan.warnings] == ["host esx01 is disconnected on endpoint vc1"]
    assert effective_state(host(datacenter)) == "ERROR"


def test_a_host_that_left_its_endpoint_keeps_its_record(datacenter) -> None:
    datacenter.apply(SITE)
    del datacenter.endpoints["vc1"].hosts["host-esx01"]
    assert failures(datacenter.apply(SITE)) == {"esx01": "HostNotFound"}
    assert (host(datacenter).observed["connected"], host(datacenter).observed["memory"]) == (False, 64 << 30)


def test_a_host_that_left_with_vms_goes_when_it_is_declared_absent(datacenter) -> None:
    datacenter.apply(SITE)
    moved_vm(datacenter)
    del datacenter.endpoints["vc1"].hosts["host-esx01"]
    plan = datacenter.plan("photon_hosts: [{name: esx01, state: absent}]").plan
    assert changes(plan, entities.HOST) == [("delete", "esx01")]
    assert [warning for warning in plan.warnings if "left endpoint vc1 with 1 VMs" in warning]


def test_a_renamed_host_is_found_by_its_moid(datacenter) -> None:
    datacenter.apply(SITE)
    row = datacenter.endpoints["vc1"].hosts["host-esx01"]
    row.name = "esx01.new"
    assert (failures(datacenter.apply(SITE)), host(datacenter).observed["moid"]) == ({}, "host-esx01")
    row.hardware_uuid = "one"
    datacenter.apply(SITE)
    row.hardware_uuid = "another"
    assert failures(datacenter.apply(SITE)) == {"esx01": "HostNotFound"}


def test_maintenance_that_was_left_by_hand_stays_without_vms(datacenter) -> None:
    datacenter.apply(SITE)
    row = datacenter.endpoints["vc1"].hosts["host-esx01"]
    row.in_maintenance = True
    assert changes(datacenter.items("host", [{"name": "esx01", "state": "maintenance"}])) == [("update", "esx01")]
    row.in_maintenance = False
    datacenter.items("host", [{"name": "esx01"}])
    assert effective_state(host(datacenter)) == "SUSPENDED"
    datacenter.items("host", [{"name": "esx01", "state": "ready"}])
    assert effective_state(host(datacenter)) == "READY"


def test_an_endpoint_with_vms_stays(datacenter) -> None:
    datacenter.apply(SITE)
    moved_vm(datacenter, host=None)
    for row in datacenter.endpoints["vc1"].hosts.values():
        row.in_maintenance = True
    gone = "photon_hosts: [{name: esx01, state: absent}, {name: esx02, state: absent}]\n"
    plan = datacenter.plan(gone + "photon_endpoints: [{name: vc1, state: absent}]").plan
    assert failures(plan) == {"vc1": "EndpointInUse"}
    datacenter.documents = [d for d in datacenter.documents if d.kind != entities.VM]
    plan = datacenter.plan(gone + "photon_endpoints: [{name: vc1, state: absent}]").plan
    assert (failures(plan), len(plan.of(entities.DATASTORE, "delete"))) == ({}, 2)


def test_a_host_moves_to_another_endpoint_and_the_old_one_goes(datacenter) -> None:
    datacenter.endpoint("esx9", "esxi")
    datacenter.host("esx9", "esx09", [])
    esxi = "photon_endpoints: [{name: esx9, address: esx9.example.org, kind: esxi}]\n"
    datacenter.apply(esxi + "photon_hosts: [{name: esx09, endpoint: esx9}]")
    before = host(datacenter, "esx09")
    datacenter.host("vc1", "esx09", ["shared"])
    datacenter.apply(SITE)
    plan = datacenter.apply(
        "photon_endpoints: [{name: esx9, state: absent}]\nphoton_hosts: [{name: esx09, endpoint: vc1}]"
    )
    assert failures(plan) == {}
    after = host(datacenter, "esx09")
    assert (after.id, datacenter.by_id(after.body["endpoint"]).name) == (before.id, "vc1")
    assert [datacenter.by_id(i).name for i in after.observed["datastores"]] == ["shared"]
    assert plan.of(entities.ENDPOINT, "delete")


def test_a_vcenter_is_not_declared_twice(datacenter) -> None:
    datacenter.endpoints["vc1"].instance_uuid = "uuid-of-vc1"
    datacenter.apply(SITE)
    assert datacenter.find(entities.ENDPOINT, "vc1").observed == {"instance_uuid": "uuid-of-vc1"}
    datacenter.endpoint("vc2").instance_uuid = "uuid-of-vc1"
    datacenter.endpoints["vc1"] = PhotonError("EndpointUnreachable", "no answer")
    plan = datacenter.apply("photon_endpoints: [{name: vc2, address: 127.0.0.1}]", whole=True)
    assert failures(plan)["vc2"] == "DuplicateHost"
