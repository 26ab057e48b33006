# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for VMs: create, power, reconfigure, destroy; the same on a vCenter and on a standalone ESXi host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import PhotonError
from . import api, guestinfo, retrieve
from .jobs import Job
from .rows import DatastoreRow, HostRow, NetworkRow
from .session import Session

_CONTROLLERS = {"pvscsi": "ParaVirtualSCSIController", "lsilogic": "VirtualLsiLogicController",
                "lsisas1068": "VirtualLsiLogicSASController", "buslogic": "VirtualBusLogicController"}
_ADAPTERS = {"vmxnet3": "VirtualVmxnet3", "vmxnet2": "VirtualVmxnet2", "vmxnet": "VirtualVmxnet2",
             "e1000": "VirtualE1000", "e1000e": "VirtualE1000e", "pcnet32": "VirtualPCNet32"}
_DISKS_PER_CONTROLLER = 15  # unit 7 of a SCSI bus is the controller's own


@dataclass(slots=True)
class DiskSpec:
    """A disk to be made with its VM, in bytes. With ``parent`` (``[ds] dir/disk.vmdk``) it is a child of that VMDK,
    which holds only what differs; its capacity must then be the parent's. ``path`` attaches an existing VMDK instead.
    """

    name: str
    capacity: int
    parent: str | None = None
    path: str | None = None
    thin: bool = True


@dataclass(slots=True)
class NicSpec:
    network: NetworkRow
    adapter: str = "vmxnet3"
    mac: str | None = None


@dataclass(slots=True)
class VmSpec:
    """A VM to be created. ``uuid`` becomes its instanceUuid and ``photon.id``; ``memory`` in bytes, whole MB.

    Its files go to ``[datastore] directory/``; an empty ``directory`` leaves the choice to vSphere, and so does a vSAN
    datastore, where nobody else can make a VM's directory. ``folder`` is the moid of the VM folder (an ESXi host: its
    only one, ``HostRow.vm_folder``).
    """

    uuid: str
    name: str
    site: str
    host: HostRow
    datastore: DatastoreRow
    folder: str
    vcpus: int
    memory: int
    directory: str = ""
    pool: str | None = None
    disks: list[DiskSpec] = field(default_factory=list)
    nics: list[NicSpec] = field(default_factory=list)
    extra_config: dict[str, str] = field(default_factory=dict)
    controller: str = "pvscsi"
    guest_id: str = "otherGuest64"
    firmware: str = "bios"
    annotation: str = ""
    document_id: str | None = None  # photon.id, where it is not the uuid

    def file(self, name: str) -> str:
        """Where a file of the VM goes: ``[datastore] directory/name``, or ``[datastore]``."""
        if not self.directory or self.datastore.type == "VSAN":
            return f"[{self.datastore.name}]"
        return f"[{self.datastore.name}] {self.directory}/{name}"


def create_vm(spec: VmSpec, **options: Any) -> Job:
    """One CreateVM_Task with everything in it; the result is the new VM's moid. ``options`` are Job's fields.

    Nothing is cloned, so that an ESXi host without vCenter does it as well. Raises UnsupportedDiskController or
    SpecInvalid for what the specification gets wrong.
    """
    config = create_spec(spec)
    what = f"create VM {spec.name}"

    def submit(session: Session) -> Any:
        return session.call(what, session.reference("Folder", spec.folder).CreateVM_Task, config,
                            session.reference("ResourcePool", spec.pool or spec.host.pool),
                            session.reference("HostSystem", spec.host.moid))

    options = {"key": spec.uuid, "operation": "create", "host": spec.host.moid,
               "datastore": spec.datastore.moid} | options
    return Job(what=what, submit=submit, **options)


