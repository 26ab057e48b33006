# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
short_description: The hosts and datastores with what is free on them
version_added: 0.1.0
description:
  - Returns the fleet in the form that the filter P(photon.platform.place#filter) takes.
  - Each call reads the CloudStore. Keep the result with C(set_fact) or a registered variable where it is used several
    times.
  - Only the system administrator sees hosts.
options:
  zone:
    description: Only hosts in this zone.
    type: str
author:
  - Photon Platform contributors (@photon-platform)
extends_documentation_fragment:
  - photon.platform.store
  - photon.platform.store.live
seealso:
  - plugin: photon.platform.place
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Where would three VMs go
  vars:
    fleet: "{{ lookup('photon.platform.fleet', live=true) }}"
    wanted:
      - {id: web, count: 3, vcpus: 2, memory: 4 GB, spread_over: zone}
  ansible.builtin.debug:
    msg: "{{ wanted | photon.platform.place(fleet) }}"

- name: The host with the most free memory in zone a
  ansible.builtin.debug:
    msg: "{{ (lookup('photon.platform.fleet', zone='a').hosts | sort(attribute='free_memory') | last).name }}"
"""

RETURN = r"""
_raw:
  description:
    - One fleet, with C(hosts), C(datastores), C(zones), C(images) and C(vms). Amounts are vCPUs and bytes.
    - Each host has its id, name, zone, rack, state, tags, sizes, use, C(free_vcpus), C(free_memory), C(score) from 0
      to 100, the score's C(parts), the ids of its datastores, and the names of the C(images) that lie on them.
    - C(images) maps the id of each image, and the name of those for everybody, to its C(size) in bytes, the ids of the
      C(datastores) that hold it, and of those that it is C(copyable) to.
  type: list
  elements: dict
"""

from ansible.plugins.lookup import LookupBase

from ..module_utils.services import fleet_view
from ..plugin_utils.controller import templated
from ..plugin_utils.store import ask

VARIABLES = ["photon_cloudstore_url", "photon_cloudstore_allow_ephemeral", "photon_act_as", "photon_credentials"]


class LookupModule(LookupBase):
    """lookup('photon.platform.fleet')"""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list[dict]:
        self.set_options(var_options=templated(VARIABLES, variables, self._templar), direct=kwargs)
        options = self.get_options()
        return [
            ask(
                options,
                lambda context: fleet_view.fleet_of(context, live=options["live"], zone=options["zone"]),
            )
        ]
