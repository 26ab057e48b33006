# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks on a real endpoint: created, powered, destroyed, failing one by one, dropped, timed out."""

from __future__ import annotations

import uuid

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    DiskSpec,
    NicSpec,
    connect,
    create_vm,
    destroy,
    ensure_folders,
    enter_maintenance,
    exit_maintenance,
    lookup_vms,
    power_off,
    power_on,
    read_inventory,
    reconfigure,
    run_jobs,
    suspend,
)
from ansible_collections.photon.platform.plugins.module_utils.vsphere.jobs import Budgets

ENDPOINTS = pytest.mark.parametrize("name", ["vc", "esx"])


def outcomes(jobs):
    return {job.key: outcome for job, outcome in jobs}


def unknown(outcome):
    """Whether the caller has to look before it does it again."""
    return isinstance(outcome, PhotonError) and bool(outcome.data.get("unknown"))


def only(jobs):
    ((_job, outcome),) = jobs
    return outcome


@ENDPOINTS
def test_create_start_and_destroy_in_few_calls(bench, vm_spec, name):
    specs = [vm_spec(name, f"web-{n}") for n in range(20)]
    bench.reset_calls()
    with connect(bench.spec(name)) as session:
        jobs = [
            create_vm(spec, then=lambda moid, spec=spec: power_on(moid, spec.name, key=spec.uuid)) for spec in specs
        ]
        results = list(run_jobs(session, jobs))
        assert not [outcome for _job, outcome in results if isinstance(outcome, PhotonError)]
        assert len(results) == 40
        calls = bench.calls(name)
        assert (calls["CreateVM_Task"], calls["PowerOnVM_Task"]) == (20, 20)
        assert session.calls <= 3 * 20
        seen = read_inventory(session, {spec.uuid: None for spec in specs})
        for spec in specs:
            row = seen.vm(spec.uuid)
            assert (row.name, row.power_state, row.host) == (spec.name, "poweredOn", spec.host.moid)
            assert row.disks[0].path == f"[{spec.datastore.name}] {spec.directory}/boot.vmdk"
            assert row.extra_config["photon.id"] == spec.uuid
            assert row.extra_config["photon.site"] == "test"
        gone = outcomes(
            run_jobs(
                session,
                [
                    power_off(
                        seen.vm(spec.uuid).moid,
                        spec.name,
                        then=lambda _r, spec=spec: destroy(seen.vm(spec.uuid).moid, spec.name, spec.uuid),
                    )
                    for spec in specs
                ],
            )
        )
        assert set(gone.values()) == {None}
        assert not read_inventory(session).vms


@ENDPOINTS
def test_devices_of_every_kind(bench, vm_spec, name):
    spec = vm_spec(name, "web", nics=["net1", "net2"])
    spec.disks += [DiskSpec("data", 3 << 30)] + [DiskSpec(f"more-{n}", 1 << 20) for n in range(7)]
    spec.controller, spec.nics[1].adapter = "lsilogic", "e1000e"
    with connect(bench.spec(name)) as session:
        assert only(run_jobs(session, [create_vm(spec)]))
        row = read_inventory(session, {spec.uuid: None}).vm(spec.uuid)
    assert [disk.capacity for disk in row.disks[:2]] == [1 << 30, 3 << 30]
    assert [disk.unit for disk in row.disks] == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert [(nic.network, nic.adapter) for nic in row.nics] == [("net1", "VirtualVmxnet3"), ("net2", "VirtualE1000e")]


def test_distributed_port_group(bench, vm_spec):
    spec = vm_spec("vc", "web", nics=["dvnet"])
    with connect(bench.spec("vc")) as session:
        assert only(run_jobs(session, [create_vm(spec)]))
        row = read_inventory(session, {spec.uuid: None}).vm(spec.uuid)
    assert row.nics[0].network == "dvnet"


