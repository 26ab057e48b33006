# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data: what is read from an endpoint. Sizes are bytes, ``moid`` is vSphere's key, names are not escaped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from ..model.errors import PhotonError

FIRST_BUS = 0  # of a VM's SCSI buses; the disks that the platform makes are all on it
# Virtual hardware by its name in VMX files: the type in the API.
CONTROLLERS = {
    "pvscsi": "ParaVirtualSCSIController",
    "lsilogic": "VirtualLsiLogicController",
    "lsisas1068": "VirtualLsiLogicSASController",
    "buslogic": "VirtualBusLogicController",
}
ADAPTERS = {
    "vmxnet3": "VirtualVmxnet3",
    "vmxnet2": "VirtualVmxnet2",
    "vmxnet": "VirtualVmxnet2",
    "e1000": "VirtualE1000",
    "e1000e": "VirtualE1000e",
    "pcnet32": "VirtualPCNet32",
}


@dataclass(slots=True)
class EndpointSpec:
    """Say how to reach a vCenter or an ESXi host.

    ``verify`` True checks the certificate against ``ca_file`` (or the system's authorities) and the address. A
    ``thumbprint`` (SHA-1, SHA-256 or SHA-512 in hex, colons or not) pins the certificate instead, self-signed ones too.
    ``timeout`` bounds, in seconds, each wait for an answer; connecting takes at most ``connect_timeout``.
    ``datacenter`` narrows a vCenter to one datacenter; ``folder`` is the path of the VM folder below which ours are
    made.
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
        """Name the endpoint in messages: ``vc1 (vc1.example.org:443)``."""
        return f"{self.name} ({self.address}:{self.port})"


@dataclass(slots=True)
class DatacenterRow:
    moid: str
    name: str
    vm_folder: str


@dataclass(slots=True)
class FolderRow:
    """A folder of any type. ``path`` counts from the datacenter's VM folder, which is ``""``, in the canonical form of
    ``folder_path`` (``acme/100%25``); a folder that is not below a VM folder has none.
    """

    moid: str
    name: str
    parent: str | None
    path: str | None = None


@dataclass(slots=True)
class RuleRow:
    """A DRS rule: ``kind`` affinity, anti-affinity or other, ``vms`` moids. DRS never breaks a ``mandatory`` one."""

    key: int
    name: str
    kind: str
    vms: frozenset[str]
    enabled: bool
    mandatory: bool


@dataclass(slots=True)
class ClusterRow:
    """A cluster, or the compute resource of a host outside clusters (``cluster`` False)."""

    moid: str
    name: str
    cluster: bool
    pool: str
    drs: bool = False
    rules: list[RuleRow] = field(default_factory=list)


@dataclass(slots=True)
class HostRow:
    """A host. ``connection_state`` is connected, disconnected or notResponding. ``networks`` are names,
    ``network_moids`` their keys in the same order. ``hardware_uuid`` is the machine's own (SMBIOS): the same on a
    vCenter and on the host itself.
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
    memory: int
    datastores: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    network_moids: list[str] = field(default_factory=list)
    drs: bool = False
    hardware_uuid: str = ""

    @property
    def ready(self) -> bool:
        """Return whether the host is connected, powered on and not in maintenance."""
        return self.connection_state == "connected" and not self.in_maintenance and self.power_state != "poweredOff"


@dataclass(slots=True)
class DatastoreRow:
    """A datastore. ``type`` is LOCAL_VMFS, SHARED_VMFS, NFS_3, NFS_41, VSAN, EXT3 or OTHER, ``maintenance`` normal or
    another state. ``url`` stays the same when the datastore is renamed, ``datacenter`` is a moid.
    """

    moid: str
    name: str
    url: str
    type: str
    capacity: int
    free: int
    accessible: bool
    maintenance: str = "normal"
    datacenter: str = ""


@dataclass(slots=True)
class NetworkRow:
    """A port group. ``kind`` is standard, distributed or opaque, ``key`` the port group's key or the opaque network's
    id, ``switch`` the distributed switch's uuid or the opaque network's type.
    """

    moid: str
    name: str
    kind: str
    key: str = ""
    switch: str = ""


@dataclass(slots=True)
class DiskRow:
    """A virtual disk. ``files`` is its chain of backing files, the one written to first: ``path``, then its parents.

    ``uuid`` is the backing's; it stays when the file moves or a snapshot is taken. ``bus`` is the number of the SCSI
    bus (None on other controllers) and ``unit`` the place on it. ``policy`` is the name of its storage policy, empty
    without one, None where it was not asked for.
    """

    key: int
    unit: int
    capacity: int
    path: str
    datastore: str | None = None
    uuid: str = ""
    bus: int | None = None
    files: tuple[str, ...] = ()
    policy: str | None = None

    def is_among(self, names: Collection[str]) -> bool:
        """Return whether one of the backing files, or the uuid, is in ``names``."""
        return bool({self.uuid, *self.files}.intersection(names) - {""})


