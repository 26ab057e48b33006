# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that VMs hold: computed from their records, written with results, facts and recovered tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Conflict, Inventory, Task
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import write
from ansible_collections.photon.platform.plugins.module_utils.services.context import Applying, Context
from ansible_collections.photon.platform.plugins.module_utils.services.planning import CREATE, UPDATE, Action, Plan
from ansible_collections.photon.platform.plugins.module_utils.services.vms import apply, recover
from ansible_collections.photon.platform.plugins.module_utils.services.vms.claims import claim_of
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Group, Place

from tests.support.accounts import DISKS, GB, HOLDS, KEYS, VM, Accounts, accounts, document, host, row

ON_H2 = {(provider.replace("h1", "h2"), resource): amount for (provider, resource), amount in HOLDS.items()}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Accounts]:
    with accounts(tmp_path) as made:
        yield made


# -- what a record stands for -------------------------------------------------------------------------------------


def test_a_vm_holds_its_cost_its_host_its_datastores_and_its_name(site: Accounts) -> None:
    claim = claim_of(document(VM), site.state())
    assert claim.consumer == "v1"
    assert {(p, r): amount for p, amounts in claim.amounts.items() for r, amount in amounts.items()} == HOLDS
    assert claim.exclusive == KEYS


def test_a_vm_without_a_place_holds_its_cost_alone(site: Accounts) -> None:
    claim = claim_of(document(replace(VM, place=None)), site.state())
    assert claim.amounts == {"p1": {"vm": 1, "vm.memory": 3 * GB}}
    assert claim.exclusive == frozenset()


@pytest.mark.parametrize("where", [None, "h9"])
def test_on_an_undeclared_host_quota_and_storage_stay(site: Accounts, where: str | None) -> None:
    apart = Group("acme/web/apart", "anti-affinity", "host", True)
    vm = replace(VM, groups=(apart,), place=Place("e1", where, "Web-01", "acme/web"))
    claim = claim_of(document(vm), site.state())
    assert {(p, r): amount for p, amounts in claim.amounts.items() for r, amount in amounts.items()} == {
        key: amount for key, amount in HOLDS.items() if key[0] != "h1"
    }
    assert claim.exclusive == KEYS


def test_an_undeclared_datastore_is_not_claimed_from(site: Accounts) -> None:
    disks = (DISKS[0], replace(DISKS[1], datastore="d9"), replace(DISKS[2], datastore=None))
    claim = claim_of(document(replace(VM, disks=disks)), site.state())
    assert {provider: amounts for provider, amounts in claim.amounts.items() if provider.startswith("d")} == {
        "d1": {"space": 5 * GB}
    }


@pytest.mark.parametrize(
    ("kind", "level", "hard", "slot"),
    [
        ("anti-affinity", "host", True, "anti-affinity:host:g:h1"),
        ("anti-affinity", "rack", True, "anti-affinity:rack:g:r1"),
        ("anti-affinity", "zone", True, "anti-affinity:zone:g:z1"),
        ("anti-affinity", "host", False, None),
        ("affinity", "host", True, None),
    ],
)
def test_a_hard_group_of_vms_apart_takes_a_slot(
    site: Accounts, kind: str, level: str, hard: bool, slot: str | None
) -> None:
    state = site.state()
    state.put(host(1, rack="r1"))
    claim = claim_of(document(replace(VM, groups=(Group("g", kind, level, hard),))), state)
    assert claim.exclusive == KEYS | ({slot} if slot else set())


def test_hosts_without_a_rack_are_racks_of_their_own(site: Accounts) -> None:
    vm = replace(VM, groups=(Group("g", "anti-affinity", "rack", True),))
    assert "anti-affinity:rack:g:h1" in claim_of(document(vm), site.state()).exclusive


# -- results ------------------------------------------------------------------------------------------------------


def commit(site: Accounts, *results: apply.Result) -> None:
    state = site.state()
    site.store.run(lambda tx: apply._commit(tx, list(results), state))


def result(site: Accounts, before: Document, after: Document | None, operation: str = "RESIZE_VM") -> apply.Result:
    task = site.task(before.id, operation)
    action = Action(verb=UPDATE, kind=entities.VM, name=before.name, document=before, task=task)
    return apply.Result(action, after, changed=True)


def test_a_result_replaces_what_its_vm_held(site: Accounts) -> None:
    before = site.add(VM)
    moved = replace(VM, vcpus=4, place=Place("e1", "h2", "web-02", "acme/web"), disks=DISKS[:1])
    commit(site, result(site, before, moved.write_to(before)))
    assert site.held() == {
        ("p1", "vm"): 1, ("p1", "vm.memory"): 3 * GB, ("h2", "vcpus"): 4, ("h2", "memory"): 3 * GB,
        ("d1", "space"): 5 * GB,
    }  # fmt: skip
    assert site.keys() == {"name:e1:acme/web:web-02"}
    assert site.stored("v1").body["vcpus"] == 4
    assert site.store.snapshot().open_tasks == []


