# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate and normalize the declaration ``photon_clusters`` before any host is contacted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..model.declaration.fields import Checker, Field, Schema, did_you_mean
from ..model.errors import PhotonError
from . import checks, encryption, networks, versions
from .schema import CLUSTER, METRICS_SERVER, NODE, PREFIX, complete, plain

CONTROL_PLANE, WORKER = "control_plane", "worker"
Cluster = dict[str, Any]
_HOST_VARIABLES = {
    "kubernetes_labels": "labels",
    "kubernetes_taints": "taints",
    "kubernetes_kubelet": "kubelet",
    "kubernetes_kubelet_arguments": "kubelet_arguments",
}


def read_clusters(
    declared: Any,
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    read_file: Callable[[str], str],
    read_bundle: Callable[[str], Mapping[str, Any]] | None = None,
) -> list[Cluster]:
    """Return the declared clusters with all defaults filled in.

    ``declared`` is the variable photon_clusters, ``groups`` and ``hostvars`` the inventory; ``read_file`` returns the
    text of a file on the controller (raises OSError), ``read_bundle`` a bundle's manifest (raises PhotonError).

    A cluster has every key of its declaration (docs/kubernetes.md), with file names replaced by their content, and:

    * ``minor`` ("1.37"), ``groups`` {control_plane, workers, balancers: name of the inventory group}
    * ``members``: [{name, address, role ("control_plane" or "worker"), labels, taints: [{key, value, effect}], kubelet,
      kubelet_arguments, pod_network (plugin routed, else None)}], control plane first, in the inventory's order
    * ``control_plane``, ``workers``, ``balancers``: names; ``first``: the member that kubeadm init runs on
    * ``endpoint.bind_port``: the port on the members themselves; ``networks.dns`` and ``networks.api``: addresses of
      the name server and of the API server among the Services
    * ``prefixes``: prefixes of user and group names in RBAC, one per issuer

    It contains no secrets: ``encryption.keys`` have only names and labels, ``secrets_of`` returns the secrets. Raise
    SpecInvalid with every mistake in ``data["mistakes"]``, each with its key path.
    """
    checker = _Checker()
    given = plain(declared)
    if not isinstance(given, list):
        checker.add("photon_clusters", "must be a list such as [{name: ..., ...}]")
        given = []
    clusters: list[Cluster] = []
    for index, value in enumerate(given):
        path = f"photon_clusters[{index}]"
        cluster = checker.mapping(CLUSTER, complete(CLUSTER, value), path)
        cluster["path"] = path
        if not _whole(CLUSTER, cluster):  # the checks below rely on complete clusters
            continue
        _read_addons(checker, cluster)
        _add_members(checker, cluster, groups, hostvars)
        checks.check(checker, cluster, read_file, read_bundle)
        clusters.append(cluster)
    _check_across(checker, clusters)
    if checker.mistakes:
        raise mistakes_error(checker)
    return [_without_paths(_finished(cluster)) for cluster in clusters]


def select(clusters: Sequence[Cluster], name: str) -> Cluster:
    """Return the named cluster, or the only one for an empty name; raise ClusterNotFound."""
    if not name and len(clusters) == 1:
        return clusters[0]
    for cluster in clusters:
        if cluster["name"] == name:
            return cluster
    names = [cluster["name"] for cluster in clusters]
    wanted = f"photon_clusters has no cluster {name!r}" if name else "select a cluster with -e photon_cluster=NAME"
    raise PhotonError(
        "ClusterNotFound",
        f"{wanted}{did_you_mean(name, names) or '.'} Declared clusters: {', '.join(names) or 'none'}",
        {"cluster": name, "known": names},
    )


def secrets_of(declared: Any, name: str) -> list[dict[str, str]]:
    """Return the declared encryption keys [{name, secret}] of a validated cluster, newest first."""
    for cluster in plain(declared) or []:
        if cluster.get("name") == name:
            return [dict(key) for key in (cluster.get("encryption") or {}).get("keys") or []]
    return []


