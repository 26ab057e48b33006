# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints that are one vCenter, and those that a declaration needs."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Task
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Declaration
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services import site
from ansible_collections.photon.platform.plugins.module_utils.services.planning import (
    KEEP,
    Action,
    Options,
    Plan,
    Planning,
)
from ansible_collections.photon.platform.plugins.module_utils.services.site import check_identities
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import EndpointInventory


def endpoint(identity: str, name: str, version: int) -> Document:
    return Document(
        entities.ENDPOINT, name, id=identity, version=version, observed={"instance_uuid": "vcenter"} if version else {}
    )


def test_one_vcenter_under_two_names_is_refused_once_however_often_it_is_checked() -> None:
    state = CurrentState(
        [endpoint("e1", "vc1", 3), endpoint("e2", "localhost", 4)],
        inventories={key: EndpointInventory("vcenter", "vcenter") for key in ("e1", "e2")},
    )
    for _again in range(2):
        check_identities(state)
        assert set(state.inventories) == {"e2"}
        assert {key: error.code for key, error in state.unreachable.items()} == {"e1": "DuplicateHost"}
        assert "same vCenter as endpoint localhost" in state.unreachable["e1"].message


def test_of_two_names_the_recorded_one_stays() -> None:
    """A new name that comes first in the alphabet is the one to correct."""
    state = CurrentState(
        [endpoint("e1", "vc1", 3), endpoint("e2", "alias", 0)],
        inventories={key: EndpointInventory("vcenter", "vcenter") for key in ("e1", "e2")},
    )
    check_identities(state)
    assert set(state.inventories) == {"e1"}


class Reader:
    """Notes which endpoints are read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def read_endpoints(self, state: CurrentState, endpoints: list[Document], _detailed: set[str]) -> None:
        self.read += [each.id for each in endpoints]


def test_what_another_run_works_on_is_refused_also_where_only_its_copies_are_missing() -> None:
    """A kept image whose task would lock it again must not end the whole run with a conflict."""
    image, kept = (Document(entities.IMAGE, name, id=name) for name in ("image", "kept"))
    theirs = {d.id: Task("CREATE_IMAGE", entities.IMAGE, d.id, run_id="other") for d in (image, kept)}
    plan = Plan()
    task = Task("CREATE_IMAGE", entities.IMAGE, "image")
    plan.add(Action(verb=KEEP, kind=entities.IMAGE, name="image", document=image, task=task))
    plan.add(Action(verb=KEEP, kind=entities.IMAGE, name="kept", document=kept))
    planning = Planning(Declaration(), CurrentState([image, kept], busy=theirs), plan, SYSTEM, "api", Options(), str)
    assert site._refuse_busy(planning) == {"other"}
    assert [action.name for action in plan.actions] == ["kept"]
    assert [(failure.name, failure.error.code) for failure in plan.failures] == [("image", "ConcurrentTask")]
    assert "kept (CREATE_IMAGE)" in plan.warnings[0]


def test_an_image_that_waits_for_its_last_user_needs_all_endpoints() -> None:
    """Its copies are deleted with it, wherever they are."""
    image = Document(entities.IMAGE, "debian", id="i", state="PENDING_DELETE")
    state = CurrentState([*(Document(entities.ENDPOINT, name, id=name) for name in ("e1", "e2")), image])
    reader = Reader()
    planning = Planning(Declaration(), state, Plan(), SYSTEM, "api", Options(), str, whole=False)
    site._read(planning, reader)  # type: ignore[arg-type]
    assert reader.read == ["e1", "e2"]


def item(name: str, **fields: str) -> dict[str, str]:
    return {"tenant": "acme", "project": "web", "name": name, **fields}


@pytest.mark.parametrize(
    ("declared", "whole", "expected"),
    [
        ({}, True, ["e1", "e2"]),
        ({"tenants": [{"name": "acme"}], "flavors": [{"name": "f"}]}, False, []),
        ({"hosts": [{"name": "esx01"}]}, False, ["e1", "e2"]),
        ({"image_datastores": ["ds"]}, False, ["e1", "e2"]),
        ({"vms": [item("web-01")]}, False, ["e1"]),
        ({"vms": [item("web-02", state="absent")]}, False, []),
        ({"vms": [item("web-01"), item("new")]}, False, ["e1", "e2"]),
        ({"vms": [item("web-01")], "disks": [item("data")]}, False, ["e1", "e2"]),
    ],
)
def test_only_the_endpoints_that_a_declaration_needs_are_read(
    monkeypatch: pytest.MonkeyPatch, declared: dict[str, Any], whole: bool, expected: list[str]
) -> None:
    monkeypatch.setattr(site.registry, "KINDS", {})  # no kind asks for more
    state = CurrentState(
        [
            *(Document(entities.ENDPOINT, name, id=name) for name in ("e1", "e2")),
            Document(entities.TENANT, "acme", id="t"),
            Document(entities.PROJECT, "web", "t", id="p"),
            Document(entities.VM, "web-01", "p", id="v1", observed={"endpoint": "e1"}),
        ]
    )
    reader = Reader()
    planning = Planning(Declaration(**declared), state, Plan(), SYSTEM, "api", Options(), str, whole=whole)
    site._read(planning, reader)  # type: ignore[arg-type]
    assert reader.read == expected
