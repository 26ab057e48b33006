# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole site, by the playbooks and the commands: planned, applied, applied again, saved, refused."""

from __future__ import annotations

import json
import re

import pytest

VMS = [f"acme/web/web-{number:02}" for number in range(1, 5)]


def test_from_nothing_to_running_and_no_further(site, data_centre):
    before, seen = site.files(), data_centre.control.state("vc1")["vms"]
    planned = site.command("photon-plan")
    assert planned.returncode == 2, planned.stderr
    assert "+ acme/web/web-[01:04]" in planned.stdout
    placed = re.findall(r"^      (esx\d+\.lab) +(\S.*?)   on (\S+)$", planned.stdout, re.MULTILINE)
    assert sorted(name for _host, names, _store in placed for name in names.split(", ")) == [v[-6:] for v in VMS]
    assert planned.stderr == ""

    checked = site.result("photon.platform.site", "--check", "--diff")
    assert checked["changed"]
    assert checked["counts"]["vm"] == {"create": 4}
    assert "vm acme/web/web-01:" in checked["diff"]["after"]
    assert "a-secret-of-the-guest" not in json.dumps(checked)
    assert site.files() - before <= {"home/.ansible", "home/.ansible/tmp"}, "a check leaves nothing behind"
    assert data_centre.control.state("vc1")["vms"] == seen

    applied = site.result("photon.platform.site")
    assert applied["changed"]
    assert applied["failures"] == []
    again = site.result("photon.platform.site", "--diff")
    assert not again["changed"]
    assert again["changes"] == []
    assert again["counts"]["vm"] == {"keep": 4}
    assert again["diff"] == {"before": "", "after": ""}

    planned = site.command("photon-plan")
    assert (planned.returncode, planned.stdout.splitlines()[-1]) == (0, f"{sum_of(again)} unchanged")


def sum_of(result):
    return sum(number for verbs in result["counts"].values() for number in verbs.values())


def test_a_plan_makes_no_file_at_all(site):
    before = site.files()
    assert site.command("photon-plan").returncode == 2
    assert site.files() == before


def test_a_plan_as_json(applied):
    tenants = applied.tenants()
    tenants[0]["projects"][0]["vms"][0]["tags"] = ["back-end"]
    planned = applied.command("photon-plan", "--json", "-e", json.dumps({"photon_tenants": tenants}))
    answer = json.loads(planned.stdout)
    assert planned.returncode == 2
    assert [(step["verb"], step["name"]) for step in answer["plan"]] == [("update", name) for name in VMS]
    assert (answer["plan"][0]["before"], answer["plan"][0]["after"]) == (
        {"tags": ["front-end"]},
        {"tags": ["back-end"]},
    )


def test_a_saved_plan_is_done_exactly_or_refused(site, tmp_path):
    plan = tmp_path / "plan.json"
    planned = site.command("photon-plan", "-o", str(plan), "--json")
    assert planned.returncode == 2, planned.stderr
    assert "a-secret-of-the-guest" not in plan.read_text()
    places = {
        step["name"]: (step["after"]["host"], step["after"]["datastore"])
        for step in json.loads(planned.stdout)["plan"]
        if step["kind"] == "vm"
    }
    applied = site.command("photon-apply", str(plan))
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "vm\n  + acme/web/web-[01:04]" in applied.stdout
    vms = site.result([{"photon.platform.resource_info": {"kind": "vm"}}])["resources"]
    assert {vm["path"]: (vm["host"], vm["datastore"]) for vm in vms} == places

    refused = site.command("photon-apply", str(plan))
    assert refused.returncode == 1
    assert "PlanChanged" in refused.stdout
    assert "vm acme/web/web-01: create is not planned any more" in refused.stdout + json.dumps(
        json.loads(site.command("photon-apply", str(plan), "--json").stdout)["error_data"]
    )
    assert site.command("photon-plan").returncode == 0


