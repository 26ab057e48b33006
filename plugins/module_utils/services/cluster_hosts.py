# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at a host of a cluster: as a Linux host and as a member, in one visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..kubernetes.hosts import cluster, encryption, engine, etcd_client, nodes, objects, observe, spread
from ..kubernetes.hosts.api import Api
from ..linux import host as linux
from ..model.errors import PhotonError


def look(
    what: Sequence[str],
    configuration: str,
    role: str,
    documents: Sequence[Mapping[str, Any]],
    declared: Mapping[str, Sequence[Mapping[str, Any]]],
    runtime_package: str = "",
) -> dict[str, Any]:
    """What differs and what is there; nothing is changed.

    ``declared`` has ``objects``, ``absent`` and ``nodes``. Parts of the answer are as module kubernetes_info documents
    them; one that cannot be read has its ``error`` and does not keep the others from being read.
    """
    answer: dict[str, Any] = {}
    if "host" in what:
        answer["host"] = _host(configuration, role)
    if runtime_package:
        answer["containerd"] = engine.containerd_version(runtime_package)
    if documents:
        answer["linux"] = _linux(documents)
    if "certificates" in what:
        answer["certificates"] = observe.certificates()
    controls = answer.get("host", {}).get("role", observe.CONTROL_PLANE) == observe.CONTROL_PLANE
    if "etcd" in what and controls:
        answer["etcd"] = etcd_client.observed()
    if "cluster" in what and controls:
        answer["cluster"] = cluster.cluster()
    if "objects" in what and controls:
        answer["objects"] = _objects(declared)
        answer["nodes"] = _nodes(declared.get("nodes") or ())
    return answer


def _host(configuration: str, role: str) -> dict[str, Any]:
    error = ""
    try:
        found = observe.host(configuration, role)
    except observe.RenderError as reason:  # a kubeadm of another version, perhaps
        found, error = observe.host("", role), f"kubeadm does not take the configuration: {reason}"
    return {
        **found,
        "drift": [observe.summary(one) for one in found["drift"]],
        "encryption": encryption.observed(),
        "error": error,
    }


def _linux(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    try:
        found = linux.visit(documents, True)
    except PhotonError as error:
        return {"changed": True, "changes": [], "packages": {}, "error": error.message, "error_code": error.code}
    return {"changed": found["changed"], "changes": found["changes"], "packages": found["packages"], "error": ""}


def _objects(declared: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    try:
        found = objects.apply(declared.get("objects") or (), declared.get("absent") or (), True, Api.of_member())
    except PhotonError as error:
        return {"changes": [], "error": error.message}
    return {"changes": found["changes"], "error": ""}


def _nodes(declared: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    try:
        api = Api.of_member()
        found = nodes.settle(declared, True, True, 0, api)
        return {**found, "changes": found["changes"] + spread.spread(True, api), "error": ""}
    except PhotonError as error:
        return {"changes": [], "not_ready": [], "error": error.message, "error_code": error.code}
