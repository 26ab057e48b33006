# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An endpoint read in one call: hosts, datastores, networks, clusters, folders and VMs.

Two calls make a session, one the view, one reads everything below, one more reads disks, NICs and guestinfo of those
VMs of ours whose config.changeVersion moved (the heavy paths cost three times as much as all others together).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..model.errors import PhotonError
from . import retrieve
from .drs import rules_of
from .rows import (
    ClusterRow,
    DatacenterRow,
    DatastoreRow,
    DiskRow,
    EndpointInventory,
    FolderRow,
    HostRow,
    NetworkRow,
    NicRow,
    VmRow,
)
from .session import Session

VM_PATHS = [
    "name", "parent", "config.instanceUuid", "config.changeVersion", "config.template", "config.hardware.numCPU",
    "config.hardware.memoryMB", "runtime.host", "runtime.powerState", "runtime.connectionState", "datastore", "network",
    "guest.ipAddress", "guest.toolsRunningStatus", "summary.storage.committed",
]
_SUMMARY_PATHS = {"summary.config.instanceUuid": "config.instanceUuid",
                  "summary.config.numCpu": "config.hardware.numCPU",
                  "summary.config.memorySizeMB": "config.hardware.memoryMB"}
HEAVY_PATHS = ["config.hardware.device", "config.extraConfig"]
PATHS: dict[str, list[str]] = {
    "Datacenter": ["name", "vmFolder"],
    "Folder": ["name", "parent"],
    "ComputeResource": ["name", "parent", "resourcePool"],
    # Whole: the declared type of configurationEx is the base type's, which has no drsConfig to name in a path.
    "ClusterComputeResource": ["name", "parent", "resourcePool", "configurationEx"],
    "HostSystem": [
        "name", "parent", "datastore", "network", "runtime.connectionState", "runtime.inMaintenanceMode",
        "runtime.powerState", "summary.hardware.numCpuCores", "summary.hardware.numCpuThreads",
        "summary.hardware.cpuMhz", "summary.hardware.memorySize",
    ],
    "Datastore": [
        "name", "parent", "summary.url", "summary.type", "summary.capacity", "summary.freeSpace", "summary.accessible",
        "summary.maintenanceMode", "summary.multipleHostAccess",
    ],
    "Network": ["name"],
    "DistributedVirtualPortgroup": ["name", "key", "config.distributedVirtualSwitch", "tag"],
    "OpaqueNetwork": ["name", "summary"],
    "DistributedVirtualSwitch": ["uuid"],
    "VirtualMachine": VM_PATHS,
}
_NETWORK_KINDS = {"Network": "standard", "DistributedVirtualPortgroup": "distributed", "OpaqueNetwork": "opaque"}
_UPLINKS = "SYSTEM/DVS.UPLINKPG"  # a switch's own port group for its uplinks: no place for a VM
_DATASTORE_TYPES = {"NFS": "NFS_3", "NFS41": "NFS_41", "VSAN": "VSAN", "EXT3": "EXT3"}


_Table = dict[str, dict[str, Any]]  # by moid: the values by path
_Tables = dict[str, _Table]  # by type


def read_inventory(session: Session, known: Mapping[str, str | None] | None = None) -> EndpointInventory:
    """Everything the platform wants to know of an endpoint.

    ``known``: ``{instanceUuid: the config.changeVersion last seen, or None}`` of our VMs: those that moved come with
    ``disks``, ``nics`` and ``extra_config``. With ``spec.datacenter`` only that datacenter's objects are kept;
    a datacenter that is not there raises NotFound.
    """
    inventory = EndpointInventory(session.spec.id, session.spec.type, session.content.about.version)
    tables: _Tables = {}
    for kind, moid, values in retrieve.from_view(session, PATHS):
        tables.setdefault(kind, {})[moid] = values
    _read_summaries(session, tables.get("VirtualMachine", {}))
    _fill(inventory, tables, session.spec.datacenter, session.spec.where)
    if known:
        moved = [row for uuid, version in known.items() for row in inventory.vms_by_uuid.get(uuid, ())
                 if version is None or row.change_version != version]
        read_heavy(session, moved, inventory.networks)
    return inventory


