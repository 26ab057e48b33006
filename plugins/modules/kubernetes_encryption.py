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
  - Runs on a control-plane member. Playbook cluster_rotate changes the keys on all members in a safe order.
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
      - C(read) returns the names of the keys and the number of objects that are not encrypted with I(writer).
      - C(secrets) returns the keys with their secrets, and a new key with I(new). Register it with C(no_log).
      - C(present) sets the member's I(keys) in order and restarts its API server.
      - C(rewritten) rewrites every object that is not encrypted with I(writer).
    type: str
    choices: [read, secrets, present, rewritten]
    required: true
  encryption:
    description: C(provider) and C(resources).
    type: dict
    required: true
  keys:
    description: Keys, each with C(name) and C(secret). The first one is used for writing.
    type: list
    elements: dict
    default: []
  writer:
    description: The name of the key that all objects must be encrypted with.
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
    writer: key2
"""
RETURN = r"""
names:
  description: Names of the keys. The first one is used for writing.
  returned: for read
  type: list
  elements: str
stale:
  description: The number of objects that are not encrypted with I(writer), by default the first key.
  returned: for read
  type: int
secrets:
  description: The current C(keys), and C(new).
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

from ..module_utils.kubernetes.hosts import encryption
from ..module_utils.model.errors import PhotonError

SPEC = {
    "state": {"choices": ["read", "secrets", "present", "rewritten"], "required": True},
    "encryption": {"type": "dict", "required": True},
    "keys": {"type": "list", "elements": "dict", "default": [], "no_log": True},
    "writer": {"default": ""},
    "new": {"type": "bool", "default": False},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[("state", "present", ("keys",)), ("state", "rewritten", ("writer",))],
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
    state, settings = given["state"], given["encryption"]
    if state == "secrets":
        made = encryption.new_key() if given["new"] else None
        return {"changed": False, "actions": [], "secrets": {"keys": encryption.read_keys(), "new": made}}
    if state == "read":
        names = [key["name"] for key in encryption.read_keys()]
        writer = given["writer"] or (names[0] if names else "")
        late = encryption.stale(settings["resources"], settings["provider"], writer) if writer else []
        return {"changed": False, "actions": [], "names": names, "stale": len(late)}
    if state == "present":
        changed = encryption.set_keys(settings, given["keys"], check)
        names = ", ".join(key["name"] for key in given["keys"])
        return {"changed": changed, "actions": [f"keys are {names}"] if changed else []}
    if check:
        late = encryption.stale(settings["resources"], settings["provider"], given["writer"])
        return {"changed": bool(late), "actions": [f"{len(late)} objects would be rewritten"] if late else []}
    written = encryption.rewrite(settings["resources"], settings["provider"], given["writer"])
    return {"changed": bool(written), "actions": [f"{written} objects rewritten"] if written else []}


if __name__ == "__main__":
    main()
