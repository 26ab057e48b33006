#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: disk
short_description: Manage persistent disks of a project
version_added: 0.1.0
description:
  - Creates, attaches, detaches, grows and deletes persistent disks of one project, one by O(name), a range of names, or
    many by O(disks). They outlive the VMs that they are attached to.
  - A disk is attached to a VM that is stopped or running, by O(attached_to). One that another VM of the project has is
    detached there first.
  - What an item leaves out stays as it is. A disk grows and never shrinks. A disk whose file is gone is reported
    and never made again.
  - One item's failure does not stop the others; the task then fails with every failed item, and a second run goes on
    from there.
options:
  tenant:
    description: The tenant of the project.
    type: str
    required: true
  project:
    description: The project that the disks belong to.
    type: str
    required: true
  name:
    description:
      - Name of the disk, unique in its project, or a range of names.
      - Give this or O(disks).
    type: str
  flavor:
    description:
      - Flavor of kind persistent-disk.
      - Needed for a new one.
    type: str
  capacity:
    description:
      - Size; a plain number is GB; a disk can grow, not shrink.
      - Needed for a new one.
    type: str
  attached_to:
    description: 'VM of the project that has it, or a range of VMs; an empty text detaches it; omitted: unchanged.'
    type: str
  affinity:
    description: VMs of the project on whose datastore a new disk lies.
    type: list
    elements: str
  tags:
    description: Own tags of the disk.
    type: list
    elements: str
  deletion_protection:
    description: 'Refuse to delete it until this is set to false; omitted: unchanged.'
    type: bool
  force:
    description: Detach it where deleting needs that.
    type: bool
    default: false
  state:
    description: Whether it exists.
    type: str
    choices:
      - present
      - absent
    default: present
  disks:
    description: Many disks at once, each with the options that one has.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the disk, unique in its project, or a range of names.
        type: str
        required: true
      flavor:
        description:
          - Flavor of kind persistent-disk.
          - Needed for a new one.
        type: str
      capacity:
        description:
          - Size; a plain number is GB; a disk can grow, not shrink.
          - Needed for a new one.
        type: str
      attached_to:
        description: 'VM of the project that has it, or a range of VMs; an empty text detaches it; omitted: unchanged.'
        type: str
      affinity:
        description: VMs of the project on whose datastore a new disk lies.
        type: list
        elements: str
      tags:
        description: Own tags of the disk.
        type: list
        elements: str
      deletion_protection:
        description: 'Refuse to delete it until this is set to false; omitted: unchanged.'
        type: bool
      force:
        description: Detach it where deleting needs that.
        type: bool
        default: false
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
  - photon.platform.common.backing
seealso:
  - module: photon.platform.vm
  - module: photon.platform.platform
  - module: photon.platform.resource_info
"""

EXAMPLES = r"""
- name: A disk for each of 20 VMs
  photon.platform.disk:
    tenant: acme
    project: web
    name: data-[01:20]
    flavor: core-100
    capacity: 40 GB
    attached_to: web-[01:20]
  register: disks

- name: Move a disk to another VM, grow one, and delete one
  photon.platform.disk:
    tenant: acme
    project: web
    disks:
      - {name: data-01, attached_to: web-21}
      - {name: data-02, capacity: 80 GB}
      - {name: data-03, attached_to: "", state: absent}
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
    run_kind("disk")


if __name__ == "__main__":
    main()
