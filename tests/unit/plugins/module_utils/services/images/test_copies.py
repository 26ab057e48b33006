# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies as a plan: where they belong, their space, their states, and the copy that a new VM waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Task
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.images import recover
from ansible_collections.photon.platform.plugins.module_utils.services.images.copies import CopyImage, progress
from ansible_collections.photon.platform.plugins.module_utils.services.images.record import Copy, claim_of
from ansible_collections.photon.platform.plugins.module_utils.services.placement import scheduler_fleet
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState

from tests.support.datacenter import changes, failures

GB = 1 << 30
FLEET = r"""
photon_endpoints: [{name: vc1, address: vc1.example.org}, {name: vc2, address: vc2.example.org}]
photon_zones: [{name: a}]
photon_hosts:
  - {name: "esx[01:02]", endpoint: vc1, zone: a}
  - {name: "far[01:02]", endpoint: vc2, zone: a}
photon_image_datastores: [shared]
photon_tenants:
  - name: acme
    security_groups: ['photon\acme-admins']
    projects: [{name: web, security_groups: ['photon\web'], quota: {vm.count: 100}}]
"""
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}
USER = Actor("cat@photon", frozenset({r"photon\web"}))


def site(replication: str) -> str:
    return f"{FLEET}photon_images: [{{name: debian, file: debian.ova, replication: {replication}}}]\n"


@pytest.fixture
def cloud(datacenter):
    """Two vCenters: vc1 with shared and local (of esx01), vc2 with far and roomy."""
    datacenter.endpoint("vc2")
    for name in ("far", "roomy"):
        datacenter.datastore("vc2", name)
    for name in ("far01", "far02"):
        datacenter.host("vc2", name, ["far", "roomy"], hardware_uuid=name)
    return datacenter


def copies(cloud) -> dict[str, str]:
    """``{name: state}`` of all copies."""
    return {d.name: d.state for d in cloud.documents if d.kind == entities.IMAGE_COPY}


def state_of(cloud) -> CurrentState:
    """The current state with the endpoints as they are."""
    state = CurrentState(cloud.documents)
    for endpoint in state.of(entities.ENDPOINT):
        state.inventories[endpoint.id] = cloud.endpoints[endpoint.name]
    return state


def made(plan) -> list[CopyImage]:
    return plan.of_type(CopyImage)


def declare(cloud, name: str = "web-01", actor: Actor | None = None, **keys):
    return cloud.items("vm", [{"name": name, **VM, **keys}], *([actor] if actor else []))


# -- where copies belong ---------------------------------------------------------------------------------------------


def test_on_demand_seeds_the_image_datastores_and_eager_reaches_all_for_vms(cloud) -> None:
    assert failures(cloud.apply(site("ON_DEMAND"))) == {}
    assert copies(cloud) == {"vc1/shared": "READY"}
    plan = cloud.apply(site("EAGER"))
    assert failures(plan) == {}
    assert [name for _verb, name in changes(plan, entities.IMAGE_COPY)] == [
        "debian/vc1/local",
        "debian/vc2/far",
        "debian/vc2/roomy",
    ]
    assert set(copies(cloud).values()) == {"READY"}
    assert changes(cloud.apply(site("EAGER"))) == []


def test_eager_leaves_out_what_vms_may_not_use(cloud) -> None:
    kept = "photon_datastores: [{name: local, usable_for_vms: false}, {name: far, usable_for_vms: false}]\n"
    cloud.datastore("vc2", "unmounted")
    cloud.endpoints["vc2"].datastores["datastore-roomy"].accessible = False
    assert failures(cloud.apply(site("EAGER") + kept)) == {}
    assert copies(cloud) == {"vc1/shared": "READY"}


def test_an_image_datastore_gets_its_copy_though_no_vm_may_use_it(cloud) -> None:
    kept = "photon_datastores: [{name: shared, usable_for_vms: false}]\n"
    cloud.apply(site("ON_DEMAND") + kept)
    assert copies(cloud) == {"vc1/shared": "READY"}


def test_progress_counts_image_datastores_and_all(cloud) -> None:
    cloud.apply(site("ON_DEMAND"))
    state = state_of(cloud)
    image = cloud.find(entities.IMAGE, "debian")
    assert progress(image, state) == {"seedingProgress": "100.0%", "replicationProgress": "25.0%"}
    cloud.apply(site("EAGER"))
    assert progress(image, state_of(cloud)) == {"seedingProgress": "100.0%", "replicationProgress": "100.0%"}
    cloud._delete(Copy.of(cloud.find(entities.IMAGE_COPY, "debian/vc1/shared")).template_uuid)
    assert progress(image, state_of(cloud)) == {"seedingProgress": "0.0%", "replicationProgress": "75.0%"}


# -- space -----------------------------------------------------------------------------------------------------------


