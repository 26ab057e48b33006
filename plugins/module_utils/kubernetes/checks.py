# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check cluster rules beyond the schema: member counts, overlapping networks, existing files."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..model.declaration.fields import Checker
from ..model.errors import PhotonError
from . import checks_runtime, checks_settings, networks, versions
from .bundle import manifest_text
from .checks_runtime import read_text, text_or_file
from .encryption import covers
from .plans import bundle

Cluster = dict[str, Any]
MEMBERS = (1, 3, 5)
_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_NODE_NAME_LENGTH = 63  # of the label kubernetes.io/hostname
_MEMBER_PORTS = {
    2379: "etcd",
    2380: "etcd",
    10250: "kubelet",
    10257: "kube-controller-manager",
    10259: "kube-scheduler",
}
_RESOURCE = re.compile(r"(?:\*\.(?:\*|[a-z0-9.-]+)?|[a-z0-9-]+(?:\.[a-z0-9][a-z0-9.-]*)?)\Z")
_OWN_NAMESPACES = ("default", "kube-flannel", "kube-node-lease", "kube-public", "kube-system")


def check(
    checker: Checker,
    cluster: Cluster,
    read_file: Callable[[str], str],
    read_bundle: Callable[[str], Mapping[str, Any]] | None,
) -> None:
    """Report every mistake of a cluster with its members; file names are replaced by their content."""
    path = cluster["path"]
    if not _NAME.match(cluster["name"]):
        checker.add(
            f"{path}.name",
            f"{cluster['name']!r}: must be a lowercase letter, then letters, digits and dashes, at most 40",
        )
    with _noted(checker, f"{path}.version"):
        versions.check_supported(versions.parse(cluster["version"]))
    _members(checker, cluster)
    _networks(checker, cluster)
    _endpoint(checker, cluster)
    _packages(checker, cluster, read_bundle)
    checks_runtime.runtime_settings(checker, cluster["runtime"], f"{path}.runtime", read_file)
    _oidc(checker, cluster)
    _encryption(checker, cluster)
    _namespaces(checker, cluster)
    checks_settings.check(checker, cluster)
    _kubeadm(checker, cluster)
    _files(checker, cluster, read_file)


class _noted:  # noqa: N801  (a context manager, used like a function)
    """Convert a PhotonError in the block to a mistake at the path."""

    def __init__(self, checker: Checker, path: str) -> None:
        self.checker, self.path = checker, path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, PhotonError):
            self.checker.add(self.path, error.message, error.code)
            return True
        return False


def _members(checker: Checker, cluster: Cluster) -> None:
    path, count = cluster["path"], len(cluster["control_plane"])
    group = cluster["groups"]["control_plane"]
    if count not in MEMBERS:
        why = {0: f"the inventory group {group} is empty or does not exist. Add 1, 3 or 5 hosts to it."}.get(
            count, f"the inventory group {group} has {count} hosts. etcd needs 1, 3 or 5 for a quorum."
        )
        checker.add(f"{path}.control_plane", why)
    seen: dict[str, str] = {}
    for member in cluster["members"]:
        name, address = member["name"], member["address"]
        where = f"{path}.members.{name}"
        if not checks_settings.is_domain(name) or len(name) > _NODE_NAME_LENGTH:
            checker.add(
                where,
                "a node's name must consist of lowercase letters, digits and dashes in parts separated by dots, at "
                f"most {_NODE_NAME_LENGTH} characters. Rename the host in the inventory.",
            )
        if not address:
            checker.add(
                f"{where}.address", f"host {name} has no variable kubernetes_address. Set it to the node's address."
            )
            continue
        with _noted(checker, f"{where}.address"):
            member["address"] = str(networks.parse_host_address(address))
        if address in seen:
            checker.add(f"{where}.address", f"{address} is also the address of {seen[address]}")
        seen[address] = name


