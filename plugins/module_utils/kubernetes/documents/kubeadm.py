# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render kubeadm's configuration (v1beta4) for init, join and upgrade.

The result is JSON documents separated by ``---``, which is valid YAML. docs/kubernetes.md lists the points of the CIS
Benchmark by number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .. import networks

API_VERSION = "kubeadm.k8s.io/v1beta4"
SOCKET = "unix:///run/containerd/containerd.sock"
PATCHES = "/etc/kubernetes/patches"
SETTINGS = "/etc/kubernetes/apiserver"  # files of the API server; kubeadm reset does not remove them
AUDIT_LOGS = "/var/log/kubernetes/audit"
# Only AEAD with forward secrecy; the TLS 1.3 suites are fixed in Go.
CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)
_PODS = 110  # kubelet's own default
# etcd's own limit of 2 GiB is soon reached; 8 GiB are its recommended maximum.
_ETCD_ARGUMENTS = {"quota-backend-bytes": str(8 * 1024**3)}
Cluster = Mapping[str, Any]
Member = Mapping[str, Any]


def init(cluster: Cluster, member: Member) -> str:
    """Return the configuration for ``kubeadm init``; its bootstrap token expires within an hour."""
    configuration = {
        "apiVersion": API_VERSION,
        "kind": "InitConfiguration",
        "localAPIEndpoint": _local_endpoint(cluster, member),
        "nodeRegistration": _registration(cluster, member),
        "patches": {"directory": PATCHES},
        "timeouts": _timeouts(cluster),
        "bootstrapTokens": [
            {
                "ttl": "1h0m0s",
                "usages": ["signing", "authentication"],
                "groups": ["system:bootstrappers:kubeadm:default-node-token"],
            }
        ],
    }
    proxy = [] if cluster["networks"]["proxy_mode"] == "none" else [kube_proxy(cluster)]
    return text([configuration, cluster_configuration(cluster), kubelet(cluster), *proxy])


def join(cluster: Cluster, member: Member, material: Mapping[str, Any]) -> str:
    """Return the configuration for ``kubeadm join``; ``material``: token, ca_hashes, optionally certificate_key."""
    configuration: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "apiServerEndpoint": endpoint(cluster),
                "token": material["token"],
                "caCertHashes": list(material["ca_hashes"]),
            },
        },
        "nodeRegistration": _registration(cluster, member),
        "patches": {"directory": PATCHES},
        "timeouts": _timeouts(cluster),
    }
    if member["role"] == "control_plane":
        configuration["controlPlane"] = {
            "localAPIEndpoint": _local_endpoint(cluster, member),
            "certificateKey": material["certificate_key"],
        }
    return text([configuration])


def upgrade(cluster: Cluster) -> str:
    """Return the configuration for ``kubeadm upgrade``, with the ignored checks, which the cluster does not store."""
    ignored = list(cluster["kubeadm"]["ignore_preflight_errors"])
    common = {"patches": {"directory": PATCHES}, "ignorePreflightErrors": ignored, "imagePullPolicy": "IfNotPresent"}
    return text(
        [
            {
                "apiVersion": API_VERSION,
                "kind": "UpgradeConfiguration",
                "apply": {
                    "kubernetesVersion": f"v{cluster['version']}",
                    "certificateRenewal": True,
                    "etcdUpgrade": True,
                    **common,
                },
                "node": {"certificateRenewal": True, "etcdUpgrade": True, **common},
                "timeouts": {"upgradeManifests": f"{cluster['kubeadm']['timeout']}s"},
            }
        ]
    )


