# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Datastores are recognized by URL and moid: renamed, swapped, replaced and ambiguous ones."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.services.fleet.image_datastores import image_datastores_of
from ansible_collections.photon.platform.plugins.module_utils.services.fleet.record import effective_state
from ansible_collections.photon.platform.plugins.module_utils.services.images.record import new_copy
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState

from tests.support.datacenter import Datacenter, changes, failures

HOSTS = """
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_hosts: [{name: esx01, endpoint: vc1}, {name: esx02, endpoint: vc1}]
"""
SITE = HOSTS + "photon_datastores: [{name: shared, tags: [fast]}]\nphoton_image_datastores: [shared]\n"
RENAMED = SITE.replace("shared", "SAN 01")


@pytest.fixture
def cloud(datacenter: Datacenter) -> Datacenter:
    assert failures(datacenter.apply(SITE)) == {}
    return datacenter


def rename(cloud: Datacenter, old: str, new: str) -> None:
    cloud.endpoints["vc1"].datastores[f"datastore-{old}"].name = new


def names(cloud: Datacenter) -> dict[str, str]:
    """{moid: recorded name}."""
    return {d.observed["moid"]: d.name for d in cloud.documents if d.kind == entities.DATASTORE}


def image_stores(cloud: Datacenter) -> list[str]:
    return [store.name for store in image_datastores_of(CurrentState(cloud.documents))]


def test_renamed_datastore_keeps_its_record(cloud: Datacenter) -> None:
    before = cloud.find(entities.DATASTORE, "vc1/shared")
    rename(cloud, "shared", "SAN 01")
    plan = cloud.apply(HOSTS)
    [action] = [a for a in plan.of(entities.DATASTORE) if a.verb == "update"]
    assert (action.name, action.reason) == ("vc1/SAN 01", "renamed in vSphere")
    assert (action.before, action.after) == ({"name": "shared"}, {"name": "SAN 01"})
    after = cloud.find(entities.DATASTORE, "vc1/SAN 01")
    assert (after.id, after.name_key) == (before.id, f"datastore/{before.scope}/SAN 01")
    assert after.body["tags"] == ["fast"]
    assert image_stores(cloud) == ["SAN 01"]
    assert changes(cloud.apply(RENAMED)) == []
    assert image_stores(cloud) == ["SAN 01"]


def test_items_with_the_old_name_fail_with_the_new_one_in_every_run(cloud: Datacenter) -> None:
    rename(cloud, "shared", "SAN 01")
    for _run in range(2):
        plan = cloud.apply(SITE)
        assert failures(plan) == {"shared": "DatastoreNotFound", "image_datastores": "DatastoreNotFound"}
        assert all("was renamed to 'SAN 01' in vSphere" in failure.error.message for failure in plan.failures)


def test_allowed_datastores_follow_a_new_name(datacenter: Datacenter) -> None:
    text = HOSTS.replace("{name: esx01,", "{name: esx01, allowed_datastores: [shared],")
    datacenter.apply(text)
    rename(datacenter, "shared", "SAN 01")
    plan = datacenter.apply(text)
    assert [warning for warning in plan.warnings if "'shared', which was renamed to 'SAN 01'" in warning]
    host = datacenter.find(entities.HOST, "esx01")
    assert [datacenter.by_id(i).name for i in host.observed["datastores"]] == ["SAN 01"]


def test_a_datastore_with_a_new_signature_and_a_new_name_keeps_its_record(cloud: Datacenter) -> None:
    """A volume that was signed again has another URL under the same moid."""
    before = cloud.find(entities.DATASTORE, "vc1/shared")
    rename(cloud, "shared", "SAN 01")
    cloud.endpoints["vc1"].datastores["datastore-shared"].url = "ds:///signed-again/"
    cloud.apply(HOSTS)
    assert cloud.find(entities.DATASTORE, "vc1/SAN 01").id == before.id


def test_the_fewest_datastores_that_serve_all_hosts_keep_images(datacenter: Datacenter) -> None:
    """The second largest one serves no host that the largest one does not."""
    mounts = {"abc": ["a", "b", "c"], "bc": ["b", "c"], "cd": ["c", "d"]}
    for name in mounts:
        datacenter.datastore("vc1", name)
    for host in ("a", "b", "c", "d"):
        datacenter.host("vc1", host, [name for name, hosts in mounts.items() if host in hosts])
    hosts = ", ".join(f"{{name: {name}, endpoint: vc1}}" for name in ("a", "b", "c", "d"))
    datacenter.apply(f"photon_endpoints: [{{name: vc1, address: vc1.example.org}}]\nphoton_hosts: [{hosts}]\n")
    assert sorted(image_stores(datacenter)) == ["abc", "cd"]


@pytest.mark.parametrize("change", ["moid", "url"])
def test_one_half_of_the_identity_is_enough(cloud: Datacenter, change: str) -> None:
    before = cloud.find(entities.DATASTORE, "vc1/shared")
    inventory = cloud.endpoints["vc1"]
    row = inventory.datastores["datastore-shared"]
    if change == "moid":
        del inventory.datastores[row.moid]
        row.moid = "datastore-99"
        inventory.datastores[row.moid] = row
        for host in inventory.hosts.values():
            host.datastores = [m.replace("datastore-shared", "datastore-99") for m in host.datastores]
    else:
        row.url = "ds:///another-signature/"
    plan = cloud.apply(SITE)
    assert (failures(plan), changes(plan)) == ({}, [])
    after = cloud.find(entities.DATASTORE, "vc1/shared")
    assert (after.id, after.observed[change]) == (before.id, getattr(row, change))
    assert after.id in cloud.find(entities.HOST, "esx02").observed["datastores"]


