# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool after manual work on VMs: moves, foreign disks, unregistered and restored VMs, equal names, agents."""

from __future__ import annotations

import copy
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    DiskSpec,
    EndpointSpec,
    NicSpec,
    VmSpec,
    blocking_vms,
    connect,
    create_vm,
    destroy,
    detach_disks,
    ensure_folders,
    enter_maintenance,
    exit_maintenance,
    find_marked,
    folder_path,
    lookup_vms,
    power_off,
    power_on,
    read_heavy,
    read_inventory,
    reconfigure,
    register_vm,
    run_jobs,
    set_uuid,
    wait_for_addresses,
)
from pyVmomi import vim

from lab import Lab
from tests.integration.lab.by_hand import TOPOLOGY, empty, new_vm, paths
from tests.support.administrator import Administrator

ENDPOINTS = pytest.mark.parametrize("name", ["vc", "esx"])


@pytest.fixture(scope="module")
def lab():
    topology = copy.deepcopy(TOPOLOGY)
    topology["endpoints"][1]["clusters"][0]["vcls"] = 1
    with Lab.start(topology) as running:
        yield running


@pytest.fixture
def site(lab):
    """Administrators by endpoint; what they made is removed at the end."""
    people = {name: Administrator(lab, name) for name in ("vc", "esx")}
    yield people
    for each in people.values():
        empty(each)
        each.close()


@pytest.fixture
def open_session(lab):
    """Connect to an endpoint of the lab."""
    opened = []

    def open_one(name, **options):
        endpoint = lab.endpoints[name]
        spec = EndpointSpec(
            name,
            name,
            endpoint.kind,
            endpoint.address,
            endpoint.username,
            endpoint.password,
            port=endpoint.port,
            ca_file=endpoint.ca_file,
            **{"timeout": 30, **options},
        )
        opened.append(connect(spec))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


def only(jobs):
    ((_job, outcome),) = jobs
    return outcome


def host_named(inventory, name):
    return next((row for row in inventory.hosts.values() if row.name == name), None)


def vm_spec(inventory, name="web-1", networks=("VM Network",)):
    host = host_named(inventory, "h1") or host_named(inventory, "e1")
    store = next(row for row in inventory.datastores.values() if row.name == "shared")
    return VmSpec(
        str(uuid.uuid4()),
        name,
        "test",
        "store-1",
        host,
        store,
        host.vm_folder,
        1,
        512 << 20,
        directory=name,
        disks=[DiskSpec("boot", 1 << 20), DiskSpec("data", 1 << 20)],
        nics=[NicSpec(inventory.network_of(host, each), "e1000") for each in networks],
    )


def created(session, **changes):
    """The row of a new VM with everything read."""
    inventory = read_inventory(session)
    spec = vm_spec(inventory, **changes)
    assert isinstance(only(run_jobs(session, [create_vm(spec)])), str)
    return read_inventory(session, {spec.uuid: None}).vm(spec.uuid)


def disconnect(admin, moid):
    """Take the first adapter's cable out, as a person would."""
    devices = admin.vm(moid).config.hardware.device
    card = next(each for each in devices if isinstance(each, vim.vm.device.VirtualEthernetCard))
    card.connectable.connected = card.connectable.startConnected = False
    admin.reconfigure(moid, deviceChange=[vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)])


def again(session, row):
    return read_inventory(session, {row.uuid: None}).vm(row.uuid, row.moid)


@ENDPOINTS
def test_a_new_vm_takes_more_cpu_and_memory_while_it_runs(site, open_session, name):
    session = open_session(name)
    row = created(session)
    assert (row.cpu_hot_add, row.memory_hot_add) == (True, True)
    assert row.extra_config["photon.store"] == "store-1"
    assert row.vmx == "[shared] web-1/web-1.vmx"
    assert row.space.keys() == {row.datastores[0]}
    assert only(run_jobs(session, [power_on(row.moid, row.name)])) is None
    assert only(run_jobs(session, [reconfigure(row.moid, row.name, vcpus=2, memory=1 << 30)])) is None
    row = again(session, row)
    assert (row.vcpus, row.memory, row.power_state) == (2, 1 << 30, "poweredOn")


