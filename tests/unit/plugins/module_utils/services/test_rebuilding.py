# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose records a rebuild takes: those of the lost CloudStore, which most of what the site declares carries."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services.rebuilding import Carrier, Rebuilding

ENDPOINT = Document("endpoint", "vc1", id="e")
OURS, THEIRS, THIRD = (f"5f0e0000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
SITE = "inventory:prod"


def identity(number: int) -> str:
    return f"0c1d0000-0000-4000-8000-{number:012}"


def carrier(number: int, store: str = OURS, **changes: Any) -> Carrier:
    record = {
        "version": 1, "kind": "vm", "id": identity(number), "store": store, "rules": "1a2b3c4d", "managed_by": SITE,
        "tenant": "acme", "project": "web", "name": f"web-{number}", **changes,
    }  # fmt: skip
    keys = {"photon.id": identity(number), "photon.store": store, "photon.record": json.dumps(record)}
    return Carrier.of("vm", ENDPOINT, f"web-{number}", keys, SimpleNamespace())


def rebuilding(*carriers: Carrier) -> Rebuilding:
    declaration = SimpleNamespace(tenants=[{"name": "acme"}])
    made = Rebuilding(SimpleNamespace(managed_by=SITE, declaration=declaration), None, "new", "ffffffff")  # type: ignore[arg-type]
    made.take(carriers)
    return made


def reported(made: Rebuilding) -> list[tuple[str, str]]:
    return [(finding.name, finding.what) for finding in made.contradictions]


def test_the_identity_of_most_of_this_sites_records_is_taken() -> None:
    made = rebuilding(
        carrier(1),
        carrier(2),
        carrier(3, THEIRS),
        *(carrier(number, THIRD, managed_by="inventory:other") for number in range(4, 9)),
    )
    assert (made.store_id, made.rules_tag, len(made.carriers)) == (OURS, "1a2b3c4d", 2)
    assert reported(made) == [(THEIRS, "another CloudStore"), (THIRD, "another CloudStore")]
    assert made.contradictions[1].found == f"5 of {THIRD}"


def test_records_of_modules_tell_where_the_site_has_none() -> None:
    made = rebuilding(carrier(1, managed_by="api"), carrier(2, THEIRS, managed_by="api", tenant="other"))
    assert (made.store_id, [each.identity for each in made.carriers]) == (OURS, [identity(1)])


def test_without_any_record_the_identity_stays_and_nobody_elses_is_taken() -> None:
    assert rebuilding().store_id == "new"
    made = rebuilding(carrier(1, THEIRS, managed_by="inventory:other", tenant="other"))
    assert (made.store_id, made.rules_tag, made.carriers) == ("new", "ffffffff", [])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"id": identity(2)}, "its photon.record is"),
        ({"id": "../x"}, "is not an id"),
        ({"name": "a/b"}, "is not a valid name"),
        ({"tenant": None}, "tenant must be a text"),
        ({"rules": "photon-"}, "it names no CloudStore"),
        ({"managed_by": 7}, "managed_by must be a text"),
    ],
)
def test_a_record_that_the_platform_would_not_write_is_reported(changes: dict[str, Any], error: str) -> None:
    bad = carrier(1, **changes)
    assert bad.record is None
    assert error in bad.error
    made = rebuilding(bad, carrier(2))
    assert reported(made) == [("vc1/web-1", "unusable record")]


def test_two_of_one_name_and_different_ids_are_both_left_out() -> None:
    made = rebuilding(carrier(1), carrier(2, name="web-1"), carrier(3))
    assert [each.identity for each in made.unique(made.of("vm"))] == [identity(3)]
    assert reported(made) == [("vc1/web-1", "two with one name"), ("vc1/web-2", "two with one name")]
