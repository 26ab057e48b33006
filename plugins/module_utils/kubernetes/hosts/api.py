# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Call the Kubernetes API from a control-plane member with its administrator certificate.

All calls use one connection. The member's own API server is tried first, so that the answers describe this member; the
cluster's endpoint is the fallback.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import tempfile
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from ...model.errors import PhotonError
from .commands import read

ADMIN = "/etc/kubernetes/admin.conf"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
FIELD_MANAGER = "photon.platform"
_SECONDS = 15
_NETWORK_ERRORS = (OSError, http.client.HTTPException)
Object = dict[str, Any]


class Refused(PhotonError):
    """The API server rejected a request with HTTP status ``status``."""

    def __init__(self, status: int, message: str, where: str) -> None:
        super().__init__(
            "ApiRefused", f"the Kubernetes API answered {status} to {where}: {message}", {"status": status}
        )
        self.status = status


class Api:
    """A connection to the API server. PhotonError ApiUnreachable when none answers, Refused when one rejects a call."""

    def __init__(self, kubeconfig: Mapping[str, str], addresses: Sequence[tuple[str, int]], timeout: float = _SECONDS):
        self._addresses = list(addresses)
        self._name = urllib.parse.urlsplit(kubeconfig["server"]).hostname or ""
        self._context = _context(kubeconfig)
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None
        self._resources: dict[str, dict[str, Any]] = {}

    @classmethod
    def of_member(cls, kubeconfig: str = ADMIN, timeout: float = _SECONDS) -> Api:
        """Connect with this host's administrator kubeconfig; ApiUnreachable when it does not exist."""
        text = read(kubeconfig)
        if not text:
            raise PhotonError("ApiUnreachable", f"{kubeconfig} does not exist. Run this on a control-plane member.")
        settings = parse_kubeconfig(text)
        parts = urllib.parse.urlsplit(settings["server"])
        own = own_address(read(MANIFEST))
        return cls(settings, [*([own] if own else []), (parts.hostname or "", parts.port or 443)], timeout)

    @classmethod
    def of_endpoint(cls, kubeconfig: str = ADMIN, timeout: float = 5) -> Api:
        """Connect through the cluster's endpoint only, as other hosts do."""
        settings = parse_kubeconfig(read(kubeconfig))
        parts = urllib.parse.urlsplit(settings["server"])
        return cls(settings, [(parts.hostname or "", parts.port or 443)], timeout)

    def get(self, path: str) -> Object | None:
        """Return an object, or None when it does not exist."""
        return self._call("GET", path, missing=True)

    def items(self, path: str) -> list[Object]:
        """Return the items of a list."""
        return (self._call("GET", path) or {}).get("items") or []

    def post(self, path: str, body: Mapping[str, Any]) -> Object:
        """Create."""
        return self._call("POST", path, body) or {}

    def put(self, path: str, body: Mapping[str, Any]) -> Object:
        """Replace an object; a resourceVersion in the body makes it conditional."""
        return self._call("PUT", path, body) or {}

    def merge(self, path: str, body: Mapping[str, Any]) -> Object:
        """Change fields with a merge patch."""
        return self._call("PATCH", path, body, "application/merge-patch+json") or {}

    def apply(self, item: Mapping[str, Any], dry_run: bool = False, manager: str = FIELD_MANAGER) -> Object | None:
        """Apply an object server-side; return None when its namespace or kind does not exist yet."""
        query = f"?fieldManager={manager}&force=true" + ("&dryRun=All" if dry_run else "")
        path = self.path_of(item)
        if path is None:
            return None
        return self._call("PATCH", path + query, item, "application/apply-patch+yaml", missing=True)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> bool:
        """Delete an object; return False when it does not exist."""
        return self._call("DELETE", path, body, missing=True) is not None

    def path_of(self, item: Mapping[str, Any]) -> str | None:
        """Return an object's path, None when the API server does not know its kind."""
        version, kind = item["apiVersion"], item["kind"]
        base = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if not self._resources.get(version):
            listing = self._call("GET", base, missing=True) or {}
            self._resources[version] = {
                one["kind"]: one for one in listing.get("resources", ()) if "/" not in one["name"]
            }
        found = self._resources[version].get(kind)
        if found is None:
            return None
        metadata = item["metadata"]
        space = f"/namespaces/{metadata.get('namespace', 'default')}" if found["namespaced"] else ""
        return f"{base}{space}/{found['name']}/{urllib.parse.quote(metadata['name'])}"

    def ready(self, wait: float = 0) -> bool:
        """Return whether /readyz reports ok within ``wait`` seconds."""
        deadline = time.monotonic() + wait
        while True:
            with contextlib.suppress(PhotonError):
                self._call("GET", "/readyz")
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.5)

    def _call(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", missing: bool = False
    ) -> Object | None:
        status, answer = self._exchange(method, path, None if body is None else json.dumps(body), kind)
        if status == 404 and missing:
            return None
        try:
            content = json.loads(answer) if answer[:1] in (b"{", b"[") else {}
        except ValueError:
            content = {}
        if status >= 400:
            text = content.get("message") or answer[:200].decode("utf-8", "replace")
            raise Refused(status, text, f"{method} {path.partition('?')[0]}")
        return content

    def _exchange(self, method: str, path: str, body: str | None, kind: str) -> tuple[int, bytes]:
        """Send a request; retry it once on a new connection when it is idempotent and the old one was closed."""
        headers = {"Content-Type": kind, "Accept": "application/json"}
        fresh = self._connection is None
        while True:
            connection = self._connection or self._connect()
            try:
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                return response.status, response.read()
            except _NETWORK_ERRORS as error:
                self.close()
                if fresh or method == "POST":
                    raise _unreachable(error) from error
                fresh = True

    def _connect(self) -> http.client.HTTPSConnection:
        last: Exception | None = None
        for host, port in self._addresses:
            connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._context)
            try:
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                last = error
                continue
            self._connection = connection
            return connection
        raise _unreachable(last)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection:
            self._connection.close()
            self._connection = None


