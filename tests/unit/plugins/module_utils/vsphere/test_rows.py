# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows: a recorded disk found again, foreign disks, VMs that share a uuid, what keeps a host out of maintenance."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import blocking_vms, devices
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import (
    DiskRow,
    EndpointInventory,
    HostRow,
    NetworkRow,
    VmRow,
)

DEVICES = ElementTree.fromstring("""
<val xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <VirtualDevice xsi:type="VirtualIDEController"><key>200</key><busNumber>0</busNumber></VirtualDevice>
  <VirtualDevice xsi:type="ParaVirtualSCSIController"><key>1001</key><busNumber>1</busNumber>
    <sharedBus>noSharing</sharedBus></VirtualDevice>
  <VirtualDevice xsi:type="VirtualDisk"><key>3000</key>
    <backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds] ide.vmdk</fileName></backing>
    <controllerKey>200</controllerKey><unitNumber>0</unitNumber></VirtualDevice>
  <VirtualDevice xsi:type="VirtualDisk"><key>2016</key>
    <backing xsi:type="VirtualDiskFlatVer2BackingInfo"><fileName>[ds] vm/boot-000001.vmdk</fileName>
      <uuid>6000C29A-AAAA</uuid>
      <parent><fileName>[ds] vm/boot.vmdk</fileName><parent><fileName>[ds] image/image.vmdk</fileName></parent></parent>
    </backing><controllerKey>1001</controllerKey><unitNumber>0</unitNumber><capacityInKB>1024</capacityInKB>
  </VirtualDevice>
</val>""")


def disk(unit, path, uuid="", bus=0, files=()):
    return DiskRow(2000 + unit, unit, 1 << 30, path, uuid=uuid, bus=bus, files=(path, *files))


def vm(moid, uuid="u-1", *, disks=None, **changes):
    given = {
        "host": "h-1",
        "power_state": "poweredOn",
        "change_version": "1",
        "folder": None,
        "datastores": [],
        "vcpus": 1,
        "memory": 1,
        "space": {},
        "guest_address": None,
        "tools": "",
        "template": False,
        "connection_state": "connected",
    } | changes
    return VmRow(moid, moid, uuid, **given, disks=disks)


def test_disks_of_devices():
    ide, boot = devices.disks_of(DEVICES)
    assert (ide.bus, ide.unit, ide.files) == (None, 0, ("[ds] ide.vmdk",))
    assert (boot.bus, boot.unit, boot.uuid, boot.capacity) == (1, 0, "6000c29a-aaaa", 1 << 20)
    assert boot.files == ("[ds] vm/boot-000001.vmdk", "[ds] vm/boot.vmdk", "[ds] image/image.vmdk")
    assert boot.path == boot.files[0]


def test_a_disk_is_known_by_its_files_or_its_uuid():
    own, renamed, foreign = disk(0, "[ds] a.vmdk", "a"), disk(1, "[new] b.vmdk", "b"), disk(2, "[ds] c.vmdk")
    assert [each.is_among(["[ds] a.vmdk", "b"]) for each in (own, renamed, foreign)] == [True, True, False]
    assert not foreign.is_among([""])


def test_of_several_vms_the_recorded_one_is_taken():
    one, two, outside = vm("vm-1"), vm("vm-2"), vm("vm-3", outside=True)
    seen = EndpointInventory(
        "vcenter", vms={row.moid: row for row in (one, two)}, vms_by_uuid={"u-1": [outside, one, two]}
    )
    assert [seen.vm("u-1", moid) for moid in ("vm-1", "vm-2", "vm-3")] == [one, two, outside]
    assert (seen.vm("u-1"), seen.vm("u-1", "vm-9")) == (one, one)
    assert seen.vms_of("u-1") == [one, two, outside]
    assert (seen.vm("u-2"), seen.vms_of("u-2")) == (None, [])


def test_equal_port_groups_are_refused_with_both_named():
    host = HostRow(
        "h-1",
        "esx01",
        None,
        "c",
        "p",
        "d",
        "f",
        "connected",
        False,
        "poweredOn",
        1,
        1,
        networks=["lan", "lan", "dmz"],
        network_moids=["n-1", "dv-1", "n-2"],
    )
    seen = EndpointInventory(
        "vcenter",
        networks={
            "n-1": NetworkRow("n-1", "lan", "standard"),
            "dv-1": NetworkRow("dv-1", "lan", "distributed"),
            "n-2": NetworkRow("n-2", "dmz", "standard"),
        },
    )
    assert seen.network_of(host, "dmz").moid == "n-2"
    assert seen.network_of(host, "wan") is None
    with pytest.raises(PhotonError, match="the standard one n-1 and the distributed one dv-1") as caught:
        seen.network_of(host, "lan")
    assert (caught.value.code, caught.value.data["moids"]) == ("InvalidNetworkConfig", ["n-1", "dv-1"])


def test_only_running_vms_block_maintenance():
    rows = [
        vm("on"),
        vm("off", power_state="poweredOff"),
        vm("suspended", power_state="suspended"),
        vm("agent", agent=True),
        vm("elsewhere", host="h-2"),
        vm("template", template=True, power_state="poweredOff"),
    ]
    seen = EndpointInventory("vcenter", vms={row.moid: row for row in rows})
    assert [row.moid for row in blocking_vms(seen, "h-1")] == ["on"]
