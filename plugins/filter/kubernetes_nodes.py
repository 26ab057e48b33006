# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_nodes: entry point to the tool kubernetes (documented in kubernetes_nodes.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..module_utils.kubernetes.documents import nodes


def kubernetes_nodes(cluster: Mapping[str, Any], serving: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the nodes of a cluster for module kubernetes_node."""
    return nodes.nodes(cluster, serving)


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"kubernetes_nodes": kubernetes_nodes}
