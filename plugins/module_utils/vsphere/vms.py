# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for VMs: create, power, reconfigure, destroy; the same on a vCenter and on a standalone ESXi host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import PhotonError
from . import api, devices, guestinfo, retrieve
from .diskfiles import PER_BUS, UUID_KEY, unit_of
from .jobs import Job
from .names import escape
from .rows import ADAPTERS, CONTROLLERS, FIRST_BUS, DatastoreRow, HostRow, NetworkRow
from .session import Session

# Fields of VmSpec by an image's settings: texts, and switches that are "true" or absent.
_HARDWARE = {"guestOS": "guest_id", "firmware": "firmware", "virtualHW.version": "hardware_version"}
_SWITCHES = {"uefi.secureBoot.enabled": "secure_boot", "vtpm.present": "vtpm"}


@dataclass(slots=True)
class DiskSpec:
    """A disk of a new VM, in bytes. With ``parent`` (``[ds] dir/disk.vmdk``) it is a child of that VMDK and holds only
    what differs; its capacity must then be the parent's. ``path`` attaches an existing VMDK instead. ``policy`` is the
    id of a storage policy for a new one.
    """

    name: str
    capacity: int
    parent: str | None = None
    path: str | None = None
    policy: str = ""


@dataclass(slots=True)
class NicSpec:
    """An adapter of a VM; vSphere chooses the MAC address where ``mac`` is empty."""

    network: NetworkRow
    adapter: str = "vmxnet3"
    mac: str = ""


@dataclass(slots=True)
class VmSpec:
    """A VM to be created. ``uuid`` becomes its instanceUuid and ``photon.id``, ``site`` its ``photon.site``, ``store``
    (the CloudStore's id) its ``photon.store``; ``memory`` in bytes, a multiple of 4 MB.

    Its files go to ``[datastore] directory/``. With an empty ``directory`` vSphere chooses, as it does on a vSAN
    datastore, where only vSphere can create a VM's directory. ``folder`` is the moid of the VM folder (on an ESXi host
    its only one, ``HostRow.vm_folder``).
    """

    uuid: str
    name: str
    site: str
    store: str
    host: HostRow
    datastore: DatastoreRow
    folder: str
    vcpus: int
    memory: int
    directory: str = ""
    disks: list[DiskSpec] = field(default_factory=list)
    nics: list[NicSpec] = field(default_factory=list)
    extra_config: dict[str, str] = field(default_factory=dict)
    controller: str = "pvscsi"
    guest_id: str = "otherGuest64"
    firmware: str = "bios"
    hardware_version: str = ""  # such as "19"; empty: the host's newest
    secure_boot: bool = False
    vtpm: bool = False
    annotation: str = ""
    document_id: str | None = None  # photon.id, where it is not the uuid

    def file(self, name: str) -> str:
        """Return the path of a file of the VM: ``[datastore] directory/name``, or ``[datastore]``."""
        if not self.directory or self.datastore.type == "VSAN":
            return f"[{self.datastore.name}]"
        return f"[{self.datastore.name}] {self.directory}/{name}"


def create_vm(spec: VmSpec, **options: Any) -> Job:
    """Create a VM with one CreateVM_Task; the result is the new VM's moid. ``options`` are Job's fields.

    Nothing is cloned, so this works on an ESXi host without vCenter. Raises UnsupportedDiskController or SpecInvalid.
    """
    config = create_spec(spec)
    what = f"create VM {spec.name}"

    def submit(session: Session) -> Any:
        return session.call(
            what,
            session.reference("Folder", spec.folder).CreateVM_Task,
            config,
            session.reference("ResourcePool", spec.host.pool),
            session.reference("HostSystem", spec.host.moid),
        )

    options = {"key": spec.uuid, "host": spec.host.moid, "datastore": spec.datastore.moid} | options
    return Job(what=what, submit=submit, **options)


def power_on(moid: str, name: str, **options: Any) -> Job:
    """Start a stopped or suspended VM; a running one is done."""
    return _power(moid, name, "PowerOnVM_Task", "power on", "poweredOn", options)


def power_off(moid: str, name: str, **options: Any) -> Job:
    """Hard power-off; a stopped VM is done."""
    return _power(moid, name, "PowerOffVM_Task", "power off", "poweredOff", options)


def suspend(moid: str, name: str, **options: Any) -> Job:
    """Suspend a running VM; a suspended one is done, a stopped one fails with InvalidVmState."""
    return _power(moid, name, "SuspendVM_Task", "suspend", "suspended", options)


