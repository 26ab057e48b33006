# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver on the loopback, with etcd and a token issuer, run with the role's files and flags."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.kubernetes.documents import host, kubeadm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from lab.certificates import Authority
from lab.kubernetes import cache, versions

ADMIN = "break-glass"
_PATIENCE = 60


class Issuer:
    """An OIDC issuer on https: discovery, keys, and tokens signed with RS256. ``port`` 0 takes a free one."""

    def __init__(self, authority: Authority, name: str = "issuer") -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        certificate = authority.issue(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.file, certificate.key)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def token(self, **claims: Any) -> str:
        """A token with these claims; those that are None are left out."""
        now = int(time.time())
        full = {"iss": self.url, "aud": "kubernetes", "sub": "alice", "iat": now, "exp": now + 600, **claims}
        head = {"alg": "RS256", "kid": "1", "typ": "JWT"}
        body = {key: value for key, value in full.items() if value is not None}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (head, body))
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encoded(signature)}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                numbers = issuer._key.public_key().public_numbers()
                answers: dict[str, Any] = {
                    "/.well-known/openid-configuration": {
                        "issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys",
                        "id_token_signing_alg_values_supported": ["RS256"],
                    },
                    "/keys": {"keys": [{
                        "kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256",
                        "n": _encoded(numbers.n.to_bytes(256, "big")), "e": _encoded(numbers.e.to_bytes(3, "big")),
                    }]},
                }  # fmt: skip
                body = json.dumps(answers.get(self.path, {})).encode()
                self.send_response(200 if self.path in answers else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Be quiet."""

        return Handler


class ApiServer:
    """kube-apiserver with etcd and the two controllers that rights and pods need. A context manager."""

    def __init__(
        self, folder: pathlib.Path, cluster: Mapping[str, Any], keys: list[dict[str, str]], version: str
    ) -> None:
        self.folder, self.cluster, self.keys = folder, cluster, keys
        self.programs = cache.programs("kubernetes", version)
        self.port, self.etcd_port, self._peer = (free_port() for _ in range(3))
        self._processes: list[subprocess.Popen[bytes]] = []
        etcd = sorted(cache.folder().glob("programs/etcd-*"), key=lambda path: path.name)[-1]
        self._etcd_program, self._etcdctl = (
            etcd / "etcd",
            etcd.with_name(etcd.name.replace("etcd-", "etcdctl-")) / "etcdctl",
        )

    def __enter__(self) -> ApiServer:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def request(
        self, method: str, path: str, token: str | None = ADMIN, body: Any = None, kind: str = "application/json"
    ) -> tuple[int, dict[str, Any], Mapping[str, str]]:
        """Status, answer and headers; without a token the request has no credentials."""
        headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
        # Without blanks, as Go writes JSON: free-form fields keep the bytes that were sent.
        data = json.dumps(body, separators=(",", ":")).encode() if body is not None else None
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", data, headers, method=method)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without reading the system's authorities each time
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # its certificate is made by itself
        try:
            with urllib.request.urlopen(request, context=context, timeout=20) as answer:
                return answer.status, _read(answer.read()), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, _read(error.read()), dict(error.headers)

    def kubectl(self, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """kubectl as the administrator."""
        options = [f"--server=https://127.0.0.1:{self.port}", f"--token={ADMIN}", "--insecure-skip-tls-verify"]
        return subprocess.run(
            [self.programs / "kubectl", *options, *words],
            input=text, capture_output=True, text=True, check=False, timeout=120,
            env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip

    def in_etcd(self, key: str) -> bytes:
        """What etcd holds below /registry/."""
        words = [
            self._etcdctl,
            f"--endpoints=http://127.0.0.1:{self.etcd_port}",
            "get",
            f"/registry/{key}",
            "--print-value-only",
        ]
        return subprocess.run(words, capture_output=True, check=True, timeout=20).stdout

    def write_settings(self, keys: list[dict[str, str]]) -> None:
        """The files of the role, renamed into place as the role does it."""
        for item in host.api_server_files(self.cluster, keys):
            path = self._moved(item["path"])
            part = self.folder / "part"
            part.write_text(item["content"])
            part.rename(path)

    def _start(self) -> None:
        for name in ("settings", "audit", "certificates"):
            (self.folder / name).mkdir()
        self.write_settings(self.keys)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        accounts = self.folder / "accounts.key"
        accounts.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (self.folder / "tokens.csv").write_text(f'{ADMIN},admin,admin,"system:masters"\n')
        self._run(
            self._etcd_program, f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{self.etcd_port}", f"--advertise-client-urls=http://127.0.0.1:{self.etcd_port}",
            f"--listen-peer-urls=http://127.0.0.1:{self._peer}",
        )  # fmt: skip
        flags = {key: self._moved(value) for key, value in kubeadm.api_server_arguments(self.cluster).items()}
        flags |= {
            "etcd-servers": f"http://127.0.0.1:{self.etcd_port}", "secure-port": str(self.port),
            "bind-address": "127.0.0.1", "allow-privileged": "true",
            "advertise-address": "127.0.0.1", "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": self.cluster["networks"]["services"],
            "service-account-issuer": "https://kubernetes.default.svc", "service-account-key-file": str(accounts),
            "service-account-signing-key-file": str(accounts), "authorization-mode": "Node,RBAC",
            "token-auth-file": str(self.folder / "tokens.csv"), "cert-dir": str(self.folder / "certificates"),
        }  # fmt: skip
        del flags["kubelet-certificate-authority"]  # there are no kubelets
        self._command = (self.programs / "kube-apiserver", *(f"--{key}={value}" for key, value in flags.items()))
        self._start_api()
        configuration = {
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {
                "server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}}],
            "users": [{"name": "c", "user": {"token": ADMIN}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        }  # fmt: skip
        (self.folder / "config.json").write_text(json.dumps(configuration))
        self._run(
            self.programs / "kube-controller-manager", f"--kubeconfig={self.folder / 'config.json'}",
            "--leader-elect=false",
            "--controllers=clusterrole-aggregation-controller,serviceaccount-controller", "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}", f"--cert-dir={self.folder / 'certificates'}",
        )  # fmt: skip

    def restart(self) -> None:
        """End kube-apiserver and start it with the files as they are now."""
        running = next(one for one in self._processes if one.args[0] == self._command[0])  # type: ignore[index]
        running.kill()  # it would wait a minute for its watches
        running.wait()
        self._processes.remove(running)
        self._start_api()

    def _start_api(self) -> None:
        self._run(*self._command)
        self.wait(lambda: self.request("GET", "/readyz", None)[0] == 200, "kube-apiserver did not become ready")

    def wait(self, true: Callable[[], bool], told: str) -> None:
        """Until it holds; the last lines of the logs are in the failure."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(OSError):
                if true():
                    return
            ended = [process.args for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "".join(
                    f"\n{path.name}: {path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log"))
                )
                raise AssertionError(f"{told}; ended: {ended}{logs}")
            time.sleep(0.1)

    def _run(self, program: pathlib.Path, *words: str) -> None:
        with open(self.folder / f"{program.name}.log", "wb") as log:
            self._processes.append(
                subprocess.Popen([program, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            )

    def _moved(self, path: str) -> str:
        for before, after in ((kubeadm.SETTINGS, "settings"), (kubeadm.AUDIT_LOGS, "audit")):
            path = path.replace(before, str(self.folder / after))
        return path


def missing() -> str:
    """Why there is no API server to run here; empty when there is one."""
    there = cache.programs("kubernetes", versions.NEWER) / "kube-apiserver"
    return "" if there.exists() else "the lab's Kubernetes is not built: make kubernetes-cache"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _read(body: bytes) -> dict[str, Any]:
    try:
        return dict(json.loads(body))
    except ValueError:
        return {"text": body.decode(errors="replace")}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def polled(take: Callable[[], Any], seconds: float = 30) -> Iterator[Any]:
    """What it gives, again and again for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield take()
        time.sleep(0.2)
