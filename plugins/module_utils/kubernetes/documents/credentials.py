# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Render kubeconfigs that log users in at the identity provider with kubelogin; they contain no secrets."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from ...model.errors import PhotonError


def oidc(cluster: Mapping[str, Any], authority: str, issuer: str = "", client: str = "", namespace: str = "") -> str:
    """Return a kubeconfig (JSON) whose user logs in at an issuer of the cluster; SpecInvalid when it has no issuer.

    ``authority``: the cluster's authority in PEM; ``issuer`` its URL, "" for the first; ``client`` the client id at the
    issuer, "" for the first audience.
    """
    issuers = {one["issuer"]: one for one in cluster["oidc"]}
    if not issuers:
        raise PhotonError(
            "SpecInvalid",
            f"cluster {cluster['name']} has no oidc issuer. Declare one, or use the administrator kubeconfig.",
        )
    if issuer and issuer not in issuers:
        raise PhotonError("SpecInvalid", f"{issuer} is not an issuer of the cluster. Use one of {', '.join(issuers)}.")
    chosen = issuers[issuer] if issuer else next(iter(issuers.values()))
    words = [
        "get-token",
        f"--oidc-issuer-url={chosen['issuer']}",
        f"--oidc-client-id={client or chosen['audiences'][0]}",
    ]
    scopes = [chosen["groups_claim"]] if chosen["groups_claim"] == "groups" else []
    words += [f"--oidc-extra-scope={scope}" for scope in scopes]
    if chosen["certificate_authority"]:
        words.append(f"--certificate-authority-data={_base64(chosen['certificate_authority'])}")
    user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "kubectl-oidc_login",
            "args": words,
            "interactiveMode": "IfAvailable",
            "installHint": "kubelogin is missing: kubectl krew install oidc-login",
        }
    }
    name, end = cluster["name"], cluster["endpoint"]
    context = {"cluster": name, "user": f"{name}-oidc", **({"namespace": namespace} if namespace else {})}
    server = {"server": f"https://{end['host']}:{end['port']}", "certificate-authority-data": _base64(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": server}],
        "contexts": [{"name": name, "context": context}],
        "users": [{"name": f"{name}-oidc", "user": user}],
    }
    return json.dumps(document, indent=2) + "\n"


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
