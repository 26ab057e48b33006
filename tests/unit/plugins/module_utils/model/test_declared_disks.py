# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks in a declaration: their normal form, and every mistake with its key path."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Known, check_items, validate
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support.declarations import SITE, mistakes, web

GB = 1 << 30
DISK: dict[str, Any] = {"name": "data", "flavor": "core-100", "capacity": 10}
PATH = "photon_tenants[0].projects[0].disks[0]"


def site(*disks: dict[str, Any]) -> dict[str, Any]:
    tree = yaml.safe_load(SITE)
    web(tree)["disks"] = [{**DISK, **disk} for disk in disks]
    return tree


def test_a_range_of_disks_for_a_range_of_vms() -> None:
    disks = validate(site({"name": "data-[01:03]", "attached_to": "web-[05:07]"})).disks
    assert [(d["name"], d["attached_to"], d["capacity"]) for d in disks] == [
        (f"data-0{n}", f"web-0{n + 4}", 10 * GB) for n in (1, 2, 3)
    ]
    assert {(d["tenant"], d["project"], d["path"]) for d in disks} == {("acme", "web", PATH)}


@pytest.mark.parametrize(("given", "expected"), [("", [""] * 2), ("web-01", ["web-01"] * 2), (None, [None] * 2)])
def test_one_vm_or_none_for_all(given: str | None, expected: list[Any]) -> None:
    disks = validate(site({"name": "data-[1:2]", "attached_to": given})).disks
    assert [disk["attached_to"] for disk in disks] == expected


def test_a_vm_that_the_cloudstore_knows() -> None:
    known = Known(vms={("acme", "web", "old-01")})
    assert validate(site({"attached_to": "old-01", "affinity": ["old-01"]}), known).disks


@pytest.mark.parametrize(
    ("disk", "key", "code"),
    [
        ({"capacity": "1023 MB"}, "capacity", "InvalidEntity"),
        ({"capacity": "much"}, "capacity", "SpecInvalid"),
        ({"flavor": "fast"}, "flavor", "FlavorNotFound"),
        ({"attached_to": "web-99"}, "attached_to", "VmNotFound"),
        ({"attached_to": "acme/other/web-01"}, "attached_to", "InvalidOperation"),
        ({"attached_to": "web 1"}, "attached_to", "InvalidEntity"),
        ({"name": "data-[1:3]", "attached_to": "web-[01:02]"}, "attached_to", "SpecInvalid"),
        ({"affinity": ["web-99"]}, "affinity[0]", "VmNotFound"),
        ({"state": "started"}, "state", "SpecInvalid"),
        ({"size": 5}, "size", "SpecInvalid"),
    ],
)
def test_one_mistake(disk: dict[str, Any], key: str, code: str) -> None:
    found = mistakes(site(disk))
    assert {path: row[0] for path, row in found.items()} == {f"{PATH}.{key}": code}


@pytest.mark.parametrize("key", ["flavor", "capacity"])
def test_what_a_disk_needs(key: str) -> None:
    tree = site({})
    del web(tree)["disks"][0][key]
    assert list(mistakes(tree)) == [f"{PATH}.{key}"]


def test_two_items_for_one_disk() -> None:
    found = mistakes(site({"name": "data-[1:2]"}, {"name": "data-2"}))
    assert {path: row[0] for path, row in found.items()} == {f"{PATH[:-3]}[1].name": "NameTaken"}


def test_a_disk_in_an_absent_project() -> None:
    tree = site({})
    web(tree).update(state="absent", vms=[])
    assert mistakes(tree)[f"{PATH}.state"][0] == "ContainerNotEmpty"


def test_a_vm_that_is_declared_absent_gets_no_disk() -> None:
    tree = site({"attached_to": "web-01"})
    web(tree)["vms"] = [{"name": "web-01", "state": "absent"}]
    assert mistakes(tree)[f"{PATH}.attached_to"][0] == "VmNotFound"


def test_a_module_asks_for_nothing_that_an_existing_disk_has() -> None:
    [item] = check_items("disk", [{"name": "data", "attached_to": ""}], scope={"tenant": "acme", "project": "web"})
    assert (item["capacity"], item["flavor"], item["tags"], item["attached_to"]) == (None, None, None, "")
    with pytest.raises(PhotonError) as caught:
        check_items("disk", [{"name": "data", "capacity": "10 MB"}])
    assert caught.value.data["path"] == "disks[0].capacity"
