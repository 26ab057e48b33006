# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Explain the answer of place in lines for people."""

from __future__ import annotations

DOCUMENTATION = r"""
name: explain
author: Photon Platform contributors
version_added: 0.1.0
short_description: Say in words why VMs went where they went
description:
  - Turns what the filter P(photon.platform.place#filter) returned into lines, first the VMs without a place and why,
    then the places.
positional: limit
options:
  _input:
    description:
      - What P(photon.platform.place#filter) returned.
    type: dict
    required: true
  limit:
    description:
      - At most this many lines of each kind.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: Why does it not fit?
  ansible.builtin.debug:
    msg: "{{ requests | photon.platform.place(my_fleet) | photon.platform.explain }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.model.errors import PhotonError
from ..module_utils.scheduler import explain as answer
from ..module_utils.scheduler import plain


def explain(result: Any, limit: int = 50) -> Any:
    """The filter: plain data in, errors with their code out."""
    try:
        return answer(plain(result), limit=plain(limit))
    except PhotonError as error:
        raise AnsibleFilterError(f"explain: {error.code}: {error.message}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"explain": explain}