@dataclass(slots=True)
class NicRow:
    """A network adapter. ``network`` is the port group's name where the inventory knows it, else its key.

    ``connected`` holds while the VM runs; ``start_connected`` is what it will be at power-on.
    """

    key: int
    mac: str
    network: str
    connected: bool
    adapter: str
    label: str = ""
    start_connected: bool = True


@dataclass(slots=True)
class VmRow:
    """A VM. ``space`` is what its files take, ``{datastore's moid: bytes}``. ``agent``: a VM that vSphere runs for
    itself (vCLS). ``outside``: not in the endpoint's ``datacenter``.

    From ``disks`` on, fields are None until ``read_heavy`` filled them: ``extra_config`` holds the ``photon.*`` and
    ``guestinfo.*`` keys, ``vmx`` the path of the configuration file. ``find_marked`` fills these two alone.
    """

    moid: str
    name: str
    uuid: str
    host: str | None
    power_state: str
    change_version: str
    folder: str | None
    datastores: list[str]
    vcpus: int
    memory: int
    space: dict[str, int]
    guest_address: str | None
    tools: str
    template: bool
    connection_state: str
    cpu_hot_add: bool = False
    memory_hot_add: bool = False
    agent: bool = False
    outside: bool = False
    disks: list[DiskRow] | None = None
    nics: list[NicRow] | None = None
    extra_config: dict[str, str] | None = None
    vmx: str | None = None

    @property
    def readable(self) -> bool:
        """Return False while host or datastore are unreachable: what is known of the VM is old or missing then."""
        return bool(self.uuid) and self.connection_state == "connected"


@dataclass(slots=True)
class EndpointInventory:
    """One endpoint at one moment; tables are keyed by moid.

    ``instance_uuid`` identifies the endpoint itself, under whatever address it is reached. ``vms_by_uuid`` lists
    several VMs where they share an instanceUuid, and also those outside the endpoint's datacenter, which ``vms`` omits.
    ``no_first_class`` says why it cannot hold first-class disks; empty where it can.
    """

    type: str
    instance_uuid: str = ""
    no_first_class: str = "it was not asked for them"
    hosts: dict[str, HostRow] = field(default_factory=dict)
    datastores: dict[str, DatastoreRow] = field(default_factory=dict)
    networks: dict[str, NetworkRow] = field(default_factory=dict)
    clusters: dict[str, ClusterRow] = field(default_factory=dict)
    datacenters: dict[str, DatacenterRow] = field(default_factory=dict)
    folders: dict[str, FolderRow] = field(default_factory=dict)
    vms: dict[str, VmRow] = field(default_factory=dict)
    vms_by_uuid: dict[str, list[VmRow]] = field(default_factory=dict)

    def vm(self, uuid: str, moid: str | None = None) -> VmRow | None:
        """Return the VM of this instanceUuid: of several (see ``vms_of``) that of the recorded ``moid``, else the
        first.

        A VM whose files are unreachable has no readable configuration, so no uuid: it is found by the recorded moid
        (``readable`` False), so that it does not count as gone.
        """
        rows = self.vms_of(uuid)
        recorded = next((row for row in rows if row.moid == moid), None)
        if recorded is None and (row := self.vms.get(moid or "")) is not None and not row.uuid:
            recorded = row
        return recorded or next(iter(rows), None)

    def vms_of(self, uuid: str) -> list[VmRow]:
        """List all VMs of this instanceUuid, those inside the endpoint's datacenter first."""
        return sorted(self.vms_by_uuid.get(uuid, ()), key=lambda row: row.outside)

    def network_of(self, host: HostRow, name: str) -> NetworkRow | None:
        """Return the port group of that name which the host is attached to.

        Raises InvalidNetworkConfig when several have that name.
        """
        found = [
            self.networks[moid] for moid, known in zip(host.network_moids, host.networks, strict=True) if known == name
        ]
        if len(found) > 1:
            names = " and ".join(f"the {row.kind} one {row.moid}" for row in found)
            raise PhotonError(
                "InvalidNetworkConfig",
                f"host {host.name} has {len(found)} port groups named {name!r}: {names}; rename all but one",
                {"port_group": name, "moids": [row.moid for row in found]},
            )
        return found[0] if found else None
