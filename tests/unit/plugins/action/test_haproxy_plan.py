# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action haproxy_plan: the role's variables become a plan, or one failure."""

from __future__ import annotations

import pathlib
import types

import pytest
import yaml
from ansible_collections.photon.platform.plugins.action import haproxy_plan

ROLE = pathlib.Path(__file__).resolve().parents[4] / "roles" / "haproxy"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
VARIABLES = {
    "groups": {"all": ["lb1", "w1"], "load_balancers": ["lb1"], "web": ["w1"]},
    "hostvars": {"lb1": {"haproxy_address": "10.0.0.1"}, "w1": {"ansible_host": "10.0.0.2"}},
}


def run(monkeypatch, **changes):
    monkeypatch.setattr(haproxy_plan.ActionBase, "run", lambda *_words: {})
    declaration = {name.removeprefix("haproxy_"): value for name, value in DEFAULTS.items()} | changes
    action = object.__new__(haproxy_plan.ActionModule)
    action._task = types.SimpleNamespace(args={"role_path": str(ROLE), "declaration": declaration})
    return action.run(task_vars=VARIABLES)


def test_plan_is_returned(monkeypatch):
    result = run(monkeypatch, services=[{"name": "web", "bind": [{"port": 80}], "group": "web", "port": 1}])
    assert "failed" not in result
    assert "    server w1 10.0.0.2:1 weight 100" in result["haproxy"]
    assert result["services"] == {"web": ["w1"]}


@pytest.mark.parametrize(
    ("changes", "mistakes"),
    [
        ({"platform_services": ["nope"]}, 1),
        ({"services": [{"name": "web", "bind": [{"port": 0}], "group": "web", "port": 0}]}, 2),
    ],
)
def test_failure_has_a_code_and_every_mistake(monkeypatch, changes, mistakes):
    result = run(monkeypatch, **changes)
    assert (result["failed"], result["error_code"]) == (True, "SpecInvalid")
    assert len(result["error_data"]["mistakes"]) == mistakes
    assert all(mistake in result["msg"] for mistake in result["error_data"]["mistakes"])
