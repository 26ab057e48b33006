# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing VMs: whose host is out of sight, that are elsewhere, that must not be created again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import SYSTEM
from ansible_collections.photon.platform.plugins.module_utils.model.declaration import Declaration
from ansible_collections.photon.platform.plugins.module_utils.model.entities import Document
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.planning import Options, Plan, Planning
from ansible_collections.photon.platform.plugins.module_utils.services.state import CurrentState
from ansible_collections.photon.platform.plugins.module_utils.services.vms import lost
from ansible_collections.photon.platform.plugins.module_utils.services.vms.desired import Desired
from ansible_collections.photon.platform.plugins.module_utils.services.vms.lost import refuse_missing_host
from ansible_collections.photon.platform.plugins.module_utils.services.vms.record import Disk, Place, Vm
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import EndpointInventory, HostRow, VmRow

from tests.support import accounts

HOST = Document(entities.HOST, "esx01", id="h1", body={"endpoint": "e1"},
                observed={"moid": "host-18", "hardware_uuid": "machine-1"})  # fmt: skip
VM = Vm("uuid-1", "web-01", "p", "STARTED", "f", "i", 1, 1 << 30, {}, (Disk("boot-disk", "f", 1, True),),
        place=Place("e1", "h1", "web-01"))  # fmt: skip


def state(machine: str) -> CurrentState:
    """Endpoint e1, whose host-18 is that machine; without any host where there is none."""
    row = HostRow("host-18", "esx", None, "c", "p", "dc", "v", "connected", False, "poweredOn", 1, 1, 1 << 30,
                  hardware_uuid=machine)  # fmt: skip
    inventory = EndpointInventory("e1", "vcenter", hosts={"host-18": row} if machine else {})
    return CurrentState([HOST, Document(entities.ENDPOINT, "vc1", id="e1")], inventories={"e1": inventory})


@pytest.mark.parametrize("machine", ["", "machine-2"])
def test_a_vm_may_run_on_a_host_that_left_also_when_another_has_its_moid(machine: str) -> None:
    """Another vCenter under the endpoint's address counts its hosts from the same number."""
    with pytest.raises(PhotonError, match="its host esx01 is not in endpoint vc1 any more"):
        refuse_missing_host("acme/web/web-01", VM, state(machine))


def test_a_vm_whose_host_is_there_is_lost() -> None:
    refuse_missing_host("acme/web/web-01", VM, state("machine-1"))


# -- the CloudStore that was lost ----------------------------------------------------------------------------------


def marked(name: str, uuid: str = "", **marks: str) -> VmRow:
    """A VM that no record knows; ``marks`` are its photon.* keys."""
    return VmRow(f"vm-{name}", name, uuid or name, "host-18", "poweredOn", "1", None, [], 1, 1 << 30, {}, None, "",
                 False, "connected", extra_config={f"photon.{key}": value for key, value in marks.items()})  # fmt: skip


def planning(marks: dict[str, list[VmRow]] | None = None, *, documents: Any = (), **options: Any) -> Planning:
    """A plan of inventory:site in the CloudStore s1; ``marks`` are the VMs that carry our mark, by photon.id."""
    current = state("machine-1")
    for document in documents:
        current.put(document)
    found = {identity: [("e1", row) for row in rows] for identity, rows in (marks or {}).items()}
    return Planning(
        Declaration(), current, Plan(), SYSTEM, "inventory:site", Options(**options), str, "s1", marks=found
    )


def desired(name: str = "web-01", **fields: Any) -> Desired:
    return accounts.desired(replace(VM, id=f"uuid-{name}", name=name), f"acme/web/{name}", **fields)


def recorded(name: str = "web-01", vm_state: str = "STARTED", **place: Any) -> Document:
    vm = replace(VM, id=f"uuid-{name}", name=name, state=vm_state, place=replace(VM.place, **place))
    return vm.write_to(Document(entities.VM, name, "p", id=vm.id))


