#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm
short_description: Manage VMs of a project
version_added: 0.1.0
description:
  - Creates, changes, starts, stops and deletes VMs of one project, one by O(name), a range of names, or many by O(vms).
  - All new VMs of a task are placed together, claimed in one transaction and made side by side, so one task with many
    VMs is much quicker than a loop.
  - What an item leaves out stays as it is. A VM that vSphere moved within what was asked is left where it is.
  - One item's failure does not stop the others; the task then fails with every failed item, and a second run goes on
    from there.
notes:
  - In clusters with DRS on, hard groups of level host are kept as DRS rules too. Such a rule is created, changed and
    deleted with its VMs, and its change is reported with the kind C(drs rule). Rules of others are not touched.
options:
  tenant:
    description: The tenant of the project.
    type: str
    required: true
  project:
    description: The project that the VMs belong to.
    type: str
    required: true
  name:
    description:
      - Name of the VM, or a range of names.
      - Give this or O(vms).
    type: str
  flavor:
    description:
      - Flavor of kind vm.
      - Needed for a new one.
    type: str
  image:
    description:
      - Project image or global image.
      - Needed for a new one.
    type: str
  boot_disk_flavor:
    description: Flavor of kind ephemeral-disk for the boot disk; or boot_disk.
    type: str
  boot_disk:
    description: Flavor and size of the boot disk; it can grow, not shrink.
    type: dict
    suboptions:
      flavor:
        description: 'Flavor of kind ephemeral-disk; default: boot_disk_flavor.'
        type: str
      capacity:
        description: 'Size, not less than the image''s; a plain number is GB; omitted: the image''s, or unchanged.'
        type: str
  disks:
    description: Further ephemeral disks.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the disk, unique in its VM.
        type: str
        required: true
      flavor:
        description: Flavor of kind ephemeral-disk.
        type: str
        required: true
      capacity:
        description: Size; a plain number is GB.
        type: str
        required: true
  zone:
    description: 'Availability zone to be in; omitted: any.'
    type: str
  host_tags:
    description: Own tags that the host must have.
    type: list
    elements: str
  port_groups:
    description: 'Port groups to connect to, one adapter each: names or mappings; a new VM gets the default one.'
    type: list
    elements: raw
  tags:
    description: Own tags of the VM.
    type: list
    elements: str
  metadata:
    description: Cloud-init data of the guest.
    type: dict
    suboptions:
      user_data:
        description: Cloud-init user-data.
        type: str
      meta_data:
        description: More cloud-init meta-data.
        type: dict
      ssh_keys:
        description: Public keys of the default user.
        type: list
        elements: str
      environment:
        description: Names and values for the guest.
        type: dict
  wait_for_address:
    description: 'Seconds within which it must report an address while it is started; 0: none needed.'
    type: int
    default: 0
  spread_over:
    description: Keep the VMs of this item evenly over these.
    type: str
    choices:
      - host
      - rack
      - zone
  max_skew:
    description: 'Difference in number that spread_over never exceeds; omitted: as even as possible.'
    type: int
  affinity:
    description: Groups whose members stay together.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the group; VMs of one project that name it are its members.
        type: str
        required: true
      level:
        description: What the members share or do not share.
        type: str
        choices:
          - host
          - rack
          - zone
        default: host
      hard:
        description: Fail rather than break it.
        type: bool
        default: true
  anti_affinity:
    description: Groups whose members stay apart.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the group; VMs of one project that name it are its members.
        type: str
        required: true
      level:
        description: What the members share or do not share.
        type: str
        choices:
          - host
          - rack
          - zone
        default: host
      hard:
        description: Fail rather than break it.
        type: bool
        default: true
  force:
    description: Stop it where deleting or changing needs that.
    type: bool
    default: false
  register:
    description: If vSphere lost it, register its files again, or take over its restored copy.
    type: bool
    default: false
  deletion_protection:
    description: 'Refuse to delete it until this is set to false; omitted: unchanged.'
    type: bool
  state:
    description: 'Present: a new VM is stopped, an existing one stays as it is.'
    type: str
    choices:
      - present
      - absent
      - started
      - stopped
      - suspended
    default: present
  vms:
    description: Many vms at once, each with the options that one has.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the VM, or a range of names.
        type: str
        required: true
      flavor:
        description:
          - Flavor of kind vm.
          - Needed for a new one.
        type: str
      image:
        description:
          - Project image or global image.
          - Needed for a new one.
        type: str
      boot_disk_flavor:
        description: Flavor of kind ephemeral-disk for the boot disk; or boot_disk.
        type: str
      boot_disk:
        description: Flavor and size of the boot disk; it can grow, not shrink.
        type: dict
        suboptions:
          flavor:
            description: 'Flavor of kind ephemeral-disk; default: boot_disk_flavor.'
            type: str
          capacity:
            description: 'Size, not less than the image''s; a plain number is GB; omitted: the image''s, or unchanged.'
            type: str
      disks:
        description: Further ephemeral disks.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the disk, unique in its VM.
            type: str
            required: true
          flavor:
            description: Flavor of kind ephemeral-disk.
            type: str
            required: true
          capacity:
            description: Size; a plain number is GB.
            type: str
            required: true
      zone:
        description: 'Availability zone to be in; omitted: any.'
        type: str
      host_tags:
        description: Own tags that the host must have.
        type: list
        elements: str
      port_groups:
        description: 'Port groups to connect to, one adapter each: names or mappings; a new VM gets the default one.'
        type: list
        elements: raw
      tags:
        description: Own tags of the VM.
        type: list
        elements: str
      metadata:
        description: Cloud-init data of the guest.
        type: dict
        suboptions:
          user_data:
            description: Cloud-init user-data.
            type: str
          meta_data:
            description: More cloud-init meta-data.
            type: dict
          ssh_keys:
            description: Public keys of the default user.
            type: list
            elements: str
          environment:
            description: Names and values for the guest.
            type: dict
      wait_for_address:
        description: 'Seconds within which it must report an address while it is started; 0: none needed.'
        type: int
        default: 0
      spread_over:
        description: Keep the VMs of this item evenly over these.
        type: str
        choices:
          - host
          - rack
          - zone
      max_skew:
        description: 'Difference in number that spread_over never exceeds; omitted: as even as possible.'
        type: int
      affinity:
        description: Groups whose members stay together.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the group; VMs of one project that name it are its members.
            type: str
            required: true
          level:
            description: What the members share or do not share.
            type: str
            choices:
              - host
              - rack
              - zone
            default: host
          hard:
            description: Fail rather than break it.
            type: bool
            default: true
      anti_affinity:
        description: Groups whose members stay apart.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the group; VMs of one project that name it are its members.
            type: str
            required: true
          level:
            description: What the members share or do not share.
            type: str
            choices:
              - host
              - rack
              - zone
            default: host
          hard:
            description: Fail rather than break it.
            type: bool
            default: true
      force:
        description: Stop it where deleting or changing needs that.
        type: bool
        default: false
      register:
        description: If vSphere lost it, register its files again, or take over its restored copy.
        type: bool
        default: false
      deletion_protection:
        description: 'Refuse to delete it until this is set to false; omitted: unchanged.'
        type: bool
      state:
        description: 'Present: a new VM is stopped, an existing one stays as it is.'
        type: str
        choices:
          - present
          - absent
          - started
          - stopped
          - suspended
        default: present

extends_documentation_fragment:
  - photon.platform.common
  - photon.platform.common.changing
  - photon.platform.common.owning
  - photon.platform.common.targeted
  - photon.platform.common.placing
seealso:
  - module: photon.platform.platform
  - module: photon.platform.resource_info
"""

EXAMPLES = r"""
- name: Twenty running VMs, evenly over the zones
  photon.platform.vm:
    tenant: acme
    project: web
    name: web-[01:20]
    flavor: core-100
    image: debian-13
    boot_disk_flavor: core-100
    spread_over: zone
    state: started
    metadata:
      ssh_keys: ["{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"]

- name: Two databases that never share a host, and one VM less
  photon.platform.vm:
    tenant: acme
    project: web
    vms:
      - name: db-[1:2]
        flavor: core-200
        image: debian-13
        boot_disk_flavor: core-100
        disks:
          - {name: data, flavor: core-100, capacity: 100 GB}
        anti_affinity:
          - {name: db}
        state: started
      - {name: web-20, state: absent, force: true}
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
    run_kind("vm")


if __name__ == "__main__":
    main()
