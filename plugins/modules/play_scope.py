# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action plugin of this name, which does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: play_scope
short_description: Fail a run whose --limit or --tags leave nothing to do
version_added: 0.1.0
author: Photon Platform contributors (@photon-platform)
description:
  - Ansible ends a play without hosts or tasks with exit code 0. This action fails instead, with a sentence.
  - Runs on the controller. It belongs to a first play for C(all:localhost), tagged C(always), with C(run_once).
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: none
    description: Nothing is ever changed.
options:
  hosts:
    description: The groups or hosts of which at least one must take part.
    type: list
    elements: str
    default: []
  whole:
    description: The playbook needs all its hosts, so that any limit is refused.
    type: bool
    default: false
  controller:
    description: The playbook begins on localhost, so that a limit must name it.
    type: bool
    default: false
  tags:
    description: The tags that the playbook has.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
---
- name: Check that the run has something to do
  hosts: all:localhost
  gather_facts: false
  tasks:
    - name: Check --limit and --tags
      photon.platform.play_scope:
        hosts: [load_balancers]
        tags: [packages, config]
      run_once: true
      tags: [always]
"""

RETURN = r"""
---
hosts:
  description: The hosts that take part.
  returned: success
  type: list
  elements: str
error_code:
  description: C(HostNotFound) or C(InvalidOperation).
  returned: failure
  type: str
"""
