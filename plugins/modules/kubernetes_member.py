# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_member: manage a host's cluster membership (entry point to module_utils/kubernetes/hosts/)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_member
short_description: Manage a host's membership of a Kubernetes cluster
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the host and uses kubeadm. The actions are derived from the current state and no state is kept on the host,
    so an interrupted run is completed by the next one.
  - An incomplete C(init) is run again and keeps its results. An incomplete C(join) is discarded first.
attributes:
  check_mode:
    support: full
    description: Reports the actions.
  diff_mode:
    support: partial
    description: For C(settled), files of kubeadm.
options:
  state:
    description:
      - C(initialized) creates the first member.
      - C(joined) joins a further member with I(material) from C(join_material).
      - C(settled) restores files that differ from what kubeadm would write, and re-creates lost files and objects of
        kubeadm.
      - C(absent) resets the host. Drain its node and remove it from etcd and the cluster first.
      - C(upgraded) upgrades the member to I(version). Its packages except kubelet must have that version.
      - C(renewed) renews certificates with fewer than I(days) left, and restarts their users.
      - C(credentials) creates an administrator kubeconfig that expires after I(hours), on a control-plane member.
      - C(join_material) creates the secrets that I(joiners) need, after removing their stale traces, on a control-plane
        member.
      - C(tokens_absent) revokes all join tokens, on a control-plane member.
    type: str
    choices: [initialized, joined, settled, absent, upgraded, renewed, join_material, tokens_absent, credentials]
    required: true
  configuration:
    description:
      - The text for C(kubeadm) (filter P(photon.platform.kubernetes_configuration#filter)), of C(init) for
        C(initialized), C(settled) and C(renewed), of C(join) for C(joined), of C(upgrade) for C(upgraded).
    type: str
    default: ""
  settings:
    description: >-
      For C(upgraded) with I(first), the text of C(init). Its kubelet settings are written to the cluster before the
      first member is upgraded.
    type: str
    default: ""
  role:
    description: The declared role of the host.
    type: str
    choices: [control_plane, worker]
  encryption:
    description: >-
      For C(initialized) without declared keys, C(provider) and C(resources). A key is generated and stays on
      control-plane members.
    type: dict
  material:
    description: The result of C(join_material). For C(settled), only its files are used, if they are missing.
    type: dict
  joiners:
    description: Hosts that are about to join, each with C(name), C(address) and C(role).
    type: list
    elements: dict
    default: []
  lost:
    description: >-
      For C(settled), missing objects of kubeadm (C(cluster.missing) of M(photon.platform.kubernetes_info)), and
      C(node) when the host's Node is missing.
    type: list
    elements: str
    default: []
  restart:
    description: >-
      For C(joined), discard the remains of an earlier join even if etcd has data on this host. Use it only after its
      etcd member has been removed.
    type: bool
    default: false
  version:
    description: For C(upgraded), the target version, such as C(1.37.2).
    type: str
  first:
    description: For C(upgraded), whether this is the first control-plane member to be upgraded.
    type: bool
    default: false
  days:
    description: For C(renewed), the minimum remaining validity in days.
    type: int
    default: 30
  user:
    description: For C(credentials), the user name in the audit log.
    type: str
    default: break-glass
  hours:
    description: For C(credentials), the validity in hours.
    type: int
    default: 8
  timeout:
    description: Timeout of one call of kubeadm in seconds.
    type: int
    default: 600
"""
EXAMPLES = r"""
- name: Initialize the first member
  photon.platform.kubernetes_member:
    state: initialized
    configuration: "{{ cluster | photon.platform.kubernetes_configuration(inventory_hostname, 'init') }}"

- name: Create the secrets for joining members
  photon.platform.kubernetes_member:
    state: join_material
    joiners: [{name: w1, address: 10.0.0.21, role: worker}]
  register: made
  no_log: true
"""
RETURN = r"""
actions:
  description: The actions taken, or in check mode planned.
  returned: success
  type: list
  elements: str
material:
  description: Secrets for M(photon.platform.kubernetes_member) on the joiners. Register it with C(no_log).
  returned: for join_material and credentials
  type: dict
  contains:
    endpoint: {description: Host and port of the API., type: str}
    certificate_authority: {description: The cluster's authority in PEM., type: str}
    token: {description: "Token to request a node's certificate, valid for half an hour.", type: str}
    certificate_key: {description: Key that decrypts the control plane's certificates., type: str}
    files: {description: Secret files of control-plane members., type: dict}
    kubeconfig: {description: "For C(credentials), the only key.", type: str}
error_code:
  description: The reason of the failure, such as C(MemberChangeFailed), C(InvalidHostState) or C(QuorumAtRisk).
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.kubernetes.hosts import lifecycle, material, member, observe
from ..module_utils.model.errors import PhotonError
from ..module_utils.services import host_lock

SPEC = {
    "state": {
        "choices": [
            "initialized",
            "joined",
            "settled",
            "absent",
            "upgraded",
            "renewed",
            "join_material",
            "tokens_absent",
            "credentials",
        ],
        "required": True,
    },
    "configuration": {"default": ""},
    "settings": {"default": ""},
    "role": {"choices": ["control_plane", "worker"]},
    "encryption": {"type": "dict"},
    "material": {"type": "dict", "no_log": True},
    "joiners": {"type": "list", "elements": "dict", "default": []},
    "lost": {"type": "list", "elements": "str", "default": []},
    "restart": {"type": "bool", "default": False},
    "version": {},
    "first": {"type": "bool", "default": False},
    "days": {"type": "int", "default": 30},
    "user": {"default": "break-glass"},
    "hours": {"type": "int", "default": 8},
    "timeout": {"type": "int", "default": 600},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[
            ("state", "initialized", ("configuration",)),
            ("state", "joined", ("configuration", "material")),
            ("state", "settled", ("configuration", "role")),
            ("state", "upgraded", ("configuration", "version")),
            ("state", "join_material", ("joiners",)),
            ("state", "credentials", ("configuration",)),
        ],
        supports_check_mode=True,
    )
    given = module.params
    made = given["material"] or {}  # the endpoint and the authority are not secret and appear in error messages
    secret = [made.get("token"), made.get("certificate_key"), *(made.get("files") or {}).values()]
    module.no_log_values = {text for text in secret if text}
    invocation = {"module_args": {"state": given["state"], "role": given["role"]}}
    try:
        with host_lock.held(change=not module.check_mode):
            answer = _answer(given, module.check_mode)
    except (PhotonError, observe.RenderError) as error:
        code, data = getattr(error, "code", "SpecInvalid"), getattr(error, "data", {})
        text = getattr(error, "message", f"kubeadm rejected the configuration: {error}")
        module.fail_json(msg=text, error_code=code, error_data=data, changed=False, invocation=invocation)
    module.exit_json(**answer, invocation=invocation)


def _answer(given: dict[str, Any], check: bool) -> dict[str, Any]:
    state, configuration, timeout = given["state"], given["configuration"], given["timeout"]
    if state == "settled":
        actions, diff = member.settle(configuration, given["role"], given["lost"], given["material"], check)
        return {"changed": bool(actions), "actions": actions, "diff": diff}
    if state == "renewed":
        actions = lifecycle.renew(given["days"], given["configuration"], check)
        return {"changed": bool(actions), "actions": actions}
    if state == "tokens_absent":
        actions = material.revoke_all(check)
        return {"changed": bool(actions), "actions": actions}
    if check:
        there = observe.host()["state"]
        actions = [] if state == "absent" and there == "clean" else [state]
        return {"changed": bool(actions) and state not in ("join_material", "credentials"), "actions": actions}
    if state == "join_material":
        return {"changed": True, "actions": ["token created"], "material": material.make(given["joiners"])}
    if state == "credentials":
        text = material.administrator(configuration, given["user"], given["hours"])
        return {"changed": False, "actions": ["certificate created"], "material": {"kubeconfig": text}}
    if state == "initialized":
        actions = member.initialize(configuration, given["encryption"], timeout)
    elif state == "joined":
        actions = member.join(configuration, given["material"], given["restart"], timeout)
    elif state == "upgraded":
        actions = lifecycle.upgrade(configuration, given["settings"], given["version"], given["first"], timeout)
    else:
        actions = member.reset()
    return {"changed": bool(actions), "actions": actions}


if __name__ == "__main__":
    main()
