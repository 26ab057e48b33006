# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/declaration.schema.json: current, accepts what is valid, refuses what a schema can see."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

import jsonschema
import pytest
import yaml

from tests.support.declarations import SITE
from tests.unit.plugins.module_utils.model.test_mistakes import TABLE

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "declaration.schema.json").read_text())
VARIABLES = [
    *sorted((ROOT / "inventories" / "production" / "host_vars" / "localhost").glob("*.yml")),
    *sorted((ROOT / "inventories" / "demo" / "host_vars" / "localhost").glob("*.yml")),
]
BLOCKS = [
    block
    for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "declaration.md").read_text(), re.DOTALL)
    if block.startswith("photon_")
]
# Names, sums and duplicates are beyond a schema.
BEYOND = {12, 13, 14, 15, 16, 17, 20, 21, 22}


def errors(tree):
    return [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(tree)
    ]


def test_it_is_current():
    done = subprocess.run(
        [sys.executable, "scripts/declaration-schema", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), "run scripts/declaration-schema"


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", VARIABLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_shipped_inventories_are_valid(path):
    assert errors(yaml.safe_load(path.read_text())) == []


@pytest.mark.parametrize("text", [SITE, *BLOCKS])
def test_the_examples_are_valid(text):
    assert errors(yaml.safe_load(text)) == []


@pytest.mark.parametrize("number", sorted(set(TABLE) - BEYOND))
def test_mistakes_are_refused(number):
    tree = yaml.safe_load(SITE)
    TABLE[number][0](tree)
    assert errors(tree)


def test_templates_and_other_variables_are_accepted():
    tree = yaml.safe_load(SITE)
    tree |= {"photon_max_deletes": "{{ limit }}", "photon_zones": ["{{ zone }}"], "limit": 5, "photon_clusters": []}
    assert errors(tree) == []


def test_what_is_absent_needs_its_name_alone():
    tree = {"photon_hosts": [{"name": "esx01", "state": "absent"}, {"name": "esx02"}]}
    assert errors(tree) == ["$.photon_hosts[1]: 'endpoint' is a required property"]