def parse_kubeconfig(text: str) -> dict[str, str]:
    """Return the fields of a kubeconfig: server, certificate-authority-data, client-certificate-data and others.

    Supports files of kubeadm and kubelet, which have one cluster and one user; missing fields are "".
    """
    found = {}
    for key in (
        "server",
        "certificate-authority-data",
        "certificate-authority",
        "client-certificate-data",
        "client-key-data",
        "client-certificate",
        "current-context",
        "cluster",
    ):
        match = re.search(rf"^[ -]*{key}:[ ]+(\S+)\s*$", text, re.MULTILINE)
        found[key] = match[1].strip("\"'") if match else ""
    return found


def own_address(manifest: str) -> tuple[str, int] | None:
    """Return the address of this member's API server from its manifest."""
    address = re.search(r"--advertise-address=(\S+)", manifest)
    port = re.search(r"--secure-port=(\d+)", manifest)
    return (address[1], int(port[1])) if address and port else None


def decoded(settings: Mapping[str, str], key: str) -> str:
    """Decode a base64 field of a kubeconfig; return "" when it is missing or invalid."""
    try:
        return base64.b64decode(settings.get(key) or "").decode("utf-8", "replace")
    except ValueError:
        return ""


def _context(kubeconfig: Mapping[str, str]) -> ssl.SSLContext:
    """Build the TLS context; the ssl module needs the key in a file, which exists briefly and only root can read."""
    authority = decoded(kubeconfig, "certificate-authority-data")
    try:
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile("w", suffix=".pem", dir="/run") as handle:
            os.fchmod(handle.fileno(), 0o600)
            handle.write(decoded(kubeconfig, "client-certificate-data") + "\n" + decoded(kubeconfig, "client-key-data"))
            handle.flush()
            context.load_cert_chain(handle.name)
    except (ssl.SSLError, ValueError) as error:
        raise PhotonError("ApiUnreachable", f"{ADMIN} does not contain a usable certificate ({error})") from error
    return context


def _unreachable(error: Exception | None) -> PhotonError:
    reason = getattr(error, "verify_message", "") or str(error or "no address")
    return PhotonError("ApiUnreachable", f"the Kubernetes API does not answer this member: {reason}")
