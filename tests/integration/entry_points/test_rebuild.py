# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cloudstore_rebuild.yml as people call it: the database is deleted, told, rebuilt, and photon-plan exits 0.

Other tests' sites are in the same data centre: they are another CloudStore's.
"""

from __future__ import annotations

import json


def lose(site) -> None:
    for path in site.directory.glob("cloudstore.db*"):
        path.unlink()


def test_a_deleted_database_is_rebuilt_and_the_plan_is_empty(site):
    assert site.result("photon.platform.site")["changed"]
    lose(site)
    lost = site.command("photon-plan")
    assert (lost.returncode, "rebuild it (docs/rebuild.md)" in lost.stderr + lost.stdout) == (1, True)
    told = site.result("photon.platform.cloudstore_rebuild", "--check")
    assert not site.store.exists()
    done = site.result("photon.platform.cloudstore_rebuild")
    assert (told["rebuilt"], told["changed"]) == (done["rebuilt"], True)
    assert done["rebuilt"]["vm"] == 4
    assert {row["what"] for row in done["contradictions"]} <= {"another CloudStore"}
    plan = site.command("photon-plan")
    assert plan.returncode == 0, plan.stdout
    assert "a-secret-of-the-guest" not in json.dumps(done)

    refused = site.playbook("photon.platform.cloudstore_rebuild")
    assert refused.returncode != 0
    assert "CloudStoreNotEmpty" in refused.stdout + refused.stderr
    assert site.result("photon.platform.cloudstore_rebuild", "-e", "force=true")["rebuilt"] == done["rebuilt"]
    assert site.command("photon-plan").returncode == 0


def test_the_module_needs_a_declaration_and_the_right_to_rebuild(site):
    no_declaration = site.playbook([{"photon.platform.cloudstore": {"state": "rebuilt"}}])
    assert "declaration" in no_declaration.stdout + no_declaration.stderr
    task = {
        "state": "rebuilt",
        "declaration": "{{ lookup('photon.platform.declaration') }}",
        "act_as": {"user": "u@photon", "groups": ["photon\\web"]},
    }
    refused = site.playbook([{"photon.platform.cloudstore": task}])
    assert "u@photon may not rebuild deployment" in refused.stdout + refused.stderr
    mistake = site.playbook([{"photon.platform.cloudstore": {"state": "rebuilt", "declaration": {"photon_hosts": 7}}}])
    assert "SpecInvalid" in mistake.stdout + mistake.stderr
