# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of single kinds, what reads, the lookups and the inventory plugin, on one site that was applied."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

SCOPE = {"tenant": "acme", "project": "web"}
VM = {**SCOPE, "name": "one", "flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}


def module(name, /, check=False, **options):
    return {f"photon.platform.{name}": options, "check_mode": check, "ignore_errors": True}


def changed(results):
    return [result["changed"] for result in results]


def test_a_vm_from_creation_to_deletion(applied):
    results = applied.results(
        [
            module("vm", check=True, **VM, state="started", default_port_group="VM Network", result="full"),
            module("vm", **VM, state="started", default_port_group="VM Network", result="full"),
            module("vm", **VM, state="started"),
            module("vm", **SCOPE, name="one", tags=["blue"]),
            module("vm", **SCOPE, name="one", state="absent"),
            module("vm", **SCOPE, name="one", state="absent", force=True),
            module("vm", **SCOPE, name="one", state="absent"),
        ]
    )
    assert changed(results) == [True, True, False, True, False, True, False]
    check, made, _same, tagged, refused, _gone, _still = results
    assert [(s["verb"], s["name"], s["path"]) for s in check["plan"] if s["kind"] == "vm"] == [
        ("create", "acme/web/one", "vms[0]")
    ]
    [row] = [item for item in made["items"] if item["kind"] == "vm"]
    assert (row["action"], row["state"]) == ("create", "STARTED")
    assert row["host"].startswith("esx")
    assert tagged["changes"] == ["update vm acme/web/one (tags differ)"]
    assert refused["error_code"] == "InvalidVmState"


def test_many_vms_in_one_task_with_one_that_cannot_be(applied):
    vms = [
        {key: VM[key] for key in ("flavor", "image", "boot_disk_flavor")} | {"name": name, **more}
        for name, more in [("many-[1:3]", {}), ("odd", {"flavor": "core-1000"})]
    ]
    gone = [{"name": "many-[1:3]", "state": "absent"}, {"name": "odd", "state": "absent"}]
    [made, again, removed] = applied.results(
        [
            module("vm", **SCOPE, vms=vms, default_port_group="VM Network"),
            module("vm", **SCOPE, vms=vms[:1], default_port_group="VM Network"),
            module("vm", **SCOPE, vms=gone),
        ]
    )
    assert made["counts"]["vm"] == {"create": 3}
    assert (made["changed"], made["error_code"]) == (True, "FlavorNotFound")
    assert [(row["name"], row["path"]) for row in made["failures"]] == [("acme/web/odd", "vms[1]")]
    assert (again["changed"], again["counts"]["vm"]) == (False, {"keep": 3})
    assert (removed["changed"], removed["counts"]["vm"]) == (True, {"delete": 3})


def test_tenancy_and_the_catalogue(applied):
    cost = {"vm.cpu": 2, "vm.memory": "2 GB"}
    results = applied.results(
        [
            module("tenant", name="globex", quota={"vm.count": 10, "vm.memory": "20 GB"}),
            module("tenant", name="globex", quota={"vm.count": 12}, quota_mode="update"),
            module("project", tenant="globex", name="p", quota_percent=50),
            module("project", tenant="globex", name="p", quota_percent=50),
            module("tenant", name="globex", state="absent"),
            module("flavor", name="mine", kind="vm", cost=cost),
            module("flavor", flavors=[{"name": "mine", "kind": "vm", "state": "absent"}]),
            module("zone", zones=[{"name": "z-[1:2]", "dedicated_tenants": ["globex"]}]),
            module("zone", name="z-[1:2]", state="absent"),
            module("project", tenant="globex", projects=[{"name": "p", "state": "absent"}]),
            module("tenant", name="globex", state="absent"),
            module("resource_info", tenant="globex"),
        ]
    )
    assert changed(results) == [True, True, True, False, False, True, True, True, True, True, True, False]
    assert results[4]["error_code"] == "ContainerNotEmpty"
    assert results[7]["counts"]["zone"] == {"create": 2}
    assert results[-1]["resources"] == []


def test_hosts_and_images(applied):
    results = applied.results(
        [
            module("host", check=True, name="esx01.lab", tags=["gpu"]),
            module("host", name="esx01.lab", tags=["gpu"]),
            module("host", name="esx01.lab", tags=["gpu"]),
            module("host", name="esx01.lab", tags=[]),
            module("host", name="esx01.lab", state="absent"),
            module("image", **SCOPE, name="own", file="{{ inventory_dir }}/debian.ova", replication="ON_DEMAND"),
            module("image", **SCOPE, name="own", file="{{ inventory_dir }}/debian.ova", replication="ON_DEMAND"),
            module("image", **SCOPE, name="own", state="absent"),
            module("image", name="nothing", file="missing.ova", replication="EAGER"),
        ]
    )
    assert changed(results) == [True, True, False, True, False, True, False, True, False]
    assert results[4]["error_code"] in ("HostHasVms", "InvalidHostState")
    assert results[8]["error_code"] == "ImageUploadError"


def test_arguments_that_make_no_sense(applied):
    [beside, mistake, listed] = applied.results(
        [
            module("zone", zones=[{"name": "a"}], dedicated_tenants=["acme"]),
            module("tenant", name="acme", quota={"vm.memory": 12}),
            module("tenant", tenants=[{"name": "acme", "quota": {"vm.memory": 12}}]),
        ]
    )
    assert beside["error_code"] == mistake["error_code"] == listed["error_code"] == "SpecInvalid"
    assert "dedicated_tenants" in beside["msg"]
    assert mistake["error_data"]["path"] == "quota.vm.memory"
    assert listed["error_data"]["path"] == "tenants[0].quota.vm.memory"


def test_what_is_there(applied):
    [tenants, hosts, vms, live, history] = applied.results(
        [
            module("resource_info", kind="tenant"),
            module("resource_info", kind="host", zone="a"),
            module("resource_info", kind="vm", name="acme/web/*", tag="front-end", state="STARTED"),
            module("resource_info", kind="vm", name="web-01", live=True),
            module("resource_info", kind="vm", name="web-01", history=True),
        ]
    )
    [acme] = tenants["resources"]
    assert acme["quota"]["vm.count"] == {"limit": 20, "usage": 10, "free": 10, "unit": "COUNT", "text": "10 of 20"}
    assert [host["name"] for host in hosts["resources"]] == ["esx01.lab", "esx02.lab", "esx03.lab"]
    for host in hosts["resources"]:
        assert host["capacity"]["memory"] == host["free"]["memory"] + host["used"]["memory"]
        # The data centre is shared: VMs of the other tests' sites are foreign here, and use the host as well.
        assert host["used"]["memory"] >= host["vms"] * (2 << 30)
        assert 0 < host["score"] <= 100
        assert host["images"] == ["debian"]
    assert [vm["name"] for vm in vms["resources"]] == ["web-01", "web-02", "web-03", "web-04"]
    assert {vm["zone"] for vm in vms["resources"]} == {"a", "b"}
    assert live["resources"][0]["address"]
    assert live["resources"][0]["host"] == vms["resources"][0]["host"]
    changes = history["resources"][0]["history"]
    assert changes[0]["what"] == "insert"
    assert [change["version"] for change in changes] == list(range(1, len(changes) + 1))


def test_lookups(applied):
    tasks = [
        {
            "ansible.builtin.assert": {
                "that": [
                    "fleet.hosts | length == 4",
                    "fleet.hosts | map(attribute='zone') | unique | sort == ['a', 'b']",
                    "fleet.images.debian.datastores | length == 5",
                    "fleet.hosts | rejectattr('free_memory', 'gt', 0) | length == 0",
                    "(query('photon.platform.fleet', zone='b', live=true) | first).hosts[0].name == 'esx09.lab'",
                    "lookup('photon.platform.quota', 'acme/web')['vm.count'].free == 6",
                    "query('photon.platform.quota', 'acme', 'acme/web') | length == 2",
                ]
            },
            "vars": {"fleet": "{{ lookup('photon.platform.fleet') }}"},
        }
    ]
    assert applied.results(tasks) == []
    wrong = [{"ansible.builtin.debug": {"msg": "{{ lookup('photon.platform.quota', 'acme/wep') }}"}}]
    assert "ProjectNotFound: no project named 'wep': did you mean 'web'?" in applied.playbook(wrong).stdout


@pytest.mark.parametrize("hostname", ["path", "name"])
def test_inventory(applied, tmp_path, hostname):
    source = tmp_path / "vms.photon.yml"
    source.write_text(
        yaml.safe_dump(
            {
                "plugin": "photon.platform.cloudstore",
                "cloudstore_url": applied.url,
                "cloudstore_allow_ephemeral": True,
                "hostname": hostname,
                "compose": {"ansible_user": "'debian'"},
                "groups": {"small": "photon_vm.vcpus < 2", "placed": "photon_vm.vsphere.moid is defined"},
                "keyed_groups": [{"key": "photon_vm.image", "prefix": "image"}],
            }
        )
    )
    listed = applied._run([sys.executable, "-m", "ansible", "inventory", "-i", str(source), "--list"])
    assert listed.returncode == 0, listed.stderr
    answer = json.loads(listed.stdout)
    end = ".web.acme" if hostname == "path" else ""
    hosts = [f"web-{number:02}{end}" for number in range(1, 5)]
    whole = (
        "tenant_acme",
        "project_acme_web",
        "state_started",
        "flavor_core_100",
        "tag_front_end",
        "small",
        "placed",
        "image_debian",
    )
    assert {group: sorted(answer[group]["hosts"]) for group in whole} == dict.fromkeys(whole, hosts)
    assert sorted(answer["zone_a"]["hosts"] + answer["zone_b"]["hosts"]) == hosts
    for variables in answer["_meta"]["hostvars"].values():
        assert set(variables) == {"ansible_host", "ansible_user", "photon_vm"}
        assert "vsphere" not in variables["photon_vm"]
        assert variables["ansible_host"] == variables["photon_vm"]["address"]
        assert variables["ansible_user"] == "debian"


def test_an_inventory_of_no_cloudstore_makes_none(site):
    source = site.directory / "vms.photon.yaml"
    source.write_text(
        f"{{plugin: photon.platform.cloudstore, cloudstore_url: '{site.url}', cloudstore_allow_ephemeral: true}}\n"
    )
    words = [sys.executable, "-m", "ansible", "inventory", "-i", str(source), "--list"]
    listed: subprocess.CompletedProcess[str] = site._run(words)
    assert json.loads(listed.stdout)["_meta"]["hostvars"] == {}
    assert not site.store.exists()


def test_the_schema_is_upgraded_only_by_asking(applied):
    [told, missing] = applied.results(
        [
            module("cloudstore"),
            module("cloudstore", cloudstore_url=f"sqlite:///{applied.directory}/none.db"),
        ]
    )
    assert (told["changed"], told["version_before"]) == (False, told["version"])
    assert missing["error_code"] == "CloudStoreNotFound"


def test_a_packed_module_answers_the_same(applied, tmp_path):
    """Another Python than Ansible's own gets the module packed, as every module: nothing may miss in the package."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o700)
    task = module("vm", check=True, **VM, default_port_group="VM Network", result="full")
    [direct, packed] = applied.results([task, {**task, "vars": {"ansible_python_interpreter": str(python)}}])
    assert [step["verb"] for step in direct["plan"] if step["kind"] == "vm"] == ["create"]
    for answer in (direct, packed):
        for step in answer["plan"]:
            step.pop("id")  # of a VM that is not made
    assert packed == direct