def test_a_copy_holds_the_bytes_of_its_disk(cloud) -> None:
    plan = cloud.apply(site("ON_DEMAND"))
    [action] = made(plan)
    size, store = cloud.find(entities.IMAGE, "debian").body["size"], cloud.find(entities.DATASTORE, "vc1/shared")
    assert action.claim.amounts == {store.id: {"space": size}}
    assert action.document.state == "CREATING"
    row = next(d for d in scheduler_fleet(state_of(cloud))["datastores"] if d["id"] == store.id)
    assert row["used"] == size


@pytest.mark.parametrize(("state", "path", "held"), [("CREATING", "", 7), ("READY", "[d] x", 7), ("ERROR", "", 0),
                                                     ("ERROR", "[d] x", 7)])  # fmt: skip
def test_a_failed_copy_that_left_nothing_holds_nothing(state: str, path: str, held: int) -> None:
    copy = Copy("c", "i", "d", state, 7, "t", path, "vm-1" if path else "")
    document = copy.write_to(Document(entities.IMAGE_COPY, "vc1/d", "i", id="c"))
    known = CurrentState([document, Document(entities.DATASTORE, "d", id="d")])
    assert claim_of(document, known).amounts == ({"d": {"space": held}} if held else {})


def test_a_full_datastore_fails_its_copy_alone(cloud) -> None:
    cloud.endpoints["vc1"].datastores["datastore-local"].free = 1000
    plan = cloud.apply(site("EAGER"))
    assert failures(plan) == {"debian/vc1/local": "NotEnoughDatastoreCapacity"}
    assert copies(cloud) == {"vc1/shared": "READY", "vc2/far": "READY", "vc2/roomy": "READY"}
    assert cloud.find(entities.IMAGE, "debian").state == "READY"


def test_an_image_that_fits_nowhere_is_not_recorded(cloud) -> None:
    cloud.endpoints["vc1"].datastores["datastore-shared"].free = 1000
    assert failures(cloud.apply(site("ON_DEMAND"))) == {"debian": "NotEnoughDatastoreCapacity"}
    assert not [d for d in cloud.documents if d.kind in (entities.IMAGE, entities.IMAGE_COPY)]


# -- copies on demand ------------------------------------------------------------------------------------------------


def test_fifty_vms_on_a_new_datastore_make_one_copy(cloud) -> None:
    cloud.endpoints["vc1"].hosts["host-esx01"].memory = 512 * GB
    cloud.apply(site("ON_DEMAND"))
    items = [{"name": "web-[01:50]", **VM, "zone": "a"}]
    cloud.endpoints["vc1"].datastores["datastore-shared"].free = 0  # all room is on "local"
    plan = cloud.items("vm", items)
    assert failures(plan) == {}
    [copy] = made(plan)
    local = cloud.find(entities.DATASTORE, "vc1/local")
    vms = plan.of(entities.VM)
    assert (copy.name, copy.on_demand, copy.reason) == ("debian/vc1/local", True, "needed by a new VM")
    assert copy.claim.amounts == {local.id: {"space": copy.copy.size}}
    assert len(vms) == len(copy.waiting) == 50
    assert {action.vm.boot_disk.datastore for action in vms} == {local.id}
    for action in vms:
        assert copy.id in action.needs
        assert [step.operation for step in action.task.steps] == ["RESERVE_RESOURCE", "COPY_IMAGE", "CREATE_VM"]
    assert made(declare(cloud, "web-51")) == []


def test_an_image_of_everybody_is_copied_for_a_project_s_user(cloud) -> None:
    cloud.apply(site("ON_DEMAND"))
    cloud.endpoints["vc1"].datastores["datastore-shared"].free = 0
    plan = declare(cloud, actor=USER)
    assert (failures(plan), len(made(plan))) == ({}, 1)


def test_an_endpoint_without_a_copy_needs_the_file(cloud) -> None:
    """A VM alone is placed where a copy or its source is; with the image's file declared it may go anywhere."""
    cloud.apply(site("ON_DEMAND"))
    for name in ("esx01", "esx02"):
        cloud.endpoints["vc1"].hosts[f"host-{name}"].in_maintenance = True
    plan = declare(cloud)
    assert set(failures(plan).values()) == {"NoSuchResource"}
    vms = "        vms: [{name: web-01, flavor: core-100, image: debian, boot_disk_flavor: core-100}]\n"
    project = FLEET.replace("    projects: [{name: web, security_groups: ['photon\\web'], quota: {vm.count: 100}}]\n",
                            "    projects:\n      - name: web\n" + vms)  # fmt: skip
    image = "photon_images: [{name: debian, file: debian.ova, replication: ON_DEMAND}]\n"
    plan = cloud.apply(project + image)
    assert failures(plan) == {}
    [copy] = made(plan)
    assert copy.file == "debian.ova"
    assert copy.name.startswith("debian/vc2/")


