# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create the short-lived secrets that new members need to join, and remove their stale traces first."""

from __future__ import annotations

import secrets
import string
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from . import etcd_client, nodes
from .api import ADMIN, Api, parse_kubeconfig
from .commands import must, read
from .encryption import ENCRYPTION
from .member import secret_file
from .observe import CONTROL_PLANE, PKI

TOKEN_SECONDS = 1800
_ENDPOINT_SECONDS = 60
_SECRETS = "/api/v1/namespaces/kube-system/secrets"
_LETTERS = string.ascii_lowercase + string.digits
_ADMINISTRATORS = "kubeadm:cluster-admins"
_GROUP = "system:bootstrappers:kubeadm:default-node-token"


def make(joiners: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return {endpoint, certificate_authority, token, certificate_key, files} for ``joiners`` ({name, address, role}).

    First remove stale traces of the joiners: a Node of the same name and an etcd member with the same address. Raise
    ApiUnreachable when the cluster's endpoint does not answer, QuorumAtRisk when etcd would lose its quorum.
    """
    api = Api.of_member()
    endpoint = urllib.parse.urlsplit(parse_kubeconfig(read(ADMIN))["server"]).netloc
    _must_answer(endpoint)
    control_plane = [joiner for joiner in joiners if joiner["role"] == CONTROL_PLANE]
    for joiner in joiners:
        forget(api, joiner)
    files = {ENCRYPTION: read(ENCRYPTION)} if control_plane and read(ENCRYPTION) else {}
    key = ""
    if control_plane:
        key = secrets.token_hex(32)
        must(
            "kubeadm",
            "init",
            "phase",
            "upload-certs",
            "--upload-certs",
            "--certificate-key",
            key,
            "--kubeconfig",
            ADMIN,
        )
        _end_with_tokens(api)
    return {
        "endpoint": endpoint,
        "certificate_authority": read(f"{PKI}/ca.crt"),
        "token": new_token(api),
        "certificate_key": key,
        "files": files,
    }


def forget(api: Api, joiner: Mapping[str, str]) -> list[str]:
    """Remove a host that is about to rejoin from etcd and the nodes; describe what was removed."""
    done = []
    if joiner["role"] == CONTROL_PLANE:
        known = etcd_client.observed()
        if known["error"]:
            raise PhotonError("EtcdUnreachable", known["error"])
        stale = etcd_client.of_address(known["members"], joiner["address"])
        if stale:
            refused = etcd_client.removal_refused(known["members"], stale)
            if refused:
                raise PhotonError(
                    "QuorumAtRisk", f"{joiner['name']} cannot rejoin: {refused}", {"host": joiner["name"]}
                )
            etcd_client.Etcd().remove(stale["id"])
            done.append(f"etcd member {joiner['name']}")
    if nodes.remove(joiner["name"], False, api):
        done.append(f"node {joiner['name']}")
    return done


def _end_with_tokens(api: Api) -> None:
    """Let the certificates that kubeadm uploaded end with the join tokens: it keeps them for two hours, for as long as
    the token that owns them.
    """
    uploaded = api.get(f"{_SECRETS}/kubeadm-certs") or {}
    for owner in uploaded.get("metadata", {}).get("ownerReferences", ()):
        api.merge(f"{_SECRETS}/{owner['name']}", {"stringData": {"expiration": _ends()}})


def _ends() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + TOKEN_SECONDS))


def new_token(api: Api) -> str:
    """Create a token with which hosts can request a node certificate for half an hour."""
    identity, secret = _random(6), _random(16)
    api.post(
        _SECRETS,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {"name": f"bootstrap-token-{identity}", "namespace": "kube-system"},
            "stringData": {
                "token-id": identity,
                "token-secret": secret,
                "expiration": _ends(),
                "usage-bootstrap-authentication": "true",
                "usage-bootstrap-signing": "false",
                "auth-extra-groups": _GROUP,
                "description": "photon.platform: joining members",
            },
        },
    )
    return f"{identity}.{secret}"


def administrator(configuration: str, user: str, hours: int) -> str:
    """Create an administrator kubeconfig that expires after some hours; the member does not keep it."""
    with secret_file("configuration.yaml", configuration) as path:
        return must(
            "kubeadm", "kubeconfig", "user", "--config", path, "--client-name", user, "--org", _ADMINISTRATORS,
            "--validity-period", f"{hours}h0m0s",
        )  # fmt: skip


def _must_answer(endpoint: str) -> None:
    """Check the endpoint first: balancers need seconds, but a join would wait for minutes for a missing balancer."""
    if not Api.of_endpoint().ready(_ENDPOINT_SECONDS):
        raise PhotonError(
            "ApiUnreachable",
            f"the API does not answer at the cluster's endpoint {endpoint}, only on its member. Check the balancers "
            "(playbook load_balancer deploys them) and run again.",
        )


def revoke_all(check: bool) -> list[str]:
    """Revoke all join tokens and remove the certificates uploaded for control-plane members."""
    api = Api.of_member()
    names = [
        item["metadata"]["name"]
        for item in api.items(_SECRETS)
        if item.get("type") == "bootstrap.kubernetes.io/token" or item["metadata"]["name"] == "kubeadm-certs"
    ]
    if not check:
        for name in names:
            api.delete(f"{_SECRETS}/{name}")
    return [f"{name} deleted" for name in names]


def _random(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _position in range(length))
