# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the API server's files: authentication, audit policy and admission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Anonymous access: health checks of balancers and kubelet, and the discovery of kubeadm join.
ANONYMOUS_PATHS = ("/healthz", "/livez", "/readyz", "/api/v1/namespaces/kube-public/configmaps/cluster-info")
_OWN_NAMESPACES = ("kube-flannel", "kube-system")


def authentication(issuers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the AuthenticationConfiguration (v1, Kubernetes 1.34 and newer) of ``oidc``."""
    configuration: dict[str, Any] = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": [{"path": path} for path in ANONYMOUS_PATHS]},
    }
    if issuers:
        configuration["jwt"] = [_issuer(issuer) for issuer in issuers]
    return configuration


def _issuer(declared: Mapping[str, Any]) -> dict[str, Any]:
    prefix = declared["prefix"]
    issuer: dict[str, Any] = {
        "url": declared["issuer"],
        "audiences": list(declared["audiences"]),
        "audienceMatchPolicy": "MatchAny",
    }
    if declared["certificate_authority"]:
        issuer["certificateAuthority"] = declared["certificate_authority"]
    reserved = [_text("system:"), *([_text(f"{prefix}system:")] if prefix else [])]
    return {
        "issuer": issuer,
        "claimMappings": {
            "username": {"claim": declared["username_claim"], "prefix": prefix},
            "groups": {"claim": declared["groups_claim"], "prefix": prefix},
        },
        "claimValidationRules": [
            {
                "expression": f"has(claims.iat) && claims.exp - claims.iat <= {declared['max_lifetime']}",
                "message": f"a token must have iat and be valid for at most {declared['max_lifetime']} seconds",
            }
        ],
        "userValidationRules": [
            {
                "expression": " && ".join(f"!user.username.startsWith({word})" for word in reserved),
                "message": "user names must not begin with system:",
            },
            {
                "expression": "user.groups.all(group, "
                + " && ".join(f"!group.startsWith({word})" for word in reserved)
                + ")",
                "message": "group names must not begin with system:",
            },
        ],
    }


def _text(value: str) -> str:
    """Quote a string for CEL."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def audit_policy(own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return ``own`` or a policy that records changes without secrets and without the cluster's internal requests."""
    if own:
        return {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **own}
    quiet = [
        {"users": ["system:kube-proxy"], "verbs": ["watch"]},
        {"nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi*"]},
        {"resources": [{"group": "", "resources": ["events"]}, {"group": "events.k8s.io", "resources": ["events"]}]},
        {
            "verbs": ["get", "list", "watch", "update", "patch"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {"userGroups": ["system:nodes"], "verbs": ["get", "list", "watch"]},
        {
            "userGroups": ["system:nodes"],
            "verbs": ["update", "patch"],
            "resources": [{"group": "", "resources": ["nodes/status", "pods/status"]}],
        },
        {
            "users": ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler"],
            "verbs": ["get", "list", "watch"],
        },
    ]
    secret = [
        {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
        {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
    ]
    rules: list[dict[str, Any]] = [{"level": "None", **rule} for rule in quiet]
    rules += [
        {"level": "Metadata", "resources": secret},
        {"level": "Metadata", "verbs": ["get", "list", "watch"]},
        {
            "level": "Request",
            "resources": [{"group": "", "resources": ["pods/exec", "pods/attach", "pods/portforward"]}],
        },
        {
            "level": "RequestResponse",
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            "resources": [{"group": "rbac.authorization.k8s.io"}],
        },
        {"level": "Request", "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
        {"level": "Metadata"},
    ]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": True,
        "rules": rules,
    }


def admission(levels: Mapping[str, Any]) -> dict[str, Any]:
    """Return the AdmissionConfiguration with the Pod Security defaults."""
    defaults = {}
    for mode in ("enforce", "audit", "warn"):
        defaults |= {mode: levels[mode], f"{mode}-version": "latest"}
    exempt = sorted({*_OWN_NAMESPACES, *levels["exempt_namespaces"]})
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [
            {
                "name": "PodSecurity",
                "configuration": {
                    "apiVersion": "pod-security.admission.config.k8s.io/v1",
                    "kind": "PodSecurityConfiguration",
                    "defaults": defaults,
                    "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": exempt},
                },
            }
        ],
    }
