# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count how many more VMs fit."""

from __future__ import annotations

DOCUMENTATION = r"""
name: fits
author: Photon Platform contributors
version_added: 0.1.0
short_description: How many more VMs of a kind fit
description:
  - Counts for each request how many VMs like it fit, were it alone, in all and per zone. A C(count) is ignored.
positional: fleet
options:
  _input:
    description:
      - Requests, each with C(id), C(vcpus), C(memory) such as V(4 GB), and optionally C(count), C(disks), C(zone),
        C(zones), C(host_tags), C(port_groups), C(image), C(tenant), C(groups), C(spread_over), C(spread_group),
        C(max_skew), C(project), C(host) and C(datastore).
    type: list
    elements: dict
    required: true
  fleet:
    description:
      - A mapping with the lists C(hosts), C(datastores), C(zones) and C(vms) and the mapping C(images). Sizes are
        bytes or text such as V(64 GB).
    type: dict
    required: true
  ids:
    description:
      - Return ids of hosts, datastores and VMs instead of their names.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: How many more of this flavor?
  ansible.builtin.debug:
    msg: "{{ [{'id': 'core-200', 'vcpus': 2, 'memory': '4 GB'}] | photon.platform.fits(my_fleet) }}"
"""

RETURN = r"""
_value:
  description: By request id C(total), C(zones) and C(limited_by), the constraint that stops the next one.
  type: dict
"""

from typing import Any

from ..module_utils.scheduler import fits as scheduler
from ..plugin_utils.fleet_names import answer


def fits(requests: Any, fleet: Any, ids: bool = False) -> Any:
    """The filter: names and sizes in, names out, errors with their code."""
    return answer("fits", fleet, ids, lambda n: scheduler(n.requests(requests), n.fleet))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"fits": fits}
