# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_info: observe a host of a cluster (entry point to module_utils/services/cluster_hosts.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_info
short_description: Gather the state of a Kubernetes host and of its cluster
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the host, reads its current state and compares it with the declaration in one visit. Nothing is changed.
  - Files of kubeadm are compared with the output of kubeadm's dry run.
attributes:
  check_mode:
    support: full
    description: Never changes anything.
  diff_mode:
    support: none
    description: The result lists the differences.
options:
  what:
    description:
      - What to observe. C(cluster), C(etcd) and C(objects) are read on control-plane members only.
    type: list
    elements: str
    choices: [host, cluster, etcd, certificates, objects, runtime]
    default: [host]
  configuration:
    description: The text for C(kubeadm init) of this host (filter P(photon.platform.kubernetes_configuration#filter)).
    type: str
    default: ""
  role:
    description: The declared role of the host.
    type: str
    choices: ["", control_plane, worker]
    default: ""
  documents:
    description: Documents of module M(photon.platform.linux_host), compared in the same visit.
    type: list
    elements: dict
    default: []
  objects:
    description: Objects that must exist in the API.
    type: list
    elements: dict
    default: []
  absent:
    description: Objects that must not exist in the API.
    type: list
    elements: dict
    default: []
  nodes:
    description: Nodes in the format of module M(photon.platform.kubernetes_node), compared together with C(objects).
    type: list
    elements: dict
    default: []
  runtime_package:
    description: The package of containerd. With it, the host's version of containerd is returned.
    type: str
    default: ""
"""
EXAMPLES = r"""
- name: Gather the state of the host and the cluster
  photon.platform.kubernetes_info:
    what: [host, cluster, etcd, certificates]
  register: found
"""
RETURN = r"""
host:
  description: The membership of the host.
  returned: when requested
  type: dict
  contains:
    state: {description: "C(clean), C(partial) (an incomplete init or join) or C(member).", type: str}
    role: {description: "C(control_plane) or C(worker), empty when clean.", type: str}
    cluster_id: {description: Hash of the public key of the authority that the host trusts., type: str}
    cluster_name: {description: "The cluster's name, on control-plane members.", type: str}
    server: {description: URL of the API that its kubelet uses., type: str}
    addresses: {description: "The host's IPv4 addresses.", type: list, elements: str}
    kubeadm_version: {description: Installed version., type: str}
    kubelet_version: {description: Installed version., type: str}
    kubelet_active: {description: Whether kubelet runs., type: bool}
    serving_certificate: {description: Whether kubelet has a valid serving certificate., type: bool}
    encryption:
      description: >-
        C(enabled), whether its API server encrypts (none without an API server), and C(layout), the labels of the
        C(keys) in its file and the C(resources) that they encrypt and make C(readable) (none without a file).
      type: dict
    etcd_data: {description: Whether etcd has data on this host., type: bool}
    restored_from: {description: "Digest of the snapshot whose restore is in progress, otherwise empty.", type: str}
    missing: {description: Files that a member of its role lacks., type: list, elements: str}
    stale:
      description: >-
        Settings and certificates that changed after the static pod that reads them started, each with C(pod) and
        C(path).
      type: list
      elements: dict
    drift:
      description: "Files that differ from what kubeadm would write, each with C(path), C(missing) and C(lines)."
      type: list
      elements: dict
    error: {description: Why drift could not be determined., type: str}
containerd:
  description: The version of containerd that the host has, or that its package manager would install; empty if unknown.
  returned: when I(runtime_package) is given
  type: str
linux:
  description: C(changes) that module M(photon.platform.linux_host) would make, C(packages) and C(error).
  returned: when documents are given
  type: dict
cluster:
  description: The cluster as reported by its API.
  returned: when requested on control-plane members
  type: dict
  contains:
    reachable: {description: Whether the API answered., type: bool}
    error: {description: Why it did not answer., type: str}
    version: {description: Version of the API server., type: str}
    declared_version: {description: Version in kubeadm's configuration., type: str}
    cluster_name: {description: Name in kubeadm's configuration., type: str}
    cluster_id: {description: The same hash as for the host., type: str}
    nodes:
      description: >-
        Nodes, each with C(name), C(version), C(ready), C(reason), C(addresses), C(labels), C(taints),
        C(unschedulable), C(settled) (labels and taints were set since it joined), C(roles) and C(pod_network).
      type: list
      elements: dict
    missing: {description: Missing objects of kubeadm., type: list, elements: str}
    pending_certificates:
      description: Pending requests of kubelets, each with C(name) and C(node).
      type: list
      elements: dict
    addons:
      description: >-
        System workloads, each with C(kind), C(namespace), C(name), C(wanted), C(available) and C(current).
      type: list
      elements: dict
etcd:
  description: >-
    C(members), each with C(id), C(name), C(peer_urls), C(client_urls), C(learner), C(started), C(healthy),
    C(alarms), C(size), C(in_use) and C(quota) in bytes; C(quorum), C(healthy_voters) and C(error).
  returned: when requested on control-plane members
  type: dict
certificates:
  description: Certificates by expiry, each with C(path), C(subject), C(not_after) and C(days_left).
  returned: when requested
  type: list
  elements: dict
objects:
  description: C(changes) that module M(photon.platform.kubernetes_objects) would make, and C(error).
  returned: when requested on control-plane members
  type: dict
nodes:
  description: C(changes) that module M(photon.platform.kubernetes_node) would make, C(not_ready) and C(error).
  returned: when objects are requested on control-plane members
  type: dict
error_code:
  description: The reason of the failure.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.linux.host import secrets
from ..module_utils.model.errors import PhotonError
from ..module_utils.services import cluster_hosts, host_lock


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "what": {
                "type": "list",
                "elements": "str",
                "choices": ["host", "cluster", "etcd", "certificates", "objects", "runtime"],
                "default": ["host"],
            },
            "configuration": {"type": "str", "default": ""},
            "role": {"type": "str", "choices": ["", "control_plane", "worker"], "default": ""},
            # Documents may contain secret files, so they are kept out of the system log.
            "documents": {"type": "list", "elements": "dict", "default": [], "no_log": True},
            "objects": {"type": "list", "elements": "dict", "default": [], "no_log": True},
            "absent": {"type": "list", "elements": "dict", "default": []},
            "nodes": {"type": "list", "elements": "dict", "default": []},
            "runtime_package": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    module.no_log_values = secrets(given["documents"])
    invocation = {"module_args": {"what": given["what"], "role": given["role"]}}
    try:
        with host_lock.held(change=False):
            answer = cluster_hosts.look(
                given["what"],
                given["configuration"],
                given["role"],
                given["documents"],
                given,
                given["runtime_package"],
            )
    except PhotonError as error:
        module.fail_json(msg=error.message, error_code=error.code, error_data=error.data, invocation=invocation)
    module.exit_json(changed=False, **answer, invocation=invocation)


if __name__ == "__main__":
    main()
