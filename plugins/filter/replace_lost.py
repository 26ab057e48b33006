# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find places for the VMs of lost hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: replace_lost
author: Photon Platform contributors
version_added: 0.1.0
short_description: New places for the VMs of lost hosts
description:
  - Places just the VMs of the lost hosts on the others; everything else stays where it is.
  - A disk on a datastore that another host mounts stays there, and its VM goes to such a host.
  - The answer is advice; the filter moves or re-creates nothing.
positional: lost
options:
  _input:
    description:
      - A mapping with the lists C(hosts), C(datastores), C(zones) and C(vms) and the mapping C(images), as the lookup
        P(photon.platform.fleet#lookup) returns it.
    type: dict
    required: true
  lost:
    description:
      - Names or ids of the lost hosts.
    type: list
    elements: str
    required: true
  policy:
    description:
      - How hosts are chosen.
    type: str
    choices: [spread, pack, photon]
    default: spread
  quality:
    description:
      - V(optimal) needs the Python package highspy on the controller.
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
- name: Where would the VMs of this host go
  ansible.builtin.debug:
    msg: "{{ (my_fleet | photon.platform.replace_lost(['esx01.example.org'])).placements }}"
"""

RETURN = r"""
_value:
  description: What the filter P(photon.platform.place#filter) returns, each request being a VM's id.
  type: dict
"""

from typing import Any

from ..module_utils.scheduler import plain, replace
from ..plugin_utils.fleet_names import answer


def replace_lost(fleet: Any, lost: Any, *, ids: bool = False, **options: Any) -> Any:
    """The filter: names and sizes in, names out, errors with their code."""
    return answer("replace_lost", fleet, ids, lambda n: replace(n.ids("hosts", lost), n.fleet, **plain(options)))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"replace_lost": replace_lost}