def _networks(checker: Checker, cluster: Cluster) -> None:
    path, net = f"{cluster['path']}.networks", cluster["networks"]
    ranges: dict[str, networks.Network] = {}
    for key in ("pods", "services", "hosts"):
        if net[key]:
            with _noted(checker, f"{path}.{key}"):
                ranges[key] = networks.parse(net[key])
                networks.check_usable(ranges[key])
    for first, second in networks.overlaps(ranges):
        checker.add(
            f"{path}.{first}",
            f"{ranges[first]} and {second} {ranges[second]} overlap. Choose separate networks.",
        )
    if "services" in ranges and not 12 <= ranges["services"].prefixlen <= 28:
        checker.add(f"{path}.services", f"{ranges['services']}: the prefix length must be between 12 and 28")
    _check_addresses(checker, cluster, ranges)
    if "pods" in ranges:
        parts, count = networks.node_networks(ranges["pods"], net["node_mask"]), len(cluster["members"])
        if not parts or net["node_mask"] - ranges["pods"].prefixlen > 16:
            checker.add(
                f"{path}.node_mask",
                f"/{net['node_mask']} must be a part of the pod network {ranges['pods']}, at most 16 bits longer",
            )
        elif parts < count:
            checker.add(
                f"{path}.pods",
                f"{ranges['pods']} has {parts} parts of /{net['node_mask']} for {count} nodes. Enlarge one of them.",
            )
        elif net["plugin"] == "routed":
            _check_routed(checker, cluster, ranges)
    if net["plugin"] == "manifest" and not net["manifest"]:
        checker.add(f"{path}.manifest", "is required by the plugin manifest")
    if net["plugin"] != "manifest" and net["manifest"]:
        checker.add(f"{path}.manifest", f"is not used by the plugin {net['plugin']}. Set plugin: manifest.")


def _check_addresses(checker: Checker, cluster: Cluster, ranges: dict[str, networks.Network]) -> None:
    """Check that members and the endpoint are outside the pod and Service networks and inside the hosts' network."""
    addresses = {f"members.{member['name']}.address": member["address"] for member in cluster["members"]}
    addresses["endpoint.address"] = cluster["endpoint"]["address"]
    for where, text in addresses.items():
        try:
            address = networks.parse_address(text)
        except PhotonError:
            continue  # reported where it is declared
        for key in ("pods", "services"):
            if key in ranges and address in ranges[key]:
                checker.add(f"{cluster['path']}.{where}", f"{text} is within networks.{key} {ranges[key]}")
        if "hosts" not in ranges:
            continue
        hosts = ranges["hosts"]
        if address not in hosts and where != "endpoint.address":
            checker.add(f"{cluster['path']}.{where}", f"{text} is not within networks.hosts {hosts}")
        if address in (hosts.network_address, hosts.broadcast_address) and hosts.prefixlen < 31:
            what = "network" if address == hosts.network_address else "broadcast"
            checker.add(f"{cluster['path']}.{where}", f"{text} is the {what} address of networks.hosts {hosts}")


def _check_routed(checker: Checker, cluster: Cluster, ranges: dict[str, networks.Network]) -> None:
    path, mask = cluster["path"], cluster["networks"]["node_mask"]
    if "hosts" not in ranges:
        checker.add(
            f"{path}.networks.hosts", "is required by the plugin routed, which derives the nodes' pod networks from it"
        )
        return
    seen: dict[str, str] = {}
    for member in cluster["members"]:
        where = f"{path}.members.{member['name']}.pod_network"
        try:
            if member["pod_network"]:
                own = networks.parse(member["pod_network"])
                if not own.subnet_of(ranges["pods"]):
                    checker.add(where, f"{own} is not within networks.pods {ranges['pods']}")
            else:
                own = networks.node_network(ranges["pods"], mask, ranges["hosts"], member["address"])
        except PhotonError as error:
            if member["pod_network"]:
                checker.add(where, error.message)
            continue
        if own is None:
            checker.add(
                where,
                f"networks.pods has no /{mask} for {member['address']}. Make it as large as networks.hosts or set "
                "the host's variable kubernetes_pod_network.",
            )
        elif str(own) in seen:
            checker.add(where, f"{own} is also the network of {seen[str(own)]}")
        seen[str(own)] = member["name"]


