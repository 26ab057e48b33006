# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: site_report
short_description: The figures of a site's report
version_added: 0.1.0
description:
  - Turns what M(photon.platform.resource_info) returns into the figures that playbooks/report.yml draws as a page.
positional: plan
options:
  _input:
    description: The C(resources) of M(photon.platform.resource_info), all kinds.
    type: list
    elements: dict
    required: true
  plan:
    description: The C(plan) of M(photon.platform.platform) in check mode, with C(result=full).
    type: list
    elements: dict
    default: []
author:
  - Photon Platform contributors (@photon-platform)
"""

EXAMPLES = r"""
- name: How much capacity is stranded
  ansible.builtin.debug:
    msg: "{{ (everything.resources | photon.platform.site_report).stranded }}"
"""

RETURN = r"""
_value:
  description: Totals, hosts by zone and rack before and after the plan, quotas, stranded capacity, the plan.
  type: dict
"""

from collections.abc import Callable
from typing import Any

from ..module_utils.scheduler.plain import plain
from ..module_utils.services.site_report import summarize


def site_report(resources: Any, plan: Any = ()) -> dict[str, Any]:
    """See summarize."""
    return summarize(plain(resources), plain(list(plan)))


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"site_report": site_report}
