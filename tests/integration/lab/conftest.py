# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data centre of small hosts and datastores, and a client of it that does what tests need in few words."""

from __future__ import annotations

import contextlib
import itertools
import time
import urllib.parse

import pytest
import requests
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from lab import Lab

HOSTS = {"cores": 4, "threads": 8, "mhz": 2000, "memory": "16 GB"}
TOPOLOGY = {
    "endpoints": [
        {
            "name": "vc",
            "kind": "vcenter",
            "datacenter": "dc1",
            "guest_delay_ms": 20,
            "lease_seconds": 2,
            "clusters": [
                {"name": "c1", "drs": True, "hosts": [{"name": "h[1:2]", **HOSTS, "rack": "r1"}]},
                {"name": "c2", "hosts": [{"name": "h3", **HOSTS, "memory": "32 GB", "rack": "r2"}]},
            ],
            "datastores": [
                {"name": "shared", "capacity": "100 GB"},
                {"name": "second", "capacity": "100 GB", "type": "NFS"},
                {"name": "tiny", "capacity": "8 MB"},
                {"name": "local-{host}", "capacity": "10 GB", "local": True},
            ],
            "port_groups": [{"name": "VM Network"}, {"name": "lan", "vlan": 7}, {"name": "dv", "kind": "distributed"}],
            "storage_policies": [{"name": "gold", "datastores": ["shared", "local-h1"]}],
        },
        {
            "name": "esx",
            "kind": "esxi",
            "guest_delay_ms": 20,
            "lease_seconds": 2,
            "hosts": [{"name": "e1", **HOSTS}],
            "datastores": [
                {"name": "shared", "capacity": "100 GB"},
                {"name": "second", "capacity": "100 GB"},
                {"name": "tiny", "capacity": "8 MB"},
            ],
            "port_groups": [{"name": "VM Network"}, {"name": "lan", "vlan": 7}],
        },
        {
            "name": "esx2",
            "kind": "esxi",
            "hosts": [{"name": "e2", **HOSTS, "memory": "64 GB"}],
            "datastores": [{"name": "shared", "capacity": "1 TB"}],
        },
    ],
}


