# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one bulk read says of a vCenter and of an ESXi host, and that changes made by hand are seen."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    NicSpec,
    api,
    connect,
    inventory,
    lookup_vms,
    power_on,
    read_inventory,
    reconfigure,
    retrieve,
    run_jobs,
    wait_for_addresses,
)

GB = 1 << 30


def only(jobs):
    ((_job, outcome),) = jobs
    return outcome


def test_vcenter(bench):
    with connect(bench.spec("vc")) as session:
        seen = read_inventory(session)
    host = next(row for row in seen.hosts.values() if row.name == "h1")
    assert (host.cores, host.memory, host.cluster, host.connection_state) == (16, 64 * GB, "c1", "connected")
    assert host.ready
    assert {seen.datastores[moid].name: seen.datastores[moid].type for moid in host.datastores} == {
        "shared": "SHARED_VMFS",
        "local1": "LOCAL_VMFS",
    }
    assert "net1" in host.networks
    assert seen.clusters[host.cluster_moid].drs
    assert seen.datacenters[host.datacenter].name == "dc1"
    assert seen.folders[host.vm_folder].path == ""
    assert seen.network_of(host, "dvnet").kind == "distributed"
    assert seen.network_of(host, "nothing") is None


def test_standalone_host(bench):
    with connect(bench.spec("esx")) as session:
        seen = read_inventory(session)
        assert not session.is_vcenter
    (host,) = seen.hosts.values()
    assert (host.cluster, host.drs, host.cores) == (None, False, 8)
    assert seen.folders[host.vm_folder].path == ""
    assert [row.type for row in seen.datastores.values()] == ["LOCAL_VMFS", "LOCAL_VMFS"]


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_vms_are_read_with_their_size(bench, make_vms, name):
    rows = make_vms(name, 3)
    with connect(bench.spec(name)) as session:
        assert only(run_jobs(session, [power_on(rows[0].moid, rows[0].name)])) is None
        seen = read_inventory(session)
    row = seen.vm(rows[0].uuid)
    assert (row.power_state, row.vcpus, row.memory, row.template) == (
        "poweredOn",
        1,
        512 << 20,
        False,
    )
    assert row.disks is row.nics is row.extra_config is None


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_heavy_paths_only_where_the_version_moved(bench, make_vms, name):
    rows = make_vms(name, 3)
    with connect(bench.spec(name)) as session:
        known = {row.uuid: row.change_version for row in read_inventory(session).vms.values()}
        calls = session.calls
        assert all(row.disks is None for row in read_inventory(session, known).vms.values())
        assert session.calls == calls + 1
        known[rows[0].uuid] = None
        seen = read_inventory(session, known)
        assert session.calls == calls + 3
    heavy = [row for row in seen.vms.values() if row.disks is not None]
    assert [row.uuid for row in heavy] == [rows[0].uuid]
    (disk,), (nic,) = heavy[0].disks, heavy[0].nics
    assert (disk.capacity, disk.files) == (GB, (disk.path,))
    assert (nic.network, nic.adapter) == ("net1", "VirtualVmxnet3")
    assert heavy[0].extra_config["photon.id"] == rows[0].uuid


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_changes_by_hand_are_seen(bench, make_vms, name):
    (row,) = make_vms(name, 1)

    def change(**options):
        """One change as a person would make it; what the next run reads of the VM then."""
        with connect(bench.spec(name)) as session:
            before = read_inventory(session, {row.uuid: None})
            known = {row.uuid: before.vm(row.uuid).change_version}
            host = before.hosts[before.vm(row.uuid).host]
            assert (
                only(
                    run_jobs(
                        session,
                        [
                            reconfigure(
                                row.moid,
                                row.name,
                                **{
                                    key: value(before.vm(row.uuid), before, host) if callable(value) else value
                                    for key, value in options.items()
                                },
                            )
                        ],
                    )
                )
                is None
            )
            return read_inventory(session, known).vm(row.uuid)

    assert change(vcpus=3).vcpus == 3
    assert change(memory=GB).memory == GB
    assert change(extend_disks=lambda vm, *_: {vm.disks[0].key: 2 * GB}).disks[0].capacity == 2 * GB
    assert len(change(add_nics=lambda _vm, seen, host: [NicSpec(seen.network_of(host, "net2"), "e1000")]).nics) == 2
    assert [nic.network for nic in change(remove_devices=lambda vm, *_: [vm.nics[0].key]).nics] == ["net2"]
    assert change(extra_config={"guestinfo.userdata": "x"}).extra_config["guestinfo.userdata"] == "x"
    assert "guestinfo.userdata" not in change(extra_config={"guestinfo.userdata": ""}).extra_config


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_the_lean_reader_reads_what_pyvmomi_reads(bench, make_vms, name):
    """Every path of the bulk read, value by value."""
    make_vms(name, 2)
    loaded = api.load()
    collector = loaded.vmodl.query.PropertyCollector
    with connect(bench.spec(name)) as session:
        ours = {(kind, moid): values for kind, moid, values in retrieve.from_view(session, inventory.PATHS)}
        walk = collector.TraversalSpec(name="view", path="view", skip=False, type=loaded.vim.view.ContainerView)
        properties = [
            collector.PropertySpec(type=loaded.support.GetWsdlType("urn:vim25", kind), pathSet=paths)
            for kind, paths in inventory.PATHS.items()
        ]
        spec = collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=session.view, skip=True, selectSet=[walk])], propSet=properties
        )
        answer = session.content.propertyCollector.RetrievePropertiesEx([spec], collector.RetrieveOptions())
    theirs = {(each.obj._wsdlName, each.obj._moId): {p.name: p.val for p in each.propSet} for each in answer.objects}
    assert ours.keys() == theirs.keys()
    compared = 0
    for key, values in theirs.items():
        for path, value in values.items():
            if value is None or plain(value) == "":
                assert not ours[key].get(path)
            elif retrieve.is_object(ours[key][path]):  # a data object, read where it is needed
                assert path in ("configurationEx", "summary", "config.managedBy")
            elif path in ("guest.net", "storage.perDatastoreUsage"):  # lists of data objects
                assert len(ours[key][path]) == len(value) > 0
                compared += 1
            else:
                assert ours[key][path] == plain(value), path
                compared += 1
    assert compared > 50


