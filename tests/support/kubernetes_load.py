# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests without a pause, each by a connection of its own, and those that failed: what clients see of a change."""

from __future__ import annotations

import http.client
import itertools
import json
import pathlib
import ssl
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

_TIMEOUT = 10


class Failure(NamedTuple):
    """A request that got no good answer; ``at`` is the time of day, ``after`` seconds since the load began."""

    at: str
    after: float
    what: str
    reason: str


class Load:
    """A context manager; ``sent`` and ``failures`` can be read while it runs. One request every ``pause`` seconds."""

    def __init__(self, name: str, pause: float) -> None:
        self.name, self.pause = name, pause
        self.sent = 0
        self.failures: list[Failure] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)

    def __enter__(self) -> Load:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def request(self, number: int) -> tuple[str, int]:
        """Send one; what it was and its HTTP status. OSError when there was no answer."""
        raise NotImplementedError

    def _go(self) -> None:
        for number in itertools.count():
            if self._end.wait(self.pause):
                return
            self.sent += 1
            at, begun = time.strftime("%H:%M:%S"), time.monotonic() - self._began
            try:
                what, status = self.request(number)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(Failure(at, round(begun, 1), self.name, f"{type(error).__name__}: {error}"))
                continue
            if status >= 400:
                self.failures.append(Failure(at, round(begun, 1), what, str(status)))


class ServiceLoad(Load):
    """GET / at each of some addresses in turn."""

    def __init__(self, addresses: Sequence[str], port: int, pause: float = 0.05) -> None:
        super().__init__("service", pause)
        self._addresses, self._port = list(addresses), port

    def request(self, number: int) -> tuple[str, int]:
        address = self._addresses[number % len(self._addresses)]
        connection = http.client.HTTPConnection(address, self._port, timeout=_TIMEOUT)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            return f"GET http://{address}:{self._port}/", response.status
        finally:
            connection.close()


class ApiLoad(Load):
    """Reads and writes of a ConfigMap by turns, through the endpoint of a cluster, as its administrator.

    ``certificate``: a PEM file with the client's certificate and key, ``authority``: a PEM file.
    """

    PATH = "/api/v1/namespaces/default/configmaps/load"

    def __init__(self, address: str, port: int, certificate: pathlib.Path, authority: pathlib.Path, pause: float = 0.1):
        super().__init__("api", pause)
        self._address, self._port = address, port
        self._context = ssl.create_default_context(cafile=authority)
        self._context.load_cert_chain(certificate)

    def request(self, number: int) -> tuple[str, int]:
        if number == 0:
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "load"}, "data": {"number": "0"}}
            status = self.ask("POST", self.PATH.rpartition("/")[0], body, "application/json")
            return "POST", 0 if status == 409 else status
        if number % 2:
            return "GET", self.ask("GET", self.PATH, None, "")
        return "PATCH", self.ask("PATCH", self.PATH, {"data": {"number": str(number)}}, "application/merge-patch+json")

    def ask(self, method: str, path: str, body: object, kind: str) -> int:
        """One request; its status."""
        connection = http.client.HTTPSConnection(self._address, self._port, timeout=_TIMEOUT, context=self._context)
        try:
            connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": kind} if kind else {})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()