def cluster_configuration(cluster: Cluster) -> dict[str, Any]:
    """Return the configuration of all control-plane members, which kubeadm stores in ConfigMap kubeadm-config."""
    arguments = cluster["kubeadm"]["arguments"] or {}
    net = cluster["networks"]
    configuration: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "ClusterConfiguration",
        "clusterName": cluster["name"],
        "kubernetesVersion": f"v{cluster['version']}",
        "controlPlaneEndpoint": endpoint(cluster),
        "networking": {"podSubnet": net["pods"], "serviceSubnet": net["services"], "dnsDomain": net["domain"]},
        "certificateValidityPeriod": f"{cluster['kubeadm']['certificate_days'] * 24}h0m0s",
        "caCertificateValidityPeriod": f"{cluster['kubeadm']['authority_days'] * 24}h0m0s",
        "apiServer": {
            "certSANs": certificate_names(cluster),
            "extraArgs": as_arguments(api_server_arguments(cluster), arguments.get("api_server")),
            "extraVolumes": _volumes(cluster),
        },
        "controllerManager": {
            "extraArgs": as_arguments(_controller_manager_arguments(cluster), arguments.get("controller_manager"))
        },
        "scheduler": {"extraArgs": as_arguments({"profiling": "false"}, arguments.get("scheduler"))},
    }
    configuration["etcd"] = {
        "local": {"dataDir": "/var/lib/etcd", "extraArgs": as_arguments(_ETCD_ARGUMENTS, arguments.get("etcd"))}
    }
    if net["proxy_mode"] == "none":
        configuration["proxy"] = {"disabled": True}
    if cluster["kubeadm"]["image_repository"]:
        configuration["imageRepository"] = cluster["kubeadm"]["image_repository"]
    return configuration


def api_server_arguments(cluster: Cluster) -> dict[str, str]:
    """Return flags of kube-apiserver in addition to kubeadm's own."""
    arguments = {
        "admission-control-config-file": f"{SETTINGS}/admission.json",
        "authentication-config": f"{SETTINGS}/authentication.json",
        "enable-admission-plugins": "NodeRestriction",
        "kubelet-certificate-authority": "/etc/kubernetes/pki/ca.crt",
        "profiling": "false",
        "tls-cipher-suites": ",".join(CIPHERS),
        "tls-min-version": "VersionTLS12",
    }
    if cluster["encryption"]["provider"] != "none":
        arguments["encryption-provider-config"] = f"{SETTINGS}/encryption.json"
        arguments["encryption-provider-config-automatic-reload"] = "true"
    audit = cluster["audit"]
    if audit["enabled"]:
        arguments |= {
            "audit-policy-file": f"{SETTINGS}/audit.json",
            "audit-log-path": f"{AUDIT_LOGS}/audit.log",
            "audit-log-maxage": str(audit["max_age"]),
            "audit-log-maxbackup": str(audit["max_backups"]),
            "audit-log-maxsize": str(audit["max_size"]),
        }
    return arguments


def kubelet(cluster: Cluster) -> dict[str, Any]:
    """Return the KubeletConfiguration of all nodes; declared keys take precedence, mappings are merged."""
    own: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": cluster["runtime"]["cgroup_driver"],
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "readOnlyPort": 0,
        "protectKernelDefaults": True,
        "rotateCertificates": True,
        "serverTLSBootstrap": True,
        "seccompDefault": True,
        "streamingConnectionIdleTimeout": "4h0m0s",
        "tlsMinVersion": "VersionTLS12",
        "tlsCipherSuites": list(CIPHERS),
        # What pods cannot take from the system, so that a full node stays manageable.
        "kubeReserved": {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "1Gi"},
        "systemReserved": {"cpu": "100m", "memory": "256Mi", "ephemeral-storage": "1Gi"},
        # A reboot ends pods in order, as a drain does.
        "shutdownGracePeriod": "60s",
        "shutdownGracePeriodCriticalPods": "20s",
        "containerLogMaxSize": "50Mi",
        "containerLogMaxFiles": 5,
        "imageMaximumGCAge": "336h0m0s",
        "maxPods": min(_PODS, networks.pods_per_node(cluster["networks"]["node_mask"])),
    }
    if cluster["host"]["swap"] == "ignore":
        own["failSwapOn"] = False
    return merged(own, cluster["kubelet"])


