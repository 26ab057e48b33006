# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the fewest moves that empty hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rebalance
author: Photon Platform contributors
version_added: 0.1.0
short_description: Moves that empty hosts
description:
  - Gives the fewest moves that leave given hosts empty, or empties as many hosts as a number of moves allows.
options:
  _input:
    description:
      - A mapping with the lists C(hosts), C(datastores), C(zones) and C(vms) and the mapping C(images). Sizes are
        bytes or text such as V(64 GB).
    type: dict
    required: true
  empty:
    description:
      - Names or ids of hosts to empty.
    type: list
    elements: str
  moves:
    description:
      - Empty as many hosts as can be with this many moves.
    type: int
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
- name: Free two hosts for maintenance
  ansible.builtin.debug:
    msg: "{{ my_fleet | photon.platform.rebalance(empty=['esx01.example.org', 'esx02.example.org']) }}"
"""

RETURN = r"""
_value:
  description: C(moves) with vm, from, to and datastores, C(emptied) hosts, and C(failed) with reasons.
  type: dict
"""

from typing import Any

from ..module_utils.scheduler import plain
from ..module_utils.scheduler import rebalance as scheduler
from ..plugin_utils.fleet_names import answer


def rebalance(fleet: Any, *, empty: Any = None, ids: bool = False, **options: Any) -> Any:
    """The filter: names and sizes in, names out, errors with their code."""
    return answer("rebalance", fleet, ids, lambda n: scheduler(n.fleet, empty=n.ids("hosts", empty), **plain(options)))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"rebalance": rebalance}
