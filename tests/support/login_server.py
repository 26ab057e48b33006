# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's issuer with the part that people log in at: OpenID Connect's authorization code flow with PKCE (RFC 7636).

Whoever comes is the one user it was made for; there is no page to fill in.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import pathlib
import secrets
import ssl
import threading
import urllib.parse
from collections.abc import Sequence

from lab.kubernetes import issuer

# A browser, as far as it is needed: it goes where it is sent. Called as xdg-open with an address.
BROWSER = """#!/usr/bin/env python3
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile={authority!r})
urllib.request.build_opener(
    urllib.request.ProxyHandler({{}}), urllib.request.HTTPSHandler(context=context)
).open(sys.argv[1], timeout=30).read()
"""


class LoginServer:
    """A context manager; ``url`` is the issuer's, ``logins`` how many tokens were given out."""

    def __init__(self, folder: pathlib.Path, address: str, subject: str, groups: Sequence[str]) -> None:
        self.folder, self.subject, self.groups = folder, subject, list(groups)
        self.url = issuer.make(folder, address)
        self.logins = 0
        self._asked: dict[str, dict[str, str]] = {}  # code -> what was asked for with it
        self._server = http.server.ThreadingHTTPServer((address, issuer.PORT), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> LoginServer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def browser(self, folder: pathlib.Path) -> pathlib.Path:
        """A folder for PATH with a browser that trusts this issuer."""
        folder.mkdir()
        path = folder / "xdg-open"
        path.write_text(BROWSER.format(authority=str(self.folder / "ca.pem")), encoding="utf-8")
        path.chmod(0o755)
        return folder

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next: back, with a code."""
        code = secrets.token_urlsafe(16)
        self._asked[code] = asked
        return f"{asked['redirect_uri']}?{urllib.parse.urlencode({'code': code, 'state': asked['state']})}"

    def token(self, given: dict[str, str]) -> dict[str, object] | None:
        """An ID token for a code, once, for who proves to have asked for it; None refuses."""
        asked = self._asked.pop(given.get("code", ""), None)
        if not asked or asked["redirect_uri"] != given.get("redirect_uri") or asked.get("response_type") != "code":
            return None
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        if asked.get("code_challenge") != base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
            return None
        self.logins += 1
        groups = self.groups if "groups" in asked.get("scope", "").split() else []
        token = issuer.token(self.folder, self.subject, groups, nonce=asked.get("nonce"), aud=asked["client_id"])
        return {"id_token": token, "access_token": "none", "token_type": "Bearer", "expires_in": 600}

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: object) -> None:
                super().__init__(*args, directory=str(server.folder / "site"))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                parts = urllib.parse.urlsplit(self.path)
                if parts.path != "/authorize":
                    super().do_GET()
                    return
                self.send_response(302)
                self.send_header("Location", server.authorize(dict(urllib.parse.parse_qsl(parts.query))))
                self.end_headers()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                answer = server.token(dict(urllib.parse.parse_qsl(body)))
                self.send_response(200 if answer else 400)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer or {"error": "invalid_grant"}).encode())

            def log_message(self, *_args: object) -> None:
                pass

        return Handler