def test_space_is_counted_where_the_files_are(site, open_session):
    vm = new_vm(site["vc"])
    site["vc"].attach(vm, site["vc"].create_disk("[second] other/other.vmdk"))
    inventory = read_inventory(open_session("vc"))
    row = inventory.vms[vm._moId]
    assert {inventory.datastores[moid].name for moid in row.space} == {"shared", "second"}


def test_endpoints_and_hosts_have_identities(site, open_session):
    vc, other, esx = (read_inventory(open_session(name)) for name in ("vc", "vc2", "esx"))
    assert vc.instance_uuid
    assert vc.instance_uuid != other.instance_uuid
    uuids = [host.hardware_uuid for each in (vc, other, esx) for host in each.hosts.values()]
    assert all(uuids)
    assert len(set(uuids)) == len(uuids)


@ENDPOINTS
def test_a_foreign_disk_is_never_destroyed(site, open_session, name):
    session, admin = open_session(name), site[name]
    row = created(session)
    own = [disk.path for disk in row.disks]
    foreign = admin.create_disk("[shared] other/volume.vmdk")
    inside = admin.create_disk("[shared] web-1/added.vmdk")  # where a client puts a new disk
    for path in (foreign, inside):
        admin.attach(row.moid, path)
    error = only(run_jobs(session, [destroy(row.moid, row.name, row.uuid, own_disks=own)]))
    assert (error.code, sorted(error.data["foreign_disks"])) == ("StateError", sorted([foreign, inside]))
    error = only(run_jobs(session, [destroy(row.moid, row.name, row.uuid)]))
    assert error.data["foreign_disks"] == [foreign]
    keys = [disk.key for disk in again(session, row).disks if not disk.is_among(own)]
    assert only(run_jobs(session, [detach_disks(row.moid, row.name, keys)])) is None
    assert only(run_jobs(session, [detach_disks(row.moid, row.name, keys)])) is None  # done already
    assert only(run_jobs(session, [destroy(row.moid, row.name, row.uuid, own_disks=own)])) is None
    left = set(admin.files())
    assert foreign in left
    assert not left.intersection(own)


def test_the_right_disk_grows_after_disks_changed_places(site, open_session):
    session, admin = open_session("vc"), site["vc"]
    row = created(session)
    boot, data = row.disks
    admin.detach(row.moid, data.path)
    admin.detach(row.moid, boot.path)
    admin.attach(row.moid, data.path, unit=0)
    admin.attach(row.moid, boot.path, unit=1)
    row = again(session, row)
    found = next(disk for disk in row.disks if disk.uuid == data.uuid)
    assert (found.path, found.unit, found.bus) == (data.path, 0, 0)
    assert only(run_jobs(session, [reconfigure(row.moid, row.name, extend_disks={found.key: 2 << 20})])) is None
    assert {disk.path: disk.capacity for disk in again(session, row).disks} == {data.path: 2 << 20, boot.path: 1 << 20}


def test_a_disk_is_known_by_its_uuid_after_a_storage_move(site, open_session):
    session, admin = open_session("vc"), site["vc"]
    row = created(session)
    before = row.disks
    assert len({disk.uuid for disk in before} - {""}) == 2
    admin.move_to_datastore(row.moid, "second")
    row = again(session, row)
    for old in before:
        found = next(disk for disk in row.disks if disk.uuid == old.uuid)
        assert (found.uuid, found.unit, found.path != old.path) == (old.uuid, old.unit, True)
    error = only(run_jobs(session, [destroy(row.moid, row.name, row.uuid, own_disks=[disk.path for disk in before])]))
    assert error.code == "StateError"
    own = [disk.uuid for disk in before]
    assert only(run_jobs(session, [destroy(row.moid, row.name, row.uuid, own_disks=own)])) is None


