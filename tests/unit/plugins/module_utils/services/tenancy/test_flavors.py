# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavors: planned, applied to a real CloudStore, planned again."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

FAST = "photon_flavors: [{name: fast, kind: vm, cost: {vm.cpu: 2, vm.memory: 4 GB}}]"
NO_FAST = "photon_flavors: [{name: fast, kind: vm, state: absent}]"
NOBODY = Actor("dan@photon")


def flavor(platform, kind: str = "vm", name: str = "fast") -> Document | None:
    return platform.state().find(entities.FLAVOR, kind, name)


def vm(flavor_id: str, disk_flavor: str = "") -> Document:
    return Document(
        entities.VM,
        "web-01",
        "some-project",
        state="STOPPED",
        body={"flavor": flavor_id, "disks": [{"name": "boot-disk", "flavor": disk_flavor}]},
    )


@pytest.mark.parametrize(
    ("kind", "cost"),
    [
        ("vm", "{vm.cpu: 2, vm.memory: 4 GB}"),
        ("ephemeral-disk", "{ephemeral-disk.cost: 1.5}"),
        ("persistent-disk", "{persistent-disk.cost: 1}"),
    ],
)
def test_flavor_of_each_kind_lives(platform, kind: str, cost: str) -> None:
    text = f"photon_flavors: [{{name: own, kind: {kind}, cost: {cost}}}]"
    assert platform.changes(text) == [("create", f"{kind}/own")]
    assert platform.changes(text) == []
    assert flavor(platform, kind, "own").state == "READY"
    assert platform.changes(f"photon_flavors: [{{name: own, kind: {kind}, state: absent}}]") == [
        ("delete", f"{kind}/own")
    ]
    assert platform.store.snapshot().documents == []


def test_cost_is_kept_in_base_units(platform) -> None:
    platform.apply(FAST)
    assert flavor(platform).body["cost"] == {"vm.cpu": [2, "COUNT"], "vm.memory": [4 << 30, "GB"]}


def test_unused_flavor_changes(platform) -> None:
    platform.apply(FAST)
    plan = platform.apply(FAST.replace("vm.cpu: 2", "vm.cpu: 4"))
    assert plan.actions[0].before["cost"]["vm.cpu"] == "2"
    assert flavor(platform).body["cost"]["vm.cpu"] == [4, "COUNT"]


@pytest.mark.parametrize("as_disk", [False, True])
def test_flavor_in_use_is_pending_and_goes_with_its_last_user(platform, as_disk: bool) -> None:
    platform.apply(FAST)
    used = flavor(platform).id
    user = vm("other", used) if as_disk else vm(used)
    platform.put(user)
    assert platform.changes(NO_FAST) == [("update", "vm/fast")]
    assert flavor(platform).state == "PENDING_DELETE"
    assert platform.changes(NO_FAST) == []
    platform.remove(user)
    assert platform.plan("photon_flavors: []", NOBODY).plan.actions == []  # it is left to a run of an administrator
    assert platform.changes("photon_flavors: []") == [("delete", "vm/fast")]


def test_flavor_in_use_keeps_its_cost(platform) -> None:
    platform.apply(FAST)
    platform.put(vm(flavor(platform).id))
    assert platform.refusals(FAST.replace("vm.cpu: 2", "vm.cpu: 4")) == {"vm/fast": "FlavorInUse"}


def test_pending_flavor_that_is_declared_again(platform) -> None:
    platform.apply(FAST)
    platform.put(vm(flavor(platform).id))
    platform.apply(NO_FAST)
    assert platform.changes(FAST) == [("update", "vm/fast")]
    assert flavor(platform).state == "READY"


def test_new_flavor_needs_a_cost(platform) -> None:
    plan = platform.plan_items("flavor", [{"name": "x", "kind": "vm"}]).plan
    assert [f.error.code for f in plan.failures] == ["InvalidFlavorSpecification"]
    assert plan.actions == []


def test_flavors_are_the_administrators(platform) -> None:
    assert platform.refusals(FAST, NOBODY) == {"vm/fast": "AccessForbidden"}
    platform.apply(FAST)
    assert platform.refusals(FAST, NOBODY) == {}
    assert platform.refusals(NO_FAST, NOBODY) == {"vm/fast": "AccessForbidden"}


def test_shipped_flavors_come_once(platform) -> None:
    platform.shipped = True
    plan = platform.apply("photon_flavors: []")
    assert len(plan.actions) == 18
    assert {action.document.managed_by for action in plan.actions} == {"shipped"}
    platform.apply("photon_flavors: [{name: core-10, kind: vm, state: absent}]")
    assert platform.changes("photon_flavors: []") == []


def test_shipped_flavors_are_left_to_a_run_of_an_administrator(platform) -> None:
    platform.shipped = True
    assert platform.plan("photon_flavors: []", NOBODY).plan.actions == []


def test_a_declared_flavor_replaces_the_shipped_one_of_its_name(platform) -> None:
    platform.shipped = True
    text = "photon_flavors: [{name: core-10, kind: vm, cost: {vm.cpu: 3, vm.memory: 4 GB}}]"
    platform.apply(text)
    assert flavor(platform, "vm", "core-10").body["cost"] == {"vm.cpu": [3, "COUNT"], "vm.memory": [4 << 30, "GB"]}
    assert platform.changes(text) == []


def test_names_are_unique_per_kind(platform) -> None:
    assert (
        len(
            platform.changes(
                "photon_flavors: [{name: a, kind: ephemeral, cost: {x: 1}}, {name: a, kind: persistent, cost: {x: 1}}]"
            )
        )
        == 2
    )


def test_a_flavor_that_a_vm_took_after_the_plan_is_kept(platform) -> None:
    platform.apply(FAST)
    planning = platform.plan(NO_FAST)
    platform.put(vm(flavor(platform).id))
    plan = platform.write(planning)
    assert [(f.name, f.error.code) for f in plan.failures] == [("vm/fast", "ContainerNotEmpty")]
    assert plan.actions[0].outcome.changed is False
    assert flavor(platform) is not None


def test_a_flavor_that_changed_after_the_plan_is_kept(platform) -> None:
    platform.apply(FAST)
    planning = platform.plan(NO_FAST)
    platform.apply(FAST.replace("vm.cpu: 2", "vm.cpu: 4"))
    with pytest.raises(PhotonError) as caught:
        platform.write(planning)
    assert caught.value.code == "StaleVersion"
    assert flavor(platform) is not None


def test_a_storage_policy_changes_while_the_flavor_is_used(platform) -> None:
    text = "photon_flavors: [{name: fast, kind: ephemeral-disk, cost: {ephemeral-disk.cost: 1}, storage_policy: %s}]"
    platform.changes(text % "gold")
    assert flavor(platform, "ephemeral-disk").body["storage_policy"] == "gold"
    used = flavor(platform, "ephemeral-disk").id
    platform.store.run(lambda tx: tx.insert([vm("some-flavor", used)]))
    assert platform.changes(text % "silver") == [("update", "ephemeral-disk/fast")]
    assert platform.changes(text % "silver") == []
    assert platform.changes(text % "''") == [("update", "ephemeral-disk/fast")]
    assert "storage_policy" not in flavor(platform, "ephemeral-disk").body
