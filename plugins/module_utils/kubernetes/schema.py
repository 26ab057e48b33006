# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Define the schema of a cluster's declaration, the source of its checks, defaults and documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model.declaration.fields import Field, Schema
from . import versions

PREFIX = "lightwave:"

ENDPOINT: Schema = {
    "host": Field("text", "name under which clients reach the API server; default: the address"),
    "address": Field(
        "text", "a VIP of role haproxy, or an address of your own balancer; default: a single member's own address"
    ),
    "port": Field("int", "TCP port of the API server at the address", default=6443, minimum=1, maximum=65535),
    "certificate_names": Field(
        "list", "additional names and addresses in the certificate", initial=[], elements="text"
    ),
}
FLANNEL: Schema = {
    "image": Field("text", "image of the daemon", default="ghcr.io/flannel-io/flannel:v0.28.10"),
    "plugin_image": Field(
        "text", "image with the CNI plugin", default="ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3"
    ),
}
NETWORKS: Schema = {
    "pods": Field("text", "network of the pods", default="10.244.0.0/16"),
    "services": Field("text", "network of the Services", default="10.96.0.0/16"),
    "hosts": Field("text", "network of the members' addresses; required by the plugin routed, otherwise only checked"),
    "node_mask": Field(
        "int", "prefix length of each node's part of the pod network", default=24, minimum=16, maximum=28
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
    "mtu": Field("int", "MTU between pods; default: the maximum of the hosts' interface", minimum=576, maximum=9216),
    "proxy_mode": Field(
        "text",
        "mode of kube-proxy; none leaves it out, for networks that replace it",
        default="nftables",
        choices=("nftables", "iptables", "none"),
    ),
}
REGISTRY: Schema = {
    "host": Field(
        "text", "registry of the image names, such as registry.example.com; _default for all others", required=True
    ),
    "mirrors": Field(
        "list", "URLs of the mirrors in order of use; the registry itself is used last", initial=[], elements="text"
    ),
    "only_mirrors": Field("boolean", "never use the registry itself, for sites without internet access", default=False),
    "ca": Field("text", "certificate of the mirrors' authority, in PEM, or its file on the controller"),
    "verify": Field("boolean", "verify the mirrors' certificates", default=True),
    "capabilities": Field(
        "list",
        "capabilities of the mirrors",
        initial=["pull", "resolve"],
        elements="text",
        choices=("pull", "resolve", "push"),
    ),
}
PROXY: Schema = {
    "http": Field("text", "proxy for http URLs"),
    "https": Field("text", "proxy for https URLs"),
    "no_proxy": Field(
        "list",
        "names and networks to reach without the proxy; the cluster's own are added",
        initial=[],
        elements="text",
    ),
}
RUNTIME: Schema = {
    "sandbox_image": Field("text", "image of the pause container; default: that of the version"),
    "containerd": Field(
        "text",
        "version of containerd in the packages, which determines the format of its configuration; 2 is 2.1 and newer",
        default="1.7",
        choices=("1.7", "2.0", "2"),
    ),
    "package": Field("text", "package of containerd; default: containerd (apt), containerd.io (dnf)"),
    "package_version": Field("text", "version of that package", default="present"),
    "registries": Field("list", "registries with mirrors", initial=[], elements="mapping", options=REGISTRY),
    "proxy": Field("mapping", "proxy for image pulls", options=PROXY),
    "cgroup_driver": Field(
        "text",
        "cgroup driver of containerd and kubelet",
        default="systemd",
        choices=("systemd", "cgroupfs"),
    ),
    "cni_bin_dir": Field(
        "text",
        "directory of the CNI plugins; default: /usr/lib/cni (apt), /opt/cni/bin (dnf, and with the plugin manifest)",
    ),
    "imports": Field(
        "list", "configuration files of your own on the hosts that containerd reads too", initial=[], elements="text"
    ),
    "extra": Field("text", "tables in TOML at the end of containerd's configuration, such as further runtimes"),
    "configuration": Field(
        "text", "a configuration of containerd that replaces the role's, as text (of a template) or its file"
    ),
    "restrict_oom_score_adj": Field(
        "boolean", "for hosts that are containers: never set an OOM score below the host's own", default=False
    ),
}
REPOSITORY: Schema = {
    "url": Field(
        "text", "URL of the repository; {minor} and {version} are replaced by those of the cluster", required=True
    ),
    "suite": Field("text", "suite of an apt repository; one that ends in / has no components", default="./"),
    "components": Field("list", "components of the suite", initial=[], elements="text"),
    "key": Field("text", "public key that signs the repository, in ASCII armour, or its file on the controller"),
    "trusted": Field("boolean", "accept unsigned packages", default=False),
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
    "only_repository": Field("boolean", "use no other package repositories", default=False),
    "bundle": Field("text", "the bundle's file on the controller"),
    "names": Field(
        "list",
        "packages in addition to kubeadm, kubelet, kubectl and the runtime; default: those that kubelet needs",
        elements="text",
    ),
}
OIDC: Schema = {
    "issuer": Field("text", "https URL, exactly as in the tokens' iss", required=True),
    "audiences": Field(
        "list", "accepted audiences; a token must be issued for one of them", required=True, elements="text", minimum=1
    ),
    "certificate_authority": Field(
        "text", "authority of the issuer's certificate, in PEM, or its file on the controller"
    ),
    "prefix": Field("text", "prefix of user and group names, which keeps them apart from others", default=PREFIX),
    "username_claim": Field("text", "claim with the user's name", default="sub"),
    "groups_claim": Field("text", "claim with the groups", default="groups"),
    "max_lifetime": Field(
        "int", "maximum lifetime of accepted tokens, in seconds", default=3600, minimum=60, maximum=86400
    ),
}
ENCRYPTION_KEY: Schema = {
    "name": Field("text", "name of the key, stored with each encrypted object", required=True),
    "secret": Field("text", "32 random bytes in base64, from a vault", required=True),
}
ENCRYPTION: Schema = {
    "provider": Field(
        "text",
        "encryption provider for Secrets in etcd; none stores them in plain text",
        default="secretbox",
        choices=("secretbox", "aescbc", "none"),
    ),
    "keys": Field(
        "list",
        "newest first; default: one key is generated on the first member and kept on the control plane only",
        initial=[],
        elements="mapping",
        options=ENCRYPTION_KEY,
    ),
    "resources": Field("list", "resources to encrypt", initial=["secrets"], elements="text"),
}
AUDIT: Schema = {
    "enabled": Field("boolean", "enable the audit log", default=True),
    "policy": Field("free", "a custom audit policy that replaces the shipped one"),
    "max_age": Field("int", "days to keep", default=30, minimum=1, maximum=3650),
    "max_backups": Field("int", "files to keep", default=10, minimum=1, maximum=1000),
    "max_size": Field("int", "megabytes per file", default=100, minimum=1, maximum=10000),
}
_LEVELS = ("privileged", "baseline", "restricted")
POD_SECURITY: Schema = {
    "enforce": Field("text", "level above which pods are rejected", default="baseline", choices=_LEVELS),
    "audit": Field(
        "text", "level above which pods are recorded in the audit log", default="restricted", choices=_LEVELS
    ),
    "warn": Field("text", "level above which users get a warning", default="restricted", choices=_LEVELS),
    "exempt_namespaces": Field(
        "list",
        "namespaces that are exempt; those of the cluster's own components are added",
        initial=[],
        elements="text",
    ),
}
TAINT: Schema = {
    "key": Field("text", "the taint's key", required=True),
    "value": Field("text", "the taint's value"),
    "effect": Field(
        "text",
        "effect on pods that do not tolerate the taint",
        required=True,
        choices=("NoSchedule", "PreferNoSchedule", "NoExecute"),
    ),
}
NODE: Schema = {
    "labels": Field("strings", "labels of the node"),
    "taints": Field("list", "taints of the node", elements="mapping", options=TAINT),
    "kubelet": Field("free", "keys of KubeletConfiguration for this node"),
    "kubelet_arguments": Field("free", "flags of kubelet on this node, in addition to those of all nodes"),
}
NAMESPACE: Schema = {
    "name": Field("text", "name of the namespace", required=True),
    "project": Field("text", "project of the platform that it belongs to"),
    "labels": Field("strings", "additional labels"),
    "quota": Field("strings", "limits of a ResourceQuota, such as {requests.cpu: 10, pods: 50}"),
    "container_defaults": Field("strings", "default limits of a container, such as {cpu: 500m, memory: 256Mi}"),
    "container_requests": Field("strings", "default requests of a container"),
    "container_maximum": Field("strings", "maximum limits of a container"),
    "pod_security": Field("text", "level above which pods are rejected here; default: the cluster's", choices=_LEVELS),
    "admin": Field("list", "groups with the role admin", initial=[], elements="text"),
    "edit": Field("list", "groups with the role edit", initial=[], elements="text"),
    "view": Field("list", "groups with the role view, which excludes Secrets", initial=[], elements="text"),
}
COREDNS: Schema = {
    "replicas": Field(
        "int", "number of replicas; default: 2, with three and more control-plane members 3", minimum=1, maximum=50
    ),
    "forward": Field(
        "list",
        "DNS servers for names outside the cluster; default: those of the hosts",
        initial=[],
        elements="text",
    ),
    "zones": Field("free", "domain: list of its DNS servers", initial={}),
    "cache_seconds": Field("int", "time to cache answers, in seconds", default=30, minimum=0, maximum=3600),
}
METRICS_SERVER: Schema = {
    "enabled": Field("boolean", "deploy metrics-server, which kubectl top and autoscaling need", default=True),
    "replicas": Field("int", "number of replicas", default=1, minimum=1, maximum=5),
    "image": Field("text", "image of metrics-server", default="registry.k8s.io/metrics-server/metrics-server:v0.9.0"),
}
STORAGE_CLASS: Schema = {
    "manifest": Field(
        "text", "file on the controller with the objects of a provisioner and its StorageClass", required=True
    ),
}
ADDONS: Schema = {
    "coredns": Field("mapping", "the cluster's DNS server", options=COREDNS),
    "metrics_server": Field("free", "metrics-server: true, false, or its settings"),
    "storage_class": Field("mapping", "storage provisioner of your own", options=STORAGE_CLASS),
    "manifests": Field("list", "files on the controller with objects of your own", initial=[], elements="text"),
}
KUBEADM: Schema = {
    "ignore_preflight_errors": Field("list", "preflight checks of kubeadm to ignore", initial=[], elements="text"),
    "image_repository": Field("text", "repository of the control plane's images; default: upstream"),
    "timeout": Field(
        "int", "time that kubeadm waits for the control plane, in seconds", default=240, minimum=30, maximum=3600
    ),
    "certificate_days": Field("int", "validity of certificates, in days", default=365, minimum=1, maximum=3650),
    "authority_days": Field(
        "int", "validity of the cluster's authorities, in days", default=3650, minimum=30, maximum=36500
    ),
    "arguments": Field(
        "free",
        "api_server, controller_manager, scheduler, etcd, kubelet: {flag: value}, in addition to the role's own",
    ),
}
PREFLIGHT: Schema = {
    "disk_gb": Field(
        "number", "required free space for images and containers, in GB", default=4, minimum=0, maximum=10000
    ),
    "etcd_disk_gb": Field(
        "number", "required free space for etcd on control-plane members, in GB", default=1, minimum=0, maximum=10000
    ),
    "memory_mb": Field("int", "required memory of a host, in MB", default=1700, minimum=0, maximum=1 << 24),
}
HOST: Schema = {
    "swap": Field(
        "text",
        "off (or false): switch it off for good; ignore: leave it, kubelet must accept it",
        default="off",
        choices=("off", "ignore"),
    ),
    "kernel_modules": Field(
        "list", "kernel modules in addition to overlay and br_netfilter", initial=[], elements="text"
    ),
    "sysctls": Field("strings", "sysctls in addition to the role's own; an empty text omits one of those", initial={}),
    "preflight": Field("mapping", "requirements for a host", options=PREFLIGHT),
}
CLUSTER: Schema = {
    "name": Field("text", "name of the cluster: lowercase letters, digits and dashes", required=True),
    "version": Field("text", "version of Kubernetes, all three numbers", default=versions.DEFAULT),
    "endpoint": Field("mapping", "where clients reach the API server", options=ENDPOINT),
    "networks": Field("mapping", "address ranges and pod network", options=NETWORKS),
    "runtime": Field("mapping", "containerd", options=RUNTIME),
    "packages": Field("mapping", "source of the packages", options=PACKAGES),
    "host": Field("mapping", "kernel settings and requirements of the hosts", options=HOST),
    "oidc": Field("list", "issuers whose tokens are accepted", initial=[], elements="mapping", options=OIDC),
    "encryption": Field("mapping", "encryption at rest", options=ENCRYPTION),
    "audit": Field("mapping", "the audit log", options=AUDIT),
    "pod_security": Field("mapping", "default Pod Security levels of namespaces", options=POD_SECURITY),
    "nodes": Field("free", "inventory name: labels, taints and kubelet of this node", initial={}),
    "namespaces": Field("list", "namespaces of projects", initial=[], elements="mapping", options=NAMESPACE),
    "addons": Field("mapping", "components that run in the cluster", options=ADDONS),
    "kubeadm": Field("mapping", "settings of kubeadm", options=KUBEADM),
    "kubelet": Field("free", "additional keys of KubeletConfiguration for all nodes", initial={}),
    "kube_proxy": Field("free", "additional keys of KubeProxyConfiguration", initial={}),
}


def complete(schema: Schema, value: Any) -> Any:
    """Fill in the defaults of omitted sections and convert numbers to text where text is expected."""
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
    if schema is HOST and result.get("swap") is False:  # what YAML makes of off
        result["swap"] = "off"
    if "metrics_server" in schema:
        wanted = result.get("metrics_server")
        if wanted is None or isinstance(wanted, bool):
            result["metrics_server"] = {"enabled": wanted is not False}
    return result


def plain(value: Any) -> Any:
    """Return a deep copy in plain containers: templated ones are slow, and the caller's must not change."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
