# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_encryption: manage encryption keys (entry point to module_utils/kubernetes/hosts/encryption.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_encryption
short_description: Manage a control-plane member's keys of encryption at rest
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on a control-plane member. Playbook cluster_rotate changes encryption on all members in a safe order.
  - Keys are known by their labels, C(provider:name:digest), which do not reveal their secrets.
attributes:
  check_mode:
    support: full
    description: Reports the actions.
  diff_mode:
    support: none
    description: Keys are secrets.
options:
  state:
    description:
      - C(read) returns the layout of the member's file and, with I(writer), the number of objects stored otherwise.
      - C(secrets) returns the keys with their secrets, and a new key with I(new). Register it with C(no_log).
      - C(present) writes the member's file and restarts its API server.
      - C(rewritten) rewrites every object that is not stored with I(writer), and fails when one is left.
    type: str
    choices: [read, secrets, present, rewritten]
    required: true
  encryption:
    description: The cluster's C(provider) and C(resources).
    type: dict
    required: true
  layout:
    description: >-
      The labels of the C(keys), the C(resources) that the first of them encrypts, and further resources that are
      C(readable) with them.
    type: dict
    default: {}
  keys:
    description: The keys of I(layout), each with C(name), C(secret) and C(provider), which defaults to the cluster's.
    type: list
    elements: dict
    default: []
  writer:
    description: The label of the key that all objects must be encrypted with, or C(identity) for plain text.
    type: str
    default: ""
  new:
    description: Generate an additional key.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Rewrite all objects
  photon.platform.kubernetes_encryption:
    state: rewritten
    encryption: "{{ cluster.encryption }}"
    writer: secretbox:key2:5f70bf18
"""
RETURN = r"""
layout:
  description: The layout of the file.
  returned: for read
  type: dict
stale:
  description: The number of objects that are not stored with I(writer); 0 without it.
  returned: for read
  type: int
secrets:
  description: The current C(keys), and C(new), each with its C(label).
  returned: for secrets
  type: dict
actions:
  description: The actions taken, or in check mode planned.
  returned: success
  type: list
  elements: str
error_code:
  description: The reason of the failure.
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.kubernetes.encryption import Layout
from ..module_utils.kubernetes.hosts import encryption
from ..module_utils.model.errors import PhotonError

SPEC = {
    "state": {"choices": ["read", "secrets", "present", "rewritten"], "required": True},
    "encryption": {"type": "dict", "required": True},
    "layout": {"type": "dict", "default": {}},
    "keys": {"type": "list", "elements": "dict", "default": [], "no_log": True},
    "writer": {"default": ""},
    "new": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[("state", "present", ("layout",)), ("state", "rewritten", ("writer",))],
        supports_check_mode=True,
    )
    given = module.params
    invocation = {"module_args": {"state": given["state"], "writer": given["writer"]}}
    try:
        answer = _answer(given, module.check_mode)
    except PhotonError as error:
        module.fail_json(
            msg=error.message, error_code=error.code, error_data=error.data, changed=False, invocation=invocation
        )
    module.exit_json(**answer, invocation=invocation)


def _answer(given: dict[str, Any], check: bool) -> dict[str, Any]:
    state, settings, writer = given["state"], given["encryption"], given["writer"]
    if state == "secrets":
        made = encryption.labelled(encryption.new_key(settings["provider"])) if given["new"] else None
        keys = [encryption.labelled(key) for key in encryption.read_layout()[1]]
        return {"changed": False, "actions": [], "secrets": {"keys": keys, "new": made}}
    if state == "read":
        late = encryption.stale(settings["resources"], writer) if writer else []
        return {
            "changed": False,
            "actions": [],
            "layout": encryption.read_layout()[0].to_dict(),
            "stale": len(late),
        }
    if state == "present":
        layout = Layout.of(given["layout"])
        keys = [{"provider": settings["provider"], **key} for key in given["keys"]]
        changed = encryption.set_layout(layout, keys, check)
        names = ", ".join(label.rpartition(":")[0] for label in layout.keys) or "none"
        return {"changed": changed, "actions": [f"keys are {names}"] if changed else []}
    if check:
        late = encryption.stale(settings["resources"], writer)
        return {"changed": bool(late), "actions": [f"{len(late)} objects would be rewritten"] if late else []}
    written = encryption.rewrite(settings["resources"], writer)
    return {"changed": bool(written), "actions": [f"{written} objects rewritten"] if written else []}


if __name__ == "__main__":
    main()
