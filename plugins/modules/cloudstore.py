#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cloudstore
short_description: Upgrade the CloudStore's schema
version_added: 0.1.0
description:
  - Brings the schema of an existing CloudStore to the version that this collection works with. Nothing else ever
    does, so a new collection does not change the database behind anybody's back.
  - Make a backup first. Other controllers need the same collection afterwards.
  - A new CloudStore is made by the first run that changes something, and needs no upgrade.
options:
  state:
    description: What it should be.
    type: str
    choices: [upgraded]
    default: upgraded
extends_documentation_fragment:
  - photon.platform.common
attributes:
  check_mode:
    description: Tells whether an upgrade is needed.
    support: full
  diff_mode:
    description: There is nothing to show but two numbers.
    support: none
"""

EXAMPLES = r"""
- name: Upgrade after the collection was upgraded
  photon.platform.cloudstore:
    cloudstore_url: postgresql+psycopg://photon@db.example.org/photon
    state: upgraded
"""

RETURN = r"""
version:
  description: The schema version afterwards.
  returned: success
  type: int
version_before:
  description: The schema version before.
  returned: success
  type: int
error_code:
  description: Code of the error.
  returned: failure
  type: str
  sample: CloudStoreNotFound
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.entry_point import READING, answer_with
from ..module_utils.services import upkeep


def main() -> None:
    module = AnsibleModule(
        argument_spec={"state": {"type": "str", "choices": ["upgraded"], "default": "upgraded"}, **READING},
        supports_check_mode=True,
    )
    params = module.params
    answer_with(
        module,
        lambda: upkeep.upgrade(
            params["cloudstore_url"],
            allow_ephemeral=params["cloudstore_allow_ephemeral"],
            check=module.check_mode,
            by=f"module {module._name}",
        ),
    )


if __name__ == "__main__":
    main()
