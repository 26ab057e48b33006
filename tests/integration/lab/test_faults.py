# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults, delays and counters on demand."""

from __future__ import annotations

import http.client
import time

import pytest
from pyVmomi import vim, vmodl

from lab import LabError

UNANSWERED = (http.client.HTTPException, ConnectionError, OSError)


def test_a_call_fails_for_a_glob_of_names(either, control):
    control.fault("CreateVM_Task", "InsufficientResourcesFault", name="web-*", message="nothing left")
    with pytest.raises(vim.fault.InsufficientResourcesFault) as caught:
        either.create(either.spec("web-1"))
    assert caught.value.msg == "nothing left"
    either.create(either.spec("db-1"))


def test_a_task_fails_a_number_of_times_after_some_passed(either, control):
    rule = control.fault("CreateVM_Task", "NoDiskSpace", where="task", skip=1, count=2)
    outcomes = []
    for _ in range(5):
        try:
            either.create()
            outcomes.append("made")
        except vim.fault.NoDiskSpace:
            outcomes.append("failed")
    assert outcomes == ["made", "failed", "failed", "made", "made"]
    assert {each["id"]: each["hits"] for each in control.faults()} == {rule["id"]: 2}


def test_a_rate_is_the_same_each_time(vc, control):
    def outcomes():
        control.reset()
        control.fault("PowerOnVM_Task", "TaskInProgress", where="task", rate=0.5, seed=3)
        found = []
        for vm in vms:
            try:
                vc.result(vm.PowerOnVM_Task())
                vc.result(vm.PowerOffVM_Task())
                found.append(True)
            except vim.fault.TaskInProgress:
                found.append(False)
        return found

    vms = [vc.create() for _ in range(20)]
    first = outcomes()
    assert outcomes() == first
    assert 4 < sum(first) < 16


@pytest.mark.parametrize(
    "fault",
    [
        "DuplicateName",
        "InvalidPowerState",
        "NotAuthenticated",
        "NoPermission",
        "HostNotConnected",
        "ManagedObjectNotFound",
        "FileNotFound",
        "ResourceInUse",
        "ConcurrentAccess",
        "InvalidDatastore",
        "SystemError",
        "SystemErrorFault",
        "UnexpectedFault",
        "CannotAccessVmDisk",
        "StorageVMotionNotSupported",
        "RequestCanceled",
        "InsufficientMemoryResourcesFault",
    ],
)
@pytest.mark.parametrize("where", ["call", "task"])
def test_any_fault_can_be_read_by_a_client(vc, control, fault, where):
    control.fault("CreateVM_Task", fault, where=where)
    known = [fault, fault.removesuffix("Fault")]  # Go's second name of most is none that clients know
    expected = next(
        getattr(space, name) for name in known for space in (vim.fault, vmodl.fault) if hasattr(space, name)
    )
    with pytest.raises(expected):
        vc.create()


def test_a_connection_dropped_before_the_server_acted(either, control):
    spec = either.spec("lost")
    control.fault("CreateVM_Task", where="drop_before", count=1)
    with pytest.raises(UNANSWERED):
        either.folder.CreateVM_Task(spec, either.pool(), either.host)
    time.sleep(0.1)
    assert not list(either.folder.childEntity)


def test_a_connection_dropped_after_the_server_acted(either, control):
    spec = either.spec("lost")
    control.fault("CreateVM_Task", where="drop_after", count=1)
    with pytest.raises(UNANSWERED):
        either.folder.CreateVM_Task(spec, either.pool(), either.host)
    deadline = time.monotonic() + 5
    while not list(either.folder.childEntity) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [vm.name for vm in either.folder.childEntity] == ["lost"]
    with pytest.raises(vim.fault.DuplicateName):
        either.create(spec)


def test_an_http_status_for_soap_and_for_files(either, control):
    control.fault("CurrentTime", where="status", code=503, count=1)
    with pytest.raises(Exception, match="503"):
        either.instance.CurrentTime()
    either.instance.CurrentTime()
    control.fault("DatastorePut", where="status", code=502, name="*part*")
    assert either.http("PUT", either.url("a.part"), data=b"x").status_code == 502
    assert either.http("PUT", either.url("whole"), data=b"x").status_code == 201


