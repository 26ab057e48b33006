# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HTTPS server of one file, which cuts, forgets ranges, lies and redirects as a test wants."""

from __future__ import annotations

import http.server
import pathlib
import re
import ssl
import threading

from lab.kubernetes import issuer


class FileServer:
    """Serves ``content`` as /image.ova. ``cut``: bytes after which an answer ends; ``ranges``: it serves them."""

    def __init__(self, folder: pathlib.Path, content: bytes) -> None:
        self.content = content
        self.cut: int | None = None
        self.ranges = True
        self.lies = False
        self.status = 200
        self.failing: list[int] = []  # what the next answers are instead
        self.locations: dict[str, str] = {}
        self.asked: list[str] = []
        issuer.make(folder, "127.0.0.1")
        self.ca_file = str(folder / "ca.pem")
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_port}/image.ova"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                server.asked.append(wanted)
                if location := server.locations.get(self.path):
                    self.send_response(302)
                    self.send_header("Location", location)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                if server.failing:
                    self.send_error(server.failing.pop(0))
                    return
                start = int(re.findall(r"\d+", wanted)[0]) if wanted and server.ranges else 0
                if start >= len(server.content):
                    self.send_error(416)
                    return
                self.send_response(206 if start else server.status)
                if start:
                    shown = start + 1 if server.lies else start
                    self.send_header("Content-Range", f"bytes {shown}-{len(server.content) - 1}/{len(server.content)}")
                self.send_header("Content-Length", str(len(server.content) - start))
                self.end_headers()
                body = server.content[start:] if server.cut is None else server.content[start : start + server.cut]
                self.wfile.write(body)
                self.close_connection = server.cut is not None

            def log_message(self, *_arguments: object) -> None:
                pass

        return Handler
