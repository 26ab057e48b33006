# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module kubernetes_encryption: keys of encryption at rest (a door to module_utils/kubernetes/hosts/encryption.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubernetes_encryption
short_description: Keys of encryption at rest of a control-plane member, and what is written with them
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on a control-plane member. The order in which keys change on all members is playbook cluster_rotate's business.
attributes:
  check_mode:
    support: full
    description: Tells what would be done.
  diff_mode:
    support: none
    description: Keys are secrets.
options:
  state:
    description:
      - C(read) tells the names of the keys and how many objects are not written with I(writer).
      - C(secrets) returns the keys with their secrets, and a new one when I(new); register it with C(no_log).
      - C(present) makes I(keys) this member's, in their order, and restarts its API server.
      - C(rewritten) writes every object that is not of I(writer) again.
    type: str
    choices: [read, secrets, present, rewritten]
    required: true
  encryption:
    description: C(provider) and C(resources).
    type: dict
    required: true
  keys:
    description: Keys, each with C(name) and C(secret), the writing one first.
    type: list
    elements: dict
    default: []
  writer:
    description: The name of the key that everything should be written with.
    type: str
    default: ""
  new:
    description: Make a key as well.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Write all objects again
  photon.platform.kubernetes_encryption:
    state: rewritten
    encryption: "{{ cluster.encryption }}"
    writer: key2
"""
RETURN = r"""
names:
  description: Names of the keys, the writing one first.
  returned: for read
  type: list
  elements: str
stale:
  description: How many objects are not written with I(writer), or the first key.
  returned: for read
  type: int
secrets:
  description: C(keys) as they are, and C(new).
  returned: for secrets
  type: dict
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
error_code:
  description: Why it failed.
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
        return {"changed": bool(late), "actions": [f"{len(late)} objects would be written again"] if late else []}
    written = encryption.rewrite(settings["resources"], settings["provider"], given["writer"])
    return {"changed": bool(written), "actions": [f"{written} objects written again"] if written else []}


if __name__ == "__main__":
    main()
