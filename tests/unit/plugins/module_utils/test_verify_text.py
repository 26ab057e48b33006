# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of verify as people read it."""

from __future__ import annotations

from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.verify_text import verify_lines


def row(kind: str, name: str, what: str, step: str, *, repairable: bool = False, repaired: bool = False) -> dict[str, Any]:
    return {"kind": kind, "name": name, "what": what, "expected": "this", "found": "that", "step": step,
            "repairable": repairable, "repaired": repaired}  # fmt: skip


def outcome(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    left = [each for each in rows if not each["repaired"]]
    return {
        "findings": list(rows),
        "found": len(rows),
        "left": len(left),
        "repairable": sum(each["repairable"] for each in left),
        "repaired": len(rows) - len(left),
        "endpoints": {"compared": ["vc1"], "not_compared": []},
        **more,
    }


def test_findings_stand_by_kind_with_each_next_step_once():
    lines = verify_lines(
        outcome(
            row("allocation", "vm a of host h: memory", "allocation", "repair it", repairable=True),
            row("vm", "acme/web/a", "lost", "apply"),
            row("vm", "acme/web/b", "lost", "apply"),
            warnings=["one"],
        )
    )
    assert lines == [
        "vm",
        "  ! acme/web/a: lost: that, expected this",
        "  ! acme/web/b: lost: that, expected this",
        "      -> apply",
        "",
        "allocation",
        "  ! vm a of host h: memory: allocation: that, expected this",
        "      -> repair it",
        "",
        "warning: one",
        "",
        "CloudStore compared with vc1",
        "1 to repair (--repair), 2 for you to decide",
    ]


def test_repaired_findings_are_marked_and_totals_say_what_is_left():
    lines = verify_lines(outcome(row("vm", "acme/web/a", "facts", "repair it", repairable=True, repaired=True)))
    assert lines == [
        "vm",
        "  * acme/web/a: facts: that, expected this",
        "      -> repaired",
        "",
        "CloudStore compared with vc1",
        "1 repaired",
    ]


def test_a_sound_site_is_two_lines_and_unread_endpoints_are_named():
    assert verify_lines(outcome()) == ["CloudStore compared with vc1", "no differences"]
    unread = {"compared": [], "not_compared": ["esx9", "vc1"]}
    assert verify_lines(outcome(endpoints=unread))[0] == "CloudStore compared with no endpoint, not with esx9, vc1"


def test_omitted_findings_are_counted():
    lines = verify_lines(outcome(row("vm", "a", "lost", "apply"), found=3))
    assert "and 2 more findings (result: full returns all of them)" in lines


def test_an_error_is_one_line():
    assert verify_lines({"error_code": "CloudStoreNotFound", "msg": "there is none"}) == [
        "CloudStoreNotFound: there is none"
    ]
