# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of DRS clusters: kept, refused where vCenter refuses them, and left by VMs that go."""

from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl


@pytest.fixture
def clusters(vc):
    found = {each.name: each for each in vc.datacenter.hostFolder.childEntity}
    yield found
    for cluster in found.values():
        keys = [rule.key for rule in cluster.configurationEx.rule]
        change(vc, cluster, *(vim.cluster.RuleSpec(operation="remove", removeKey=key) for key in keys))


def change(vc, cluster, *specs):
    return vc.result(cluster.ReconfigureComputeResource_Task(vim.cluster.ConfigSpecEx(rulesSpec=list(specs)), True))


def rule(name, vms, operation="add", kind=vim.cluster.AntiAffinityRuleSpec, **more):
    info = kind(name=name, enabled=True, mandatory=True, vm=vms, **more)
    return vim.cluster.RuleSpec(operation=operation, info=info)


def stored(vc):
    return {each["name"]: each["rules"] for each in vc.lab.control.state(vc.name)["clusters"]}


def test_rules_are_kept_changed_and_removed(vc, clusters):
    one, two, three = (vc.create() for _ in range(3))
    affinity = vim.cluster.AffinityRuleSpec
    change(vc, clusters["c1"], rule("apart", [one, two]), rule("together", [two, three], kind=affinity))
    apart, together = clusters["c1"].configurationEx.rule
    assert ([vm.name for vm in apart.vm], apart.enabled, apart.mandatory) == ([one.name, two.name], True, True)
    assert apart.key != together.key
    change(
        vc,
        clusters["c1"],
        rule("apart", [one, three], "edit", key=apart.key),
        vim.cluster.RuleSpec(operation="remove", removeKey=together.key),
    )
    assert stored(vc) == {
        "c1": [
            {
                "name": "apart",
                "kind": "anti-affinity",
                "enabled": True,
                "mandatory": True,
                "vms": sorted([one._moId, three._moId]),
            }
        ],
        "c2": [],
    }


def refused(vc, cluster, *specs):
    before = stored(vc)
    with pytest.raises(vmodl.fault.InvalidArgument) as caught:
        change(vc, cluster, *specs)
    assert stored(vc) == before, "of a change that is refused nothing is done"
    return caught.value.invalidProperty


def test_what_vcenter_refuses(vc, clusters):
    one, two = vc.create(), vc.create()
    away = vc.create(host=vc.hosts["h3"])
    good = rule("good", [one, two])
    for bad, where in [
        (rule("alone", [one]), "spec.rulesSpec[1].info.vm"),
        (rule("elsewhere", [one, away]), "spec.rulesSpec[1].info.vm"),
        (rule("unknown", [one, two], "edit", key=77), "spec.rulesSpec[1].info.key"),
        (vim.cluster.RuleSpec(operation="remove", removeKey=77), "spec.rulesSpec[1].removeKey"),
        (vim.cluster.RuleSpec(operation="add"), "spec.rulesSpec[1].info"),
    ]:
        assert refused(vc, clusters["c1"], good, bad) == where
    change(vc, clusters["c1"], good)


def test_a_vm_that_goes_leaves_its_rules(vc, clusters):
    one, two, three = (vc.create() for _ in range(3))
    change(vc, clusters["c1"], rule("apart", [one, two, three]))
    vc.result(three.Destroy_Task())
    assert stored(vc)["c1"][0]["vms"] == sorted([one._moId, two._moId])
    away = vc.hosts["h3"]
    vc.result(two.RelocateVM_Task(vim.vm.RelocateSpec(host=away, pool=away.parent.resourcePool)))
    assert stored(vc)["c1"][0]["vms"] == [one._moId]
    vc.result(one.RelocateVM_Task(vim.vm.RelocateSpec(host=vc.hosts["h2"])))
    assert stored(vc)["c1"][0]["vms"] == [one._moId], "a move inside the cluster changes nothing"