def test_a_changed_declaration_makes_a_saved_plan_stale(applied, tmp_path):
    plan = tmp_path / "plan.json"
    zones = json.dumps({"photon_zones": [{"name": "a"}, {"name": "b"}, {"name": "c"}]})
    assert applied.command("photon-plan", "-o", str(plan), "-e", zones).returncode == 2
    more = json.dumps({"photon_zones": [{"name": name} for name in "abcd"]})
    refused = applied.command("photon-apply", str(plan), "-e", more)
    assert refused.returncode == 1
    assert "create zone d is new" in refused.stdout
    assert applied.command("photon-plan").returncode == 0, "nothing was done"


def test_a_kept_plan_is_done_by_another_controller_or_refused(site, tmp_path):
    planned = site.command("photon-plan", "--keep", "--target", "acme")
    assert planned.returncode == 2, planned.stderr
    [plan_id] = re.findall(r"photon-apply --plan-id ([0-9a-f]{64})$", planned.stdout, re.MULTILINE)
    site.home = tmp_path / "other-controller"
    site.home.mkdir()
    refused = site.command("photon-apply", "--plan-id", plan_id[:-1] + ("0" if plan_id[-1] != "0" else "1"))
    assert refused.returncode == 1
    assert "PlanNotFound" in refused.stdout
    applied = site.command("photon-apply", "--plan-id", plan_id)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "vm\n  + acme/web/web-[01:04]" in applied.stdout
    moved = site.command("photon-apply", "--plan-id", plan_id)
    assert moved.returncode == 1
    assert "PlanChanged" in moved.stdout


def test_a_vm_that_the_declaration_does_not_name(applied):
    vm = ["-e", "vm_project=acme/web", "-e", "vm_name=extra-1"]
    made = applied.result("photon.platform.vm", *vm, "-e", "vm_flavor=core-100 vm_image=debian vm_state=stopped")
    assert made["changes"] == ["create vm acme/web/extra-1"], made
    assert not applied.result("photon.platform.site")["changed"], "a site leaves it alone"
    gone = applied.result("photon.platform.vm", *vm, "-e", "vm_state=absent")
    assert gone["changes"] == ["delete vm acme/web/extra-1 (declared absent)"]
    refused = applied.playbook("photon.platform.vm", "-e", "vm_name=extra-1")
    assert "Give vm_name, and vm_project as TENANT/PROJECT" in refused.stdout + refused.stderr


def test_no_plan_where_there_is_no_file(applied):
    refused = applied.command("photon-apply", "missing.json")
    assert refused.returncode == 1
    assert "SpecInvalid: the saved plan" in refused.stdout
    assert "make one with photon-plan -o" in refused.stdout


def test_every_mistake_is_told_before_anything_is_touched(site):
    site.write(
        photon_zone=[{"name": "c"}],
        photon_hosts=[{"name": "esx01.lab", "endpoint": "vc2", "zone": "a", "rak": "r1"}],
    )
    planned = site.command("photon-plan")
    assert planned.returncode == 1
    assert "SpecInvalid: 3 mistakes in the declaration; nothing was done:" in planned.stdout
    assert "- photon_zone: unknown key: did you mean 'photon_zones'?" in planned.stdout
    assert "- photon_hosts[0].rak: unknown key: did you mean 'rack'?" in planned.stdout
    assert "- photon_hosts[0].endpoint: no endpoint is named 'vc2': did you mean 'vc1'?" in planned.stdout

    failed = site.result("photon.platform.site")
    assert failed["error_code"] == "SpecInvalid"
    assert {mistake["path"] for mistake in failed["error_data"]["mistakes"]} == {
        "photon_zone",
        "photon_hosts[0].rak",
        "photon_hosts[0].endpoint",
    }
    resources = site.result([{"photon.platform.resource_info": {}}])["resources"]
    assert resources == []


