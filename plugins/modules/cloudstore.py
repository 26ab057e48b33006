#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudstore
short_description: Upgrade, verify, repair or rebuild the CloudStore
version_added: 0.1.0
description:
  - With O(state=upgraded) brings the schema of an existing CloudStore to the version that this collection works with.
    Nothing else ever does, so a new collection does not change the database behind anybody's back. Make a backup first.
    Other controllers need the same collection afterwards.
  - With O(state=verified) compares documents, allocations, exclusive keys, capacity, unfinished tasks and endpoints
    object by object, and repairs what follows from the documents or from vSphere. Check mode only reports. Nothing in
    vSphere is changed, and what needs a decision is returned with the next step. Only the system administrator may do
    it.
  - With O(state=rebuilt) fills an empty CloudStore from O(declaration) and from what VMs, images' copies and persistent
    disks carry in vSphere, in place of one that was lost. Everything is written in one transaction, nothing in vSphere
    is changed, and contradictions are returned. An endpoint that cannot be read fails it. Only the system administrator
    may do it.
  - A new CloudStore is created by the first run that changes something, and needs no upgrade.
options:
  state:
    description: What it should be.
    type: str
    choices: [upgraded, verified, rebuilt]
    default: upgraded
  declaration:
    description:
      - The variables of the site as they were last applied, by their names; required with O(state=rebuilt). See
        M(photon.platform.platform).
    type: dict
  force:
    description: With O(state=rebuilt) replaces what a CloudStore that is not empty holds.
    type: bool
    default: false
  result:
    description:
      - V(summary) returns counts and at most O(diff_limit) findings, those that need a decision first.
      - V(full) returns every finding, and every contradiction.
    type: str
    choices: [summary, full]
    default: summary
  diff_limit:
    description: The largest number of rows in RV(findings), RV(contradictions) and the diff; 50 by default.
    type: int
extends_documentation_fragment:
  - photon.platform.common
attributes:
  check_mode:
    description: Tells whether an upgrade is needed, what differs, or what would be recorded; changes nothing anywhere.
    support: full
  diff_mode:
    description: >-
      With O(state=verified) one line per repaired finding, before and after; with O(state=rebuilt) one per document. An
      upgrade has none.
    support: partial
"""

EXAMPLES = r"""
- name: Upgrade after the collection was upgraded
  photon.platform.cloudstore:
    cloudstore_url: postgresql+psycopg://photon@db.example.org/photon
    state: upgraded

- name: Report what differs, and change nothing
  photon.platform.cloudstore:
    cloudstore_url: postgresql+psycopg://photon@db.example.org/photon
    credentials: "{{ photon_credentials }}"
    state: verified
  check_mode: true
  register: verified
  failed_when: verified.left > 0

- name: Repair what needs no decision
  photon.platform.cloudstore:
    cloudstore_url: postgresql+psycopg://photon@db.example.org/photon
    credentials: "{{ photon_credentials }}"
    state: verified

- name: Tell what a rebuild would record
  photon.platform.cloudstore:
    cloudstore_url: postgresql+psycopg://photon@db.example.org/photon
    state: rebuilt
    declaration: "{{ lookup('photon.platform.declaration') }}"
  check_mode: true
"""

RETURN = r"""
version:
  description: The schema version afterwards.
  returned: with O(state=upgraded)
  type: int
version_before:
  description: The schema version before.
  returned: with O(state=upgraded)
  type: int
found:
  description: The number of all findings.
  returned: with O(state=verified)
  type: int
repaired:
  description: How many of them were repaired; 0 in check mode.
  returned: with O(state=verified)
  type: int
left:
  description: How many of them are left. 0 means that everything that was compared agrees.
  returned: with O(state=verified)
  type: int
repairable:
  description: How many of those that are left a repair removes.
  returned: with O(state=verified)
  type: int
counts:
  description: The number of findings of each sort.
  returned: with O(state=verified)
  type: dict
  sample: {allocation: 2, lost: 1}
findings:
  description: The findings, those that need a decision first; see O(result) and O(diff_limit).
  returned: with O(state=verified)
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the resource, C(allocation) or C(exclusive key).
      type: str
    name:
      description: The resource, as people name it.
      type: str
    what:
      description: The sort of the difference.
      type: str
    expected:
      description: What documents and endpoints say.
      type: str
    found:
      description: What is recorded or seen instead.
      type: str
    step:
      description: What to do.
      type: str
    repairable:
      description: Whether a repair removes it.
      type: bool
    repaired:
      description: Whether this run removed it.
      type: bool
endpoints:
  description:
    - Names of the endpoints that were C(compared) and C(not_compared) because they could not be read; with
      O(state=rebuilt) all of them are C(read).
  returned: with O(state=verified) and O(state=rebuilt)
  type: dict
  sample: {compared: [vc1], not_compared: [esx9]}
rebuilt:
  description: The number of documents of each kind.
  returned: with O(state=rebuilt)
  type: dict
  sample: {vm: 200, disk: 12, tenant: 3}
contradicting:
  description: The number of all contradictions.
  returned: with O(state=rebuilt)
  type: int
contradictions:
  description: What could not be recorded, or does not agree; see O(result) and O(diff_limit).
  returned: with O(state=rebuilt)
  type: list
  elements: dict
  contains:
    kind:
      description: Kind of the resource.
      type: str
    name:
      description: Where it is in vSphere, or the resource as people name it.
      type: str
    what:
      description: The sort of the contradiction.
      type: str
    expected:
      description: What would agree, where that is known.
      type: str
    found:
      description: What was found.
      type: str
    step:
      description: What to do.
      type: str
store_id:
  description: The identity that the CloudStore has, that of the lost one.
  returned: with O(state=rebuilt)
  type: str
error_code:
  description: Code of the error.
  returned: failure
  type: str
  sample: CloudStoreNotFound
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.entry_point import CHANGING, answer_with, finish
from ..module_utils.services import rebuild, upkeep


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["upgraded", "verified", "rebuilt"], "default": "upgraded"},
            "declaration": {"type": "dict", "no_log": True},
            "force": {"type": "bool", "default": False},
            **CHANGING,
        },
        required_if=[("state", "rebuilt", ["declaration"])],
        supports_check_mode=True,
    )
    params = module.params
    if params["state"] == "verified":
        finish(module, upkeep.verify)
        return
    if params["state"] == "rebuilt":
        tree, force = params["declaration"], params["force"]
        finish(module, lambda request: rebuild.rebuild(tree, request, force=force), whole=True)
        return
    answer_with(
        module,
        lambda: upkeep.upgrade(
            params["cloudstore_url"],
            allow_ephemeral=params["cloudstore_allow_ephemeral"],
            check=module.check_mode,
            by=f"module {module._name}",
        ),
    )


if __name__ == "__main__":
    main()
