# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module haproxy_config: a balancer's files and services (a door to module_utils/haproxy/host.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: haproxy_config
short_description: Bring a balancer's configuration to what is wanted, without losing a connection
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the balancer. One visit installs what is missing, compares and changes.
  - Everything new is written aside and checked by HAProxy and keepalived before it replaces a file.
  - Certificates are replaced at run time; other changes are loaded by a reload, never by a restart.
  - When the new configuration does not come up the old one is put back.
attributes:
  check_mode:
    support: full
    description: The check by HAProxy is made in check mode too.
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
    description: The packages' names by the host's package manager, C(apt) or C(dnf); those missing are installed first.
    type: dict
    default: {}
  haproxy:
    description: The text of haproxy.cfg.
    type: str
    default: ""
  keepalived:
    description: The text of keepalived.conf; empty without virtual addresses.
    type: str
    default: ""
  address:
    description: The host's own address; its interface carries the virtual addresses.
    type: str
    default: ""
  files:
    description: File name and PEM text of certificates and authorities.
    type: dict
    default: {}
  password:
    description: The password of the statistics.
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
  description: What was done, such as C(package haproxy) and C(haproxy reloaded), or in check mode what differs.
  returned: success
  type: list
  elements: str
error_code:
  description: Why it failed, such as C(BalancerChangeFailed); the old configuration serves on.
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
        raise host.HostError(f"Not only certificates would change ({', '.join(installed)}): deploy instead")
    if missing and module.check_mode:  # without its programs a host cannot be asked what else differs
        return {"changed": True, "actions": installed}
    programs.install(missing)
    wanted = host.Balancer(given["haproxy"], given["keepalived"], given["files"], given["password"], given["address"])
    changes = wanted.changes()
    if not changes:
        return {"changed": bool(installed), "actions": installed}
    other = [change for change in changes if not change.startswith("certificate ") or change.endswith(" removed")]
    if given["only_certificates"] and other:
        raise host.HostError(f"Not only certificates would change ({', '.join(other)}): deploy instead")
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