def test_the_url_decides_where_another_vcenter_uses_the_moids_otherwise(cloud: Datacenter) -> None:
    ids = {name: cloud.find(entities.DATASTORE, f"vc1/{name}").id for name in ("shared", "local")}
    rows = cloud.endpoints["vc1"].datastores
    shared, local = rows["datastore-shared"], rows["datastore-local"]
    shared.moid, local.moid = local.moid, shared.moid
    rows[shared.moid], rows[local.moid] = shared, local
    for host in cloud.endpoints["vc1"].hosts.values():
        host.datastores = list(rows)
    assert changes(cloud.apply(SITE)) == []
    assert {name: cloud.find(entities.DATASTORE, f"vc1/{name}").id for name in ids} == ids


def test_swapped_names_are_recorded_by_two_runs(cloud: Datacenter) -> None:
    rename(cloud, "shared", "local")
    rename(cloud, "local", "shared")
    first = cloud.plan(HOSTS).plan
    written = [a.document for a in first.of(entities.DATASTORE, "update")]
    keys = {d.name_key for d in cloud.documents if d.kind == entities.DATASTORE}
    assert len(written) == 2
    assert not keys & {document.name_key for document in written}, "no name that another record has is taken"
    cloud.documents = [next((w for w in written if w.id == d.id), d) for d in cloud.documents]
    cloud.apply(HOSTS)
    assert names(cloud) == {"datastore-shared": "local", "datastore-local": "shared"}
    assert changes(cloud.apply(HOSTS), entities.DATASTORE) == []


def test_equal_names_are_refused(cloud: Datacenter) -> None:
    twin = cloud.datastore("vc1", "twin")
    twin.name = "shared"
    cloud.endpoints["vc1"].hosts["host-esx02"].datastores.append(twin.moid)
    plan = cloud.apply(SITE)
    [failure] = plan.failures
    assert (failure.name, failure.error.code) == ("vc1/shared", "InvalidEntity")
    assert "2 datastores named 'shared' (datastore-shared, datastore-twin)" in failure.error.message
    assert names(cloud) == {"datastore-shared": "shared", "datastore-local": "local"}
    assert effective_state(cloud.find(entities.DATASTORE, "vc1/shared")) == "ERROR"
    plan = cloud.apply(HOSTS)
    assert failures(plan) == {}
    assert [warning for warning in plan.warnings if "datastore vc1/shared is not used" in warning]


def replace_shared(cloud: Datacenter) -> None:
    """Another datastore of the name takes the place of the shared one."""
    inventory = cloud.endpoints["vc1"]
    del inventory.datastores["datastore-shared"]
    row = cloud.datastore("vc1", "new")
    row.name = "shared"
    for host in inventory.hosts.values():
        host.datastores = ["datastore-new"]


def test_a_new_datastore_of_an_unused_ones_name_takes_its_record(cloud: Datacenter) -> None:
    before = cloud.find(entities.DATASTORE, "vc1/shared")
    replace_shared(cloud)
    assert failures(cloud.apply(SITE)) == {}
    after = cloud.find(entities.DATASTORE, "vc1/shared")
    assert (after.id, after.observed["moid"]) == (before.id, "datastore-new")


def test_a_new_datastore_is_not_taken_for_one_in_use(cloud: Datacenter) -> None:
    before = cloud.find(entities.DATASTORE, "vc1/shared")
    image = entities.Document(entities.IMAGE, "debian", body={"size": 1})
    cloud.documents += [image, new_copy(image, before)]
    replace_shared(cloud)
    plan = cloud.apply(SITE)
    assert failures(plan) == {"vc1/shared": "InvalidEntity"}
    after = cloud.find(entities.DATASTORE, "vc1/shared")
    assert (after.id, after.observed["moid"], effective_state(after)) == (before.id, "datastore-shared", "ERROR")


def test_others_runs_use_the_new_name_and_record_nothing(cloud: Datacenter) -> None:
    rename(cloud, "shared", "SAN 01")
    cloud.datastore("vc1", "extra")
    cloud.endpoints["vc1"].hosts["host-esx01"].datastores.append("datastore-extra")
    planned = cloud.plan("photon_datastores: []\nphoton_images: [{name: x, state: absent}]", Actor("dan@photon"))
    assert planned.plan.failures == []
    assert planned.plan.of(entities.DATASTORE, "create", "update") == []
    assert [d.name for d in planned.state.of(entities.DATASTORE)] == ["local", "SAN 01"]


def test_flagged_datastores_keep_images(datacenter: Datacenter) -> None:
    datacenter.apply(HOSTS + "photon_datastores: [{name: local, image: true}]")
    assert image_stores(datacenter) == ["local"]
    plan = datacenter.apply(HOSTS + "photon_datastores: [{name: local}]\nphoton_image_datastores: [shared]")
    assert failures(plan) == {"vc1/local": "InvalidImageDatastoreSet"}
    datacenter.apply(HOSTS + "photon_datastores: [{name: local}]\nphoton_image_datastores: [local, shared]")
    assert datacenter.find(entities.DATASTORE, "vc1/local").body["image"] is False
    assert sorted(image_stores(datacenter)) == ["local", "shared"]


def test_a_datastore_that_left_is_in_error(cloud: Datacenter) -> None:
    inventory = cloud.endpoints["vc1"]
    del inventory.datastores["datastore-local"]
    inventory.hosts["host-esx01"].datastores = ["datastore-shared"]
    assert changes(cloud.apply(SITE)) == []
    assert effective_state(cloud.find(entities.DATASTORE, "vc1/local")) == "ERROR"
