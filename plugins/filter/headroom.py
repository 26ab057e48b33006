# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that the loss of any host is survived."""

from __future__ import annotations

DOCUMENTATION = r"""
name: headroom
author: Photon Platform contributors
version_added: 0.1.0
short_description: Do all VMs survive the loss of any one host, rack or zone
description:
  - Tries for each host, rack or zone to place its VMs on the others. The fleet's VMs need C(vcpus) and C(memory).
positional: level
options:
  _input:
    description:
      - A mapping with the lists C(hosts), C(datastores), C(zones) and C(vms) and the mapping C(images). Sizes are
        bytes or text such as V(64 GB).
    type: dict
    required: true
  level:
    description:
      - What may be lost.
    type: str
    choices: [host, rack, zone]
    default: host
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
- name: Is there room for one host to fail?
  ansible.builtin.assert:
    that: (my_fleet | photon.platform.headroom).survives
"""

RETURN = r"""
_value:
  description: C(survives) (null where it is not known), C(level), C(method) and the C(losses) that are not survived.
  type: dict
"""

from typing import Any

from ..module_utils.scheduler import headroom as scheduler
from ..module_utils.scheduler import plain
from ..plugin_utils.fleet_names import answer


def headroom(fleet: Any, level: str = "host", *, ids: bool = False, **options: Any) -> Any:
    """The filter: names and sizes in, names out, errors with their code."""
    return answer("headroom", fleet, ids, lambda n: scheduler(n.fleet, level=plain(level), **plain(options)))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"headroom": headroom}
