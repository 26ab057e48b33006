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
    description: C(absent) stops the services and removes their files.
    type: str
    choices: [present, absent]
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
  address:
    description: The host's own address. Its interface carries the virtual addresses.
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
  description: The actions taken, such as C(package haproxy) and C(haproxy reloaded), or in check mode the differences.
  returned: success
  type: list
  elements: str
error_code:
  description: The reason of the failure, such as C(BalancerChangeFailed). The old configuration stays active.
  returned: failure
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.haproxy import host
from ..module_utils.linux import programs
from ..module_utils.model.errors import PhotonError


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["present", "absent"], "default": "present"},
            "packages": {"type": "dict", "default": {}},
            "haproxy": {"default": ""},
            "keepalived": {"default": ""},
            "address": {"default": ""},
            "files": {"type": "dict", "default": {}, "no_log": True},
            "password": {"default": "", "no_log": True},
            "only_certificates": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**(_absent(module) if module.params["state"] == "absent" else _present(module)))
    except PhotonError as error:
        module.fail_json(msg=error.message, error_code=error.code, error_data=error.data)


def _present(module: AnsibleModule) -> dict:
    given = module.params
    missing = programs.missing(given["packages"])
    installed = [f"package {name}" for name in missing]
    if missing and given["only_certificates"]:
        raise host.HostError(
            f"More than certificates would change ({', '.join(installed)}). Deploy the load balancer instead."
        )
    if missing and module.check_mode:  # comparing needs the installed programs
        return {"changed": True, "actions": installed}
    programs.install(missing)
    wanted = host.Balancer(given["haproxy"], given["keepalived"], given["files"], given["password"], given["address"])
    changes = wanted.changes()
    if not changes:
        return {"changed": bool(installed), "actions": installed}
    other = [change for change in changes if not change.startswith("certificate ") or change.endswith(" removed")]
    if given["only_certificates"] and other:
        raise host.HostError(
            f"More than certificates would change ({', '.join(other)}). Deploy the load balancer instead."
        )
    diff = [
        {"before_header": path, "after_header": path, "before": before, "after": after}
        for path, (before, after) in wanted.texts().items()
    ]
    if module.check_mode:
        wanted.check()
        return {"changed": True, "actions": changes, "diff": diff}
    return {"changed": True, "actions": installed + wanted.apply(), "diff": diff}


def _absent(module: AnsibleModule) -> dict:
    if module.check_mode:
        return {"changed": host.present(), "actions": []}
    done = host.remove()
    return {"changed": bool(done), "actions": done}


if __name__ == "__main__":
    main()