def test_a_new_vm_in_the_same_plan_uses_the_copy_that_the_image_gets(cloud) -> None:
    """It waits for no copy of its own."""
    text = site("EAGER").replace("quota: {vm.count: 100}", "quota: {vm.count: 100}, vms: [{name: w, flavor: core-100, "
                                 "image: debian, boot_disk_flavor: core-100}]")  # fmt: skip
    plan = cloud.apply(text)
    assert failures(plan) == {}
    assert len(made(plan)) == 4
    assert not any(copy.on_demand or copy.waiting for copy in made(plan))


# -- interrupted, failed and lost copies -----------------------------------------------------------------------------


def spoil(cloud, name: str, **changed: str) -> Document:
    document = cloud.find(entities.IMAGE_COPY, name)
    spoiled = replace(Copy.of(document), **changed).write_to(document)
    cloud.documents = [spoiled if d.id == document.id else d for d in cloud.documents]
    return spoiled


@pytest.mark.parametrize(("state", "reason"), [("ERROR", "it failed"), ("CREATING", "it was interrupted")])
def test_the_next_run_makes_what_is_missing_and_nothing_else(cloud, state: str, reason: str) -> None:
    cloud.apply(site("EAGER"))
    spoiled = spoil(cloud, "debian/vc2/far", state=state, path="", template_moid="")
    plan = cloud.apply(site("EAGER"))
    [copy] = made(plan)
    assert (copy.verb, copy.id, copy.reason) == ("update", spoiled.id, reason)
    assert copies(cloud)["vc2/far"] == "READY"


def test_a_copy_that_is_gone_is_made_again_for_the_vm_that_needs_it(cloud) -> None:
    cloud.apply(site("ON_DEMAND"))
    gone = cloud.find(entities.IMAGE_COPY, "debian/vc1/shared")
    cloud._delete(Copy.of(gone).template_uuid)
    text = site("ON_DEMAND")
    [copy] = made(cloud.apply(text))
    assert (copy.id, copy.reason) == (gone.id, "deleted in vSphere")


def test_a_copy_that_another_run_makes_is_waited_for(cloud) -> None:
    cloud.apply(site("ON_DEMAND"))
    spoiled = spoil(cloud, "debian/vc1/shared", state="CREATING", path="", template_moid="")
    snapshot = cloud._snapshot()
    snapshot.open_tasks = [Task("CREATE_IMAGE_COPY", entities.IMAGE_COPY, spoiled.id, run_id="other", state="STARTED")]
    snapshot.live_runs = {"other"}
    cloud._snapshot = lambda: snapshot
    planned = cloud.plan(site("ON_DEMAND"))
    assert planned.others == {"other"}
    assert made(planned.plan) == []


class Transaction:
    """Notes what recovery writes."""

    def __init__(self) -> None:
        self.settled: list[Document] = []
        self.claims: list = []
        self.buried: list[Document] = []

    def settle(self, documents) -> None:
        self.settled += documents

    def claim(self, claims, *, check: bool) -> None:
        assert not check
        self.claims += claims

    def bury(self, documents) -> None:
        self.buried += documents


def test_recovery_frees_a_copy_that_was_not_finished(cloud) -> None:
    cloud.apply(site("ON_DEMAND"))
    document = cloud.find(entities.IMAGE_COPY, "debian/vc1/shared")
    tx, task = Transaction(), Task("CREATE_IMAGE_COPY", entities.IMAGE_COPY, document.id)
    recover.recover_copy(tx, task, document, state_of(cloud))
    assert [(d.state, d.observed) for d in tx.settled] == [("ERROR", {})]
    assert [claim.amounts for claim in tx.claims] == [{}]


def test_recovery_buries_a_copy_only_when_its_template_is_gone(cloud) -> None:
    cloud.apply(site("ON_DEMAND"))
    document = cloud.find(entities.IMAGE_COPY, "debian/vc1/shared")
    task = Task("DELETE_IMAGE_COPY", entities.IMAGE_COPY, document.id)
    tx = Transaction()
    recover.recover_copy(tx, task, document, state_of(cloud))
    assert tx.buried == []
    cloud._delete(Copy.of(document).template_uuid)
    recover.recover_copy(tx, task, document, state_of(cloud))
    assert tx.buried == [document]
    unread = state_of(cloud)
    unread.inventories.clear()
    with pytest.raises(PhotonError, match="could not be read"):
        recover.recover_copy(Transaction(), task, document, unread)


def test_an_endpoint_s_copies_go_with_its_record(cloud) -> None:
    cloud.apply(site("EAGER"))
    gone = FLEET.replace(
        '  - {name: "far[01:02]", endpoint: vc2, zone: a}\n', '  - {name: "far[01:02]", state: absent}\n'
    )
    for row in cloud.endpoints["vc2"].hosts.values():
        row.in_maintenance = True
    assert failures(cloud.apply(FLEET)) == {}
    assert failures(cloud.apply(gone)) == {}
    plan = cloud.items("endpoint", [{"name": "vc2", "state": "absent"}])
    assert failures(plan) == {}
    assert copies(cloud) == {"vc1/shared": "READY", "vc1/local": "READY"}
