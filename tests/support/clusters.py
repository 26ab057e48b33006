# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declared cluster to change in tests, and the inventory it is declared for."""

from __future__ import annotations

import base64
import copy
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.kubernetes import declaration

HOSTS = ("c1", "c2", "c3", "w1", "w2")
GROUPS = {"prod_control_plane": ["c1", "c2", "c3"], "prod_workers": ["w1", "w2"], "prod_balancers": ["lb1", "lb2"]}
HOSTVARS = {name: {"kubernetes_address": f"10.0.0.{20 + place}"} for place, name in enumerate(HOSTS)}
SECRET = base64.b64encode(bytes(range(32))).decode()
FILES = {
    "ca.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "key.asc": "-----BEGIN PGP PUBLIC KEY BLOCK-----\nmDME\n-----END PGP PUBLIC KEY BLOCK-----\n",
    "calico.yml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: calico}\n",
}
_CLUSTER: dict[str, Any] = {
    "name": "prod",
    "endpoint": {"host": "api.prod.example.com", "address": "10.0.0.10"},
    "packages": {"repository": {"url": "http://packages.example.com/{minor}", "key": "key.asc"}},
}


def cluster(**changes: Any) -> dict[str, Any]:
    """The small declaration, with keys replaced."""
    return {**copy.deepcopy(_CLUSTER), **changes}


def read_file(name: str) -> str:
    """The files of the controller."""
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory", name)
    return FILES[name]


def read(*clusters: Any, groups: Any = None, hostvars: Any = None, bundle: Any = None) -> list[dict[str, Any]]:
    """The clusters in normal form."""
    return declaration.read_clusters(
        list(clusters),
        GROUPS if groups is None else groups,
        HOSTVARS if hostvars is None else hostvars,
        read_file,
        bundle,
    )


def one(**changes: Any) -> dict[str, Any]:
    """The small declaration with keys replaced, in normal form."""
    return read(cluster(**changes))[0]
