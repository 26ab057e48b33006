# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read an endpoint in one call: hosts, datastores, networks, clusters, folders and VMs.

Two calls open a session, one creates the view, one reads everything. One more reads disks, adapters and guestinfo of
the known VMs whose config.changeVersion moved: these heavy paths cost three times as much as all others together.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from . import devices, first_class, guestinfo, retrieve
from .addresses import choose_address
from .rows import EndpointInventory, NetworkRow, VmRow
from .session import Session
from .tables import Table, Tables, fill, vm_row

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
    "guest.ipAddress",
    "guest.toolsRunningStatus",
    "storage.perDatastoreUsage",
]
_SUMMARY_PATHS = {
    "summary.config.instanceUuid": "config.instanceUuid",
    "summary.config.numCpu": "config.hardware.numCPU",
    "summary.config.memorySizeMB": "config.hardware.memoryMB",
}
_MARK_PATHS = ["config.extraConfig", "config.files.vmPathName"]
HEAVY_PATHS = [devices.PATH, *_MARK_PATHS]
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
_TOOLS_RUN = "guestToolsRunning"


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
        session.spec.type, (about.instanceUuid or "").lower(), no_first_class=first_class.refusal(session)
    )
    tables: Tables = {}
    for kind, moid, values in retrieve.from_view(session, PATHS):
        tables.setdefault(kind, {})[moid] = values
    _read_summaries(session, tables.get("VirtualMachine", {}))
    fill(inventory, tables, session.spec.datacenter, session.spec.where)
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
        _fill_marks(row, values)


def find_marked(session: Session, inventory: EndpointInventory, moids: Iterable[str]) -> dict[str, list[VmRow]]:
    """Find the platform's marks on the VMs of these moids: ``{photon.id: rows}``, with one call for all of them.

    VMs outside the endpoint's datacenter are found too. Copies of images carry a mark as well (``photon.template`` in
    ``extra_config``).
    """
    rows = inventory.vms | {row.moid: row for several in inventory.vms_by_uuid.values() for row in several}
    chosen = [rows[moid] for moid in dict.fromkeys(moids) if moid in rows]
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

    One call for all of them (and one more with ``heavy``).
    """
    wanted_uuids, wanted_names = set(uuids), set(names)
    rows = [vm_row(moid, values) for _kind, moid, values in retrieve.from_view(session, {"VirtualMachine": VM_PATHS})]
    found = [
        row
        for row in rows
        if row.uuid in wanted_uuids or (row.name in wanted_names and (folder is None or row.folder == folder))
    ]
    if heavy:
        read_heavy(session, found, {})
    _choose_addresses(session, found, {})
    return found


def wait_for_addresses(session: Session, waits: Mapping[str, float]) -> dict[str, str]:
    """Wait until guests report a usable address: ``{moid: address}`` of those that did within their ``waits`` (seconds
    by moid).

    One call per round for all of them, 0.2 to 5 s apart.
    """
    began, pause = time.monotonic(), 0.2
    missing = dict(waits)
    found: dict[str, str] = {}
    while missing:
        found |= {moid: address for moid, address in _read_addresses(session, missing).items() if address}
        passed = time.monotonic() - began
        missing = {moid: wait for moid, wait in missing.items() if moid not in found and wait > passed}
        if not missing or session.interrupted():
            break
        time.sleep(min(pause, max(missing.values()) - passed))
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


def _read_summaries(session: Session, vms: Table) -> None:
    """Add identity and size of VMs whose configuration cannot be read, from what the endpoint remembers of them."""
    unreadable = [moid for moid, values in vms.items() if "config.instanceUuid" not in values]
    for _kind, moid, values in retrieve.from_objects(session, "VirtualMachine", unreadable, list(_SUMMARY_PATHS)):
        vms[moid] |= {_SUMMARY_PATHS[path]: value for path, value in values.items()}


def _fill_marks(row: VmRow, values: Mapping[str, Any]) -> None:
    pairs = (
        (retrieve.text(each, "key"), retrieve.text(each, "value")) for each in values.get("config.extraConfig", [])
    )
    row.extra_config = {key: value for key, value in pairs if key.startswith(("guestinfo.", "photon."))}
    row.vmx = values.get("config.files.vmPathName")
