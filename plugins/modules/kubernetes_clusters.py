# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_clusters
short_description: Check the declaration of all clusters and choose one
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the controller. Every mistake is reported in one failure, each with its key path.
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
options:
  declared:
    description: The variable photon_clusters.
    type: list
    elements: dict
    required: true
  name:
    description: The cluster to choose; not needed when one is declared.
    type: str
    default: ""
"""

EXAMPLES = r"""
---
- name: Check all clusters and choose one
  photon.platform.kubernetes_clusters:
    declared: "{{ photon_clusters }}"
    name: prod
  register: kubernetes_chosen
"""

RETURN = r"""
---
cluster:
  description: The cluster with its defaults and members.
  returned: success
  type: dict
error_code:
  description: C(SpecInvalid) or C(ClusterNotFound).
  returned: failure
  type: str
error_data:
  description: C(mistakes), each with C(path), C(message) and C(code).
  returned: failure
  type: dict
"""
