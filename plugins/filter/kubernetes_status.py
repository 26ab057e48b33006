# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_status: entry point to the tool kubernetes (documented in kubernetes_status.yml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..module_utils.kubernetes.plans import status


def kubernetes_status(cluster: Mapping[str, Any], observed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status, with its lines for a terminal under ``table``."""
    reached = {str(host): answer if _spoke(answer) else None for host, answer in observed.items()}
    found = status.status(cluster, reached)
    return {**found, "table": status.table(found)}


def _spoke(answer: Any) -> bool:
    return isinstance(answer, Mapping) and not answer.get("unreachable") and "host" in answer


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"kubernetes_status": kubernetes_status}
