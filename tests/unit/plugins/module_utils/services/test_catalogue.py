# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flavors and zones: planned, applied to a real CloudStore, planned again."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM, Actor
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import check_items
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document, name_key
from ansible_collections.photon.platform.plugins.module_utils.services import flavors, tenancy_run
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Plan

FAST = "photon_flavors: [{name: fast, kind: vm, cost: {vm.cpu: 2, vm.memory: 4 GB}}]"
NO_FAST = "photon_flavors: [{name: fast, kind: vm, state: absent}]"
NOBODY = Actor("dan@photon")


def flavor(platform, kind: str = "vm", name: str = "fast") -> Document | None:
    return platform.world().find(entities.FLAVOR, kind, name)


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
    platform.store.run(lambda tx: tx.delete(list(tx.get([user.id]).values())))
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
    plan = Plan()
    flavors.plan_flavors(check_items("flavor", [{"name": "x", "kind": "vm"}]), platform.world(), plan, SYSTEM, "api")
    assert [f.error.code for f in plan.failures] == ["InvalidFlavorSpecification"]


def test_flavors_are_the_administrators(platform) -> None:
    assert platform.refusals(FAST, NOBODY) == {"vm/fast": "AccessForbidden"}
    platform.apply(FAST)
    assert platform.refusals(FAST, NOBODY) == {}
    assert platform.refusals(NO_FAST, NOBODY) == {"vm/fast": "AccessForbidden"}


def test_shipped_flavors_come_once(platform) -> None:
    plan = Plan()
    flavors.plan_shipped_flavors(platform.world(), plan)
    assert len(plan.actions) == 18
    platform.store.run(lambda tx: tenancy_run.apply_tenancy(tx, plan.actions))
    platform.apply("photon_flavors: [{name: core-10, kind: vm, state: absent}]")
    again = Plan()
    flavors.plan_shipped_flavors(platform.world(), again)
    assert again.actions == []


def test_names_are_unique_per_kind(platform) -> None:
    assert (
        len(
            platform.changes(
                "photon_flavors: [{name: a, kind: ephemeral, cost: {x: 1}}, {name: a, kind: persistent, cost: {x: 1}}]"
            )
        )
        == 2
    )


# -- zones -------------------------------------------------------------------------------------------------------

ZONE = "photon_zones: [{name: a}]"
NO_ZONE = "photon_zones: [{name: a, state: absent}]"


def test_zone_lives(platform) -> None:
    assert platform.changes(ZONE) == [("create", "a")]
    assert platform.changes(ZONE) == []
    assert platform.changes(NO_ZONE) == [("delete", "a")]


def test_zone_is_dedicated(platform) -> None:
    text = "photon_tenants: [{name: acme}]\nphoton_zones: [{name: a, dedicated_tenants: [acme]}]"
    platform.apply(text)
    assert platform.find(entities.ZONE, "a").body == {"dedicated_tenants": ["acme"]}
    assert platform.changes(text) == []
    assert platform.changes(ZONE) == [("update", "a")]


def test_zone_with_hosts_is_pending_and_goes_with_the_last(platform) -> None:
    platform.apply(ZONE)
    host = Document(
        entities.HOST,
        "esx01",
        name_key=name_key(entities.HOST, "", "esx01"),
        body={"zone": platform.find(entities.ZONE, "a").id, "endpoint": "vc1"},
    )
    platform.put(host)
    assert platform.changes(NO_ZONE) == [("update", "a")]
    assert platform.find(entities.ZONE, "a").state == "PENDING_DELETE"
    assert platform.changes(NO_ZONE) == []
    platform.store.run(lambda tx: tx.delete(list(tx.get([host.id]).values())))
    assert platform.changes("photon_zones: []") == [("delete", "a")]


def test_zones_are_the_administrators(platform) -> None:
    assert platform.refusals(ZONE, NOBODY) == {"a": "AccessForbidden"}