def destroy(moid: str, name: str, uuid: str, *, own_disks: Collection[str] | None = None, **options: Any) -> Job:
    """Delete a VM with its disks, after it was read again; one that does not exist is done.

    ``own_disks`` are the backing files (or uuids) of the disks that may be deleted; None: those in the VM's own
    directory. Raises StateError, in the job's outcome, when the moid has another instanceUuid, or when the VM has other
    disks (``data["foreign_disks"]``): vSphere would delete them too, so detach them first.
    """
    what = f"destroy VM {name}"
    paths = ["config.instanceUuid", "config.files.vmPathName", devices.PATH]

    def submit(session: Session) -> Any:
        rows = retrieve.from_objects(session, "VirtualMachine", [moid], paths)
        if not rows:
            return None
        values = rows[0][2]
        found = values.get("config.instanceUuid", "")
        if found.lower() != uuid.lower():
            raise PhotonError(
                "StateError",
                f"{what}: {moid} is another VM now (instanceUuid {found or 'unreadable'}, not "
                f"{uuid}), so nothing was deleted; run again to see the current state",
                {"what": what},
            )
        _refuse_foreign_disks(what, values, own_disks)
        return session.call(what, session.reference("VirtualMachine", moid).Destroy_Task)

    options = {"key": uuid, "done_by": frozenset({"ManagedObjectNotFound"})} | options
    return Job(what=what, submit=submit, **options)


def register_vm(path: str, name: str, folder: str, pool: str, host: str, **options: Any) -> Job:
    """Register the VM whose configuration file is ``path`` (``[ds] dir/name.vmx``); the result is its moid.

    ``folder``, ``pool`` and ``host`` are moids.
    """
    what = f"register VM {name} from {path}"

    def submit(session: Session) -> Any:
        return session.call(
            what,
            session.reference("Folder", folder).RegisterVM_Task,
            path,
            escape(name),
            False,
            session.reference("ResourcePool", pool),
            session.reference("HostSystem", host),
        )

    return Job(what=what, submit=submit, **{"key": path, "host": host, **options})


def reconfigure(
    moid: str,
    name: str,
    *,
    vcpus: int | None = None,
    memory: int | None = None,
    extra_config: Mapping[str, str] | None = None,
    add_nics: Iterable[NicSpec] = (),
    edit_nics: Mapping[int, NetworkRow] | None = None,
    remove_devices: Iterable[int] = (),
    extend_disks: Mapping[int, int] | None = None,
    disk_policies: Mapping[int, str] | None = None,
    uuid: str | None = None,
    **options: Any,
) -> Job:
    """Change only what is given; devices are named by their keys and read again for it.

    ``extra_config``: a value of ``""`` removes its key. ``edit_nics``: ``{device key: port group}`` connects adapters
    whose type and MAC address stay. ``remove_devices`` keeps the files of disks; absent devices are done.
    ``extend_disks``: ``{device key: new size in bytes}``; a child disk cannot grow. ``disk_policies``: ``{device key:
    id of a storage policy}``, an empty one for the datastore's default.
    """
    config = api.load().vim.vm.ConfigSpec(instanceUuid=uuid)
    if vcpus is not None:
        config.numCPUs = vcpus
    if memory is not None:
        config.memoryMB = _megabytes(memory, name)
    if extra_config:
        config.extraConfig = options_of(extra_config)
    added = [devices.added(_nic(nic, -100 - at)) for at, nic in enumerate(add_nics)]
    removed = list(remove_devices)
    what = f"reconfigure VM {name}"

    def submit(session: Session) -> Any:
        present = devices.read(session, moid) if removed or edit_nics or extend_disks or disk_policies else {}
        changes = [
            *devices.removals(present, removed),
            *devices.reconnections(present, edit_nics or {}, name),
            *devices.disk_edits(present, extend_disks or {}, disk_policies or {}, name),
            *added,
        ]
        if changes:
            config.deviceChange = changes
        return session.call(what, session.reference("VirtualMachine", moid).ReconfigVM_Task, config)

    return Job(what=what, submit=submit, **{"key": moid, **options})


def detach_disks(moid: str, name: str, keys: Iterable[int], **options: Any) -> Job:
    """Take the disks with these device keys out of a VM and keep their files; one that is not attached is done."""
    return reconfigure(moid, name, remove_devices=keys, **options)


def set_uuid(moid: str, uuid: str, name: str, **options: Any) -> Job:
    """Give a VM, as restored or registered by others, the instanceUuid of its record."""
    return reconfigure(moid, name, uuid=uuid, **options)


def create_spec(spec: VmSpec) -> Any:
    """Build the vim.vm.ConfigSpec of a new VM."""
    vim = api.load().vim
    markers = {
        guestinfo.ID_KEY: spec.document_id or spec.uuid,
        guestinfo.SITE_KEY: spec.site,
        guestinfo.STORE_KEY: spec.store,
    }
    return vim.vm.ConfigSpec(
        name=escape(spec.name),
        instanceUuid=spec.uuid,
        numCPUs=spec.vcpus,
        memoryMB=_megabytes(spec.memory, spec.name),
        cpuHotAddEnabled=True,
        memoryHotAddEnabled=True,
        guestId=spec.guest_id,
        firmware=spec.firmware,
        version=f"vmx-{spec.hardware_version}" if spec.hardware_version else None,
        bootOptions=vim.vm.BootOptions(efiSecureBootEnabled=True) if spec.secure_boot else None,
        annotation=spec.annotation or None,
        files=vim.vm.FileInfo(vmPathName=spec.file(f"{spec.name}.vmx")),
        extraConfig=options_of({UUID_KEY: "TRUE"} | spec.extra_config | markers),
        deviceChange=[
            *disk_changes(spec),
            *(devices.added(_nic(nic, -100 - at)) for at, nic in enumerate(spec.nics)),
            *([devices.added(vim.vm.device.VirtualTPM(key=-200))] if spec.vtpm else []),
        ],
    )