def mistakes_error(checker: Checker, what: str = "photon_clusters") -> PhotonError:
    """Combine all mistakes into one error."""
    found = checker.mistakes
    number = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
    lines = "\n".join(f"- {mistake.path}: {mistake.message}" for mistake in found)
    return PhotonError(
        "SpecInvalid",
        f"{number} in {what}. No host was changed:\n{lines}",
        {"mistakes": [mistake.to_dict() for mistake in found], "path": found[0].path},
    )


class _Checker(Checker):
    """A checker that continues with the default of an invalid value, so that one run reports all mistakes."""

    def value(self, spec: Field, given: Any, path: str) -> Any:
        converted = super().value(spec, given, path)
        return self.omitted(spec) if converted is None else converted

    def omitted(self, spec: Field) -> Any:
        """Return the default of an omitted key; a section with required keys stays absent."""
        needs = spec.options and any(option.required for option in spec.options.values())
        return None if spec.type == "mapping" and needs else super().omitted(spec)


def _whole(schema: Schema, value: Any) -> bool:
    """Return whether all keys that are required or have a default are present."""
    for key, spec in schema.items():
        given = value[key]
        if given is None:
            if spec.required or spec.default is not None or spec.initial is not None:
                return False
        elif spec.options and not all(
            _whole(spec.options, item) for item in ([given] if spec.type == "mapping" else given)
        ):
            return False
    return True


def _add_members(
    checker: Checker, cluster: Cluster, groups: Mapping[str, Sequence[str]], hostvars: Mapping[str, Mapping[str, Any]]
) -> None:
    stem = cluster["name"].replace("-", "_")
    cluster["groups"] = {
        CONTROL_PLANE: f"{stem}_control_plane",
        "workers": f"{stem}_workers",
        "balancers": f"{stem}_balancers",
    }
    names = {kind: list(groups.get(group) or ()) for kind, group in cluster["groups"].items()}
    cluster.update(names)
    cluster["first"] = names[CONTROL_PLANE][0] if names[CONTROL_PLANE] else None
    cluster["members"] = []
    for role, kind in ((CONTROL_PLANE, CONTROL_PLANE), (WORKER, "workers")):
        for host in names[kind]:
            cluster["members"].append(_member(checker, cluster, host, role, hostvars))
    members = [member["name"] for member in cluster["members"]]
    for name in cluster["nodes"]:
        if name not in members:
            checker.add(
                f"{cluster['path']}.nodes.{name}", f"is not a member of the cluster{did_you_mean(name, members)}"
            )