@ENDPOINTS
def test_an_adapter_keeps_type_and_address_on_another_port_group(site, open_session, name):
    session = open_session(name)
    row = created(session)
    assert only(run_jobs(session, [power_on(row.moid, row.name)])) is None
    disconnect(site[name], row.moid)
    before = again(session, row).nics[0]
    assert (before.connected, before.start_connected) == (False, False)
    inventory = read_inventory(session)
    wanted = "a/b" if name == "vc" else "VM Network"
    network = inventory.network_of(inventory.hosts[row.host], wanted)
    assert only(run_jobs(session, [reconfigure(row.moid, row.name, edit_nics={before.key: network})])) is None
    row = again(session, row)
    (after,) = row.nics
    assert (after.network, after.connected, after.start_connected) == (wanted, True, True)
    assert (after.key, after.mac, after.adapter) == (before.key, before.mac, "VirtualE1000")
    missing = only(run_jobs(session, [reconfigure(row.moid, row.name, edit_nics={99: network})]))
    assert missing.code == "StateError"
    assert only(run_jobs(session, [reconfigure(row.moid, row.name, remove_devices=[after.key])])) is None
    assert again(session, row).nics == []


def test_names_are_plain_and_paths_are_canonical(site, open_session):
    session = open_session("vc")
    inventory = read_inventory(session)
    assert "a/b" in host_named(inventory, "h1").networks
    row = created(session, networks=("a/b",))
    assert row.nics[0].network == "a/b"
    path = folder_path("Kunden & Träger 100%", "a%2fb", "back\\slash")
    root = host_named(inventory, "h1").vm_folder
    moid = ensure_folders(session, inventory, root, [path])[path]
    assert ensure_folders(session, read_inventory(session), root, [path]) == {path: moid}
    seen = read_inventory(session)
    assert (seen.folders[moid].path, seen.folders[moid].name) == (path, "back\\slash")
    assert seen.folders[seen.folders[moid].parent].name == "a/b"


def test_equal_port_group_names_are_refused(site, open_session):
    inventory = read_inventory(open_session("vc"))
    with pytest.raises(PhotonError, match=r"the standard one .* and the distributed one ") as caught:
        inventory.network_of(host_named(inventory, "h1"), "same")
    assert caught.value.code == "InvalidNetworkConfig"


@ENDPOINTS
def test_an_unregistered_vm_is_registered_again(site, open_session, name):
    session, admin = open_session(name), site[name]
    row = created(session)
    admin.unregister(row.moid)
    inventory = read_inventory(session)
    assert inventory.vm(row.uuid) is None
    host = inventory.hosts[row.host]
    taken = vm_spec(inventory)
    taken.uuid = row.uuid
    error = only(run_jobs(session, [create_vm(taken)]))
    assert (error.code, error.data["fault"]) == ("NameTaken", "FileAlreadyExists")
    assert "register: true" in error.message
    moid = only(run_jobs(session, [register_vm(row.vmx, row.name, host.vm_folder, host.pool, host.moid)]))
    found = read_inventory(session, {row.uuid: None}).vm(row.uuid)
    assert (found.moid, found.name, found.host) == (moid, row.name, row.host)
    assert [disk.path for disk in found.disks] == [disk.path for disk in row.disks]


