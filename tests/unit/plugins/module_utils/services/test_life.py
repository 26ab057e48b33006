# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every entity has, what it leaves behind, and who may work on it at a time."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Step, Task
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import stores

ACME = "photon_tenants: [{name: acme, projects: [{name: web}]}]"
GONE = "photon_tenants: [{name: acme, state: absent, projects: [{name: web, state: absent}]}]"
DAY = 24 * 3600.0


def task(entity_id: str) -> Task:
    return Task("CREATE_VM", entities.VM, entity_id, [Step(0, "CREATE_VM")])


def test_an_entity_has_id_kind_and_name(platform) -> None:
    platform.apply(ACME)
    document = platform.find(entities.PROJECT, "acme/web")
    assert (len(document.id), document.kind, document.name) == (36, "project", "web")


def test_what_is_deleted_leaves_a_tombstone_for_a_day(platform) -> None:
    platform.apply(ACME)
    ids = {d.id for d in platform.store.snapshot().documents}
    platform.apply(GONE)
    stores.groom(platform.store, DAY)
    assert {d.id for d in platform.store.tombstones()} == ids
    assert {d.state for d in platform.store.tombstones()} == {"DELETED"}
    stores.groom(platform.store, -1.0)  # as if that day had passed
    assert platform.store.tombstones() == []


def test_a_deleted_name_is_free_at_once(platform) -> None:
    platform.apply(ACME)
    platform.apply(GONE)
    assert len(platform.changes(ACME)) == 2


def test_one_task_at_a_time(platform) -> None:
    run = platform.store.begin_run()
    platform.store.run(lambda tx: tx.add_tasks([task("some-vm")]))
    with pytest.raises(PhotonError) as caught:
        platform.store.run(lambda tx: tx.add_tasks([task("some-vm")]))
    assert caught.value.code == "ConcurrentTask"
    [first] = platform.store.snapshot().open_tasks
    platform.store.run(lambda tx: tx.finish_tasks({first.id: None}))
    platform.store.run(lambda tx: tx.add_tasks([task("some-vm")]))
    run.end()


def test_locks_of_a_run_that_ended_are_taken_over(platform) -> None:
    dead = platform.store.begin_run(ttl=30)
    platform.store.run(lambda tx: tx.add_tasks([task("some-vm")]))
    dead.end()
    alive = platform.store.begin_run()
    assert [t.entity_id for t in platform.store.take_over(alive)] == ["some-vm"]
    [taken] = platform.store.snapshot().open_tasks
    platform.store.run(lambda tx: tx.finish_tasks({taken.id: None}))
    platform.store.run(lambda tx: tx.add_tasks([task("some-vm")]))
    alive.end()
