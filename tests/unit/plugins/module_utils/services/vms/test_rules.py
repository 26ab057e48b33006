# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which DRS rules a plan asks for: hard groups of level host, per cluster with DRS on; whose rules a run changes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Plan
from ansible_collections.photon.platform.plugins.module_utils.services.vms import rules as drs_rules
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import ClusterRow, RuleRow

from tests.support.datacenter import Datacenter

SITE = r"""
photon_site: site
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}, {name: b}]
photon_hosts: [{name: "esx[01:03]", endpoint: vc1, zone: a}, {name: "old[1:2]", endpoint: vc1, zone: b}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_tenants:
  - name: acme
    quota: {vm.count: 20}
    projects:
      - {name: web, quota_percent: 50, security_groups: ['photon\web']}
      - {name: ops, quota_percent: 50}
"""
NAME = "vc1/c1/acme/web/db anti-affinity"
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100", "zone": "a"}


def group(**more: Any) -> list[dict[str, Any]]:
    return [{"name": "db", "level": "host", "hard": True, **more}]


@pytest.fixture
def cloud(datacenter: Datacenter) -> Datacenter:
    """Three hosts in cluster c1, where DRS is on, and two in old, where it is off."""
    datacenter.host("vc1", "esx03", ["shared"])
    for name in ("old1", "old2"):
        datacenter.host("vc1", name, ["shared"], cluster="old", cluster_moid="domain-c2")
    inventory = datacenter.endpoints["vc1"]
    for host in inventory.hosts.values():
        host.drs = host.cluster_moid == "domain-c1"
    inventory.clusters["domain-c1"] = ClusterRow("domain-c1", "c1", True, "resgroup-1", drs=True)
    inventory.clusters["domain-c2"] = ClusterRow("domain-c2", "old", True, "resgroup-1")
    datacenter.apply(SITE)
    return datacenter


def rules(plan: Plan) -> list[tuple[str, str, list[str]]]:
    return [(a.verb, a.name, (a.after or a.before)["vms"]) for a in plan.of(drs_rules.KIND)]


def store_rule(cloud: Datacenter, name: str, *vms: str, **fields: Any) -> RuleRow:
    """A rule in c1, of these running VMs."""
    moids = frozenset(cloud.row(f"acme/web/{vm}").moid for vm in vms)
    rule = RuleRow(7, name, "anti-affinity", moids, **{"enabled": True, "mandatory": True, **fields})
    cloud.endpoints["vc1"].clusters["domain-c1"].rules.append(rule)
    return rule


def ours(cloud: Datacenter, path: str = "acme.web.db") -> str:
    return f"photon-{cloud.store.digest('DRS rules')[:8]}.{path}.anti-affinity"


def test_hard_groups_hold_in_a_cluster_with_drs(cloud: Datacenter) -> None:
    plan = cloud.items("vm", [{"name": "db-[1:3]", "anti_affinity": group(), **VM}])
    assert rules(plan) == [("create", NAME, ["acme/web/db-1", "acme/web/db-2", "acme/web/db-3"])]
    store_rule(cloud, ours(cloud), "db-1", "db-2", "db-3")
    assert rules(cloud.items("vm", [{"name": "db-1"}])) == []


@pytest.mark.parametrize(
    "item",
    [
        {"anti_affinity": group(hard=False)},
        {"affinity": group(level="zone")},
        {"affinity": group(level="rack"), "zone": "b"},
        {"anti_affinity": group(), "zone": "b"},
        {},
    ],
    ids=["soft", "of a zone", "of a rack", "no DRS", "no group"],
)
def test_other_groups_have_no_rule(cloud: Datacenter, item: dict[str, Any]) -> None:
    plan = cloud.items("vm", [{"name": "db-[1:2]", **VM, **item}])
    assert len(plan.of("vm", "create")) == 2
    assert rules(plan) == []


def test_a_single_member_has_no_rule(cloud: Datacenter) -> None:
    assert rules(cloud.items("vm", [{"name": "db-1", "anti_affinity": group(), **VM}])) == []


def test_what_one_member_states_holds_for_all(cloud: Datacenter) -> None:
    plan = cloud.items(
        "vm",
        [{"name": "db-1", "anti_affinity": group(), **VM}, {"name": "db-2", "anti_affinity": group(hard=False), **VM}],
    )
    assert rules(plan) == [("create", NAME, ["acme/web/db-1", "acme/web/db-2"])]