def test_rules_for_one_endpoint_leave_the_others_alone(vc, esx, control):
    control.fault("CreateVM_Task", "InvalidState", endpoint="esx")
    vc.create()
    with pytest.raises(vim.fault.InvalidState):
        esx.create()


def test_wrong_rules_are_refused(control):
    with pytest.raises(LabError, match="NoSuchFault"):
        control.fault("CreateVM_Task", "NoSuchFault")
    with pytest.raises(LabError, match="where"):
        control.fault("CreateVM_Task", "InvalidState", where="somewhere")
    with pytest.raises(LabError, match="HTTP status"):
        control.fault("CreateVM_Task", where="status")
    with pytest.raises(LabError, match="nowhere"):
        control.fault("CreateVM_Task", "InvalidState", endpoint="nowhere")
    assert control.faults() == []


def test_calls_are_counted_per_method_and_endpoint(vc, esx, control):
    control.calls(reset=True)
    for _ in range(3):
        vc.create()
    vc.http("PUT", vc.url("counted"), data=b"x")
    calls = control.calls()
    assert calls["vc"]["CreateVM_Task"] == 3
    assert calls["vc"]["DatastorePut"] == 1
    assert calls["esx"] == {}
    assert control.calls("vc", reset=True)["CreateVM_Task"] == 3
    assert "CreateVM_Task" not in control.calls("vc")


def test_a_delayed_call_answers_later_and_a_delayed_task_ends_later(either, control):
    control.delay(call={"CreateVM_Task": 150}, task={"CreateVm": 300}, endpoint=either.name)
    spec, started = either.spec(), time.monotonic()
    task = either.start_create(spec)
    answered = time.monotonic()
    either.result(task)
    assert answered - started >= 0.15
    assert time.monotonic() - answered >= 0.25


def test_delayed_tasks_run_concurrently_and_readers_do_not_wait(vc, control):
    specs = [vc.spec() for _ in range(10)]
    control.delay(task={"CreateVm": 1500})
    started = time.monotonic()
    tasks = [vc.start_create(spec) for spec in specs]
    assert len(vc.folder.childEntity) == 0
    read = time.monotonic() - started
    for task in tasks:
        vc.result(task)
    # One after the other they would take fifteen seconds, and a reader would wait for them.
    assert time.monotonic() - started < 12
    assert read < 4


def test_references_that_are_gone_and_names_that_are_not_there_are_faults(either, control):
    vm = either.create(either.spec("gone"))
    either.result(vm.Destroy_Task())
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        vm.PowerOnVM_Task()
    ghost = vim.HostSystem("host-9999", either.instance._stub)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        either.folder.CreateVM_Task(either.spec(), either.pool(), ghost)
    with pytest.raises(vim.fault.InvalidDatastorePath):
        either.create(either.spec(datastore="nowhere"))
    with pytest.raises(vim.fault.InvalidDeviceSpec):
        either.create(either.spec(devices=[either.nic("nowhere")]))
    assert either.create().name


def test_a_datastore_the_host_does_not_have_is_a_fault(vc):
    with pytest.raises(vim.fault.InvalidDatastorePath):
        vc.create(vc.spec(datastore="local-h1"), host=vc.hosts["h2"])
    with pytest.raises(vim.fault.InvalidDatastorePath):
        vc.folder.CreateVM_Task(vc.spec(datastore="local-h3"), vc.pool(vc.hosts["h1"]))


def test_a_removed_host_is_out_of_its_cluster(lab_factory):
    from tests.integration.lab.conftest import Client  # the fixtures' lab must keep its hosts

    client = Client(lab_factory("small"), "vc1")
    cluster = client.host.parent
    host = client.hosts["esx02.lab"]
    client.result(host.EnterMaintenanceMode_Task(0))
    client.result(host.Destroy_Task())
    assert sorted(each.name for each in cluster.host) == ["esx01.lab", "esx03.lab"]
    for number in range(6):
        client.result(client.folder.CreateVM_Task(client.spec(f"v{number}", datastore="shared1"), cluster.resourcePool))
    client.close()
