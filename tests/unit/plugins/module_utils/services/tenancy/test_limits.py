# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of a tenant and its projects, settled together."""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.quota import Counter
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.tenancy import limits
from ansible_collections.photon.platform.plugins.module_utils.services.tenancy.limits import Draft


def draft(kind: str, before: dict[str, int], after: dict[str, int]) -> Draft:
    document = Document(kind, kind, id=kind)
    return Draft(document, document, {}, *({key: (n, "COUNT") for key, n in each.items()} for each in (before, after)))


def test_a_project_that_keeps_its_old_limits_keeps_the_tenant_from_a_new_key() -> None:
    """It would get the key, but uses more of another one than it would have."""
    tenant = draft(entities.TENANT, {"vm.cpu": 10}, {"vm.cpu": 10, "vm.count": 9})
    project = draft(entities.PROJECT, {"vm.cpu": 4}, {"vm.cpu": 2, "vm.count": 5})
    state = CurrentState(counters={entities.PROJECT: {"vm.cpu": Counter(limit=4, usage=3)}})
    limits.settle(tenant, [project], state)
    assert project.error is not None
    assert project.error.code == "QuotaError"
    assert tenant.error is not None
    assert tenant.error.code == "InvalidResourceTicketSubdivide"


def test_a_tenant_gets_a_new_key_with_all_its_projects() -> None:
    tenant = draft(entities.TENANT, {"vm.cpu": 10}, {"vm.cpu": 10, "vm.count": 9})
    project = draft(entities.PROJECT, {"vm.cpu": 4}, {"vm.cpu": 3, "vm.count": 5})
    limits.settle(tenant, [project], CurrentState())
    assert (tenant.error, project.error) == (None, None)