def test_a_restored_vm_is_found_by_its_mark(site, open_session):
    session, admin = open_session("vc"), site["vc"]
    row, stranger = created(session), new_vm(admin, "stranger")
    backup = admin.backup(row.moid)
    admin.delete(row.moid)
    restored = admin.restore(backup, "h2", "second")
    known = {row.uuid: row.change_version}
    calls = session.calls
    inventory = read_inventory(session, known)
    unknown = [each.moid for each in inventory.vms.values() if each.uuid != row.uuid]
    marked = find_marked(session, inventory, unknown)
    assert session.calls == calls + 2
    assert {mark: [vm.moid for vm in rows] for mark, rows in marked.items()} == {
        row.uuid: [restored._moId],
        "the-id": [stranger._moId],
    }
    (found,) = marked[row.uuid]
    assert (found.extra_config["photon.store"], found.vmx) == ("store-1", restored.config.files.vmPathName)
    assert find_marked(session, read_inventory(session), [stranger._moId, "vm-9999"]).keys() == {"the-id"}
    assert only(run_jobs(session, [set_uuid(found.moid, row.uuid, found.name)])) is None
    inventory = read_inventory(session, known)
    assert inventory.vm(row.uuid).moid == restored._moId
    assert find_marked(session, inventory, [stranger._moId]).keys() == {"the-id"}


def test_of_two_vms_with_one_uuid_the_recorded_one_counts(site, open_session):
    session, admin = open_session("vc"), site["vc"]
    row = created(session)
    copied = admin.clone(row.moid, "copy")
    admin.lab.control.identity("vc", copied._moId, row.uuid)
    inventory = read_inventory(session)
    assert {each.moid for each in inventory.vms_of(row.uuid)} == {row.moid, copied._moId}
    for moid in (row.moid, copied._moId):
        assert inventory.vm(row.uuid, moid).moid == moid


def nics(admin, row, *reports, address=""):
    admin.lab.control.nics(admin.name, row.moid, list(reports), address=address)


@ENDPOINTS
def test_the_first_adapters_routable_address_is_chosen(site, open_session, name):
    session, admin = open_session(name), site[name]
    row = created(session)
    assert only(run_jobs(session, [power_on(row.moid, row.name)])) is None
    nics(
        admin,
        row,
        {"network": "docker0", "mac": "02:42:00:00:00:01", "addresses": ["172.17.0.1/16"]},
        {"network": "cni0", "mac": "02:42:00:00:00:02", "addresses": ["10.244.0.1/24"]},
        {"adapter": 0, "addresses": ["fe80::1/64", "2001:db8::5/64", "10.0.0.5/24"]},
        address="10.244.0.1",
    )
    assert wait_for_addresses(session, {row.moid: 30}) == {row.moid: "10.0.0.5"}
    known = {row.uuid: again(session, row).change_version}

    def seen(recorded):
        calls = session.calls
        address = read_inventory(session, known, recorded).vm(row.uuid).guest_address
        return address, session.calls - calls

    assert seen({row.uuid: "10.0.0.5"}) == ("10.0.0.5", 2)
    nics(admin, row, {"adapter": 0, "addresses": ["10.0.0.6/24"]})
    assert seen({row.uuid: "10.0.0.5"}) == ("10.0.0.6", 2)
    assert seen({row.uuid: "10.0.0.6"}) == ("10.0.0.6", 1)
    nics(
        admin,
        row,
        {"adapter": 0, "addresses": ["169.254.7.7/16"]},
        {"network": "docker0", "mac": "02:42:00:00:00:01", "addresses": ["172.17.0.1/16"]},
        address="172.17.0.1",
    )
    assert seen(None) == (None, 2)
    assert wait_for_addresses(session, {row.moid: 0}) == {}
    assert lookup_vms(session, uuids=[row.uuid])[0].guest_address is None


def test_what_keeps_a_host_out_of_maintenance(site, open_session):
    session, admin = open_session("vc"), site["vc"]
    row, template = created(session), new_vm(admin, "template")
    admin.mark_as_template(template)
    host = read_inventory(session).hosts[row.host]

    def blocking():
        return [each.name for each in blocking_vms(read_inventory(session), host.moid)]

    assert only(run_jobs(session, [power_on(row.moid, row.name)])) is None
    assert blocking() == ["web-1"]
    error = only(run_jobs(session, [enter_maintenance(host.moid, host.name, timeout=1)]))
    assert error.code == "TaskNotCompleted"
    assert only(run_jobs(session, [power_off(row.moid, row.name)])) is None
    assert blocking() == []
    assert only(run_jobs(session, [enter_maintenance(host.moid, host.name)])) is None
    seen = read_inventory(session)
    assert seen.hosts[host.moid].in_maintenance
    assert seen.vm(row.uuid).host == host.moid
    assert only(run_jobs(session, [exit_maintenance(host.moid, host.name)])) is None


