# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A CloudStore takes the place of a lost one: in one transaction, where it is empty, and by one run alone."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Claim, Conflict, Inventory
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document

LOST = "5f0e0000-0000-4000-8000-000000000001"


def document(number: int) -> Document:
    return Document("zone", f"z{number}", id=f"id-{number}", name_key=f"zone//z{number}")


def test_the_identity_of_the_lost_one_stays(store, open_again) -> None:
    own = store.rules_tag
    store.run(lambda tx: tx.take_identity(LOST, "1a2b3c4d"))
    again = open_again("read")
    assert (again.store_id, again.rules_tag) == (LOST, "1a2b3c4d")
    assert own != "1a2b3c4d"
    assert again.digest("x") == store.digest("x")
    store.run(lambda tx: tx.take_identity(LOST, "ffffffff"))
    assert open_again("read").rules_tag == "ffffffff"


def test_a_failure_leaves_the_identity_and_the_content(store, open_again) -> None:
    def work(tx) -> None:
        tx.take_identity(LOST, "1a2b3c4d")
        tx.erase()
        tx.insert([document(2)])
        raise RuntimeError("killed")

    before = store.store_id
    store.run(lambda tx: tx.insert([document(1)]))
    with pytest.raises(RuntimeError):
        store.run(work)
    again = open_again("read")
    assert again.store_id == before
    assert [d.id for d in again.snapshot().documents] == ["id-1"]


def test_everything_is_erased_but_the_identity_and_the_runs(store) -> None:
    host = Document("host", "h", id="h", name_key="host//h")
    run = store.begin_run()
    store.run(lambda tx: tx.insert([host, document(1)]))
    store.run(lambda tx: tx.set_inventories([Inventory("h", "host", "vcpus", limit=4)]))
    store.run(lambda tx: tx.claim([Claim("id-1", {"h": {"vcpus": 1}}, frozenset({"key"}))]))
    store.run(lambda tx: tx.erase())
    found = store.snapshot(allocations=True)
    assert (found.documents, found.inventories, found.held, found.exclusives) == ([], {}, {}, {})
    run.end()


def test_of_two_rebuilds_at_once_one_is_refused(open_again) -> None:
    stores, results = [open_again(), open_again()], []
    ready = threading.Barrier(2)

    def rebuild(number: int) -> None:
        def work(tx) -> None:
            tx.take_identity(LOST, "1a2b3c4d")
            tx.refuse_content()
            tx.insert([document(number)])

        ready.wait()
        try:
            stores[number].run(work)
            results.append("done")
        except Conflict as conflict:
            results.append(conflict.code)

    threads = [threading.Thread(target=rebuild, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["CloudStoreNotEmpty", "done"]
    assert len(stores[0].snapshot().documents) == 1
