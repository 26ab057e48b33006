# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an answer's values to rows: datacenters, vApps, uplinks, VMs whose configuration cannot be read."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import tables
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import EndpointInventory

UPLINK = ElementTree.fromstring('<Tag xmlns="urn:vim25"><key>SYSTEM/DVS.UPLINKPG</key></Tag>')
TABLES = {
    "Datacenter": {"dc-1": {"name": "east", "vmFolder": "f-1"}, "dc-2": {"name": "west", "vmFolder": "f-2"}},
    "Folder": {
        "root": {"name": "Datacenters"},
        "f-1": {"name": "vm", "parent": "dc-1"},
        "f-2": {"name": "vm", "parent": "dc-2"},
        "f-3": {"name": "acme", "parent": "f-1"},
        "f-4": {"name": "web", "parent": "f-3"},
        "hf-1": {"name": "host", "parent": "dc-1"},
        "hf-2": {"name": "host", "parent": "dc-2"},
    },
    "ComputeResource": {"cr-2": {"name": "w1", "parent": "hf-2", "resourcePool": "rp-2"}},
    "ClusterComputeResource": {"cl-1": {"name": "c1", "parent": "hf-1", "resourcePool": "rp-1"}},
    "HostSystem": {
        "h-1": {
            "name": "e1",
            "parent": "cl-1",
            "datastore": ["ds-1", "ds-2"],
            "network": ["n-1", "up-1"],
            "runtime.connectionState": "connected",
            "runtime.powerState": "poweredOn",
        },
        "h-3": {"name": "e2", "parent": "cl-1", "datastore": ["ds-2"], "runtime.connectionState": "notResponding"},
        "h-2": {"name": "w1", "parent": "cr-2"},
    },
    "Datastore": {
        "ds-1": {"name": "a", "parent": "f-1", "summary.type": "VMFS"},
        "ds-2": {"name": "b", "parent": "f-1", "summary.type": "VMFS"},
        "ds-3": {"name": "c", "parent": "f-1", "summary.type": "NFS41"},
        "ds-4": {"name": "d", "parent": "f-2", "summary.type": "vsan"},
    },
    "Network": {"n-1": {"name": "VM Network"}},
    "DistributedVirtualPortgroup": {"up-1": {"name": "uplinks", "tag": [UPLINK]}},
    "VirtualMachine": {
        "vm-1": {
            "name": "one",
            "config.instanceUuid": "AB-1",
            "runtime.host": "h-1",
            "parent": "f-4",
            "runtime.powerState": "poweredOn",
            "config.hardware.numCPU": "2",
            "config.hardware.memoryMB": "1024",
        },
        "vm-2": {"name": "in a vApp", "config.instanceUuid": "ab-2", "runtime.host": "h-1"},
        "vm-3": {"name": "lost", "runtime.host": "h-1", "parent": "f-3", "runtime.connectionState": "inaccessible"},
        "vm-4": {"name": "west", "config.instanceUuid": "ab-4", "runtime.host": "h-2", "parent": "f-2"},
        "vm-5": {
            "name": "template",
            "config.instanceUuid": "ab-5",
            "runtime.host": "h-1",
            "parent": "f-3",
            "config.template": "true",
            "config.hardware.numCPU": "8",
        },
    },
}


def fill(datacenter=None):
    seen = EndpointInventory("vcenter")
    tables.fill(seen, TABLES, datacenter, "vc1 (vc1:443)")
    return seen


def test_one_datacenter_of_two():
    seen = fill("east")
    assert {row.name for row in seen.hosts.values()} == {"e1", "e2"}
    assert set(seen.vms) == {"vm-1", "vm-2", "vm-3", "vm-5"}
    assert set(seen.datastores) == {"ds-1", "ds-2", "ds-3"}
    assert {row.path for row in seen.folders.values()} == {"", "acme", "acme/web", None}


def test_all_datacenters():
    seen = fill()
    assert set(seen.hosts) == {"h-1", "h-2", "h-3"}
    assert seen.hosts["h-2"].cluster is None
    assert seen.hosts["h-2"].vm_folder == "f-2"


def test_vms_elsewhere_are_found_but_take_no_capacity():
    seen = fill("east")
    row = seen.vm("ab-4")
    assert (row.name, row.outside) == ("west", True)
    assert row.moid not in seen.vms
    assert not seen.vm("ab-1").outside
    assert not any(vm.outside for vm in fill().vms.values())


def test_a_vm_that_cannot_be_read_is_found_by_its_recorded_moid():
    seen = fill()
    assert seen.vm("ab-9", "vm-3") is seen.vms["vm-3"]
    assert seen.vm("ab-9", "vm-1") is None, "another VM has that moid by now"
    assert seen.vm("ab-9") is None


def test_names_are_plain():
    values = {
        **TABLES,
        "Folder": {**TABLES["Folder"], "f-3": {"name": "a%2fb 100%25", "parent": "f-1"}},
        "Network": {"n-1": {"name": "VLAN 7%2f8"}},
    }
    seen = EndpointInventory("vcenter")
    tables.fill(seen, values, "east", "vc1 (vc1:443)")
    assert seen.hosts["h-1"].networks == ["VLAN 7/8"]
    assert (seen.folders["f-4"].path, seen.folders["f-3"].name) == ("a%2fb 100%25/web", "a/b 100%")


@pytest.mark.parametrize(
    ("name", "manager", "agent"),
    [
        ("vCLS-4c4c4544-0051-3510-8043-b7c04f4d3732", "", True),
        ("vCLS (1)", "com.vmware.vim.eam", True),
        ("web-1", "", False),
        ("vCLS-tools", "", False),
        ("backup", "com.example.backup", False),
    ],
)
def test_agents_of_vsphere(name, manager, agent):
    managed = (
        ElementTree.fromstring(f'<val xmlns="urn:vim25"><extensionKey>{manager}</extensionKey><type>x</type></val>')
        if manager
        else None
    )
    values = {"name": name, "config.managedBy": managed} if manager else {"name": name}
    assert tables.vm_row("vm-1", values).agent == agent


def test_missing_datacenter_names_those_there_are():
    with pytest.raises(PhotonError, match="east, west"):
        fill("north")


def test_datastore_types():
    assert {row.name: row.type for row in fill().datastores.values()} == {
        "a": "LOCAL_VMFS",
        "b": "SHARED_VMFS",
        "c": "NFS_41",
        "d": "VSAN",
    }


def test_uplinks_are_not_port_groups():
    assert fill().hosts["h-1"].networks == ["VM Network"]


def test_a_host_that_is_off_or_in_maintenance_is_not_ready():
    assert fill().hosts["h-1"].ready
    assert not fill().hosts["h-3"].ready


def test_uuids_compare_in_lower_case():
    assert fill().vm("ab-1").name == "one"


def test_a_vm_out_of_reach_is_not_gone():
    seen = fill()
    assert seen.vm("ab-3") is None
    row = seen.vm("ab-3", "vm-3")
    assert (row.name, row.readable) == ("lost", False)
    assert seen.vm("ab-9", "vm-1") is None  # a moid that is another VM's by now
    assert seen.vm("ab-1", "vm-3").name == "lost"  # the recorded VM, not another one of its uuid
    assert seen.vm("ab-1").readable
