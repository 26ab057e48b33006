# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubelets' requests for serving certificates: which are approved, and by which record of the declared nodes.

The record is a ConfigMap that kubelets cannot change. The approver on control-plane members decides by it between runs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from . import x509
from .api import Api, Refused

SIGNER = "kubernetes.io/kubelet-serving"
_REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_RECORDS = "/api/v1/namespaces/kube-system/configmaps"
RECORD = f"{_RECORDS}/photon-nodes"  # data: node name -> JSON list of its addresses
_USAGES = {"digital signature", "key encipherment", "server auth"}
Node = Mapping[str, Any]


class Request(NamedTuple):
    """A request for a serving certificate. ``reason``: why it is refused, "" to approve it, None for other nodes."""

    name: str
    node: str
    approved: bool
    reason: str | None
    item: Mapping[str, Any]


def requests(api: Api, nodes: Sequence[Node]) -> Iterator[Request]:
    """Yield the pending requests and those that were approved and have a certificate; ``nodes``: {name, addresses}."""
    for item in api.items(_REQUESTS):
        if item["spec"].get("signerName") != SIGNER:
            continue
        status = item.get("status") or {}
        conditions = status.get("conditions") or []
        approved = bool(status.get("certificate")) and any(one["type"] == "Approved" for one in conditions)
        if approved or not conditions:
            name = item.get("metadata", {}).get("name", "")
            node = item["spec"].get("username", "").removeprefix("system:node:")
            yield Request(name, node, approved, None if approved else refusal(item, nodes), item)


def refusal(request: Mapping[str, Any], nodes: Sequence[Node]) -> str | None:
    """Return why a request is refused, "" to approve it, None for an undeclared node (pure)."""
    spec = request["spec"]
    user = spec.get("username", "")
    node = next((one for one in nodes if user == f"system:node:{one['name']}"), None)
    if node is None:
        return None
    try:
        asked = x509.read_request(base64.b64decode(spec["request"]).decode("ascii"))
    except (ValueError, KeyError) as error:
        return f"it cannot be parsed: {error}"
    if "system:nodes" not in (spec.get("groups") or ()):
        return "its sender is not a node"
    if asked.common_name != user or asked.organizations != ("system:nodes",):
        return f"its subject is {asked.common_name} ({', '.join(asked.organizations)})"
    if set(spec.get("usages") or ()) - _USAGES or "server auth" not in spec.get("usages", ()):
        return f"its usages are {', '.join(spec.get('usages') or ('none',))}"
    strange = [name for name in asked.names.dns if name != node["name"]]
    strange += [address for address in asked.names.addresses if address not in (node.get("addresses") or ())]
    if strange or asked.names.others:
        return f"it names {', '.join(strange) or 'more than hosts'}, which do not belong to the node"
    return "" if asked.names.dns or asked.names.addresses else "it contains no host names or addresses"


def explanation(request: Request) -> str:
    """Say why a request is not approved, and what to do."""
    return (
        f"the request {request.name} of {request.node} is not approved: {request.reason}. Check the host, and "
        f"kubectl get csr {request.name} -o yaml"
    )


def approve(api: Api, request: Request) -> None:
    """Approve a request; one that was deleted or changed concurrently is left alone."""
    condition = {
        "type": "Approved", "status": "True", "reason": "DeclaredNode",
        "message": "names and addresses match the declared node",
    }  # fmt: skip
    item = request.item
    body = {**item, "status": {**(item.get("status") or {}), "conditions": [condition]}}
    try:
        api.put(f"{_REQUESTS}/{request.name}/approval", body)
    except Refused as error:
        if error.status not in (404, 409):
            raise


def recorded(api: Api) -> list[dict[str, Any]]:
    """Return the recorded nodes: [{name, addresses}]."""
    data = (api.get(RECORD) or {}).get("data") or {}
    return [{"name": name, "addresses": json.loads(text)} for name, text in sorted(data.items())]


def record(api: Api, nodes: Sequence[Node], check: bool) -> list[dict[str, Any]]:
    """Record the addresses of nodes and keep those of others; return the changes."""
    found = api.get(RECORD)
    data = (found or {}).get("data") or {}
    wanted = {node["name"]: json.dumps(sorted(node.get("addresses") or ())) for node in nodes}
    new = {name: text for name, text in wanted.items() if data.get(name) != text}
    if new and not check:
        if found is None:
            metadata = {"name": "photon-nodes", "namespace": "kube-system"}
            api.post(_RECORDS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": new})
        else:
            api.merge(RECORD, {"data": new})
    return [{"kind": "addresses", "name": name, "before": data.get(name), "after": text} for name, text in new.items()]


def forget(api: Api, name: str) -> None:
    """Remove a node from the record."""
    if name in ((api.get(RECORD) or {}).get("data") or {}):
        api.merge(RECORD, {"data": {name: None}})


def approve_all(api: Api) -> tuple[list[str], list[str]]:
    """Approve what recorded nodes request; return the names of nodes with approved requests, and every refusal.

    Requests of other nodes wait: such a node may be about to be recorded, or be approved by somebody else.
    """
    pending = [one for one in requests(api, recorded(api)) if not one.approved]
    granted = [one for one in pending if one.reason == ""]
    for one in granted:
        approve(api, one)
    refused = [explanation(one) for one in pending if one.reason]
    return [one.node for one in granted], refused
