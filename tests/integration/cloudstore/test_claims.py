"""Allocations in one process: quota, capacity, exclusive keys. Many processes: test_concurrency.py."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Claim, Conflict, Inventory
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.quota import Counter

HUGE = (8 << 50) + 1


def claim(consumer, provider, **amounts):
    return Claim(consumer, {provider: {key.replace("_", "."): amount for key, amount in amounts.items()}})


def refused(store, *claims, **options):
    with pytest.raises(Conflict) as caught:
        store.run(lambda tx: tx.claim(claims, **options))
    return caught.value


def accepted(store, *claims, **options):
    store.run(lambda tx: tx.claim(claims, **options))


def limit(store, limits, owner="p1"):
    store.run(lambda tx: tx.set_limits(owner, "project", limits))


def usage(store, provider="p1"):
    return store.snapshot().usage.get(provider, {})


def held(store):
    return store.snapshot(allocations=True).held


@pytest.fixture
def site(store):
    """A tenant, a project, two hosts and a datastore."""

    def fill(tx):
        tx.insert(
            [
                Document("tenant", "acme", id="t1"),
                Document("project", "web", "t1", id="p1"),
                Document("host", "esx-1", id="h1"),
                Document("host", "esx-2", id="h2"),
                Document("datastore", "fast", id="d1"),
            ]
        )
        tx.set_inventories(
            [
                Inventory("h1", "host", "vcpus", limit=8),
                Inventory("h1", "host", "memory", "B", HUGE, foreign=1),
                Inventory("h2", "host", "vcpus", limit=8),
                Inventory("h2", "host", "memory", "B", HUGE),
                Inventory("d1", "datastore", "space", "B", 100),
            ]
        )

    store.run(fill)
    return store


def test_usage_reaches_the_limit_and_never_passes_it(site):
    limit(site, {"vm.memory": (HUGE, "GB")})
    accepted(site, claim("a", "p1", vm_memory=HUGE - 1))
    error = refused(site, claim("b", "p1", vm_memory=2))
    assert error.code == "QuotaError"
    assert error.data == {
        "key": "vm.memory", "unit": "GB", "limit": HUGE, "usage": HUGE - 1, "newUsage": HUGE + 1, "ids": ["p1"],
    }  # fmt: skip
    assert "project acme/web" in error.message
    accepted(site, claim("b", "p1", vm_memory=1))
    assert site.snapshot().counters() == {"p1": {"vm.memory": Counter("GB", HUGE, HUGE)}}


def test_a_refused_claim_leaves_nothing(site):
    limit(site, {"a": (10, "COUNT"), "b": (1, "COUNT")})
    refused(site, claim("x", "p1", a=1), claim("y", "p1", b=2))
    assert (usage(site), held(site)) == ({}, {})


def test_a_key_without_limit_is_counted_in_its_unit(site):
    accepted(site, claim("x", "p1", vm=2, vm_memory=5, vm_cost=3))
    assert site.snapshot().counters() == {
        "p1": {"vm": Counter("COUNT", None, 2), "vm.memory": Counter("B", None, 5), "vm.cost": Counter("COST", None, 3)}
    }
    site.run(lambda tx: tx.release(["x"]))
    assert site.snapshot().counters() == {}


def test_a_claim_replaces_everything_its_consumer_held(site):
    accepted(site, Claim("x", {"p1": {"vm": 1, "vm.cpu": 4}, "h1": {"vcpus": 4}}, frozenset({"name:a"})))
    accepted(site, Claim("x", {"p1": {"vm": 1, "vm.cpu": 2}, "h2": {"vcpus": 2}}, frozenset({"name:b"})))
    assert held(site) == {"x": {("h2", "vcpus"): 2, ("p1", "vm"): 1, ("p1", "vm.cpu"): 2}}
    assert site.snapshot().exclusives == {"name:b": "x"}


def test_a_new_consumer_can_be_claimed_for_twice_in_one_transaction(site):
    def work(tx):
        tx.insert([Document("vm", "x", "p1", id="x")])
        tx.claim([claim("x", "p1", vm=1)])
        tx.claim([claim("x", "p1", vm=3)])

    site.run(work)
    assert usage(site) == {"vm": 3}


def test_release_deletes_all_rows_and_cannot_be_done_twice(site):
    accepted(site, Claim("x", {"h1": {"vcpus": 1}}, frozenset({"k"})), claim("y", "h1", vcpus=2))
    for _time in range(2):
        site.run(lambda tx: tx.release(["x", "unknown"]))
        assert held(site) == {"y": {("h1", "vcpus"): 2}}
        assert site.snapshot().exclusives == {}


def test_shrinking_is_allowed_beyond_the_limit_and_growing_is_not(site):
    accepted(site, claim("x", "h1", vcpus=8), claim("y", "h1", vcpus=3), check=False)
    accepted(site, claim("x", "h1", vcpus=7, memory=5))  # vcpus shrink though 10 of 8 stay used; memory grows and fits
    assert refused(site, claim("y", "h1", vcpus=4)).code == "InsufficientCapacity"
    accepted(site, claim("y", "h1", vcpus=3))
    assert usage(site, "h1") == {"vcpus": 10, "memory": 5}


def test_what_others_use_counts(site):
    error = refused(site, claim("x", "h1", memory=HUGE))
    assert (error.code, error.data["ids"], error.data["resource"]) == ("InsufficientCapacity", ["h1"], "memory")
    assert "host esx-1" in error.message
    accepted(site, claim("x", "h1", memory=HUGE - 1))


@pytest.mark.parametrize("check", [True, False])
def test_consumers_of_one_batch_count_together(site, check):
    batch = [claim(f"x{n}", "d1", space=51) for n in range(2)]
    if check:
        assert refused(site, *batch).data["ids"] == ["d1"]
    else:
        accepted(site, *batch, check=False)
        assert usage(site, "d1") == {"space": 102}


def test_a_host_without_recorded_capacity_takes_nothing_more(site):
    site.run(lambda tx: tx.insert([Document("host", "esx-3", id="h3")]))
    error = refused(site, claim("x", "h3", vcpus=1))
    assert (error.code, error.data["ids"]) == ("InsufficientCapacity", ["h3"])
    accepted(site, claim("x", "h3", vcpus=1), check=False)
    assert refused(site, claim("y", "h3", vcpus=1)).code == "InsufficientCapacity"
    site.run(lambda tx: tx.set_inventories([Inventory("h3", "host", "vcpus", limit=2)]))
    accepted(site, claim("y", "h3", vcpus=1))


def test_a_deleted_provider_is_a_conflict_or_left_out(site):
    site.run(lambda tx: tx.delete(tx.get(["h2"]).values()))
    error = refused(site, claim("x", "h2", vcpus=1))
    assert (error.code, error.data["ids"]) == ("StaleVersion", ["h2"])
    accepted(site, Claim("x", {"h2": {"vcpus": 1}, "h1": {"vcpus": 1}}), check=False)
    assert held(site) == {"x": {("h1", "vcpus"): 1}}


def test_a_deleted_document_leaves_no_rows(site):
    accepted(site, Claim("p1", {"t1": {"vm": 5}}), Claim("x", {"p1": {"vm": 1}, "h1": {"vcpus": 1}}, frozenset({"k"})))
    site.run(lambda tx: tx.insert([Document("vm", "y", "p1", id="y")]))
    accepted(site, Claim("y", {"p1": {"vm": 1}}, frozenset({"l"})))
    site.run(lambda tx: tx.delete(tx.get(["p1", "y"]).values()))
    assert held(site) == {"x": {("h1", "vcpus"): 1}}
    snapshot = site.snapshot()
    assert snapshot.exclusives == {"k": "x"}
    assert "p1" not in snapshot.inventories
    assert snapshot.counters() == {}


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_of_zero_has_no_row(site, amount):
    accepted(site, claim("x", "h1", vcpus=amount))
    assert held(site) == {}
    accepted(site, claim("x", "h1", vcpus=2), claim("y", "h1", vcpus=amount))
    assert held(site) == {"x": {("h1", "vcpus"): 2}}


def test_recording_without_a_check_accepts_any_amount(site):
    accepted(site, claim("x", "h1", vcpus=1 << 70, memory=-(1 << 70)), check=False)
    assert usage(site, "h1") == {"vcpus": (1 << 63) - 1}
    site.run(lambda tx: tx.release(["x"]))


def test_an_exclusive_key_has_one_holder(site):
    accepted(site, Claim("x", exclusive=frozenset({"a", "b"})))
    error = refused(site, Claim("y", exclusive=frozenset({"b", "c"})))
    assert (error.code, error.data) == ("NameTaken", {"key": "b", "consumer": "y", "holder": "x", "ids": ["y"]})
    assert refused(site, *(Claim(n, exclusive=frozenset({"d"})) for n in ("y", "z"))).data["holder"] == "y"
    accepted(site, Claim("y", exclusive=frozenset({"b", "c"})), check=False)
    assert site.snapshot().exclusives == {"a": "x", "b": "x", "c": "y"}
    site.run(lambda tx: tx.release(["x"]))
    accepted(site, Claim("y", exclusive=frozenset({"b"})))
    assert site.snapshot().exclusives == {"b": "y"}


def test_two_consumers_swap_their_keys(site):
    accepted(site, Claim("x", exclusive=frozenset({"a"})), Claim("y", exclusive=frozenset({"b"})))
    accepted(site, Claim("x", exclusive=frozenset({"b"})), Claim("y", exclusive=frozenset({"a"})))
    assert site.snapshot().exclusives == {"a": "y", "b": "x"}


def test_those_that_leave_make_room(site):
    accepted(site, Claim("old", {"h1": {"vcpus": 8}}, frozenset({"name:a"})))
    new = Claim("new", {"h1": {"vcpus": 8}}, frozenset({"name:a"}))
    assert refused(site, new).code == "NameTaken"
    accepted(site, new, leaving=["old"])
    assert site.snapshot().exclusives == {"name:a": "new"}
    site.run(lambda tx: tx.release(["old"]))
    assert usage(site, "h1") == {"vcpus": 8}
    assert refused(site, claim("more", "h1", vcpus=1), leaving=["unknown"]).code == "InsufficientCapacity"
    assert refused(site, Claim("thief", {}, frozenset({"name:a"})), leaving=["unknown"]).data["holder"] == "new"


def test_one_that_leaves_and_claims_frees_nothing_for_itself(site):
    accepted(site, claim("x", "h1", vcpus=5))
    assert refused(site, claim("x", "h1", vcpus=9), leaving=["x"]).code == "InsufficientCapacity"


def test_limits_are_replaced_and_compared_on_request(site):
    limit(site, {"a": (3, "COUNT"), "b": (2, "GB")})
    accepted(site, claim("x", "p1", a=3))
    limit(site, {"a": (2, "COUNT"), "c": (None, "COUNT")})
    assert site.snapshot().counters() == {"p1": {"a": Counter("COUNT", 2, 3)}}
    with pytest.raises(Conflict) as caught:
        site.run(lambda tx: tx.check_limits(["p1"]))
    assert caught.value.data == {"key": "a", "unit": "COUNT", "limit": 2, "usage": 3, "ids": ["p1"]}
    assert "project acme/web" in caught.value.message
    limit(site, {"a": (3, "COUNT")})
    site.run(lambda tx: tx.check_limits(["p1", "t1"]))
    limit(site, {})
    assert site.snapshot().counters() == {"p1": {"a": Counter("COUNT", None, 3)}}


def test_what_others_use_of_a_project_counts_and_survives_a_change_of_limits(site):
    accepted(site, claim("x", "p1", a=3))
    site.run(lambda tx: tx.set_inventories([Inventory("p1", "project", "a", foreign=2)]))
    limit(site, {"a": (4, "COUNT")})
    with pytest.raises(Conflict) as caught:
        site.run(lambda tx: tx.check_limits(["p1"]))
    assert (caught.value.code, caught.value.data["usage"]) == ("QuotaError", 5)


def test_capacity_is_recorded_by_the_last_writer(site):
    accepted(site, claim("x", "h1", vcpus=8))
    site.run(lambda tx: tx.set_inventories([Inventory("h1", "host", "vcpus", limit=4, foreign=2)]))
    row = site.snapshot().inventories["h1"]["vcpus"]
    assert (row.limit, row.foreign, usage(site, "h1")) == (4, 2, {"vcpus": 8})
    assert site.snapshot().inventories["h1"]["memory"] == Inventory("h1", "host", "memory", "B", HUGE, foreign=1)
    assert refused(site, claim("y", "h1", vcpus=1)).code == "InsufficientCapacity"
    accepted(site, claim("x", "h1", vcpus=2))


def test_a_provider_without_its_row_gets_one_with_its_capacity(site):
    site.run(lambda tx: tx.forget(["h1"]))
    site.run(lambda tx: tx.set_inventories([Inventory("h1", "host", "vcpus", limit=4)]))
    accepted(site, claim("x", "h1", vcpus=4))
    assert usage(site, "h1") == {"vcpus": 4}


# -- two transactions at once ----------------------------------------------------------------------------------------


@pytest.fixture
def during(site, open_again):
    """`during(first, second)`: run the second transaction while the first has written and has not committed.

    Returns the error of the second, or None.
    """
    other = open_again(by="another user")
    errors, written = [], threading.Event()

    def run_second(work):
        written.wait(30)
        try:
            other.run(work)
        except Conflict as error:
            errors.append(error)

    def both(first, second):
        thread = threading.Thread(target=run_second, args=[second])
        thread.start()

        def work(tx):
            first(tx)
            written.set()
            thread.join(1)  # the other waits for this transaction, or has got past it by then

        site.run(work)
        thread.join()
        return errors[0] if errors else None

    return both


def test_a_claim_counts_those_that_commit_before_it(site, during):
    error = during(lambda tx: tx.claim([claim("x", "h1", vcpus=5)]), lambda tx: tx.claim([claim("y", "h1", vcpus=5)]))
    assert error is not None
    assert error.code == "InsufficientCapacity"
    assert usage(site, "h1") == {"vcpus": 5}


def test_two_claims_of_one_consumer_leave_the_rows_of_one(site, during):
    site.run(lambda tx: tx.insert([Document("vm", "x", "p1", id="x")]))
    during(
        lambda tx: tx.claim([claim("x", "h1", vcpus=5)], check=False),
        lambda tx: tx.claim([claim("x", "h2", vcpus=5)], check=False),
    )
    assert held(site) == {"x": {("h2", "vcpus"): 5}}
