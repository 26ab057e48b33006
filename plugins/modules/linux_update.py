# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module linux_update: update all packages of a host (entry point to module_utils/linux/updates.py)."""

from __future__ import annotations

DOCUMENTATION = r"""
module: linux_update
short_description: Update all packages of a Linux host and report whether it must reboot
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the host, with apt or dnf. Held packages keep their versions, and no package is removed.
  - Configuration files that were changed on the host stay as they are.
  - Never reboots; playbook C(hosts_update) does, in an order that keeps services available.
attributes:
  check_mode:
    support: full
    description: Fetches the package lists and returns the same updates.
  diff_mode:
    support: none
    description: The list of updates shows the differences.
options:
  state:
    description:
      - C(updated) installs all updates.
      - C(read) reports them only.
    type: str
    choices: [updated, read]
    default: updated
  refresh:
    description: Fetch the package lists first.
    type: bool
    default: true
"""
EXAMPLES = r"""
- name: Update the host
  photon.platform.linux_update:
  register: updated

- name: Reboot it
  ansible.builtin.reboot:
  when: updated.reboot_required
"""
RETURN = r"""
updates:
  description: The packages that were updated, or would be.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: The package., type: str}
    before: {description: "The installed version; empty for a new package.", type: str}
    after: {description: The new version., type: str}
reboot_required:
  description: Whether the host must reboot to use what is installed.
  returned: success
  type: bool
reboot_reasons:
  description: Why.
  returned: success
  type: list
  elements: str
error_code:
  description: The reason of the failure, such as C(RootRequired), C(PackageInstallFailed) or C(DiskFull).
  returned: failure
  type: str
error_data:
  description: Details of the failure.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.linux import commands, updates
from ..module_utils.model.errors import PhotonError
from ..module_utils.services import host_lock


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["updated", "read"], "default": "updated"},
            "refresh": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    change = module.params["state"] == "updated" and not module.check_mode
    try:
        commands.need_root()
        with host_lock.held(change=change):
            found = updates.pending(module.params["refresh"])
            if found and change:
                updates.apply()
            reasons = updates.reboot_reasons()
    except PhotonError as error:
        module.fail_json(msg=error.message, error_code=error.code, error_data=error.data, changed=False)
    module.exit_json(
        changed=bool(found) and module.params["state"] == "updated",
        updates=updates.described(found),
        reboot_required=bool(reasons),
        reboot_reasons=reasons,
    )


if __name__ == "__main__":
    main()
