# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistent disks: managed VMDKs on both kinds of endpoint, first-class disks on a simulated vCenter."""

from __future__ import annotations

import contextlib
import time

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    FCD,
    VMDK,
    DatastoreReader,
    DiskFile,
    EndpointSpec,
    ListedDisk,
    NewDisk,
    Slot,
    attach_disks,
    choose_backing,
    connect,
    copy_disk,
    create_disk,
    created_disk,
    delete_disk,
    describe_first_class,
    destroy,
    detach_backings,
    find_unknown,
    free_slots,
    grow_disk,
    list_disks,
    make_directory,
    power_off,
    power_on,
    read_all,
    read_disk,
    read_inventory,
    read_policies,
    reconfigure,
    run_jobs,
)

from lab import Lab
from tests.support.administrator import Administrator

MIB = 1 << 20
# An ESXi host's are managed VMDKs; first-class disks and policies exist only simulated.
BACKINGS = pytest.mark.parametrize(("name", "backing"), [("vc", VMDK), ("vc", FCD), ("esx", VMDK)])
STORES = {"vc": "shared", "esx": "datastore1"}


class Disks:
    """The calls of this module on one endpoint, one job at a time."""

    def __init__(self, bench, name, backing, session):
        self.bench, self.name, self.backing, self.session = bench, name, backing, session
        self.inventory = read_inventory(session)
        self.store = next(row for row in self.inventory.datastores.values() if row.name == STORES[name])
        self.made = {}

    @property
    def datacenter(self):
        return next(iter(self.inventory.datacenters.values()))

    def run(self, *jobs):
        outcomes = [outcome for job in jobs for _job, outcome in run_jobs(self.session, [job])]
        for outcome in outcomes:
            if isinstance(outcome, PhotonError):
                raise outcome
        return outcomes[0] if outcomes else None

    def create(self, label="data", mib=4, **more):
        make_directory(self.session, f"[{self.store.name}] disks", self.datacenter.moid)
        new = NewDisk(label, mib * MIB, self.store, f"[{self.store.name}] disks/{label}.vmdk", **more)
        made = created_disk(new, self.backing, self.run(create_disk(new, self.backing)))
        self.made[made.path] = made
        return made

    def rows(self, vm):
        return read_inventory(self.session, {vm.uuid: None}).vm(vm.uuid).disks

    def attach(self, vm, *disks):
        slots = free_slots(self.rows(vm), len(disks), vm.name)
        self.attach_at(vm, list(zip(disks, slots, strict=True)))

    def attach_at(self, vm, places):
        self.run(*(job for job, _disks in attach_disks(vm.moid, vm.name, places)))

    def detach(self, vm, *disks):
        self.run(*(job for job, _disks in detach_backings(vm.moid, vm.name, disks)))

    def extent(self, disk):
        return disk.path.replace(".vmdk", "-flat.vmdk")

    def empty(self):
        self.bench.lab.control.reset()
        for row in read_inventory(self.session).vms.values():
            self.run(power_off(row.moid, row.name))
            for disk in self.made.values():
                with contextlib.suppress(PhotonError):
                    self.detach(row, disk)
            self.run(destroy(row.moid, row.name, row.uuid))
        for disk in self.made.values():
            with contextlib.suppress(PhotonError):  # one that vanished
                self.run(delete_disk(disk))
        with Administrator(self.bench.lab, self.name) as admin:
            for folder in {file.partition("/")[0] for file in self.bench.files(self.name, self.store.name)}:
                path = f"[{self.store.name}] {folder}"
                admin.wait(admin.content.fileManager.DeleteDatastoreFile_Task(path, admin.datacenter))


@pytest.fixture
def on(bench):
    with contextlib.ExitStack() as stack:

        def start(name, backing):
            disks = Disks(bench, name, backing, stack.enter_context(connect(bench.spec(name))))
            stack.callback(disks.empty)
            return disks

        yield start


def refused(call, *args, **more):
    with pytest.raises(PhotonError) as caught:
        call(*args, **more)
    return caught.value


def test_first_class_disks_are_chosen_where_the_endpoint_has_them(bench):
    with connect(bench.spec("vc")) as session:
        inventory = read_inventory(session)
        assert [choose_backing(inventory, "vc", each) for each in ("auto", "fcd", "vmdk")] == [FCD, FCD, VMDK]
    with connect(bench.spec("esx")) as session:
        inventory = read_inventory(session)
        assert [choose_backing(inventory, "esx", each) for each in ("auto", "vmdk")] == [VMDK, VMDK]
        assert refused(choose_backing, inventory, "esx", "fcd").code == "UpdateNotSupported"


