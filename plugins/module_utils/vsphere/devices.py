# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM's virtual devices: read from an answer as rows, written as changes of a ``ConfigSpec``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..model.errors import PhotonError
from . import api, retrieve
from .rows import DiskRow, NetworkRow, NicRow
from .session import Session

PATH = "config.hardware.device"


def disks_of(devices: Iterable[Any]) -> list[DiskRow]:
    """Return the virtual disks among these device elements."""
    text = retrieve.text
    devices = list(devices)
    buses = {
        text(each, "key"): int(text(each, "busNumber", "0"))
        for each in devices
        if retrieve.child(each, "sharedBus") is not None
    }
    rows = []
    for each in devices:
        if retrieve.type_of(each) == "VirtualDisk":
            files = tuple(_files(each))
            rows.append(
                DiskRow(
                    key=int(text(each, "key", "0")),
                    unit=int(text(each, "unitNumber", "0")),
                    capacity=max(int(text(each, "capacityInBytes", "0")), int(text(each, "capacityInKB", "0")) << 10),
                    path=files[0] if files else "",
                    datastore=text(each, "backing/datastore") or None,
                    uuid=text(each, "backing/uuid").lower(),
                    bus=buses.get(text(each, "controllerKey")),
                    files=files,
                )
            )
    return rows


def nics_of(devices: Iterable[Any], networks: Mapping[str, NetworkRow]) -> list[NicRow]:
    """Return the network adapters among these device elements; ``networks`` by moid and by key."""
    text = retrieve.text
    rows = []
    for each in devices:
        if retrieve.child(each, "macAddress") is not None:
            key = (
                text(each, "backing/network")
                or text(each, "backing/port/portgroupKey")
                or text(each, "backing/opaqueNetworkId")
            )
            row = networks.get(key)
            rows.append(
                NicRow(
                    key=int(text(each, "key", "0")),
                    mac=text(each, "macAddress"),
                    network=row.name if row else text(each, "backing/deviceName") or key,
                    connected=text(each, "connectable/connected") == "true",
                    adapter=retrieve.type_of(each),
                    label=text(each, "deviceInfo/label"),
                    start_connected=text(each, "connectable/startConnected", "true") == "true",
                )
            )
    return rows


def read(session: Session, moid: str) -> dict[int, Any]:
    """Read a VM's devices: ``{key: element}``."""
    rows = retrieve.from_objects(session, "VirtualMachine", [moid], [PATH])
    devices = rows[0][2].get(PATH, []) if rows else []
    return {int(retrieve.text(each, "key")): each for each in devices}


def added(device: Any, file_operation: str | None = None, policy: str = "") -> Any:
    """Build the change that gives a VM a device; a disk also a storage policy, by its id."""
    kind = api.load().vim.vm.device.VirtualDeviceSpec
    profiles = profile(policy) if policy else []
    return kind(operation="add", fileOperation=file_operation, device=device, profile=profiles)


def removals(devices: Mapping[int, Any], keys: Iterable[int]) -> list[Any]:
    """Build the changes that take these devices out of a VM and keep their files; absent ones need none."""
    return [_change("remove", _typed(devices[key])) for key in keys if key in devices]


def disk_edits(devices: Mapping[int, Any], sizes: Mapping[int, int], policies: Mapping[int, str], vm: str) -> list[Any]:
    """Build the changes that grow disks, ``{key: bytes}``, and give them storage policies, ``{key: id or ""}``.

    Raises DiskNotFound.
    """
    changes = []
    for key in sorted({*sizes, *policies}):
        device = devices.get(key)
        if device is None or retrieve.type_of(device) != "VirtualDisk":
            raise PhotonError(
                "DiskNotFound", f"VM {vm} has no disk with the device key {key}; run again to see the current state"
            )
        thin = retrieve.text(device, "backing/thinProvisioned")
        disk = _typed(device)
        disk.backing = api.load().vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=retrieve.text(device, "backing/fileName"),
            diskMode=retrieve.text(device, "backing/diskMode", "persistent"),
            thinProvisioned=thin == "true" if thin else None,
            uuid=retrieve.text(device, "backing/uuid") or None,
        )
        size = sizes.get(key) or int(retrieve.text(device, "capacityInBytes", "0"))
        disk.capacityInKB, disk.capacityInBytes = size >> 10, size
        change = _change("edit", disk)
        if key in policies:
            change.profile = profile(policies[key])
        changes.append(change)
    return changes


def profile(policy: str) -> list[Any]:
    """Build what gives a disk a storage policy by its id; an empty one is the datastore's default."""
    vm = api.load().vim.vm
    return [vm.DefinedProfileSpec(profileId=policy) if policy else vm.DefaultProfileSpec()]


def reconnections(devices: Mapping[int, Any], networks: Mapping[int, NetworkRow], vm: str) -> list[Any]:
    """Build the changes that connect adapters to port groups, ``{key: network}``; type and MAC address stay.

    Raises StateError for an adapter that the VM does not have.
    """
    changes = []
    for key, network in networks.items():
        device = devices.get(key)
        if device is None or retrieve.child(device, "macAddress") is None:
            raise PhotonError(
                "StateError",
                f"VM {vm} has no network adapter with the device key {key}; run again to see the current state",
            )
        adapter = _typed(device)
        adapter.macAddress = retrieve.text(device, "macAddress")
        adapter.addressType = retrieve.text(device, "addressType") or None
        adapter.backing, adapter.connectable = nic_backing(network), connected()
        changes.append(_change("edit", adapter))
    return changes


def nic_backing(network: NetworkRow) -> Any:
    """Build what connects an adapter to a port group."""
    vim = api.load().vim
    card = vim.vm.device.VirtualEthernetCard
    if network.kind == "distributed":
        return card.DistributedVirtualPortBackingInfo(
            port=vim.dvs.PortConnection(switchUuid=network.switch, portgroupKey=network.key)
        )
    if network.kind == "opaque":
        return card.OpaqueNetworkBackingInfo(opaqueNetworkId=network.key, opaqueNetworkType=network.switch)
    return card.NetworkBackingInfo(deviceName=network.name)


def connected() -> Any:
    """Build the state of an adapter that is connected, now and at power-on."""
    return api.load().vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=True, allowGuestControl=True, connected=True
    )


def _files(disk: Any) -> Iterable[str]:
    """The backing files of a disk, the one written to first."""
    backing = retrieve.child(disk, "backing")
    while backing is not None:
        if file := retrieve.text(backing, "fileName"):
            yield file
        backing = retrieve.child(backing, "parent")


def _typed(device: Any) -> Any:
    """A device of the element's type with what an edit or removal must repeat: key, controller and unit."""
    kind = api.load().support.GetWsdlType("urn:vim25", retrieve.type_of(device))
    made = kind(key=int(retrieve.text(device, "key")))
    for name in ("controllerKey", "unitNumber"):
        if value := retrieve.text(device, name):
            setattr(made, name, int(value))
    return made


def _change(operation: str, device: Any) -> Any:
    return api.load().vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
