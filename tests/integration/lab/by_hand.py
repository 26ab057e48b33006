# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data centre that the tests of manual work run on, and the VM they work with."""

from __future__ import annotations

import uuid
from typing import Any

from pyVmomi import vim

from tests.support.administrator import Administrator

HOSTS = {"cores": 4, "threads": 8, "mhz": 2000, "memory": "16 GB"}
PORT_GROUPS = [{"name": "VM Network"}, {"name": "dv", "kind": "distributed"}]
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc",
            "kind": "vcenter",
            "guest_delay_ms": 20,
            "clusters": [
                {"name": "c1", "drs": True, "hosts": [{"name": "h[1:2]", **HOSTS}]},
                {"name": "c2", "hosts": [{"name": "h3", **HOSTS}]},
            ],
            "hosts": [{"name": "h4", **HOSTS}],
            "datastores": [
                {"name": "shared", "capacity": "100 GB"},
                {"name": "second", "capacity": "100 GB"},
                {"name": "local-{host}", "capacity": "10 GB", "local": True},
            ],
            "port_groups": [*PORT_GROUPS, {"name": "same"}, {"name": "same", "kind": "distributed"}, {"name": "a/b"}],
        },
        {
            "name": "vc2",
            "kind": "vcenter",
            "clusters": [{"name": "far", "hosts": [{"name": "f1", **HOSTS}]}],
            "datastores": [{"name": "far-store", "capacity": "100 GB"}],
            "port_groups": PORT_GROUPS,
        },
        {
            "name": "esx",
            "kind": "esxi",
            "guest_delay_ms": 20,
            "hosts": [{"name": "e1", **HOSTS}],
            "datastores": [{"name": "shared", "capacity": "100 GB"}],
            "port_groups": [{"name": "VM Network"}],
        },
    ]
}


def new_vm(
    admin: Administrator,
    name: str = "web-1",
    host: str = "",
    datastore: str = "shared",
    networks: tuple[str, ...] = ("VM Network",),
    **settings: Any,
) -> Any:
    """A VM with two disks of 1 and 2 MiB, a card per network, and the mark that the platform gives its own."""
    target = admin.host(host or ("e1" if admin.endpoint.kind == "esxi" else "h1"))
    change, flat = vim.vm.device.VirtualDeviceSpec, vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    controller = vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
    devices = [change(operation="add", device=controller)]
    for unit, file in enumerate(("boot", "data")):
        backing = flat(fileName=f"[{datastore}] {name}/{file}.vmdk", diskMode="persistent", thinProvisioned=True)
        disk = vim.vm.device.VirtualDisk(
            key=-10 - unit, controllerKey=-1, unitNumber=unit, capacityInKB=1024 * (unit + 1), backing=backing
        )
        devices.append(change(operation="add", fileOperation="create", device=disk))
    for at, network in enumerate(networks):
        backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
        devices.append(change(operation="add", device=vim.vm.device.VirtualVmxnet3(key=-30 - at, backing=backing)))
    settings = {"numCPUs": 1, "memoryMB": 1024, "instanceUuid": str(uuid.uuid4())} | settings
    spec = vim.vm.ConfigSpec(
        name=name,
        files=vim.vm.FileInfo(vmPathName=f"[{datastore}] {name}/{name}.vmx"),
        deviceChange=devices,
        extraConfig=[vim.option.OptionValue(key="photon.id", value="the-id")],
        **settings,
    )
    if not any(file.startswith(f"[{datastore}] {name}/") for file in admin.files()):
        admin.content.fileManager.MakeDirectory(f"[{datastore}] {name}", admin.datacenter, True)
    return admin.wait(admin.folder().CreateVM_Task(spec, target.parent.resourcePool, target))


def mark(vm: Any) -> str | None:
    """The mark of the platform in a VM's extraConfig."""
    return {each.key: each.value for each in vm.config.extraConfig}.get("photon.id")


def paths(admin: Administrator, vm: Any) -> list[str]:
    """The files of a VM's disks in the order of its device list."""
    return [disk.backing.fileName for disk in admin.disks(vm)]


def empty(admin: Administrator) -> None:
    """Remove every VM, folder and file, and give the datastores their names back."""
    admin.lab.control.reset()
    for vm in admin.lab.control.state(admin.name)["vms"]:
        admin.delete(vm["moid"])
    for entity in list(admin.folder().childEntity):
        admin.wait(entity.Destroy_Task())
    stores = {store.summary.url.rpartition("/")[2]: store for store in admin.datacenter.datastore}
    for name, store in stores.items():
        if store.name != name:
            admin.wait(store.Rename_Task(name))
    for store in admin.lab.control.state(admin.name)["datastores"]:
        for name in {file.partition("/")[0] for file in store["files"]}:
            path = f"[{store['name']}] {name}"
            admin.wait(admin.content.fileManager.DeleteDatastoreFile_Task(path, admin.datacenter))
