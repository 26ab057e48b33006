# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans and outcomes as people read them."""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.module_utils.plan_text import outcome_lines, plan_lines


def step(verb, kind, name, reason="declared", before=None, after=None, changes=()):
    return {
        "verb": verb,
        "kind": kind,
        "name": name,
        "reason": reason,
        "before": before or {},
        "after": after or {},
        "changes": list(changes),
    }


def vm(number, host):
    return step("create", "vm", f"acme/web/web-{number:02}", after={"host": host, "datastore": "shared"})


FAILURE = {
    "kind": "vm",
    "name": "acme/web/odd-[1:2]",
    "count": 2,
    "path": "photon_tenants[0].projects[0].vms[1]",
    "error_code": "FlavorNotFound",
    "message": "no flavor named 'core-1'",
}


def test_creations_are_ranges_with_their_places():
    lines = plan_lines(
        {
            "plan": [vm(1, "esx1"), vm(2, "esx10"), vm(3, "esx1"), step("create", "zone", "a")],
            "counts": {"vm": {"create": 3}, "zone": {"create": 1, "keep": 2}},
        }
    )
    assert lines == [
        "zone",
        "  + a",
        "",
        "vm",
        "  + acme/web/web-[01:03]",
        "      esx1   web-01, web-03   on shared",
        "      esx10  web-02   on shared",
        "",
        "4 to create, 2 unchanged",
    ]


def test_like_changes_are_told_once_with_what_differs():
    change = {"before": {"tags": []}, "after": {"tags": ["blue"]}, "changes": ["tags", "START_VM"]}
    lines = plan_lines(
        {
            "plan": [
                step("update", "vm", "acme/web/web-1", "tags differ", **change),
                step("update", "vm", "acme/web/web-2", "tags differ", **change),
                step("delete", "vm", "acme/web/old", "no longer declared"),
            ],
            "counts": {"vm": {"update": 2, "delete": 1}},
        }
    )
    assert lines == [
        "vm",
        "  ~ acme/web/web-[1:2]",
        "      tags: [] -> [blue]",
        "      START_VM",
        "  - acme/web/old   (no longer declared)",
        "",
        "2 to change, 1 to delete",
    ]


def test_what_cannot_be_done_and_warnings():
    outcome = {"plan": [], "counts": {}, "failures": [FAILURE], "warnings": ["left alone: vm acme/web/old"]}
    assert plan_lines(outcome) == [
        "warning: left alone: vm acme/web/old",
        "",
        "2 blocked",
        "",
        "! vm acme/web/odd-[1:2] (photon_tenants[0].projects[0].vms[1]): FlavorNotFound: no flavor named 'core-1'",
    ]


def test_what_never_came_to_a_plan():
    assert plan_lines({"error_code": "SpecInvalid", "msg": "1 mistake"}) == ["SpecInvalid: 1 mistake"]


def test_an_outcome_looks_like_its_plan_and_has_failures_last():
    outcome = {
        "changes": [
            "create vm acme/web/web-[1:2]",
            "create zone a",
            "update drs rule photon-db (vms differ)",
            "delete vm acme/web/old (no longer declared)",
            "and 3 more lines",
        ],
        "counts": {"vm": {"create": 2, "delete": 1}, "zone": {"create": 1}, "drs rule": {"update": 1}},
        "failures": [FAILURE],
    }
    assert outcome_lines(outcome) == [
        "zone",
        "  + a",
        "",
        "vm",
        "  + acme/web/web-[1:2]",
        "  - acme/web/old (no longer declared)",
        "",
        "drs rule",
        "  ~ photon-db (vms differ)",
        "",
        "and 3 more lines",
        "",
        "3 created, 1 changed, 1 deleted, 2 failed",
        "",
        "! vm acme/web/odd-[1:2] (photon_tenants[0].projects[0].vms[1]): FlavorNotFound: no flavor named 'core-1'",
    ]
    assert outcome_lines({"changes": [], "counts": {"vm": {"create": 1}}}, planned=True) == ["1 to create"]
    assert outcome_lines({"changes": [], "counts": {}, "failures": []}) == ["nothing is declared"]


def test_done_changes_of_one_reason_are_one_line():
    flavors = [f"create flavor vm/core-{size} (shipped with the platform)" for size in (10, 100)]
    outcome = {"changes": [*flavors, "create flavor vm/large", "update flavor vm/old (cost differ)"], "counts": {}}
    assert outcome_lines(outcome)[:4] == [
        "flavor",
        "  + vm/core-10, vm/core-100 (shipped with the platform)",
        "  + vm/large",
        "  ~ vm/old (cost differ)",
    ]


def test_sizes_are_for_people_and_quotas_are_compared_key_by_key():
    change = {
        "before": {"memory": 2 << 30, "quota": {"vm.memory": "400 GB", "vm.count": 10}},
        "after": {"memory": 4 << 30, "quota": {"vm.memory": "300 GB", "vm.count": 10}},
    }
    lines = plan_lines({"plan": [step("update", "tenant", "acme", "quota differs", **change)], "counts": {}})
    assert lines[1:4] == ["  ~ acme", "      memory: 2 GB -> 4 GB", "      quota.vm.memory: 400 GB -> 300 GB"]


def test_many_names_without_a_range_are_cut():
    names = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(120)]
    lines = plan_lines({"plan": [step("delete", "zone", name) for name in names], "counts": {"zone": {"delete": 120}}})
    assert lines[1].endswith(" and 20 more")
