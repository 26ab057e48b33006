#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: resource_info
short_description: Tell what the platform holds
version_added: 0.1.0
description:
  - Lists entities of one kind or of all, filtered, with names instead of ids.
  - Reads the CloudStore alone unless O(live) is set. Nothing is changed anywhere.
  - Shows what the acting user may read; what is hidden is left out without a word.
options:
  kind:
    description: Only this kind. Without it all kinds.
    type: str
    choices: [endpoint, zone, host, datastore, flavor, image, tenant, project, vm, disk]
  name:
    description: Only those whose name or path matches this glob, such as V(web-*) or V(acme/web/*).
    type: str
  id:
    description: Only the one of this id.
    type: str
  tenant:
    description: Only what belongs to the projects of this tenant, and these projects.
    type: str
  project:
    description: Only what belongs to projects of this name.
    type: str
  zone:
    description: Only hosts and VMs in this zone, and the zone.
    type: str
  state:
    description: Only those in this state, such as V(READY) or V(STARTED).
    type: str
  managed_by:
    description: Only those that this manages, such as V(inventory:paris) or V(api).
    type: str
  tag:
    description: Only hosts, datastores and VMs that carry this tag.
    type: str
  history:
    description: Add every change of each entity, who made it and when.
    type: bool
    default: false
  live:
    description: Read the endpoints too, for states, places, addresses and use as they are now.
    type: bool
    default: false
extends_documentation_fragment:
  - photon.platform.common
  - photon.platform.common.reading
seealso:
  - module: photon.platform.platform
"""

EXAMPLES = r"""
- name: Running VMs of one project
  photon.platform.resource_info:
    kind: vm
    tenant: acme
    project: web
    state: STARTED
  register: running

- name: Tenants with their use of quota
  photon.platform.resource_info:
    kind: tenant

- name: Who changed one VM, and when
  photon.platform.resource_info:
    kind: vm
    name: acme/web/web-01
    history: true
"""

RETURN = r"""
resources:
  description:
    - The entities, by kind and path. Amounts are vCPUs and bytes, times seconds since the epoch.
    - Each kind has its own fields in addition to those below. Tenants and projects have C(quota) with limit, usage and
      what is free; hosts have C(capacity), C(used), C(free), C(score) and its C(parts); VMs have their host, zone,
      datastore, disks, persistent disks and address; disks have the VM that they are attached to, datastore, C(path),
      C(uuid) and C(wwn).
  returned: success
  type: list
  elements: dict
  contains:
    kind: {description: Kind of the entity., type: str, returned: always}
    id: {description: Its id., type: str, returned: always}
    name: {description: Its name., type: str, returned: always}
    path: {description: The name with what it lives in., type: str, returned: always, sample: acme/web/web-01}
    state: {description: Its state., type: str, returned: always, sample: READY}
    managed_by: {description: Who declares it., type: str, returned: always, sample: "inventory:site"}
    version: {description: Number of its last change., type: int, returned: always}
    created_at: {description: When it was made., type: float, returned: always}
    updated_at: {description: When it was last changed., type: float, returned: always}
    history: {description: Every change., type: list, elements: dict, returned: with O(history=true)}
count:
  description: Number of entities.
  returned: success
  type: int
error_code:
  description: Code of the error.
  returned: failure
  type: str
  sample: CloudStoreUnavailable
"""

from dataclasses import fields

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.entry_point import READING, answer_with, request_of
from ..module_utils.services import info, run

TEXTS = ("name", "id", "tenant", "project", "zone", "state", "managed_by", "tag")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "choices": list(info.KINDS)},
            **{key: {"type": "str"} for key in TEXTS},
            "history": {"type": "bool", "default": False},
            "live": {"type": "bool", "default": False},
            **READING,
        },
        supports_check_mode=True,
    )
    query = info.Query(**{field.name: module.params[field.name] for field in fields(info.Query)})

    def work() -> dict:
        with run.reading(request_of(module)) as context:
            return info.resources(context, query)

    answer_with(module, work)


if __name__ == "__main__":
    main()
