# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Place VMs on a fleet: placements and reasons."""

from __future__ import annotations

DOCUMENTATION = r"""
name: place
author: Photon Platform contributors
version_added: 0.1.0
short_description: Place VMs on hosts
description:
  - Says for each requested VM which host and datastores suit it best, or why none does. It is advice, nothing is
    claimed.
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
  policy:
    description:
      - Which of the hosts that a VM fits on is best.
    type: str
    choices: [spread, pack, photon]
    default: spread
  weights:
    description:
      - Weights of the dimensions C(cpu), C(memory) and C(storage) in a host's load.
    type: dict
  seed:
    description:
      - Same input and seed, same answer.
    type: int
    default: 0
  quality:
    description:
      - V(optimal) needs the Python package highspy on the controller; it packs as tightly as can be and proves how
        tightly.
    type: str
    choices: [normal, optimal]
    default: normal
  time_budget:
    description:
      - Seconds that V(quality=optimal) may take before the quick answer is kept.
    type: float
  result:
    description:
      - V(full) returns a row per VM, V(counts) a row per request and host, which is much quicker to hand on for large
        counts.
    type: str
    choices: [full, counts]
    default: full
  ids:
    description:
      - Return ids of hosts, datastores and VMs instead of their names.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Where would three more web servers go?
  ansible.builtin.debug:
    msg: "{{ [{'id': 'web', 'count': 3, 'vcpus': 2, 'memory': '4 GB', 'spread_over': 'zone'}]
         | photon.platform.place(my_fleet, policy='spread') }}"
"""

RETURN = r"""
_value:
  description:
    - C(placements) with request, index, host, zone, rack, datastores, score and parts; with O(result=counts) request,
      host and count.
    - C(unplaced) with request, index, code, eliminated, nearest and message.
    - C(summary) with totals.
  type: dict
"""

from typing import Any

from ..module_utils.scheduler import counts, plain
from ..module_utils.scheduler import place as scheduler
from ..plugin_utils.fleet_names import answer


def place(requests: Any, fleet: Any, *, result: str = "full", ids: bool = False, **options: Any) -> Any:
    """The filter: names and sizes in, names out, errors with their code."""
    return answer(
        "place", fleet, ids, lambda n: counts(scheduler(n.requests(requests), n.fleet, **plain(options)), result)
    )


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"place": place}
