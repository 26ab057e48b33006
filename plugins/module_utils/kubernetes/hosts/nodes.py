# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage nodes in the API: labels, taints, kubelets' serving certificates, drain, removal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from . import serving
from .api import ADMIN, Api, Refused
from .cluster import CORDONED, TAINTS
from .cluster import node as read_node
from .commands import last_words, run

_POLL_SECONDS = 0.25
Node = Mapping[str, Any]


def settle(
    nodes: Sequence[Node], check: bool, approve: bool, wait: float, api: Api | None = None, version: str = ""
) -> dict[str, Any]:
    """Reconcile labels and taints, approve serving certificates and wait until the nodes are Ready.

    ``nodes``: {name, labels, taints: [{key, value, effect}], addresses, serving: wait for its serving certificate too}.
    ``wait``: seconds to wait until all are registered and Ready, with kubelets of ``version`` if given; 0 does not wait
    and skips nodes that are not registered. Return {changes: [{kind, name, before, after}], not_ready: [reasons]}. A
    certificate request is approved only when a declared node sent it and it names only that node; CertificateRefused
    otherwise. The nodes' addresses are recorded in the cluster, for the approver of later requests (hosts/approver.py).
    """
    api = api or Api.of_member()
    deadline, changes = time.monotonic() + wait, []
    settled: set[str] = set()
    recorded = False
    uncertain = {node["name"] for node in nodes if approve and node.get("serving")}
    while True:
        try:
            there = {item["metadata"]["name"]: item for item in api.items("/api/v1/nodes")}
            for node in nodes:
                if node["name"] in there and node["name"] not in settled:
                    changes += _settle(api, node, there[node["name"]], check)
                    settled.add(node["name"])
            if approve and not recorded:
                changes += serving.record(api, nodes, check)
                recorded = True
            if approve:
                approved, certain = _approve(api, nodes, check)
                changes += approved
                # The approved request may be an older one, so check that the kubelet uses its certificate.
                uncertain -= {name for name in uncertain & certain if _serves(api, name)}
        except PhotonError as error:
            if check or not _passing(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_SECONDS)
            continue
        late = _late(nodes, there, version) + [f"{name}: has no serving certificate yet" for name in sorted(uncertain)]
        if not late or check or time.monotonic() >= deadline:
            return {"changes": changes, "not_ready": late}
        time.sleep(_POLL_SECONDS)


def wanted_taints(
    now: Sequence[Mapping[str, Any]], ours: Sequence[str], declared: Sequence[Mapping[str, Any]]
) -> list[dict]:
    """Return a node's desired taints: declared ones and those set by others (pure). ``ours``: key:effect set by us."""
    declared = [{key: value for key, value in taint.items() if value is not None} for taint in declared]
    names = {_taint_name(taint) for taint in declared}
    others = [dict(taint) for taint in now if _taint_name(taint) not in names and _taint_name(taint) not in ours]
    kept = {_taint_name(taint): taint for taint in now}
    return [dict(kept.get(_taint_name(t)) or t) | t for t in declared] + others


def remove(name: str, check: bool, api: Api | None = None) -> bool:
    """Delete a Node; return False when it does not exist."""
    api = api or Api.of_member()
    path = f"/api/v1/nodes/{name}"
    if api.get(path) is None:
        return False
    if not check:
        serving.forget(api, name)
    return True if check else api.delete(path)


def cordon(name: str, wanted: bool, check: bool, api: Api | None = None) -> bool:
    """Cordon or uncordon a node; return False when nothing changes. NotFound when the node does not exist."""
    api = api or Api.of_member()
    item = api.get(f"/api/v1/nodes/{name}")
    if item is None:
        raise PhotonError("NotFound", f"the cluster has no node {name}")
    if bool((item.get("spec") or {}).get("unschedulable")) == wanted:
        return False
    if not check:
        # A node cordoned by an administrator is not marked as ours, so an upgrade does not uncordon it.
        note = {"annotations": {CORDONED: "true" if wanted else None}}
        api.merge(f"/api/v1/nodes/{name}", {"metadata": note, "spec": {"unschedulable": wanted or None}})
    return True


