# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon-apply asks: what it runs after which answer, and with what exit code."""

from __future__ import annotations

import pathlib
import sys

import pytest
from photon_platform import apply, command

STEP = {
    "verb": "create",
    "kind": "zone",
    "name": "a",
    "reason": "declared",
    "before": {},
    "after": {},
    "changes": [],
}
PLAN = {"changed": True, "plan": [STEP], "counts": {"zone": {"create": 1}}, "failures": []}
DONE = {"changed": True, "changes": ["create zone a"], "counts": {"zone": {"create": 1}}, "failures": []}
BLOCKED = [{"kind": "zone", "name": "b", "path": "", "error_code": "NameTaken", "message": "no", "count": 1}]


@pytest.fixture
def call(monkeypatch):
    """Run photon-apply with this terminal, answer and plan; the exit code and the playbooks that ran."""

    def run(*words, terminal=True, answer="yes", plan=PLAN):
        ran = []
        run.variables = []

        def play(playbook, options, **variables):
            ran.append((playbook, "saved_plan" in variables))
            run.variables.append(variables)
            if variables.get("save_plan") and not plan["failures"]:
                pathlib.Path(variables["save_plan"]).write_text("{}")
            return plan if playbook == "plan.yml" else DONE

        monkeypatch.setattr(command, "play", play)
        monkeypatch.setattr(sys, "argv", ["photon-apply", *words])
        monkeypatch.setattr("builtins.input", lambda prompt: answer)
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
        try:
            return apply.main(), ran
        except SystemExit as ended:
            return ended.code, ran

    return run


def test_a_yes_applies_exactly_the_plan_that_was_shown(call, capsys):
    assert call() == (0, [("plan.yml", False), ("site.yml", True)])
    assert "zone\n  + a\n\n1 to create" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["no", "y", "", "YES!"])
def test_anything_else_does_nothing(call, capsys, answer):
    assert call(answer=answer) == (1, [("plan.yml", False)])
    assert "nothing was done" in capsys.readouterr().out


def test_with_blocked_items_the_rest_is_applied(call):
    plan = {**PLAN, "failures": BLOCKED, "error_code": "NameTaken"}
    assert call(plan=plan) == (0, [("plan.yml", False), ("site.yml", False)])


def test_without_a_plan_nothing_is_applied(call):
    broken = {"changed": False, "error_code": "SpecInvalid", "msg": "1 mistake", "failures": []}
    assert call(plan=broken) == (1, [("plan.yml", False)])


def test_where_nothing_changes_nobody_is_asked_and_facts_are_recorded(call):
    assert call(answer="no", plan={**PLAN, "changed": False, "plan": []}) == (
        0,
        [("plan.yml", False), ("site.yml", False)],
    )


@pytest.mark.parametrize("words", [["--yes"], ["-y", "--json"], ["plan.json"]])
def test_nobody_is_asked_where_it_was_said_before(call, words):
    assert call(*words, terminal=False) == (0, [("site.yml", words == ["plan.json"])])


def test_targets_reach_the_plan_and_what_is_applied(call, monkeypatch):
    seen = []
    for words, options in (
        (["--target", "acme/web", "--target", "globex"], {}),
        (["--target", "acme/web", "--yes"], {"terminal": False}),
        (["--target", "acme/web"], {"plan": {**PLAN, "failures": BLOCKED}}),
    ):
        call(*words, **options)
        seen.append([variables.get("only") for variables in call.variables])
    assert seen == [[["acme/web", "globex"], None], [["acme/web"]], [["acme/web"], ["acme/web"]]]


def test_a_saved_plan_takes_no_targets(call, capsys):
    assert call("plan.json", "--target", "acme") == (64, [])
    assert "give --target to photon-plan" in capsys.readouterr().err


def test_a_kept_plan_is_applied_by_its_id(call, capsys):
    assert call("--plan-id", "5e0f", terminal=False) == (0, [("site.yml", False)])
    assert call.variables[-1] == {"plan_id": "5e0f"}
    assert call("--plan-id", "5e0f", "plan.json") == (64, [])
    assert call("--plan-id", "5e0f", "--target", "acme") == (64, [])
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "terminal"), [([], False), (["--json"], True)])
def test_where_nobody_can_be_asked_it_is_wrong_usage(call, capsys, words, terminal):
    assert call(*words, terminal=terminal) == (64, [])
    assert "give --yes, or a PLAN" in capsys.readouterr().err