def _endpoint(checker: Checker, cluster: Cluster) -> None:
    path, endpoint = f"{cluster['path']}.endpoint", cluster["endpoint"]
    count = len(cluster["control_plane"])
    if count > 1 and not endpoint["address"]:
        checker.add(
            f"{path}.address", f"is required for {count} members: a VIP of role haproxy or a balancer's address"
        )
    if endpoint["address"]:
        with _noted(checker, f"{path}.address"):
            endpoint["address"] = str(networks.parse_host_address(endpoint["address"]))
        own = {member["address"]: member for member in cluster["members"]}
        taken = own.get(endpoint["address"])
        if taken and (count > 1 or taken["role"] != "control_plane"):
            checker.add(
                f"{path}.address",
                f"is the address of {taken['name']}. Use a VIP or a balancer's address.",
            )
    if endpoint["host"] and not checks_settings.is_name_or_address(endpoint["host"]):
        hint = " Write it in lowercase letters." if checks_settings.is_name_or_address(endpoint["host"].lower()) else ""
        checker.add(f"{path}.host", f"{endpoint['host']!r} is not a valid host name.{hint}")
    for index, name in enumerate(endpoint["certificate_names"]):
        if not checks_settings.is_name_or_address(name.removeprefix("*.")):
            checker.add(f"{path}.certificate_names[{index}]", f"{name!r} is neither a host name nor an address")
    own_port = count == 1 and endpoint["address"] in (None, "", *(m["address"] for m in cluster["members"]))
    if own_port and endpoint["port"] in _MEMBER_PORTS:
        checker.add(f"{path}.port", f"{endpoint['port']} is used by {_MEMBER_PORTS[endpoint['port']]} on the member")


def _kubeadm(checker: Checker, cluster: Cluster) -> None:
    path, settings = f"{cluster['path']}.kubeadm", cluster["kubeadm"]
    if settings["certificate_days"] > settings["authority_days"]:
        checker.add(f"{path}.certificate_days", "must not be more than authority_days, which end the certificates too")
    if "://" in (settings["image_repository"] or ""):
        checker.add(f"{path}.image_repository", "must be a registry and a path, without a scheme")
    if not checks_settings.is_domain(cluster["networks"]["domain"]):
        checker.add(f"{cluster['path']}.networks.domain", f"{cluster['networks']['domain']!r} is not a valid domain")


def _packages(checker: Checker, cluster: Cluster, read_bundle: Callable[[str], Mapping[str, Any]] | None) -> None:
    path, packages = f"{cluster['path']}.packages", cluster["packages"]
    repository = packages["repository"]
    if packages["source"] == "repository":
        if not repository:
            checker.add(
                f"{path}.repository",
                "is required: the URL of the Kubernetes packages. Or set source to bundle or installed.",
            )
        elif not repository["key"] and not repository["trusted"]:
            checker.add(f"{path}.repository.key", "is required: the key that signs the packages. Or set trusted: true.")
    if packages["source"] == "bundle":
        if packages["manager"] != "apt":
            checker.add(f"{path}.source", "a bundle contains packages for apt only. Use repository for hosts with dnf.")
        if not packages["bundle"]:
            checker.add(f"{path}.bundle", "is required: the file written by playbook cluster_bundle")
        elif read_bundle:
            with _noted(checker, f"{path}.bundle"):
                _bundle(checker, cluster, read_bundle(packages["bundle"]))


def _bundle(checker: Checker, cluster: Cluster, manifest: Mapping[str, Any]) -> None:
    name, there = cluster["packages"]["bundle"], sorted(manifest["versions"])
    if cluster["version"].removeprefix("v") not in there:
        checker.add(
            f"{cluster['path']}.version",
            f"is not in the bundle {name}, which contains {', '.join(there) or 'no version'}",
        )
    elif lacking := bundle.lacking(cluster, manifest):
        checker.add(
            f"{cluster['path']}.packages.bundle",
            f"{name} lacks the images {', '.join(lacking)}. Add them with playbook cluster_bundle.",
        )


def _oidc(checker: Checker, cluster: Cluster) -> None:
    seen = set()
    prefixes: dict[str, str] = {}
    for issuer in cluster["oidc"]:
        path, url = issuer["path"], issuer["issuer"]
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            checker.add(f"{path}.issuer", f"{url!r}: must be an https URL, exactly as in the tokens' iss")
        elif parts.query or parts.fragment or parts.username:
            checker.add(f"{path}.issuer", f"{url!r}: must not contain a query, a fragment or a user")
        if url in seen:
            checker.add(f"{path}.issuer", f"{url!r} is defined twice")
        seen.add(url)
        if issuer["prefix"] in prefixes:
            checker.add(
                f"{path}.prefix",
                f"{issuer['prefix']!r} is also the prefix of {prefixes[issuer['prefix']]}: users of the same name "
                "would be one user. Set another one.",
            )
        prefixes.setdefault(issuer["prefix"], url)
        if issuer["prefix"].startswith("system:"):
            checker.add(f"{path}.prefix", "must not be system:, which would let tokens name administrators")
        for key in ("username_claim", "groups_claim"):
            if not re.match(r"[A-Za-z_][A-Za-z0-9_./:-]*\Z", issuer[key]):
                checker.add(f"{path}.{key}", f"{issuer[key]!r} is not a valid claim name")