def test_before_api_7_0_2_disks_are_managed_vmdks():
    """Simulated: the vCenter announces an older version, and refuses metadata as such a one does."""
    topology = {
        "endpoints": [
            {
                "name": "old",
                "kind": "vcenter",
                "api_version": "7.0.1.0",
                "clusters": [{"name": "c1", "hosts": [{"name": "h1"}]}],
                "datastores": [{"name": "shared", "capacity": "10 GB"}],
            }
        ]
    }
    with Lab.start(topology) as lab:
        endpoint = lab.endpoints["old"]
        spec = EndpointSpec("old", "old", "vcenter", endpoint.address, endpoint.username, endpoint.password,
                            endpoint.port, str(endpoint.ca_file))  # fmt: skip
        with connect(spec) as session:
            inventory = read_inventory(session)
            assert [choose_backing(inventory, "old", each) for each in ("auto", "vmdk")] == [VMDK, VMDK]
            error = refused(choose_backing, inventory, "old", "fcd")
            assert (error.code, "7.0.1.0" in error.message) == ("UpdateNotSupported", True)
            [store] = inventory.datastores.values()
            [(_job, outcome)] = run_jobs(session, [create_disk(NewDisk("a", MIB, store, marks={"k": "v"}), FCD)])
            assert isinstance(outcome, PhotonError)


@BACKINGS
def test_a_disk_from_its_creation_to_its_end(on, bench, make_vms, name, backing):
    [vm] = make_vms(name, 1)
    disks = on(name, backing)
    disk = disks.create()
    assert (disk.capacity, disk.backing, bool(disk.id)) == (4 * MIB, backing, backing == FCD)
    detached = read_disk(disks.session, disk)
    assert (detached.path, detached.capacity) == (disk.path, 4 * MIB)
    disks.attach(vm, disk)
    row = disks.rows(vm)[1]
    assert (row.path, row.capacity, row.bus, row.unit, row.uuid) == (disk.path, 4 * MIB, 0, 1, detached.uuid)
    disks.run(power_on(vm.moid, vm.name), reconfigure(vm.moid, vm.name, extend_disks={row.key: 8 * MIB}))
    assert disks.rows(vm)[1].capacity == 8 * MIB
    disks.detach(vm, disk)
    assert [each.path for each in disks.rows(vm)] == [disks.rows(vm)[0].path]
    disks.detach(vm, disk)  # done already
    assert disks.extent(disk).partition("] ")[2] in bench.files(name, disks.store.name)
    disks.run(grow_disk(disk, 16 * MIB))
    assert list_disks(disks.session, [disks.store])[disk.path].capacity == 16 * MIB
    assert refused(disks.run, grow_disk(disk, 8 * MIB)).code in ("VCenterRequestError", "SpecInvalid")
    disks.run(delete_disk(disk))
    assert read_disk(disks.session, disk) is None
    disks.run(delete_disk(disk))  # done already
    assert disk.path not in list_disks(disks.session, [disks.store])


@BACKINGS
def test_a_disk_outlives_its_vm_and_its_bytes_move_with_it(on, bench, make_vms, name, backing):
    first, second = make_vms(name, 2)
    disks = on(name, backing)
    disk = disks.create()
    disks.attach(first, disk)
    bench.lab.control.damage(disk.path, MIB, 3, endpoint=name)
    disks.detach(first, disk)
    disks.run(destroy(first.moid, first.name, first.uuid))
    disks.attach(second, disk)
    center = bench.lab.endpoints[name].datacenter
    with DatastoreReader(disks.session, center) as reader:
        assert reader.read(disks.extent(disk), MIB - 1, 5) == b"\0\xff\xff\xff\0"
        assert refused(reader.read, disks.extent(disk), 4 * MIB - 1, 2).code == "NotFound"
        assert refused(reader.read, f"[{disks.store.name}] disks/none.vmdk", 0, 1).code == "NotFound"
        assert reader.read(disks.extent(disk), 4 * MIB - 1, 1) == b"\0"  # the connection goes on


@BACKINGS
def test_attaching_a_disk_twice_is_refused(on, make_vms, name, backing):
    first, second = make_vms(name, 2)
    disks = on(name, backing)
    disk = disks.create()
    disks.attach(first, disk)
    disks.run(power_on(first.moid, first.name))
    assert refused(disks.attach, second, disk).code in ("StateError", "ConcurrentTask")
    assert refused(disks.run, grow_disk(disk, 8 * MIB)).code == "StateError"
    assert refused(disks.run, delete_disk(disk)).code == "StateError"
    assert [len(disks.rows(vm)) for vm in (first, second)] == [2, 1]