@ENDPOINTS
def test_power_verbs_are_idempotent(bench, make_vms, name):
    (row,) = make_vms(name, 1)
    with connect(bench.spec(name)) as session:

        def state_after(verb):
            assert only(run_jobs(session, [verb(row.moid, row.name)])) is None
            return read_inventory(session).vm(row.uuid).power_state

        steps = [
            (power_off, "poweredOff"),
            (power_on, "poweredOn"),
            (power_on, "poweredOn"),
            (suspend, "suspended"),
            (suspend, "suspended"),
            (power_on, "poweredOn"),
            (power_off, "poweredOff"),
            (power_off, "poweredOff"),
        ]
        assert [state_after(verb) for verb, _state in steps] == [state for _verb, state in steps]


@ENDPOINTS
def test_a_stopped_vm_cannot_be_suspended(bench, make_vms, name):
    (row,) = make_vms(name, 1)
    with connect(bench.spec(name)) as session:
        error = only(run_jobs(session, [suspend(row.moid, row.name)]))
    assert error.code == "InvalidVmState"
    assert row.name in error.message


@ENDPOINTS
def test_destroy_reads_the_uuid_again(bench, make_vms, name):
    (row,) = make_vms(name, 1)
    with connect(bench.spec(name)) as session:
        error = only(run_jobs(session, [destroy(row.moid, row.name, str(uuid.uuid4()))]))
        assert error.code == "StateError"
        assert bench.calls(name).get("Destroy_Task", 0) == 0
        assert only(run_jobs(session, [destroy(row.moid, row.name, row.uuid)])) is None
        assert only(run_jobs(session, [destroy(row.moid, row.name, row.uuid)])) is None  # gone is done


@ENDPOINTS
def test_a_running_vm_is_not_destroyed(bench, make_vms, name):
    (row,) = make_vms(name, 1)
    with connect(bench.spec(name)) as session:
        only(run_jobs(session, [power_on(row.moid, row.name)]))
        assert only(run_jobs(session, [destroy(row.moid, row.name, row.uuid)])).code == "InvalidVmState"


@ENDPOINTS
@pytest.mark.parametrize("where", ["task", "call"])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("InsufficientMemoryResourcesFault", "NotEnoughMemoryResource"),
        ("NoDiskSpace", "NotEnoughDatastoreCapacity"),
        ("NoPermission", "AccessForbidden"),
        ("HostCommunication", "InvalidHostState"),
        ("GenericVmConfigFault", "VCenterRequestError"),
    ],
)
def test_one_failure_stops_no_other_job(bench, vm_spec, name, where, fault, code):
    specs = [vm_spec(name, f"web-{n}") for n in range(5)]
    bench.rule(name, "CreateVM_Task", where, fault=fault, subject="web-3", message="injected")
    with connect(bench.spec(name)) as session:
        results = outcomes(run_jobs(session, [create_vm(spec) for spec in specs]))
        error = results.pop(specs[3].uuid)
        assert (error.code, error.data["fault"]) == (code, fault)
        assert error.message.startswith(f"create VM web-3: vSphere answered {fault}")
        assert not unknown(error)
        assert all(isinstance(outcome, str) for outcome in results.values())
        assert len(read_inventory(session).vms) == 4


def test_duplicate_name_on_vcenter(bench, make_vms, vm_spec):
    make_vms("vc", 1)
    with connect(bench.spec("vc")) as session:
        error = only(run_jobs(session, [create_vm(vm_spec("vc", "vm-0"))]))
    assert (error.code, error.data["fault"]) == ("NameTaken", "DuplicateName")


@ENDPOINTS
def test_full_datastore(bench, vm_spec, name):
    specs = [vm_spec(name, "small"), vm_spec(name, "large")]
    bench.rule(name, "CreateVM_Task", "task", fault="NoDiskSpace", count=1)
    with connect(bench.spec(name)) as session:
        results = outcomes(run_jobs(session, [create_vm(spec) for spec in specs]))
    codes = [getattr(result, "code", "created") for result in results.values()]
    assert sorted(codes) == ["NotEnoughDatastoreCapacity", "created"]


