# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a plan or an outcome in lines for people."""

from __future__ import annotations

DOCUMENTATION = r"""
name: outcome_text
author: Photon Platform contributors
version_added: 0.1.0
short_description: Say in words what a module of the platform did or would do
description:
  - Turns the result of M(photon.platform.platform), or of a module of one kind, into the lines that photon-plan and
    photon-apply print. The playbooks C(site) and C(plan) show them.
options:
  _input:
    description:
      - The registered result.
    type: dict
    required: true
  planned:
    description:
      - The module ran in check mode.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Apply the declared site
  photon.platform.platform:
    declaration: "{{ lookup('photon.platform.declaration') }}"
  register: applied

- name: Show what was done
  ansible.builtin.debug:
    msg: "{{ applied | photon.platform.outcome_text }}"
"""

RETURN = r"""
_value:
  description: Changes by kind, warnings, counts, and failures with their next step.
  type: list
  elements: str
"""

from typing import Any

from ..module_utils.plan_text import outcome_lines
from ..plugin_utils.controller import plain


def outcome_text(result: Any, planned: bool = False) -> list[str]:
    """The filter."""
    return outcome_lines(plain(result), planned=bool(planned))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"outcome_text": outcome_text}
