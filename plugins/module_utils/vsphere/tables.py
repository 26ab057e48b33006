# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn the values of a bulk read into an inventory: datacenters, hosts, datastores, networks, folders and VMs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..model.errors import PhotonError
from . import retrieve
from .addresses import usable_address
from .drs import rules_of
from .names import escape, folder_path, unescape
from .rows import (
    ClusterRow,
    DatacenterRow,
    DatastoreRow,
    EndpointInventory,
    FolderRow,
    HostRow,
    NetworkRow,
    VmRow,
)

_NETWORK_KINDS = {"Network": "standard", "DistributedVirtualPortgroup": "distributed", "OpaqueNetwork": "opaque"}
_UPLINKS = "SYSTEM/DVS.UPLINKPG"  # tags a switch's port group for its uplinks, which no VM may use
_AGENT_MANAGER = "com.vmware.vim.eam"
_AGENT_NAME = re.compile(r"vCLS-[0-9a-f-]{36}$")  # vCLS of vCenter 8.0 U3 and later has no manager
_DATASTORE_TYPES = {"NFS": "NFS_3", "NFS41": "NFS_41", "VSAN": "VSAN", "EXT3": "EXT3"}

Table = dict[str, dict[str, Any]]  # by moid: the values by path
Tables = dict[str, Table]  # by type


def fill(inventory: EndpointInventory, tables: Tables, datacenter: str | None, where: str) -> None:
    """Fill an inventory from the values by type and moid, of one datacenter or all. Raises NotFound."""
    compute = {**tables.get("ComputeResource", {}), **tables.get("ClusterComputeResource", {})}
    for moid, values in tables.get("Datacenter", {}).items():
        if not datacenter or unescape(datacenter) == unescape(values["name"]):
            inventory.datacenters[moid] = DatacenterRow(moid, unescape(values["name"]), values["vmFolder"])
    if datacenter and not inventory.datacenters:
        known = ", ".join(sorted(unescape(each["name"]) for each in tables.get("Datacenter", {}).values())) or "none"
        raise PhotonError(
            "NotFound",
            f"endpoint {where} has no datacenter named {datacenter!r}; it has: {known}",
            {"datacenter": datacenter},
        )
    inside = _Inside(
        {
            moid: values["parent"]
            for table in (*tables.values(), compute)
            for moid, values in table.items()
            if "parent" in values
        },
        inventory.datacenters,
    )
    for moid, values in compute.items():
        if inside(moid):
            inventory.clusters[moid] = cluster_row(moid, values, moid in tables.get("ClusterComputeResource", {}))
    _fill_networks(inventory, tables)
    for moid, values in tables.get("HostSystem", {}).items():
        if (home := inside(moid)) and (cluster := inventory.clusters.get(values.get("parent", ""))):
            inventory.hosts[moid] = _host(moid, values, cluster, home, inventory.networks)
    _fill_datastores(inventory, tables.get("Datastore", {}), inside)
    _fill_folders(inventory, tables.get("Folder", {}), inside)
    _fill_vms(inventory, tables.get("VirtualMachine", {}), inside)


def _fill_networks(inventory: EndpointInventory, tables: Tables) -> None:
    switches = {
        moid: values.get("uuid", "")
        for kind in tables
        if kind.endswith("VirtualSwitch")
        for moid, values in tables[kind].items()
    }
    for kind in _NETWORK_KINDS:
        for moid, values in tables.get(kind, {}).items():
            if not any(retrieve.text(tag, "key") == _UPLINKS for tag in values.get("tag", ())):
                inventory.networks[moid] = _network(kind, moid, values, switches)


def _fill_datastores(inventory: EndpointInventory, table: Table, inside: _Inside) -> None:
    mounts = Counter(moid for host in inventory.hosts.values() for moid in host.datastores)
    for moid, values in table.items():
        if home := inside(moid):
            inventory.datastores[moid] = _datastore(moid, values, mounts[moid], home.moid)


def _fill_vms(inventory: EndpointInventory, table: Table, inside: _Inside) -> None:
    for moid, values in table.items():
        row = vm_row(moid, values)
        host = inventory.hosts.get(row.host or "")
        row.outside = host is None and not inside(moid)
        if row.uuid:
            inventory.vms_by_uuid.setdefault(row.uuid, []).append(row)
        if not row.outside:
            inventory.vms[moid] = row


class _Inside:
    """Find the datacenter that an object lives in by its chain of parents; None outside of those that are kept."""

    def __init__(self, parents: Mapping[str, str], datacenters: Mapping[str, DatacenterRow]) -> None:
        self._parents, self._datacenters = parents, datacenters
        self._seen: dict[str, DatacenterRow | None] = {}

    def __call__(self, moid: str) -> DatacenterRow | None:
        if moid not in self._seen:
            parent = self._parents.get(moid)
            self._seen[moid] = self._datacenters.get(moid) or (self(parent) if parent else None)
        return self._seen[moid]


