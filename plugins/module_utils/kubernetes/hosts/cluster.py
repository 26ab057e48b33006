# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a cluster's state from its API: nodes, kubeadm's objects, certificate requests, system workloads."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ...model.errors import PhotonError
from . import serving
from .api import Api
from .observe import cluster_id

# kubeadm's objects and the phase of init that re-creates each.
OWN_OBJECTS = {
    "/api/v1/namespaces/kube-system/configmaps/kubeadm-config": ("upload-config", "kubeadm"),
    "/api/v1/namespaces/kube-system/configmaps/kubelet-config": ("upload-config", "kubelet"),
    "/api/v1/namespaces/kube-public/configmaps/cluster-info": ("bootstrap-token",),
    "/api/v1/namespaces/kube-system/configmaps/kube-proxy": ("addon", "kube-proxy"),
    "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy": ("addon", "kube-proxy"),
    "/apis/apps/v1/namespaces/kube-system/deployments/coredns": ("addon", "coredns"),
    "/api/v1/namespaces/kube-system/services/kube-dns": ("addon", "coredns"),
}
_ROLE = "node-role.kubernetes.io/"
TAINTS = "photon.platform/taints"  # lists the taints set by us, so that only these are removed
CORDONED = "photon.platform/cordoned"  # marks nodes cordoned by us, which we may uncordon


def cluster(api: Api | None = None) -> dict[str, Any]:
    """Return the state of the cluster that this control-plane member belongs to.

    Return reachable, error ("" or the reason), version ("1.37.2" of the API server), declared_version (of
    kubeadm-config), cluster_name, cluster_id, nodes (see node), missing (names of kubeadm's objects that are missing),
    pending_certificates ([{name, node, reason}] of kubelets' serving certificates; reason "": it is about to be
    approved), addons (see workload).
    """
    try:
        api = api or Api.of_member()
        return _read(api)
    except PhotonError as error:
        return {
            "reachable": False, "error": error.message, "version": None, "declared_version": None, "cluster_name": None,
            "cluster_id": cluster_id(), "nodes": [], "missing": [], "pending_certificates": [], "addons": [],
        }  # fmt: skip


def _read(api: Api) -> dict[str, Any]:
    version = api.get("/version") or {}
    own = {path: api.get(path) for path in OWN_OBJECTS}
    declared = ((own["/api/v1/namespaces/kube-system/configmaps/kubeadm-config"] or {}).get("data") or {}).get(
        "ClusterConfiguration", ""
    )
    return {
        "reachable": True,
        "error": "",
        "version": plain_version(version.get("gitVersion", "")),
        "declared_version": plain_version(_field(declared, "kubernetesVersion")),
        "cluster_name": _field(declared, "clusterName") or None,
        "cluster_id": cluster_id(),
        "nodes": [node(item) for item in api.items("/api/v1/nodes")],
        "missing": [path.rpartition("/")[2] for path, item in own.items() if item is None],
        "pending_certificates": [
            {
                "name": one.name,
                "node": one.node,
                "reason": "its node is not declared" if one.reason is None else one.reason,
            }
            for one in serving.requests(api, serving.recorded(api))
            if not one.approved
        ],
        "addons": [
            workload(kind, item)
            for kind, path in (("Deployment", "deployments"), ("DaemonSet", "daemonsets"))
            for space in ("kube-system", "kube-flannel")
            for item in api.items(f"/apis/apps/v1/namespaces/{space}/{path}")
        ],
    }


def node(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a Node (pure): {name, version, ready, reason, addresses, labels, taints, unschedulable,
    cordoned (by us), settled (labels and taints were set since it joined), roles, pod_network}."""
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    ready = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), {})
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    return {
        "name": metadata["name"],
        "version": plain_version((status.get("nodeInfo") or {}).get("kubeletVersion", "")),
        "ready": ready.get("status") == "True",
        "reason": ""
        if ready.get("status") == "True"
        else ready.get("message") or ready.get("reason") or "never reported",
        "addresses": [one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"],
        "labels": labels,
        "taints": spec.get("taints") or [],
        "unschedulable": bool(spec.get("unschedulable")),
        "cordoned": CORDONED in annotations,
        "settled": TAINTS in annotations,
        "roles": sorted(label[len(_ROLE) :] for label in labels if label.startswith(_ROLE)),
        "pod_network": spec.get("podCIDR"),
    }


def workload(kind: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return {kind, namespace, name, wanted, available, current} of a Deployment or DaemonSet (pure).

    ``current``: the controller has observed the newest template and all pods use it.
    """
    metadata, spec, status = item["metadata"], item.get("spec") or {}, item.get("status") or {}
    seen = status.get("observedGeneration", 0) >= metadata.get("generation", 0)
    if kind == "DaemonSet":
        wanted, available = status.get("desiredNumberScheduled", 0), status.get("numberAvailable", 0)
        updated = status.get("updatedNumberScheduled", 0)
    else:
        wanted, available = spec.get("replicas", 1), status.get("availableReplicas", 0)
        updated = status.get("updatedReplicas", 0)
    return {
        "kind": kind,
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "wanted": wanted,
        "available": available,
        "current": seen and updated >= wanted,
    }


def plain_version(text: str) -> str | None:
    """Return 1.37.2 for v1.37.2-suffix, None for anything else."""
    match = re.match(r"v?(\d+\.\d+\.\d+)", text or "")
    return match[1] if match else None


def _field(text: str, key: str) -> str:
    """Return a top-level field of JSON, or of YAML written by kubeadm."""
    if text.lstrip().startswith("{"):
        return str(json.loads(text).get(key, ""))
    match = re.search(rf"^{key}: *(\S+)", text, re.MULTILINE)
    return match[1].strip("\"'") if match else ""