def kube_proxy(cluster: Cluster) -> dict[str, Any]:
    """KubeProxyConfiguration."""
    own = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": cluster["networks"]["proxy_mode"],
        "clusterCIDR": cluster["networks"]["pods"],
    }
    return merged(own, cluster["kube_proxy"])


def endpoint(cluster: Cluster) -> str:
    """Return ``host:port`` under which all clients reach the API server."""
    return f"{cluster['endpoint']['host']}:{cluster['endpoint']['port']}"


def certificate_names(cluster: Cluster) -> list[str]:
    """Return names and addresses in the API server's certificate in addition to kubeadm's own."""
    end = cluster["endpoint"]
    return list(dict.fromkeys([end["host"], end["address"], *end["certificate_names"]]))


def as_arguments(own: Mapping[str, Any], given: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """Return flags in the format of v1beta4, sorted by name; declared flags take precedence."""
    together = {**own, **{str(key).lstrip("-"): value for key, value in (given or {}).items()}}
    return [{"name": key, "value": _flag(together[key])} for key in sorted(together)]


def merged(own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge ``given`` into ``own``, mappings key by key."""
    result = dict(own)
    for key, value in given.items():
        mine = result.get(key)
        result[key] = merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return result


def text(documents: Sequence[Any]) -> str:
    """Join JSON documents with sorted keys, so that equal content gives equal text."""
    return "---\n".join(json.dumps(document, indent=2, sort_keys=True) + "\n" for document in documents)


def _registration(cluster: Cluster, member: Member) -> dict[str, Any]:
    return {
        "name": member["name"],
        "criSocket": SOCKET,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSerial": False,
        "ignorePreflightErrors": list(cluster["kubeadm"]["ignore_preflight_errors"]),
        "kubeletExtraArgs": as_arguments(
            {"node-ip": member["address"]},
            {**((cluster["kubeadm"]["arguments"] or {}).get("kubelet") or {}), **member["kubelet_arguments"]},
        ),
        "taints": [{key: value for key, value in taint.items() if value is not None} for taint in member["taints"]],
    }


def _local_endpoint(cluster: Cluster, member: Member) -> dict[str, Any]:
    return {"advertiseAddress": member["address"], "bindPort": cluster["endpoint"]["bind_port"]}


def _timeouts(cluster: Cluster) -> dict[str, str]:
    seconds = f"{cluster['kubeadm']['timeout']}s"
    return {
        "controlPlaneComponentHealthCheck": seconds,
        "kubeletHealthCheck": seconds,
        "tlsBootstrap": "5m0s",
        "discovery": "5m0s",
    }


def _controller_manager_arguments(cluster: Cluster) -> dict[str, str]:
    net = cluster["networks"]
    arguments = {
        "profiling": "false",
        "terminated-pod-gc-threshold": "1000",
        "tls-cipher-suites": ",".join(CIPHERS),
        "tls-min-version": "VersionTLS12",
    }
    if net["plugin"] == "routed":  # the nodes' networks are derived from their addresses
        arguments["allocate-node-cidrs"] = "false"
    else:
        length = networks.parse(net["pods"]).prefixlen
        if net["node_mask"] != 24 or length > 24:
            arguments["node-cidr-mask-size"] = str(net["node_mask"])
    return arguments


def _volumes(cluster: Cluster) -> list[dict[str, Any]]:
    """Mount directories, as a mounted file would stay the old one in the container when it is replaced."""
    volumes = [
        {
            "name": "settings",
            "hostPath": SETTINGS,
            "mountPath": SETTINGS,
            "readOnly": True,
            "pathType": "DirectoryOrCreate",
        }
    ]
    if cluster["audit"]["enabled"]:
        volumes.append(
            {"name": "audit", "hostPath": AUDIT_LOGS, "mountPath": AUDIT_LOGS, "pathType": "DirectoryOrCreate"}
        )
    return volumes


def _flag(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
