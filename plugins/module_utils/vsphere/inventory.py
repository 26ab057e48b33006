# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read an endpoint in one call: hosts, datastores, networks, clusters, folders and VMs.

Two calls open a session, one creates the view, one reads everything. One more reads disks, adapters and guestinfo of
the known VMs whose config.changeVersion moved: these heavy paths cost three times as much as all others together.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from ..model.errors import PhotonError
from . import devices, guestinfo, retrieve
from .addresses import choose_address, usable_address
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
from .session import Session

VM_PATHS = [
    "name",
    "parent",
    "config.instanceUuid",
    "config.changeVersion",
    "config.template",
    "config.hardware.numCPU",
    "config.hardware.memoryMB",
    "config.cpuHotAddEnabled",
    "config.memoryHotAddEnabled",
    "config.managedBy",
    "runtime.host",
    "runtime.powerState",
    "runtime.connectionState",
    "datastore",
    "network",
    "guest.ipAddress",
    "guest.toolsRunningStatus",
    "storage.perDatastoreUsage",
]
_SUMMARY_PATHS = {
    "summary.config.instanceUuid": "config.instanceUuid",
    "summary.config.numCpu": "config.hardware.numCPU",
    "summary.config.memorySizeMB": "config.hardware.memoryMB",
}
_MARK_PATHS = ["config.extraConfig", "config.createDate", "config.files.vmPathName"]
HEAVY_PATHS = [devices.PATH, "rootSnapshot", *_MARK_PATHS]
PATHS: dict[str, list[str]] = {
    "Datacenter": ["name", "vmFolder"],
    "Folder": ["name", "parent"],
    "ComputeResource": ["name", "parent", "resourcePool"],
    # Whole: the declared type of configurationEx is the base type's, which has no drsConfig to name in a path.
    "ClusterComputeResource": ["name", "parent", "resourcePool", "configurationEx"],
    "HostSystem": [
        "name",
        "parent",
        "datastore",
        "network",
        "runtime.connectionState",
        "runtime.inMaintenanceMode",
        "runtime.powerState",
        "summary.hardware.numCpuCores",
        "summary.hardware.numCpuThreads",
        "summary.hardware.cpuMhz",
        "summary.hardware.memorySize",
        "summary.hardware.uuid",
    ],
    "Datastore": [
        "name",
        "parent",
        "summary.url",
        "summary.type",
        "summary.capacity",
        "summary.freeSpace",
        "summary.accessible",
        "summary.maintenanceMode",
        "summary.multipleHostAccess",
    ],
    "Network": ["name"],
    "DistributedVirtualPortgroup": ["name", "key", "config.distributedVirtualSwitch", "tag"],
    "OpaqueNetwork": ["name", "summary"],
    "DistributedVirtualSwitch": ["uuid"],
    "VirtualMachine": VM_PATHS,
}
_NETWORK_KINDS = {"Network": "standard", "DistributedVirtualPortgroup": "distributed", "OpaqueNetwork": "opaque"}
_TOOLS_RUN = "guestToolsRunning"
_UPLINKS = "SYSTEM/DVS.UPLINKPG"  # tags a switch's port group for its uplinks, which no VM may use
_AGENT_MANAGER = "com.vmware.vim.eam"
_AGENT_NAME = re.compile(r"vCLS-[0-9a-f-]{36}$")  # vCLS of vCenter 8.0 U3 and later has no manager
_DATASTORE_TYPES = {"NFS": "NFS_3", "NFS41": "NFS_41", "VSAN": "VSAN", "EXT3": "EXT3"}


_Table = dict[str, dict[str, Any]]  # by moid: the values by path
_Tables = dict[str, _Table]  # by type


def read_inventory(
    session: Session,
    known: Mapping[str, str | None] | None = None,
    addresses: Mapping[str, str | None] | None = None,
) -> EndpointInventory:
    """Read everything the platform needs to know of an endpoint.

    ``known``: ``{instanceUuid: the config.changeVersion last seen, or None}`` of recorded VMs: those that changed since
    are read with ``read_heavy``. ``addresses``: their recorded addresses; one more call chooses the address of those
    whose guest calls itself otherwise now. With ``spec.datacenter`` only that datacenter's objects are kept, but VMs
    elsewhere are found by their uuid; a datacenter that does not exist raises NotFound.
    """
    about, known = session.content.about, known or {}
    inventory = EndpointInventory(
        session.spec.id, session.spec.type, about.version, (about.instanceUuid or "").lower(), known=frozenset(known)
    )
    tables: _Tables = {}
    for kind, moid, values in retrieve.from_view(session, PATHS):
        tables.setdefault(kind, {})[moid] = values
    _read_summaries(session, tables.get("VirtualMachine", {}))
    _fill(inventory, tables, session.spec.datacenter, session.spec.where)
    rows = [(row, version) for uuid, version in known.items() for row in inventory.vms_by_uuid.get(uuid, ())]
    read_heavy(
        session, [row for row, version in rows if version is None or row.change_version != version], inventory.networks
    )
    _choose_addresses(session, [row for row, _version in rows], addresses)
    return inventory


