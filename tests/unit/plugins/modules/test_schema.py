# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules document is what the declaration's schema says and what they accept."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils import entry_point
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import ITEMS, Field

PACKAGE = "ansible_collections.photon.platform.plugins.modules"
COMMON = {*entry_point.CHANGING, *entry_point.OWNING, *entry_point.PLACING}


def documented(kind: str) -> dict[str, Any]:
    return yaml.safe_load(importlib.import_module(f"{PACKAGE}.{kind}").DOCUMENTATION)["options"]


def items(kind: str) -> dict[str, Any]:
    return documented(kind)[f"{kind}s"]["suboptions"]


@pytest.mark.parametrize("kind", entry_point.KINDS)
def test_modules_have_the_keys_of_the_schema(kind: str) -> None:
    expected = set(ITEMS[kind]) - set(entry_point.KINDS[kind].leave_out)
    assert set(items(kind)) == expected
    assert set(documented(kind)) - COMMON == expected | {f"{kind}s", *entry_point.KINDS[kind].scope}


@pytest.mark.parametrize("kind", entry_point.KINDS)
def test_modules_document_what_they_accept(kind: str) -> None:
    compare(items(kind), entry_point.item_spec(kind), ITEMS[kind])
    spec = {key: value for key, value in entry_point.kind_spec(kind).items() if key not in COMMON}
    for key, row in documented(kind).items():
        if key not in COMMON:
            assert row["type"] == spec[key]["type"], key
            assert row.get("required", False) == spec[key].get("required", False), key


def compare(options: dict[str, Any], spec: dict[str, Any], schema: dict[str, Field]) -> None:
    assert set(options) == set(spec)
    for key, row in options.items():
        for name in ("type", "elements", "default", "choices"):
            assert row.get(name) == spec[key].get(name), (key, name)
        assert row.get("required", False) == spec[key].get("required", False), key
        assert schema[key].description[1:] in " ".join(str(row["description"]).split()), key
        if "options" in spec[key]:
            compare(row["suboptions"], spec[key]["options"], schema[key].options or {})
