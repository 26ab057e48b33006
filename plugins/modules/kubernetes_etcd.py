# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_etcd: manage a cluster's etcd (entry point to module_utils/kubernetes/hosts/etcd.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_etcd
short_description: Check, back up, restore and maintain a cluster's etcd, and remove its members
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on a control-plane member. It never breaks etcd's quorum.
  - A backup is one file with mode 0600 that contains a snapshot of etcd, the keys of the cluster's authorities, service
    accounts and encryption at rest, and digests. Protect it like the cluster itself.
attributes:
  check_mode:
    support: full
    description: Reports the actions.
  diff_mode:
    support: none
    description: The list of actions shows the changes.
options:
  state:
    description:
      - C(healthy) waits until all members are voters that answer. C(snapshot) writes a backup. C(member_absent) removes
        a member. C(restored) restores a backup's data and keys on a clean host, before C(kubeadm init).
        C(rehearsed) restores a backup into a scratch etcd and counts its objects; nothing of it stays.
        C(restore_completed) ends a restore, when the cluster is complete.
        C(maintained) compacts etcd, reclaims disk space on one member after the other and clears the alarm C(NOSPACE),
        when a member has the alarm or much unused space.
    type: str
    choices: [healthy, snapshot, rehearsed, member_absent, restored, restore_completed, maintained]
    required: true
  path:
    description: The backup's file on this host.
    type: path
  name:
    description: The member to remove, or this host's member name for C(restored).
    type: str
    default: ""
  address:
    description: The member's address.
    type: str
    default: ""
  configuration:
    description:
      - For C(restored) and C(rehearsed), the text for C(kubeadm init), which determines the image with etcd's programs.
    type: str
    default: ""
  members:
    description: For C(healthy), the minimum number of voters.
    type: int
    default: 0
  always:
    description: For C(maintained), do it whether it is needed or not.
    type: bool
    default: false
  wait:
    description: For C(healthy), seconds to wait.
    type: int
    default: 120
"""
EXAMPLES = r"""
- name: Write a backup
  photon.platform.kubernetes_etcd:
    state: snapshot
    path: /var/lib/photon/backup/prod.tar

- name: Remove a member
  photon.platform.kubernetes_etcd:
    state: member_absent
    name: cp3
    address: 10.0.0.13
"""
RETURN = r"""
actions:
  description: The actions taken, or in check mode planned.
  returned: success
  type: list
  elements: str
members:
  description: Members with C(name), C(learner), C(healthy) and more.
  returned: for healthy
  type: list
  elements: dict
manifest:
  description: >-
    The backup's C(cluster), C(cluster_id), C(version), C(members), C(nodes), C(made), C(snapshot_bytes), C(sha256).
  returned: for snapshot
  type: dict
found:
  description: The numbers of C(objects) and C(nodes) in the backup.
  returned: for rehearsed
  type: dict
error_code:
  description: The reason of the failure, such as C(QuorumAtRisk), C(EtcdUnhealthy) or C(BackupInvalid).
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.kubernetes.hosts import etcd, rehearsal
from ..module_utils.model.errors import PhotonError

SPEC = {
    "state": {
        "choices": [
            "healthy",
            "snapshot",
            "rehearsed",
            "member_absent",
            "restored",
            "restore_completed",
            "maintained",
        ],
        "required": True,
    },
    "path": {"type": "path"},
    "name": {"default": ""},
    "address": {"default": ""},
    "configuration": {"default": ""},
    "members": {"type": "int", "default": 0},
    "always": {"type": "bool", "default": False},
    "wait": {"type": "int", "default": 120},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[
            ("state", "snapshot", ("path",)),
            ("state", "rehearsed", ("path", "configuration")),
            ("state", "restored", ("path", "configuration", "name", "address")),
            ("state", "member_absent", ("name", "address"), True),
        ],
        supports_check_mode=True,
    )
    given = module.params
    invocation = {"module_args": {key: given[key] for key in ("state", "path", "name", "address")}}
    try:
        answer = _answer(given, module.check_mode)
    except PhotonError as error:
        module.fail_json(
            msg=error.message, error_code=error.code, error_data=error.data, changed=False, invocation=invocation
        )
    module.exit_json(**answer, invocation=invocation)


def _answer(given: dict[str, Any], check: bool) -> dict[str, Any]:
    state = given["state"]
    if state == "healthy":
        known = etcd.wait_healthy(0 if check else given["wait"], given["members"])
        return {"changed": False, "actions": [], "members": known["members"]}
    if state == "member_absent":
        left = etcd.leave(given["name"], given["address"], check)
        return {"changed": left, "actions": [f"{given['name'] or given['address']} removed from etcd"] if left else []}
    if state == "maintained":
        done = etcd.maintain(check, given["always"])
        return {"changed": bool(done), "actions": done}
    if state == "restore_completed":
        done = etcd.end_restore(check)
        return {"changed": bool(done), "actions": done}
    if check:
        return {"changed": state != "rehearsed", "actions": [state]}
    if state == "rehearsed":
        return {"changed": False, "actions": [], "found": rehearsal.rehearse(given["path"], given["configuration"])}
    if state == "snapshot":
        manifest = etcd.snapshot(given["path"])
        return {"changed": True, "actions": [f"{given['path']} written"], "manifest": manifest}
    actions = _restored(given)
    return {"changed": bool(actions), "actions": actions}


def _restored(given: dict[str, Any]) -> list[str]:
    return etcd.restore(given["path"], given["configuration"], given["name"], given["address"])


if __name__ == "__main__":
    main()
