# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the control port: faults, delays, counters and the true state of a running lab."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode

from .errors import LabError


class Control:
    """Steers a lab; address is "127.0.0.1:port"."""

    def __init__(self, address: str, timeout: float = 60):
        self.address = address
        self.timeout = timeout

    def fault(
        self,
        method: str,
        fault: str = "",
        *,
        where: str = "call",
        name: str = "",
        endpoint: str = "",
        rate: float = 0,
        seed: int = 0,
        count: int = 0,
        skip: int = 0,
        code: int = 0,
        message: str = "",
    ) -> dict[str, Any]:
        """Makes requests go wrong until reset().

        method and name are globs (CreateVM_Task, "web-*"); where is call, task, drop_before, drop_after or status;
        fault is a vSphere fault's name for call and task, code an HTTP status for status; rate is the share of matching
        requests (0: all; seed makes it repeatable), count how often at most (0: always), skip how many pass first.
        """
        return self._ask(
            "POST",
            "/rules",
            {
                "method": method,
                "fault": fault,
                "where": where,
                "name": name,
                "endpoint": endpoint,
                "rate": rate,
                "seed": seed,
                "count": count,
                "skip": skip,
                "code": code,
                "message": message,
            },
        )

    def faults(self) -> list[dict[str, Any]]:
        """The rules in force, each with its hits so far."""
        return self._ask("GET", "/rules")

    def delay(
        self, *, call: dict[str, int] | None = None, task: dict[str, int] | None = None, endpoint: str = ""
    ) -> None:
        """Slows down, in milliseconds: calls by method per endpoint, tasks by task name (CreateVm, PowerOn, ReconfigVm,
        CloneVm, Destroy, CopyVirtualDisk, ImportVApp ...) for all endpoints; "*" is every call or task."""
        self._ask("PUT", "/delays", {"endpoint": endpoint, "call": call, "task": task})

    def guests(self, *, delay_ms: int = 100, off: bool = False, endpoint: str = "") -> None:
        """How long after power-on a guest reports its address, or that it never does."""
        self._ask("PUT", "/guests", {"endpoint": endpoint, "delay_ms": delay_ms, "off": off})

    def calls(self, endpoint: str | None = None, *, reset: bool = False) -> dict[str, Any]:
        """How often each method was called: {method: n} of one endpoint, {endpoint: {method: n}} without one."""
        query = urlencode({"endpoint": endpoint or ""})
        answer = self._ask("DELETE" if reset else "GET", f"/calls?{query}")
        return answer[endpoint] if endpoint else answer

    def state(self, endpoint: str | None = None) -> dict[str, Any]:
        """What there really is, of one endpoint or by name: vms, hosts, datastores with files, leases, sessions."""
        answer = self._ask("GET", f"/state?{urlencode({'endpoint': endpoint or ''})}")
        return answer[endpoint] if endpoint else answer

    def reset(self) -> None:
        """No faults, no delays, counters at zero, guests as at the start."""
        self._ask("DELETE", "/rules")
        self._ask("PUT", "/delays", {"endpoint": "", "call": {}, "task": {}})
        self._ask("PUT", "/guests", {"endpoint": "", "delay_ms": 100, "off": False})
        self._ask("DELETE", "/calls")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=self.timeout)
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
        except OSError as error:
            raise LabError(f"the lab's control port {self.address} does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise LabError(f"the lab refused {method} {path}: {text.strip()}")
        return json.loads(text)
