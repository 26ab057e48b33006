# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: haproxy_plan
short_description: Check a load balancing declaration and render the files of all balancers
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Runs on the controller, once for all balancers, and contacts no host. Used by role P(photon.platform.haproxy#role).
  - Reports every mistake of the declaration at once, each with its key path.
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
options:
  declaration:
    description: The role's variables without their prefix.
    type: dict
    required: true
  role_path:
    description: The folder of the role, which holds the contract and the ready-made services.
    type: path
    required: true
"""

EXAMPLES = r"""
---
- name: Check the declaration
  photon.platform.haproxy_plan:
    role_path: "{{ role_path }}"
    declaration:
      services: "{{ haproxy_services }}"
  run_once: true
  register: haproxy_plan
"""

RETURN = r"""
---
haproxy:
  description: The text of haproxy.cfg, the same for all balancers.
  returned: success
  type: str
keepalived:
  description: The text of keepalived.conf per balancer; empty without virtual addresses.
  returned: success
  type: dict
lists:
  description: File names and texts of the lists of certificates.
  returned: success
  type: dict
services:
  description: The names of the servers of each service.
  returned: success
  type: dict
vips:
  description: The address of each virtual address.
  returned: success
  type: dict
error_code:
  description: C(SpecInvalid) when the declaration is invalid.
  returned: failure
  type: str
error_data:
  description: C(mistakes) lists every mistake with its key path.
  returned: failure
  type: dict
"""
