# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the objects of the pod network. The plugin routed has none, only files on the hosts (``routed``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

NAMESPACE = "kube-flannel"
_NAME = "flannel"
_DAEMON = "kube-flannel-ds"
_CONFIGURATION = "kube-flannel-cfg"
_LABELS = {"app.kubernetes.io/name": _NAME, "app.kubernetes.io/part-of": "photon.platform"}
# The newest version that Debian's CNI plugins support; newer plugins support it too.
_CNI_VERSION = "0.4.0"
Object = dict[str, Any]


def absent(cluster: Mapping[str, Any]) -> list[Object]:
    """Return the objects to remove: kube-proxy when it is left out."""
    if cluster["networks"]["proxy_mode"] != "none":
        return []
    place = {"name": "kube-proxy", "namespace": "kube-system"}
    return [
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": place},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place},
    ]


def objects(cluster: Mapping[str, Any]) -> list[Object]:
    """Return the plugin's objects in the cluster; empty for routed and manifest."""
    if cluster["networks"]["plugin"] != "flannel":
        return []
    return [_namespace(), *_rights(), _configuration(cluster), _daemon(cluster)]


def _namespace() -> Object:
    labels = {**_LABELS, "pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _rights() -> list[Object]:
    """Return flannel's RBAC rules: it reads its node's network and stores its address there."""
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    ]
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(_NAME)},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": _NAME, "labels": _LABELS},
            "rules": rules,
        },
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": _NAME, "labels": _LABELS},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": _NAME},
            "subjects": [{"kind": "ServiceAccount", "name": _NAME, "namespace": NAMESPACE}],
        },
    ]


def _configuration(cluster: Mapping[str, Any]) -> Object:
    net = cluster["networks"]
    delegate = {"hairpinMode": True, "isDefaultGateway": True, **({"mtu": net["mtu"]} if net["mtu"] else {})}
    plugins = [
        {"type": "flannel", "delegate": delegate},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    tables = net["proxy_mode"] == "nftables"
    data = {
        "cni-conf.json": {"name": "cbr0", "cniVersion": _CNI_VERSION, "plugins": plugins},
        "net-conf.json": {"Network": net["pods"], "EnableNFTables": tables, "Backend": {"Type": "vxlan"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(_CONFIGURATION),
        "data": {name: json.dumps(content, indent=2) + "\n" for name, content in data.items()},
    }


def _daemon(cluster: Mapping[str, Any]) -> Object:
    net, labels = cluster["networks"], {"app": _NAME}
    images = net["flannel"]
    folders = {"cni-plugin": cluster["runtime"]["cni_bin_dir"], "cni": "/etc/cni/net.d", "run": "/run/flannel"}
    volumes: list[Object] = [{"name": name, "hostPath": {"path": path}} for name, path in folders.items()]
    volumes += [
        {"name": "configuration", "configMap": {"name": _CONFIGURATION}},
        {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}},
    ]
    configuration = {"name": "configuration", "mountPath": "/etc/kube-flannel"}
    install = [
        {
            "name": "install-plugin",
            "image": images["plugin_image"],
            "command": ["cp", "-f", "/flannel", "/host-cni/flannel"],
            "volumeMounts": [{"name": "cni-plugin", "mountPath": "/host-cni"}],
        },
        {
            "name": "install-configuration",
            "image": images["image"],
            "command": [
                "/opt/bin/install-conf",
                "/etc/kube-flannel/cni-conf.json",
                "/etc/cni/net.d/10-flannel.conflist",
            ],
            "volumeMounts": [{"name": "cni", "mountPath": "/etc/cni/net.d"}, configuration],
        },
    ]
    daemon = {
        "name": _NAME,
        "image": images["image"],
        "command": ["/opt/bin/flanneld"],
        # Hosts may have several interfaces; the node's address selects one.
        "args": [
            "--ip-masq",
            "--kube-subnet-mgr",
            "--iface=$(HOST_ADDRESS)",
            "--healthz-ip=127.0.0.1",
            "--healthz-port=8081",
        ],
        "env": [
            _field("HOST_ADDRESS", "status.hostIP"),
            _field("POD_NAME", "metadata.name"),
            _field("POD_NAMESPACE", "metadata.namespace"),
            {"name": "EVENT_QUEUE_DEPTH", "value": "5000"},
        ],
        "livenessProbe": _probe("/healthz", 10, 30),
        "readinessProbe": _probe("/readyz", 1, 5),
        "resources": {"requests": {"cpu": "100m", "memory": "50Mi"}},
        "securityContext": {"privileged": False, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        "volumeMounts": [
            {"name": "run", "mountPath": "/run/flannel"},
            configuration,
            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
        ],
    }
    pod = {
        "hostNetwork": True,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "priorityClassName": "system-node-critical",
        "serviceAccountName": _NAME,
        "tolerations": [{"operator": "Exists"}],
        "initContainers": install,
        "containers": [daemon],
        "volumes": volumes,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _metadata(_DAEMON),
        "spec": {
            "selector": {"matchLabels": labels},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": {**_LABELS, **labels}}, "spec": pod},
        },
    }


def _metadata(name: str) -> Object:
    return {"name": name, "namespace": NAMESPACE, "labels": dict(_LABELS)}


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _probe(path: str, delay: int, period: int) -> Object:
    return {
        "httpGet": {"path": path, "port": 8081, "host": "127.0.0.1"},
        "initialDelaySeconds": delay,
        "periodSeconds": period,
    }
