# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DRS rules: read from a cluster's configuration, compared by name, told to vSphere in one call."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    EndpointSpec,
    api,
    change_rules,
    compare_rules,
    drs,
    tables,
    wanted_rule,
)
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import RuleRow

CONFIGURATION = ElementTree.fromstring("""
<val xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="ClusterConfigInfoEx">
  <drsConfig><enabled>true</enabled><defaultVmBehavior>fullyAutomated</defaultVmBehavior></drsConfig>
  <rule xsi:type="ClusterAntiAffinityRuleSpec"><key>3</key><enabled>true</enabled><name>ours.db</name>
    <mandatory>true</mandatory><vm type="VirtualMachine">vm-1</vm><vm type="VirtualMachine">vm-2</vm></rule>
  <rule xsi:type="ClusterAffinityRuleSpec"><key>4</key><name>by hand</name>
    <vm type="VirtualMachine">vm-7</vm><vm type="VirtualMachine">vm-8</vm></rule>
  <rule xsi:type="ClusterVmHostRuleInfo"><key>5</key><enabled>true</enabled><name>pinned</name>
    <vmGroupName>licensed</vmGroupName></rule>
</val>""")
OURS = RuleRow(3, "ours.db", "anti-affinity", frozenset({"vm-1", "vm-2"}), True, True)
THEIRS = RuleRow(4, "by hand", "affinity", frozenset({"vm-7", "vm-8"}), False, False)
PINNED = RuleRow(5, "pinned", "other", frozenset(), True, False)


def owned(name):
    return name.startswith("ours.")


def test_the_bulk_read_brings_the_rules_along():
    assert drs.rules_of(CONFIGURATION) == [OURS, THEIRS, PINNED]
    row = tables.cluster_row("c-1", {"name": "c1", "configurationEx": CONFIGURATION}, True)
    assert (row.drs, row.rules) == (True, [OURS, THEIRS, PINNED])
    assert tables.cluster_row("c-2", {"name": "c2"}, True).rules == []


def test_rules_that_fit_need_nothing():
    assert compare_rules([OURS, THEIRS], [wanted_rule("ours.db", "anti-affinity", ["vm-2", "vm-1"])], owned) == []


def test_what_differs_is_named():
    weak = replace(OURS, enabled=False, mandatory=False, vms=frozenset({"vm-1", "vm-3"}))
    wanted = wanted_rule("ours.db", "anti-affinity", ["vm-1", "vm-2"])
    [change] = compare_rules([weak], [wanted], owned)
    assert (change.before, change.after, change.fields) == (weak, wanted, ["vms", "enabled", "mandatory"])


def test_rules_of_others_are_left_alone_and_ours_go_with_their_vms():
    changes = compare_rules([OURS, THEIRS, PINNED], [wanted_rule("ours.db", "anti-affinity", ["vm-1"])], owned)
    assert [(change.name, change.after) for change in changes] == [("ours.db", None)]


def test_a_rule_of_one_vm_is_never_made():
    assert compare_rules([], [wanted_rule("ours.db", "affinity", ["vm-1"])], owned) == []


def test_of_two_rules_with_one_name_one_goes():
    twin = replace(OURS, key=9)
    wanted = wanted_rule("ours.db", "anti-affinity", OURS.vms)
    assert [(c.before, c.after) for c in compare_rules([OURS, twin], [wanted], owned)] == [(twin, None)]


class Recorder:
    """Takes the call in the place of a session and its server."""

    spec = EndpointSpec("e", "vc1", "vcenter", "127.0.0.1", "u", "p")

    def reference(self, kind, moid):
        return api.reference(kind, moid, self)

    def call(self, what, method, *arguments, **_options):
        self.what, self.method, self.arguments = what, method, arguments


def told(*changes):
    recorder = Recorder()
    change_rules("domain-c1", "c1", changes).submit(recorder)
    configuration, modify = recorder.arguments
    assert modify is True
    return recorder, configuration.rulesSpec


def test_all_changes_go_into_one_call_mock():
    grown = wanted_rule("ours.db", "anti-affinity", ["vm-1", "vm-2", "vm-3"])
    new = wanted_rule("ours.pair", "affinity", ["vm-5", "vm-4"])
    recorder, specs = told(*compare_rules([OURS, replace(OURS, key=8, name="ours.old")], [grown, new], owned))
    assert recorder.what == "change 3 DRS rules of cluster c1"
    assert [(spec.operation, spec.removeKey) for spec in specs] == [("remove", 8), ("edit", None), ("add", None)]
    edit, add = specs[1].info, specs[2].info
    cluster = api.load().vim.cluster
    assert isinstance(edit, cluster.AntiAffinityRuleSpec)
    assert (edit.key, edit.name, edit.enabled, edit.mandatory) == (3, "ours.db", True, True)
    assert isinstance(add, cluster.AffinityRuleSpec)
    assert [vm._moId for vm in add.vm] == ["vm-4", "vm-5"]


def test_a_rule_of_the_wrong_type_is_created_again_mock():
    change = compare_rules([replace(OURS, kind="affinity")], [wanted_rule("ours.db", "anti-affinity", OURS.vms)], owned)
    _recorder, specs = told(*change)
    assert [(spec.operation, spec.removeKey) for spec in specs] == [("remove", 3), ("add", None)]
    assert specs[1].info.key is None
