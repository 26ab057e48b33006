# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of declarations: one table per kind of item, and the table of the variables that hold them.

docs/declaration.md and the modules' arguments follow these tables; tests compare them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from .fields import Field, Schema

_STATE = Field("text", "whether it exists", default="present", choices=("present", "absent"))
_PROTECTED = Field("boolean", "refuse to delete it until this is set to false; omitted: unchanged")
_GROUPS = Field(
    "list",
    "security groups (domain\\group) whose members may use it; omitted: unchanged",
    elements="security_group",
    code="InvalidSecurityGroupFormat",
)
_QUOTA = {
    "quota": Field("quota", "limits by key; omitted: unchanged"),
    "quota_mode": Field(
        "text",
        "replace the whole set of limits by quota, or merge quota into it",
        default="set",
        choices=("set", "update"),
    ),
    "quota_exclude": Field("list", "keys to take out of the limits", elements="text"),
}
LEVELS = ("host", "rack", "zone")

TLS: Schema = {
    "verify": Field("boolean", "verify the certificate", default=True),
    "ca_file": Field("text", "file with the certificates of the authorities to trust, in PEM"),
    "thumbprint": Field("thumbprint", "SHA-256 fingerprint of the one certificate to trust"),
}
ENDPOINT: Schema = {
    "name": Field("name_range", "name of the endpoint, or a range of names", required=True),
    "kind": Field("text", "a vCenter or a standalone ESXi host", default="vcenter", choices=("vcenter", "esxi")),
    "address": Field("text_range", "host name or IP address; a range has one member per name", required="create"),
    "port": Field("int", "TCP port of the vSphere API", default=443, minimum=1, maximum=65535),
    "credential": Field("text", "name of the credential in photon_credentials; default: the endpoint's name"),
    "tls": Field("mapping", "how its certificate is checked", options=TLS),
    "datacenter": Field("text", "the datacenter in a vCenter; needed where it has several"),
    "folder": Field("text", "name of the VM folder that the projects' folders are made in", default="photon"),
    "timeout": Field("int", "seconds to wait for an answer", default=60, minimum=1, maximum=3600),
    "state": _STATE,
}
ZONE: Schema = {
    "name": Field("name_range", "name of the zone, or a range of names", required=True),
    "dedicated_tenants": Field(
        "list", "only these tenants' VMs are placed here; empty: everybody's", initial=[], elements="name"
    ),
    "state": _STATE,
}
HOST: Schema = {
    "name": Field("text_range", "name of the host, or a range of names", required=True),
    "endpoint": Field("text_range", "endpoint that manages it; a range has one member per name", required="create"),
    "address": Field("text_range", "the host's name in vSphere; default: its name; a range has one member per name"),
    "zone": Field("name", "availability zone; can be set once"),
    "usage_tags": Field(
        "list", "what it is for", initial=["CLOUD"], elements="text", choices=("MGMT", "CLOUD"), minimum=1
    ),
    "rack": Field("text", "rack it stands in"),
    "tags": Field("list", "own tags that a VM can ask for (host_tags)", initial=[], elements="text"),
    "metadata": Field("strings", "own notes", initial={}),
    "cpu_overcommit": Field("number", "virtual CPUs per physical core", initial=16.0, minimum=1, maximum=1000),
    "memory_overcommit": Field("number", "memory of VMs per physical memory", initial=1.0, minimum=1, maximum=100),
    "allowed_datastores": Field(
        "list", "names of the only datastores to use on it; empty: all", initial=[], elements="text"
    ),
    "state": Field(
        "text",
        "present leaves the host's state as it is",
        default="present",
        choices=("present", "ready", "suspended", "maintenance", "absent"),
    ),
}
DATASTORE: Schema = {
    "name": Field("text_range", "name of the datastore, or a range of names", required=True),
    "endpoint": Field("name", "endpoint it belongs to; needed where several have a datastore of that name"),
    "tags": Field("list", "own tags; its type is always one", initial=[], elements="text"),
    "image": Field("boolean", "keep images on it", initial=False),
    "usable_for_vms": Field("boolean", "place VMs on it", initial=True),
}
FLAVOR: Schema = {
    "name": Field("name", "name of the flavor, unique per kind", required=True),
    "kind": Field("flavor_kind", "vm, ephemeral-disk or persistent-disk", required=True),
    "cost": Field("cost", "what one costs, by quota key", required="create", code="InvalidFlavorSpecification"),
    "storage_policy": Field(
        "optional_text",
        "name of the vCenter storage policy of its disks, for disk flavors; an empty text: none",
        code="InvalidFlavorSpecification",
    ),
    "state": _STATE,
}
IMAGE: Schema = {
    "name": Field("name", "name of the image", required=True),
    "file": Field(
        "text",
        "OVA, OVF with its disk beside it, or stream-optimised VMDK, on the controller",
        code="ImageUploadError",
    ),
    "url": Field(
        "text", "address of an OVA or VMDK, https://...; downloaded once to the controller", code="ImageUploadError"
    ),
    "checksum": Field("text", "sha256:..., the digest of what the url gives", code="ImageUploadError"),
    "ca_file": Field("text", "certificates of the authorities that the url's server is trusted by, in PEM"),
    "replication": Field(
        "text",
        "EAGER: to every datastore at once; ON_DEMAND: with the first VM that needs it",
        required="create",
        choices=("EAGER", "ON_DEMAND"),
        code="InvalidImageReplicationType",
    ),
    "state": _STATE,
}
EPHEMERAL_DISK: Schema = {
    "name": Field("name", "name of the disk, unique in its VM", required=True),
    "flavor": Field("name", "flavor of kind ephemeral-disk", required=True),
    "capacity": Field("capacity", "size; a plain number is GB", required=True, minimum=1 << 20),
}
BOOT_DISK: Schema = {
    "flavor": Field("name", "flavor of kind ephemeral-disk; default: boot_disk_flavor"),
    "capacity": Field(
        "capacity",
        "size, not less than the image's; a plain number is GB; omitted: the image's, or unchanged",
        minimum=1 << 20,
    ),
}
ADAPTER: Schema = {
    "name": Field("text", "port group to connect to", required=True),
    "address": Field(
        "text_range",
        "static address with its prefix length (10.0.0.5/24); a range has one member per VM; omitted: DHCP",
    ),
    "gateway": Field("text", "address of the default route"),
    "dns": Field("list", "addresses of name servers", elements="text"),
}
METADATA: Schema = {
    "user_data": Field("text", "cloud-init user-data", secret=True),
    "meta_data": Field("free", "more cloud-init meta-data", secret=True),
    "ssh_keys": Field("list", "public keys of the default user", elements="text"),
    "environment": Field("strings", "names and values for the guest", secret=True),
}
GROUP: Schema = {
    "name": Field("name", "name of the group; VMs of one project that name it are its members", required=True),
    "level": Field("text", "what the members share or do not share", default="host", choices=LEVELS),
    "hard": Field("boolean", "fail rather than break it", default=True),
}
VM: Schema = {
    "name": Field("name_range", "name of the VM, or a range of names", required=True),
    "flavor": Field("name", "flavor of kind vm", required="create"),
    "image": Field("name", "project image or global image", required="create"),
    "boot_disk_flavor": Field(
        "name", "flavor of kind ephemeral-disk for the boot disk; or boot_disk", code="InvalidEntity"
    ),
    "boot_disk": Field("mapping", "flavor and size of the boot disk; it can grow, not shrink", options=BOOT_DISK),
    "disks": Field("list", "further ephemeral disks", initial=[], elements="mapping", options=EPHEMERAL_DISK),
    "zone": Field("name", "availability zone to be in; omitted: any"),
    "host_tags": Field("list", "own tags that the host must have", initial=[], elements="text"),
    "port_groups": Field(
        "list",
        "port groups to connect to, one adapter each: names or mappings; a new VM gets the default one",
        elements="adapter",
        options=ADAPTER,
    ),
    "tags": Field("list", "own tags of the VM", initial=[], elements="text"),
    "metadata": Field("mapping", "cloud-init data of the guest", options=METADATA, secret=True),
    "wait_for_address": Field(
        "int",
        "seconds within which it must report an address while it is started; 0: none needed",
        default=0,
        minimum=0,
        maximum=3600,
    ),
    "spread_over": Field("text", "keep the VMs of this item evenly over these", choices=LEVELS),
    "max_skew": Field(
        "int", "difference in number that spread_over never exceeds; omitted: as even as possible", minimum=1
    ),
    "affinity": Field("list", "groups whose members stay together", elements="mapping", options=GROUP),
    "anti_affinity": Field("list", "groups whose members stay apart", elements="mapping", options=GROUP),
    "force": Field("boolean", "stop it where deleting or changing needs that", default=False),
    "register": Field(
        "boolean", "if vSphere lost it, register its files again, or take over its restored copy", default=False
    ),
    "deletion_protection": _PROTECTED,
    "state": Field(
        "text",
        "present: a new VM is stopped, an existing one stays as it is",
        default="present",
        choices=("present", "absent", "started", "stopped", "suspended"),
    ),
}
DISK: Schema = {
    "name": Field("name_range", "name of the disk, unique in its project, or a range of names", required=True),
    "flavor": Field("name", "flavor of kind persistent-disk", required="create"),
    "capacity": Field(
        "capacity",
        "size; a plain number is GB; a disk can grow, not shrink",
        required="create",
        minimum=1 << 30,
        code="InvalidEntity",
    ),
    "attached_to": Field(
        "vm_range",
        "VM of the project that has it, or a range of VMs; an empty text detaches it; omitted: unchanged",
    ),
    "affinity": Field("list", "VMs of the project on whose datastore a new disk lies", initial=[], elements="name"),
    "tags": Field("list", "own tags of the disk", initial=[], elements="text"),
    "deletion_protection": _PROTECTED,
    "force": Field("boolean", "detach it where deleting needs that", default=False),
    "state": _STATE,
}
PROJECT: Schema = {
    "name": Field("name", "name of the project, unique in its tenant", required=True),
    **_QUOTA,
    "quota_percent": Field("int", "limits as a part of the tenant's, instead of quota", minimum=1, maximum=100),
    "security_groups": _GROUPS,
    "deletion_protection": _PROTECTED,
    "images": Field("list", "images of this project alone", elements="mapping", options=IMAGE),
    "vms": Field("list", "its VMs", elements="mapping", options=VM),
    "disks": Field("list", "its persistent disks", elements="mapping", options=DISK),
    "state": _STATE,
}
TENANT: Schema = {
    "name": Field("name", "name of the tenant", required=True),
    **_QUOTA,
    "security_groups": _GROUPS,
    "deletion_protection": _PROTECTED,
    "projects": Field("list", "its projects", elements="mapping", options=PROJECT),
    "state": _STATE,
}
ITEMS: dict[str, Schema] = {
    "endpoint": ENDPOINT,
    "zone": ZONE,
    "host": HOST,
    "datastore": DATASTORE,
    "flavor": FLAVOR,
    "image": IMAGE,
    "tenant": TENANT,
    "project": PROJECT,
    "vm": VM,
    "disk": DISK,
}