def read_heavy(session: Session, rows: Iterable[VmRow], networks: Mapping[str, NetworkRow]) -> None:
    """Fill ``disks``, ``nics`` and what follows them in these rows with one call; rows of deleted VMs keep None."""
    by_moid = {row.moid: row for row in rows}
    names = {row.key: row for row in networks.values() if row.key} | dict(networks)
    for _kind, moid, values in retrieve.from_objects(session, "VirtualMachine", by_moid, HEAVY_PATHS):
        row = by_moid[moid]
        row.disks = devices.disks_of(values.get(devices.PATH, []))
        row.nics = devices.nics_of(values.get(devices.PATH, []), names)
        row.snapshot = bool(values.get("rootSnapshot"))
        _fill_marks(row, values)


def find_marked(
    session: Session, inventory: EndpointInventory, moids: Iterable[str] | None = None
) -> dict[str, list[VmRow]]:
    """Find the platform's marks on VMs: ``{photon.id: rows}``, with one call for all of them.

    Looks at the VMs of these moids, or at all whose instanceUuid the inventory's ``known`` does not have, those outside
    the endpoint's datacenter included. Copies of images carry a mark too (``photon.template`` in ``extra_config``).
    """
    rows = inventory.vms | {row.moid: row for several in inventory.vms_by_uuid.values() for row in several}
    chosen = (
        [row for row in rows.values() if row.uuid not in inventory.known]
        if moids is None
        else [rows[moid] for moid in dict.fromkeys(moids) if moid in rows]
    )
    unread = [row.moid for row in chosen if row.extra_config is None]
    for _kind, moid, values in retrieve.from_objects(session, "VirtualMachine", unread, _MARK_PATHS):
        _fill_marks(rows[moid], values)
    marked: dict[str, list[VmRow]] = {}
    for row in chosen:
        if mark := (row.extra_config or {}).get(guestinfo.ID_KEY):
            marked.setdefault(mark, []).append(row)
    return marked


def lookup_vms(
    session: Session,
    *,
    uuids: Collection[str] = (),
    names: Collection[str] = (),
    folder: str | None = None,
    heavy: bool = False,
) -> list[VmRow]:
    """Find VMs after a call whose answer was lost: by instanceUuid, or by name (in the folder of that moid).

    One call for all of them (and one more with ``heavy``). ``networks`` of the rows are moids here.
    """
    wanted_uuids, wanted_names = set(uuids), set(names)
    rows = [_vm(moid, values, {}) for _kind, moid, values in retrieve.from_view(session, {"VirtualMachine": VM_PATHS})]
    found = [
        row
        for row in rows
        if row.uuid in wanted_uuids or (row.name in wanted_names and (folder is None or row.folder == folder))
    ]
    if heavy:
        read_heavy(session, found, {})
    _choose_addresses(session, found, {})
    return found


def wait_for_addresses(session: Session, moids: Iterable[str], timeout: float = 120.0) -> dict[str, str]:
    """Wait until the guests report a usable address: ``{moid: address}`` of those that did within ``timeout`` seconds.

    One call per round for all of them, 0.2 to 5 s apart.
    """
    missing = set(moids)
    found: dict[str, str] = {}
    deadline, pause = time.monotonic() + timeout, 0.2
    while missing:
        found |= {moid: address for moid, address in _read_addresses(session, missing).items() if address}
        missing -= found.keys()
        left = deadline - time.monotonic()
        if not missing or left <= 0:
            break
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, 5.0)
    return found


def _read_addresses(session: Session, moids: Iterable[str]) -> dict[str, str | None]:
    """Read the addresses under which VMs are reached, by moid. Guests with containers report long lists of networks."""
    rows = retrieve.from_objects(session, "VirtualMachine", moids, ["guest.ipAddress", "guest.net"])
    return {
        moid: choose_address(map(_adapter, values.get("guest.net", ())), values.get("guest.ipAddress", ""))
        for _kind, moid, values in rows
    }


def _adapter(element: Any) -> tuple[int, list[str]]:
    texts = [each.text or "" for each in retrieve.children(element, "ipAddress")]
    return int(retrieve.text(element, "deviceConfigId", "-1")), texts