@pytest.mark.parametrize(
    ("row", "lost_store"),
    [
        (marked("db", "x", site="inventory:site", store="s0"), True),
        (marked("db", "x", site="inventory:other", store="s1"), True),  # of this CloudStore, which is older
        (marked("db", "x", site="inventory:other", store="s0"), False),
        (marked("db", "y", site="inventory:site"), False),  # a clone by hand: its mark is another's
        (marked("Web-01", "y", site="inventory:site"), True),  # it has the name of a declared VM
        (marked("db", "x", site="inventory:site", template="x"), False),  # the copy of an image
    ],
)
def test_running_vms_that_no_record_knows_mean_a_lost_cloudstore(row: VmRow, lost_store: bool) -> None:
    plan = planning({"x": [row]})
    if not lost_store:
        lost.check_cloudstore([desired()], plan)
        return
    with pytest.raises(PhotonError, match="1 VMs in vSphere carry the mark") as caught:
        lost.check_cloudstore([desired()], plan)
    assert caught.value.code == "CloudStoreLost"


def test_a_copy_of_an_unknown_image_stands_for_vms_that_cannot_be_seen() -> None:
    plan = planning({"x": [marked("db", "y", site="inventory:site", template="y")]})
    plan.state.unreachable["e2"] = PhotonError("EndpointUnreachable", "no")
    assert [row.name for _identity, row in lost._unrecorded(plan)] == ["db"]


def test_a_cloudstore_is_not_lost_while_it_knows_vms_or_nothing_is_created() -> None:
    marks = {"x": [marked("db", "x", site="inventory:site")]}
    lost.check_cloudstore([], planning(marks))
    lost.check_cloudstore([desired()], planning(marks, cloudstore_new=True))
    lost.check_cloudstore([desired()], planning(marks, documents=[recorded("old")]))
    with pytest.raises(PhotonError):  # a VM that was never completely created is no VM that it knows
        lost.check_cloudstore([desired()], planning(marks, documents=[recorded("old", "ERROR")]))


# -- what is created again -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "kept"), [(2, ["a", "b", "c", "new"]), (1, ["c", "new"]), (0, ["c", "new"])])
def test_the_number_of_lost_vms_that_a_run_creates_again_is_bounded(limit: int, kept: list[str]) -> None:
    plan = planning(max_recreates=limit)
    wanted = [(desired(name), recorded(name)) for name in ("a", "b")]
    wanted += [(desired("c"), recorded("c", "ERROR")), (desired("new"), None)]
    assert [each.vm.name for each, _current in lost.bounded(wanted, plan)] == kept
    refused = {f.name: f.error.code for f in plan.plan.failures}
    assert refused == ({} if limit == 2 else dict.fromkeys(("acme/web/a", "acme/web/b"), "TooManyRecreates"))


@pytest.mark.parametrize(("vm_state", "code"), [("STARTED", "DependencyFailed"), ("ERROR", None)])
@pytest.mark.parametrize("unread", ["EndpointUnreachable", "DuplicateHost"])
def test_a_missing_vm_may_have_moved_to_an_endpoint_that_was_not_read(
    vm_state: str, code: str | None, unread: str
) -> None:
    plan = planning(documents=[Document(entities.ENDPOINT, "vc2", id="e2")])
    plan.state.unreachable["e2"] = PhotonError(unread, "no")
    lost.bounded([(desired(), recorded(vm_state=vm_state))], plan)
    expected = [code] if code and unread == "EndpointUnreachable" else []
    assert [failure.error.code for failure in plan.plan.failures] == expected


