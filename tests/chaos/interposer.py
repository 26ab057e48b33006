# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the points of a run at which it can be killed or paused: around every external call and every commit.

It wraps the HTTP client that all of SOAP and the uploads go through, and the commit of the database's dialect, so no
list of points has to be kept in step with the product.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from ansible_collections.photon.platform.plugins.module_utils.cloudstore.database import Database
from ansible_collections.photon.platform.plugins.module_utils.cloudstore.runs import HEARTBEAT
from sqlalchemy.engine.default import DefaultDialect

_METHOD = re.compile(rb"<(?:soapenv:)?Body[^>]*>\s*<(\w+)")


class Interposer:
    """Numbers the points as the run comes to them; ``names[k - 1]`` is that of point k.

    ``kill_at``: the process kills itself there. ``pause_at`` ``(name, occurrence)``: it stops itself there, while no
    thread of it is inside a transaction, since a process that stops inside of one holds its database up.
    """

    def __init__(self, kill_at: int = 0, pause_at: tuple[str, int] | None = None) -> None:
        self.names: list[str] = []
        self.kill_at, self.pause_at = kill_at, pause_at
        self._lock = threading.Lock()
        self._transactions = threading.RLock()
        self._calls: dict[Any, str] = {}

    def point(self, name: str) -> None:
        with self._lock:
            self.names.append(name)
            number, occurrence = len(self.names), self.names.count(name)
            if number == self.kill_at:
                os.write(sys.stderr.fileno(), f"killed at point {number}: {name}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
        if (name, occurrence) == self.pause_at:
            with self._transactions:
                # To this thread: one for the process may wait for another thread, while this one gives the lock away.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    @contextlib.contextmanager
    def installed(self) -> Any:
        """While the product runs."""
        connection = http.client.HTTPConnection
        before = (connection.request, connection.getresponse, DefaultDialect.do_commit, Database._persist)
        connection.request = self._request(connection.request)
        connection.getresponse = self._getresponse(connection.getresponse)
        DefaultDialect.do_commit = self._commit(DefaultDialect.do_commit)
        if self.pause_at:
            Database._persist = self._persist(Database._persist)
        try:
            yield self
        finally:
            connection.request, connection.getresponse, DefaultDialect.do_commit, Database._persist = before

    def _request(self, real: Callable[..., None]) -> Callable[..., None]:
        def request(connection: Any, method: str, url: str, body: Any = None, *args: Any, **more: Any) -> None:
            name = self._calls[connection] = call_name(method, url, body)
            self.point(f"before {name}")
            real(connection, method, url, body, *args, **more)
            self.point(f"sent {name}")

        return request

    def _getresponse(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def getresponse(connection: Any, *args: Any, **more: Any) -> Any:
            answer = real(connection, *args, **more)
            self.point(f"after {self._calls.get(connection, '?')}")
            return answer

        return getresponse

    def _commit(self, real: Callable[..., None]) -> Callable[..., None]:
        def do_commit(dialect: Any, connection: Any) -> None:
            if is_heartbeat():  # it comes when its time comes: no run would have the same points twice
                real(dialect, connection)
                return
            self.point("before commit")
            real(dialect, connection)
            self.point("after commit")

        return do_commit

    def _persist(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def persist(database: Any, attempt: Any) -> Any:
            with self._transactions:
                return real(database, attempt)

        return persist


def is_heartbeat() -> bool:
    """Whether this is the thread that renews a run's lease."""
    return threading.current_thread().name == HEARTBEAT


def call_name(method: str, url: str, body: Any) -> str:
    """The SOAP method of a call, or its HTTP method and first part of the path: ``POST nfc``."""
    text = body.encode() if isinstance(body, str) else body
    found = _METHOD.search(text) if isinstance(text, bytes) else None
    return found[1].decode() if found else f"{method} {url.split('?')[0].strip('/').split('/')[0]}"
