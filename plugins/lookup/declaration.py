# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: declaration
short_description: The declared site, from the variables of a host
version_added: 0.1.0
description:
  - Returns one mapping with every variable that begins with C(photon_), its templates resolved, for the option
    O(photon.platform.platform#module:declaration) of M(photon.platform.platform).
  - A template that cannot be resolved is reported with its key path, all of them at once.
  - Warns about passwords that the inventory's files hold in plain text, and about credentials that other hosts than the
    controller have among their variables.
author:
  - Photon Platform contributors (@photon-platform)
"""

EXAMPLES = r"""
- name: Plan the declared site
  photon.platform.platform:
    declaration: "{{ lookup('photon.platform.declaration') }}"
  check_mode: true
"""

RETURN = r"""
_raw:
  description: One mapping of variables to their values.
  type: list
  elements: dict
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils import secrets
from ..plugin_utils.controller import Resolver

PREFIX = "photon_"
# Of the clusters' playbooks and of the inventory plugin; no part of a site.
OTHERS = ("photon_cluster", "photon_clusters", "photon_vm")
display = Display()


class LookupModule(LookupBase):
    """Resolves the variables of the host that the task runs on."""

    def run(self, terms: list, variables: dict | None = None, **kwargs: object) -> list:
        variables = variables or {}
        resolver = Resolver(self._templar)
        names = sorted(name for name in variables if name.startswith(PREFIX) and name not in OTHERS)
        declaration = {name: resolver.value(variables[name], name) for name in names}
        if resolver.mistakes:
            number = len(resolver.mistakes)
            raise AnsibleError(
                f"{number} mistake{'s' * (number > 1)} in the declaration; nothing was done:\n"
                + "\n".join(f"- {path}: {message}" for path, message in resolver.mistakes.items())
            )
        for warning in [*secrets.in_plain_text(variables), *secrets.on_other_hosts(variables)]:
            display.warning(warning)
        return [declaration]
