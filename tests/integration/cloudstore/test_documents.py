"""Documents: versions, names, history, tombstones, snapshots."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document, name_key
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

HUGE = (8 << 50) + 1  # 8 PiB + 1 byte: no float holds it


def vm(name, scope="p1", **body):
    return Document("vm", name, scope, "CREATING", name_key=name_key("vm", scope, name), body=body)


def insert(store, *documents):
    return store.run(lambda tx: tx.insert(documents))


def test_an_insert_is_version_1_with_the_databases_time(store):
    [made] = insert(store, vm("web-1", memory=HUGE, text="ä\u0000\"'{}"))
    assert made.version == 1
    assert abs(made.created_at - store.now()) < 60
    assert store.snapshot().documents == [made]
    assert made.body == {"memory": HUGE, "text": "ä\u0000\"'{}"}


def test_a_taken_name_is_refused_and_nothing_of_the_batch_stays(store):
    [first] = insert(store, vm("web-2"))

    def try_it(tx):
        with pytest.raises(PhotonError) as caught:
            tx.insert([vm("web-1"), vm("web-2"), vm("web-3")])
        tx.insert([vm("web-1")])
        return caught.value

    error = store.run(try_it)
    assert error.code == "NameTaken"
    assert error.data == {"kind": "vm", "name": "web-2", "id": first.id}
    assert sorted(d.name for d in store.snapshot().documents) == ["web-1", "web-2"]


def test_two_of_one_name_in_one_batch_are_refused(store):
    with pytest.raises(PhotonError) as caught:
        insert(store, vm("web-1"), vm("web-1"))
    assert caught.value.code == "NameTaken"
    assert store.snapshot().documents == []


def test_entities_made_by_id_may_share_a_name(store):
    made = insert(store, Document("image", "debian"), Document("image", "debian"))
    assert len({d.id for d in made}) == 2
    with pytest.raises(PhotonError) as caught:
        store.run(lambda tx: tx.find("image", "", "debian"))
    assert caught.value.code == "InvalidEntity"


def test_an_update_needs_the_version_that_was_read(store, open_again):
    [made] = insert(store, vm("web-1", size=1))
    [second] = store.run(lambda tx: tx.update([made.with_body(size=2)]))
    assert second.version == 2
    with pytest.raises(PhotonError) as caught:
        open_again().run(lambda tx: tx.update([made.with_body(size=3)]))
    assert caught.value.code == "StaleVersion"
    assert caught.value.data == {"ids": [made.id]}
    assert store.snapshot().documents[0].body == {"size": 2}


def test_an_update_of_something_deleted_says_so(store):
    [made] = insert(store, vm("web-1"))
    store.run(lambda tx: tx.delete([made]))
    with pytest.raises(PhotonError) as caught:
        store.run(lambda tx: tx.update([made]))
    assert caught.value.code == "VmNotFound"


def test_renaming_to_a_taken_name_is_refused(store):
    made, other = insert(store, vm("web-1"), vm("web-2"))
    made.name, made.name_key = other.name, other.name_key
    with pytest.raises(PhotonError) as caught:
        store.run(lambda tx: tx.update([made]))
    assert caught.value.code == "NameTaken"


def test_history_tells_who_when_and_what_was_before(store, open_again):
    [made] = insert(store, vm("web-1", size=1, tags=["a"]))
    made.state = "STOPPED"
    other = open_again(by="somebody else")
    [second] = other.run(lambda tx: tx.update([made.with_body(size=2, cpu=1)]))
    other.run(lambda tx: tx.delete([second]))
    first, change, last = store.history(made.id)
    assert (first.version, first.by, first.what, first.before) == (1, "tester", "insert", {})
    assert (change.version, change.by, change.what) == (2, "somebody else", "update")
    assert change.before == {"state": "CREATING", "body.size": 1, "body.cpu": None}
    assert (last.version, last.what, last.before["body"]) == (3, "delete", {"size": 2, "tags": ["a"], "cpu": 1})
    assert first.at <= change.at <= last.at


def test_a_delete_leaves_a_tombstone_and_frees_what_it_held(store):
    [made] = insert(store, vm("web-1"))

    def fill(tx):
        tx.set_limits(made.id, {"vm": (5, "COUNT")})
        tx.charge(made.id, {"vm": (3, "COUNT")})

    store.run(fill)
    store.run(lambda tx: tx.delete([made]))
    snapshot = store.snapshot()
    assert (snapshot.documents, snapshot.counters) == ([], {})
    [tomb] = store.tombstones()
    assert (tomb.id, tomb.state, tomb.version) == (made.id, "DELETED", 2)
    assert tomb.deleted_at >= made.created_at
    assert insert(store, vm("web-1"))[0].version == 1


def test_groom_keeps_what_is_younger_than_a_day(store):
    [made] = insert(store, vm("web-1"))
    store.run(lambda tx: tx.delete([made]))
    assert store.groom()["tombstones"] == 0
    assert len(store.history(made.id)) == 2
    assert store.groom(-60)["tombstones"] == 1
    assert store.tombstones() == []
    assert store.history(made.id) == []


def test_a_snapshot_can_be_of_some_kinds_and_scopes(store):
    insert(store, vm("web-1", "p1"), vm("web-2", "p2"), Document("zone", "a"))
    assert {d.name for d in store.snapshot(["vm"]).documents} == {"web-1", "web-2"}
    assert {d.name for d in store.snapshot(["vm"], ["p2"]).documents} == {"web-2"}
    assert {d.name for d in store.snapshot(scope_ids=["", "p1"]).documents} == {"web-1", "a"}


def test_reads_inside_a_transaction(store):
    [made] = insert(store, vm("web-1"))
    assert store.run(lambda tx: tx.get([made.id, "nobody"])) == {made.id: made}
    assert store.run(lambda tx: tx.find("vm", "p1", "web-1")) == made
    assert store.run(lambda tx: tx.find("vm", "p2", "web-1")) is None
    assert store.run(lambda tx: tx.list("vm", "p1")) == [made]


def test_an_error_undoes_the_whole_transaction(store):
    def work(tx):
        tx.insert([vm("web-1")])
        raise PhotonError("QuotaError", "no more")

    with pytest.raises(PhotonError):
        store.run(work)
    assert store.snapshot().documents == []
