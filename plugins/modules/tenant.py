#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tenant
short_description: Manage tenants, their limits and their security groups
version_added: 0.1.0
description:
  - Creates, changes and deletes tenants, one by O(name) or many by O(tenants).
  - What an item leaves out stays as it is.
  - A tenant that still has projects is not deleted (C(ContainerNotEmpty)).
options:
  name:
    description:
      - Name of the tenant.
      - Give this or O(tenants).
    type: str
  quota:
    description: 'Limits by key; omitted: unchanged.'
    type: dict
  quota_mode:
    description: Replace the whole set of limits by quota, or merge quota into it.
    type: str
    choices:
      - set
      - update
    default: set
  quota_exclude:
    description: Keys to take out of the limits.
    type: list
    elements: str
  security_groups:
    description: 'Security groups (domain\group) whose members may use it; omitted: unchanged.'
    type: list
    elements: str
  deletion_protection:
    description: 'Refuse to delete it until this is set to false; omitted: unchanged.'
    type: bool
  state:
    description: Whether it exists.
    type: str
    choices:
      - present
      - absent
    default: present
  tenants:
    description: Many tenants at once, each with the options that one has.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the tenant.
        type: str
        required: true
      quota:
        description: 'Limits by key; omitted: unchanged.'
        type: dict
      quota_mode:
        description: Replace the whole set of limits by quota, or merge quota into it.
        type: str
        choices:
          - set
          - update
        default: set
      quota_exclude:
        description: Keys to take out of the limits.
        type: list
        elements: str
      security_groups:
        description: 'Security groups (domain\group) whose members may use it; omitted: unchanged.'
        type: list
        elements: str
      deletion_protection:
        description: 'Refuse to delete it until this is set to false; omitted: unchanged.'
        type: bool
      state:
        description: Whether it exists.
        type: str
        choices:
          - present
          - absent
        default: present

extends_documentation_fragment:
  - photon.platform.common
  - photon.platform.common.changing
  - photon.platform.common.owning
  - photon.platform.common.targeted
seealso:
  - module: photon.platform.platform
  - module: photon.platform.resource_info
"""

EXAMPLES = r"""
- name: A tenant with limits and administrators
  photon.platform.tenant:
    name: acme
    quota:
      vm.count: 100
      vm.cpu: 200
      vm.memory: 400 GB
      ephemeral-disk.capacity: 4000 GB
    security_groups: ['photon\acme-admins']

- name: Raise one limit and leave the others alone
  photon.platform.tenant:
    name: acme
    quota: {vm.count: 150}
    quota_mode: update

- name: Remove two tenants
  photon.platform.tenant:
    tenants:
      - {name: globex, state: absent}
      - {name: initech, state: absent}
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
    run_kind("tenant")


if __name__ == "__main__":
    main()
