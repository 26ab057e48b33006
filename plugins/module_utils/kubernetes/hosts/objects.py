# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile API objects with server-side apply; a dry run of the server determines the changes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from .api import Api, Refused
from .cluster import workload

# Kinds that others depend on come first; the rest keeps its order.
_FIRST = ("Namespace", "CustomResourceDefinition", "PriorityClass", "ServiceAccount", "ClusterRole", "Role")
_WORKLOADS = {"Deployment": "deployments", "DaemonSet": "daemonsets"}
_NOISE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_POLL_SECONDS = 0.5
_ATTEMPTS_SECONDS = 20
Object = dict[str, Any]


def apply(
    objects: Sequence[Mapping[str, Any]], absent: Sequence[Mapping[str, Any]], check: bool, api: Api | None = None
) -> dict[str, Any]:
    """Apply ``objects`` and remove ``absent`` (apiVersion, kind, metadata).

    Return {changes: [{kind, name (namespace/name), before, after}], diff}; with ``check`` nothing is changed. Declared
    fields that were changed are restored; fields that are not declared are not touched. ApiRefused names the object
    that the server rejects.
    """
    api = api or Api.of_member()
    changes, diff = [], []
    for item in ordered(objects):
        before = live(api, item)
        after = _applied(api, item, dry_run=True, patient=not check) if before or not check else None
        if before and after and same(before, after):
            continue
        changes.append({"kind": item["kind"], "name": title(item), **_words(before)})
        diff.append(_difference(item, before, after))
        if not check:
            _applied(api, item, dry_run=False, patient=True)
    for item in absent:
        path = api.path_of(item)
        before = api.get(path) if path else None
        if before:
            changes.append({"kind": item["kind"], "name": title(item), "before": "present", "after": "absent"})
            if not check:
                api.delete(path or "")
    return {"changes": changes, "diff": diff}


def wait_available(workloads: Iterable[Mapping[str, str]], seconds: float, api: Api | None = None) -> list[str]:
    """Wait until all pods of Deployments and DaemonSets ({kind, namespace, name}) are available; describe the rest."""
    api = api or Api.of_member()
    deadline = time.monotonic() + seconds
    waiting = [dict(one) for one in workloads if one["kind"] in _WORKLOADS]
    while True:
        states = [(one, _state(api, one)) for one in waiting]
        waiting = [one for one, state in states if not _available(state)]
        if not waiting or time.monotonic() >= deadline:
            break
        time.sleep(_POLL_SECONDS)
    return [
        f"{one['kind']} {one['namespace']}/{one['name']}: "
        + ("does not exist" if state is None else f"{state['available']} of {state['wanted']} pods are available")
        for one, state in states
        if not _available(state)
    ]


def workloads_of(objects: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the Deployments and DaemonSets among objects, for wait_available (pure)."""
    return [
        {
            "kind": item["kind"],
            "namespace": item["metadata"].get("namespace", "default"),
            "name": item["metadata"]["name"],
        }
        for item in objects
        if item["kind"] in _WORKLOADS
    ]


def ordered(objects: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort namespaces and definitions before the objects that depend on them (pure)."""
    return sorted(objects, key=lambda item: _FIRST.index(item["kind"]) if item["kind"] in _FIRST else len(_FIRST))


def same(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether two answers describe the same object, ignoring server-managed fields (pure)."""
    return stripped(before) == stripped(after)


def stripped(item: Mapping[str, Any]) -> Object:
    """Return an object without status and server-managed fields (pure)."""
    result = {key: value for key, value in item.items() if key != "status"}
    result["metadata"] = {key: value for key, value in item["metadata"].items() if key not in _NOISE}
    return result


def title(item: Mapping[str, Any]) -> str:
    """Return namespace/name, or the name of a cluster-wide object."""
    metadata = item["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]


def live(api: Api, item: Mapping[str, Any]) -> Object | None:
    """Return the object from the server, None when it does not exist."""
    path = api.path_of(item)
    return api.get(path) if path else None


def _applied(api: Api, item: Mapping[str, Any], dry_run: bool, patient: bool) -> Object | None:
    """Apply an object; with ``patient``, wait for a kind or namespace that is being created."""
    deadline = time.monotonic() + (_ATTEMPTS_SECONDS if patient else 0)
    while True:
        try:
            answer = api.apply(item, dry_run)
            if answer is not None or dry_run:
                return answer
            reason = "the kind or the namespace does not exist"
        except Refused as error:
            # 403 and 500: a service account or webhook does not exist yet; 409: a concurrent change.
            if error.status not in (403, 409, 429, 500, 503) or time.monotonic() >= deadline:
                text = f"{item['kind']} {title(item)}: {error.message}"
                # Refused is a PhotonError.  pylint: disable-next=bad-exception-cause
                raise PhotonError("ApiRefused", text, {"status": error.status}) from error
            reason = ""
        if reason and time.monotonic() >= deadline:
            raise PhotonError("ApiRefused", f"{item['kind']} {title(item)}: {reason}")
        time.sleep(_POLL_SECONDS)


def _words(before: Object | None) -> dict[str, str]:
    return {"before": "present" if before else "absent", "after": "changed" if before else "present"}


def _difference(item: Mapping[str, Any], before: Object | None, after: Object | None) -> dict[str, Any]:
    name = f"{item['kind']} {title(item)}"
    if item["kind"] == "Secret":
        return {"before_header": name, "after_header": name, "before": "(secret)\n", "after": "(another secret)\n"}
    shown = after or item
    return {
        "before_header": name,
        "after_header": name,
        "before": stripped(before) if before else "",
        "after": stripped(shown),
    }


def _state(api: Api, one: Mapping[str, str]) -> dict[str, Any] | None:
    found = api.get(f"/apis/apps/v1/namespaces/{one['namespace']}/{_WORKLOADS[one['kind']]}/{one['name']}")
    return workload(one["kind"], found) if found else None


def _available(state: Mapping[str, Any] | None) -> bool:
    return bool(state and state["current"] and state["available"] >= state["wanted"])