_NOT_PLANNED = "connection of the run; not part of the plan"
SITE: Schema = {
    "photon_site": Field(
        "name", "name of this site: resources that it creates are managed_by inventory:<site>", default="site"
    ),
    "photon_endpoints": Field("list", "vCenters and standalone ESXi hosts", elements="mapping", options=ENDPOINT),
    "photon_zones": Field("list", "availability zones", elements="mapping", options=ZONE),
    "photon_hosts": Field("list", "ESXi hosts", elements="mapping", options=HOST),
    "photon_datastores": Field("list", "settings of single datastores", elements="mapping", options=DATASTORE),
    "photon_image_datastores": Field(
        "list", "names of the datastores that keep images; omitted: the fewest that serve all hosts", elements="text"
    ),
    "photon_flavors": Field("list", "flavors in addition to the shipped ones", elements="mapping", options=FLAVOR),
    "photon_images": Field("list", "images for everybody", elements="mapping", options=IMAGE),
    "photon_security_groups": Field(
        "list",
        "security groups that administer the platform",
        elements="security_group",
        code="InvalidSecurityGroupFormat",
    ),
    "photon_tenants": Field("list", "tenants with their projects and VMs", elements="mapping", options=TENANT),
    "photon_placement_policy": Field(
        "text",
        "spread VMs over the hosts, pack them, or sample hosts as Photon Controller did",
        default="spread",
        choices=("spread", "pack", "photon"),
    ),
    "photon_placement_quality": Field(
        "text",
        "optimal places more VMs on fewer hosts, takes longer and needs the Python package highspy",
        default="normal",
        choices=("normal", "optimal"),
    ),
    "photon_default_port_group": Field("text", "port group of VMs that name none"),
    "photon_disk_backing": Field(
        "text",
        "what new persistent disks are made of: first-class disks where the endpoint has them (auto), always (fcd), or "
        "managed VMDKs (vmdk)",
        default="auto",
        choices=("auto", "fcd", "vmdk"),
    ),
    "photon_prune": Field(
        "text",
        "report or delete resources of this site that are no longer declared",
        default="report",
        choices=("report", "delete"),
    ),
    "photon_max_deletes": Field(
        "int", "largest number of resources that one run deletes, declared absent or pruned", default=10, minimum=0
    ),
    "photon_max_recreates": Field(
        "int", "largest number of VMs missing in vSphere that one run creates again", default=10, minimum=0
    ),
    "photon_wait_for_addresses": Field(
        "int",
        "seconds that a run waits for the addresses of the VMs that it started, and warns of those without one; "
        "0: not at all; see wait_for_address of a VM",
        default=30,
        minimum=0,
        maximum=3600,
    ),
    "photon_wait_for_runs": Field(
        "int",
        "seconds that a run waits for another run that works on the same resources; 0: not at all",
        default=600,
        minimum=0,
        maximum=86400,
    ),
    "photon_cloudstore_new": Field(
        "boolean", "start with an empty CloudStore although vSphere has VMs of this site", default=False
    ),
    "photon_atomic": Field("boolean", "create no VM unless all can be created", default=False),
    "photon_diff_limit": Field("int", "largest number of items in a diff", default=50, minimum=0),
    "photon_act_as": Field(
        "mapping",
        "act as this user instead of the system administrator",
        options={
            "user": Field("text", "user@domain", required=True),
            "groups": Field(
                "list", "security groups of the user", elements="security_group", code="InvalidSecurityGroupFormat"
            ),
        },
    ),
    "photon_cloudstore_url": Field("text", f"URL of the CloudStore's database ({_NOT_PLANNED})"),
    "photon_cloudstore_allow_ephemeral": Field(
        "boolean", f"accept a database file that may be lost with the job ({_NOT_PLANNED})", default=False
    ),
    "photon_credentials": Field(
        "credentials", f"credentials by name: {{username, password}} ({_NOT_PLANNED})", secret=True
    ),
}
# Variables that entry points use and plans never hold.
CONNECTION = ("photon_cloudstore_url", "photon_cloudstore_allow_ephemeral", "photon_credentials")


