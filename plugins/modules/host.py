#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host
short_description: Manage the ESXi hosts that the platform uses
version_added: 0.1.0
description:
  - Takes ESXi hosts of an endpoint into the platform, changes what they are for, and lets them go, one by O(name) or
    many by O(hosts). The host itself stays in vSphere.
  - The endpoint has to be known already; M(photon.platform.platform) declares endpoints.
  - A host leaves from maintenance, and never with VMs of the platform on it (C(HostHasVms)).
options:
  name:
    description:
      - Name of the host, or a range of names.
      - Give this or O(hosts).
    type: str
  endpoint:
    description:
      - Endpoint that manages it; a range has one member per name.
      - Needed for a new one.
    type: str
  address:
    description: 'The host''s name in vSphere; default: its name; a range has one member per name.'
    type: str
  zone:
    description: Availability zone; can be set once.
    type: str
  usage_tags:
    description:
      - What it is for.
      - A new one gets V(CLOUD).
    type: list
    elements: str
    choices:
      - MGMT
      - CLOUD
  rack:
    description: Rack it stands in.
    type: str
  tags:
    description: Own tags that a VM can ask for (host_tags).
    type: list
    elements: str
  metadata:
    description: Own notes.
    type: dict
  cpu_overcommit:
    description:
      - Virtual CPUs per physical core.
      - A new one gets V(16.0).
    type: float
  memory_overcommit:
    description:
      - Memory of VMs per physical memory.
      - A new one gets V(1.0).
    type: float
  allowed_datastores:
    description: 'Names of the only datastores to use on it; empty: all.'
    type: list
    elements: str
  state:
    description: Present leaves the host's state as it is.
    type: str
    choices:
      - present
      - ready
      - suspended
      - maintenance
      - absent
    default: present
  hosts:
    description: Many hosts at once, each with the options that one has.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the host, or a range of names.
        type: str
        required: true
      endpoint:
        description:
          - Endpoint that manages it; a range has one member per name.
          - Needed for a new one.
        type: str
      address:
        description: 'The host''s name in vSphere; default: its name; a range has one member per name.'
        type: str
      zone:
        description: Availability zone; can be set once.
        type: str
      usage_tags:
        description:
          - What it is for.
          - A new one gets V(CLOUD).
        type: list
        elements: str
        choices:
          - MGMT
          - CLOUD
      rack:
        description: Rack it stands in.
        type: str
      tags:
        description: Own tags that a VM can ask for (host_tags).
        type: list
        elements: str
      metadata:
        description: Own notes.
        type: dict
      cpu_overcommit:
        description:
          - Virtual CPUs per physical core.
          - A new one gets V(16.0).
        type: float
      memory_overcommit:
        description:
          - Memory of VMs per physical memory.
          - A new one gets V(1.0).
        type: float
      allowed_datastores:
        description: 'Names of the only datastores to use on it; empty: all.'
        type: list
        elements: str
      state:
        description: Present leaves the host's state as it is.
        type: str
        choices:
          - present
          - ready
          - suspended
          - maintenance
          - absent
        default: present

extends_documentation_fragment:
  - photon.platform.common
  - photon.platform.common.changing
  - photon.platform.common.owning
seealso:
  - module: photon.platform.platform
  - module: photon.platform.resource_info
"""

EXAMPLES = r"""
- name: Four hosts of a vCenter in zone a
  photon.platform.host:
    name: esx[01:04].example.org
    endpoint: vc1
    zone: a
    credentials: "{{ photon_credentials }}"

- name: No new VMs on one host, and maintenance on another
  photon.platform.host:
    hosts:
      - {name: esx01.example.org, state: suspended}
      - {name: esx02.example.org, state: maintenance}
"""

RETURN = r"""
changed:
  description: Whether anything was changed, or in check mode would be.
  returned: always
  type: bool
counts:
  description: Number of items per kind and action.
  returned: when it was planned
  type: dict
  sample:
    vm:
      create: 20
      keep: 180
changes:
  description: One line per like changes, at most O(diff_limit) of them.
  returned: when it was planned
  type: list
  elements: str
  sample:
    - create vm acme/web/web-[01:20]
failures:
  description: The items that failed; everything else was done. Items that fail alike share a row.
  returned: when it was planned
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the item.
      type: str
      returned: always
    name:
      description: Its name, or several as ranges.
      type: str
      returned: always
    count:
      description: How many items the row stands for.
      type: int
      returned: always
    error_code:
      description: The error's code, for example V(QuotaError).
      type: str
      returned: always
    message:
      description: What is wrong and what to do next.
      type: str
      returned: always
    path:
      description: Key path of the item among the arguments.
      type: str
      returned: always
    data:
      description: Details of the error.
      type: dict
      returned: always
items:
  description: Every item with its action and identity.
  returned: with O(result=full), unless in check mode
  type: list
  elements: dict
  sample:
    - kind: vm
      name: acme/web/web-01
      id: 0c1d5ac6-93e2-4f4b-8d1b-5f4b0a1f3f7e
      action: create
      state: STARTED
      host: esx01
      datastore: local-esx01
      address: 10.0.0.5
plan:
  description: What would be done to each item, with its reason and the fields that differ.
  returned: with O(result=full) in check mode
  type: list
  elements: dict
  sample:
    - verb: create
      kind: zone
      name: a
      reason: declared
      path: zones[0]
      before: {}
      after:
        dedicated_tenants: []
      changes: []
calls:
  description: Number of calls to each endpoint.
  returned: when it was planned
  type: dict
  sample:
    vc1: 7
error_code:
  description: Code of the error, or of the first failure.
  returned: failure
  type: str
  sample: QuotaError
error_data:
  description: Details of the error. Mistakes in the arguments are in C(mistakes), each with its C(path).
  returned: failure
  type: dict
"""

from ..module_utils.entry_point import run_kind


def main() -> None:
    run_kind("host")


if __name__ == "__main__":
    main()
