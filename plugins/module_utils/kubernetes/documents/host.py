# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the desired state of each host of a cluster: the document of module linux_host."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .. import encryption
from ..bundle import UNPACKED
from . import apiserver, approver, containerd, kubeadm, routed

PROGRAMS = ("kubeadm", "kubelet", "kubectl")
_HELPERS = {
    "apt": ("conntrack", "containernetworking-plugins", "ethtool", "iproute2", "iptables", "nftables", "socat"),
    "dnf": (
        "conntrack-tools",
        "containernetworking-plugins",
        "ethtool",
        "iproute",
        "iptables-nft",
        "nftables",
        "socat",
    ),
}
_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.bridge.bridge-nf-call-iptables": "1",
    "net.bridge.bridge-nf-call-ip6tables": "1",
}
# Required by kubelet when protectKernelDefaults is on.
_KERNEL_DEFAULTS = {
    "kernel.keys.root_maxbytes": "25000000",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
}
Document = dict[str, Any]


def documents(
    cluster: Mapping[str, Any],
    keys: Sequence[Mapping[str, str]] = (),
    installed: Mapping[str, Mapping[str, str]] | None = None,
    joined: Sequence[str] = (),
) -> dict[str, Document]:
    """Return host -> document for every member.

    ``keys`` are the declared encryption keys [{name, secret}]; without them, their file is not part of the document and
    is managed by module kubernetes_encryption. ``installed`` ({host: {program: version}}) are versions to keep until an
    upgrade reaches the host. On hosts in ``joined`` the installed kubelet must run; on others kubeadm starts it.
    """
    found = {
        member["name"]: document(cluster, member, keys, (installed or {}).get(member["name"]))
        for member in cluster["members"]
    }
    for name in joined:
        if name in found:
            found[name]["units"]["kubelet"] = {
                "enabled": True,
                "state": "started",
                "restart_after": ["/usr/bin/kubelet"],
            }
    return found


def routes_documents(cluster: Mapping[str, Any]) -> dict[str, Document]:
    """Return host -> the part of its document that changes when other members join or leave."""
    if cluster["networks"]["plugin"] != "routed":
        return {}
    return {
        member["name"]: {"name": "kubernetes", "files": routed.files(cluster, member), "units": routed.units()}
        for member in cluster["members"]
    }


def document(
    cluster: Mapping[str, Any],
    member: Mapping[str, Any],
    keys: Sequence[Mapping[str, str]] = (),
    installed: Mapping[str, str] | None = None,
) -> Document:
    """Return the document of one member, merged from its parts."""
    runtime, node = runtime_document(cluster, member), node_document(cluster, member, keys, installed)
    return merged(runtime, node, approver.document(member["role"] == "control_plane"))


def runtime_document(cluster: Mapping[str, Any], member: Mapping[str, Any]) -> Document:
    """Return the part of role container_runtime: containerd, its registries and its proxy."""
    runtime, net = cluster["runtime"], cluster["networks"]
    around = [
        net["pods"],
        net["services"],
        *([net["hosts"]] if net["hosts"] else []),
        f".{net['domain']}",
        cluster["endpoint"]["host"],
    ]  # not the single members, as a new one would restart containerd on all others
    return {
        "name": "kubernetes",
        "packages": {runtime["package"]: runtime["package_version"]},
        "directories": containerd.directories(),
        "files": containerd.files(runtime, around),
        "absent_files": containerd.absent_files(runtime),
        "units": {"containerd": {"enabled": True, "state": "started", "restart_after": ["/usr/bin/containerd"]}},
    }


def node_document(
    cluster: Mapping[str, Any],
    member: Mapping[str, Any],
    keys: Sequence[Mapping[str, str]] = (),
    installed: Mapping[str, str] | None = None,
) -> Document:
    """Return the part of role kubernetes_node: kernel, swap, packages, kubelet patches and files not from kubeadm."""
    host, packages = cluster["host"], cluster["packages"]
    control_plane = member["role"] == "control_plane"
    files = [_patches(member)] if member["kubelet"] else []
    absent = [] if member["kubelet"] else [_PATCH]
    units: dict[str, Any] = {"kubelet": {"enabled": True}}
    if control_plane:
        files += api_server_files(cluster, keys)
    if cluster["networks"]["plugin"] == "routed":
        files += routed.files(cluster, member)
        units |= routed.units()
    else:
        absent.append(routed.CONFLIST)
    disk = {"/var/lib": int(host["preflight"]["disk_gb"] * 1e9)}
    if control_plane:
        disk["/var/lib/etcd"] = int(host["preflight"]["etcd_disk_gb"] * 1e9)
    return {
        "name": "kubernetes",
        "repositories": _repositories(cluster),
        # Hosts that use a bundle cannot reach other repositories.
        "only_repositories": bool(packages["only_repository"] or packages["source"] == "bundle"),
        "packages": _packages(cluster, installed),
        "hold": list(PROGRAMS),
        "directories": [{"path": kubeadm.PATCHES, "mode": "0755"}]
        + (
            # etcd's directory may be a mounted disk, whose mode kubeadm does not change.
            [{"path": path, "mode": "0700"} for path in (kubeadm.SETTINGS, kubeadm.AUDIT_LOGS, "/var/lib/etcd")]
            if control_plane
            else []
        ),
        "files": files,
        "absent_files": absent,
        "kernel_modules": ["overlay", {"name": "br_netfilter", "optional": True}, *host["kernel_modules"]],
        "sysctls": _sysctls(cluster, member),
        "units": units,
        "swap": host["swap"],
        "preflight": {"disk": disk, "memory": int(host["preflight"]["memory_mb"]) * 1_000_000, "when": "changes"},
    }