def read_heavy(session: Session, rows: Iterable[VmRow], networks: Mapping[str, NetworkRow]) -> None:
    """Fill ``disks``, ``nics`` and ``extra_config`` of these rows with one call; VMs that are gone keep None."""
    by_moid = {row.moid: row for row in rows}
    names = {row.key: row for row in networks.values() if row.key} | dict(networks)
    for _kind, moid, values in retrieve.from_objects(session, "VirtualMachine", by_moid, HEAVY_PATHS):
        row = by_moid[moid]
        devices = values.get("config.hardware.device", [])
        row.disks = [_disk(each) for each in devices if retrieve.type_of(each) == "VirtualDisk"]
        row.nics = [_nic(each, names) for each in devices if retrieve.child(each, "macAddress") is not None]
        pairs = ((retrieve.text(each, "key"), retrieve.text(each, "value"))
                 for each in values.get("config.extraConfig", []))
        row.extra_config = {key: value for key, value in pairs if key.startswith(("guestinfo.", "photon."))}


def lookup_vms(session: Session, *, uuids: Collection[str] = (), names: Collection[str] = (), folder: str | None = None,
               heavy: bool = False) -> list[VmRow]:
    """Find VMs after a call whose answer was lost: by instanceUuid, or by name (in the folder of that moid).

    One call however many are asked for (and one more with ``heavy``). ``networks`` of the rows are moids here.
    """
    wanted_uuids, wanted_names = set(uuids), set(names)
    rows = [_vm(moid, values, {}) for _kind, moid, values
            in retrieve.from_view(session, {"VirtualMachine": VM_PATHS})]
    found = [row for row in rows if row.uuid in wanted_uuids
             or (row.name in wanted_names and (folder is None or row.folder == folder))]
    if heavy:
        read_heavy(session, found, {})
    return found


def wait_for_addresses(session: Session, moids: Iterable[str], timeout: float = 120.0) -> dict[str, str]:
    """Wait until the guests report an address: ``{moid: address}`` of those that did within ``timeout`` seconds.

    One call a round for all of them, 0.2 to 5 s apart.
    """
    missing = set(moids)
    found: dict[str, str] = {}
    deadline, pause = time.monotonic() + timeout, 0.2
    while missing:
        rows = retrieve.from_objects(session, "VirtualMachine", sorted(missing), ["guest.ipAddress"])
        for _kind, moid, values in rows:
            if values.get("guest.ipAddress"):
                found[moid] = values["guest.ipAddress"]
        missing -= found.keys()
        left = deadline - time.monotonic()
        if not missing or left <= 0:
            break
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 5.0)
    return found


def _read_summaries(session: Session, vms: _Table) -> None:
    """Identity and size of VMs whose configuration cannot be read, from what the endpoint remembers of them."""
    torn = [moid for moid, values in vms.items() if "config.instanceUuid" not in values]
    for _kind, moid, values in retrieve.from_objects(session, "VirtualMachine", torn, list(_SUMMARY_PATHS)):
        vms[moid] |= {_SUMMARY_PATHS[path]: value for path, value in values.items()}


def _fill(inventory: EndpointInventory, tables: _Tables, datacenter: str | None, where: str) -> None:
    compute = {**tables.get("ComputeResource", {}), **tables.get("ClusterComputeResource", {})}
    for moid, values in tables.get("Datacenter", {}).items():
        if datacenter in (None, "", values["name"]):
            inventory.datacenters[moid] = DatacenterRow(moid, values["name"], values["vmFolder"])
    if datacenter and not inventory.datacenters:
        known = ", ".join(sorted(values["name"] for values in tables.get("Datacenter", {}).values())) or "none"
        raise PhotonError("NotFound", f"endpoint {where} has no datacenter named {datacenter!r}; it has: {known}",
                          {"datacenter": datacenter})
    inside = _Inside({moid: values["parent"] for table in (*tables.values(), compute) for moid, values in table.items()
                      if "parent" in values}, inventory.datacenters)
    for moid, values in compute.items():
        if inside(moid):
            inventory.clusters[moid] = _cluster(moid, values, moid in tables.get("ClusterComputeResource", {}))
    _fill_networks(inventory, tables)
    for moid, values in tables.get("HostSystem", {}).items():
        if (home := inside(moid)) and (cluster := inventory.clusters.get(values.get("parent", ""))):
            inventory.hosts[moid] = _host(moid, values, cluster, home, inventory.networks)
    _fill_datastores(inventory, tables.get("Datastore", {}), inside)
    _fill_folders(inventory, tables.get("Folder", {}), inside)
    _fill_vms(inventory, tables.get("VirtualMachine", {}), inside)


