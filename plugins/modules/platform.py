#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: platform
short_description: Plan and apply a whole site
version_added: 0.1.0
description:
  - Applies the declaration of a site, endpoints, zones, hosts, datastores, flavors, images, tenants, projects,
    quotas and VMs together, with one plan, one placement of all new VMs and one read of each endpoint.
  - Everything is validated before anything is touched; each mistake is reported with its key path.
  - One item's failure does not stop the others; the task then fails with every failed item, and the next run continues
    from there.
  - Resources that the site created and no longer declares are reported, and deleted only where C(photon_prune) is
    V(delete).
notes:
  - In clusters with DRS on, hard groups of VMs of level host are kept as DRS rules too; their changes are counted and
    shown with the kind C(drs rule). Other rules are not touched.
options:
  declaration:
    description:
      - The variables of the site, by their names (C(photon_tenants), C(photon_hosts) ...), each documented in the
        collection's page on the declaration. It is the whole intent of the site; omitted keys get their defaults.
      - C(photon_cloudstore_url), C(photon_cloudstore_allow_ephemeral) and C(photon_credentials) may be among them;
        the options of the same names come first.
    type: dict
    required: true
  saved_plan:
    description:
      - A plan that O(save_plan) wrote. The site is planned again; when an action, a placement or the version of a
        touched item differs, the task fails with C(PlanChanged) and does nothing. Its O(only) is kept in it.
    type: path
  save_plan:
    description: Write the plan into this file, unless it has failures. Needs check mode.
    type: path
  keep_plan:
    description:
      - Keep the plan in the CloudStore for 7 days, unless it has failures; RV(plan_id) is its id. Needs check mode.
      - Every controller that shares the CloudStore can apply it, by O(plan_id). A CloudStore is created where there is
        none.
    type: bool
    default: false
  plan_id:
    description:
      - The id of a plan that O(keep_plan) kept, done exactly or refused as O(saved_plan). It is the plan's keyed
        digest, so that a plan that was altered is not found.
    type: str
extends_documentation_fragment:
  - photon.platform.common
  - photon.platform.common.changing
  - photon.platform.common.targeted
seealso:
  - module: photon.platform.resource_info
"""

EXAMPLES = r"""
- name: A small site
  photon.platform.platform:
    cloudstore_url: sqlite:////var/lib/photon/cloudstore.db
    credentials: "{{ vaulted_credentials }}"
    declaration:
      photon_endpoints: [{name: vc1, address: vc1.example.org}]
      photon_zones: [{name: a}]
      photon_hosts: [{name: "esx[01:04]", endpoint: vc1, zone: a}]
      photon_images: [{name: debian-13, file: debian-13.ova, replication: EAGER}]
      photon_tenants:
        - name: acme
          quota: {vm.count: 100, vm.cpu: 200, vm.memory: 400 GB}
          projects:
            - name: web
              quota_percent: 50
              vms:
                - {name: "web-[01:20]", flavor: core-100, image: debian-13, boot_disk_flavor: core-100, state: started}

- name: Everything that the inventory declares
  photon.platform.platform:
    declaration: "{{ lookup('photon.platform.declaration') }}"
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
plan_id:
  description: The id of the plan in the CloudStore.
  returned: with O(keep_plan), when the plan has no failures
  type: str
  sample: 5e0f4d2c6b8a917f3e2d1c0b9a8f7e6d5c4b3a29180f7e6d5c4b3a2918070605
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.entry_point import CHANGING, TARGETED, finish, read_json
from ..module_utils.services import run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "declaration": {"type": "dict", "required": True, "no_log": True},
            "saved_plan": {"type": "path"},
            "save_plan": {"type": "path"},
            "keep_plan": {"type": "bool", "default": False},
            "plan_id": {"type": "str"},
            **TARGETED,
            **CHANGING,
        },
        mutually_exclusive=[("saved_plan", "plan_id")],
        supports_check_mode=True,
    )
    params = module.params
    for option in ("save_plan", "keep_plan"):
        if params[option] and not module.check_mode:
            module.fail_json(msg=f"{option} needs check mode: add check_mode: true")

    def work(request: run.Request) -> dict:
        request.saved = read_json(params["saved_plan"]) if params["saved_plan"] else None
        return run.run_site(params["declaration"], request)

    kept = {"keep": params["keep_plan"], "plan_id": params["plan_id"] or None}
    finish(module, work, whole=True, save_to=params["save_plan"], **kept)


if __name__ == "__main__":
    main()
