# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run as Ansible runs them: one process, arguments in, JSON out; a real SQLite file behind them."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible_collections.photon.platform.plugins.module_utils import entry_point
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options

ROOT = pathlib.Path(__file__).resolve().parents[4]
RUN = (
    "import importlib, json, sys\n"
    "from ansible.module_utils import basic\n"
    "basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = sys.argv[2].encode(), 'legacy'\n"
    "importlib.import_module('ansible_collections.photon.platform.plugins.modules.' + sys.argv[1]).main()\n"
)


@pytest.fixture
def run(tmp_path):
    url = f"sqlite:///{tmp_path}/cloudstore.db"

    def call(module, check=False, **options):
        arguments = {"cloudstore_url": url, "cloudstore_allow_ephemeral": True, **options}
        arguments |= {"_ansible_check_mode": check, "_ansible_diff": True, "_ansible_module_name": module}
        done = subprocess.run(
            [sys.executable, "-c", RUN, module, json.dumps({"ANSIBLE_MODULE_ARGS": arguments})],
            env={"PYTHONPATH": str(ROOT / "collections"), "PATH": "/usr/bin:/bin"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout.strip().splitlines()[-1])

    return call


def test_check_mode_and_diff_tell_the_truth(run, tmp_path):
    foretold = run("tenant", check=True, name="acme", quota={"vm.count": 5})
    assert foretold["changed"]
    assert not (tmp_path / "cloudstore.db").exists()
    done = run("tenant", name="acme", quota={"vm.count": 5})
    assert (done["changed"], done["diff"], done["changes"]) == (True, foretold["diff"], foretold["changes"])
    assert "quota: vm.count=5" in done["diff"]["after"]
    again = run("tenant", name="acme", quota={"vm.count": 5})
    assert (again["changed"], again["diff"]) == (False, {"before": "", "after": ""})


def test_a_module_of_one_kind_leaves_the_sites_alone(run):
    run("zone", name="a")
    run("zone", name="b", site="paris")
    rows = run("resource_info", kind="zone")["resources"]
    assert {row["name"]: row["managed_by"] for row in rows} == {"a": "api", "b": "inventory:paris"}


def test_secrets_are_masked_and_ordinary_words_are_not(run):
    answer = run(
        "platform",
        declaration={
            "photon_tenants": [
                {
                    "name": "acme",
                    "quota": {"vm.count": 5},
                    "projects": [
                        {
                            "name": "web",
                            "quota_percent": 50,
                            "vms": [
                                {"name": "x", "metadata": {"user_data": "acme-token-1", "environment": {"A": "1"}}}
                            ],
                        }
                    ],
                }
            ],
            "photon_credentials": {"vc1": {"username": "u", "password": "hush-hush"}},
        },
    )
    text = json.dumps(answer)
    assert answer["error_code"] == "SpecInvalid"
    assert "acme-token-1" not in text
    assert "hush-hush" not in text
    assert "photon_tenants[0].projects[0].vms[0].flavor" in answer["msg"]
    # ansible-core from 2.20 on leaves the invocation out of a module's answer.
    assert answer.get("invocation", {}).get("module_args", {}).get("declaration", "2 members") == "2 members"


def test_mistakes_have_the_path_that_the_user_wrote(run):
    one = run("vm", tenant="acme", project="web", name="x", disks=[{"name": "d", "flavor": "f", "capacity": "wide"}])
    many = run(
        "vm",
        tenant="acme",
        project="web",
        vms=[{"name": "x", "disks": [{"name": "d", "flavor": "f", "capacity": "w"}]}],
    )
    assert one["error_data"]["path"] == "disks[0].capacity"
    assert many["error_data"]["path"] == "vms[0].disks[0].capacity"


def test_a_fault_of_ours_is_a_sentence(run, tmp_path):
    (tmp_path / "cloudstore.db").write_bytes(b"no database" * 100)
    answer = run("resource_info")
    assert answer["failed"]
    assert answer["error_code"] == "CloudStoreUnavailable"
    assert "Traceback" not in answer["msg"]


def test_arguments_are_the_options_of_a_run():
    """Those that are omitted, or that a module does not have, keep their defaults."""
    common = dict.fromkeys(entry_point.READING) | {"base_directory": "/srv"}
    given = {"policy": "pack", "atomic": True, "max_recreates": 0, "seed": None, "default_port_group": None}
    module = SimpleNamespace(params={**common, **given}, check_mode=True, _name="vm")
    expected = Options(policy="pack", atomic=True, max_recreates=0, base_directory="/srv")
    assert entry_point.request_of(module).options == expected


def test_every_argument_of_a_placement_is_an_option_of_a_run():
    assert entry_point.PLACING.keys() <= set(Options.__slots__)