def api_server_files(cluster: Mapping[str, Any], keys: Sequence[Mapping[str, str]] = ()) -> list[dict[str, Any]]:
    """Return the files that the API server reads on control-plane members."""
    contents = {
        "admission": apiserver.admission(cluster["pod_security"]),
        "authentication": apiserver.authentication(cluster["oidc"]),
    }
    if cluster["audit"]["enabled"]:
        contents["audit"] = apiserver.audit_policy(cluster["audit"]["policy"])
    files = [_settings(name, content, False) for name, content in contents.items()]
    provider = cluster["encryption"]["provider"]
    if provider != "none" and keys:
        layout = encryption.Layout(
            tuple(encryption.label(provider, key["name"], key["secret"]) for key in keys),
            tuple(cluster["encryption"]["resources"]),
        )
        secrets = [{**key, "provider": provider} for key in keys]
        files.append(_settings("encryption", encryption.configuration(layout, secrets), True))
    return files


def merged(*parts: Document) -> Document:
    """Merge documents by joining their lists and mappings."""
    result: Document = {}
    for part in parts:
        for key, value in part.items():
            if isinstance(value, list):
                result[key] = [*result.get(key, []), *(item for item in value if item not in result.get(key, []))]
            elif isinstance(value, dict):
                result[key] = {**result.get(key, {}), **value}
            else:
                result[key] = value
    return result


_PATCH = f"{kubeadm.PATCHES}/kubeletconfiguration+strategic.json"


def _patches(member: Mapping[str, Any]) -> dict[str, Any]:
    """Return a patch that kubeadm applies to the KubeletConfiguration at init, join and upgrade."""
    return {"path": _PATCH, "content": json.dumps(member["kubelet"], indent=2, sort_keys=True) + "\n", "mode": "0644"}


def _settings(name: str, content: Mapping[str, Any], secret: bool) -> dict[str, Any]:
    return {
        "path": f"{kubeadm.SETTINGS}/{name}.json",
        "content": kubeadm.text([content]),
        "mode": "0600",
        "secret": secret,
    }


def _repositories(cluster: Mapping[str, Any]) -> list[dict[str, Any]]:
    packages = cluster["packages"]
    if packages["source"] == "bundle":
        return [{"name": "kubernetes", "url": f"file://{UNPACKED}/packages", "suite": "./", "trusted": True}]
    if packages["source"] != "repository":
        return []
    repository = packages["repository"]
    return [
        {
            "name": "kubernetes",
            "url": repository["url"],
            "suite": repository["suite"],
            "components": list(repository["components"]),
            "key": repository["key"] or "",
            "trusted": bool(repository["trusted"]),
        }
    ]


def _packages(cluster: Mapping[str, Any], installed: Mapping[str, str] | None) -> dict[str, str]:
    """Return name -> version pattern that matches any packaging revision."""
    packages = cluster["packages"]
    helpers = packages["names"] if packages["names"] is not None else _HELPERS[packages["manager"]]
    wanted = dict.fromkeys(helpers, "present")
    for program in PROGRAMS:
        wanted[program] = f"{(installed or {}).get(program) or cluster['version']}-*"
    return wanted


def _sysctls(cluster: Mapping[str, Any], member: Mapping[str, Any]) -> dict[str, str]:
    kubelet = {**kubeadm.kubelet(cluster), **member["kubelet"]}
    wanted = {
        **_SYSCTLS,
        **(_KERNEL_DEFAULTS if kubelet["protectKernelDefaults"] else {}),
        **cluster["host"]["sysctls"],
    }
    return {key: str(value) for key, value in wanted.items() if str(value) != ""}