@pytest.mark.parametrize(
    ("marks", "files", "words"),
    [
        ({"uuid-web-01": [marked("copy")]}, {}, "set register: true on the VM to take it over"),
        ({"uuid-web-01": [marked("one"), marked("two")]}, {}, "remove all but one"),
        ({}, {"uuid-web-01": "[ds] web/web.vmx"}, "its files are still in [ds] web"),
    ],
)
def test_a_vm_that_may_be_taken_over_is_not_created_again(marks: Any, files: dict[str, str], words: str) -> None:
    plan = planning(marks)
    plan.left_files = files
    assert lost.bounded([(desired(), recorded())], plan) == []
    [failure] = plan.plan.failures
    assert words in failure.error.message


def test_a_restored_copy_or_left_files_are_taken_over_where_it_is_asked_for() -> None:
    plan = planning({"uuid-web-01": [marked("copy")]})
    assert not lost.plan_register(desired(), recorded(), plan)
    assert lost.plan_register(desired(register=True), recorded(), plan)
    plan.marks, plan.left_files = {}, {"uuid-web-01": "[ds] web/web.vmx"}
    assert lost.plan_register(desired(register=True), recorded(vmx="[ds] web/web.vmx"), plan)
    assert [action.marked and action.marked[1].name for action in plan.plan.actions] == ["copy", None]
    plan.left_files = {}
    assert not lost.plan_register(desired(register=True), recorded(), plan)


def test_one_of_two_copies_is_not_chosen() -> None:
    plan = planning({"uuid-web-01": [marked("one"), marked("two")]})
    with pytest.raises(PhotonError, match="remove all but one"):
        lost.plan_register(desired(register=True), recorded(), plan)


def test_files_of_a_vm_whose_host_is_not_declared_are_not_registered() -> None:
    plan = planning()
    plan.left_files = {"uuid-web-01": "[ds] web/web.vmx"}
    with pytest.raises(PhotonError, match="the host that it was on is not declared"):
        lost.plan_register(desired(register=True), recorded(host="h9"), plan)


# -- what is reported ----------------------------------------------------------------------------------------------


def test_copies_and_marks_that_no_record_expects_are_reported() -> None:
    plan = planning(documents=[recorded(), Document(entities.ENDPOINT, "vc2", id="e2")])
    home, other = plan.state.inventories["e1"], EndpointInventory("vcenter")
    plan.state.inventories["e2"] = other
    other.vms_by_uuid = {"uuid-web-01": [marked("twin", "uuid-web-01")], "gone": [marked("back", "gone")]}
    moved = list(lost.orphans(plan.state, {}, ()))
    assert moved == []  # it is nowhere else: it has moved, and the record follows it
    home.vms_by_uuid = {"uuid-web-01": [marked("web-01", "uuid-web-01")]}
    marks = {"gone": [("e2", marked("back", "gone"))], "x": [("e1", marked("stranger"))],
             "uuid-web-01": [("e1", marked("clone"))]}  # fmt: skip
    found = {orphan.name: str(orphan) for orphan in lost.orphans(plan.state, marks, {"gone"})}
    assert {name: text.partition(":")[0].split(" ", 2)[2][:24] for name, text in found.items()} == {
        "vc2/twin": "has the instanceUuid of ",
        "vc2/back": "was deleted by the platf",
        "vc1/stranger": "carries the platform's m",
        "vc1/clone": "carries the mark of VM w",
    }


def test_marks_are_read_only_where_a_declared_vm_is_missing() -> None:
    project = [Document(entities.TENANT, "acme", id="t"), Document(entities.PROJECT, "web", "t", id="p")]
    plan = planning(documents=[*project, recorded()])
    item = {"tenant": "acme", "project": "web", "name": "web-01"}
    plan.declaration.vms.append(item)
    assert lost.needs_marks(plan)
    plan.state.inventories["e1"].vms_by_uuid["uuid-web-01"] = [marked("web-01", "uuid-web-01")]
    assert not lost.needs_marks(plan)
    item["name"] = "web-02"
    assert lost.needs_marks(plan)
    item["state"] = "absent"
    assert not lost.needs_marks(plan)
    lost.read(plan, SimpleNamespace())  # no call where no mark is needed
    assert plan.marks == {}