def with_initial(kind: str, item: Mapping[str, object]) -> dict[str, object]:
    """Fill omitted keys of a module's item for a new entity with the initial values."""
    filled = dict(item)
    for key, spec in ITEMS[kind].items():
        if filled.get(key) is None and spec.initial is not None:
            filled[key] = copy.copy(spec.initial)
    return filled


def argument_spec(schema: Schema, leave_out: tuple[str, ...] = ()) -> dict[str, dict[str, object]]:
    """The table as the argument spec of a module; ``required`` only where a key is needed in every state."""
    spec: dict[str, dict[str, object]] = {}
    for key, column in schema.items():
        if key in leave_out:
            continue
        row: dict[str, object] = {"type": _ANSIBLE_TYPES.get(column.type, "str")}
        if column.type == "list":
            row["elements"] = _ANSIBLE_TYPES.get(column.elements, "str")
        if column.options and column.elements != "adapter":
            row["options"] = argument_spec(column.options)
        if column.choices:
            row["choices"] = list(column.choices)
        if column.required is True:
            row["required"] = True
        if column.default is not None:
            row["default"] = column.default
        spec[key] = row
    return spec


_ANSIBLE_TYPES = {
    "boolean": "bool",
    "int": "int",
    "number": "float",
    "capacity": "str",
    "quota": "dict",
    "cost": "dict",
    "strings": "dict",
    "free": "dict",
    "credentials": "dict",
    "mapping": "dict",
    "adapter": "raw",
    "list": "list",
}