class Client:
    """pyvmomi on one endpoint."""

    def __init__(self, lab: Lab, name: str):
        self.lab, self.name = lab, name
        self.endpoint = lab.endpoints[name]
        self.instance = SmartConnect(**self.endpoint.pyvmomi())
        self.content = self.instance.RetrieveContent()
        self.datacenter = self.content.rootFolder.childEntity[0]
        self.folder = self.datacenter.vmFolder
        self._number = itertools.count(1)

    def close(self):
        Disconnect(self.instance)

    @property
    def hosts(self):
        return {host.name: host for resource in self.datacenter.hostFolder.childEntity for host in resource.host}

    @property
    def host(self):
        return next(iter(self.hosts.values()))

    def pool(self, host=None):
        return (host or self.host).parent.resourcePool

    def datastore(self, name="shared"):
        return next(each for each in self.datacenter.datastore if each.name == name)

    def free(self, name="shared"):
        return self.datastore(name).summary.freeSpace

    def result(self, task, seconds=20):
        """The result of a task; its fault as an exception."""
        deadline = time.monotonic() + seconds
        while (state := task.info.state) not in ("success", "error"):
            assert time.monotonic() < deadline, f"{task.info.descriptionId} still is {state}"
            time.sleep(0.005)
        if state == "error":
            raise task.info.error
        return task.info.result

    def spec(self, name=None, *, devices=(), datastore="shared", **more):
        name = name or f"vm-{next(self._number)}"
        controller = vim.vm.device.VirtualDeviceSpec(
            operation="add",
            device=vim.vm.device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing"),
        )
        return vim.vm.ConfigSpec(
            name=name,
            numCPUs=more.pop("numCPUs", 1),
            memoryMB=more.pop("memoryMB", 1024),
            files=vim.vm.FileInfo(vmPathName=f"[{datastore}]"),
            deviceChange=[controller, *devices],
            **more,
        )

    def disk(self, mib=64, *, thin=True, parent=None, file="[shared]", existing=False, unit=0):
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=file, diskMode="persistent", thinProvisioned=thin
        )
        if parent:
            backing.parent = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=parent, diskMode="persistent")
        device = vim.vm.device.VirtualDisk(
            key=-10 - unit, controllerKey=1000, unitNumber=unit, capacityInKB=mib << 10, backing=backing
        )
        spec = vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
        if not existing:
            spec.fileOperation = "create"
        return spec

    def disks(self, vm):
        return [each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk)]

    def change(self, vm, operation, device, **more):
        """Adds, edits or removes one device."""
        spec = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device, **more)
        self.result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))

    def grow(self, vm, disk, mib):
        disk.capacityInKB, disk.capacityInBytes = mib << 10, mib << 20
        self.change(vm, "edit", disk)

    def make_disk(self, path, mib=4, *, kind="thin", profile=None):
        """A disk of the disk manager, in a folder that is made when it is not there."""
        folder = path.split("] ")[1].rpartition("/")[0]
        if folder and folder + "/" not in self.files(path[1:].split("]")[0]):
            self.make_folder(folder, path[1:].split("]")[0])
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType=kind, adapterType="lsiLogic", capacityKb=mib << 10, profile=profile
        )
        self.result(self.content.virtualDiskManager.CreateVirtualDisk_Task(path, self.datacenter, spec))
        return path

    def extend(self, path, mib):
        manager = self.content.virtualDiskManager
        self.result(manager.ExtendVirtualDisk_Task(path, self.datacenter, mib << 10, False))

    def copy(self, source, target, kind=None):
        spec = vim.VirtualDiskManager.VirtualDiskSpec(diskType=kind, adapterType="lsiLogic") if kind else None
        manager = self.content.virtualDiskManager
        return manager.CopyVirtualDisk_Task(source, self.datacenter, target, self.datacenter, spec, False)

    def extent(self, path):
        """The URL of the bytes of a disk."""
        datastore, _, file = path[1:].partition("] ")
        return self.url(file.replace(".vmdk", "-flat.vmdk"), datastore)

    def write(self, path, content):
        """Writes the first bytes of a disk."""
        assert self.http("PUT", self.extent(path), data=content).status_code in (200, 201)

    def read(self, path, first=0, last=None):
        span = {"Range": f"bytes={first}-{'' if last is None else last}"}
        answer = self.http("GET", self.extent(path), headers=span)
        assert answer.status_code == 206
        return answer.content

    def nic(self, network="VM Network"):
        backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
        return vim.vm.device.VirtualDeviceSpec(
            operation="add", device=vim.vm.device.VirtualVmxnet3(key=-30, backing=backing)
        )

    def start_create(self, spec=None, host=None, folder=None):
        host = host or self.host
        return (folder or self.folder).CreateVM_Task(spec or self.spec(), self.pool(host), host)

    def create(self, spec=None, host=None, folder=None):
        return self.result(self.start_create(spec, host, folder))

    def state(self, name):
        """What the lab knows of a VM."""
        return next(vm for vm in self.lab.control.state(self.name)["vms"] if vm["name"] == name)

    def files(self, datastore="shared"):
        stores = self.lab.control.state(self.name)["datastores"]
        return next(each["files"] for each in stores if each["name"] == datastore)

    def url(self, file, datastore="shared"):
        query = urllib.parse.urlencode({"dcPath": self.datacenter.name, "dsName": datastore})
        return f"https://{self.endpoint.address}:{self.endpoint.port}/folder/{file}?{query}"

    def http(self, method, url, **more):
        more.setdefault("auth", (self.endpoint.username, self.endpoint.password))
        return requests.request(method, url, verify=self.endpoint.ca_file, timeout=20, **more)

    def make_folder(self, name, datastore="shared"):
        self.content.fileManager.MakeDirectory(f"[{datastore}] {name}", self.datacenter, True)

    def empty(self):
        """Ends what a test left behind: VMs, folders and files."""
        for entity in list(self.folder.childEntity):
            if isinstance(entity, vim.Folder):
                for vm in entity.childEntity:
                    self._destroy(vm)
                self.result(entity.Destroy_Task())
        machines = [each for each in self.folder.childEntity if isinstance(each, vim.VirtualMachine)]
        # Children first: a parent cannot go before them.
        for vm in sorted(machines, key=lambda each: not any(disk["parent"] for disk in self.state(each.name)["disks"])):
            self._destroy(vm)
        for store in self.lab.control.state(self.name)["datastores"]:
            for file in [each for each in store["files"] if "/" not in each.rstrip("/")]:
                # An expired lease may be taking its VM's folder away at this moment.
                with contextlib.suppress(vim.fault.FileNotFound):
                    self.result(
                        self.content.fileManager.DeleteDatastoreFile_Task(
                            f"[{store['name']}] {file.rstrip('/')}", self.datacenter
                        )
                    )

    def _destroy(self, vm):
        if vm.runtime.powerState != "poweredOff":
            self.result(vm.PowerOffVM_Task())
        self.result(vm.Destroy_Task())


@pytest.fixture(scope="session")
def data_centre():
    with Lab.start(TOPOLOGY) as lab:
        yield lab


@pytest.fixture(scope="session")
def clients(data_centre):
    connected = {name: Client(data_centre, name) for name in data_centre.endpoints}
    yield connected
    for client in connected.values():
        client.close()


@pytest.fixture
def control(data_centre):
    data_centre.control.reset()
    yield data_centre.control
    data_centre.control.reset()


@pytest.fixture
def vc(clients, control):
    yield clients["vc"]
    control.reset()
    clients["vc"].empty()


@pytest.fixture
def esx(clients, control):
    yield clients["esx"]
    control.reset()
    clients["esx"].empty()


@pytest.fixture(params=["vc", "esx"])
def either(request, clients, control):
    """The test runs on the vCenter and on the ESXi host."""
    yield clients[request.param]
    control.reset()
    clients[request.param].empty()
