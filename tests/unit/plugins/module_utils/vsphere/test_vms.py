# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The specification of a new VM: identity, files, disks as children of an image, adapters of every kind of network."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import DiskSpec, NicSpec, VmSpec, vms
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rows import DatastoreRow, HostRow, NetworkRow

NETWORKS = {
    "standard": NetworkRow("n-1", "VM Network", "standard"),
    "distributed": NetworkRow("dvportgroup-1", "tenant", "distributed", "dvportgroup-1", "50 01 02"),
    "opaque": NetworkRow("o-1", "segment", "opaque", "1f2e", "nsx.LogicalSwitch"),
}


def spec(datastore_type="SHARED_VMFS", **changes):
    host = HostRow("host-1", "esx01", None, "cr-1", "rp-1", "dc-1", "f-1", "connected", False, "poweredOn", 8, 1 << 36)
    made = VmSpec(
        "6d1f",
        "web-01",
        "site1",
        "store-1",
        host,
        DatastoreRow("ds-1", "ds", "", datastore_type, 1, 1, True),
        "f-1",
        2,
        2 << 30,
        directory="web-01-6d1f",
        disks=[
            DiskSpec("boot", 10 << 30, parent="[ds] image/image.vmdk"),
            DiskSpec("data", 1 << 30),
            DiskSpec("old", 1 << 30, path="[ds] old/old.vmdk"),
        ],
    )
    for key, value in changes.items():
        setattr(made, key, value)
    return made


def devices(config, kind):
    return [change for change in config.deviceChange if isinstance(change.device, kind)]


def test_identity_and_size():
    config = vms.create_spec(spec(extra_config={"guestinfo.userdata": "x", "photon.id": "not to be overwritten"}))
    assert (config.name, config.instanceUuid, config.numCPUs, config.memoryMB) == ("web-01", "6d1f", 2, 2048)
    assert {option.key: option.value for option in config.extraConfig} == {
        "disk.EnableUUID": "TRUE",
        "guestinfo.userdata": "x",
        "photon.id": "6d1f",
        "photon.site": "site1",
        "photon.store": "store-1",
    }
    assert (config.cpuHotAddEnabled, config.memoryHotAddEnabled) == (True, True)


def test_files():
    config = vms.create_spec(spec())
    assert config.files.vmPathName == "[ds] web-01-6d1f/web-01.vmx"
    disk = vms.api.load().vim.vm.device.VirtualDisk
    boot, data, old = devices(config, disk)
    assert boot.device.backing.fileName == "[ds] web-01-6d1f/boot.vmdk"
    assert boot.device.backing.parent.fileName == "[ds] image/image.vmdk"
    assert (boot.fileOperation, data.fileOperation, old.fileOperation) == ("create", "create", None)
    assert (data.device.backing.parent, data.device.backing.thinProvisioned) == (None, True)
    assert old.device.backing.fileName == "[ds] old/old.vmdk"
    assert boot.device.capacityInKB == 10 << 20


@pytest.mark.parametrize("changes", [{"directory": ""}, {"datastore_type": "VSAN"}])
def test_vsphere_chooses_the_directory(changes):
    config = vms.create_spec(spec(**changes))
    assert config.files.vmPathName == "[ds]"
    assert devices(config, vms.api.load().vim.vm.device.VirtualDisk)[0].device.backing.fileName == "[ds]"


@pytest.mark.parametrize("controller", ["pvscsi", "lsilogic", "lsisas1068", "buslogic"])
def test_controllers(controller):
    config = vms.create_spec(spec(controller=controller))
    (change,) = devices(config, vms.api.load().vim.vm.device.VirtualSCSIController)
    assert all(
        disk.device.controllerKey == change.device.key
        for disk in devices(config, vms.api.load().vim.vm.device.VirtualDisk)
    )


def test_a_vm_without_disks_has_no_controller():
    assert list(vms.create_spec(spec(disks=[])).deviceChange) == []


@pytest.mark.parametrize("adapter", ["vmxnet3", "e1000", "e1000e", "pcnet32", "vmxnet2"])
def test_adapters(adapter):
    config = vms.create_spec(spec(nics=[NicSpec(each, adapter) for each in NETWORKS.values()]))
    standard, distributed, opaque = (
        change.device.backing for change in devices(config, vms.api.load().vim.vm.device.VirtualEthernetCard)
    )
    assert standard.deviceName == "VM Network"
    assert (distributed.port.portgroupKey, distributed.port.switchUuid) == ("dvportgroup-1", "50 01 02")
    assert (opaque.opaqueNetworkId, opaque.opaqueNetworkType) == ("1f2e", "nsx.LogicalSwitch")


def test_device_keys_are_unique():
    config = vms.create_spec(
        spec(nics=[NicSpec(NETWORKS["standard"])] * 10, disks=[DiskSpec(f"d{n}", 1 << 20) for n in range(15)])
    )
    keys = [change.device.key for change in config.deviceChange]
    assert len(keys) == len(set(keys)) == 26


def test_hardware_of_an_image():
    settings = {
        "guestOS": "debian12_64Guest",
        "firmware": "efi",
        "virtualHW.version": "19",
        "uefi.secureBoot.enabled": "true",
        "vtpm.present": "true",
        "scsi0.virtualDev": "pvscsi",
    }
    config = vms.create_spec(spec(**vms.hardware_of(settings)))
    assert (config.guestId, config.firmware, config.version) == ("debian12_64Guest", "efi", "vmx-19")
    assert config.bootOptions.efiSecureBootEnabled is True
    assert len(devices(config, vms.api.load().vim.vm.device.VirtualTPM)) == 1
    plain = vms.create_spec(spec(**vms.hardware_of({"vtpm.present": "false"})))
    assert (plain.guestId, plain.firmware, plain.version, plain.bootOptions) == ("otherGuest64", "bios", None, None)
    assert devices(plain, vms.api.load().vim.vm.device.VirtualTPM) == []