def test_one_item_fails_and_everything_else_is_done(site):
    tenants = site.tenants()
    tenants[0]["projects"][0]["vms"][0]["name"] = "web-[01:12]"
    site.write(photon_tenants=tenants)
    failed = site.result("photon.platform.site")
    assert failed["error_code"] == "QuotaError"
    [row] = failed["failures"]
    assert (row["name"], row["count"]) == ("acme/web/web-[11:12]", 2)
    assert row["path"] == "photon_tenants[0].projects[0].vms[0]"
    assert row["data"]["key"] == "vm.count"
    planned = site.command("photon-plan")
    assert planned.returncode == 1
    assert "! vm acme/web/web-[11:12] (photon_tenants[0].projects[0].vms[0]): QuotaError: " in planned.stdout
    assert ", 2 blocked\n" in planned.stdout
    assert planned.stdout.splitlines()[-1].startswith("! vm acme/web/web-[11:12]")


@pytest.mark.parametrize("who", ["admin", "user", "stranger"])
def test_acting_as_somebody(applied, who):
    user = {
        "admin": {"user": "ann@photon", "groups": ["photon\\acme-admins"]},
        "user": {"user": "bob@photon", "groups": ["photon\\web"]},
        "stranger": {"user": "eve@photon", "groups": []},
    }[who]
    results = applied.playbook(
        [
            {"photon.platform.zone": {"name": "z", "act_as": user}, "ignore_errors": True},
            {
                "photon.platform.project": {"tenant": "acme", "name": "new", "quota_percent": 10, "act_as": user},
                "ignore_errors": True,
                "check_mode": True,
            },
            {"photon.platform.resource_info": {"act_as": user}},
        ]
    )
    zone, project, seen = json.loads(results.stdout)["results"]
    assert zone["error_code"] == "AccessForbidden"
    assert project.get("error_code") == (None if who == "admin" else "AccessForbidden")
    kinds = {row["kind"] for row in seen["resources"]}
    assert (
        kinds
        == {
            "admin": {"tenant", "project", "vm", "flavor", "image", "image-copy"},
            "user": {"project", "vm", "flavor", "image", "image-copy"},
            "stranger": {"flavor", "image", "image-copy"},
        }[who]
    )


def test_wrong_credentials_name_the_endpoint(site):
    site.credentials({"vc1": {"username": "nobody", "password": "wrong-password"}})
    failed = site.result("photon.platform.site")
    codes = {row["name"]: row["error_code"] for row in failed["failures"] if row["kind"] == "endpoint"}
    assert codes == {"vc1": "InvalidLoginCredentials", "esx9": "InvalidLoginCredentials"}
    assert "wrong-password" not in json.dumps(failed)
    assert "PHOTON_CREDENTIAL_ESX9_USERNAME" in json.dumps(failed)
    tenants = site.result([{"photon.platform.resource_info": {"kind": "tenant"}}])
    assert tenants["count"] == 1, "what needs no endpoint is done"


def test_a_declaration_in_group_vars_works_and_warns_of_what_others_see(site):
    """The layout of older inventories, with a host besides the controller."""
    folder = site.inventory / "group_vars"
    folder.mkdir()
    site.variables.rename(folder / "all")
    (site.inventory / "vms.yml").write_text("all: {hosts: {web-01: {}}}\n")
    (folder / "all" / "more.yml").write_text("haproxy_stats_password: in plain sight\n")
    planned = site.command("photon-plan")
    assert planned.returncode == 2
    warnings = " ".join(planned.stdout.split())
    assert "photon_credentials is a variable of web-01" in warnings
    assert f"mv {site.inventory}/group_vars/all {site.inventory}/host_vars/localhost" in warnings
    assert f"run 'ansible-vault encrypt {folder}/all/more.yml'" in warnings


def test_an_undefined_variable_is_named_with_its_key_path(site):
    site.write(photon_default_port_group="{{ nope }}")
    planned = site.command("photon-plan")
    assert planned.returncode == 1
    assert "photon_default_port_group: 'nope' is undefined" in planned.stderr
    assert "lookup plugin" not in planned.stderr, "Ansible's own steps before the message are left out"
    assert "Traceback" not in planned.stderr
