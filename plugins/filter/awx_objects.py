# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compute what a site needs on AWX."""

from __future__ import annotations

DOCUMENTATION = r"""
name: awx_objects
author: Photon Platform contributors (@photon-platform)
version_added: 0.1.0
short_description: Compute what a site needs on AWX
description:
  - Turns the variable C(awx) of a site into every object that the playbook C(awx) keeps on AWX, with the choices of its
    surveys from what the CloudStore holds. The page about AWX documents the variable.
options:
  _input:
    description: The variable C(awx).
    type: dict
    required: true
  site:
    description: Name of the site, which objects are named after unless C(awx.name) is set.
    type: str
    required: true
  endpoints:
    description: The declared endpoints; each gets a credential type by the name of its credential.
    type: list
    elements: dict
    default: []
  resources:
    description: The C(resources) of M(photon.platform.resource_info), all kinds.
    type: list
    elements: dict
    default: []
  clusters:
    description: Names of the declared clusters.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the job templates
  ansible.builtin.debug:
    msg: "{{ (awx | photon.platform.awx_objects(site=photon_site)).templates | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: The objects by kind, with the options of the modules of the collection awx.awx as keys.
  type: dict
"""

from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.model.errors import PhotonError
from ..module_utils.services.awx import objects, refuse_secrets
from ..plugin_utils.controller import plain


def awx_objects(
    declared: Any, site: str, endpoints: Any = (), resources: Any = (), clusters: Any = ()
) -> dict[str, Any]:
    """See objects."""
    if not isinstance(declared, dict):
        raise AnsibleFilterError("SpecInvalid: the variable awx must be a mapping: see the page about AWX")
    rows = {"endpoints": plain(list(endpoints)), "resources": plain(list(resources)), "clusters": plain(list(clusters))}
    try:
        refuse_secrets(declared)
        return objects(plain(declared), site=str(site), **rows)
    except PhotonError as error:
        raise AnsibleFilterError(f"{error.code}: {error.message}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Any]:
        """Names and functions."""
        return {"awx_objects": awx_objects}
