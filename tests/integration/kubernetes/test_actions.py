# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration and the plans in playbooks: all hosts have the plan, and an error is reported once, with its code."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.unit.plugins.module_utils.kubernetes.test_create_plan import host

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROLE = "photon.platform.kubernetes_control_plane"
PLAYS = [
    {"hosts": "localhost", "gather_facts": False,
     "tasks": [{"ansible.builtin.import_role": {"name": ROLE, "tasks_from": "select"}}]},
    {"hosts": "kubernetes_members", "gather_facts": False,
     "vars": {"kubernetes_cluster": "{{ hostvars.localhost.kubernetes_cluster }}"},
     "tasks": [
         {"ansible.builtin.set_fact": {"kubernetes_observed": "{{ found[inventory_hostname] }}"}},
         {"ansible.builtin.import_role": {"name": ROLE, "tasks_from": "plan"}}]},
    {"hosts": "kubernetes_members", "gather_facts": False,
     "tasks": [{"ansible.builtin.debug": {
         "msg": "{{ inventory_hostname }} {{ kubernetes_plan.state }} {{ kubernetes_plan.initialize }} "
                "{{ kubernetes_plan.join.worker | join }}"}}]},
]  # fmt: skip


@pytest.fixture(name="play")
def fixture_play(tmp_path):
    def play(observed=None, **cluster):
        declared = [{"name": "prod", "version": "1.37.2", "packages": {"source": "installed"}, **cluster}]
        inventory = {"all": {
            "vars": {"ansible_connection": "local", "photon_clusters": declared, "found": observed or {}},
            "children": {
                "prod_control_plane": {"hosts": {"cp1": {"kubernetes_address": "10.0.0.11"}}},
                "prod_workers": {"hosts": {"w1": {"kubernetes_address": "10.0.0.21"}}},
            },
        }}  # fmt: skip
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        (tmp_path / "play.json").write_text(json.dumps(PLAYS))
        command = [pathlib.Path(sys.executable).with_name("ansible-playbook"), "-i", "inventory.json", "play.json"]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return play


def test_every_host_has_the_plan_in_later_plays(play):
    run = play({"cp1": host("clean"), "w1": host("clean")})
    assert run.returncode == 0, run.stdout
    for name in ("cp1", "w1"):
        assert f"msg: {name} CREATING cp1 w1" in run.stdout


@pytest.mark.parametrize(
    ("observed", "cluster", "reason", "code"),
    [
        ({}, {"networks": {"plugin": "flanel"}}, "did you mean 'flannel'", "SpecInvalid"),
        ({"cp1": host("clean"), "w1": {"unreachable": True}}, {}, "w1: is unreachable", "HostUnreachable"),
    ],
)
def test_an_error_is_reported_once_with_its_code(play, observed, cluster, reason, code):
    run = play(observed, **cluster)
    assert run.returncode == 2, run.stdout
    output = run.stdout + run.stderr
    assert f"error_code: {code}" in output
    assert "Traceback" not in output
    assert "<<< caused by >>>" not in output
    assert output.count("fatal: ") == 1
    assert reason in output
