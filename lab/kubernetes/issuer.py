# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenID Connect issuer for tests: its documents as files that any HTTPS server can serve, and signed tokens.

::

    python -m lab.kubernetes.issuer make FOLDER --address 198.18.7.41    ca.pem and what a web server needs
    python -m lab.kubernetes.issuer token FOLDER SUBJECT --group NAME    a token on standard output
    python3 issuer.py serve FOLDER                                       on the host; needs Python alone

A folder has ``ca.pem``, ``server.pem`` and ``server.key`` (TLS), ``signing.key``, ``issuer`` (the URL) and ``site/``.
"""

from __future__ import annotations

import argparse
import base64
import http.server
import ipaddress
import json
import ssl
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

PORT = 8443
AUDIENCE = "kubernetes"


def make(folder: Path, address: str) -> str:
    """Make an issuer at ``https://ADDRESS:8443`` where the folder has none yet; returns its URL."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    url = f"https://{address}:{PORT}"
    if (folder / "issuer").exists() and (folder / "issuer").read_text() == url:
        return url
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    keys = {
        name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("ca", "server", "signing")
    }
    now = datetime.now(UTC)
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer's authority")])
    for name, subject in (("ca", authority), ("server", x509.Name([]))):
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        )
        if name == "server":
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
            built = built.add_extension(names, critical=True)
        certificate = built.sign(keys["ca"], hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(_pem()))
    for name in ("server", "signing"):
        (folder / f"{name}.key").touch(mode=0o600)
        (folder / f"{name}.key").write_bytes(_private(keys[name]))
    _write_site(folder / "site", url, keys["signing"].public_key().public_numbers())
    (folder / "issuer").write_text(url)
    return url


def token(folder: Path, subject: str, groups: Iterable[str] = (), **claims: Any) -> str:
    """A token signed with RS256, valid for ten minutes; ``claims`` replace claims, None leaves one out."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    now = int(time.time())
    payload = {
        "iss": (folder / "issuer").read_text(), "aud": AUDIENCE, "sub": subject, "groups": list(groups),
        "iat": now, "exp": now + 600, **claims,
    }  # fmt: skip
    payload = {name: value for name, value in payload.items() if value is not None}
    header = {"alg": "RS256", "typ": "JWT", "kid": "lab"}
    signed = f"{_coded(json.dumps(header).encode())}.{_coded(json.dumps(payload).encode())}"
    key = load_pem_private_key((folder / "signing.key").read_bytes(), None)
    return f"{signed}.{_coded(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def serve(folder: Path) -> None:
    """Serve ``site/`` over TLS until the process is ended."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder / "site"))
    server = http.server.ThreadingHTTPServer(("", PORT), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


def main(argv: Sequence[str] | None = None) -> None:
    """The commands above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    for name in ("make", "token", "serve"):
        commands.add_parser(name).add_argument("folder", type=Path)
    commands.choices["make"].add_argument("--address", required=True)
    commands.choices["token"].add_argument("subject")
    commands.choices["token"].add_argument("--group", action="append", default=[])
    options = parser.parse_args(argv)
    if options.command == "make":
        print(make(options.folder, options.address))
    elif options.command == "token":
        print(token(options.folder, options.subject, options.group))
    else:
        serve(options.folder)


def _write_site(site: Path, url: str, public: Any) -> None:
    key = {
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "lab",
        "n": _coded(public.n.to_bytes(256, "big")), "e": _coded(public.e.to_bytes(3, "big")),
    }  # fmt: skip
    discovery = {
        "issuer": url, "jwks_uri": f"{url}/jwks.json", "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token", "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
        "code_challenge_methods_supported": ["S256"],
    }  # fmt: skip
    (site / ".well-known").mkdir(parents=True, exist_ok=True)
    (site / ".well-known" / "openid-configuration").write_text(json.dumps(discovery))
    (site / "jwks.json").write_text(json.dumps({"keys": [key]}))


def _coded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _pem() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.PEM


def _private(key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    return key.private_bytes(_pem(), PrivateFormat.PKCS8, NoEncryption())


if __name__ == "__main__":
    main()
