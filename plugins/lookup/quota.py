# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: quota
short_description: Limits and usage of tenants and projects
version_added: 0.1.0
description:
  - Returns what each tenant or project may use, uses, and has left, by quota key.
  - The usage of a tenant is what its projects were given.
options:
  _terms:
    description: Tenants, as V(acme), and projects, as V(acme/web).
    type: list
    elements: str
    required: true
author:
  - Photon Platform contributors (@photon-platform)
extends_documentation_fragment:
  - photon.platform.store
"""

EXAMPLES = r"""
- name: VMs that the project may still have
  ansible.builtin.debug:
    msg: "{{ lookup('photon.platform.quota', 'acme/web')['vm.count'].free }}"

- name: Memory in use, for people
  ansible.builtin.debug:
    msg: "{{ lookup('photon.platform.quota', 'acme/web')['vm.memory'].text }}"
"""

RETURN = r"""
_raw:
  description:
    - One mapping per term, from quota key to C(limit), C(usage), C(free), C(unit) and C(text).
    - Amounts are in base units (bytes, pieces, thousandths of a price). Without a limit C(limit) and C(free) are none.
  type: list
  elements: dict
  sample:
    - vm.memory: {limit: 429496729600, usage: 8589934592, free: 420906795008, unit: GB, text: 8 GB of 400 GB}
"""

from ansible.plugins.lookup import LookupBase

from ..module_utils.services.tenancy import describe
from ..plugin_utils.controller import plain, templated
from ..plugin_utils.store import ask

VARIABLES = ["photon_cloudstore_url", "photon_cloudstore_allow_ephemeral", "photon_act_as"]


class LookupModule(LookupBase):
    """lookup('photon.platform.quota', 'acme/web')"""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list[dict]:
        self.set_options(var_options=templated(VARIABLES, variables, self._templar), direct=kwargs)
        paths = plain(terms)
        return ask(self.get_options(), lambda context: [describe.quota_of(context, path) for path in paths])
