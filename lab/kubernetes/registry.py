# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A read-only image registry over OCI archives, and an apt repository beside it: what hosts of a lab pull from.

``/v2/`` speaks the distribution protocol. An image is found by its repository without the registry's host name, or,
where the client says whose mirror it believes to ask (``?ns=``), by the whole name. ``/packages/`` serves files.
What is built while the server runs is served without a restart.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tarfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/(?P<digest>sha256:[0-9a-f]{64})")
_PACKAGE = re.compile(r"/packages/(?:\./)?(?P<name>[A-Za-z0-9][\w.+~-]*)")
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Content:
    """Some bytes of a file."""

    path: Path
    offset: int
    size: int


@dataclass
class Images:
    """What the archives of a folder hold, read again when an archive changes."""

    folder: Path
    _archives: dict[Path, tuple[int, dict[str, Content], list[tuple[str, str]]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def manifest(self, name: str, reference: str, host: str = "") -> tuple[str, Content] | None:
        """The digest and the bytes of a manifest, by tag or digest."""
        self._refresh()
        for _, blobs, tags in self._archives.values():
            for tagged, digest in tags:
                repository, _, tag = tagged.rpartition(":")
                registry, _, path = repository.partition("/")
                if path == name and reference in (tag, digest) and host in ("", registry):
                    return digest, blobs[digest]
        return None

    def blob(self, digest: str) -> Content | None:
        """The bytes of a layer or a configuration."""
        self._refresh()
        return next((blobs[digest] for _, blobs, _ in self._archives.values() if digest in blobs), None)

    def _refresh(self) -> None:
        with self._lock:
            present = {}
            for path in sorted(self.folder.glob("[!.]*.tar")):
                with contextlib.suppress(FileNotFoundError):
                    present[path] = path.stat().st_mtime_ns
            current = {path: known for path, known in self._archives.items() if present.get(path) == known[0]}
            for path in present.keys() - current.keys():
                with contextlib.suppress(FileNotFoundError):
                    current[path] = (present[path], *_read(path))
            self._archives = current


def _read(archive: Path) -> tuple[dict[str, Content], list[tuple[str, str]]]:
    with tarfile.open(archive) as opened:
        blobs = {
            f"sha256:{member.name.removeprefix('blobs/sha256/')}": Content(archive, member.offset_data, member.size)
            for member in opened.getmembers()
            if member.name.startswith("blobs/sha256/")
        }
        index = json.loads(opened.extractfile("index.json").read())
    return blobs, [(item["annotations"]["io.containerd.image.name"], item["digest"]) for item in index["manifests"]]


class Handler(BaseHTTPRequestHandler):
    """One request. The server's ``images`` and ``packages`` say what there is."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer with headers and content."""
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        """Answer with headers."""
        self._answer(with_content=False)

    def log_message(self, text: str, *words: object) -> None:
        """Say what was asked on standard output, which is the log."""
        print(self.address_string(), text % words, flush=True)

    def _answer(self, with_content: bool) -> None:
        url = urlsplit(self.path)
        host = parse_qs(url.query).get("ns", [""])[0]
        if url.path.rstrip("/") == "/v2":
            self._send({"Content-Type": "application/json"}, b"{}" if with_content else b"", 2)
        elif match := _MANIFEST.fullmatch(url.path):
            found = self.server.images.manifest(match["name"], match["reference"], host)
            self._content(found and found[1], _MANIFEST_TYPE, found[0] if found else "", with_content)
        elif match := _BLOB.fullmatch(url.path):
            found = self.server.images.blob(match["digest"])
            self._content(found, "application/octet-stream", match["digest"], with_content)
        elif match := _PACKAGE.fullmatch(url.path):
            path = self.server.packages / match["name"]
            found = Content(path, 0, path.stat().st_size) if path.is_file() else None
            self._content(found, "application/octet-stream", "", with_content)
        else:
            self._content(None, "", "", with_content)

    def _content(self, content: Content | None, kind: str, digest: str, with_content: bool) -> None:
        if content is None:
            said = b'{"errors":[{"code":"NAME_UNKNOWN"}]}'
            self._send({"Content-Type": "application/json"}, said if with_content else b"", len(said), 404)
            return
        headers = {"Content-Type": kind} | ({"Docker-Content-Digest": digest} if digest else {})
        with content.path.open("rb") as handle:
            self._send(headers, b"", content.size)
            handle.seek(content.offset)
            if with_content and content.size:
                self.wfile.flush()
                self.connection.sendfile(handle, content.offset, content.size)

    def _send(self, headers: dict[str, str], body: bytes, size: int, status: int = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(size)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """The registry of a folder as lab/kubernetes/cache.py describes it."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], folder: Path) -> None:
        self.images = Images(folder / "images")
        self.packages = folder / "packages"
        super().__init__(address, Handler)


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(prog="lab.kubernetes.registry", description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args(argv)
    Server((options.address, options.port), options.folder).serve_forever()


if __name__ == "__main__":
    main()
