# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints that are one vCenter."""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
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