@ENDPOINTS
def test_stale_references(bench, vm_spec, name):
    specs = [vm_spec(name, f"web-{n}") for n in range(5)]
    specs[0].host.moid, specs[1].datastore.name, specs[2].folder = "host-9999", "no-such-datastore", "group-9999"
    specs[3].nics[0].network.name = "no-such-network"
    with connect(bench.spec(name)) as session:
        results = outcomes(run_jobs(session, [create_vm(spec) for spec in specs]))
        codes = [getattr(results[spec.uuid], "code", None) for spec in specs]
        assert codes[:3] == ["HostNotFound", "HostDatastoreNotFound", "NotFound"]
        assert codes[3] in ("VCenterRequestError", "PortGroupNotFound")
        assert codes[4] is None
        stale = only(run_jobs(session, [power_on("vm-9999", "ghost")]))
    assert stale.code == "VmNotFound"


@ENDPOINTS
@pytest.mark.parametrize(("where", "there"), [("drop_before", False), ("drop_after", True)])
def test_a_dropped_write_is_not_repeated(bench, vm_spec, name, where, there):
    specs = [vm_spec(name, f"web-{n}") for n in range(3)]
    rule = bench.rule(name, "CreateVM_Task", where, subject="web-1")
    with connect(bench.spec(name)) as session:
        results = outcomes(run_jobs(session, [create_vm(spec) for spec in specs]))
        error = results[specs[1].uuid]
        assert error.code == "EndpointUnreachable"
        assert unknown(error)
        assert bench.hits(rule) == 1
        assert bool(lookup_vms(session, uuids=[specs[1].uuid])) == there
        assert not unknown(results[specs[0].uuid])


def test_busy_call_is_repeated(bench, vm_spec):
    rule = bench.rule("vc", "CreateVM_Task", "status", code=503, count=2)
    with connect(bench.spec("vc")) as session:
        assert isinstance(only(run_jobs(session, [create_vm(vm_spec("vc", "web"))])), str)
    assert bench.hits(rule) == 2


def test_session_that_ends_under_eight_threads(bench, vm_spec):
    specs = [vm_spec("vc", f"web-{n}") for n in range(16)]
    with connect(bench.spec("vc")) as session:
        bench.end_session(session)
        results = outcomes(run_jobs(session, [create_vm(spec) for spec in specs]))
        assert all(isinstance(outcome, str) for outcome in results.values()), results
    assert bench.sessions("vc") == 0


def test_task_that_takes_too_long(bench, vm_spec):
    bench.delay("vc", task={"CreateVm": 1500})
    spec = vm_spec("vc", "slow")
    with connect(bench.spec("vc")) as session:
        error = only(run_jobs(session, [create_vm(spec, timeout=0.2)]))
        assert error.code == "TaskNotCompleted"
        assert unknown(error)
    bench.wait_for_vms("vc", 1)  # vSphere goes on all the same


def test_connection_lost_while_tasks_run(bench, vm_spec):
    specs = [vm_spec("vc", f"web-{n}") for n in range(3)]
    bench.delay("vc", task={"CreateVm": 500})
    bench.rule("vc", "RetrievePropertiesEx", "drop_before")
    with connect(bench.spec("vc")) as session:
        results = outcomes(run_jobs(session, [create_vm(spec) for spec in specs]))
    assert {results[spec.uuid].code for spec in specs} == {"EndpointUnreachable"}
    assert all(unknown(outcome) for outcome in results.values())
    assert all(f"web-{n}" in results[spec.uuid].message for n, spec in enumerate(specs))
    bench.wait_for_vms("vc", 3)


def test_tasks_run_side_by_side_and_are_polled_in_bulk(bench, vm_spec):
    bench.delay("vc", task={"CreateVm": 800})
    with connect(bench.spec("vc")) as session:
        results = list(run_jobs(session, [create_vm(vm_spec("vc", f"web-{n}")) for n in range(30)]))
    assert all(isinstance(outcome, str) for _job, outcome in results)
    assert bench.calls("vc")["RetrievePropertiesEx"] < 30


def test_budget_per_host_holds_in_vsphere(bench, vm_spec):
    bench.delay("vc", task={"CreateVm": 300})
    specs = [vm_spec("vc", f"web-{n}") for n in range(6)]
    for spec in specs:
        spec.host = specs[0].host
    seen = []
    with connect(bench.spec("vc")) as session:
        for job, outcome in run_jobs(session, [create_vm(spec) for spec in specs], Budgets(per_host=2)):
            assert isinstance(outcome, str)
            seen.append((job.key, bench.calls("vc")["CreateVM_Task"]))
    # When the n-th result comes, at most two more than n were ever asked for.
    assert all(asked <= at + 2 for at, (_key, asked) in enumerate(seen))


