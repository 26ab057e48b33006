# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the add-ons of every cluster: CoreDNS settings and metrics-server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SYSTEM = "kube-system"
_METRICS = "metrics-server"
_RBAC = "rbac.authorization.k8s.io"
Object = dict[str, Any]


def objects(cluster: Mapping[str, Any]) -> list[Object]:
    """Return the add-ons' objects, without those of user-supplied manifests."""
    return [*coredns(cluster), *metrics_server(cluster)]


def absent(cluster: Mapping[str, Any]) -> list[Object]:
    """Return the objects to remove: metrics-server when it is disabled."""
    if cluster["addons"]["metrics_server"]["enabled"]:
        return []
    off = {
        **cluster,
        "addons": {**cluster["addons"], "metrics_server": {**cluster["addons"]["metrics_server"], "enabled": True}},
    }
    return metrics_server(off)


def coredns(cluster: Mapping[str, Any]) -> list[Object]:
    """Return CoreDNS settings, applied server-side on top of kubeadm's deployment.

    Both pods start on the first member; a drain moves them one by one.
    """
    place = {"name": "coredns", "namespace": _SYSTEM}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": dict(place), "data": {"Corefile": corefile(cluster)}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": dict(place),
            "spec": {"replicas": cluster["addons"]["coredns"]["replicas"]},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": dict(place),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}},
        },
    ]


def corefile(cluster: Mapping[str, Any]) -> str:
    """Render CoreDNS' configuration: the cluster's domain, zones of other DNS servers, and forwarding of the rest."""
    settings, domain = cluster["addons"]["coredns"], cluster["networks"]["domain"]
    seconds = settings["cache_seconds"]
    upstream = " ".join(settings["forward"]) or "/etc/resolv.conf"
    blocks = [
        ["errors"],
        ["health {", "   lameduck 5s", "}"],
        ["ready"],
        [
            f"kubernetes {domain} in-addr.arpa ip6.arpa {{",
            "   pods insecure",
            "   fallthrough in-addr.arpa ip6.arpa",
            "   ttl 30",
            "}",
        ],
        ["prometheus :9153"],
        [f"forward . {upstream} {{", "   max_concurrent 1000", "}"],
        # CoreDNS has the cluster's names in memory, and cached ones could be outdated.
        *(
            [[f"cache {seconds} {{", f"   disable success {domain}", f"   disable denial {domain}", "}"]]
            if seconds
            else []
        ),
        ["loop"],
        ["reload"],
        ["loadbalance"],
    ]
    text = _server(".:53", blocks)
    for zone, servers in sorted(settings["zones"].items()):
        cache = [[f"cache {seconds}"]] if seconds else []
        text += _server(f"{zone}:53", [["errors"], *cache, [f"forward . {' '.join(servers)}"]])
    return text


def metrics_server(cluster: Mapping[str, Any]) -> list[Object]:
    """Return metrics-server, which verifies kubelets with the cluster's authority; empty when disabled."""
    settings = cluster["addons"]["metrics_server"]
    if not settings["enabled"]:
        return []
    account = {"kind": "ServiceAccount", "name": _METRICS, "namespace": _SYSTEM}
    labels = {"k8s-app": _METRICS}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(_METRICS, _SYSTEM)},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": _metadata(
                "system:aggregated-metrics-reader",
                labels={f"{_RBAC}/aggregate-to-{role}": "true" for role in ("admin", "edit", "view")},
            ),
            "rules": [
                {"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}
            ],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": _metadata("system:metrics-server"),
            "rules": [
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
            ],
        },
        _binding(
            "RoleBinding", "metrics-server-auth-reader", "Role", "extension-apiserver-authentication-reader", account
        ),
        _binding(
            "ClusterRoleBinding",
            "metrics-server:system:auth-delegator",
            "ClusterRole",
            "system:auth-delegator",
            account,
        ),
        _binding("ClusterRoleBinding", "system:metrics-server", "ClusterRole", "system:metrics-server", account),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": _metadata(_METRICS, _SYSTEM),
            "spec": {
                "selector": labels,
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}],
            },
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": _metadata(_METRICS, _SYSTEM),
            "spec": {
                "replicas": settings["replicas"],
                "selector": {"matchLabels": labels},
                "strategy": {"rollingUpdate": {"maxUnavailable": 0}},
                "template": {"metadata": {"labels": labels}, "spec": _metrics_pod(settings)},
            },
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": _metadata("v1beta1.metrics.k8s.io"),
            "spec": {
                "group": "metrics.k8s.io",
                "version": "v1beta1",
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "insecureSkipTLSVerify": True,  # self-signed certificate, reached only within the cluster
                "service": {"name": _METRICS, "namespace": _SYSTEM},
            },
        },
    ]


def _metrics_pod(settings: Mapping[str, Any]) -> Object:
    def probe(path: str, delay: int) -> Object:
        get = {"path": path, "port": "https", "scheme": "HTTPS"}
        return {"httpGet": get, "initialDelaySeconds": delay, "periodSeconds": 10, "failureThreshold": 3}

    container = {
        "name": _METRICS,
        "image": settings["image"],
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--cert-dir=/tmp",
            "--secure-port=10250",
            "--kubelet-preferred-address-types=InternalIP",
            "--kubelet-use-node-status-port",
            "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt",
            "--metric-resolution=15s",
        ],
        "ports": [{"name": "https", "containerPort": 10250, "protocol": "TCP"}],
        "livenessProbe": probe("/livez", 0),
        "readinessProbe": probe("/readyz", 5),
        "resources": {"requests": {"cpu": "100m", "memory": "100Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "serviceAccountName": _METRICS,
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}],
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def _metadata(name: str, namespace: str | None = None, labels: Mapping[str, str] | None = None) -> Object:
    place = {"namespace": namespace} if namespace else {}
    return {
        "name": name,
        **place,
        "labels": {"k8s-app": _METRICS, "app.kubernetes.io/part-of": "photon.platform", **(labels or {})},
    }


def _binding(kind: str, name: str, role_kind: str, role: str, account: Mapping[str, str]) -> Object:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": _metadata(name, _SYSTEM if kind == "RoleBinding" else None),
        "roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": role},
        "subjects": [dict(account)],
    }


def _server(name: str, blocks: list[list[str]]) -> str:
    return f"{name} {{\n" + "".join(f"    {line}\n" for block in blocks for line in block) + "}\n"