def test_a_result_is_recorded_beyond_the_capacity(site: Accounts) -> None:
    """vSphere moved it there: refusing the record would not move it back."""
    before = site.add(VM)
    site.store.run(lambda tx: tx.set_inventories([Inventory("h2", entities.HOST, "vcpus", limit=1)]))
    commit(site, result(site, before, replace(VM, place=Place("e1", "h2", "Web-01", "acme/web")).write_to(before)))
    assert site.held()["h2", "vcpus"] == 2


def test_a_deleted_vm_holds_nothing_and_others_keep_theirs(site: Accounts) -> None:
    other = replace(VM, id="v2", name="web-02", place=Place("e1", "h1", "web-02", "acme/web"))
    before, stays = site.add(VM), site.add(other)
    commit(site, result(site, before, None, "DELETE_VM"), result(site, stays, stays))
    assert (site.held("v1"), site.keys("v1")) == ({}, set())
    assert (site.held("v2"), site.keys("v2")) == (HOLDS, {"name:e1:acme/web:web-02"})
    assert site.store.snapshot().usage["h1"] == {"vcpus": 2, "memory": 3 * GB}
    assert (site.state().get("v1"), site.stored("v2").state) == (None, stays.state)


def test_a_vm_that_was_deleted_concurrently_gets_no_rows(site: Accounts) -> None:
    before = site.add(VM)
    done = result(site, before, before)
    site.store.run(lambda tx: tx.bury([before]))
    commit(site, done)
    assert (site.held(), site.keys()) == ({}, set())


@pytest.mark.parametrize("code", ["LeaseLost", "CloudStoreLost"])
def test_a_run_that_lost_its_lease_or_cloudstore_ends_while_jobs_are_prepared(code: str) -> None:
    def lost(_action: object) -> None:
        raise PhotonError(code, "lost")

    runner = apply._Runner(SimpleNamespace(), SimpleNamespace())
    with pytest.raises(PhotonError, match="lost"):
        runner._prepared([SimpleNamespace(id="v1")], lost)


@pytest.mark.parametrize(("unknown", "kept"), [(False, set()), (True, {("h1", "vcpus"), ("d2", "space")})])
def test_a_vm_that_was_not_created_keeps_its_place_only_where_it_may_exist(
    site: Accounts, unknown: bool, kept: set[tuple[str, str]]
) -> None:
    before = site.add(VM)
    action = SimpleNamespace(id="v1", document=before, lost=None, task=site.task("v1", "CREATE_VM"))
    runner = apply._Runner(SimpleNamespace(), SimpleNamespace())
    runner._not_made(action, "CREATE_VM", PhotonError("InternalError", "no"), unknown=unknown)
    commit(site, *runner.results)
    assert site.stored("v1").state == "ERROR"
    assert site.held().keys() >= {("p1", "vm"), ("p1", "vm.memory"), *kept}
    assert bool(site.keys()) == unknown
    assert (("h1", "memory") in site.held()) == unknown


# -- facts --------------------------------------------------------------------------------------------------------


def observe(site: Accounts, *documents: Document) -> list[str]:
    """Record what these documents show; returns the warnings."""
    state, plan = site.state(), Plan()
    plan.observed = {document.id: document.observed for document in documents}
    write.observe(Applying(plan, state, Context(site.store, SYSTEM, "tests")))
    return plan.warnings


def test_the_rows_of_a_moved_vm_follow_it_beyond_the_capacity(site: Accounts) -> None:
    before = site.add(VM)
    site.inventory.hosts["host-2"].cores = 0
    assert observe(site, before) == []  # records that capacity
    assert observe(site, replace(VM, place=Place("e1", "h2", "moved", "acme/web")).write_to(before)) == []
    assert site.held() == ON_H2
    assert site.keys() == {"name:e1:acme/web:moved"}
    assert site.stored("v1").observed["host"] == "h2"
    assert site.store.snapshot().inventories["h2"]["vcpus"].limit == 0


def test_facts_and_rows_of_a_vm_that_another_run_works_on_stay(site: Accounts) -> None:
    before = site.add(VM)
    with site.other_run() as other:
        other.run(lambda tx: tx.add_tasks([Task("RESIZE_VM", entities.VM, "v1", state="STARTED")]))
        observe(site, replace(VM, place=Place("e1", "h2", "moved", "acme/web")).write_to(before))
    assert (site.held(), site.keys()) == (HOLDS, KEYS)
    assert site.stored("v1").observed["host"] == "h1"