def _fill_networks(inventory: EndpointInventory, tables: _Tables) -> None:
    switches = {moid: values.get("uuid", "") for kind in tables if kind.endswith("VirtualSwitch")
                for moid, values in tables[kind].items()}
    for kind in _NETWORK_KINDS:
        for moid, values in tables.get(kind, {}).items():
            if not any(retrieve.text(tag, "key") == _UPLINKS for tag in values.get("tag", ())):
                inventory.networks[moid] = _network(kind, moid, values, switches)


def _fill_datastores(inventory: EndpointInventory, table: _Table, inside: _Inside) -> None:
    mounted: dict[str, list[str]] = {}
    for host in inventory.hosts.values():
        for moid in host.datastores:
            mounted.setdefault(moid, []).append(host.moid)
    for moid, values in table.items():
        if home := inside(moid):
            inventory.datastores[moid] = _datastore(moid, values, mounted.get(moid, []), home.moid)


def _fill_vms(inventory: EndpointInventory, table: _Table, inside: _Inside) -> None:
    for moid, values in table.items():
        row = _vm(moid, values, inventory.networks)
        host = inventory.hosts.get(row.host or "")
        if host is None and not inside(moid):
            continue
        inventory.vms[moid] = row
        if row.uuid:
            inventory.vms_by_uuid.setdefault(row.uuid, []).append(row)
        if host and not row.template:
            _account(host, row)


class _Inside:
    """The datacenter that an object lives in, by its chain of parents; None outside of those that are kept."""

    def __init__(self, parents: Mapping[str, str], datacenters: Mapping[str, DatacenterRow]) -> None:
        self._parents, self._datacenters = parents, datacenters
        self._seen: dict[str, DatacenterRow | None] = {}

    def __call__(self, moid: str) -> DatacenterRow | None:
        if moid not in self._seen:
            parent = self._parents.get(moid)
            self._seen[moid] = self._datacenters.get(moid) or (self(parent) if parent else None)
        return self._seen[moid]


def _fill_folders(inventory: EndpointInventory, table: _Table, inside: _Inside) -> None:
    roots = {row.vm_folder for row in inventory.datacenters.values()}
    for moid, values in table.items():
        if inside(moid):
            inventory.folders[moid] = FolderRow(moid, values["name"], values.get("parent"))

    def path_of(row: FolderRow) -> str | None:
        if row.moid in roots:
            return ""
        if row.path is None and (parent := inventory.folders.get(row.parent or "")) is not None:
            above = path_of(parent)
            row.path = None if above is None else f"{above}/{row.name}".lstrip("/")
        return row.path

    for row in inventory.folders.values():
        row.path = path_of(row)


def _account(host: HostRow, row: VmRow) -> None:
    host.vm_count += 1
    host.configured_vcpus += row.vcpus
    host.configured_memory += row.memory
    if row.power_state == "poweredOn":
        host.used_vcpus += row.vcpus
        host.used_memory += row.memory


def _cluster(moid: str, values: Mapping[str, Any], cluster: bool) -> ClusterRow:
    configuration = values.get("configurationEx")
    drs = retrieve.child(configuration, "drsConfig") if retrieve.is_object(configuration) else None
    return ClusterRow(moid, values["name"], cluster, values.get("resourcePool", ""),
                      drs is not None and retrieve.text(drs, "enabled") == "true",
                      "" if drs is None else retrieve.text(drs, "defaultVmBehavior"),
                      rules_of(configuration) if retrieve.is_object(configuration) else [])


