# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_info: a host of a cluster as it is (a door to module_utils/services/cluster_hosts.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_info
short_description: Look at a host of a Kubernetes cluster, and at the cluster from it
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the host, reads its real state and compares it with what is declared, all in one visit. Nothing is changed.
  - What kubeadm writes is compared with what kubeadm itself would write, by its dry run.
attributes:
  check_mode:
    support: full
    description: Changes nothing anyway.
  diff_mode:
    support: none
    description: Differences are in the answer.
options:
  what:
    description:
      - What to look at. C(cluster), C(etcd) and C(objects) are read on control-plane members alone.
    type: list
    elements: str
    choices: [host, cluster, etcd, certificates, objects]
    default: [host]
  configuration:
    description: The text for C(kubeadm init) of this host (filter P(photon.platform.kubernetes_configuration#filter)).
    type: str
    default: ""
  role:
    description: What the host is declared to be.
    type: str
    choices: ["", control_plane, worker]
    default: ""
  documents:
    description: Documents of module M(photon.platform.linux_host), compared in the same visit.
    type: list
    elements: dict
    default: []
  objects:
    description: Objects that the API has to have.
    type: list
    elements: dict
    default: []
  absent:
    description: Objects that the API must not have.
    type: list
    elements: dict
    default: []
  nodes:
    description: Nodes as module M(photon.platform.kubernetes_node) takes them, compared with C(objects).
    type: list
    elements: dict
    default: []
"""
EXAMPLES = r"""
- name: Look at the host and the cluster
  photon.platform.kubernetes_info:
    what: [host, cluster, etcd, certificates]
  register: found
"""
RETURN = r"""
host:
  description: The host as a member.
  returned: when asked for
  type: dict
  contains:
    state: {description: "C(clean), C(partial) (an init or join that did not end) or C(member).", type: str}
    role: {description: "C(control_plane) or C(worker) by what is there; empty when clean.", type: str}
    cluster_id: {description: Hash of the public key of the authority that the host trusts., type: str}
    cluster_name: {description: "The cluster's name, on control-plane members.", type: str}
    server: {description: URL of the API that its kubelet talks to., type: str}
    kubeadm_version: {description: Installed version., type: str}
    kubelet_version: {description: Installed version., type: str}
    kubelet_active: {description: Whether kubelet runs., type: bool}
    serving_certificate: {description: Whether kubelet has a valid serving certificate., type: bool}
    encryption_keys: {description: Whether the file with the keys of encryption at rest is there., type: bool}
    etcd_data: {description: Whether etcd has data here., type: bool}
    missing: {description: Files that a member of its role should have., type: list, elements: str}
    stale:
      description: >-
        Settings and certificates that a running static pod has not read since they changed, each with C(pod) and
        C(path).
      type: list
      elements: dict
    drift:
      description: "Files that differ from what kubeadm would write, each with C(path), C(missing) and C(lines)."
      type: list
      elements: dict
    error: {description: Why drift could not be found., type: str}
linux:
  description: What module M(photon.platform.linux_host) would change, with C(changes), C(packages) and C(error).
  returned: when documents were given
  type: dict
cluster:
  description: The cluster by its API.
  returned: when asked for, on control-plane members
  type: dict
  contains:
    reachable: {description: Whether the API answered., type: bool}
    error: {description: Why it did not., type: str}
    version: {description: Version of the API server., type: str}
    declared_version: {description: Version in kubeadm's configuration., type: str}
    cluster_name: {description: Name in kubeadm's configuration., type: str}
    cluster_id: {description: As of the host., type: str}
    nodes:
      description: >-
        Nodes, each with C(name), C(version), C(ready), C(reason), C(addresses), C(labels), C(taints),
        C(unschedulable), C(settled) (labels and taints were set since it joined), C(roles) and C(pod_network).
      type: list
      elements: dict
    missing: {description: Objects of kubeadm's own that are gone., type: list, elements: str}
    pending_certificates:
      description: Requests of kubelets, each with C(name) and C(node).
      type: list
      elements: dict
    addons:
      description: >-
        Workloads of the system, each with C(kind), C(namespace), C(name), C(wanted), C(available) and C(current).
      type: list
      elements: dict
etcd:
  description: >-
    C(members), each with C(id), C(name), C(peer_urls), C(client_urls), C(learner), C(started), C(healthy); C(quorum),
    C(healthy_voters) and C(error).
  returned: when asked for, on control-plane members
  type: dict
certificates:
  description: Certificates, soonest end first, each with C(path), C(subject), C(not_after) and C(days_left).
  returned: when asked for
  type: list
  elements: dict
objects:
  description: C(changes) that module M(photon.platform.kubernetes_objects) would make, and C(error).
  returned: when asked for, on control-plane members
  type: dict
nodes:
  description: C(changes) that module M(photon.platform.kubernetes_node) would make, C(not_ready) and C(error).
  returned: when objects were asked for, on control-plane members
  type: dict
error_code:
  description: Why it failed.
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
                "choices": ["host", "cluster", "etcd", "certificates", "objects"],
                "default": ["host"],
            },
            "configuration": {"type": "str", "default": ""},
            "role": {"type": "str", "choices": ["", "control_plane", "worker"], "default": ""},
            # Kept out of the system log as a whole: they may hold secret files.
            "documents": {"type": "list", "elements": "dict", "default": [], "no_log": True},
            "objects": {"type": "list", "elements": "dict", "default": [], "no_log": True},
            "absent": {"type": "list", "elements": "dict", "default": []},
            "nodes": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    module.no_log_values = secrets(given["documents"])
    invocation = {"module_args": {"what": given["what"], "role": given["role"]}}
    try:
        with host_lock.held(change=False):
            answer = cluster_hosts.look(given["what"], given["configuration"], given["role"], given["documents"], given)
    except PhotonError as error:
        module.fail_json(msg=error.message, error_code=error.code, error_data=error.data, invocation=invocation)
    module.exit_json(changed=False, **answer, invocation=invocation)


if __name__ == "__main__":
    main()
