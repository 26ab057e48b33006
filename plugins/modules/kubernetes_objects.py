# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_objects: apply objects to a cluster (entry point to module_utils/kubernetes/hosts/objects.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_objects
short_description: Apply and remove objects of a Kubernetes cluster
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on a control-plane member and uses its administrator certificate, which stays there.
  - Uses server-side apply as field manager C(photon.platform). A dry run of the API server decides whether an
    object differs. Fields that are not declared are not changed.
attributes:
  check_mode:
    support: full
    description: Returns the same list of changes.
  diff_mode:
    support: full
    description: Secrets are masked.
options:
  objects:
    description: Objects to apply. Namespaces and definitions are applied first, the rest in the given order.
    type: list
    elements: dict
    default: []
  absent:
    description: Objects to remove, each with C(apiVersion), C(kind) and C(metadata).
    type: list
    elements: dict
    default: []
  wait:
    description: Seconds to wait for all pods of Deployments and DaemonSets in I(objects) and I(wait_for).
    type: int
    default: 0
  wait_for:
    description: Further workloads to wait for, each with C(kind), C(namespace) and C(name).
    type: list
    elements: dict
    default: []
"""
EXAMPLES = r"""
- name: Deploy the network
  photon.platform.kubernetes_objects:
    objects: "{{ (cluster | photon.platform.kubernetes_manifests('network')).objects }}"
    wait: 120
"""
RETURN = r"""
changes:
  description: "The changes applied, or in check mode planned, each with C(kind), C(name), C(before), C(after)."
  returned: success
  type: list
  elements: dict
error_code:
  description: The reason of the failure, such as C(ApiUnreachable), C(ApiRefused) or C(ClusterNotReady).
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.kubernetes.hosts import objects
from ..module_utils.kubernetes.hosts.api import Api
from ..module_utils.model.errors import PhotonError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "objects": {"type": "list", "elements": "dict", "default": [], "no_log": True},
            "absent": {"type": "list", "elements": "dict", "default": []},
            "wait": {"type": "int", "default": 0},
            "wait_for": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    module.no_log_values = set()  # arguments are kept out of the system log, Secrets are masked in results
    invocation = {"module_args": {"objects": f"{len(given['objects'])} objects"}}
    try:
        api = Api.of_member()
        found = objects.apply(given["objects"], given["absent"], module.check_mode, api)
        late = []
        if given["wait"] and not module.check_mode:
            wanted = objects.workloads_of(given["objects"]) + given["wait_for"]
            late = objects.wait_available(wanted, given["wait"], api)
        if late:
            raise PhotonError(
                "ClusterNotReady", f"not available within {given['wait']} s: {'; '.join(late)}", {"late": late}
            )
    except PhotonError as error:
        module.fail_json(
            msg=error.message, error_code=error.code, error_data=error.data, changed=False, invocation=invocation
        )
    module.exit_json(
        changed=bool(found["changes"]), changes=found["changes"], diff=found["diff"][:50], invocation=invocation
    )


if __name__ == "__main__":
    main()
