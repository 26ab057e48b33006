#!/usr/bin/python
# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Do what the platform needs from time to time
version_added: 0.1.0
description:
  - Settles what interrupted runs left, deletes what waited for its last user, records what hosts and datastores are by
    now, and counts what differs between the CloudStore and vSphere. For a timer or a schedule of AWX.
  - One controller at a time does it. While another one is at it, nothing is done and the module succeeds.
  - Each duty is a run of its own, so other controllers can work meanwhile. A duty that fails leaves the others alone;
    the module fails at its end.
  - Only the system administrator may do it.
options:
  duties:
    description:
      - What is to be done, in this order whatever the order here. All by default.
      - V(locks) settles unfinished tasks of runs that have ended or were killed.
      - V(pending_deletes) deletes flavors, images and zones in the state PENDING_DELETE that nothing uses any more.
      - V(hosts) reads all endpoints and records size, state and datastores of the hosts.
      - V(verify) counts what O(photon.platform.cloudstore#module:state=verified) would report; nothing is repaired.
    type: list
    elements: str
    choices: [locks, pending_deletes, hosts, verify]
    default: []
  time_budget:
    description: Seconds after which no further duty is begun. 0 is no limit.
    type: float
    default: 0
  metrics_file:
    description:
      - A file that gets the figures as OpenMetrics text, for example for the textfile collector of node_exporter.
      - It is replaced as a whole. Not written in check mode.
    type: path
extends_documentation_fragment:
  - photon.platform.common
attributes:
  check_mode:
    description: Returns what each duty would change; nothing is changed and no file is written.
    support: full
  diff_mode:
    description: The changes are in RV(duties).
    support: none
"""

EXAMPLES = r"""
- name: Every ten minutes
  photon.platform.maintenance:
    cloudstore_url: postgresql+psycopg://photon@db.example.org/photon
    credentials: "{{ photon_credentials }}"
    time_budget: 480
    metrics_file: /var/lib/prometheus/node-exporter/photon.prom
"""

RETURN = r"""
leader:
  description: Whether this controller did it; false while another one is at it.
  returned: success
  type: bool
duties:
  description: What became of each duty.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the duty.
      type: str
    state:
      description: C(done), C(failed), or C(skipped) where no time was left.
      type: str
    seconds:
      description: How long it took.
      type: float
    changes:
      description: What it changed.
      type: list
      elements: str
    findings:
      description: How much it found to differ.
      type: int
    error:
      description: Why it failed.
      type: str
error_code:
  description: Code of the error.
  returned: failure
  type: str
  sample: MaintenanceFailed
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.entry_point import READING, finish
from ..module_utils.services.maintenance import DUTIES, maintain


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "duties": {"type": "list", "elements": "str", "choices": list(DUTIES), "default": []},
            "time_budget": {"type": "float", "default": 0},
            "metrics_file": {"type": "path"},
            **READING,
        },
        supports_check_mode=True,
    )
    params = module.params
    finish(
        module,
        lambda request: maintain(request, params["duties"], params["time_budget"], params["metrics_file"]),
    )


if __name__ == "__main__":
    main()
