"""Quota, capacity and anti-affinity: what is guarded in one process. Many processes: test_concurrency.py."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Capacity, Claim, GroupMember
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.model.quota import Counter

HUGE = (8 << 50) + 1


def counters(store, owner="p1"):
    return store.snapshot().counters.get(owner, {})


def refused(store, work):
    with pytest.raises(PhotonError) as caught:
        store.run(work)
    return caught.value


def test_usage_reaches_the_limit_and_never_passes_it(store):
    store.run(lambda tx: tx.set_limits("p1", {"disk": (HUGE, "GB")}))
    store.run(lambda tx: tx.charge("p1", {"disk": (HUGE - 1, "GB")}))
    error = refused(store, lambda tx: tx.charge("p1", {"disk": (2, "GB")}, owner="project acme/web"))
    assert error.code == "QuotaError"
    assert error.data == {"key": "disk", "unit": "GB", "limit": HUGE, "usage": HUGE - 1, "newUsage": HUGE + 1}
    assert "project acme/web" in error.message
    store.run(lambda tx: tx.charge("p1", {"disk": (1, "GB")}))
    assert counters(store) == {"disk": Counter("GB", HUGE, HUGE)}


def test_a_charge_takes_all_keys_or_none(store):
    store.run(lambda tx: tx.set_limits("p1", {"a": (10, "COUNT"), "b": (1, "COUNT")}))

    def work(tx):
        with pytest.raises(PhotonError):
            tx.charge("p1", {"a": (1, "COUNT"), "b": (2, "COUNT"), "new": (1, "COUNT")})

    store.run(work)
    assert {key: c.usage for key, c in counters(store).items()} == {"a": 0, "b": 0}


def test_a_key_without_limit_is_counted(store):
    store.run(lambda tx: tx.charge("p1", {"vm": (2, "COUNT")}))
    store.run(lambda tx: tx.charge("p1", {"vm": (3, "COUNT"), "vm.cpu": (1, "COUNT")}))
    assert counters(store) == {"vm": Counter("COUNT", None, 5), "vm.cpu": Counter("COUNT", None, 1)}


def test_giving_back_is_always_allowed_but_never_below_nothing(store):
    store.run(lambda tx: tx.charge("p1", {"vm": (2, "COUNT")}))
    store.run(lambda tx: tx.charge("p1", {"vm": (-2, "COUNT")}))
    assert refused(store, lambda tx: tx.charge("p1", {"vm": (-1, "COUNT")})).code == "InternalError"
    assert counters(store)["vm"].usage == 0


def test_a_limit_below_the_usage_is_refused(store):
    store.run(lambda tx: tx.charge("p1", {"vm": (5, "COUNT")}))
    error = refused(store, lambda tx: tx.set_limits("p1", {"vm": (4, "COUNT"), "other": (1, "COUNT")}))
    assert (error.code, error.data) == ("QuotaError", {"key": "vm", "unit": "COUNT", "limit": 4, "usage": 5})
    assert counters(store) == {"vm": Counter("COUNT", None, 5)}
    store.run(lambda tx: tx.set_limits("p1", {"vm": (5, "COUNT")}))
    assert counters(store)["vm"].limit == 5


def test_limits_are_updated_replaced_and_excluded(store):
    store.run(lambda tx: tx.set_limits("p1", {"a": (1, "COUNT"), "b": (2, "COUNT")}))
    store.run(lambda tx: tx.set_limits("p1", {"b": (3, "COUNT"), "c": (4, "GB")}))
    assert {key: c.limit for key, c in counters(store).items()} == {"a": 1, "b": 3, "c": 4}
    store.run(lambda tx: tx.set_limits("p1", {}, exclude=["c"]))
    assert {key: c.limit for key, c in counters(store).items()} == {"a": 1, "b": 3}
    store.run(lambda tx: tx.charge("p1", {"a": (1, "COUNT")}))
    store.run(lambda tx: tx.set_limits("p1", {"d": (7, "COUNT")}, replace=True))
    assert {key: (c.limit, c.usage) for key, c in counters(store).items()} == {"a": (None, 1), "d": (7, 0)}


@pytest.fixture
def fleet(store):
    store.run(
        lambda tx: tx.set_capacity(
            [
                Capacity("h1", vcpu_limit=8, memory_limit=HUGE, memory_foreign=1),
                Capacity("h2", vcpu_limit=8, memory_limit=HUGE),
                Capacity("d1", "datastore", space_limit=100),
            ]
        )
    )
    return store


def rows(store):
    return store.snapshot().capacity


def test_a_claim_fits_exactly(fleet):
    assert fleet.run(lambda tx: tx.claim([Claim("h1", 4, HUGE - 2), Claim("h1", 4, 1), Claim("d1", space=100)])) == []
    row = rows(fleet)["h1"]
    assert (row.vcpu_claimed, row.memory_claimed, rows(fleet)["d1"].space_claimed) == (8, HUGE - 1, 100)


@pytest.mark.parametrize(
    "claim",
    [Claim("h1", 9), Claim("h1", 1, HUGE), Claim("d1", space=101), Claim("h1", 1, generation=2), Claim("nowhere", 1)],
)
def test_what_does_not_fit_is_named_and_the_rest_is_claimed(fleet, claim):
    assert fleet.run(lambda tx: tx.claim([claim, Claim("h2", 1, 1, generation=1)])) == [claim.id]
    assert {key: row.vcpu_claimed for key, row in rows(fleet).items()} == {"h1": 0, "h2": 1, "d1": 0}
    assert rows(fleet)["d1"].space_claimed == 0


def test_two_generations_of_one_host_cannot_both_be_right(fleet):
    assert fleet.run(lambda tx: tx.claim([Claim("h1", 1, generation=1), Claim("h1", 1, generation=2)])) == ["h1"]


def test_a_host_that_is_not_ready_takes_nothing(fleet):
    fleet.run(lambda tx: tx.set_capacity([Capacity("h1", state="SUSPENDED", vcpu_limit=8, memory_limit=HUGE)]))
    assert fleet.run(lambda tx: tx.claim([Claim("h1", 1)])) == ["h1"]


def test_the_generation_moves_with_what_decides_and_claims_stay(fleet):
    fleet.run(lambda tx: tx.claim([Claim("h1", 3, 5)]))
    base = {"vcpu_limit": 8, "memory_limit": HUGE}
    for change, generation in (
        ({"memory_foreign": 7}, 1),
        ({"vcpu_limit": 16}, 2),
        ({"vcpu_limit": 16}, 2),
        ({"vcpu_limit": 16, "attributes": "tags"}, 3),
        ({"state": "MAINTENANCE"}, 4),
    ):
        fleet.run(lambda tx, change=change: tx.set_capacity([Capacity("h1", **{**base, **change})]))
        row = rows(fleet)["h1"]
        assert (row.generation, row.vcpu_claimed, row.memory_claimed) == (generation, 3, 5)


def test_release_and_move(fleet):
    fleet.run(lambda tx: tx.claim([Claim("h1", 8, 10)]))
    fleet.run(lambda tx: tx.move([Claim("h1", 6, 10)], [Claim("h2", 12, 10)]))  # vSphere decided so: no limit is asked
    fleet.run(lambda tx: tx.release([Claim("h1", 2), Claim("gone", 5)]))
    assert {key: (row.vcpu_claimed, row.memory_claimed) for key, row in rows(fleet).items() if row.kind == "host"} == {
        "h1": (0, 0),
        "h2": (12, 10),
    }
    assert refused(fleet, lambda tx: tx.release([Claim("h1", 1)])).code == "InternalError"


def test_an_overfull_host_takes_back_and_nothing_more(fleet):
    fleet.run(lambda tx: tx.claim([Claim("h1", 8)]))
    fleet.run(lambda tx: tx.set_capacity([Capacity("h1", vcpu_limit=4, memory_limit=HUGE)]))
    assert fleet.run(lambda tx: tx.claim([Claim("h1", memory=1)])) == []
    assert fleet.run(lambda tx: tx.claim([Claim("h1", 1)])) == ["h1"]
    fleet.run(lambda tx: tx.release([Claim("h1", 2)]))
    assert rows(fleet)["h1"].vcpu_claimed == 6


def test_a_removed_host_is_forgotten(fleet):
    fleet.run(lambda tx: tx.remove_capacity(["h1"]))
    assert set(rows(fleet)) == {"h2", "d1"}


def test_a_group_has_one_member_per_domain(store):
    a, b = GroupMember("g", "host:h1", "vm-a"), GroupMember("g", "host:h1", "vm-b")
    assert store.run(lambda tx: tx.take_groups([a, GroupMember("g", "host:h2", "vm-b")])) == []
    assert store.run(lambda tx: tx.take_groups([a, b])) == [b]
    assert store.run(lambda tx: tx.take_groups([GroupMember("g", "host:h3", x) for x in ("vm-c", "vm-d")])) == [
        GroupMember("g", "host:h3", "vm-d")
    ]
    store.run(lambda tx: tx.release_groups(["vm-a"]))
    assert store.run(lambda tx: tx.take_groups([b])) == []
    assert {(m.topology_key, m.entity_id) for m in store.snapshot().groups} == {
        ("host:h1", "vm-b"),
        ("host:h2", "vm-b"),
        ("host:h3", "vm-c"),
    }