def test_capacity_of_a_host_that_was_deleted_concurrently_is_not_recorded(site: Accounts) -> None:
    before, state, plan = site.add(VM), site.state(), Plan()
    site.inventory.hosts["host-1"].cores = site.inventory.hosts["host-2"].cores = 20
    site.store.run(lambda tx: tx.delete([state.must("h2")]))
    plan.observed = {"v1": before.observed}
    write.observe(Applying(plan, state, Context(site.store, SYSTEM, "tests")))
    snapshot = site.store.snapshot(allocations=True)
    assert snapshot.inventories["h1"]["vcpus"].limit == 80
    assert "h2" not in {*snapshot.inventories, *snapshot.providers}


# -- the write transaction of a plan ------------------------------------------------------------------------------


def begin(site: Accounts, *actions: Action) -> None:
    run = site.store.begin_run()
    plan = Plan()
    plan.actions = list(actions)
    write.begin(Applying(plan, site.state(), Context(site.store, SYSTEM, "tests", run=run)), 1)


def claiming(verb: str, record: Document, site: Accounts) -> Action:
    claim = claim_of(record, site.state())
    return Action(verb=verb, kind=entities.VM, name=record.name, document=record, claim=claim)


def test_a_vm_is_compared_with_the_capacity_that_is_seen_now(site: Accounts) -> None:
    site.store.run(lambda tx: tx.set_inventories([Inventory("h1", entities.HOST, "vcpus", limit=0)]))
    begin(site, claiming(CREATE, document(VM), site))
    assert (site.held(), site.keys()) == (HOLDS, KEYS)
    assert site.store.snapshot().inventories["h1"]["vcpus"].limit == 40


def test_a_vm_that_does_not_fit_is_refused_with_nothing_written(site: Accounts) -> None:
    site.inventory.hosts["host-1"].cores = 0
    with pytest.raises(Conflict) as caught:
        begin(site, claiming(CREATE, document(VM), site))
    assert caught.value.code == "InsufficientCapacity"
    assert (site.held(), site.keys(), site.state().get("v1")) == ({}, set(), None)
    assert site.store.snapshot().inventories["h1"]["vcpus"].limit == 40


def test_an_update_records_the_place_that_its_claim_was_made_of(site: Accounts) -> None:
    before = site.add(VM)
    moved = replace(VM, vcpus=4, place=Place("e1", "h2", "Web-01", "acme/web")).write_to(before)
    begin(site, claiming(UPDATE, moved, site))
    assert site.held() == {**ON_H2, ("h2", "vcpus"): 4}
    assert claim_of(site.stored("v1"), site.state()).amounts.get("h2") == {"vcpus": 4, "memory": 3 * GB}


# -- recovery -----------------------------------------------------------------------------------------------------


def settle(site: Accounts, task: Task) -> None:
    state = site.state()
    site.store.run(lambda tx: recover.recover(tx, task, state.must(task.entity_id), state))


def test_a_recovered_vm_holds_what_vsphere_shows(site: Accounts) -> None:
    site.add(VM)
    task = site.task("v1", "RESIZE_VM")
    site.show(row("v1", 2, disks=None))
    settle(site, task)
    assert site.held() == ON_H2
    assert site.stored("v1").observed["host"] == "h2"


def test_a_recovered_move_is_recorded_beyond_the_capacity(site: Accounts) -> None:
    site.add(VM)
    task = site.task("v1", "RESIZE_VM")
    site.store.run(lambda tx: tx.set_inventories([Inventory("h2", entities.HOST, "vcpus", limit=1)]))
    site.show(row("v1", 2, disks=None))
    settle(site, task)
    assert site.held()["h2", "vcpus"] == 2


def test_a_recovered_delete_frees_everything(site: Accounts) -> None:
    site.add(VM)
    settle(site, site.task("v1", "DELETE_VM"))
    assert site.state().get("v1") is None
    assert (site.held(), site.keys()) == ({}, set())


def test_a_vm_that_was_not_created_keeps_all_it_holds(site: Accounts) -> None:
    site.add(VM)
    settle(site, site.task("v1", "CREATE_VM"))
    assert site.stored("v1").state == "ERROR"
    assert (site.held(), site.keys()) == (HOLDS, KEYS)


def test_a_task_on_an_unread_endpoint_is_not_settled(site: Accounts) -> None:
    site.add(VM)
    task, state = site.task("v1", "DELETE_VM"), site.state()
    state.inventories.clear()
    with pytest.raises(PhotonError) as caught:
        site.store.run(lambda tx: recover.recover(tx, task, state.must("v1"), state))
    assert caught.value.code == "DependencyFailed"
    assert site.held() == HOLDS
