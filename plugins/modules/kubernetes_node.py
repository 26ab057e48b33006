# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_node: manage nodes of a cluster (entry point to module_utils/kubernetes/hosts/nodes.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_node
short_description: Manage labels, taints and serving certificates of nodes, drain and remove nodes
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on a control-plane member, for one or many nodes.
  - Taints and labels that this module set and that are no longer declared are removed. Others are kept.
  - A kubelet's request for its serving certificate is approved when the node itself sent it and it contains only the
    node's name and addresses.
attributes:
  check_mode:
    support: full
    description: Returns the same list of changes.
  diff_mode:
    support: none
    description: The list of changes shows the differences.
options:
  nodes:
    description:
      - Nodes, each with C(name), C(labels), C(taints) (C(key), C(value), C(effect)), C(addresses), and C(serving) to
        wait for its serving certificate.
    type: list
    elements: dict
  name:
    description: The name of a single node.
    type: str
  labels:
    description: Of I(name).
    type: dict
    default: {}
  taints:
    description: Of I(name).
    type: list
    elements: dict
    default: []
  addresses:
    description: Of I(name).
    type: list
    elements: str
    default: []
  state:
    description:
      - C(present) reconciles labels, taints and certificates.
      - C(drained) cordons the node and evicts all pods within PodDisruptionBudgets. C(uncordoned) reverts that.
      - C(absent) deletes the Node object.
    type: str
    choices: [present, drained, uncordoned, absent]
    default: present
  approve:
    description: Approve serving certificates.
    type: bool
    default: true
  wait:
    description: Seconds to wait until the nodes are Ready. 0 does not wait.
    type: int
    default: 0
  version:
    description: Wait also until the kubelets report this version, such as C(1.37.2).
    type: str
    default: ""
  drain:
    description: >-
      C(timeout) (300) and C(grace_period) (the pods' own) in seconds, C(force) (also pods without a controller),
      C(delete_emptydir_data) (true).
    type: dict
    default: {}
"""
EXAMPLES = r"""
- name: Set a node's labels and addresses
  photon.platform.kubernetes_node:
    name: w1
    labels: {zone: a}
    addresses: [10.0.0.21]
    wait: 120

- name: Drain the node
  photon.platform.kubernetes_node:
    name: w1
    state: drained
    drain: {timeout: 600}
"""
RETURN = r"""
changes:
  description: "The changes applied, or in check mode planned, each with C(kind), C(name), C(before), C(after)."
  returned: success
  type: list
  elements: dict
error_code:
  description: The reason of the failure, such as C(CertificateRefused), C(DrainFailed) or C(ClusterNotReady).
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.kubernetes.hosts import nodes, spread
from ..module_utils.model.errors import PhotonError

SPEC = {
    "nodes": {"type": "list", "elements": "dict"},
    "name": {},
    "labels": {"type": "dict", "default": {}},
    "taints": {"type": "list", "elements": "dict", "default": []},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "state": {"choices": ["present", "drained", "uncordoned", "absent"], "default": "present"},
    "approve": {"type": "bool", "default": True},
    "wait": {"type": "int", "default": 0},
    "version": {"default": ""},
    "drain": {"type": "dict", "default": {}},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_one_of=[("nodes", "name")],
        mutually_exclusive=[("nodes", "name")],
        supports_check_mode=True,
    )
    given = module.params
    wanted = given["nodes"] or [{key: given[key] for key in ("name", "labels", "taints", "addresses")}]
    try:
        changes = _changes(given, wanted, module.check_mode)
    except PhotonError as error:
        module.fail_json(msg=error.message, error_code=error.code, error_data=error.data, changed=False)
    module.exit_json(changed=bool(changes), changes=changes)


def _changes(given: dict[str, Any], wanted: list[dict[str, Any]], check: bool) -> list[dict[str, Any]]:
    if given["state"] == "present":
        found = nodes.settle(wanted, check, given["approve"], given["wait"], version=given["version"])
        if given["wait"] and found["not_ready"] and not check:
            raise PhotonError(
                "ClusterNotReady",
                f"not ready within {given['wait']} s: {'; '.join(found['not_ready'])}",
                {"late": found["not_ready"]},
            )
        return found["changes"] + spread.spread(check)
    verbs = {
        "drained": lambda name: nodes.drain(name, given["drain"], check),
        "uncordoned": lambda name: nodes.cordon(name, False, check),
        "absent": lambda name: nodes.remove(name, check),
    }
    return [
        {"kind": "node", "name": node["name"], "before": "", "after": given["state"]}
        for node in wanted
        if verbs[given["state"]](node["name"])
    ]


if __name__ == "__main__":
    main()
