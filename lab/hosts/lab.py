# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: a named set of hosts on a network of its own, made and removed together.

The same verbs for each driver; the state of a lab lies in one directory, so that another process, or the next one
after a crash, can go on with it or clear it away.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import network, nspawn, podman, seed, ssh
from .paths import LabError, check_name, locked, remove, root, run
from .spec import HostSpec

DRIVERS = {"nspawn": nspawn, "podman": podman, "ssh": ssh}


class Lab:
    """The lab ``name``; ``driver`` counts when the lab is made, later its own record does.

    ``owner`` is a process id: `collect_garbage` destroys the lab once that process is gone. Without one it stays until
    somebody destroys it.
    """

    def __init__(self, name: str = "default", driver: str | None = None, owner: int | None = None) -> None:
        self.name = check_name("lab", name)
        self.directory = root() / "labs" / name
        record = self._record()
        self.driver_name = record.get("driver") or driver or os.environ.get("LAB_DRIVER") or "nspawn"
        if self.driver_name not in DRIVERS:
            raise LabError(f"driver {self.driver_name!r} is none of {', '.join(DRIVERS)}")
        self.driver = DRIVERS[self.driver_name]
        self._owner = owner

    def create(self, specs: Iterable[HostSpec], variables: Mapping[str, Any] | None = None) -> list[str]:
        """Create the hosts that do not run yet, in parallel; returns the names of those created.

        When one fails the others are finished, then LabError names every failure; what was made stays for inspection.
        """
        specs = list(specs)
        with self._locked():
            subnet = self._prepare()
            addresses = self._addresses(specs, subnet)
            missing = [spec for spec in specs if not self._exists(spec.name)]
            with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
                failures = list(pool.map(lambda s: self._create(s, addresses[s.name], variables or {}), missing))
            self._write_inventory()
        if any(failures):
            raise LabError("\n".join(message for message in failures if message))
        return [spec.name for spec in missing]

    def destroy(self, names: Sequence[str] | None = None) -> list[str]:
        """Destroy hosts by name, or the whole lab with its network (``names`` None); returns the names destroyed."""
        if not self.directory.exists():
            return []
        with self._locked():
            existing = [path.name for path in self._host_directories()]
            unknown = set(names or ()) - set(existing)
            if unknown:
                raise LabError(f"lab {self.name} has no host {', '.join(sorted(unknown))}")
            doomed = existing if names is None else list(names)
            with ThreadPoolExecutor(max_workers=4) as pool:
                list(pool.map(lambda n: self.driver.destroy(self.name, self._host(n), n), doomed))
            if names is None or set(doomed) == set(existing):
                self.driver.release(self.name, self.directory, self._record()["subnet"])
                remove(self.directory)
            else:
                self._write_inventory()
        return doomed

    def hosts(self) -> dict[str, dict[str, Any]]:
        """The hosts by name: address, suite, base, groups, variables, running."""
        found = {}
        for directory in self._host_directories():
            with contextlib.suppress(OSError):  # one that is being made or destroyed
                record = json.loads((directory / "host.json").read_text())
                record["running"] = self.driver.is_running(self.name, directory, directory.name)
                found[directory.name] = record
        return found

    def run(self, host: str, words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command inside a host (``options`` as for `paths.run`)."""
        return run(self.command(host, words), **options)

    def command(self, host: str, words: Sequence[str]) -> list[str]:
        """The command line that runs ``words`` inside a host."""
        if not self._host(host).exists():
            raise LabError(f"lab {self.name} has no host {host}")
        return self.driver.command(self.name, self._host(host), host, words)

    def cut(self, host: str, carrier: bool = False) -> None:
        """Cut a host off the network; with ``carrier`` it also sees its link go down. Only with nspawn."""
        self._network_driver().cut(self.name, self._host(host), host, carrier)

    def heal(self, host: str) -> None:
        """Undo ``cut``."""
        self._network_driver().heal(self.name, self._host(host), host)

    @property
    def inventory_file(self) -> Path:
        """An inventory of the lab without templates, as both Ansible and testinfra read it."""
        return self.directory / "inventory.yml"

    @property
    def subnet(self) -> str:
        """The lab's network, such as 198.18.7.0/24."""
        return self._record()["subnet"]

    def _network_driver(self):
        if self.driver is not nspawn:
            raise LabError(f"the driver {self.driver_name} cannot cut a host off; use LAB_DRIVER=nspawn")
        return nspawn

    def _locked(self):
        return locked(f"lab-{self.name}")

    def _prepare(self) -> str:
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (self.directory / "id").exists():
            run(
                [
                    "ssh-keygen",
                    "-q",
                    "-t",
                    "ed25519",
                    "-N",
                    "",
                    "-C",
                    f"lab {self.name}",
                    "-f",
                    str(self.directory / "id"),
                ]
            )
        with locked("subnets"):
            record = self._record()
            if not record:
                record = {"driver": self.driver_name, "subnet": network.choose_subnet(self.name, _taken_subnets())}
            if self._owner:
                record["owner"] = [self._owner, _started(self._owner)]
            (self.directory / "lab.json").write_text(json.dumps(record))
        self.driver.prepare(self.name, self.directory, record["subnet"])
        return record["subnet"]

    def _addresses(self, specs: list[HostSpec], subnet: str) -> dict[str, str]:
        net = ipaddress.ip_network(subnet)
        used = {name: record["address"] for name, record in self.hosts().items()}
        for spec in (s for s in specs if s.number is not None):
            used[spec.name] = str(net[spec.number])
        free = (str(net[number]) for number in range(10, 200))
        for spec in specs:
            if spec.name not in used:
                used[spec.name] = next(address for address in free if address not in used.values())
        if len(set(used.values())) != len(used):
            raise LabError(f"two hosts of lab {self.name} want the same number: {used}")
        return used

    def _create(self, spec: HostSpec, address: str, variables: Mapping[str, Any]) -> str | None:
        directory = self._host(spec.name)
        try:
            what = seed.read(spec.user_data, spec.meta_data)
            self.driver.destroy(self.name, directory, spec.name)  # what a crash left behind
            self.driver.create(self.name, directory, spec, address, what)
            known = self.driver.connection(self.name, directory, spec.name, address)
            record = {
                "address": known.get("lab_ip", address), "suite": spec.suite, "base": spec.base,
                "groups": list(spec.groups),
                "variables": dict(variables) | dict(spec.variables),
            }  # fmt: skip
            (directory / "host.json").write_text(json.dumps(record))
        except LabError as error:
            return str(error)
        return None

    def _write_inventory(self) -> None:
        hosts: dict[str, Any] = {}
        groups: dict[str, dict[str, Any]] = {"lab": {}}
        for name, record in self.hosts().items():
            hosts[name] = {
                "lab_ip": record["address"],
                "lab_subnet": self.subnet,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(self.directory / "id"),
                "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
                " -o LogLevel=ERROR",
                "ansible_python_interpreter": "/usr/bin/python3",
                **self.driver.connection(self.name, self._host(name), name, record["address"]),
                **record["variables"],
            }
            for group in ["lab", *record["groups"]]:
                groups.setdefault(group, {})[name] = None
        shared = {"lab_subnet": self.subnet, **self.driver.variables(self.subnet)}
        document = {
            "all": {
                "vars": shared,
                "hosts": hosts,
                "children": {g: {"hosts": members} for g, members in groups.items()},
            }
        }
        part = self.inventory_file.with_suffix(".part")
        part.write_text(json.dumps(document, indent=1))  # JSON is YAML
        part.rename(self.inventory_file)

    def _exists(self, name: str) -> bool:
        known = (self._host(name) / "host.json").exists()
        return known and self.driver.is_running(self.name, self._host(name), name)

    def _record(self) -> dict[str, Any]:
        try:
            return json.loads((self.directory / "lab.json").read_text())
        except (OSError, ValueError):
            return {}

    def _host(self, name: str) -> Path:
        return self.directory / "hosts" / name

    def _host_directories(self) -> list[Path]:
        hosts = self.directory / "hosts"
        return sorted(hosts.iterdir()) if hosts.exists() else []


def labs() -> list[str]:
    """The names of the labs there are."""
    directory = root() / "labs"
    return sorted(p.name for p in directory.iterdir() if (p / "lab.json").exists()) if directory.exists() else []


def collect_garbage() -> list[str]:
    """Destroy the labs whose owner is gone; returns their names."""
    gone = []
    for name in labs():
        owner = Lab(name)._record().get("owner")
        if owner and _started(owner[0]) != owner[1]:
            Lab(name).destroy()
            gone.append(name)
    return gone


def _taken_subnets() -> set[str]:
    return {subnet for name in labs() if (subnet := Lab(name)._record().get("subnet"))}


def _started(pid: int) -> str:
    """When a process started, in ticks since boot; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