def power_on(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Start a stopped or suspended VM; a running one is done."""
    return _power(moid, name, key, "PowerOnVM_Task", "power on", "poweredOn", options)


def power_off(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Hard power-off; a stopped VM is done."""
    return _power(moid, name, key, "PowerOffVM_Task", "power off", "poweredOff", options)


def suspend(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Suspend a running VM; a suspended one is done, a stopped one fails with InvalidVmState."""
    return _power(moid, name, key, "SuspendVM_Task", "suspend", "suspended", options)


def reset(moid: str, name: str, key: Any = None, **options: Any) -> Job:
    """Hard reset of a running VM."""
    return _power(moid, name, key, "ResetVM_Task", "reset", None, options)


def destroy(moid: str, name: str, uuid: str, key: Any = None, **options: Any) -> Job:
    """Delete a VM and its disks, after its instanceUuid was read again: a moid alone may name another VM by now.

    A VM that is gone is done. Raises StateError, in the job's outcome, when the moid has another uuid.
    """
    what = f"destroy VM {name}"

    def submit(session: Session) -> Any:
        rows = retrieve.from_objects(session, "VirtualMachine", [moid], ["config.instanceUuid"])
        if not rows:
            return None
        found = rows[0][2].get("config.instanceUuid", "")
        if found.lower() != uuid.lower():
            raise PhotonError("StateError", f"{what}: {moid} is now another VM (instanceUuid "
                              f"{found or 'unreadable'}, not "
                              f"{uuid}), so it was left alone; run again to see the present state", {"what": what})
        return session.call(what, session.reference("VirtualMachine", moid).Destroy_Task)

    options = {"operation": "destroy", "done_by": frozenset({"ManagedObjectNotFound"})} | options
    return Job(key=key if key is not None else uuid, what=what, submit=submit, **options)


def reconfigure(moid: str, name: str, key: Any = None, *, vcpus: int | None = None, memory: int | None = None,
                extra_config: Mapping[str, str] | None = None, add_nics: list[NicSpec] | None = None,
                remove_devices: list[int] | None = None, extend_disks: Mapping[int, int] | None = None,
                new_name: str | None = None, uuid: str | None = None, change_version: str | None = None,
                **options: Any) -> Job:
    """Change only what is given. An extraConfig value of ``""`` removes its key; ``remove_devices`` are device keys.

    ``extend_disks``: ``{device key: new size in bytes}`` (a child disk cannot grow); they are read once more for it.

    With ``change_version`` a real endpoint refuses the change (ConcurrentTask) when somebody changed the VM in between.
    """
    vim = api.load().vim
    config = vim.vm.ConfigSpec(changeVersion=change_version, name=new_name, instanceUuid=uuid)
    if vcpus is not None:
        config.numCPUs = vcpus
    if memory is not None:
        config.memoryMB = _megabytes(memory, name)
    if extra_config:
        config.extraConfig = options_of(extra_config)
    operation = vim.vm.device.VirtualDeviceSpec
    changes = [operation(operation="add", device=_nic(nic, -100 - at)) for at, nic in enumerate(add_nics or [])]
    changes += [operation(operation="remove", device=vim.vm.device.VirtualDevice(key=each))
                for each in remove_devices or []]
    what = f"reconfigure VM {name}"

    def submit(session: Session) -> Any:
        edits = [operation(operation="edit", device=device)
                 for device in _extended(session, moid, name, extend_disks or {})]
        if changes or edits:
            config.deviceChange = changes + edits
        return session.call(what, session.reference("VirtualMachine", moid).ReconfigVM_Task, config)

    options = {"operation": "reconfigure"} | options
    return Job(key=key if key is not None else moid, what=what, submit=submit, **options)


def create_spec(spec: VmSpec) -> Any:
    """The vim.vm.ConfigSpec of a new VM."""
    vim = api.load().vim
    markers = {guestinfo.ID_KEY: spec.document_id or spec.uuid, guestinfo.SITE_KEY: spec.site}
    return vim.vm.ConfigSpec(
        name=spec.name, instanceUuid=spec.uuid, numCPUs=spec.vcpus, memoryMB=_megabytes(spec.memory, spec.name),
        guestId=spec.guest_id, firmware=spec.firmware, annotation=spec.annotation or None,
        files=vim.vm.FileInfo(vmPathName=spec.file(f"{spec.name}.vmx")),
        extraConfig=options_of(spec.extra_config | markers), deviceChange=_devices(spec))


def disk_changes(spec: VmSpec) -> list[Any]:
    """The device changes that add a VM's controller and disks; none for a VM without disks."""
    if spec.controller not in _CONTROLLERS:
        raise PhotonError("UnsupportedDiskController", f"VM {spec.name}: no disk controller {spec.controller!r}; use "
                          f"one of {', '.join(sorted(_CONTROLLERS))}")
    if len(spec.disks) > _DISKS_PER_CONTROLLER:
        raise PhotonError("SpecInvalid", f"VM {spec.name} has {len(spec.disks)} disks; {_DISKS_PER_CONTROLLER} at most")
    if not spec.disks:
        return []
    change = api.load().vim.vm.device.VirtualDeviceSpec
    controller = api.load().support.GetWsdlType("urn:vim25", _CONTROLLERS[spec.controller])
    devices = [change(operation="add", device=controller(key=-1, busNumber=0, sharedBus="noSharing"))]
    for at, disk in enumerate(spec.disks):
        devices.append(change(operation="add", fileOperation=None if disk.path else "create",
                              device=_disk(spec, disk, -10 - at, at if at < 7 else at + 1)))
    return devices


def options_of(pairs: Mapping[str, str]) -> list[Any]:
    """extraConfig entries."""
    option = api.load().vim.option.OptionValue
    return [option(key=key, value=value) for key, value in pairs.items()]


def _power(moid: str, name: str, key: Any, method: str, verb: str, wanted: str | None, options: dict[str, Any]) -> Job:
    what = f"{verb} VM {name}"

    def submit(session: Session) -> Any:
        return session.call(what, getattr(session.reference("VirtualMachine", moid), method))

    done_by = frozenset({f"InvalidPowerState:{wanted}"} if wanted else ())
    options = {"operation": verb.replace(" ", "_"), "done_by": done_by} | options
    return Job(key=key if key is not None else moid, what=what, submit=submit, **options)


def _devices(spec: VmSpec) -> list[Any]:
    change = api.load().vim.vm.device.VirtualDeviceSpec
    nics = [change(operation="add", device=_nic(nic, -100 - at)) for at, nic in enumerate(spec.nics)]
    return disk_changes(spec) + nics


def _disk(spec: VmSpec, disk: DiskSpec, key: int, unit: int) -> Any:
    vim = api.load().vim
    flat = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    backing = flat(fileName=disk.path or spec.file(f"{disk.name}.vmdk"), diskMode="persistent")
    if disk.parent:
        backing.parent = flat(fileName=disk.parent, diskMode="persistent")
    elif not disk.path:
        backing.thinProvisioned = disk.thin
    if disk.capacity % 1024:
        raise PhotonError("SpecInvalid", f"VM {spec.name}: disk {disk.name} of {disk.capacity} bytes is no whole "
                          "number of KB")
    return vim.vm.device.VirtualDisk(key=key, controllerKey=-1, unitNumber=unit, capacityInKB=disk.capacity >> 10,
                                     backing=backing)


def _extended(session: Session, moid: str, name: str, sizes: Mapping[int, int]) -> list[Any]:
    """These disks of a VM with their new sizes; an edit must name controller, unit and backing as they are."""
    if not sizes:
        return []
    rows = retrieve.from_objects(session, "VirtualMachine", [moid], ["config.hardware.device"])
    devices = rows[0][2].get("config.hardware.device", []) if rows else []
    found = {int(retrieve.text(each, "key")): each for each in devices if retrieve.type_of(each) == "VirtualDisk"}
    if missing := sorted(set(sizes) - set(found)):
        raise PhotonError("DiskNotFound", f"VM {name} has no disk with the device key {missing[0]}: run again to see "
                          "the present state")
    disk = api.load().vim.vm.device.VirtualDisk

    def edited(device: Any, key: int, size: int) -> Any:
        thin = retrieve.text(device, "backing/thinProvisioned")
        backing = disk.FlatVer2BackingInfo(
            fileName=retrieve.text(device, "backing/fileName"),
            diskMode=retrieve.text(device, "backing/diskMode", "persistent"),
            thinProvisioned=thin == "true" if thin else None)
        return disk(key=key, controllerKey=int(retrieve.text(device, "controllerKey")), backing=backing,
                    unitNumber=int(retrieve.text(device, "unitNumber")), capacityInKB=size >> 10, capacityInBytes=size)

    return [edited(found[key], key, size) for key, size in sizes.items()]


def _nic(nic: NicSpec, key: int) -> Any:
    vim = api.load().vim
    card = vim.vm.device.VirtualEthernetCard
    network = nic.network
    if network.kind == "distributed":
        backing = card.DistributedVirtualPortBackingInfo(port=vim.dvs.PortConnection(
            switchUuid=network.switch, portgroupKey=network.key))
    elif network.kind == "opaque":
        backing = card.OpaqueNetworkBackingInfo(opaqueNetworkId=network.key, opaqueNetworkType=network.switch)
    else:
        backing = card.NetworkBackingInfo(deviceName=network.name)
    if nic.adapter not in _ADAPTERS:
        raise PhotonError("SpecInvalid", f"no network adapter {nic.adapter!r}; use one of "
                          f"{', '.join(sorted(_ADAPTERS))}")
    adapter = api.load().support.GetWsdlType("urn:vim25", _ADAPTERS[nic.adapter])
    return adapter(key=key, backing=backing, addressType="manual" if nic.mac else "generated", macAddress=nic.mac,
                   connectable=vim.vm.device.VirtualDevice.ConnectInfo(startConnected=True, allowGuestControl=True,
                                                                       connected=True))


def _megabytes(memory: int, name: str) -> int:
    if memory <= 0 or memory % (4 << 20):
        raise PhotonError("SpecInvalid", f"VM {name}: memory of {memory} bytes is no multiple of 4 MB, which vSphere "
                          "wants")
    return memory >> 20