@BACKINGS
def test_many_disks_of_a_vm_take_one_call_and_open_a_second_controller(on, bench, make_vms, name, backing):
    [vm] = make_vms(name, 1)
    disks = on(name, backing)
    made = [disks.create(f"data-{at}", 1) for at in range(16)]
    bench.reset_calls()
    slots = free_slots(disks.rows(vm), 16, vm.name)
    assert [(slot.bus, slot.unit, slot.fresh) for slot in slots[-3:]] == [(0, 15, False), (1, 0, True), (1, 1, True)]
    disks.attach_at(vm, list(zip(made, slots, strict=True)))
    calls = bench.calls(name)
    assert (calls["ReconfigVM_Task"], calls["AttachDisk_Task"]) == (1, 16 if backing == FCD else 0)
    assert {(row.path, row.bus, row.unit) for row in disks.rows(vm)[1:]} == {
        (disk.path, slot.bus, slot.unit) for disk, slot in zip(made, slots, strict=True)
    }
    disks.detach(vm, *made[-2:])
    disks.attach_at(vm, [(made[-1], Slot(1, 3, True))])  # the empty controller is still there
    assert [row.unit for row in disks.rows(vm) if row.bus == 1] == [3]


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_one_listing_shows_every_disk_of_a_datastore(on, bench, make_vms, name):
    [vm] = make_vms(name, 1)
    disks = on(name, VMDK)
    thin, thick = disks.create("thin"), disks.create("thick", 8, thin=False)
    bench.lab.control.damage(thin.path, 0, 1, endpoint=name)
    bench.reset_calls()
    found = list_disks(disks.session, disks.inventory.datastores.values())
    assert bench.calls(name)["SearchDatastoreSubFolders_Task"] == len(disks.inventory.datastores)
    boot = disks.rows(vm)[0].path
    assert found == {
        boot: ListedDisk(0, 1 << 30, True),
        thin.path: ListedDisk(4096, 4 * MIB, True),
        thick.path: ListedDisk(8 * MIB, 8 * MIB, False),
    }


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_a_copy_reports_its_progress(on, bench, name):
    disks = on(name, VMDK)
    disk = disks.create()
    bench.lab.control.damage(disk.path, 0, 4 * MIB, endpoint=name)
    bench.lab.control.bandwidth(name, disks.store.name, read="2 MB")
    told, target = [], f"[{disks.store.name}] disks/copy.vmdk"
    center = disks.datacenter.moid
    disks.run(copy_disk("copy", disk.path, center, target, center, progress=told.append))
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] <= 100
    assert list_disks(disks.session, [disks.store])[target] == ListedDisk(4 * MIB, 4 * MIB, True)
    disks.made[target] = DiskFile("copy", VMDK, target, disks.store)


def test_what_an_interrupted_create_left_is_found_by_its_metadata(on, bench):
    """First-class disks exist only simulated."""
    disks = on("vc", FCD)
    other = disks.create("other")
    bench.rule("vc", "CreateDisk_Task", "drop_after", count=1)
    assert refused(disks.create, "lost", marks={"photon.id": "7"}).data["unknown"]
    found, deadline = [], time.monotonic() + 60
    while not found:  # the task that nobody waited for may still run
        assert time.monotonic() < deadline
        found = find_unknown(disks.session, [disks.store], {other.id})
    assert [(each.name, each.capacity, each.marks) for each in found] == [("lost", 4 * MIB, {"photon.id": "7"})]
    disks.made[found[0].path] = found[0]


def test_metadata_of_a_first_class_disk_changes_key_by_key(on):
    """First-class disks exist only simulated."""
    disks = on("vc", FCD)
    disk = disks.create(marks={"a": "1", "b": "2"})
    disks.run(describe_first_class(disk, {"a": "3", "b": "", "c": "4"}, None, {}))
    assert [each.marks for each in read_all(disks.session, [(disks.store, disk.id)])] == [{"a": "3", "c": "4"}]
    assert read_all(disks.session, [(disks.store, "none")]) == []


def test_a_disk_that_vanished_is_reported_gone(on, bench):
    for backing in (VMDK, FCD):
        disks = on("vc", backing)
        disk = disks.create(f"gone-{backing}")
        bench.lab.control.vanish(disk.path, endpoint="vc")
        assert read_disk(disks.session, disk) is None
        assert disk.path not in list_disks(disks.session, [disks.store])


@pytest.mark.parametrize("backing", [VMDK, FCD])
def test_policies_of_a_simulated_vcenter_by_name(on, bench, make_vms, backing):
    [vm] = make_vms("vc", 1)
    disks = on("vc", backing)
    policies = read_policies(disks.session)
    assert read_policies(disks.session) is policies
    gold = policies.id_of("gold")
    assert policies.datastores("gold") == {disks.store.moid}
    unknown = refused(policies.id_of, "silver")
    assert unknown.code == "NoConstraintMatchingDatastore"
    assert "gold" in unknown.message
    plain, rich = disks.create("plain"), disks.create("rich", policy=gold)
    disks.attach(vm, plain, rich)
    keys = {row.path: f"{vm.moid}:{row.key}" for row in disks.rows(vm)}
    assert policies.of_disks(keys.values()) == {keys[rich.path]: gold}
    if backing == FCD:
        assert policies.of_disks([plain.id, rich.id]) == {rich.id: gold}
    assert refused(disks.create, "other", policy="unknown").code in ("VCenterRequestError", "SpecInvalid")
    assert read_inventory(disks.session).vms  # other calls do not carry the service's cookie


def test_an_esxi_host_has_no_storage_policies(bench):
    with connect(bench.spec("esx")) as session:
        assert refused(read_policies, session).code == "UpdateNotSupported"