def plain(value):
    """A value of pyvmomi as the answer's text has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return [plain(each) for each in value]
    return getattr(value, "_moId", None) or str(value)


def test_lookup_by_uuid_and_by_name(bench, make_vms):
    rows = make_vms("vc", 4)
    with connect(bench.spec("vc")) as session:
        calls = session.calls
        found = lookup_vms(session, uuids=[rows[0].uuid, rows[2].uuid, "none"])
        assert {row.moid for row in found} == {rows[0].moid, rows[2].moid}
        assert session.calls == calls + 2  # the view, and one read
        assert [row.uuid for row in lookup_vms(session, names=["vm-1"], folder=rows[0].folder)] == [rows[1].uuid]
        assert lookup_vms(session, names=["vm-1"], folder="group-none") == []
        assert session.calls == calls + 4


@pytest.mark.parametrize("name", ["vc", "esx"])
def test_addresses_are_waited_for_together(bench, make_vms, name):
    rows = make_vms(name, 3)
    bench.guests(name, delay_ms=300)
    with connect(bench.spec(name)) as session:
        started = run_jobs(session, [power_on(row.moid, row.name) for row in rows[:2]])
        assert [outcome for _job, outcome in started] == [None, None]
        found = wait_for_addresses(session, {row.moid: 30 for row in rows[:2]})
        assert set(found) == {row.moid for row in rows[:2]}
        assert len(set(found.values())) == 2
        assert wait_for_addresses(session, {rows[2].moid: 0}) == {}
        assert read_inventory(session).vm(rows[0].uuid).guest_address == found[rows[0].moid]
