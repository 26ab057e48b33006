"""The servers behind the balancers, in one process: what each kind of health check meets, and what a client is told.

8000 plain HTTP, 8443 HTTPS of web.example and ready, 8444 HTTPS of other.example and not ready, 8001 HTTP after a
header of the PROXY protocol, version 2. `/` says the host's name, `/readyz` whether it is ready, `/source` who asked.
"""

from __future__ import annotations

import http.server
import ipaddress
import socket
import ssl
import threading

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    readiness = 200
    source = None

    def do_GET(self) -> None:
        text = socket.gethostname()
        if self.path == "/source":
            text = self.source or self.headers.get("X-Forwarded-For") or "unknown"
        self.send_response(self.readiness if self.path == "/readyz" else 200)
        self.send_header("Content-Length", str(len(text) + 1))
        self.end_headers()
        self.wfile.write(f"{text}\n".encode())

    def log_message(self, *_words: object) -> None:
        """Health checks would fill the journal."""


class NotReady(Handler):
    readiness = 500


class Proxied(Handler):
    def setup(self) -> None:
        super().setup()
        header = self.rfile.read(16)
        if header[:12] != SIGNATURE:
            raise ConnectionError("no header of the PROXY protocol")
        addresses = self.rfile.read(int.from_bytes(header[14:16], "big"))
        local = header[12] & 0x0F == 0
        self.source = "the balancer" if local else str(ipaddress.ip_address(addresses[:4]))


def serve(port: int, handler: type[Handler], name: str = "") -> None:
    server = http.server.ThreadingHTTPServer(("", port), handler)
    if name:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(f"/srv/{name}.pem", f"/srv/{name}.key")
        # The handshake is the handler's thread's: a client that says nothing holds no other up.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever).start()


serve(8000, Handler)
serve(8443, Handler, "web")
serve(8444, NotReady, "other")
serve(8001, Proxied)
