# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action platform: which modules run out of the installed collection, and when Ansible packs them."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import types

import pytest
import yaml
from ansible_collections.photon.platform.plugins.action import platform

ROOT = pathlib.Path(__file__).resolve().parents[4]
RUNTIME = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
HERE = {"ansible_python_interpreter": sys.executable}
ELSEWHERE = {"ansible_python_interpreter": "/usr/bin/python3.99"}


def configured(monkeypatch, variables=HERE, transport="local", become=None, async_val=0, delegate_to=None, **args):
    monkeypatch.setattr(platform.NormalAction, "_configure_module", lambda *_words: ("packed", "path"))
    action = object.__new__(platform.ActionModule)
    action._task = types.SimpleNamespace(async_val=async_val, delegate_to=delegate_to)
    action._connection = types.SimpleNamespace(transport=transport, become=become)
    action._templar = types.SimpleNamespace(template=lambda value: value)
    return action._configure_module("photon.platform.resource_info", args, variables)


def test_a_script_runs_the_module_with_its_arguments(monkeypatch, tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the working directory was searched for imports')")
    built, path = configured(monkeypatch, cloudstore_url=f"sqlite:///{tmp_path}/store.db", _ansible_check_mode=True)
    assert path.endswith("plugins/modules/resource_info.py")
    assert (built.module_style, built.shebang) == ("new", f"#!{sys.executable}")
    assert run(built, tmp_path)["resources"] == []


def test_arguments_of_any_text_arrive(monkeypatch, tmp_path):
    odd = 'it\'s "quoted" \\ {{ not a template }} é\n'
    built, _path = configured(monkeypatch, cloudstore_url=f"sqlite:///{tmp_path}/store.db", kind=odd)
    assert odd in run(built, tmp_path)["msg"]


def run(built, folder):
    done = subprocess.run([sys.executable], input=built.b_module_data, capture_output=True, cwd=folder, check=False)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "case",
    [
        {"variables": ELSEWHERE},
        {"variables": {}},
        {"transport": "ssh"},
        {"become": object()},
        {"async_val": 60},
        {"delegate_to": "bastion", "variables": {**HERE, "ansible_delegated_vars": {"bastion": ELSEWHERE}}},
    ],
)
def test_other_hosts_users_and_pythons_get_the_packed_module(monkeypatch, case):
    assert configured(monkeypatch, **case) == ("packed", "path")


def test_a_task_that_is_delegated_to_the_controller_runs_out_of_the_collection(monkeypatch):
    variables = {**ELSEWHERE, "ansible_delegated_vars": {"localhost": HERE}}
    built, _path = configured(monkeypatch, delegate_to="localhost", variables=variables)
    assert built.module_style == "new"


def test_every_module_on_the_cloudstore_has_this_action():
    routed = {
        name
        for name, row in RUNTIME["plugin_routing"]["modules"].items()
        if row == {"action_plugin": "photon.platform.platform"}
    }
    assert routed | {"platform"} == set(RUNTIME["action_groups"]["all"])