def test_the_rule_goes_with_its_vms(cloud: Datacenter) -> None:
    cloud.items("vm", [{"name": "db-[1:3]", "anti_affinity": group(), **VM}])
    store_rule(cloud, ours(cloud), "db-1", "db-2", "db-3")
    plan = cloud.plan_items([{"name": "db-3", "state": "absent"}])
    assert [(a.verb, a.before, a.after) for a in plan.of(drs_rules.KIND)] == [
        (
            "update",
            {"vms": ["acme/web/db-1", "acme/web/db-2", "acme/web/db-3"]},
            {"vms": ["acme/web/db-1", "acme/web/db-2"]},
        )
    ]
    plan = cloud.plan_items([{"name": "db-[2:3]", "state": "absent"}])
    assert rules(plan) == [("delete", NAME, ["acme/web/db-1", "acme/web/db-2", "acme/web/db-3"])]
    plan = cloud.plan_items([{"name": "db-3", "anti_affinity": []}])
    assert rules(plan) == [("update", NAME, ["acme/web/db-1", "acme/web/db-2"])]


def test_a_weakened_rule_is_restored(cloud: Datacenter) -> None:
    cloud.items("vm", [{"name": "db-[1:2]", "anti_affinity": group(), **VM}])
    store_rule(cloud, ours(cloud), "db-1", "db-2", enabled=False)
    [action] = cloud.plan_items([{"name": "db-1"}]).of(drs_rules.KIND)
    assert (action.verb, action.before, action.after) == ("update", {"enabled": False}, {"enabled": True})


def test_rules_of_others_are_left_alone(cloud: Datacenter) -> None:
    cloud.items("vm", [{"name": "db-[1:2]", **VM}])
    for name in ("by hand", "photon-00000000.acme.web.db.anti-affinity", "photon"):
        store_rule(cloud, name, "db-1", "db-2", enabled=False)
    assert rules(cloud.items("vm", [{"name": "db-1", "tags": ["x"]}])) == []


def test_only_a_system_administrator_changes_the_rules_of_all_projects(cloud: Datacenter) -> None:
    cloud.items("vm", [{"name": "db-[1:2]", "anti_affinity": group(), **VM}])
    store_rule(cloud, ours(cloud, "acme.ops.old"), "db-1", "db-2")
    member = Actor("ann", frozenset({r"photon\web"}))
    assert [row[:2] for row in rules(cloud.plan_items([{"name": "db-1"}], member))] == [("create", NAME)]
    assert [row[:2] for row in rules(cloud.plan_items([{"name": "db-1"}]))] == [
        ("delete", "vc1/c1/acme/ops/old anti-affinity"),
        ("create", NAME),
    ]


def test_long_names_are_cut_and_stay_different() -> None:
    owner = drs_rules.Owner("photon-1a2b3c4d.")
    short = owner.name("acme/web/db", "affinity")
    assert (short, owner.label(short)) == ("photon-1a2b3c4d.acme.web.db.affinity", "acme/web/db affinity")
    names = {owner.name(f"acme/{'w' * 60}/db{number}", "affinity") for number in range(3)}
    assert len(names) == 3
    assert {len(name) for name in names} == {80}
    assert all(owner.owns(name) for name in names)


def test_a_user_looks_after_the_rules_of_its_projects_alone() -> None:
    owner = drs_rules.Owner("photon-1a2b3c4d.", frozenset({"acme/web"}))
    assert owner.owns(owner.name("acme/web/db", "affinity"))
    assert not owner.owns(owner.name("acme/web2/db", "affinity"))  # a name that only begins alike
    assert not owner.owns(owner.name("acme/ops/db", "affinity"))


def test_an_endpoint_that_cannot_be_read_has_no_plan_for_its_rules(cloud: Datacenter) -> None:
    cloud.items("vm", [{"name": "db-[1:2]", "anti_affinity": group(), **VM}])
    cloud.endpoints["vc1"] = PhotonError("EndpointUnreachable", "no answer")
    assert rules(cloud.plan_items([{"name": "db-1"}])) == []