def _choose_addresses(session: Session, rows: Iterable[VmRow], recorded: Mapping[str, str | None] | None) -> None:
    """Choose among the addresses of guests whose primary one is not the recorded one."""
    doubtful = {
        row.moid: row
        for row in rows
        if row.power_state == "poweredOn"
        and row.tools == _TOOLS_RUN
        and (row.guest_address is None or (recorded is not None and recorded.get(row.uuid) != row.guest_address))
    }
    for moid, address in _read_addresses(session, doubtful).items():
        doubtful[moid].guest_address = address


def _read_summaries(session: Session, vms: _Table) -> None:
    """Add identity and size of VMs whose configuration cannot be read, from what the endpoint remembers of them."""
    unreadable = [moid for moid, values in vms.items() if "config.instanceUuid" not in values]
    for _kind, moid, values in retrieve.from_objects(session, "VirtualMachine", unreadable, list(_SUMMARY_PATHS)):
        vms[moid] |= {_SUMMARY_PATHS[path]: value for path, value in values.items()}


def _fill(inventory: EndpointInventory, tables: _Tables, datacenter: str | None, where: str) -> None:
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
            inventory.clusters[moid] = _cluster(moid, values, moid in tables.get("ClusterComputeResource", {}))
    _fill_networks(inventory, tables)
    for moid, values in tables.get("HostSystem", {}).items():
        if (home := inside(moid)) and (cluster := inventory.clusters.get(values.get("parent", ""))):
            inventory.hosts[moid] = _host(moid, values, cluster, home, inventory.networks)
    _fill_datastores(inventory, tables.get("Datastore", {}), inside)
    _fill_folders(inventory, tables.get("Folder", {}), inside)
    _fill_vms(inventory, tables.get("VirtualMachine", {}), inside)


def _fill_networks(inventory: EndpointInventory, tables: _Tables) -> None:
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
        row.outside = host is None and not inside(moid)
        if row.uuid:
            inventory.vms_by_uuid.setdefault(row.uuid, []).append(row)
        if not row.outside:
            inventory.vms[moid] = row
        if host and not row.template:
            _account(host, row)


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


def _fill_folders(inventory: EndpointInventory, table: _Table, inside: _Inside) -> None:
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
    return ClusterRow(
        moid,
        unescape(values["name"]),
        cluster,
        values.get("resourcePool", ""),
        drs is not None and retrieve.text(drs, "enabled") == "true",
        "" if drs is None else retrieve.text(drs, "defaultVmBehavior"),
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
        threads=int(values.get("summary.hardware.numCpuThreads", 0)),
        mhz=int(values.get("summary.hardware.cpuMhz", 0)),
        memory=int(values.get("summary.hardware.memorySize", 0)),
        datastores=list(values.get("datastore", [])),
        networks=[networks[each].name for each in attached],
        network_moids=attached,
        drs=cluster.drs,
        hardware_uuid=values.get("summary.hardware.uuid", "").lower(),
    )


def _datastore(moid: str, values: Mapping[str, Any], hosts: list[str], home: str) -> DatastoreRow:
    kind = values.get("summary.type", "OTHER").upper()
    if kind == "VMFS":
        shared = len(hosts) > 1 or values.get("summary.multipleHostAccess") == "true"
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
        hosts=hosts,
        datacenter=home,
    )


def _network(kind: str, moid: str, values: Mapping[str, Any], switches: Mapping[str, str]) -> NetworkRow:
    key, switch = values.get("key", ""), switches.get(values.get("config.distributedVirtualSwitch", ""), "")
    if kind == "OpaqueNetwork" and retrieve.is_object(values.get("summary")):
        key, switch = (retrieve.text(values["summary"], each) for each in ("opaqueNetworkId", "opaqueNetworkType"))
    return NetworkRow(moid, unescape(values["name"]), _NETWORK_KINDS[kind], key, switch)


def _vm(moid: str, values: Mapping[str, Any], networks: Mapping[str, NetworkRow]) -> VmRow:
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
        networks=[networks[each].name if each in networks else each for each in get("network", ())],
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


def _fill_marks(row: VmRow, values: Mapping[str, Any]) -> None:
    pairs = (
        (retrieve.text(each, "key"), retrieve.text(each, "value")) for each in values.get("config.extraConfig", [])
    )
    row.extra_config = {key: value for key, value in pairs if key.startswith(("guestinfo.", "photon."))}
    created = values.get("config.createDate")
    row.created = datetime.fromisoformat(created).timestamp() if created else None
    row.vmx = values.get("config.files.vmPathName")