def hardware_of(settings: Mapping[str, str]) -> dict[str, Any]:
    """The fields of VmSpec that follow from an image's settings (see imagefile.ImageFile)."""
    fields = {field: settings[key] for key, field in _HARDWARE.items() if settings.get(key)}
    return fields | {field: True for key, field in _SWITCHES.items() if settings.get(key) == "true"}


def disk_changes(spec: VmSpec) -> list[Any]:
    """Build the device changes that add a VM's controller and disks; none for a VM without disks."""
    if spec.controller not in CONTROLLERS:
        raise PhotonError(
            "UnsupportedDiskController",
            f"VM {spec.name}: unknown disk controller {spec.controller!r}; use one of {', '.join(sorted(CONTROLLERS))}",
        )
    if len(spec.disks) > PER_BUS:
        raise PhotonError("SpecInvalid", f"VM {spec.name} has {len(spec.disks)} disks; at most {PER_BUS} are possible")
    if not spec.disks:
        return []
    controller = api.load().support.GetWsdlType("urn:vim25", CONTROLLERS[spec.controller])
    return [devices.added(controller(key=-1, busNumber=FIRST_BUS, sharedBus="noSharing"))] + [
        devices.added(_disk(spec, disk, -10 - at, unit_of(at)), None if disk.path else "create", disk.policy)
        for at, disk in enumerate(spec.disks)
    ]


def options_of(pairs: Mapping[str, str]) -> list[Any]:
    """Build extraConfig entries."""
    option = api.load().vim.option.OptionValue
    return [option(key=key, value=value) for key, value in pairs.items()]


def _power(moid: str, name: str, method: str, verb: str, wanted: str, options: dict[str, Any]) -> Job:
    what = f"{verb} VM {name}"

    def submit(session: Session) -> Any:
        return session.call(what, getattr(session.reference("VirtualMachine", moid), method))

    options = {"key": moid, "done_by": frozenset({f"InvalidPowerState:{wanted}"})} | options
    return Job(what=what, submit=submit, **options)


def _refuse_foreign_disks(what: str, values: Mapping[str, Any], own: Collection[str] | None) -> None:
    disks = devices.disks_of(values.get(devices.PATH, []))
    if own is None:
        home = values.get("config.files.vmPathName", "").rpartition("/")[0]
        own = [disk.path for disk in disks if home and disk.path.rpartition("/")[0] == home]
    if foreign := [disk.path for disk in disks if not disk.is_among(own)]:
        raise PhotonError(
            "StateError",
            f"{what}: it has disks that the platform did not attach ({', '.join(foreign)}), "
            "and vSphere would delete them with it; detach them, or run again to see the current state",
            {"what": what, "foreign_disks": foreign},
        )


def _disk(spec: VmSpec, disk: DiskSpec, key: int, unit: int) -> Any:
    vim = api.load().vim
    flat = vim.vm.device.VirtualDisk.FlatVer2BackingInfo
    backing = flat(fileName=disk.path or spec.file(f"{disk.name}.vmdk"), diskMode="persistent")
    if disk.parent:
        backing.parent = flat(fileName=disk.parent, diskMode="persistent")
    elif not disk.path:
        backing.thinProvisioned = True
    if disk.capacity % 1024:
        raise PhotonError(
            "SpecInvalid", f"VM {spec.name}: disk {disk.name} of {disk.capacity} bytes is not a multiple of 1 KB"
        )
    return vim.vm.device.VirtualDisk(
        key=key, controllerKey=-1, unitNumber=unit, capacityInKB=disk.capacity >> 10, backing=backing
    )


def _nic(nic: NicSpec, key: int) -> Any:
    if nic.adapter not in ADAPTERS:
        raise PhotonError(
            "SpecInvalid", f"unknown network adapter {nic.adapter!r}; use one of {', '.join(sorted(ADAPTERS))}"
        )
    adapter = api.load().support.GetWsdlType("urn:vim25", ADAPTERS[nic.adapter])
    return adapter(
        key=key,
        backing=devices.nic_backing(nic.network),
        addressType="manual" if nic.mac else "generated",
        macAddress=nic.mac or None,
        connectable=devices.connected(),
    )


def _megabytes(memory: int, name: str) -> int:
    if memory <= 0 or memory % (4 << 20):
        raise PhotonError(
            "SpecInvalid", f"VM {name}: memory of {memory} bytes is not a multiple of 4 MB, as vSphere requires"
        )
    return memory >> 20
