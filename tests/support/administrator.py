# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An administrator who works by hand: what people and other tools do to VMs, hosts and datastores of an endpoint.

Every method waits until vSphere has done its work and raises the fault it answers with. VMs are named by pyvmomi
objects, moids, instanceUuids or names; of several with one name the first is taken.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import vim

from lab import Lab
from lab.server import Endpoint

LONGEST_TASK = 60.0


@dataclass(frozen=True)
class Files:
    """An unregistered VM: where its files are and where it was."""

    vmx: str
    name: str
    folder: Any
    host: str


class Administrator:
    """pyvmomi on one endpoint of a lab; a context manager that logs out."""

    def __init__(self, lab: Lab, endpoint: str) -> None:
        self.lab = lab
        self.endpoint: Endpoint = lab.endpoints[endpoint]
        self.name = endpoint
        self.instance = SmartConnect(**self.endpoint.pyvmomi())
        self.content = self.instance.RetrieveContent()
        self.datacenter = self.content.rootFolder.childEntity[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        Disconnect(self.instance)

    # -- finding ---------------------------------------------------------------------------------------------------

    def vm(self, reference: Any) -> Any:
        """Find a VM by object, moid, instanceUuid or name. Raises LookupError."""
        if isinstance(reference, vim.VirtualMachine):
            return reference
        for row in self.lab.control.state(self.name)["vms"]:
            if reference in (row["moid"], row["instance_uuid"], row["name"]):
                return vim.VirtualMachine(row["moid"], self.instance._stub)
        raise LookupError(f"no virtual machine {reference} on {self.name}")

    def host(self, name: str) -> Any:
        """Find a host by name. Raises LookupError."""
        return _named(name, (host for each in self._resources() for host in each.host))

    def cluster(self, name: str) -> Any:
        """Find a cluster by name. Raises LookupError."""
        return _named(name, self._resources())

    def datastore(self, name: str) -> Any:
        """Find a datastore by name. Raises LookupError."""
        return _named(name, self.datacenter.datastore)

    def folder(self, path: str = "") -> Any:
        """Find a VM folder by its path of names as the API shows them; "" is the datacenter's. Raises LookupError."""
        folder = self.datacenter.vmFolder
        for name in filter(None, path.split("/")):
            folder = _named(name, folder.childEntity)
        return folder

    def disks(self, vm: Any) -> list[Any]:
        """List the disks of a VM in the order of its device list."""
        return [each for each in self.vm(vm).config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk)]

    # -- VMs -------------------------------------------------------------------------------------------------------

    def rename(self, vm: Any, name: str) -> None:
        self.wait(self.vm(vm).Rename_Task(name))

    def power(self, vm: Any, state: str) -> None:
        """Bring a VM into poweredOn, poweredOff or suspended; one that is in it is left alone."""
        found = self.vm(vm)
        if found.runtime.powerState == state:
            return
        task = {"poweredOn": "PowerOnVM_Task", "poweredOff": "PowerOffVM_Task", "suspended": "SuspendVM_Task"}[state]
        self.wait(getattr(found, task)())

    def suspend(self, vm: Any) -> None:
        self.power(vm, "suspended")

    def delete(self, vm: Any) -> None:
        """Power a VM off and delete it with its files, as Delete from Disk does."""
        self.power(vm, "poweredOff")
        self.wait(self.vm(vm).Destroy_Task())

    def reconfigure(self, vm: Any, **settings: Any) -> None:
        """Change settings of a VM by their names in vim.vm.ConfigSpec; extra_config is {key: value}."""
        if (options := settings.pop("extra_config", None)) is not None:
            settings["extraConfig"] = [vim.option.OptionValue(key=key, value=value) for key, value in options.items()]
        self.wait(self.vm(vm).ReconfigVM_Task(vim.vm.ConfigSpec(**settings)))

    def grow_disk(self, vm: Any, disk: int, kib: int) -> None:
        """Grow the disk with that place in the device list to a size in KiB."""
        device = self.disks(vm)[disk]
        device.capacityInKB, device.capacityInBytes = kib, kib << 10
        self._change(vm, "edit", device)

    def move_to_host(self, vm: Any, host: str) -> None:
        """Move by vMotion; into the root pool of another cluster."""
        target = self.host(host)
        self.wait(self.vm(vm).RelocateVM_Task(vim.vm.RelocateSpec(host=target, pool=target.parent.resourcePool)))

    def move_to_datastore(self, vm: Any, datastore: str) -> None:
        """Move home and disks by storage vMotion."""
        self.wait(self.vm(vm).RelocateVM_Task(vim.vm.RelocateSpec(datastore=self.datastore(datastore))))

    def move_to_folder(self, vm: Any, folder: str) -> None:
        self.wait(self.folder(folder).MoveIntoFolder_Task([self.vm(vm)]))

    def move_to_endpoint(self, vm: Any, other: Administrator, host: str, datastore: str, folder: str = "") -> None:
        """Move to another vCenter."""
        target = other.host(host)
        there = other.endpoint
        service = vim.ServiceLocator(
            instanceUuid=other.content.about.instanceUuid,
            url=f"https://{there.address}:{there.port}",
            sslThumbprint=there.thumbprint,
            credential=vim.ServiceLocator.NamePassword(username=there.username, password=there.password),
        )
        spec = vim.vm.RelocateSpec(
            service=service,
            host=target,
            pool=target.parent.resourcePool,
            datastore=other.datastore(datastore),
            folder=other.folder(folder),
        )
        self.wait(self.vm(vm).RelocateVM_Task(spec))

    def clone(self, vm: Any, name: str, **settings: Any) -> Any:
        """Copy a VM, powered off; settings are those of vim.vm.ConfigSpec. Answers the new VM."""
        found = self.vm(vm)
        location = vim.vm.RelocateSpec(pool=found.runtime.host.parent.resourcePool)
        config = vim.vm.ConfigSpec(**settings) if settings else None
        spec = vim.vm.CloneSpec(location=location, config=config, powerOn=False, template=False)
        return self.wait(found.CloneVM_Task(found.parent, name, spec))

    def mark_as_template(self, vm: Any) -> None:
        self.vm(vm).MarkAsTemplate()

    def mark_as_vm(self, vm: Any, host: str) -> None:
        target = self.host(host)
        self.vm(vm).MarkAsVirtualMachine(target.parent.resourcePool, target)

    def snapshot(self, vm: Any, name: str = "by hand") -> Any:
        return self.wait(self.vm(vm).CreateSnapshot_Task(name, "", False, False))

    # -- files and disks -------------------------------------------------------------------------------------------

    def unregister(self, vm: Any) -> Files:
        """Power a VM off and take it out of the inventory; its files stay. Answers what register() takes."""
        self.power(vm, "poweredOff")
        found = self.vm(vm)
        files = Files(found.config.files.vmPathName, found.name, found.parent, found.runtime.host.name)
        found.UnregisterVM()
        return files

    def register(self, files: Files | str, host: str = "", name: str | None = None) -> Any:
        """Register a VM's files, on the host it was on unless another is named. Answers the VM."""
        if isinstance(files, str):
            files = Files(files, "", self.datacenter.vmFolder, host)
        target = self.host(host or files.host)
        return self.wait(
            files.folder.RegisterVM_Task(
                files.vmx, name or files.name or None, False, target.parent.resourcePool, target
            )
        )

    def backup(self, vm: Any) -> str:
        """Copy a VM's files out of its datastores."""
        return self.lab.control.backup(self.name, self.vm(vm)._moId)

    def restore(self, backup: str, host: str, datastore: str, name: str = "", same_uuid: bool = False) -> Any:
        """Bring a backup back as a VM with the old extraConfig and, unless same_uuid, a new instanceUuid."""
        answer = self.lab.control.restore(
            self.name, backup, host=host, datastore=datastore, name=name, same_uuid=same_uuid
        )
        return self.vm(answer["vm"])

    def create_disk(self, path: str, kib: int = 1 << 10) -> str:
        """Make a VMDK that belongs to no VM; its folder is made first. Answers its path."""
        folder = path.rpartition("/")[0]
        if folder.rpartition("] ")[2]:
            self.content.fileManager.MakeDirectory(folder, self.datacenter, True)
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="thin", adapterType="lsiLogic", capacityKb=kib)
        self.wait(self.content.virtualDiskManager.CreateVirtualDisk_Task(path, self.datacenter, spec))
        return path

    def move_disk(self, path: str, target: str) -> None:
        """Move a VMDK that no VM has."""
        manager, center = self.content.virtualDiskManager, self.datacenter
        self.wait(manager.MoveVirtualDisk_Task(path, center, target, center, True))

    def attach(self, vm: Any, path: str, unit: int | None = None) -> Any:
        """Attach a VMDK that exists, at the first free unit unless one is named. Answers the disk."""
        before = {disk.backing.fileName for disk in self.disks(vm)}
        controller = next(
            each for each in self.vm(vm).config.hardware.device if isinstance(each, vim.vm.device.VirtualSCSIController)
        )
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode="persistent")
        device = vim.vm.device.VirtualDisk(
            key=-1, controllerKey=controller.key, unitNumber=unit, capacityInKB=0, backing=backing
        )
        self._change(vm, "add", device)
        return next(disk for disk in self.disks(vm) if disk.backing.fileName not in before)

    def detach(self, vm: Any, disk: int | str) -> str:
        """Detach a disk by its place in the device list or its path; its file stays. Answers its path."""
        found = self.disks(vm)
        device = found[disk] if isinstance(disk, int) else next(each for each in found if each.backing.fileName == disk)
        self._change(vm, "remove", device)
        return device.backing.fileName

    def files(self) -> dict[str, int]:
        """List every file of the endpoint's datastores by path, with its size: proof that nothing was deleted."""
        return self.lab.control.files(self.name)

    # -- folders, datastores, hosts --------------------------------------------------------------------------------

    def create_folder(self, name: str, parent: str = "") -> Any:
        return self.folder(parent).CreateFolder(name)

    def rename_folder(self, path: str, name: str) -> None:
        self.wait(self.folder(path).Rename_Task(name))

    def rename_datastore(self, datastore: str, name: str) -> None:
        self.wait(self.datastore(datastore).Rename_Task(name))

    def enter_maintenance(self, host: str, timeout: int = 0, evacuate: bool = False) -> None:
        self.wait(self.host(host).EnterMaintenanceMode_Task(timeout, evacuate))

    def exit_maintenance(self, host: str) -> None:
        self.wait(self.host(host).ExitMaintenanceMode_Task(0))

    def disconnect(self, host: str) -> None:
        self.wait(self.host(host).DisconnectHost_Task())

    def reconnect(self, host: str) -> None:
        self.wait(self.host(host).ReconnectHost_Task())

    def remove_host(self, host: str) -> str:
        """Disconnect a host and take it out of the inventory with its VMs, which run on. Answers its cluster's name."""
        found = self.host(host)
        parent = found.parent
        self.disconnect(host)
        clustered = isinstance(parent, vim.ClusterComputeResource)
        cluster = parent.name if clustered else ""
        self.wait((found if clustered else parent).Destroy_Task())
        return cluster

    def add_host(self, host: str, cluster: str = "") -> Any:
        """Add a host that was removed, or an ESXi endpoint of the lab by its host's name. Answers the host."""
        login = next(
            (
                each
                for each in self.lab.endpoints.values()
                if each.kind == "esxi" and host in _hosts_of(self.lab, each.name)
            ),
            self.endpoint,
        )
        spec = vim.host.ConnectSpec(hostName=host, userName=login.username, password=login.password, force=True)
        if cluster:
            self.wait(self.cluster(cluster).AddHost_Task(spec, True))
        else:
            self.wait(self.datacenter.hostFolder.AddStandaloneHost_Task(spec, None, True))
        return self.host(host)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def wait(self, task: Any) -> Any:
        """Wait for a task; answer its result or raise its fault."""
        deadline = time.monotonic() + LONGEST_TASK
        while (state := task.info.state) not in ("success", "error"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{task.info.descriptionId} is {state} after {LONGEST_TASK:g} s")
            time.sleep(0.005)
        if state == "error":
            raise task.info.error
        return task.info.result

    def _change(self, vm: Any, operation: str, device: Any) -> None:
        change = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
        self.reconfigure(vm, deviceChange=[change])

    def _resources(self) -> Iterator[Any]:
        folders = [self.datacenter.hostFolder]
        for folder in folders:
            for each in folder.childEntity:
                if isinstance(each, vim.Folder):
                    folders.append(each)
                else:
                    yield each


def _named(name: str, entities: Iterable[Any]) -> Any:
    for each in entities:
        if each.name == name:
            return each
    raise LookupError(f"nothing is named {name}")


def _hosts_of(lab: Lab, endpoint: str) -> set[str]:
    return {host["name"] for host in lab.control.state(endpoint)["hosts"]}
