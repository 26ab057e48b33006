# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts and datastores offer, and what others than the platform use of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Inventory
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services.fleet import capacity
from ansible_collections.photon.platform.plugins.module_utils.services.images.record import new_copy
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState

from tests.support.accounts import GB, VM, Accounts, accounts, document, row


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Accounts]:
    with accounts(tmp_path) as made:
        yield made


def offered(state: CurrentState) -> dict[tuple[str, str], tuple[int | None, int]]:
    """``{(provider, resource): (limit, foreign)}`` of what differs from the records."""
    rows = [*capacity.host_inventories(state), *capacity.datastore_inventories(state)]
    return {(each.provider, each.resource): (each.limit, each.foreign) for each in rows}


def test_hosts_offer_their_hardware_times_overcommit(site: Accounts) -> None:
    state = site.state()
    state.capacity.clear()
    assert offered(state) == {
        ("h1", "vcpus"): (40, 0), ("h1", "memory"): (150 * GB, 0), ("d1", "space"): (900 * GB, 0),
        ("h2", "vcpus"): (40, 0), ("h2", "memory"): (150 * GB, 0), ("d2", "space"): (900 * GB, 0),
    }  # fmt: skip
    assert {(each.provider, each.resource): each.unit for each in capacity.host_inventories(state)} == {
        ("h1", "vcpus"): "COUNT", ("h1", "memory"): "B", ("h2", "vcpus"): "COUNT", ("h2", "memory"): "B",
    }  # fmt: skip
    assert capacity.limits_of(Document(entities.HOST, "x", body=state.must("h1").body, observed=FACTS)) == (12, 6)


FACTS = {"moid": "host-9", "vcpus": 3, "memory": 4}


def test_only_differences_are_written(site: Accounts) -> None:
    state = site.state()
    assert offered(state) == {}
    site.inventory.hosts["host-2"].cores = 8
    assert offered(state) == {("h2", "vcpus"): (32, 0)}


def test_vms_of_others_count_as_foreign_and_ours_do_not(site: Accounts) -> None:
    site.add(VM)
    site.show(row("v1", 1))
    site.show(row("other-1", 1, vcpus=3, memory=5 * GB))
    site.show(row("other-2", 1, vcpus=1, memory=GB))
    site.show(row("template", 1, template=True))
    assert offered(site.state()) == {("h1", "vcpus"): (40, 4), ("h1", "memory"): (150 * GB, 6 * GB)}


def test_files_of_others_count_as_foreign_and_ours_do_not(site: Accounts) -> None:
    site.add(VM)
    site.show(row("v1", 1, space={"datastore-1": 2 * GB}))
    site.show(row("other-1", 1, vcpus=0, memory=0, space={"datastore-1": 9 * GB}))
    site.inventory.datastores["datastore-1"].free = 880 * GB
    assert offered(site.state()) == {("d1", "space"): (900 * GB, 18 * GB)}


def test_a_vm_that_the_plan_deletes_is_still_ours(site: Accounts) -> None:
    """Its rows stay until it is deleted: as foreign it would be counted twice."""
    site.add(VM)
    site.show(row("v1", 1))
    state = site.state()
    state.drop("v1")
    assert offered(state) == {}


def test_copies_of_images_use_no_cpu_and_no_memory(site: Accounts) -> None:
    image = Document(entities.IMAGE, "debian", body={"size": GB})
    copied = new_copy(image, site.state().must("d1"))
    site.store.run(lambda tx: tx.insert([image, copied]))
    site.show(row(copied.body["template_uuid"], 1))
    assert offered(site.state()) == {}


def test_an_unread_endpoint_offers_what_is_recorded(site: Accounts) -> None:
    state = site.state()
    state.inventories.clear()
    state.put(replace(state.must("h1"), observed=FACTS))
    state.capacity["h1"]["vcpus"] = Inventory("h1", entities.HOST, "vcpus", limit=1, foreign=2)
    assert offered(state) == {}
    found = {key: (each.limit, each.foreign) for key, each in capacity.recorded(state).items()}
    assert found["h1", "vcpus"] == (12, 2)
    assert found["h1", "memory"] == (6, 0)
    assert found["d1", "space"] == (900 * GB, 0)
    assert document(VM).id not in {provider for provider, _resource in found}
