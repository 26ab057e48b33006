# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_documents: entry point to the tool kubernetes (documented in kubernetes_documents.yml)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..module_utils.kubernetes import declaration
from ..module_utils.kubernetes.documents import host


def kubernetes_documents(
    cluster: Mapping[str, Any],
    declared: Any = None,
    installed: Mapping[str, Mapping[str, str]] | None = None,
    joined: Sequence[str] = (),
    routes: bool = False,
) -> dict[str, dict[str, Any]]:
    """Return host -> document of module linux_host, with the secrets of ``declared`` if given."""
    if routes:
        return host.routes_documents(cluster)
    return host.documents(cluster, declaration.secrets_of(declared, cluster["name"]), installed, joined)


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"kubernetes_documents": kubernetes_documents}