def _host(moid: str, values: Mapping[str, Any], cluster: ClusterRow, home: DatacenterRow,
          networks: Mapping[str, NetworkRow]) -> HostRow:
    attached = [each for each in values.get("network", []) if each in networks]
    return HostRow(
        moid=moid, name=values["name"], cluster=cluster.name if cluster.cluster else None, cluster_moid=cluster.moid,
        pool=cluster.pool, datacenter=home.moid, vm_folder=home.vm_folder,
        connection_state=values.get("runtime.connectionState", "disconnected"),
        in_maintenance=values.get("runtime.inMaintenanceMode") == "true",
        power_state=values.get("runtime.powerState", "unknown"),
        cores=int(values.get("summary.hardware.numCpuCores", 0)),
        threads=int(values.get("summary.hardware.numCpuThreads", 0)),
        mhz=int(values.get("summary.hardware.cpuMhz", 0)), memory=int(values.get("summary.hardware.memorySize", 0)),
        datastores=list(values.get("datastore", [])), networks=[networks[each].name for each in attached],
        network_moids=attached, drs=cluster.drs)


def _datastore(moid: str, values: Mapping[str, Any], hosts: list[str], home: str) -> DatastoreRow:
    kind = values.get("summary.type", "OTHER").upper()
    if kind == "VMFS":
        shared = len(hosts) > 1 or values.get("summary.multipleHostAccess") == "true"
        kind = "SHARED_VMFS" if shared else "LOCAL_VMFS"
    else:
        kind = _DATASTORE_TYPES.get(kind, "OTHER")
    return DatastoreRow(
        moid=moid, name=values["name"], url=values.get("summary.url", ""), type=kind,
        capacity=int(values.get("summary.capacity", 0)), free=int(values.get("summary.freeSpace", 0)),
        accessible=values.get("summary.accessible") == "true",
        maintenance=values.get("summary.maintenanceMode") or "normal", hosts=hosts, datacenter=home)


def _network(kind: str, moid: str, values: Mapping[str, Any], switches: Mapping[str, str]) -> NetworkRow:
    key, switch = values.get("key", ""), switches.get(values.get("config.distributedVirtualSwitch", ""), "")
    if kind == "OpaqueNetwork" and retrieve.is_object(values.get("summary")):
        key, switch = (retrieve.text(values["summary"], each) for each in ("opaqueNetworkId", "opaqueNetworkType"))
    return NetworkRow(moid, values["name"], _NETWORK_KINDS[kind], key, switch)


def _vm(moid: str, values: Mapping[str, Any], networks: Mapping[str, NetworkRow]) -> VmRow:
    get = values.get
    return VmRow(
        moid=moid, name=get("name", ""), uuid=get("config.instanceUuid", "").lower(), host=get("runtime.host"),
        power_state=get("runtime.powerState", "unknown"), change_version=get("config.changeVersion", ""),
        folder=get("parent"), datastores=list(get("datastore", ())),
        networks=[networks[each].name if each in networks else each for each in get("network", ())],
        vcpus=int(get("config.hardware.numCPU", 0)), memory=int(get("config.hardware.memoryMB", 0)) << 20,
        committed=int(get("summary.storage.committed", 0)), guest_address=get("guest.ipAddress") or None,
        tools=get("guest.toolsRunningStatus", "guestToolsNotRunning"), template=get("config.template") == "true",
        connection_state=get("runtime.connectionState", "connected"))


def _disk(device: Any) -> DiskRow:
    text = retrieve.text
    return DiskRow(
        key=int(text(device, "key", "0")), controller_key=int(text(device, "controllerKey", "0")),
        unit=int(text(device, "unitNumber", "0")),
        capacity=max(int(text(device, "capacityInBytes", "0")), int(text(device, "capacityInKB", "0")) << 10),
        path=text(device, "backing/fileName"), datastore=text(device, "backing/datastore") or None,
        parent=text(device, "backing/parent/fileName") or None,
        thin=text(device, "backing/thinProvisioned") == "true", label=text(device, "deviceInfo/label"))


def _nic(device: Any, networks: Mapping[str, NetworkRow]) -> NicRow:
    text = retrieve.text
    key = text(device, "backing/network") or text(device, "backing/port/portgroupKey") \
        or text(device, "backing/opaqueNetworkId")
    row = networks.get(key)
    return NicRow(
        key=int(text(device, "key", "0")), mac=text(device, "macAddress"),
        network=row.name if row else text(device, "backing/deviceName") or key, network_moid=row.moid if row else None,
        connected=text(device, "connectable/connected") == "true", adapter=retrieve.type_of(device),
        label=text(device, "deviceInfo/label"))
