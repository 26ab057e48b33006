# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-verify and module cloudstore with state verified, as people call them."""

from __future__ import annotations

import json

from tests.support.damage import Tables


def damage(site) -> None:
    """One VM without its allocations, and a limit of its project below what is used."""
    tables = Tables(site.url)
    vm = tables.one("SELECT id FROM documents WHERE kind = 'vm' AND name = 'web-01'")
    project = tables.one("SELECT id FROM documents WHERE kind = 'project'")
    tables.execute("DELETE FROM allocations WHERE consumer = :vm", vm=vm)
    tables.execute(
        """UPDATE inventories SET "limit" = 3 WHERE provider = :project AND resource = 'vm.count'""", project=project
    )


def test_the_command_reports_repairs_and_ends_with_its_code(applied):
    clean = applied.command("photon-verify")
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.splitlines()[-1] == "no differences"

    damage(applied)
    before = Tables(applied.url).dump()
    found = applied.command("photon-verify")
    assert found.returncode == 2
    assert "! acme/web: limit exceeded: 4, expected at most 3 of vm.count" in found.stdout
    assert "-> raise the limit (quota), or delete or shrink what uses it" in found.stdout
    assert "! vm acme/web/web-01 of project acme/web: vm.count: allocation: 0, expected 1" in found.stdout
    assert "-> repair it with photon-verify --repair" in found.stdout
    assert Tables(applied.url).dump() == before

    repaired = applied.command("photon-verify", "--repair", "--json")
    answer = json.loads(repaired.stdout)
    assert (repaired.returncode, answer["left"], answer["repairable"]) == (2, 1, 0), (
        "the limit is for a person to decide"
    )
    assert {row["what"] for row in answer["findings"] if not row["repaired"]} == {"limit exceeded"}


def test_errors_and_rights(applied, tmp_path):
    missing = applied.command("photon-verify", "-e", f"photon_cloudstore_url=sqlite:///{tmp_path}/none.db")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.startswith("CloudStoreNotFound: there is no CloudStore yet")
    user = json.dumps({"photon_act_as": {"user": "u@photon", "groups": ["photon\\web"]}})
    refused = applied.command("photon-verify", "--repair", "-e", user)
    assert refused.returncode == 1
    assert "u@photon may not verify deployment: only the system administrator may" in refused.stderr


def test_the_module_in_check_mode_with_a_diff_and_for_real(applied):
    damage(applied)
    options = {"state": "verified", "diff_limit": 1}
    check, done, again = applied.results(
        [
            {"photon.platform.cloudstore": options, "check_mode": True, "diff": True},
            {"photon.platform.cloudstore": options, "diff": True},
            {"photon.platform.cloudstore": {"state": "verified"}, "check_mode": True},
        ]
    )
    assert [each["changed"] for each in (check, done, again)] == [True, True, False]
    assert (len(check["findings"]), check["found"] > 1) == (1, True)
    assert check["diff"] == done["diff"]
    assert check["diff"]["before"].startswith("allocation ")
    assert (check["repaired"], done["repaired"]) == (0, check["repairable"])
    assert again["repairable"] == 0
