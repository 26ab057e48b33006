# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run: changes that were made, also by items that failed; saved plans hold exactly or not at all."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Declaration
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services import report, saved_plan
from ansible_collections.photon.platform.plugins.module_utils.services.planning import (
    CREATE,
    DELETE,
    KEEP,
    UPDATE,
    Action,
    Outcome,
    Plan,
)
from ansible_collections.photon.platform.plugins.module_utils.services.run import Request
from ansible_collections.photon.platform.plugins.module_utils.services.site import Planned
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms.actions import CreateVm, UpdateVm
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Disk, Place, Vm

GB = 1 << 30
HOST = Document(entities.HOST, "esx01", id="host-1", version=1)
STORES = [Document(entities.DATASTORE, name, "vc1", id=f"id-of-{name}", version=1) for name in ("fast", "slow")]
FAILURE = PhotonError("InvalidVmState", "it does not start")


def vm(data: str = "slow", **fields: Any) -> Vm:
    disks = (
        Disk("boot-disk", "f", 8 * GB, boot=True, datastore="id-of-fast"),
        Disk("data", "f", 40 * GB, datastore=f"id-of-{data}"),
    )
    return Vm("vm-1", "web-1", "project-1", "CREATING", "f", "i", 2, 4 * GB, {}, disks,
              place=Place("vc1", "host-1", "web-1"), **fields)  # fmt: skip


def document(of: Vm, state: str = "STARTED", version: int = 0) -> Document:
    return of.write_to(Document(entities.VM, "web-1", "project-1", id="vm-1", version=version))  # fmt: skip


def create(of: Vm | None = None, **fields: Any) -> CreateVm:
    made = of or vm()
    desired: Any = SimpleNamespace()
    return CreateVm(
        verb=CREATE,
        kind=entities.VM,
        name="acme/web/web-1",
        document=document(made),
        after={"host": "esx01", "datastore": "fast"},
        vm=made,
        desired=desired,
        steps=("CREATE_VM",),
        **fields,
    )


def resize(**fields: Any) -> UpdateVm:
    made = vm()
    return UpdateVm(verb=UPDATE, kind=entities.VM, name="acme/web/web-1", document=document(made, version=3), vm=made,
                    previous=made, moid="vm-7", before={"vcpus": 1}, after={"vcpus": 2}, changes=["vcpus"],
                    **fields)  # fmt: skip


def planned(*actions: Action, store_id: str | None = "store-1") -> Planned:
    state = CurrentState([HOST, *STORES])
    versions = {action.id: action.document.version for action in actions}
    return Planned(Declaration(site="paris"), Plan(actions=list(actions)), state, versions, store_id)


def result(plan: Planned, *, check: bool = False, full: bool = True) -> dict[str, Any]:
    request = Request(check=check, result="full" if full else "summary")
    return report.outcome(plan, request, SimpleNamespace(sessions={}))


def applied(action: Action, outcome: Outcome) -> dict[str, Any]:
    plan = planned(action)
    plan.plan.finish(action, outcome)
    return result(plan)


# -- what happened -----------------------------------------------------------------------------------------------


def test_a_resize_that_was_done_is_a_change_although_the_power_on_failed() -> None:
    action = resize()
    stopped = Document(entities.VM, "web-1", "project-1", "STOPPED", id="vm-1", body=action.document.body)
    answer = applied(action, Outcome(changed=True, error=FAILURE, document=stopped))
    assert answer["changed"] is True
    assert answer["counts"] == {"vm": {"update": 1}}
    assert "vcpus: 2" in answer["diff"]["after"]
    [item] = answer["items"]
    assert (item["state"], item["changed"], item["error_code"]) == ("STOPPED", True, "InvalidVmState")
    assert [row["error_code"] for row in answer["failures"]] == ["InvalidVmState"]


def test_what_failed_without_effect_is_neither_changed_nor_counted() -> None:
    action = resize()
    answer = applied(action, Outcome(changed=False, error=FAILURE, document=action.document))
    assert (answer["changed"], answer["counts"], answer["changes"]) == (False, {}, [])
    assert answer["diff"] == {"before": "", "after": ""}


def test_an_action_that_was_never_reached_is_not_counted() -> None:
    answer = result(planned(resize()))
    assert (answer["changed"], answer["counts"]) == (False, {})


def test_a_plan_counts_everything_that_it_would_do() -> None:
    keep = Action(verb=KEEP, kind=entities.ZONE, name="a", document=Document(entities.ZONE, "a"))
    answer = result(planned(create(score=7.5, parts={"free": 1}), keep), check=True)
    assert (answer["changed"], answer["counts"]) == (True, {"vm": {"create": 1}, "zone": {"keep": 1}})
    [step] = answer["plan"]
    assert (step["vcpus"], step["memory"], step["score"], step["parts"]) == (2, 4 * GB, 7.5, {"free": 1})
    assert "items" not in answer


