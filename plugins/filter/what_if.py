# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Place VMs on a fleet with hosts added or removed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: what_if
author: Photon Platform contributors
version_added: 0.1.0
short_description: Place on a fleet with hosts added or removed
description:
  - Places requests on the fleet as it is and as it would be. VMs of removed hosts are placed first.
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
  add:
    description:
      - Hosts to add.
    type: list
    elements: dict
  add_datastores:
    description:
      - Datastores that come with them.
    type: list
    elements: dict
  remove:
    description:
      - Names or ids of hosts to remove.
    type: list
    elements: str
  policy:
    description:
      - Which of the hosts that a VM fits on is best.
    type: str
    choices: [spread, pack, photon]
    default: spread
  quality:
    description:
      - V(optimal) needs the Python package highspy on the controller; it packs as tightly as can be and proves how
        tightly.
    type: str
    choices: [normal, optimal]
    default: normal
  seed:
    description:
      - Same input and seed, same answer.
    type: int
    default: 0
  ids:
    description:
      - Return ids of hosts, datastores and VMs instead of their names.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Would it all fit without esx01?
  ansible.builtin.debug:
    msg: "{{ requests | photon.platform.what_if(my_fleet, remove=['esx01.example.org']) }}"
"""

RETURN = r"""
_value:
  description: C(before) and C(after) totals, C(moved), C(lost), C(gained), C(failing), C(placements) and C(unplaced).
  type: dict
"""

from typing import Any

from ..module_utils.scheduler import plain
from ..module_utils.scheduler import what_if as scheduler
from ..plugin_utils.fleet_names import Names, answer, in_bytes


def what_if(
    requests: Any,
    fleet: Any,
    *,
    add: Any = (),
    add_datastores: Any = (),
    remove: Any = (),
    ids: bool = False,
    **options: Any,
) -> Any:
    """The filter: names and sizes in, names out, errors with their code."""

    def work(names: Names) -> Any:
        changes = {
            "add": in_bytes(add),
            "add_datastores": in_bytes(add_datastores),
            "remove": names.ids("hosts", remove),
        }
        return scheduler(names.requests(requests), names.fleet, **changes, **plain(options))

    return answer("what_if", fleet, ids, work)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"what_if": what_if}