def drain(name: str, settings: Mapping[str, Any], check: bool) -> bool:
    """Drain a node within PodDisruptionBudgets; return False when it is cordoned and empty already.

    ``settings``: timeout and grace_period in seconds (-1: the pods' own), force (also pods without a controller),
    delete_emptydir_data. DrainFailed with kubectl's output after the timeout; the node stays cordoned.
    """
    api = Api.of_member()
    was = bool((api.get(f"/api/v1/nodes/{name}") or {}).get("spec", {}).get("unschedulable"))
    if was and not _movable(api, name):
        return False
    if check:
        return True
    cordon(name, True, False, api)
    words = [
        f"--timeout={int(settings.get('timeout') or 300)}s",
        f"--grace-period={int(settings.get('grace_period') or -1)}",
    ]
    words += ["--force"] if settings.get("force") else []
    words += ["--delete-emptydir-data"] if settings.get("delete_emptydir_data", True) else []
    result = run(
        "kubectl", f"--kubeconfig={ADMIN}", "drain", name, "--ignore-daemonsets", *words,
        timeout=int(settings.get("timeout") or 300) + 30,
    )  # fmt: skip
    if result.returncode != 0:
        raise PhotonError(
            "DrainFailed",
            f"{name} could not be drained and stays cordoned: {last_words(result)}. Check its pods and "
            "PodDisruptionBudgets, and run again.",
            {"node": name},
        )
    return True


def _passing(error: PhotonError) -> bool:
    """Return whether an error is transient: a restarting kubelet may restart the only API server."""
    return error.code == "ApiUnreachable" or (isinstance(error, Refused) and error.status in (403, 429, 500, 503))


def _settle(api: Api, node: Node, item: Mapping[str, Any], check: bool) -> list[dict[str, Any]]:
    name, now = node["name"], read_node(item)
    annotations = item["metadata"].get("annotations") or {}
    changes = []
    taints = wanted_taints(now["taints"], json.loads(annotations.get(TAINTS) or "[]"), node.get("taints") or [])
    if _taint_set(taints) != _taint_set(now["taints"]):
        changes.append({"kind": "taints", "name": name, "before": now["taints"], "after": taints})
        if not check:
            api.merge(f"/api/v1/nodes/{name}", {"spec": {"taints": taints}})
    ours = json.dumps(sorted(_taint_name(taint) for taint in node.get("taints") or ()))
    wanted = {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": dict(node.get("labels") or {}), "annotations": {TAINTS: ours}},
    }  # fmt: skip
    before = annotations.get(TAINTS)
    if before != ours:
        changes.append({"kind": "annotation", "name": name, "before": before, "after": ours})
    after = api.apply(wanted, dry_run=True) or {}
    labels = after.get("metadata", {}).get("labels") or {}
    if labels != now["labels"]:
        gone = {key: None for key in now["labels"] if key not in labels}
        new = {key: value for key, value in labels.items() if now["labels"].get(key) != value}
        changes.append(
            {
                "kind": "labels",
                "name": name,
                "before": {key: now["labels"].get(key) for key in {**gone, **new}},
                "after": {**gone, **new},
            }
        )
    if not check and (labels != now["labels"] or before != ours):
        api.apply(wanted)
    return changes


def _approve(api: Api, nodes: Sequence[Node], check: bool) -> tuple[list[dict[str, Any]], set[str]]:
    """Approve requests; return the changes and the nodes that have an approved request."""
    changes, certain = [], set()
    for one in serving.requests(api, nodes):
        if one.approved:
            certain.add(one.node)
        elif one.reason:
            raise PhotonError("CertificateRefused", serving.explanation(one), {"node": one.node})
        elif one.reason is not None:
            changes.append({"kind": "certificate", "name": one.node, "before": "pending", "after": "approved"})
            if not check:
                serving.approve(api, one)
    return changes, certain


def _serves(api: Api, name: str) -> bool:
    """Return whether the kubelet answers the API server, which requires a serving certificate."""
    try:
        return api.get(f"/api/v1/nodes/{name}/proxy/healthz") is not None
    except Refused:
        return False


def _late(nodes: Sequence[Node], there: Mapping[str, Mapping[str, Any]], version: str) -> list[str]:
    late = []
    for node in nodes:
        item = there.get(node["name"])
        state = read_node(item) if item else None
        if state is None:
            late.append(f"{node['name']}: has not registered with the cluster")
        elif not state["ready"]:
            late.append(f"{node['name']}: {state['reason']}")
        elif version and state["version"] != version:
            late.append(f"{node['name']}: runs kubelet {state['version']}, not {version}")
    return late


def _movable(api: Api, name: str) -> bool:
    """Return whether a drain would evict pods: those of DaemonSets, static and finished pods do not count."""
    for pod in api.items(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}"):
        owners = [one["kind"] for one in pod["metadata"].get("ownerReferences") or ()]
        finished = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if not finished and "DaemonSet" not in owners and "Node" not in owners:
            return True
    return False


def _taint_name(taint: Mapping[str, Any]) -> str:
    return f"{taint['key']}:{taint['effect']}"


def _taint_set(taints: Sequence[Mapping[str, Any]]) -> set[tuple[str, str]]:
    return {(_taint_name(taint), taint.get("value") or "") for taint in taints}