def _fill_folders(inventory: EndpointInventory, table: Table, inside: _Inside) -> None:
    roots = {row.vm_folder for row in inventory.datacenters.values()}
    for moid, values in table.items():
        if inside(moid):
            inventory.folders[moid] = FolderRow(moid, unescape(values["name"]), values.get("parent"))

    def path_of(row: FolderRow) -> str | None:
        if row.moid in roots:
            return ""
        if row.path is None and (parent := inventory.folders.get(row.parent or "")) is not None:
            above = path_of(parent)
            row.path = None if above is None else folder_path(above, escape(row.name))
        return row.path

    for row in inventory.folders.values():
        row.path = path_of(row)


def cluster_row(moid: str, values: Mapping[str, Any], cluster: bool) -> ClusterRow:
    configuration = values.get("configurationEx")
    drs = retrieve.child(configuration, "drsConfig") if retrieve.is_object(configuration) else None
    return ClusterRow(
        moid,
        unescape(values["name"]),
        cluster,
        values.get("resourcePool", ""),
        drs is not None and retrieve.text(drs, "enabled") == "true",
        rules_of(configuration) if retrieve.is_object(configuration) else [],
    )


def _host(
    moid: str, values: Mapping[str, Any], cluster: ClusterRow, home: DatacenterRow, networks: Mapping[str, NetworkRow]
) -> HostRow:
    attached = [each for each in values.get("network", []) if each in networks]
    return HostRow(
        moid=moid,
        name=unescape(values["name"]),
        cluster=cluster.name if cluster.cluster else None,
        cluster_moid=cluster.moid,
        pool=cluster.pool,
        datacenter=home.moid,
        vm_folder=home.vm_folder,
        connection_state=values.get("runtime.connectionState", "disconnected"),
        in_maintenance=values.get("runtime.inMaintenanceMode") == "true",
        power_state=values.get("runtime.powerState", "unknown"),
        cores=int(values.get("summary.hardware.numCpuCores", 0)),
        memory=int(values.get("summary.hardware.memorySize", 0)),
        datastores=list(values.get("datastore", [])),
        networks=[networks[each].name for each in attached],
        network_moids=attached,
        drs=cluster.drs,
        hardware_uuid=values.get("summary.hardware.uuid", "").lower(),
    )


def _datastore(moid: str, values: Mapping[str, Any], mounts: int, home: str) -> DatastoreRow:
    kind = values.get("summary.type", "OTHER").upper()
    if kind == "VMFS":
        shared = mounts > 1 or values.get("summary.multipleHostAccess") == "true"
        kind = "SHARED_VMFS" if shared else "LOCAL_VMFS"
    else:
        kind = _DATASTORE_TYPES.get(kind, "OTHER")
    return DatastoreRow(
        moid=moid,
        name=unescape(values["name"]),
        url=values.get("summary.url", ""),
        type=kind,
        capacity=int(values.get("summary.capacity", 0)),
        free=int(values.get("summary.freeSpace", 0)),
        accessible=values.get("summary.accessible") == "true",
        maintenance=values.get("summary.maintenanceMode") or "normal",
        datacenter=home,
    )


def _network(kind: str, moid: str, values: Mapping[str, Any], switches: Mapping[str, str]) -> NetworkRow:
    key, switch = values.get("key", ""), switches.get(values.get("config.distributedVirtualSwitch", ""), "")
    if kind == "OpaqueNetwork" and retrieve.is_object(values.get("summary")):
        key, switch = (retrieve.text(values["summary"], each) for each in ("opaqueNetworkId", "opaqueNetworkType"))
    return NetworkRow(moid, unescape(values["name"]), _NETWORK_KINDS[kind], key, switch)


def vm_row(moid: str, values: Mapping[str, Any]) -> VmRow:
    get = values.get
    name = unescape(get("name", ""))
    return VmRow(
        moid=moid,
        name=name,
        uuid=get("config.instanceUuid", "").lower(),
        host=get("runtime.host"),
        power_state=get("runtime.powerState", "unknown"),
        change_version=get("config.changeVersion", ""),
        folder=get("parent"),
        datastores=list(get("datastore", ())),
        vcpus=int(get("config.hardware.numCPU", 0)),
        memory=int(get("config.hardware.memoryMB", 0)) << 20,
        space={
            retrieve.text(each, "datastore"): int(retrieve.text(each, "committed", "0"))
            for each in get("storage.perDatastoreUsage", ())
        },
        guest_address=usable_address(get("guest.ipAddress", "")),
        tools=get("guest.toolsRunningStatus", "guestToolsNotRunning"),
        template=get("config.template") == "true",
        connection_state=get("runtime.connectionState", "connected"),
        cpu_hot_add=get("config.cpuHotAddEnabled") == "true",
        memory_hot_add=get("config.memoryHotAddEnabled") == "true",
        agent=_is_agent(name, get("config.managedBy")),
    )


def _is_agent(name: str, managed_by: Any) -> bool:
    if retrieve.is_object(managed_by):
        return retrieve.text(managed_by, "extensionKey") == _AGENT_MANAGER
    return _AGENT_NAME.match(name) is not None