def _encryption(checker: Checker, cluster: Cluster) -> None:
    path, encryption = f"{cluster['path']}.encryption", cluster["encryption"]
    seen = set()
    _encrypted_resources(checker, f"{path}.resources", encryption["resources"])
    if encryption["provider"] == "none" and encryption["keys"]:
        checker.add(f"{path}.keys", "are not used by the provider none. Set provider: secretbox.")
    for key in encryption["keys"]:
        if not re.match(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z", key["name"]):  # a colon ends the name in etcd's values
            checker.add(
                f"{key['path']}.name",
                f"{key['name']!r}: must consist of letters, digits, dots and dashes, at most 63 characters",
            )
        if key["name"] in seen:
            checker.add(f"{key['path']}.name", f"{key['name']!r} is defined twice")
        seen.add(key["name"])
        if key["secret"] != key["secret"].strip():
            checker.add(f"{key['path']}.secret", "ends in a line break or blank. Remove it, such as with `| trim`.")
            continue
        try:
            length = len(base64.b64decode(key["secret"], validate=True))
        except (binascii.Error, ValueError):
            checker.add(
                f"{key['path']}.secret", "is not valid base64. Generate a secret with `openssl rand -base64 32`."
            )
            continue
        if length != 32:
            checker.add(
                f"{key['path']}.secret",
                f"must have 32 bytes, got {length}. Generate a secret with `openssl rand -base64 32`.",
            )


def _encrypted_resources(checker: Checker, path: str, resources: list[str]) -> None:
    if not resources:
        checker.add(path, "must not be empty. Set provider: none to store everything in plain text.")
    for index, one in enumerate(resources):
        others = [*resources[:index], *resources[index + 1 :]]
        if not _RESOURCE.match(one):
            checker.add(f"{path}[{index}]", f"{one!r}: must be such as secrets, deployments.apps, '*.apps' or '*.*'")
        elif covers(others, one):
            checker.add(f"{path}[{index}]", f"{one!r} is covered by another resource of the list. Remove it.")


def _namespaces(checker: Checker, cluster: Cluster) -> None:
    seen = set()
    prefixes = [issuer["prefix"] for issuer in cluster["oidc"]]
    for namespace in cluster["namespaces"]:
        path, name = namespace["path"], namespace["name"]
        if not _LABEL.match(name):
            checker.add(
                f"{path}.name", f"{name!r}: must consist of lowercase letters, digits and dashes, at most 63 characters"
            )
        if name in _OWN_NAMESPACES or name.startswith("kube-"):
            checker.add(f"{path}.name", f"{name!r} is reserved for the cluster")
        if name in seen:
            checker.add(f"{path}.name", f"{name!r} is defined twice", "NameTaken")
        seen.add(name)
        for role, index, group in _bindings(namespace):
            for prefix in [*prefixes, "system:"]:
                if group.startswith(prefix):
                    checker.add(
                        f"{path}.{role}[{index}]",
                        "groups that begin with system: are not allowed"
                        if prefix == "system:"
                        else f"{prefix!r} is added automatically: did you mean {group[len(prefix) :]!r}?",
                    )


def _bindings(namespace: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
    for role in ("admin", "edit", "view"):
        for index, group in enumerate(namespace[role]):
            yield role, index, group


def _files(checker: Checker, cluster: Cluster, read_file: Callable[[str], str]) -> None:
    """Check files on the controller: certificates and keys are read, manifests only checked for existence."""
    for issuer in cluster["oidc"]:
        text_or_file(checker, issuer, "certificate_authority", issuer["path"], read_file)
    repository = cluster["packages"]["repository"]
    if repository:
        text_or_file(checker, repository, "key", f"{cluster['path']}.packages.repository", read_file)
    addons, path = cluster["addons"], cluster["path"]
    manifests = {f"{path}.networks.manifest": cluster["networks"]["manifest"]}
    manifests |= {f"{path}.addons.storage_class.manifest": (addons["storage_class"] or {}).get("manifest")}
    manifests |= {f"{path}.addons.manifests[{index}]": name for index, name in enumerate(addons["manifests"])}
    for where, name in manifests.items():
        if name:
            read_text(checker, _also_of_bundle(cluster, read_file), name, where, "")


def _also_of_bundle(cluster: Cluster, read_file: Callable[[str], str]) -> Callable[[str], str]:
    return lambda name: manifest_text(name, cluster["packages"]["bundle"] or "", read_file)
