# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hard groups become rules of their DRS clusters, follow their VMs, and are restored; rules of others stay."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request, run_items, run_site
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from lab import Lab
from tests.support import diskimages

APART = {"anti_affinity": [{"name": "db", "level": "host", "hard": True}]}
TOGETHER = {"affinity": [{"name": "pair", "level": "host", "hard": True}]}
RULE = "vc1/drs/acme/web/db anti-affinity"
RECONFIGURE = "ReconfigureComputeResource_Task"
HOST = {"cores": 16, "memory": "128 GB"}
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc1",
            "kind": "vcenter",
            "datacenter": "dc1",
            "clusters": [
                {"name": "drs", "drs": True, "hosts": [{"name": "esx[01:04].lab", **HOST}]},
                {"name": "plain", "hosts": [{"name": "esx[11:13].lab", **HOST}]},
            ],
            "datastores": [{"name": "shared1", "capacity": "2 TB"}],
            "port_groups": [{"name": "VM Network"}],
        },
        {
            "name": "esx9",
            "kind": "esxi",
            "hosts": [{"name": "esx09.lab", **HOST}],
            "datastores": [{"name": "datastore1", "capacity": "1 TB"}],
            "port_groups": [{"name": "VM Network"}],
        },
    ]
}


class Site:
    """Declared VMs of one project on a cluster with DRS (zone a), one without (zone b) and an ESXi host (zone c)."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab, self.directory = lab, directory
        diskimages.ova(directory / "debian.ova")
        self.service = SmartConnect(**lab.endpoints["vc1"].pyvmomi())
        self.vms: list[dict[str, Any]] = []

    def vm(self, name: str, **more: Any) -> dict[str, Any]:
        return {
            "name": name,
            "flavor": "core-100",
            "image": "debian",
            "boot_disk_flavor": "core-100",
            "zone": "a",
            "state": "started",
            **more,
        }

    def run(self, *vms: dict[str, Any], check: bool = False) -> dict[str, Any]:
        tree = {
            "photon_site": "test",
            "photon_endpoints": [
                {"name": e.name, "kind": e.kind, "address": e.address, "port": e.port, "tls": {"ca_file": e.ca_file}}
                for e in self.lab.endpoints.values()
            ],
            "photon_zones": [{"name": name} for name in "abc"],
            "photon_hosts": [
                {"name": "esx[01:04].lab", "endpoint": "vc1", "zone": "a"},
                {"name": "esx[11:13].lab", "endpoint": "vc1", "zone": "b"},
                {"name": "esx09.lab", "endpoint": "esx9", "zone": "c"},
            ],
            "photon_images": [{"name": "debian", "file": "debian.ova", "replication": "EAGER"}],
            "photon_image_datastores": ["shared1", "datastore1"],
            "photon_default_port_group": "VM Network",
            "photon_tenants": [
                {
                    "name": "acme",
                    "quota": {"vm.count": 20, "vm.memory": "200 GB"},
                    "projects": [{"name": "web", "quota_percent": 100, "vms": list(vms)}],
                }
            ],
        }
        return run_site(tree, self.request(whole=True, check=check))

    def done(self, *vms: dict[str, Any]) -> dict[str, Any]:
        """A run without failures, after which one more has nothing to do."""
        planned = self.run(*vms, check=True)
        outcome = self.run(*vms)
        assert outcome["failures"] == []
        assert lines(outcome) == lines(planned), "the plan said what was done"
        assert outcome["diff"] == planned["diff"]
        again = self.run(*vms)
        assert (again["changed"], again["failures"]) == (False, []), again["changes"]
        return outcome

    def request(self, **more: Any) -> Request:
        logins = {e.name: {"username": e.username, "password": e.password} for e in self.lab.endpoints.values()}
        return Request(
            cloudstore_url=f"sqlite:///{self.directory}/cloud.db",
            allow_ephemeral=True,
            credentials=logins,
            options=Options(base_directory=str(self.directory)),
            **more,
        )

    # -- what vSphere says -----------------------------------------------------------------------------------------

    def cluster(self, name: str = "drs") -> Any:
        content = self.service.RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.ClusterComputeResource], True)
        return next(each for each in view.view if each.name == name)

    def rules(self, cluster: str = "drs") -> dict[str, list[str]]:
        """The names of each rule's VMs; those of ours without the prefix of this CloudStore."""
        return {
            rule.name.split(".", 1)[-1]: sorted(machine.name for machine in rule.vm)
            for rule in self.cluster(cluster).configurationEx.rule
        }

    def machine(self, name: str) -> Any:
        content = self.service.RetrieveContent()
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        return next(machine for machine in view.view if machine.name == name)

    def change(self, operation: str, rule: Any, **fields: Any) -> None:
        """What an administrator does by hand."""
        for name, value in fields.items():
            setattr(rule, name, value)
        spec = vim.cluster.RuleSpec(operation=operation)
        if operation == "remove":
            spec.removeKey = rule.key
        else:
            spec.info = rule
        config = vim.cluster.ConfigSpecEx(rulesSpec=[spec])
        wait(self.cluster().ReconfigureComputeResource_Task(config, True))

    def calls(self, endpoint: str = "vc1") -> dict[str, int]:
        return self.lab.control.calls(endpoint)


