# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one write path: the order of limits and claims, what a plan's own deletions free, what must not be deleted."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.cloudstore import Claim, Conflict, Inventory, Task
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Declaration
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.services import write
from ansible_collections.photon.platform.plugins.module_utils.services.planning import (
    CREATE,
    DELETE,
    KEEP,
    UPDATE,
    Action,
    Planning,
)

FULL = "photon_tenants: [{name: acme, projects: [{name: web, quota: {vm.count: 1}}]}]"


@pytest.fixture
def web(platform) -> Document:
    platform.apply(FULL)
    return platform.find(entities.PROJECT, "acme/web")


def planning_of(platform, *actions: Action) -> Planning:
    planning = platform.planned(Declaration(), SYSTEM)
    planning.plan.actions = list(actions)
    return planning


def new_vm(project: Document, *, slot: str = "", host: str = "") -> Action:
    document = Document(entities.VM, "new", project.id)
    amounts = {project.id: {"vm.count": 1}} | ({host: {"memory": 4}} if host else {})
    claim = Claim(document.id, amounts, frozenset([slot] if slot else []))
    return Action(verb=CREATE, kind=entities.VM, name="new", document=document, claim=claim, needs=(project.id,))


def old_vm(platform, project: Document, *, slot: str = "", host: str = "") -> Action:
    document = Document(entities.VM, "old", project.id)
    amounts = {project.id: {"vm.count": 1}} | ({host: {"memory": 4}} if host else {})

    def work(tx) -> None:
        tx.insert([document])
        tx.claim([Claim(document.id, amounts, frozenset([slot] if slot else []))])

    platform.store.run(work)
    [stored] = platform.state().of(entities.VM)
    task = Task("DELETE_VM", entities.VM, document.id, state="STARTED")
    return Action(verb=DELETE, kind=entities.VM, name="old", document=stored, task=task)


def usage(platform, provider: str) -> dict[str, int]:
    return platform.store.snapshot().usage.get(provider, {})


def test_a_new_vm_may_use_the_quota_of_one_that_the_same_plan_deletes(platform, web) -> None:
    old = old_vm(platform, web)
    platform.write(planning_of(platform, old, new_vm(web)))
    assert usage(platform, web.id) == {"vm.count": 2}  # until the old one is deleted nobody else gets its share


def test_quota_that_another_run_frees_is_not_used(platform, web) -> None:
    old_vm(platform, web)
    with pytest.raises(Conflict) as caught:
        platform.write(planning_of(platform, new_vm(web)))
    assert caught.value.code == "QuotaError"
    assert "left (limit 1, used 1)" in caught.value.message


def test_a_deleted_vm_frees_no_more_than_it_holds(platform, web) -> None:
    old = old_vm(platform, web)
    with pytest.raises(Conflict) as caught:
        platform.write(planning_of(platform, old, new_vm(web), new_vm(web)))
    assert caught.value.code == "QuotaError"


def test_a_new_vm_may_use_the_host_and_slot_of_a_deleted_one(platform, web) -> None:
    host = Document(entities.HOST, "esx01", body={"endpoint": "vc1"})
    platform.put(host)
    platform.store.run(lambda tx: tx.set_inventories([Inventory(host.id, entities.HOST, "memory", "B", 4)]))
    old = old_vm(platform, web, slot="anti-affinity:host:g:esx01", host=host.id)
    new = new_vm(web, slot="anti-affinity:host:g:esx01", host=host.id)
    platform.write(planning_of(platform, old, new))
    assert platform.store.snapshot().exclusives == {"anti-affinity:host:g:esx01": new.id}


def test_the_slot_of_a_vm_that_stays_is_refused(platform, web) -> None:
    old_vm(platform, web, slot="anti-affinity:host:g:esx01")
    platform.apply(FULL.replace("vm.count: 1", "vm.count: 2"))
    web = platform.find(entities.PROJECT, "acme/web")
    with pytest.raises(Conflict) as caught:
        platform.write(planning_of(platform, new_vm(web, slot="anti-affinity:host:g:esx01")))
    assert caught.value.code == "NameTaken"


def test_what_needs_an_orphan_fails_with_it(platform) -> None:
    project = Document(entities.PROJECT, "web", "no-such-tenant")
    planning = planning_of(
        platform,
        new_vm(project),
        Action(verb=CREATE, kind=entities.PROJECT, name="web", document=project, needs=("no-such-tenant",)),
    )
    plan = platform.write(planning)
    assert {f.name: f.error.code for f in plan.failures} == {"web": "DependencyFailed", "new": "DependencyFailed"}
    assert plan.actions == []
    assert platform.store.snapshot().documents == []


def test_a_needed_document_that_changed_makes_a_conflict(platform, web) -> None:
    planning = planning_of(platform, new_vm(web))
    platform.store.run(lambda tx: tx.update([web.with_body(deletion_protection=True)]))
    with pytest.raises(Conflict) as caught:
        platform.write(planning)
    assert caught.value.code == "StaleVersion"


def test_what_is_kept_has_not_changed(platform, web) -> None:
    keep = Action(verb=KEEP, kind=entities.PROJECT, name="acme/web", document=web, claim=Claim(web.id))
    platform.write(planning_of(platform, keep))
    assert keep.outcome.changed is False


@pytest.mark.parametrize("kind", [entities.VM, entities.IMAGE])
def test_a_container_that_got_content_after_the_plan_is_kept(platform, web, kind: str) -> None:
    planning = platform.plan("photon_tenants: [{name: acme, state: absent, projects: [{name: web, state: absent}]}]")
    platform.put(Document(kind, "late", web.id))
    plan = platform.write(planning)
    assert {f.name: f.error.code for f in plan.failures} == {
        "acme/web": "ContainerNotEmpty",
        "acme": "ContainerNotEmpty",
    }
    assert f"{kind} late" in plan.failures[0].error.message
    assert plan.counts() == {}


def test_a_record_that_another_run_works_on_is_kept(platform, web) -> None:
    planning = planning_of(platform, Action(verb=DELETE, kind=entities.PROJECT, name="acme/web", document=web))
    other = type(platform)(platform.store)
    run = other.store.begin_run()
    other.store.run(lambda tx: tx.add_tasks([Task("SET_QUOTA", entities.PROJECT, web.id, state="STARTED")]))
    plan = platform.write(planning)
    run.stop()
    assert [f.error.code for f in plan.failures] == ["ConcurrentTask"]
    assert platform.find(entities.PROJECT, "acme/web").id == web.id


def test_a_record_that_changed_after_the_run_began_is_kept(platform, web) -> None:
    delete = Action(verb=DELETE, kind=entities.PROJECT, name="acme/web", document=web)
    platform.store.run(lambda tx: tx.update([web.with_body(deletion_protection=True)]))
    errors = platform.store.run(lambda tx: write._end(tx, [delete]))
    assert {key: error.code for key, error in errors.items()} == {web.id: "StaleVersion"}
    assert platform.find(entities.PROJECT, "acme/web").body["deletion_protection"]


def test_a_change_of_limits_and_an_update_in_one_plan(platform, web) -> None:
    """Limits come before claims: the new limit and the VM that needs it are written together."""
    more = Action(
        verb=UPDATE,
        kind=entities.PROJECT,
        name="acme/web",
        document=web.with_body(limits={"vm.count": [2, "COUNT"]}),
        limits={"vm.count": (2, "COUNT")},
        claim=Claim(web.id, {web.scope: {"vm.count": 2}}),
    )
    old_vm(platform, web)
    platform.write(planning_of(platform, new_vm(web), more))
    assert platform.quota("acme/web") == {"vm.count": (2, 2)}