def test_a_plan_of_a_resize_shows_the_size_and_no_score() -> None:
    [step] = result(planned(resize()), check=True)["plan"]
    assert (step["vcpus"], "score" in step) == (2, False)


def test_an_item_is_shown_as_its_record_is_afterwards() -> None:
    action = create()
    after = vm("fast", address="10.0.0.5")
    after.state = "STARTED"
    [item] = applied(action, Outcome(changed=True, document=document(after)))["items"]
    assert item == {
        "kind": "vm",
        "name": "acme/web/web-1",
        "id": "vm-1",
        "action": "create",
        "changed": True,
        "state": "STARTED",
        "host": "esx01",
        "datastore": "fast",
        "address": "10.0.0.5",
    }


@pytest.mark.parametrize(("error", "state"), [(None, "DELETED"), (FAILURE, "READY")])
def test_a_deleted_item(error: PhotonError | None, state: str) -> None:
    zone = Document(entities.ZONE, "a", version=1)
    action = Action(verb=DELETE, kind=entities.ZONE, name="a", document=zone)
    [item] = applied(action, Outcome(changed=error is None, error=error))["items"]
    assert (item["state"], item["changed"]) == (state, error is None)


def test_items_that_failed_alike_share_a_row() -> None:
    plan = Plan()
    for name in ("acme/web/web-1", "acme/web/web-2"):
        plan.fail(entities.VM, name, PhotonError("StateError", f"VM {name}: it is locked"), "vms[0]")
    plan.fail(entities.VM, "acme/web/db", PhotonError("StateError", "VM acme/web/db: it is locked"), "vms[1]")
    rows = report.failures(plan)
    assert [(row["name"], row["count"]) for row in rows] == [("acme/web/web-[1:2]", 2), ("acme/web/db", 1)]


# -- saved plans ---------------------------------------------------------------------------------------------------


def saved(plan: Planned) -> dict[str, Any]:
    return json.loads(json.dumps(saved_plan.make(plan)))


def differences(old: Planned, new: Planned) -> list[str]:
    with pytest.raises(PhotonError) as caught:
        saved_plan.verify(saved(old), new)
    assert caught.value.code == "PlanChanged"
    return caught.value.data["differences"]


def test_a_saved_plan_that_still_holds() -> None:
    update = resize()
    update.after["tags"] = ("a", "b")  # JSON knows no tuples
    saved_plan.verify(saved(planned(create())), planned(create(score=3.0)))
    saved_plan.verify(saved(planned(update)), planned(update))
    assert saved_plan.placements(saved(planned(create()))) == {
        "acme/web/web-1": {"host_name": "esx01", "datastore_name": "fast"}
    }


def test_a_saved_plan_whose_further_disk_would_go_elsewhere() -> None:
    assert differences(planned(create()), planned(create(vm("fast")))) == ["vm acme/web/web-1: disks changed"]


def test_a_saved_plan_whose_vm_would_go_to_another_host() -> None:
    other = vm()
    other.place = Place("vc1", "host-2", "web-1")
    assert differences(planned(create()), planned(create(other))) == ["vm acme/web/web-1: host changed"]


def test_a_saved_plan_whose_metadata_changed() -> None:
    new = create(vm(metadata_digest="other"))
    assert differences(planned(create()), planned(new)) == ["vm acme/web/web-1: metadata changed"]


def test_a_plan_made_before_there_was_a_cloudstore_has_digests_of_no_store() -> None:
    new = create(vm(metadata_digest="other"))
    saved_plan.verify(saved(planned(create(), store_id=None)), planned(new))


def test_a_plan_for_another_cloudstore() -> None:
    assert "the plan was made for another CloudStore" in differences(
        planned(create()), planned(create(), store_id="store-2")
    )


def test_actions_that_came_or_went() -> None:
    zone = Action(verb=CREATE, kind=entities.ZONE, name="a", document=Document(entities.ZONE, "a"))
    assert differences(planned(create()), planned(zone)) == [
        "vm acme/web/web-1: create is not planned any more",
        "create zone a is new",
    ]


def test_a_changed_version_or_a_failure_makes_a_plan_stale() -> None:
    newer = planned(resize())
    newer.versions["vm-1"] = 4
    assert differences(planned(resize()), newer) == ["vm acme/web/web-1: version changed"]
    failing = planned(create())
    failing.plan.fail(entities.ENDPOINT, "vc1", PhotonError("EndpointUnreachable", "no answer"))
    assert differences(planned(create()), failing) == ["endpoint vc1: no answer"]


@pytest.mark.parametrize("text", [None, [], {}, {"format": 1, "placements": {}}])
def test_what_is_not_a_saved_plan(text: Any) -> None:
    with pytest.raises(PhotonError, match="not a saved plan of format 2"):
        saved_plan.placements(text)
