# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check settings that are handed on to Kubernetes: kubelet's keys, flags, labels, taints, DNS servers.

Each of them would otherwise be refused, or ignored, by a program on a host that is changed already.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from ..model.declaration.fields import Checker, did_you_mean
from ..model.errors import PhotonError
from . import networks
from .kubelet_keys import TYPES

Cluster = dict[str, Any]
ARGUMENTS = ("api_server", "controller_manager", "scheduler", "etcd", "kubelet")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\Z")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_DURATION = re.compile(r"(?:0|(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+)\Z")
_QUANTITY = re.compile(r"\d+(?:\.\d+)?(?:[munkMGTPE]|[KMGTPE]i)?\Z")
# Set by kubelet itself; another value would be changed back or keep pods away.
_OWN_LABELS = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch")
# kubelet's keys that follow from the declaration: key -> where to declare it instead.
_DERIVED = {
    "apiVersion": "", "kind": "", "cgroupDriver": "runtime.cgroup_driver",
    "clusterDomain": "networks.domain",
    "staticPodPath": "", "containerRuntimeEndpoint": "", "podCIDR": "networks.pods",
    "registerWithTaints": "taints of the node",
}  # fmt: skip
# Flags that exclude files of the role, or name them.
_REFUSED_FLAGS = {
    "api_server": {
        "admission-control-config-file": "pod_security", "anonymous-auth": "oidc, whose file has this setting",
        "audit-policy-file": "audit.policy", "authentication-config": "oidc",
        "encryption-provider-config": "encryption", "advertise-address": "the host's kubernetes_address",
        "secure-port": "endpoint.port", "service-cluster-ip-range": "networks.services", "etcd-servers": "",
    },
    "controller_manager": {"cluster-cidr": "networks.pods", "service-cluster-ip-range": "networks.services"},
    "scheduler": {},
    "etcd": {"data-dir": "", "name": "", "initial-cluster": "", "listen-client-urls": "", "listen-peer-urls": ""},
    "kubelet": {
        "node-ip": "the host's kubernetes_address", "config": "", "kubeconfig": "", "hostname-override": "",
        "register-with-taints": "taints of the node", "container-runtime-endpoint": "",
    },
}  # fmt: skip


def check(checker: Checker, cluster: Cluster) -> None:
    """Report every mistake in the settings of a cluster."""
    _kubelets(checker, cluster)
    _nodes(checker, cluster)
    _flags(checker, cluster)
    _coredns(checker, cluster)
    for key in ("apiVersion", "kind", "mode", "clusterCIDR"):
        if key in cluster["kube_proxy"]:
            where = {"mode": ". Use networks.proxy_mode", "clusterCIDR": ". Use networks.pods"}.get(key, "")
            checker.add(f"{cluster['path']}.kube_proxy.{key}", f"is set by the role{where}")
    if cluster["kube_proxy"] and cluster["networks"]["proxy_mode"] == "none":
        checker.add(f"{cluster['path']}.kube_proxy", "is not used with networks.proxy_mode none")


def is_name_or_address(text: str) -> bool:
    """Return whether the text is a host name or an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return is_domain(text)
    return True


def is_domain(name: str) -> bool:
    """Return whether this is a DNS name of lowercase labels, at most 253 characters."""
    return len(name) <= 253 and bool(_DOMAIN.match(name))


def _kubelets(checker: Checker, cluster: Cluster) -> None:
    path = cluster["path"]
    places = [(f"{path}.kubelet", cluster["kubelet"])]
    places += [(f"{path}.members.{member['name']}.kubelet", member["kubelet"]) for member in cluster["members"]]
    for where, settings in places:
        for key, value in settings.items():
            reason = _kubelet_key(cluster, key, value)
            if reason:
                checker.add(f"{where}.{key}", reason)


def _kubelet_key(cluster: Cluster, key: str, value: Any) -> str:
    if key in _DERIVED:
        return f"is set by the role{'. Use ' + _DERIVED[key] if _DERIVED[key] else ''}"
    if key not in TYPES:
        return f"is no key of KubeletConfiguration{did_you_mean(key, TYPES)}. kubelet would ignore it."
    reason = _of_type(TYPES[key], value)
    if reason:
        return reason
    mask = cluster["networks"]["node_mask"]
    if key == "maxPods" and value > networks.pods_per_node(mask):
        return f"{value}: networks.node_mask {mask} has addresses for {networks.pods_per_node(mask)} pods of a node"
    if key == "failSwapOn" and value and cluster["host"]["swap"] == "ignore":
        return "kubelet would not start, as host.swap is ignore"
    if key == "serverTLSBootstrap" and not value:
        return "must stay true: the role waits for the kubelets' serving certificates"
    if key == "readOnlyPort" and value:
        return "must stay 0: the port needs no credentials"
    return ""


def _of_type(kind: str, value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "bool":
        return "" if isinstance(value, bool) else f"must be true or false, got {value!r}"
    if kind == "number":
        return "" if number else f"must be a number, got {value!r}"
    if kind == "text":
        return "" if isinstance(value, str) else f"must be a text, got {value!r}"
    if kind == "duration":
        fits = isinstance(value, str) and _DURATION.match(value)
        return "" if fits else f"must be a duration such as 30s or 1h0m0s, got {value!r}"
    if kind == "list":
        return "" if isinstance(value, list) else f"must be a list, got {value!r}"
    if not isinstance(value, dict):
        return f"must be a mapping, got {value!r}"
    wrong = {key: item for key, item in value.items() if not isinstance(item, str)} if kind == "texts" else {}
    return "".join(f"{key} must be a text, such as '{item}' in quotes" for key, item in list(wrong.items())[:1])


def _nodes(checker: Checker, cluster: Cluster) -> None:
    for member in cluster["members"]:
        where = f"{cluster['path']}.members.{member['name']}"
        for key, value in (member["labels"] or {}).items():
            reason = _key(key) or ("" if not value or _LABEL_NAME.match(value) else _label_words(value))
            if key in _OWN_LABELS:
                reason = "is set by kubelet"
            if reason:
                checker.add(f"{where}.labels.{key}", reason)
        seen = set()
        for taint in member["taints"] or ():
            reason = _key(taint["key"])
            value = taint.get("value") or ""
            if value and not _LABEL_NAME.match(value):
                reason = _label_words(value)
            if (taint["key"], taint["effect"]) in seen:
                reason = f"is defined twice with the effect {taint['effect']}"
            seen.add((taint["key"], taint["effect"]))
            if reason:
                checker.add(f"{where}.taints.{taint['key']}", reason)


def _key(key: str) -> str:
    """Return why this cannot be the key of a label or taint."""
    prefix, slash, name = key.rpartition("/")
    if slash and not is_domain(prefix):
        return f"{prefix!r} is not a valid domain, which a key may have before its slash"
    return "" if _LABEL_NAME.match(name) else _label_words(name)


def _label_words(text: str) -> str:
    return (
        f"{text!r}: must consist of letters, digits, '-', '_' and '.', begin and end with a letter or digit, at most 63"
    )


def _flags(checker: Checker, cluster: Cluster) -> None:
    path = f"{cluster['path']}.kubeadm.arguments"
    for part, flags in (cluster["kubeadm"]["arguments"] or {}).items():
        if part not in ARGUMENTS:
            checker.add(f"{path}.{part}", f"unknown key{did_you_mean(part, ARGUMENTS)}")
        else:
            _flags_of(checker, f"{path}.{part}", part, flags)
    for member in cluster["members"]:
        where = f"{cluster['path']}.members.{member['name']}.kubelet_arguments"
        _flags_of(checker, where, "kubelet", member["kubelet_arguments"])


def _flags_of(checker: Checker, where: str, part: str, flags: Any) -> None:
    if not isinstance(flags, dict) or any(isinstance(value, (dict, list)) for value in flags.values()):
        checker.add(where, "must be a mapping of flags to values, such as {profiling: false}")
        return
    seen = set()
    for given, value in flags.items():
        flag = given.lstrip("-")
        if flag in seen:
            checker.add(f"{where}.{given}", "is given twice, with and without dashes")
        seen.add(flag)
        for reason in _flag(part, flag, value):
            checker.add(f"{where}.{given}", reason)


def _flag(part: str, flag: str, value: Any) -> Iterator[str]:
    refused = _REFUSED_FLAGS[part]
    if not re.match(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z", flag, re.IGNORECASE):
        yield f"{flag!r} is not a valid flag."
    elif value is None:
        yield "has no value. Remove it, or write the value."
    elif flag in refused:
        yield f"is set by the role{'. Use ' + refused[flag] if refused[flag] else ''}"
    elif part == "api_server" and flag.startswith("oidc-"):
        yield "excludes the role's authentication file. Use oidc"
    elif part == "api_server" and flag == "authorization-mode" and "AlwaysAllow" in str(value):
        yield "AlwaysAllow would give everybody all rights"


def _coredns(checker: Checker, cluster: Cluster) -> None:
    path, settings = f"{cluster['path']}.addons.coredns", cluster["addons"]["coredns"]
    for index, server in enumerate(settings["forward"]):
        reason = _server(cluster, server)
        if reason:
            checker.add(f"{path}.forward[{index}]", reason)
    for zone, servers in (settings["zones"] or {}).items():
        where, domain = f"{path}.zones.{zone}", cluster["networks"]["domain"]
        if not is_domain(zone):
            what = "forward has the servers of all other names" if zone == "." else f"{zone!r} is not a valid domain"
            checker.add(where, what)
        elif zone == domain or zone.endswith(f".{domain}"):
            checker.add(where, f"is part of the cluster's own domain {domain}")
        if not isinstance(servers, list) or not servers or not all(isinstance(server, str) for server in servers):
            checker.add(where, "must be a list of DNS servers, such as [10.0.0.53]")
            continue
        for index, server in enumerate(servers):
            reason = _server(cluster, server)
            if reason:
                checker.add(f"{where}[{index}]", reason)


def _server(cluster: Cluster, server: str) -> str:
    """Return why CoreDNS cannot forward to this server: an address, with tls:// or a port, or a file."""
    if re.match(r"/[\w./-]+\Z", server):
        return ""
    host, _colon, port = server.removeprefix("tls://").removeprefix("dns://").partition(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{server!r}: must be an address such as 10.0.0.53, 10.0.0.53:5353 or tls://10.0.0.53, or a file"
    if port and not (port.isdigit() and 0 < int(port) < 65536):
        return f"{server!r}: {port!r} is not a valid port"
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return f"{server!r} is CoreDNS itself: its pods cannot reach the host's own DNS server there"
    try:
        if address in networks.parse(cluster["networks"]["services"]):
            return f"{server!r} is an address of the Services, where CoreDNS would ask itself"
    except PhotonError:
        return ""  # reported where it is declared
    return ""
