# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster's declaration may hold: one table, from which checks, defaults and the documentation follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.declaration.fields import Field, Schema
from . import versions

PREFIX = "lightwave:"

ENDPOINT: Schema = {
    "host": Field("text", "name that clients know the API server by; default: the address"),
    "address": Field(
        "text", "a VIP of role haproxy, or an address of your own balancer; default: a single member's own address"
    ),
    "port": Field("int", "TCP port of the API server at the address", default=6443, minimum=1, maximum=65535),
    "certificate_names": Field("list", "more names and addresses for the certificate", initial=[], elements="text"),
}
FLANNEL: Schema = {
    "image": Field("text", "image of the daemon", default="ghcr.io/flannel-io/flannel:v0.28.10"),
    "plugin_image": Field(
        "text", "image with the CNI plugin", default="ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3"
    ),
}
NETWORKS: Schema = {
    "pods": Field("text", "addresses of pods", default="10.244.0.0/16"),
    "services": Field("text", "addresses of Services", default="10.96.0.0/16"),
    "hosts": Field("text", "network of the members' addresses; needed by the plugin routed, else only checked"),
    "node_mask": Field(
        "int", "size of the part of the pods' network that a node gets", default=24, minimum=16, maximum=28
    ),
    "domain": Field("text", "DNS domain of the cluster", default="cluster.local"),
    "plugin": Field(
        "text",
        "flannel: VXLAN between all hosts; routed: plain routes between hosts of one network; manifest: your own",
        default="flannel",
        choices=("flannel", "routed", "manifest"),
    ),
    "flannel": Field("mapping", "the plugin flannel", options=FLANNEL),
    "manifest": Field("text", "file on the controller with the objects of the plugin manifest"),
    "mtu": Field(
        "int", "size of packets between pods; default: what the hosts' interface allows", minimum=576, maximum=9216
    ),
    "proxy_mode": Field(
        "text", "how kube-proxy makes Services reachable", default="nftables", choices=("nftables", "iptables")
    ),
}
REGISTRY: Schema = {
    "host": Field(
        "text", "name in front of an image's name, such as registry.example.com; _default for all others", required=True
    ),
    "mirrors": Field(
        "list", "URLs to ask in their order; the registry itself is asked last", initial=[], elements="text"
    ),
    "only_mirrors": Field(
        "boolean", "never ask the registry itself, as a site without internet wants it", default=False
    ),
    "ca": Field("text", "certificate of the authority behind the mirrors, in PEM, or its file on the controller"),
    "verify": Field("boolean", "verify the mirrors' certificates", default=True),
    "capabilities": Field(
        "list",
        "what a mirror is asked for",
        initial=["pull", "resolve"],
        elements="text",
        choices=("pull", "resolve", "push"),
    ),
}
PROXY: Schema = {
    "http": Field("text", "proxy for http URLs"),
    "https": Field("text", "proxy for https URLs"),
    "no_proxy": Field(
        "list", "names and networks to reach without it; the cluster's own are added", initial=[], elements="text"
    ),
}
RUNTIME: Schema = {
    "sandbox_image": Field(
        "text", "image of the container that holds a pod's namespaces; default: that of the version"
    ),
    "containerd": Field(
        "text",
        "generation of containerd that the packages bring: decides the configuration's format",
        default="1.7",
        choices=("1.7", "2"),
    ),
    "package": Field("text", "package that holds containerd; default: containerd (apt), containerd.io (dnf)"),
    "package_version": Field("text", "version of that package", default="present"),
    "registries": Field("list", "registries with mirrors", initial=[], elements="mapping", options=REGISTRY),
    "proxy": Field("mapping", "proxy that images are pulled through", options=PROXY),
    "cgroup_driver": Field(
        "text",
        "who makes control groups, for containerd and kubelet alike",
        default="systemd",
        choices=("systemd", "cgroupfs"),
    ),
    "cni_bin_dir": Field("text", "directory of the network programs; default: /usr/lib/cni (apt), /opt/cni/bin (dnf)"),
    "restrict_oom_score_adj": Field(
        "boolean", "for hosts that are containers themselves: never lower a score below the host's own", default=False
    ),
}
REPOSITORY: Schema = {
    "url": Field("text", "where the packages are; {minor} and {version} stand for those of the cluster", required=True),
    "suite": Field("text", "suite of an apt repository; one that ends in / has no components", default="./"),
    "components": Field("list", "components of the suite", initial=[], elements="text"),
    "key": Field("text", "public key that signs the repository, in ASCII armour, or its file on the controller"),
    "trusted": Field("boolean", "take packages without a signature", default=False),
}
PACKAGES: Schema = {
    "manager": Field("text", "the hosts' package manager", default="apt", choices=("apt", "dnf")),
    "source": Field(
        "text",
        "repository: from a package repository; bundle: from a file of playbook cluster_bundle; "
        "installed: the hosts' images or repositories have them already",
        default="repository",
        choices=("repository", "bundle", "installed"),
    ),
    "repository": Field("mapping", "the package repository", options=REPOSITORY),
    "only_repository": Field("boolean", "take no package from anywhere else", default=False),
    "bundle": Field("text", "the bundle's file on the controller"),
    "names": Field(
        "list",
        "packages beside kubeadm, kubelet, kubectl and the runtime; default: what kubelet calls for",
        elements="text",
    ),
}
OIDC: Schema = {
    "issuer": Field("text", "https URL, exactly as in the tokens' iss", required=True),
    "audiences": Field("list", "a token must be meant for one of these", required=True, elements="text", minimum=1),
    "certificate_authority": Field(
        "text", "authority of the issuer's certificate, in PEM, or its file on the controller"
    ),
    "prefix": Field(
        "text", "put in front of users and groups, so that they cannot be mistaken for others", default=PREFIX
    ),
    "username_claim": Field("text", "claim with the user's name", default="sub"),
    "groups_claim": Field("text", "claim with the groups", default="groups"),
    "max_lifetime": Field(
        "int", "refuse tokens that are valid for longer, in seconds", default=3600, minimum=60, maximum=86400
    ),
}
ENCRYPTION_KEY: Schema = {
    "name": Field("text", "name of the key, kept with what it encrypts", required=True),
    "secret": Field("text", "32 random bytes in base64, from a vault", required=True),
}
ENCRYPTION: Schema = {
    "provider": Field(
        "text",
        "how Secrets are encrypted in etcd; none leaves them readable there",
        default="secretbox",
        choices=("secretbox", "aescbc", "none"),
    ),
    "keys": Field(
        "list",
        "newest first; left out: one is made on the first member and kept on the control plane alone",
        initial=[],
        elements="mapping",
        options=ENCRYPTION_KEY,
    ),
    "resources": Field("list", "what is encrypted", initial=["secrets"], elements="text"),
}
AUDIT: Schema = {
    "enabled": Field("boolean", "write who did what", default=True),
    "policy": Field("free", "an audit policy of your own, instead of the shipped one"),
    "max_age": Field("int", "days to keep", default=30, minimum=1, maximum=3650),
    "max_backups": Field("int", "files to keep", default=10, minimum=1, maximum=1000),
    "max_size": Field("int", "megabytes per file", default=100, minimum=1, maximum=10000),
}
_LEVELS = ("privileged", "baseline", "restricted")
POD_SECURITY: Schema = {
    "enforce": Field("text", "pods beyond it are refused", default="baseline", choices=_LEVELS),
    "audit": Field("text", "pods beyond it are noted in the audit log", default="restricted", choices=_LEVELS),
    "warn": Field("text", "pods beyond it get a warning", default="restricted", choices=_LEVELS),
    "exempt_namespaces": Field(
        "list", "namespaces without limits; those of the cluster's own parts are added", initial=[], elements="text"
    ),
}
TAINT: Schema = {
    "key": Field("text", "the taint's key", required=True),
    "value": Field("text", "the taint's value"),
    "effect": Field(
        "text",
        "what happens to pods that do not tolerate it",
        required=True,
        choices=("NoSchedule", "PreferNoSchedule", "NoExecute"),
    ),
}
NODE: Schema = {
    "labels": Field("strings", "labels of the node"),
    "taints": Field("list", "taints of the node", elements="mapping", options=TAINT),
    "kubelet": Field("free", "keys of KubeletConfiguration for this node alone"),
}
NAMESPACE: Schema = {
    "name": Field("text", "name of the namespace", required=True),
    "project": Field("text", "the platform's project that it belongs to"),
    "labels": Field("strings", "more labels"),
    "quota": Field("strings", "limits of a ResourceQuota, such as {requests.cpu: 10, pods: 50}"),
    "container_defaults": Field("strings", "limits of a container that names none, such as {cpu: 500m, memory: 256Mi}"),
    "container_requests": Field("strings", "requests of a container that names none"),
    "container_maximum": Field("strings", "most that a container may ask for"),
    "pod_security": Field("text", "pods beyond it are refused here; default: the cluster's", choices=_LEVELS),
    "admin": Field("list", "groups that administer it", initial=[], elements="text"),
    "edit": Field("list", "groups that change what runs in it", initial=[], elements="text"),
    "view": Field("list", "groups that read it, Secrets excepted", initial=[], elements="text"),
}
COREDNS: Schema = {
    "replicas": Field("int", "how many", default=2, minimum=1, maximum=50),
    "forward": Field(
        "list",
        "name servers for names outside of the cluster; left out: those of the hosts",
        initial=[],
        elements="text",
    ),
    "zones": Field("free", "domain: list of its name servers", initial={}),
    "cache_seconds": Field("int", "how long answers are kept", default=30, minimum=0, maximum=3600),
}
METRICS_SERVER: Schema = {
    "enabled": Field("boolean", "deploy it: kubectl top and autoscaling need it", default=True),
    "replicas": Field("int", "how many", default=1, minimum=1, maximum=5),
    "image": Field("text", "its image", default="registry.k8s.io/metrics-server/metrics-server:v0.9.0"),
}
STORAGE_CLASS: Schema = {
    "manifest": Field(
        "text", "file on the controller with the objects of a provisioner and its StorageClass", required=True
    ),
}
ADDONS: Schema = {
    "coredns": Field("mapping", "the cluster's name server", options=COREDNS),
    "metrics_server": Field("free", "metrics-server: true, false, or its settings"),
    "storage_class": Field("mapping", "hook for storage", options=STORAGE_CLASS),
    "manifests": Field("list", "files on the controller with objects of your own", initial=[], elements="text"),
}
KUBEADM: Schema = {
    "ignore_preflight_errors": Field("list", "checks of kubeadm to pass over", initial=[], elements="text"),
    "image_repository": Field("text", "where the images of the control plane are, when not at their upstream names"),
    "timeout": Field("int", "seconds that kubeadm waits for the control plane", default=240, minimum=30, maximum=3600),
    "certificate_days": Field("int", "validity of certificates", default=365, minimum=1, maximum=3650),
    "authority_days": Field("int", "validity of the cluster's authorities", default=3650, minimum=30, maximum=36500),
    "arguments": Field("free", "api_server, controller_manager, scheduler, etcd: {flag: value}, beside the role's own"),
}
PREFLIGHT: Schema = {
    "disk_gb": Field("number", "free space for images and containers", default=4, minimum=0, maximum=10000),
    "etcd_disk_gb": Field(
        "number", "free space for etcd, on control-plane members", default=1, minimum=0, maximum=10000
    ),
    "memory_mb": Field("int", "memory of a host", default=1700, minimum=0, maximum=1 << 24),
}
HOST: Schema = {
    "swap": Field(
        "text",
        "off: switch it off for good; ignore: leave it, kubelet must accept it",
        default="off",
        choices=("off", "ignore"),
    ),
    "kernel_modules": Field("list", "beside overlay and br_netfilter", initial=[], elements="text"),
    "sysctls": Field("strings", "beside the role's own; an empty text leaves one of those alone", initial={}),
    "preflight": Field("mapping", "what a host must have", options=PREFLIGHT),
}
CLUSTER: Schema = {
    "name": Field("text", "name of the cluster: lower case letters, digits and dashes", required=True),
    "version": Field("text", "version of Kubernetes, all three numbers", default=versions.DEFAULT),
    "endpoint": Field("mapping", "where clients reach the API server", options=ENDPOINT),
    "networks": Field("mapping", "address ranges and how pods reach each other", options=NETWORKS),
    "runtime": Field("mapping", "containerd", options=RUNTIME),
    "packages": Field("mapping", "where packages come from", options=PACKAGES),
    "host": Field("mapping", "the hosts' kernel and what they must have", options=HOST),
    "oidc": Field("list", "issuers whose tokens are accepted", initial=[], elements="mapping", options=OIDC),
    "encryption": Field("mapping", "encryption at rest", options=ENCRYPTION),
    "audit": Field("mapping", "the audit log", options=AUDIT),
    "pod_security": Field("mapping", "limits for pods where a namespace has none of its own", options=POD_SECURITY),
    "nodes": Field("free", "inventory name: labels, taints and kubelet of this node", initial={}),
    "namespaces": Field("list", "namespaces of projects", initial=[], elements="mapping", options=NAMESPACE),
    "addons": Field("mapping", "what runs in the cluster", options=ADDONS),
    "kubeadm": Field("mapping", "settings of kubeadm", options=KUBEADM),
    "kubelet": Field("free", "more keys of KubeletConfiguration, for all nodes", initial={}),
    "kube_proxy": Field("free", "more keys of KubeProxyConfiguration", initial={}),
}


def complete(schema: Schema, value: Any) -> Any:
    """Sections that are left out get their defaults, and numbers stand for text where text is wanted."""
    if not isinstance(value, Mapping):
        return value
    result = dict(value)
    for key, spec in schema.items():
        given = result.get(key)
        if spec.type == "mapping" and spec.options:
            if given is None and not any(option.required for option in spec.options.values()):
                given = {}
            result[key] = complete(spec.options, given)
        elif spec.type == "list" and spec.options and isinstance(given, list):
            result[key] = [complete(spec.options, item) for item in given]
        elif spec.type == "text" and isinstance(given, (int, float)) and not isinstance(given, bool):
            result[key] = str(given)
    if "metrics_server" in schema:
        wanted = result.get("metrics_server")
        if wanted is None or isinstance(wanted, bool):
            result["metrics_server"] = {"enabled": wanted is not False}
    return result


def plain(value: Any) -> Any:
    """A deep copy in plain containers: templated ones are slow to walk, and the caller's stay as they are."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
