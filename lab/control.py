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
from .topology import size


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
        fields: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Makes requests go wrong until reset().

        method and name are globs (CreateVM_Task, "web-*"); where is call, task, drop_before, drop_after or status;
        fault is a vSphere fault's name for call and task, code an HTTP status for status; rate is the share of matching
        requests (0: all; seed makes it repeatable), count how often at most (0: always), skip how many pass first.
        fields sets fields of the fault by their API names ({"privilegeId": "VirtualMachine.Interact.PowerOn"}); a
        reference is written "VirtualMachine:vm-12". NoPermission's object is the one that was called.
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
                "fields": fields or {},
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

    def nics(self, endpoint: str, vm: str, nics: list[dict[str, Any]], *, address: str = "") -> None:
        """What a guest reports in guest.net while it runs.

        vm is a moid, an instanceUuid or a name. A nic has addresses (["10.0.0.5/24", "fe80::1/64"]) and either adapter
        (0 is the VM's first) or, for an interface of the guest's own such as docker0, network and mac. address becomes
        guest.ipAddress; the default is the first address.
        """
        self._ask("PUT", "/guests/nics", {"endpoint": endpoint, "vm": vm, "nics": nics, "address": address})

    def misbehave(self, endpoint: str, mode: str, *, code: int = 0) -> None:
        """Make a whole endpoint hang, answer a status (with code) or be unreachable; "" ends that."""
        self._ask("PUT", "/endpoints", {"endpoint": endpoint, "mode": mode, "code": code})

    def password(self, endpoint: str, password: str) -> None:
        """Change an endpoint's password; open sessions stay. It also ends what misbehave() did."""
        self._ask("PUT", "/endpoints", {"endpoint": endpoint, "mode": "", "password": password})

    def connection(self, endpoint: str, host: str, state: str) -> None:
        """What a vCenter knows of a host: connected, disconnected or notResponding."""
        self._ask("PUT", "/hosts", {"endpoint": endpoint, "host": host, "connection": state})

    def drs(self, endpoint: str, cluster: str, *, moves: bool) -> None:
        """Whether DRS of a cluster, if it is on, moves VMs: at power-on, and off a host that enters maintenance."""
        self._ask("PUT", "/drs", {"endpoint": endpoint, "cluster": cluster, "moves": moves})

    def identity(self, endpoint: str, vm: str, instance_uuid: str) -> None:
        """Give a VM an instanceUuid, also one that another VM has."""
        self._ask("PUT", "/identity", {"endpoint": endpoint, "vm": vm, "instance_uuid": instance_uuid})

    def join(self, esxi: str, vcenter: str, *, cluster: str = "") -> str:
        """Make an ESXi endpoint a host of a vCenter, in a cluster or of its own; answers the host's moid there."""
        return str(self._ask("POST", "/joins", {"esxi": esxi, "vcenter": vcenter, "cluster": cluster})["host"])

    def backup(self, endpoint: str, vm: str) -> str:
        """Copy a VM's files out of its datastores; answers a name for restore()."""
        return str(self._ask("POST", "/backups", {"endpoint": endpoint, "vm": vm})["backup"])

    def restore(
        self, endpoint: str, backup: str, *, host: str, datastore: str, name: str = "", same_uuid: bool = False
    ) -> dict[str, str]:
        """Put a backup's files into a new folder and register them: {"vm": moid, "instance_uuid": ...}.

        extraConfig is the old one; the instanceUuid is new unless same_uuid. name is the old one by default.
        """
        wanted = {"endpoint": endpoint, "backup": backup, "host": host, "datastore": datastore, "name": name}
        return self._ask("POST", "/restores", {**wanted, "same_uuid": same_uuid})

    def bandwidth(
        self, endpoint: str, datastore: str, *, read: str | int | None = None, write: str | int | None = None
    ) -> None:
        """Limit how many bytes per second a datastore reads and writes ("100 MB"), for all that uses it together; 0 is
        no limit, and what is left out stays. Copies, transfers, imports, clones and moves take part."""
        wanted: dict[str, Any] = {"endpoint": endpoint, "datastore": datastore}
        wanted |= {key: size(value) for key, value in (("read", read), ("write", write)) if value is not None}
        self._ask("PUT", "/bandwidth", wanted)

    def traffic(self, endpoint: str) -> dict[str, dict[str, int]]:
        """What each datastore moved since the last reset, by name: read and written bytes, read_rate and write_rate."""
        return self._ask("GET", f"/bandwidth?{urlencode({'endpoint': endpoint})}")[endpoint]

    def damage(self, file: str, offset: int, length: int, *, endpoint: str = "") -> None:
        """Invert bytes of a file ("[ds] dir/disk.vmdk" means the disk's extent), so that each is another; its size and
        its time stay. endpoint is needed where several have such a file."""
        self._ask("POST", "/files/damage", {"endpoint": endpoint, "file": file, "offset": offset, "length": length})

    def vanish(self, file: str, *, endpoint: str = "") -> None:
        """Remove a file, a disk with its extent or a folder, whoever uses it; the inventory does not notice."""
        self._ask("POST", "/files/vanish", {"endpoint": endpoint, "file": file})

    def files(self, endpoint: str) -> dict[str, int]:
        """Every file of an endpoint's datastores by datastore path, with its size."""
        return self._ask("GET", f"/files?{urlencode({'endpoint': endpoint})}")[endpoint]

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
        """No faults, no delays, counters at zero, the rest as at the start; what joined stays joined."""
        self._ask("DELETE", "/endpoints")
        self._ask("DELETE", "/rules")
        self._ask("DELETE", "/bandwidth")
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