def test_vcenters_own_agents_block_nothing(open_session):
    session = open_session("vc2")
    inventory = read_inventory(session)
    (agent,) = [row for row in inventory.vms.values() if row.power_state == "poweredOn"]
    assert agent.agent
    assert blocking_vms(inventory, agent.host) == []


def test_a_missing_privilege_is_named(site, open_session):
    session = open_session("vc")
    row = created(session)
    site["vc"].lab.control.fault(
        "PowerOnVM_Task",
        "NoPermission",
        endpoint="vc",
        count=1,
        fields={"privilegeId": "VirtualMachine.Interact.PowerOn"},
    )
    error = only(run_jobs(session, [power_on(row.moid, row.name)]))
    assert error.code == "AccessForbidden"
    assert f"privilege VirtualMachine.Interact.PowerOn on VirtualMachine {row.moid}" in error.message


def test_an_endpoint_that_hangs_holds_up_nothing_else(site, open_session):
    hanging, answering = open_session("vc", timeout=1.5), open_session("esx")
    rows = [created(hanging, name=f"web-{number}") for number in range(2)]
    site["vc"].lab.control.misbehave("vc", "hang")
    started = time.monotonic()
    with ThreadPoolExecutor() as pool:
        futures = [pool.submit(read_inventory, each) for each in (hanging, answering)]
        assert futures[1].result(timeout=1.4).hosts
        error = futures[0].exception()
    assert (error.code, error.data["reason"]) == ("EndpointUnreachable", "no answer within 1.5 s")
    jobs = [power_on(row.moid, row.name) for row in rows * 50]
    outcomes = [outcome for _job, outcome in run_jobs(hanging, jobs)]
    assert {(outcome.code, outcome.data["unknown"]) for outcome in outcomes} == {("EndpointUnreachable", False)}
    hanging.close()
    assert time.monotonic() - started < 8
    site["vc"].lab.control.misbehave("vc", "")


def test_an_endpoint_that_hangs_while_jobs_go_out(site, open_session):
    session = open_session("vc", timeout=1.5)
    row = created(session)
    site["vc"].lab.control.delay(call={"PowerOnVM_Task": 4000}, endpoint="vc")
    started = time.monotonic()
    outcomes = [
        outcome for _job, outcome in run_jobs(session, [power_on(row.moid, row.name, key=n) for n in range(40)])
    ]
    assert time.monotonic() - started < 4
    assert {outcome.code for outcome in outcomes} == {"EndpointUnreachable"}
    assert 1 <= sum(outcome.data["unknown"] for outcome in outcomes) <= 8  # as many as there are threads
    site["vc"].lab.control.reset()


def test_heavy_rows_hold_the_whole_chain_of_files(site, open_session):
    session, admin = open_session("vc"), site["vc"]
    vm = new_vm(admin)
    child = vim.vm.device.VirtualDisk(
        key=-1,
        controllerKey=admin.disks(vm)[0].controllerKey,
        unitNumber=5,
        capacityInKB=1024,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="[shared] web-1/child.vmdk",
            diskMode="persistent",
            parent=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=paths(admin, vm)[0], diskMode="persistent"),
        ),
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=child)
    admin.reconfigure(vm, deviceChange=[change])
    inventory = read_inventory(session)
    row = inventory.vms[vm._moId]
    read_heavy(session, [row], inventory.networks)
    disk = next(disk for disk in row.disks if disk.path == "[shared] web-1/child.vmdk")
    assert disk.files == ("[shared] web-1/child.vmdk", "[shared] web-1/boot.vmdk")
    assert (disk.unit, disk.bus) == (5, 0)