def wait(task: Any) -> None:
    deadline = time.monotonic() + 60
    while task.info.state not in ("success", "error"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert task.info.state == "success", task.info.error


def lines(outcome: dict[str, Any]) -> list[str]:
    return [line for line in outcome["changes"] if "drs rule" in line]


@pytest.fixture
def site(lab_factory: Any, tmp_path: Path) -> Iterator[Site]:
    site = Site(lab_factory(TOPOLOGY), tmp_path)
    yield site
    Disconnect(site.service)


def test_vms_apart_get_a_rule_that_follows_them(site: Site) -> None:
    first = site.done(site.vm("db-[1:3]", **APART))
    assert lines(first) == [f"create drs rule {RULE} (hard anti-affinity)"]
    assert site.rules() == {"acme.web.db.anti-affinity": ["db-1", "db-2", "db-3"]}
    [rule] = site.cluster().configurationEx.rule
    assert isinstance(rule, vim.cluster.AntiAffinityRuleSpec)
    assert (rule.enabled, rule.mandatory) == (True, True)

    more = site.done(site.vm("db-[1:4]", **APART))
    assert lines(more) == [f"update drs rule {RULE} (vms differ)"]
    assert site.rules() == {"acme.web.db.anti-affinity": ["db-1", "db-2", "db-3", "db-4"]}

    gone = {"state": "absent", "force": True}
    fewer = site.done(site.vm("db-[1:2]", **APART), site.vm("db-[3:4]", **gone))
    assert lines(fewer) == [f"update drs rule {RULE} (vms differ)"]
    assert site.rules() == {"acme.web.db.anti-affinity": ["db-1", "db-2"]}

    alone = site.done(site.vm("db-1", **APART), site.vm("db-2", **gone))
    assert lines(alone) == [f"delete drs rule {RULE} (its group has fewer than two VMs in the cluster)"]
    assert site.rules() == {}


def test_the_rule_is_there_before_a_vm_is_started(site: Site) -> None:
    site.lab.control.fault("PowerOnVM_Task", "InvalidState", where="task", endpoint="vc1")
    outcome = site.run(site.vm("db-[1:2]", **APART))
    assert {(f["kind"], f["error_code"]) for f in outcome["failures"]} == {("vm", "StateError")}
    assert site.rules() == {"acme.web.db.anti-affinity": ["db-1", "db-2"]}
    assert lines(outcome) == [f"create drs rule {RULE} (hard anti-affinity)"]
    site.lab.control.reset()
    assert lines(site.done(site.vm("db-[1:2]", **APART))) == []


def test_vms_together_and_a_change_of_group(site: Site) -> None:
    site.done(site.vm("app-[1:2]", **TOGETHER))
    assert site.rules() == {"acme.web.pair.affinity": ["app-1", "app-2"]}
    [rule] = site.cluster().configurationEx.rule
    assert isinstance(rule, vim.cluster.AffinityRuleSpec)

    outcome = site.done(site.vm("app-[1:2]", affinity=[]))
    assert lines(outcome) == [
        "delete drs rule vc1/drs/acme/web/pair affinity (its group has fewer than two VMs in the cluster)"
    ]
    assert site.rules() == {}

    outcome = site.done(site.vm("app-[1:2]", affinity=[{"name": "other"}]))
    assert lines(outcome) == ["create drs rule vc1/drs/acme/web/other affinity (hard affinity)"]
    assert site.rules() == {"acme.web.other.affinity": ["app-1", "app-2"]}


def test_what_is_soft_or_of_another_level_has_no_rule(site: Site) -> None:
    site.done(
        site.vm("a-[1:2]", anti_affinity=[{"name": "soft", "hard": False}]),
        site.vm("b-[1:2]", affinity=[{"name": "zone", "level": "zone"}]),
    )
    assert site.rules() == {}
    assert RECONFIGURE not in site.calls()


def test_clusters_without_drs_and_hosts_without_a_vcenter_are_left_alone(site: Site) -> None:
    site.done(site.vm("b-[1:2]", zone="b", **APART), site.vm("c-[1:2]", zone="c", **TOGETHER))
    assert site.rules("drs") == site.rules("plain") == {}
    assert RECONFIGURE not in site.calls() | site.calls("esx9")


@pytest.mark.parametrize(
    ("operation", "fields", "line"),
    [
        ("remove", {}, f"create drs rule {RULE} (hard anti-affinity)"),
        ("edit", {"enabled": False}, f"update drs rule {RULE} (enabled differs)"),
        ("edit", {"mandatory": False}, f"update drs rule {RULE} (mandatory differs)"),
    ],
)
def test_a_change_by_hand_is_undone_and_reported(site: Site, operation: str, fields: dict[str, Any], line: str) -> None:
    vms = site.vm("db-[1:3]", **APART)
    site.done(vms)
    before = site.cluster().configurationEx.rule[0]
    # A false does not reach the simulated rule by a reconfigure: it is left out.
    if operation == "edit":
        fields = dict.fromkeys(fields)
    site.change(operation, site.cluster().configurationEx.rule[0], **fields)
    outcome = site.done(vms)
    assert outcome["changes"] == [line]
    assert outcome["changed"]
    [after] = site.cluster().configurationEx.rule
    assert (after.name, after.enabled, after.mandatory) == (before.name, True, True)
    assert {vm._moId for vm in after.vm} == {vm._moId for vm in before.vm}


def test_a_vm_taken_out_of_its_rule_by_hand_is_put_back(site: Site) -> None:
    vms = site.vm("db-[1:3]", **APART)
    site.done(vms)
    rule = site.cluster().configurationEx.rule[0]
    site.change("edit", rule, vm=[site.machine("db-1"), site.machine("db-2")])  # moids come in any order
    planned = site.run(vms, check=True)
    assert planned["diff"]["before"].endswith("  vms: [acme/web/db-1, acme/web/db-2]\n")
    assert len(site.rules()["acme.web.db.anti-affinity"]) == 2, "a plan changes nothing"
    site.done(vms)
    assert site.rules() == {"acme.web.db.anti-affinity": ["db-1", "db-2", "db-3"]}


def test_rules_of_others_survive(site: Site) -> None:
    vms = site.vm("db-[1:3]", **APART)
    site.done(vms)
    theirs = [
        vim.cluster.AffinityRuleSpec(name=name, enabled=True, vm=[site.machine("db-1"), site.machine("db-2")])
        for name in ("by hand", "photon-00000000.acme.web.db.anti-affinity")
    ]
    for rule in theirs:
        site.change("add", rule)
    assert not site.run(vms)["changed"]
    site.done(site.vm("db-[1:2]", anti_affinity=[]), site.vm("db-3", state="absent", force=True))
    assert sorted(rule.name for rule in site.cluster().configurationEx.rule) == sorted(rule.name for rule in theirs)


def test_a_lost_vm_that_is_created_again_is_in_its_rule_again(site: Site) -> None:
    vms = site.vm("db-[1:3]", **APART)
    site.done(vms)
    machine = site.machine("db-2")
    wait(machine.PowerOffVM_Task())
    wait(machine.Destroy_Task())
    assert site.rules() == {"acme.web.db.anti-affinity": ["db-1", "db-3"]}
    outcome = site.done(vms)
    assert lines(outcome) == [f"update drs rule {RULE} (vms differ)"]
    assert site.rules() == {"acme.web.db.anti-affinity": ["db-1", "db-2", "db-3"]}


def test_a_run_that_finds_nothing_to_do_asks_for_nothing_more(site: Site) -> None:
    site.done(site.vm("db-[1:3]", **APART))
    with_rules = site.run(site.vm("db-[1:3]", **APART))["calls"]["vc1"]
    site.done(site.vm("db-[1:3]", anti_affinity=[]))
    assert site.run(site.vm("db-[1:3]", anti_affinity=[]))["calls"]["vc1"] == with_rules


def test_one_task_for_all_rules_of_a_cluster(site: Site) -> None:
    site.done(site.vm("db-[1:2]", **APART), site.vm("app-[1:2]", **TOGETHER))
    assert len(site.rules()) == 2
    assert site.calls()[RECONFIGURE] == 1


def test_a_refusal_is_reported_and_the_vms_are_created(site: Site) -> None:
    site.lab.control.fault(RECONFIGURE, "NoPermission", endpoint="vc1")
    vms = site.vm("db-[1:2]", **APART)
    outcome = site.run(vms)
    assert [(f["kind"], f["name"], f["error_code"]) for f in outcome["failures"]] == [
        ("drs rule", RULE, "AccessForbidden")
    ]
    assert lines(outcome) == []
    assert {vm["power_state"] for vm in site.lab.control.state("vc1")["vms"] if "db-" in vm["name"]} == {"poweredOn"}
    site.lab.control.reset()
    assert site.done(vms)["changes"] == [f"create drs rule {RULE} (hard anti-affinity)"]


def test_a_rule_planned_for_vms_that_were_not_created_is_not_a_change(site: Site) -> None:
    site.run()
    site.lab.control.fault("CreateVM_Task", "NoDiskSpace", where="task", endpoint="vc1", name="db-2")
    outcome = site.run(site.vm("db-[1:2]", **APART))
    assert [f["name"] for f in outcome["failures"]] == ["acme/web/db-2"]
    assert lines(outcome) == []
    assert site.rules() == {}


def test_the_module_of_one_kind_keeps_the_rules_of_its_project(site: Site) -> None:
    vms = site.vm("db-[1:3]", **APART)
    site.done(vms)
    site.change("remove", site.cluster().configurationEx.rule[0])
    item = {"name": "db-1", "tags": ["x"]}
    scope = {"tenant": "acme", "project": "web"}
    outcome = run_items("vm", [item], site.request(), scope=scope)
    assert outcome["failures"] == []
    assert lines(outcome) == [f"create drs rule {RULE} (hard anti-affinity)"]
    assert not site.run(vms | {"tags": None})["failures"]
