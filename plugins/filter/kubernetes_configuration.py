# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_configuration: entry point to the tool kubernetes (documented in kubernetes_configuration.yml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.documents import kubeadm

# Placeholders that module kubernetes_member replaces by secrets on the host.
_LATER = {"token": "", "ca_hashes": [], "certificate_key": ""}


def kubernetes_configuration(
    cluster: Mapping[str, Any], host: str, verb: str, material: Mapping[str, Any] | None = None
) -> str:
    """Return the text for kubeadm init, join or upgrade on a host."""
    members = {member["name"]: member for member in cluster["members"]}
    if host not in members:
        raise AnsibleFilterError(
            f"{host} is not a member of cluster {cluster['name']}. Its members are {', '.join(members)}."
        )
    if verb == "init":
        return kubeadm.init(cluster, members[host])
    if verb == "join":
        return kubeadm.join(cluster, members[host], material or _LATER)
    if verb == "upgrade":
        return kubeadm.upgrade(cluster)
    raise AnsibleFilterError(f"must be one of init, join, upgrade, got {verb!r}")


class FilterModule:
    """Register the filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Return filter name -> function."""
        return {"kubernetes_configuration": kubernetes_configuration}
