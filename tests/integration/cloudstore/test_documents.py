"""Documents: versions, names, history, tombstones, snapshots."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Claim, Conflict, Task
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.tables import tables
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document, name_key
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import stores

HUGE = (8 << 50) + 1  # 8 PiB + 1 byte: no float holds it


def vm(name, scope="p1", **body):
    return Document("vm", name, scope, "CREATING", name_key=name_key("vm", scope, name), body=body)


def insert(store, *documents):
    return store.run(lambda tx: tx.insert(documents))


def test_an_insert_is_version_1_with_the_databases_time(store):
    [made] = insert(store, vm("web-1", memory=HUGE, text="ä\u0000\"'{}"))
    assert made.version == 1
    snapshot = store.snapshot()
    assert abs(made.created_at - snapshot.taken_at) < 60
    assert snapshot.documents == [made]
    assert made.body == {"memory": HUGE, "text": "ä\u0000\"'{}"}


def test_a_taken_name_is_refused_and_nothing_of_the_batch_stays(store):
    [first] = insert(store, vm("web-2"))
    with pytest.raises(Conflict) as caught:
        insert(store, vm("web-1"), vm("web-2"), vm("web-3"))
    assert caught.value.code == "NameTaken"
    assert caught.value.data == {"kind": "vm", "name": "web-2", "id": first.id, "ids": [first.id]}
    assert [d.name for d in store.snapshot().documents] == ["web-2"]


def test_an_id_that_exists_is_a_conflict(store):
    [first] = insert(store, vm("web-1"))
    with pytest.raises(Conflict) as caught:
        insert(store, Document("vm", "web-2", "p1", id=first.id))
    assert (caught.value.code, caught.value.data) == ("StaleVersion", {"ids": [first.id]})


def test_two_of_one_name_in_one_batch_are_refused(store):
    with pytest.raises(PhotonError) as caught:
        insert(store, vm("web-1"), vm("web-1"))
    assert caught.value.code == "NameTaken"
    assert store.snapshot().documents == []


def test_entities_made_by_id_may_share_a_name(store):
    made = insert(store, Document("image", "debian"), Document("image", "debian"))
    assert len({d.id for d in made}) == 2


def test_an_update_needs_the_version_that_was_read(store, open_again):
    [made] = insert(store, vm("web-1", size=1))
    [second] = store.run(lambda tx: tx.update([made.with_body(size=2)]))
    assert second.version == 2
    with pytest.raises(Conflict) as caught:
        open_again().run(lambda tx: tx.update([made.with_body(size=3)]))
    assert caught.value.code == "StaleVersion"
    assert caught.value.data == {"ids": [made.id]}
    assert store.snapshot().documents[0].body == {"size": 2}


def test_an_update_of_something_deleted_says_so(store):
    [made] = insert(store, vm("web-1"))
    store.run(lambda tx: tx.delete([made]))
    with pytest.raises(Conflict) as caught:
        store.run(lambda tx: tx.update([made]))
    assert (caught.value.code, caught.value.data) == ("StaleVersion", {"ids": [made.id]})
    assert "deleted concurrently" in caught.value.message


def test_versions_are_checked_without_writing(store):
    one, two = insert(store, vm("web-1"), vm("web-2"))
    store.run(lambda tx: tx.check_versions({one.id: 1, two.id: 1}))
    with pytest.raises(Conflict) as caught:
        store.run(lambda tx: tx.check_versions({one.id: 1, two.id: 2, "deleted": 1}))
    assert (caught.value.code, caught.value.data["ids"]) == ("StaleVersion", ["deleted", two.id])


def test_an_update_without_a_change_of_intent_keeps_the_version(store):
    [made] = insert(store, vm("web-1", size=1))
    [same] = store.run(lambda tx: tx.update([made.with_observed(host="h1")]))
    assert same == made
    assert len(store.history(made.id)) == 1


def test_an_observation_changes_neither_version_nor_history(store):
    [made] = insert(store, vm("web-1", size=1))
    [seen] = store.run(lambda tx: tx.observe({made.id: {"host": "h1"}}, {made.id: "STARTED"}))
    assert (seen.version, seen.observed, seen.state, seen.body) == (1, {"host": "h1"}, "STARTED", {"size": 1})
    assert store.snapshot().documents == [seen]
    [later] = store.run(lambda tx: tx.update([made.with_body(size=2)]))
    assert (later.version, later.observed) == (2, {"host": "h1"})  # written from a plan that did not see it
    assert len(store.history(made.id)) == 2
    assert store.run(lambda tx: tx.observe({"unknown": {}})) == []


def test_renaming_to_a_taken_name_is_refused(store):
    made, other = insert(store, vm("web-1"), vm("web-2"))
    made.name, made.name_key = other.name, other.name_key
    with pytest.raises(PhotonError) as caught:
        store.run(lambda tx: tx.update([made]))
    assert caught.value.code == "NameTaken"


def test_history_tells_who_when_and_what_was_before(store, open_again):
    [made] = insert(store, vm("web-1", size=1, tags=["a"]))
    made.state = "STOPPED"
    other = open_again(by="another user")
    [second] = other.run(lambda tx: tx.update([made.with_body(size=2, cpu=1)]))
    other.run(lambda tx: tx.delete([second]))
    first, change, last = store.history(made.id)
    assert (first.version, first.by, first.what, first.before) == (1, "tester", "insert", {})
    assert (change.version, change.by, change.what) == (2, "another user", "update")
    assert change.before == {"state": "CREATING", "body.size": 1, "body.cpu": None}
    assert (last.version, last.what, last.before["body"]) == (3, "delete", {"size": 2, "tags": ["a"], "cpu": 1})
    assert first.at <= change.at <= last.at


def test_a_delete_leaves_a_tombstone_and_frees_what_it_held(store):
    [made] = insert(store, vm("web-1"))

    store.run(lambda tx: tx.claim([Claim(made.id, exclusive=frozenset({"name"}))]))
    store.run(lambda tx: tx.delete([made]))
    snapshot = store.snapshot()
    assert (snapshot.documents, snapshot.exclusives) == ([], {})
    [tomb] = store.tombstones()
    assert (tomb.id, tomb.state, tomb.version) == (made.id, "DELETED", 2)
    assert tomb.deleted_at >= made.created_at
    assert insert(store, vm("web-1"))[0].version == 1


def test_groom_keeps_what_is_younger_than_a_day(store):
    [made] = insert(store, vm("web-1"))
    store.run(lambda tx: tx.delete([made]))
    assert stores.groom(store)["tombstones"] == 0
    assert len(store.history(made.id)) == 2
    assert stores.groom(store, -60)["tombstones"] == 1
    assert store.tombstones() == []
    assert store.history(made.id) == []


def test_a_living_document_keeps_fifty_versions(store):
    [made] = insert(store, vm("web-1", size=0))
    [other] = insert(store, vm("web-2"))

    def work(tx):
        document = made
        for size in range(1, 55):
            [document] = tx.update([document.with_body(size=size)])

    store.run(work)
    assert [change.version for change in store.history(made.id)] == list(range(6, 56))
    assert len(store.history(other.id)) == 1


def test_a_snapshot_can_be_of_some_kinds(store):
    insert(store, vm("web-1", "p1"), vm("web-2", "p2"), Document("zone", "a"))
    assert {d.name for d in store.snapshot(["vm"]).documents} == {"web-1", "web-2"}
    assert {d.name for d in store.snapshot().documents} == {"web-1", "web-2", "a"}


def test_reads_inside_a_transaction(store):
    [made] = insert(store, vm("web-1"))
    assert store.run(lambda tx: tx.get([made.id, "unknown"])) == {made.id: made}


def test_users_of_a_document(store):
    [project] = insert(store, Document("project", "web", "t1"))
    [inside] = insert(store, vm("web-1", project.id))
    [named] = insert(store, Document("image", "debian", body={"project": project.id}))
    assert store.run(lambda tx: tx.users([project.id])) == {project.id: [inside]}
    assert store.run(lambda tx: tx.users([project.id], references=True)) == {project.id: [inside, named]}


# -- two runs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def worked_on(store, open_again):
    """A VM that the run of the first store works on, and a store whose run does not: `(vm, task, other store)`."""
    store.begin_run()
    [made] = insert(store, vm("web-1", size=1))
    [task] = store.run(lambda tx: tx.add_tasks([Task("RESIZE_VM", "vm", made.id)]))
    other = open_again(by="another user")
    other.begin_run()
    return made, task, other


def conflict(store, work):
    with pytest.raises(Conflict) as caught:
        store.run(work)
    return caught.value


def test_a_locked_document_is_changed_by_its_run_alone(store, worked_on, open_again):
    made, task, other = worked_on
    for blocked in (other, open_again()):  # a store without a run, too
        for work in (lambda tx: tx.update([made.with_body(size=2)]), lambda tx: tx.delete([made])):
            error = conflict(blocked, work)
            assert (error.code, error.data["ids"], error.data["task_id"]) == ("ConcurrentTask", [made.id], task.id)
    assert store.run(lambda tx: tx.update([made.with_body(size=3)]))[0].version == 2


def test_a_locked_document_is_not_observed_by_others(store, worked_on):
    made, task, other = worked_on
    [free] = insert(store, vm("web-2"))
    facts = {made.id: {"host": "h9"}, free.id: {"host": "h2"}}
    assert [d.id for d in other.run(lambda tx: tx.observe(facts, {made.id: "STOPPED"}))] == [free.id]
    documents = {d.id: d for d in store.snapshot().documents}
    assert (documents[made.id].observed, documents[made.id].state) == ({}, "CREATING")
    assert documents[free.id].observed == {"host": "h2"}
    assert [d.id for d in store.run(lambda tx: tx.observe({made.id: {"host": "h1"}}))] == [made.id]
    store.run(lambda tx: tx.finish_tasks({task.id: None}))
    assert [d.id for d in other.run(lambda tx: tx.observe({made.id: {"host": "h9"}}))] == [made.id]


def test_settle_needs_no_version_and_names_what_is_gone(store, worked_on):
    made, task, other = worked_on
    store.run(lambda tx: tx.update([made.with_body(size=2)]))
    result = vm("renamed", size=4).with_observed(host="h1")
    result.id, result.state = made.id, "STARTED"
    gone = vm("web-9")

    def work(tx):
        missing = tx.settle([result, gone])
        tx.finish_tasks({task.id: None})
        return missing

    assert store.run(work) == [gone.id]
    [after] = store.snapshot().documents
    assert (after.name, after.state, after.version) == ("web-1", "STARTED", 3)
    assert (after.body, after.observed) == ({"size": 4}, {"host": "h1"})
    assert [c.before for c in store.history(made.id)][2] == {"state": "CREATING", "body.size": 2}
    with pytest.raises(PhotonError) as caught:
        store.run(lambda tx: tx.settle([result]))
    assert caught.value.code == "InternalError"
    with pytest.raises(PhotonError) as caught:
        other.run(lambda tx: tx.settle([result]))
    assert caught.value.code == "InternalError"


def test_a_settled_observation_keeps_the_version(store, worked_on):
    made, _task, _other = worked_on
    store.run(lambda tx: tx.settle([made.with_observed(address="10.0.0.5")]))
    [after] = store.snapshot().documents
    assert (after.version, after.observed) == (1, {"address": "10.0.0.5"})


def test_bury_deletes_what_the_task_locks_and_all_it_held(store, worked_on):
    made, task, other = worked_on
    store.run(lambda tx: tx.update([made.with_body(size=2)]))
    store.run(lambda tx: tx.claim([Claim(made.id, exclusive=frozenset({"name"}))]))
    with pytest.raises(PhotonError):
        other.run(lambda tx: tx.bury([made]))
    gone = vm("web-9")
    assert store.run(lambda tx: (tx.bury([made, gone]), tx.finish_tasks({task.id: None}))[0]) == [gone.id]
    snapshot = store.snapshot()
    assert (snapshot.documents, snapshot.exclusives, snapshot.open_tasks) == ([], {}, [])
    [tomb] = store.tombstones()
    assert (tomb.id, tomb.version, tomb.body) == (made.id, 3, {"size": 2})


def test_a_run_that_lost_its_lease_settles_nothing(store, open_again):
    store.begin_run(ttl=-1)
    [made] = insert(store, vm("web-1"))
    store.run(lambda tx: tx.add_tasks([Task("RESIZE_VM", "vm", made.id)]))
    other = open_again()
    other.take_over(other.begin_run())
    for work in (lambda tx: tx.settle([made.with_body(size=9)]), lambda tx: tx.bury([made])):
        with pytest.raises(PhotonError) as caught:
            store.run(work)
        assert caught.value.code == "LeaseLost"
    assert store.snapshot().documents == [made]
    assert other.run(lambda tx: tx.settle([made.with_body(size=2)])) == []


def test_an_error_undoes_the_whole_transaction(store):
    def work(tx):
        tx.insert([vm("web-1")])
        raise PhotonError("QuotaError", "no more")

    with pytest.raises(PhotonError):
        store.run(work)
    assert store.snapshot().documents == []


# -- kept plans ------------------------------------------------------------------------------------------------------


def test_a_kept_plan_is_read_by_every_store_of_the_database(store, open_again):
    plan = {"format": 2, "actions": [{"verb": "create", "name": "zähler"}], "only": []}
    plan_id = store.keep_plan(plan)
    assert store.keep_plan(dict(reversed(plan.items()))) == plan_id, "the same plan is one plan"
    assert open_again().kept_plan(plan_id) == plan
    assert store.keep_plan({**plan, "only": ["acme"]}) != plan_id


def test_a_plan_that_was_altered_is_not_found(store):
    plan_id = store.keep_plan({"actions": []})
    commits = tables().commits
    row = commits.c.key == f"plan:{plan_id}"
    change = commits.update().where(row).values(result='{"actions": [{"verb": "delete"}]}')
    store.database.write(lambda connection, _now: connection.execute(change))
    assert store.kept_plan(plan_id) is None
    assert store.kept_plan("0" * 64) is None


def test_plans_stay_for_a_week(store):
    plan_id = store.keep_plan({"actions": []})
    stores.groom(store, -60)
    assert store.kept_plan(plan_id) is not None
    stores.groom(store, -6 * 24 * 3600 - 60)
    assert store.kept_plan(plan_id) is None
