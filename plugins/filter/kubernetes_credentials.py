# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_credentials: entry point to the tool kubernetes (documented in kubernetes_credentials.yml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.documents import credentials
from ..module_utils.model.errors import PhotonError


def kubernetes_credentials(
    cluster: Mapping[str, Any], authority: str, issuer: str = "", client: str = "", namespace: str = ""
) -> str:
    """Return the kubeconfig with which users log in at an issuer."""
    try:
        return credentials.oidc(cluster, authority, issuer, client, namespace)
    except PhotonError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"kubernetes_credentials": kubernetes_credentials}
