#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: image
short_description: Manage images, for everybody or for one project
version_added: 0.1.0
description:
  - Imports images to the image datastores and deletes them, one by O(name) or many by O(images).
  - The content of an image never changes; another file is another image.
  - An image in use is deleted when its last VM is gone; until then nothing new can use it.
options:
  tenant:
    description: The tenant of the project; without it the images are everybody's.
    type: str
  project:
    description: The project whose images these are; without it they are everybody's.
    type: str
  name:
    description:
      - Name of the image.
      - Give this or O(images).
    type: str
  file:
    description: OVA, OVF with its disk beside it, or stream-optimised VMDK, on the controller.
    type: str
  url:
    description: Address of an OVA or VMDK, https://...; downloaded once to the controller.
    type: str
  checksum:
    description: Sha256:..., the digest of what the url gives.
    type: str
  ca_file:
    description: Certificates of the authorities that the url's server is trusted by, in PEM.
    type: str
  replication:
    description:
      - 'EAGER: to every datastore at once; ON_DEMAND: with the first VM that needs it.'
      - Needed for a new one.
    type: str
    choices:
      - EAGER
      - ON_DEMAND
  state:
    description: Whether it exists.
    type: str
    choices:
      - present
      - absent
    default: present
  images:
    description: Many images at once, each with the options that one has.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the image.
        type: str
        required: true
      file:
        description: OVA, OVF with its disk beside it, or stream-optimised VMDK, on the controller.
        type: str
      url:
        description: Address of an OVA or VMDK, https://...; downloaded once to the controller.
        type: str
      checksum:
        description: Sha256:..., the digest of what the url gives.
        type: str
      ca_file:
        description: Certificates of the authorities that the url's server is trusted by, in PEM.
        type: str
      replication:
        description:
          - 'EAGER: to every datastore at once; ON_DEMAND: with the first VM that needs it.'
          - Needed for a new one.
        type: str
        choices:
          - EAGER
          - ON_DEMAND
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
seealso:
  - module: photon.platform.platform
  - module: photon.platform.resource_info
"""

EXAMPLES = r"""
- name: An image for everybody
  photon.platform.image:
    name: debian-13
    file: /srv/images/debian-13.ova
    replication: EAGER

- name: An image of one project
  photon.platform.image:
    tenant: acme
    project: web
    name: shop
    file: /srv/images/shop.vmdk
    replication: ON_DEMAND
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
    run_kind("image")


if __name__ == "__main__":
    main()
