# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render namespaces of projects: quotas, container limits, and bindings of groups to Kubernetes' roles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ROLES = ("admin", "edit", "view")  # predefined ClusterRoles for use in a namespace
_RBAC = "rbac.authorization.k8s.io"
_OWNER = {"app.kubernetes.io/managed-by": "photon.platform"}
_QUOTA, _LIMITS = "project-quota", "project-limits"
Object = dict[str, Any]


def objects(cluster: Mapping[str, Any]) -> list[Object]:
    """Return the namespaces and their objects; namespaces that are no longer declared are kept."""
    return [item for namespace in cluster["namespaces"] for item in _of(cluster, namespace)]


def absent(cluster: Mapping[str, Any]) -> list[Object]:
    """Return objects that a declared namespace no longer has: a quota, limits, the binding of a role without groups."""
    result = []
    for namespace in cluster["namespaces"]:
        kept = {(item["kind"], item["metadata"]["name"]) for item in _of(cluster, namespace)}
        possible = [("v1", "ResourceQuota", _QUOTA), ("v1", "LimitRange", _LIMITS)]
        possible += [(f"{_RBAC}/v1", "RoleBinding", f"project-{role}") for role in ROLES]
        result += [
            {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace["name"]}}
            for version, kind, name in possible
            if (kind, name) not in kept
        ]
    return result


def _of(cluster: Mapping[str, Any], namespace: Mapping[str, Any]) -> list[Object]:
    name = namespace["name"]
    labels = {**(namespace["labels"] or {}), **_OWNER}
    if namespace["project"]:
        labels["photon.platform/project"] = namespace["project"]
    if namespace["pod_security"]:
        labels["pod-security.kubernetes.io/enforce"] = namespace["pod_security"]
    result: list[Object] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}]
    if namespace["quota"]:
        result.append(
            {
                "apiVersion": "v1",
                "kind": "ResourceQuota",
                "metadata": _metadata(_QUOTA, name),
                "spec": {"hard": dict(namespace["quota"])},
            }
        )
    limits = {
        key: dict(namespace[source])
        for key, source in (
            ("default", "container_defaults"),
            ("defaultRequest", "container_requests"),
            ("max", "container_maximum"),
        )
        if namespace[source]
    }
    if limits:
        result.append(
            {
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": _metadata(_LIMITS, name),
                "spec": {"limits": [{"type": "Container", **limits}]},
            }
        )
    return result + [_binding(cluster, name, role, namespace[role]) for role in ROLES if namespace[role]]


def _binding(cluster: Mapping[str, Any], namespace: str, role: str, groups: list[str]) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(f"project-{role}", namespace),
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [
            {"apiGroup": _RBAC, "kind": "Group", "name": prefix + group}
            for group in groups
            for prefix in cluster["prefixes"]
        ],
    }


def _metadata(name: str, namespace: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": dict(_OWNER)}
