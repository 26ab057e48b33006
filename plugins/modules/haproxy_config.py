# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module haproxy_config: manage a balancer's files and services (entry point to module_utils/haproxy/host.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_config
short_description: Configure a load balancer without dropping connections
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the balancer. One visit installs missing packages, compares the state and applies changes.
  - New files are staged and checked by HAProxy and keepalived before they replace the current files.
  - Certificates are replaced at run time; other changes are loaded with a reload, never with a restart.
  - When the new configuration does not start, the old one is restored.
attributes:
  check_mode:
    support: full
    description: HAProxy checks the new configuration in check mode too.
  diff_mode:
    support: full
    description: Secrets are masked.
options:
  state:
    description:
      - C(present) installs missing packages and loads the configuration.
      - C(installed) only installs missing packages.
      - C(absent) stops and disables the services and removes the files that this module wrote.
    type: str
    choices: [present, installed, absent]
    default: present
  packages:
    description: Package names per package manager, C(apt) or C(dnf). Missing packages are installed first.
    type: dict
    default: {}
  haproxy:
    description: The text of haproxy.cfg.
    type: str
    default: ""
  keepalived:
    description: The text of keepalived.conf. Empty without virtual addresses.
    type: str
    default: ""
  files:
    description: File names and PEM texts of certificates and authorities.
    type: dict
    default: {}
  password:
    description: The password of the statistics page.
    type: str
    default: ""
  only_certificates:
    description: Refuse to change anything but certificates.
    type: bool
    default: false
"""
EXAMPLES = r"""
- name: Load the configuration
  photon.platform.haproxy_config:
    packages: {apt: [haproxy], dnf: [haproxy]}
    haproxy: "{{ haproxy_plan.haproxy }}"
    files: "{{ certificates }}"
"""
RETURN = r"""
actions:
  description: The actions taken, such as C(package haproxy) and C(haproxy reloaded).
  returned: success
  type: list
  elements: str
changes:
  description: The differences from the declaration, with C(kind), C(name), C(before) and C(after).
  returned: success
  type: list
  elements: dict
error_code:
  description: The reason of the failure, such as C(BalancerChangeFailed). The old configuration stays active.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.haproxy import host, render
from ..module_utils.linux import commands, programs
from ..module_utils.linux.plan import Change
from ..module_utils.model.errors import PhotonError
from ..module_utils.services import host_lock


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["present", "installed", "absent"], "default": "present"},
            "packages": {"type": "dict", "default": {}},
            "haproxy": {"default": ""},
            "keepalived": {"default": ""},
            "files": {"type": "dict", "default": {}, "no_log": True},
            "password": {"default": "", "no_log": True},
            "only_certificates": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    installed: list[str] = []
    try:
        commands.need_root()
        with host_lock.held(change=not module.check_mode):
            result = _absent(module) if module.params["state"] == "absent" else _present(module, installed)
    except PhotonError as error:
        module.fail_json(
            msg=error.message, error_code=error.code, error_data=error.data, changed=bool(installed), actions=installed
        )
    for warning in result.pop("warnings", ()):
        module.warn(warning)
    module.exit_json(**result)


def _present(module: AnsibleModule, installed: list[str]) -> dict:
    """Install packages and load the configuration; ``installed`` tells what was done also when the rest fails."""
    given = module.params
    missing = programs.missing(given["packages"])
    actions = [f"package {name}" for name in missing]
    if module.check_mode and (missing or given["state"] == "installed"):  # comparing needs the installed programs
        return {"changed": bool(missing), "actions": actions, "changes": []}
    programs.install(missing)
    installed += actions
    if given["state"] == "installed":
        return {"changed": bool(missing), "actions": actions, "changes": []}
    wanted = host.Balancer(given["haproxy"], given["keepalived"], given["files"], given["password"])
    changes = wanted.changes()
    if not changes:
        return {"changed": bool(installed), "actions": installed, "changes": []}
    other = [f"{change.kind} {change.name}" for change in changes if not _is_certificate(change)]
    if given["only_certificates"] and other:
        raise host.HostError(
            f"More than certificates would change ({', '.join(other)}). Deploy the load balancer instead."
        )
    result = {
        "changed": True,
        "changes": [change._asdict() for change in changes],
        "diff": [
            {"before_header": path, "after_header": path, "before": before, "after": after}
            for path, (before, after) in wanted.texts().items()
        ],
    }
    if module.check_mode:
        wanted.check()
    actions = [] if module.check_mode else wanted.apply()
    return {**result, "actions": installed + actions, "warnings": wanted.warnings}


def _absent(module: AnsibleModule) -> dict:
    removal = host.Removal()
    changes = removal.changes()
    done = [] if module.check_mode or not changes else removal.apply()
    return {"changed": bool(changes), "actions": done, "changes": [change._asdict() for change in changes]}


def _is_certificate(change: Change) -> bool:
    inside = change.kind == "file" and change.name.startswith(f"{render.DIRECTORY}/")
    return inside and change.after != "absent" and not change.name.endswith(render.LIST)


if __name__ == "__main__":
    main()
