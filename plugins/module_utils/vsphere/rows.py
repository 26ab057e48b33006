# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from an endpoint and what is asked of it, as plain data. Sizes are bytes; ``moid`` is vSphere's key."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class EndpointSpec:
    """How to reach a vCenter or an ESXi host.

    ``verify`` True checks the certificate against ``ca_file`` (or the system's authorities) and the address. A
    ``thumbprint`` (SHA-1, SHA-256 or SHA-512 in hex, colons or not) pins the certificate instead, self-signed ones too.
    ``timeout`` bounds, in seconds, each wait for an answer; connecting takes at most ``connect_timeout``.
    ``datacenter`` narrows a vCenter to one datacenter; ``folder`` is the VM folder under which ours are made.
    """

    id: str
    name: str
    type: str
    address: str
    username: str
    password: str = field(repr=False)
    port: int = 443
    ca_file: str | None = None
    verify: bool = True
    thumbprint: str | None = None
    timeout: float = 120.0
    connect_timeout: float = 15.0
    datacenter: str | None = None
    folder: str | None = None

    @property
    def where(self) -> str:
        """For messages: ``vc1 (vc1.example.org:443)``."""
        return f"{self.name} ({self.address}:{self.port})"


@dataclass(slots=True)
class DatacenterRow:
    moid: str
    name: str
    vm_folder: str


@dataclass(slots=True)
class FolderRow:
    """``path`` counts from the datacenter's VM folder, which is ``""``; other folders have no path (None)."""

    moid: str
    name: str
    parent: str | None
    path: str | None = None


@dataclass(slots=True)
class RuleRow:
    """A DRS rule: ``kind`` affinity, anti-affinity or other, ``vms`` moids. ``mandatory``: DRS never breaks it."""

    key: int
    name: str
    kind: str
    vms: frozenset[str]
    enabled: bool
    mandatory: bool


@dataclass(slots=True)
class ClusterRow:
    """A cluster, or the compute resource that a host outside clusters has (``cluster`` False)."""

    moid: str
    name: str
    cluster: bool
    pool: str
    drs: bool = False
    drs_behavior: str = ""
    rules: list[RuleRow] = field(default_factory=list)


@dataclass(slots=True)
class HostRow:
    """``connection_state`` connected|disconnected|notResponding. ``used_*`` sum all VMs that are powered on there,
    ``configured_*`` all VMs registered there. ``networks`` are names, ``network_moids`` their keys in the same order.
    """

    moid: str
    name: str
    cluster: str | None
    cluster_moid: str
    pool: str
    datacenter: str
    vm_folder: str
    connection_state: str
    in_maintenance: bool
    power_state: str
    cores: int
    threads: int
    mhz: int
    memory: int
    datastores: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    network_moids: list[str] = field(default_factory=list)
    used_vcpus: int = 0
    used_memory: int = 0
    configured_vcpus: int = 0
    configured_memory: int = 0
    vm_count: int = 0
    drs: bool = False

    @property
    def ready(self) -> bool:
        """Connected, powered on and not in maintenance."""
        return self.connection_state == "connected" and not self.in_maintenance and self.power_state != "poweredOff"


@dataclass(slots=True)
class DatastoreRow:
    """``type`` LOCAL_VMFS, SHARED_VMFS, NFS_3, NFS_41, VSAN, EXT3 or OTHER. ``maintenance`` normal or otherwise."""

    moid: str
    name: str
    url: str
    type: str
    capacity: int
    free: int
    accessible: bool
    maintenance: str = "normal"
    hosts: list[str] = field(default_factory=list)
    datacenter: str = ""


@dataclass(slots=True)
class NetworkRow:
    """``kind`` standard, distributed or opaque. ``key`` is the port group's key or the opaque network's id;
    ``switch`` the distributed switch's uuid, or the opaque network's type.
    """

    moid: str
    name: str
    kind: str
    key: str = ""
    switch: str = ""


@dataclass(slots=True)
class DiskRow:
    key: int
    controller_key: int
    unit: int
    capacity: int
    path: str
    datastore: str | None = None
    parent: str | None = None
    thin: bool = False
    label: str = ""


@dataclass(slots=True)
class NicRow:
    """``network`` is the port group's name where the inventory knows it, else its key."""

    key: int
    mac: str
    network: str
    network_moid: str | None
    connected: bool
    adapter: str
    label: str = ""


@dataclass(slots=True)
class VmRow:
    """``disks``, ``nics`` and ``extra_config`` (``photon.*`` and ``guestinfo.*`` keys) are None unless asked for."""

    moid: str
    name: str
    uuid: str
    host: str | None
    power_state: str
    change_version: str
    folder: str | None
    datastores: list[str]
    networks: list[str]
    vcpus: int
    memory: int
    committed: int
    guest_address: str | None
    tools: str
    template: bool
    connection_state: str
    disks: list[DiskRow] | None = None
    nics: list[NicRow] | None = None
    extra_config: dict[str, str] | None = None

    @property
    def readable(self) -> bool:
        """False while host or datastore are out of reach: what is said of the VM is old or missing then."""
        return bool(self.uuid) and self.connection_state == "connected"


@dataclass(slots=True)
class EndpointInventory:
    """One endpoint at one moment; tables are keyed by moid. ``vms_by_uuid`` lists several where a uuid is shared."""

    endpoint_id: str
    type: str
    version: str
    hosts: dict[str, HostRow] = field(default_factory=dict)
    datastores: dict[str, DatastoreRow] = field(default_factory=dict)
    networks: dict[str, NetworkRow] = field(default_factory=dict)
    clusters: dict[str, ClusterRow] = field(default_factory=dict)
    datacenters: dict[str, DatacenterRow] = field(default_factory=dict)
    folders: dict[str, FolderRow] = field(default_factory=dict)
    vms: dict[str, VmRow] = field(default_factory=dict)
    vms_by_uuid: dict[str, list[VmRow]] = field(default_factory=dict)

    def vm(self, uuid: str, moid: str | None = None) -> VmRow | None:
        """The VM of this instanceUuid; the first where several share it.

        A VM whose files are out of reach has no readable configuration, so no uuid: with the ``moid`` last seen it is
        found all the same (``readable`` False), and not taken for gone.
        """
        rows = self.vms_by_uuid.get(uuid)
        if rows:
            return rows[0]
        row = self.vms.get(moid or "")
        return row if row is not None and not row.uuid else None

    def host_named(self, name: str) -> HostRow | None:
        return next((row for row in self.hosts.values() if row.name == name), None)

    def network_of(self, host: HostRow, name: str) -> NetworkRow | None:
        """The port group of that name which the host is attached to."""
        for moid, known in zip(host.network_moids, host.networks, strict=True):
            if known == name:
                return self.networks[moid]
        return None

    def folder_at(self, vm_folder: str, path: str) -> FolderRow | None:
        """The folder ``path`` (``acme/web``) below the datacenter VM folder of that moid; ``""`` is that folder."""
        row = self.folders.get(vm_folder)
        for part in [part for part in path.split("/") if part]:
            row = next((f for f in self.folders.values() if row and f.parent == row.moid and f.name == part), None)
        return row
