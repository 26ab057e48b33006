# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cloudstore
short_description: The platform's VMs as inventory hosts
version_added: 0.1.0
description:
  - Lists the VMs that the CloudStore knows, with C(ansible_host) from the guest's address.
  - "Groups them by tenant, project, zone, tag, state and flavor: C(tenant_acme), C(project_acme_web), C(zone_a),
    C(tag_frontend), C(state_started), C(flavor_core_100)."
  - Each host has the variable C(photon_vm), a mapping with id, name, tenant, project, state, host, zone, datastore,
    flavor, image, address, vcpus, memory, port_groups and tags. In C(compose), C(groups) and C(keyed_groups) it has
    every field that M(photon.platform.resource_info) returns.
  - A host has no variables but these. Declare the site and its credentials in C(host_vars/localhost), the variables of
    the controller alone; every host has the variables of C(group_vars/all).
  - The file's name ends with C(photon.yml) or C(photon.yaml). The CloudStore is only read; where there is none yet,
    there are no hosts.
options:
  plugin:
    description: The name of this plugin.
    type: str
    required: true
    choices: [photon.platform.cloudstore, cloudstore]
  hostname:
    description:
      - How hosts are named. V(path) gives C(web-01.web.acme), which is unique.
      - V(name) gives C(web-01); two VMs of the same name are an error then. V(id) gives the id.
    type: str
    choices: [path, name, id]
    default: path
  details:
    description: Which fields C(photon_vm) has. V(full) adds, for example, disks, cluster, endpoint and vsphere.
    type: str
    choices: [brief, full]
    default: brief
  tenant:
    description: Only VMs of this tenant.
    type: str
  project:
    description: Only VMs of projects of this name.
    type: str
  zone:
    description: Only VMs in this zone.
    type: str
  state:
    description: Only VMs in this state, such as V(STARTED).
    type: str
  tag:
    description: Only VMs with this tag.
    type: str
author:
  - Photon Platform contributors (@photon-platform)
extends_documentation_fragment:
  - photon.platform.store
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
"""

EXAMPLES = r"""
# vms.photon.yml: everything that runs
plugin: photon.platform.cloudstore
cloudstore_url: postgresql+psycopg://photon@db.example.org/photon
state: STARTED

---
# acme.photon.yml: one tenant, with groups of its own
plugin: photon.platform.cloudstore
tenant: acme
hostname: name
compose:
  ansible_user: "'debian'"
groups:
  large: photon_vm.memory > 17179869184
keyed_groups:
  - key: photon_vm.image
    prefix: image
"""

import ast

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.template import trust_as_template

from ..module_utils.services import info
from ..plugin_utils.store import ask

FILTERS = ("tenant", "project", "zone", "state", "tag")
# A thousand guests have these among their variables; there are twice as many fields.
BRIEF = (
    *("id", "name", "tenant", "project", "state", "host", "zone", "datastore"),
    *("flavor", "image", "address", "vcpus", "memory", "port_groups", "tags"),
)
NAMES = {
    "path": lambda vm: f"{vm['name']}.{vm['project']}.{vm['tenant']}",
    "name": lambda vm: vm["name"],
    "id": lambda vm: vm["id"],
}


def trusted(value: object) -> object:
    """Mark text as trusted that no template can be in: there is nothing to resolve, and it is listed as it is."""
    if isinstance(value, str):
        return value if "{" in value else trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(member) for key, member in value.items()}
    return [trusted(member) for member in value] if isinstance(value, list) else value


def literal(expression: str) -> object:
    """Return the value of an expression such as ``'debian'`` that is the same for all hosts; None for any other."""
    try:
        return trusted(ast.literal_eval(expression))
    except (ValueError, SyntaxError, TypeError):
        return None


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Reads the VMs once, or takes them from the cache."""

    NAME = "photon.platform.cloudstore"

    def verify_file(self, path: str) -> bool:
        return super().verify_file(path) and path.endswith(("photon.yml", "photon.yaml"))

    def parse(self, inventory: object, loader: object, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        compose = self.get_option("compose") or {}
        self._constants = {name: literal(text) for name, text in compose.items() if literal(text) is not None}
        self._expressions = {name: text for name, text in compose.items() if name not in self._constants}
        name, seen = NAMES[self.get_option("hostname")], set()
        for vm in self._vms(path, cache):
            host = name(vm)
            if host in seen:
                raise AnsibleParserError(f"several VMs are named {host}: set hostname to path, or choose a project")
            seen.add(host)
            self._add(host, vm)

    def _vms(self, path: str, cache: bool) -> list[dict]:
        keep, key = self.get_option("cache"), self.get_cache_key(path)
        if keep and cache and key in self._cache:
            return self._cache[key]
        query = info.Query(kind="vm", **{option: self.get_option(option) for option in FILTERS})
        vms = ask(self.get_options(), lambda context: info.resources(context, query))["resources"]
        if keep:
            self._cache[key] = vms
        return vms

    def _add(self, host: str, vm: dict) -> None:
        self.inventory.add_host(host)
        shown = vm if self.get_option("details") == "full" else {key: vm[key] for key in BRIEF}
        self.inventory.set_variable(host, "photon_vm", trusted(shown))
        if vm["address"]:
            self.inventory.set_variable(host, "ansible_host", trusted(vm["address"]))
        for group in self._groups(vm):
            self.inventory.add_group(group)
            self.inventory.add_child(group, host)
        variables, strict = {"photon_vm": vm}, self.get_option("strict")
        for name, value in self._constants.items():
            self.inventory.set_variable(host, name, value)
        self._set_composite_vars(self._expressions, variables, host, strict=strict)
        groups, keyed = self.get_option("groups"), self.get_option("keyed_groups")
        if groups or keyed:  # by all fields, not only those that the host keeps
            known = {**self.inventory.get_host(host).get_vars(), **variables}
            self._add_host_to_composed_groups(groups, known, host, strict=strict, fetch_hostvars=False)
            self._add_host_to_keyed_groups(keyed, known, host, strict=strict, fetch_hostvars=False)

    def _groups(self, vm: dict) -> list[str]:
        words = [f"tenant_{vm['tenant']}", f"project_{vm['tenant']}_{vm['project']}", f"state_{vm['state'].lower()}"]
        words += [f"{key}_{vm[key]}" for key in ("zone", "flavor") if vm[key]]
        words += [f"tag_{tag}" for tag in vm["tags"]]
        return [self._sanitize_group_name(word) for word in words]