def _member(
    checker: Checker, cluster: Cluster, host: str, role: str, hostvars: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Merge settings from ``nodes`` and the host's variables, which take precedence; labels are combined."""
    variables: Mapping[str, Any] = hostvars.get(host, {})
    path = f"{cluster['path']}.nodes.{host}"
    settings = checker.mapping(NODE, complete(NODE, cluster["nodes"].get(host) or {}), path)
    own = {
        key: plain(variables.get(variable))
        for variable, key in _HOST_VARIABLES.items()
        if variables.get(variable) is not None
    }
    for variable, key in _HOST_VARIABLES.items():
        if key in own:
            own[key] = checker.value(NODE[key], own[key], f"{variable} of {host}")
    taints = own.get("taints") if own.get("taints") is not None else settings["taints"]
    address, pod_network = variables.get("kubernetes_address"), variables.get("kubernetes_pod_network")
    return {
        "name": host,
        "role": role,
        "address": str(address) if address else None,
        "labels": {**(settings["labels"] or {}), **(own.get("labels") or {})},
        "taints": taints,
        "kubelet": {**(settings["kubelet"] or {}), **(own.get("kubelet") or {})},
        "kubelet_arguments": {**(settings["kubelet_arguments"] or {}), **(own.get("kubelet_arguments") or {})},
        "pod_network": str(pod_network) if pod_network else None,
    }


def _check_across(checker: Checker, clusters: Sequence[Cluster]) -> None:
    """Report names and hosts that are used by several clusters."""
    seen: dict[str, str] = {}
    owners: dict[str, str] = {}
    for cluster in clusters:
        name, path = cluster["name"], cluster["path"]
        stem = name.replace("-", "_")
        if stem in seen:
            checker.add(f"{path}.name", f"{name!r} uses the same inventory groups as {seen[stem]}", "NameTaken")
            continue
        seen[stem] = path
        shared = set(cluster[CONTROL_PLANE]) & set(cluster["balancers"])
        if shared and cluster["endpoint"]["port"] == _API_PORT:
            checker.add(
                f"{path}.endpoint.port",
                f"must not be {_API_PORT}, which the API servers use on the balancers {', '.join(sorted(shared))}. "
                "Choose another port, such as 8443.",
            )
        for kind, group in cluster["groups"].items():
            for host in cluster[kind]:
                if kind == "balancers" and host in shared:
                    continue  # role haproxy runs on members too, so that the endpoint needs no other hosts
                if host in owners and owners[host] != group:
                    checker.add(
                        f"{path}.members.{host}",
                        f"is in the inventory groups {owners[host]} and {group}. Remove it from one of them.",
                    )
                owners.setdefault(host, group)


def _read_addons(checker: Checker, cluster: Cluster) -> None:
    """Expand ``metrics_server: true`` to its settings."""
    addons, path = cluster["addons"], f"{cluster['path']}.addons.metrics_server"
    value = addons["metrics_server"] or {}
    addons["metrics_server"] = checker.mapping(METRICS_SERVER, complete(METRICS_SERVER, value), path)


def _finished(cluster: Cluster) -> Cluster:
    """Return a validated cluster with its derived keys."""
    version = versions.parse(cluster["version"])
    cluster["version"], cluster["minor"] = str(version), f"{version.major}.{version.minor}"
    endpoint, members = cluster["endpoint"], cluster["members"]
    endpoint["address"] = endpoint["address"] or members[0]["address"]
    endpoint["host"] = endpoint["host"] or endpoint["address"]
    own = endpoint["address"] in {member["address"] for member in members}
    endpoint["bind_port"] = endpoint["port"] if own else _API_PORT
    net = cluster["networks"]
    net["api"], net["dns"] = networks.service_addresses(networks.parse(net["services"]))
    dns = cluster["addons"]["coredns"]
    # While a lost member is not yet noticed, queries that its replica would get fail: of three, two still answer.
    dns["replicas"] = dns["replicas"] or min(max(2, len(cluster[CONTROL_PLANE])), 3)
    cluster["prefixes"] = [issuer["prefix"] for issuer in cluster["oidc"]] or [PREFIX]
    cluster["encryption"]["keys"] = [
        {"name": key["name"], "label": encryption.label(cluster["encryption"]["provider"], key["name"], key["secret"])}
        for key in cluster["encryption"]["keys"]
    ]
    apt = cluster["packages"]["manager"] == "apt"
    runtime, repository = cluster["runtime"], cluster["packages"]["repository"]
    runtime["cni_bin_dir"] = runtime["cni_bin_dir"] or (
        "/usr/lib/cni" if apt and net["plugin"] != "manifest" else "/opt/cni/bin"
    )
    runtime["package"] = runtime["package"] or ("containerd" if apt else "containerd.io")
    images = cluster["kubeadm"]["image_repository"] or "registry.k8s.io"
    runtime["sandbox_image"] = runtime["sandbox_image"] or f"{images}/pause:{versions.PAUSE[version.minor]}"
    if repository:
        url = repository["url"].replace("{minor}", cluster["minor"]).replace("{version}", cluster["version"])
        repository["url"] = url
    for member in members:
        if member["taints"] is None:
            alone = member["role"] == CONTROL_PLANE and cluster["workers"]
            member["taints"] = [dict(_CONTROL_PLANE_TAINT)] if alone else []
        member["taints"] = [{"value": None, **taint} for taint in member["taints"]]
        if net["plugin"] == "routed" and not member["pod_network"]:
            parts = networks.parse(net["pods"]), net["node_mask"], networks.parse(net["hosts"])
            member["pod_network"] = str(networks.node_network(*parts, member["address"]))
    return cluster


_API_PORT = 6443  # of the API servers behind a balancer
_CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "value": None, "effect": "NoSchedule"}


def _without_paths(value: Any) -> Any:
    """Remove the key paths that the checks stored in mappings."""
    if isinstance(value, dict):
        return {key: _without_paths(item) for key, item in value.items() if key != "path"}
    return [_without_paths(item) for item in value] if isinstance(value, list) else value
