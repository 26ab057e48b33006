# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A first inventory for an endpoint: its hosts, datastores and port groups as a declaration with comments."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable

from ..model.errors import PhotonError
from ..model.names import collapse
from ..vsphere import EndpointSpec, connect, read_inventory
from ..vsphere.rows import EndpointInventory, HostRow

_HOSTS = """\
---
# The playbooks run here; endpoints are reached over the network from this machine.
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""
_SITE = """\
---
# What this inventory creates belongs to this site. One controller: a SQLite file on a disk of its own, with backups.
# Several controllers and AWX: postgresql+psycopg://user@host/database.
photon_site: %(site)s
photon_cloudstore_url: %(cloudstore)s
"""
_TENANTS = """\
---
# Take the comment signs away and adapt it; photon-plan shows what would be done, photon-apply does it.
# photon_images:
#   - {name: debian-13, file: /srv/images/debian-13.ova, replication: ON_DEMAND}
#
# photon_tenants:
#   - name: acme
#     quota: {vm.count: 20, vm.cpu: 40, vm.memory: 80 GB, ephemeral-disk.capacity: 800 GB}
#     projects:
#       - name: web
#         quota_percent: 50
#         vms:
#           - {name: "web-[01:04]", flavor: core-100, image: debian-13, boot_disk_flavor: core-100, state: started}
"""
_VMS = """\
---
# The VMs of the platform as hosts for your own playbooks, grouped by tenant, project, zone, tag, state and flavor.
plugin: photon.platform.cloudstore
cloudstore_url: %(cloudstore)s
"""


def first_inventory(spec: EndpointSpec, site: str, cloudstore: str) -> dict[str, str]:
    """Read the endpoint and return ``{path: content}``. Nothing is changed.

    Raises the codes of ``connect``, and SpecInvalid where a vCenter has several datacenters and ``spec`` names none.
    """
    with connect(spec) as session:
        kind, inventory = "vcenter" if session.is_vcenter else "esxi", read_inventory(session)
    names = sorted(row.name for row in inventory.datacenters.values())
    if kind == "vcenter" and len(names) > 1 and not spec.datacenter:
        raise PhotonError("SpecInvalid", f"{spec.where} has the datacenters {', '.join(names)}: choose one")
    values = {"site": _quoted(site), "cloudstore": _quoted(cloudstore)}
    return {
        "hosts.yml": _HOSTS,
        "vms.photon.yml": _VMS % values,
        "host_vars/localhost/site.yml": _SITE % values,
        "host_vars/localhost/fleet.yml": "\n".join(_fleet(spec, kind, inventory)) + "\n",
        "host_vars/localhost/tenants.yml": _TENANTS,
    }


def _fleet(spec: EndpointSpec, kind: str, inventory: EndpointInventory) -> Iterable[str]:
    yield "---"
    yield f"# What {spec.address} showed."
    yield "photon_endpoints:"
    yield f"  - name: {spec.name}"
    yield f"    kind: {kind}"
    yield f"    address: {_quoted(spec.address)}"
    if spec.port != 443:
        yield f"    port: {spec.port}"
    if spec.datacenter:
        yield f"    datacenter: {_quoted(spec.datacenter)}"
    if spec.thumbprint:
        yield f"    tls: {{thumbprint: {_quoted(spec.thumbprint)}}}"
    elif spec.ca_file:
        yield f"    tls: {{ca_file: {_quoted(spec.ca_file)}}}"
    yield from _zones_and_hosts(spec, inventory)
    yield from _networks(inventory)
    yield from _datastores(spec, inventory)


def _zones_and_hosts(spec: EndpointSpec, inventory: EndpointInventory) -> Iterable[str]:
    zones: dict[str, list[HostRow]] = {}
    for host in sorted(inventory.hosts.values(), key=lambda host: host.name):
        zones.setdefault(_name(host.cluster or "default"), []).append(host)
    yield from ("", "# Availability zones: one for each cluster. A VM names a zone, or takes any.", "photon_zones:")
    yield from (f"  - {{name: {zone}}}" for zone in zones)
    yield from ("", "# Hosts by their names in vSphere; a range stands for several.", "photon_hosts:")
    for zone, hosts in zones.items():
        for names in collapse(host.name for host in hosts if host.connection_state == "connected"):
            yield f"  - {{name: {_quoted(names)}, endpoint: {spec.name}, zone: {zone}}}"
        for host in hosts:
            if host.connection_state != "connected":
                yield f"  # {host.name} is {host.connection_state}"


def _networks(inventory: EndpointInventory) -> Iterable[str]:
    hosts_of = Counter(name for host in inventory.hosts.values() for name in set(host.networks))
    if not hosts_of:
        return
    ranked = sorted(hosts_of, key=lambda name: (-hosts_of[name], name))
    yield from ("", "# The port group of VMs that name none. There are:")
    whole = f"{len(inventory.hosts)} host{'s' * (len(inventory.hosts) != 1)}"
    yield from (f"#   {name}, on {hosts_of[name]} of {whole}" for name in ranked)
    yield f"photon_default_port_group: {_quoted(ranked[0])}"


def _datastores(spec: EndpointSpec, inventory: EndpointInventory) -> Iterable[str]:
    yield from (
        "",
        "# Datastores are found by themselves; declare one to give it tags or to keep VMs off it. There are:",
    )
    for store in sorted(inventory.datastores.values(), key=lambda store: store.name):
        gigabytes = f"{store.free >> 30} of {store.capacity >> 30} GB free"
        hosts = sum(store.moid in host.datastores for host in inventory.hosts.values())
        yield f"#   {store.name}, {store.type}, {gigabytes}, on {hosts} host{'s' * (hosts != 1)}"
    yield "# photon_datastores:"
    yield f"#   - {{name: backup, endpoint: {spec.name}, usable_for_vms: false}}"


def _name(text: str) -> str:
    """A name of the platform's own that resembles this one of vSphere."""
    cleaned = re.sub("[^a-zA-Z0-9-]+", "-", text).strip("-")[:62]
    return cleaned if re.match("[a-zA-Z]", cleaned) else f"z{cleaned}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