def test_a_lost_lease_ends_the_run(bench, vm_spec):
    checks = []

    def renew():
        checks.append(1)
        if len(checks) > 4:
            raise PhotonError("LeaseLost", "another controller took over")

    with connect(bench.spec("vc")) as session:
        session.guard = renew
        with pytest.raises(PhotonError, match="took over"):
            list(run_jobs(session, [create_vm(vm_spec("vc", f"web-{n}")) for n in range(30)]))
    assert bench.calls("vc")["CreateVM_Task"] == 4
    bench.wait_for_vms("vc", 4)


def test_shrinking_a_disk(bench, make_vms):
    (row,) = make_vms("vc", 1)
    with connect(bench.spec("vc")) as session:
        key = read_inventory(session, {row.uuid: None}).vm(row.uuid).disks[0].key
        error = only(run_jobs(session, [reconfigure(row.moid, row.name, extend_disks={key: 1 << 20})]))
        missing = only(run_jobs(session, [reconfigure(row.moid, row.name, extend_disks={9: 1 << 40})]))
    assert (error.code, missing.code) == ("VCenterRequestError", "DiskNotFound")


def test_folders(bench):
    with connect(bench.spec("vc")) as session:
        seen = read_inventory(session)
        root = next(iter(seen.datacenters.values())).vm_folder
        made = ensure_folders(session, seen, root, ["site/acme/web", "site/acme/db", ""])
        assert made[""] == root
        assert bench.calls("vc")["CreateFolder"] == 4
        assert ensure_folders(session, seen, root, ["site/acme/web"]) == {"site/acme/web": made["site/acme/web"]}
        fresh = read_inventory(session)
        assert {path: fresh.folders[moid].path for path, moid in made.items()} == {path: path for path in made}
        # Another controller, which read before the folders were there, takes them as they are.
        assert ensure_folders(session, bench.without_folders(seen), root, ["site/acme/web"]) == {
            "site/acme/web": made["site/acme/web"]
        }


def test_folders_on_a_standalone_host(bench):
    with connect(bench.spec("esx")) as session:
        seen = read_inventory(session)
        (host,) = seen.hosts.values()
        assert ensure_folders(session, seen, host.vm_folder, ["site/acme/web"]) == {"site/acme/web": host.vm_folder}
    assert "CreateFolder" not in bench.calls("esx")


def test_maintenance_mode(bench, vm_spec):
    spec = vm_spec("vc", "web")
    with connect(bench.spec("vc")) as session:

        def change(verb):
            assert only(run_jobs(session, [verb(spec.host.moid, spec.host.name)])) is None
            return read_inventory(session).hosts[spec.host.moid]

        assert not change(enter_maintenance).ready
        assert change(enter_maintenance).in_maintenance
        assert only(run_jobs(session, [create_vm(spec)])).code == "StateError"
        assert change(exit_maintenance).ready
        assert change(exit_maintenance).ready
    calls = bench.calls("vc")
    assert (calls["EnterMaintenanceMode_Task"], calls["ExitMaintenanceMode_Task"]) == (1, 1)


def test_nic_backing_is_refused_for_an_unknown_adapter(vm_spec):
    spec = vm_spec("vc", "web")
    spec.nics = [NicSpec(spec.nics[0].network, "token-ring")]
    with pytest.raises(PhotonError) as caught:
        create_vm(spec)
    assert caught.value.code == "SpecInvalid"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"controller": "ide"}, "UnsupportedDiskController"),
        ({"memory": (512 << 20) + 1}, "SpecInvalid"),
        ({"disks": [DiskSpec(f"d{n}", 1024) for n in range(16)]}, "SpecInvalid"),
        ({"disks": [DiskSpec("d", 1025)]}, "SpecInvalid"),
    ],
)
def test_specifications_that_cannot_be(vm_spec, change, code):
    spec = vm_spec("vc", "web")
    for key, value in change.items():
        setattr(spec, key, value)
    with pytest.raises(PhotonError) as caught:
        create_vm(spec)
    assert caught.value.code == code
