# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_plan
short_description: Plan the steps to the declared cluster
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the controller. Every obstacle is reported in one failure, before any host is changed.
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
options:
  verb:
    description: The plan to make.
    type: str
    choices: [create, delete, resize, upgrade, repair, restore, state, update]
    required: true
  cluster:
    description: The cluster, as M(photon.platform.kubernetes_clusters) returns it.
    type: dict
    required: true
  observed:
    description: Host to the result of M(photon.platform.kubernetes_info).
    type: dict
    required: true
  only:
    description: The hosts that this run may change (create), or the inventory's hosts (resize).
    type: list
    elements: str
  at_once:
    description: Workers to upgrade together.
    type: int
    default: 1
  again:
    description: Whether a repair in place was tried before.
    type: bool
    default: false
  updates:
    description: Host to the result of M(photon.platform.linux_update) (update).
    type: dict
  reboot:
    description: Whether hosts reboot that must (update).
    type: str
    choices: [required, never]
    default: required
  manifest:
    description: The manifest of the backup to restore.
    type: dict
"""

EXAMPLES = r"""
---
- name: Plan what is to do
  photon.platform.kubernetes_plan:
    verb: create
    cluster: "{{ kubernetes_cluster }}"
    observed: "{{ seen }}"
  register: kubernetes_plan
  run_once: true
"""

RETURN = r"""
---
actions:
  description: The steps, each with C(host), C(action) and C(reasons); the plan's other keys depend on I(verb).
  returned: success
  type: list
  elements: dict
error_code:
  description: The reason of the failure, such as C(HostUnreachable), C(RotationNeeded) or C(QuorumAtRisk).
  returned: failure
  type: str
error_data:
  description: Details of the failure, such as C(reasons).
  returned: failure
  type: dict
"""
