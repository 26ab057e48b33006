# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of what a site made and no longer declares."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities

from tests.support.datacenter import changes, failures

FLEET = """
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}]
photon_hosts: [{name: esx01, endpoint: vc1, zone: a}, {name: esx02, endpoint: vc1}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
"""
TENANT = FLEET + "photon_tenants: [{name: acme, projects: [{name: web, vms: [%s]}]}]"
VM = "{name: 'web-[1:3]', flavor: core-100, image: debian, boot_disk_flavor: core-100}"


@pytest.fixture
def cloud(datacenter):
    assert failures(datacenter.apply(TENANT % VM, whole=True)) == {}
    return datacenter


def test_left_alone_and_reported(cloud) -> None:
    plan = cloud.apply(TENANT % "", whole=True)
    assert changes(plan) == []
    [warning] = plan.warnings
    assert "vm acme/web/web-[1:3];" in warning
    assert "photon_prune: delete" in warning


def test_deleted_where_that_is_asked(cloud) -> None:
    plan = cloud.apply(FLEET, whole=True, prune="delete")
    assert changes(plan) == [
        ("delete", "acme/web/web-1"),
        ("delete", "acme/web/web-2"),
        ("delete", "acme/web/web-3"),
        ("delete", "acme/web"),
        ("delete", "acme"),
    ]
    assert failures(cloud.apply(FLEET, whole=True, prune="delete")) == {}


def test_never_more_than_allowed(cloud) -> None:
    plan = cloud.apply(FLEET, whole=True, prune="delete", max_deletes=4)
    assert [failure.error.code for failure in plan.failures] == ["TooManyDeletes"]
    assert changes(plan) == []


@pytest.mark.parametrize(("limit", "pruned"), [(3, ["web-1", "web-2"]), (2, [])])
def test_what_is_declared_absent_counts_too(cloud, limit: int, pruned: list[str]) -> None:
    plan = cloud.apply(TENANT % "{name: web-3, state: absent}", whole=True, prune="delete", max_deletes=limit)
    deleted = [name for _verb, name in changes(plan)]
    assert deleted == ["acme/web/web-3", *(f"acme/web/{name}" for name in pruned)]
    assert [failure.error.code for failure in plan.failures] == ([] if pruned else ["TooManyDeletes"])


def test_what_already_waits_for_its_last_user_is_not_reported_again(cloud) -> None:
    """An image in use is PENDING_DELETE, and goes with its last VM."""
    gone = (TENANT % VM).replace("photon_images: [{name: debian, file: debian.ova, replication: EAGER}]", "")
    plan = cloud.apply(gone, whole=True, prune="delete")
    assert changes(plan) == [("update", "debian")]
    plan = cloud.apply(gone, whole=True, prune="delete", max_deletes=0)
    assert (changes(plan), plan.failures, plan.warnings) == ([], [], [])


def test_protected_things_stay(cloud) -> None:
    cloud.apply(TENANT % VM.replace("}", ", deletion_protection: true}"), whole=True)
    plan = cloud.apply(FLEET, whole=True, prune="delete")
    assert {f.error.code for f in plan.failures} == {"DeletionProtected", "ContainerNotEmpty"}
    assert changes(plan) == []


def test_what_others_made_stays(cloud) -> None:
    cloud.apply("photon_site: other\nphoton_tenants: [{name: theirs}]")
    foreign = next(i for i, d in enumerate(cloud.documents) if d.name == "theirs")
    cloud.documents[foreign].managed_by = "inventory:other"
    plan = cloud.apply(TENANT % VM, whole=True, prune="delete")
    assert changes(plan) == []


def test_a_part_of_a_site_prunes_nothing(cloud) -> None:
    assert changes(cloud.apply("photon_zones: [{name: a}]", prune="delete")) == []


def test_a_running_vm_is_not_pruned(cloud) -> None:
    cloud.row("acme/web/web-2").power_state = "poweredOn"
    plan = cloud.apply(TENANT % "", whole=True, prune="delete")
    assert failures(plan) == {"acme/web/web-2": "InvalidVmState"}
    assert len(plan.of(entities.VM, "delete")) == 2
