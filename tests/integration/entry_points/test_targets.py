# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-plan and photon-apply with --target, and the option ``only`` of a module, on a simulated data centre."""

from __future__ import annotations


def vms(site):
    """The names of the recorded VMs, with their tags."""
    rows = site.result([{"photon.platform.resource_info": {"kind": "vm"}}])["resources"]
    return {row["name"]: row["tags"] for row in rows}


def test_targets_from_the_first_plan_to_a_saved_one(site):
    tenants = site.tenants()
    tenants.append({"name": "globex", "projects": [{"name": "web"}]})
    site.write(photon_tenants=tenants, photon_wait_for_addresses=0)
    one = site.command("photon-plan", "--target", "acme/web/web-0[2:2]")
    assert (one.returncode, "acme/web/web-02" in one.stdout) == (2, True), one.stderr
    changes = one.stdout.partition("warning: ")[0]  # those are about what other tests left in the data centre
    assert [word for word in ("web-01", "web-03", "globex") if word in changes] == [], one.stdout
    done = site.command("photon-apply", "--yes", "--target", "acme/web/web-02")
    assert done.returncode == 0, done.stderr
    assert list(vms(site)) == ["web-02"]
    again = site.command("photon-plan", "--target", "acme/web/web-02")
    assert (again.returncode, "unchanged" in again.stdout) == (0, True), again.stdout

    typo = site.command("photon-plan", "--target", "acme/wbe")
    assert typo.returncode == 1
    assert "the target 'acme/wbe' matches no declared" in typo.stdout
    assert "did you mean 'acme/web'?" in typo.stdout

    plan = str(site.directory / "plan.json")
    assert site.command("photon-plan", "--target", "acme/*/web-0[1:3]", "-o", plan).returncode == 2
    done = site.command("photon-apply", plan)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(vms(site)) == ["web-01", "web-02", "web-03"]

    item = {"name": "web-[01:03]", "tags": ["new"]}
    task = {"photon.platform.vm": {"tenant": "acme", "project": "web", "vms": [item], "only": ["acme/web/web-03"]}}
    assert site.result([task])["counts"]["vm"] == {"update": 1}
    assert vms(site)["web-03"] == ["new"]
    assert vms(site)["web-01"] == ["front-end"]
