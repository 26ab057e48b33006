# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render each node's settings in the API: labels, taints and allowed kubelet addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# kubeadm sets these at init and join; they are restored like any other label.
_CONTROL_PLANE = {
    "node-role.kubernetes.io/control-plane": "",
    "node.kubernetes.io/exclude-from-external-load-balancers": "",
}


def nodes(cluster: Mapping[str, Any], serving: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return [{name, labels, taints, addresses, serving}] for module kubernetes_node; ``serving`` lists the nodes whose
    kubelet has no serving certificate yet."""
    waiting = set(serving)
    return [
        {
            "name": member["name"],
            "labels": {**member["labels"], **(_CONTROL_PLANE if member["role"] == "control_plane" else {})},
            "taints": [dict(taint) for taint in member["taints"]],
            "addresses": [member["address"]],
            "serving": member["name"] in waiting,
        }
        for member in cluster["members"]
    ]
