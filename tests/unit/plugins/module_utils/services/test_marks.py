# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record in vSphere: written alike for the like, and read without trust."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import marks
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState

STATE = CurrentState([Document("tenant", "acme", id="t"), Document("project", "web", "t", id="p")])
STORE = SimpleNamespace(store_id="s", rules_tag="1a2b3c4d")


def record(**fields: Any) -> str:
    return marks.encode(Document("vm", "web-01", "p", id="v", managed_by="api"), fields, STATE, STORE)


def test_a_record_names_its_resource_with_names_and_is_one_text() -> None:
    assert record(b=1, a="ä") == record(a="ä", b=1)
    fields = marks.decode(record(a="ä", b=1, flag=True, cost={"vm.cpu": [2, "COUNT"]}, rows=[{"x": ["y"]}]), "vm")
    texts = {key: fields.text(key) for key in ("id", "store", "rules", "managed_by", "tenant", "project", "name", "a")}
    assert texts == {
        "id": "v", "store": "s", "rules": "1a2b3c4d", "managed_by": "api", "tenant": "acme", "project": "web",
        "name": "web-01", "a": "ä",
    }  # fmt: skip
    assert (fields.number("b"), fields.flag("flag"), fields.cost("cost")) == (1, True, {"vm.cpu": (2, "COUNT")})
    assert (fields.rows("rows")[0].texts("x"), fields.optional("none"), fields.has("a")) == (("y",), None, True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
        ("null", "must be a mapping"),
        ("[]", "must be a mapping"),
        ("{}", "version is missing"),
        ('{"version": true}', "version must be an integer"),
        ('{"version": 1e3}', "version must be an integer"),
        ('{"version": 2}', "it has version 2"),
        ('{"version": 1}', "kind is missing"),
        ('{"version": 1, "kind": "disk"}', "another kind (disk)"),
        ('{"version": 1, "kind": "\\u001b[2J"}', "kind must be a printable text"),
        ("x" * (marks.LONGEST + 1), "characters"),
    ],
)
def test_what_is_no_record_is_refused(text: str, reason: str) -> None:
    with pytest.raises(PhotonError) as caught:
        marks.decode(text, "vm")
    assert caught.value.code == "SpecInvalid"
    assert reason in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("value", "method"),
    [
        (7, "text"), ("a\nb", "text"), ("\ud800", "text"), ("x" * 2000, "text"), (None, "text"),
        (-1, "number"), (1.5, "number"), ("1", "number"), (1 << 80, "number"), (True, "number"),
        (1, "flag"), ("true", "flag"),
        ("abc", "texts"), ([1], "texts"), ({}, "texts"),
        ([1], "rows"), ({}, "rows"),
        ([], "cost"), ({"a": 1}, "cost"), ({"a": [1]}, "cost"), ({"a": ["1", "B"]}, "cost"), ({"a": [1, 2]}, "cost"),
        ([], "table"), ({"a": 1}, "table"),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_refused(value: Any, method: str) -> None:
    fields = marks.decode(json.dumps({"version": 1, "kind": "vm", "field": value}), "vm")
    with pytest.raises(PhotonError) as caught:
        getattr(fields, method)("field")
    assert caught.value.code == "SpecInvalid"
    assert "field" in caught.value.message


def test_a_mistake_in_a_row_is_named_with_its_place() -> None:
    fields = marks.decode(record(disks=[{"name": "a"}, {"name": 7}]), "vm")
    with pytest.raises(PhotonError, match=r"disks\[1\]\.name must be"):
        [row.text("name") for row in fields.rows("disks")]
