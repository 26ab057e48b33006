# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter kubernetes_configuration: a door to the tool kubernetes (documented in kubernetes_configuration.yml)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubernetes.documents import kubeadm

# Secrets that module kubernetes_member puts in itself, on the host.
_LATER = {"token": "", "ca_hashes": [], "certificate_key": ""}


def kubernetes_configuration(
    cluster: Mapping[str, Any], host: str, verb: str, material: Mapping[str, Any] | None = None
) -> str:
    """The text for kubeadm init, join or upgrade on a host."""
    members = {member["name"]: member for member in cluster["members"]}
    if host not in members:
        raise AnsibleFilterError(
            f"{host} is no member of cluster {cluster['name']}: its members are {', '.join(members)}"
        )
    if verb == "init":
        return kubeadm.init(cluster, members[host])
    if verb == "join":
        return kubeadm.join(cluster, members[host], material or _LATER)
    if verb == "upgrade":
        return kubeadm.upgrade(cluster)
    raise AnsibleFilterError(f"{verb!r} is none of init, join, upgrade")


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Any]:
        """Name -> function."""
        return {"kubernetes_configuration": kubernetes_configuration}
