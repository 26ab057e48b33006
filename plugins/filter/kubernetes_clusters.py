# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_clusters: entry point to the tool kubernetes (documented in kubernetes_clusters.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes import declaration
from ..module_utils.model.errors import PhotonError
from ..plugin_utils.bundles import read_bundle
from ..plugin_utils.controller import read_file


def kubernetes_clusters(
    declared: Any, groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Any], name: str | None = None
) -> list[dict[str, Any]]:
    """Return the normalized clusters, or only the one called ``name``; AnsibleFilterError with every mistake."""
    try:
        clusters = declaration.read_clusters(declared, groups, hostvars, read_file, read_bundle)
        return clusters if name is None else [declaration.select(clusters, name)]
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"kubernetes_clusters": kubernetes_clusters}
