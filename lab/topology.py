# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topologies: what the simulated data centre consists of. docs/lab.md documents the keys.

A topology is written with ranges ("esx[01:04]") and units ("256 GB"); load() answers it expanded, with sizes in bytes,
as the server takes it.
"""

from __future__ import annotations

import copy
import re
import uuid
from pathlib import Path
from typing import Any

from .errors import LabError, TopologyError

FOLDER = Path(__file__).parent / "topologies"
_UNITS = {"": 1, "B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40, "PB": 1 << 50}
_HOST = {"cores": 16, "mhz": 2600, "memory": "128 GB"}
_NAMESPACE = uuid.UUID("5b6fa6a3-6b3a-4c0e-9a0e-7f4b4c1f6c57")


def load(source: str | Path | dict[str, Any]) -> dict[str, Any]:
    """A topology by the name of a shipped one (demo, small, large), by file, or as a dictionary.

    Answers {"endpoints": [...]}. Raises TopologyError with every mistake, LabError when there is no such file.
    """
    if isinstance(source, dict):
        return _Reader(copy.deepcopy(source)).read()
    path = Path(source)
    shipped = FOLDER / f"{source}.yml"
    if not path.suffix and shipped.exists():
        path = shipped
    if not path.is_file():
        names = ", ".join(sorted(item.stem for item in FOLDER.glob("*.yml")))
        raise LabError(f"there is no topology {source}: give a file, or one of {names}")
    import yaml  # late: the lab's other commands run without it

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise LabError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise LabError(f"{path} has to be a mapping with the key endpoints")
    return _Reader(document).read()


def expand(name: str) -> list[str]:
    """The names of a range: "esx[01:04]" gives esx01 to esx04. A name without a range gives itself."""
    found = re.fullmatch(r"(.*?)\[(\d+):(\d+)\](.*)", name)
    if not found:
        return [name]
    head, first, last, tail = found.groups()
    if int(first) > int(last):
        raise ValueError(f"the range of {name} runs backwards")
    numbers = [str(i).zfill(len(first)) for i in range(int(first), int(last) + 1)]
    return [f"{head}{number}{rest}" for number in numbers for rest in expand(tail)]


def size(value: Any) -> int:
    """Bytes of an amount like "256 GB" (1024-based); a plain number is bytes. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(f"{value!r} is no size: write it like 256 GB")
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGTP]?B?)", str(value).strip())
    if not found or found.group(2) not in _UNITS:
        raise ValueError(f"{value!r} is no size: write it like 256 GB")
    return int(float(found.group(1)) * _UNITS[found.group(2)])


class _Reader:
    """Reads one topology and collects every mistake before it complains."""

    def __init__(self, document: dict[str, Any]):
        self.document = document
        self.mistakes: list[str] = []

    def read(self) -> dict[str, Any]:
        self.keys(self.document, "topology", {"endpoints"}, set())
        endpoints = [
            self.endpoint(item, f"endpoints[{i}]") for i, item in enumerate(self.items(self.document, "endpoints", ""))
        ]
        self.unique([item.get("name") for item in endpoints], "endpoints")
        if not endpoints:
            self.mistakes.append("endpoints: at least one endpoint is needed")
        if self.mistakes:
            raise TopologyError(self.mistakes)
        return {"endpoints": endpoints}

    def endpoint(self, item: Any, at: str) -> dict[str, Any]:
        optional = {
            "username",
            "password",
            "datacenter",
            "clusters",
            "hosts",
            "datastores",
            "port_groups",
            "storage_policies",
            "guest_delay_ms",
            "lease_seconds",
            "api_version",
        }
        if not self.keys(item, at, {"name", "kind"}, optional):
            return {}
        kind = item.get("kind")
        if kind not in ("vcenter", "esxi"):
            self.mistakes.append(f"{at}.kind: {kind!r} is neither vcenter nor esxi")
        name = str(item.get("name"))
        result = {
            "name": name,
            "kind": kind,
            "username": item.get("username") or ("root" if kind == "esxi" else "administrator@vsphere.local"),
            "password": item.get("password") or f"{name}-lab-Secret1!",
            "datacenter": "ha-datacenter" if kind == "esxi" else item.get("datacenter", "dc1"),
            "guest_delay_ms": item.get("guest_delay_ms", 100),
            "lease_seconds": item.get("lease_seconds", 300),
            "api_version": str(item.get("api_version", "")),
            "clusters": [
                self.cluster(c, f"{at}.clusters[{i}]", name) for i, c in enumerate(self.items(item, "clusters", at))
            ],
            "hosts": self.hosts(item, at, name),
        }
        names = [host["name"] for cluster in result["clusters"] for host in cluster.get("hosts", [])]
        names += [host["name"] for host in result["hosts"]]
        self.unique(names, f"{at} hosts")
        self.unique([cluster.get("name") for cluster in result["clusters"]], f"{at}.clusters")
        if kind == "esxi" and (len(result["hosts"]) != 1 or result["clusters"]):
            self.mistakes.append(f"{at}: an esxi endpoint has exactly one host and no cluster")
        result["datastores"] = self.datastores(item, at, names)
        result["port_groups"] = self.port_groups(item, at, names, kind)
        result["storage_policies"] = self.storage_policies(item, at, result["datastores"], kind)
        return result

    def cluster(self, item: Any, at: str, endpoint: str) -> dict[str, Any]:
        if not self.keys(item, at, {"name", "hosts"}, {"drs", "vcls"}):
            return {}
        return {
            "name": str(item["name"]),
            "drs": bool(item.get("drs", False)),
            "vcls": self.number(item.get("vcls", 0), f"{at}.vcls", 0, 3),
            "hosts": self.hosts(item, at, endpoint),
        }

    def hosts(self, item: dict[str, Any], at: str, endpoint: str) -> list[dict[str, Any]]:
        result = []
        for i, host in enumerate(self.items(item, "hosts", at)):
            where = f"{at}.hosts[{i}]"
            if not self.keys(host, where, {"name"}, {"cores", "threads", "mhz", "memory", "rack"}):
                continue
            host = {**_HOST, **host}
            cores = self.number(host["cores"], f"{where}.cores", 1, 960)
            threads = self.number(host.get("threads", cores * 2), f"{where}.threads", 1, 1920)
            mhz = self.number(host["mhz"], f"{where}.mhz", 100, 10000)
            memory = self.size(host["memory"], f"{where}.memory")
            size = {"cores": cores, "threads": threads, "mhz": mhz, "memory": memory, "rack": str(host.get("rack", ""))}
            result += [
                {"name": name, **size, "uuid": str(uuid.uuid5(_NAMESPACE, f"{endpoint}/{name}"))}
                for name in self.expand(host["name"], f"{where}.name")
            ]
        return result

    def datastores(self, item: dict[str, Any], at: str, hosts: list[str]) -> list[dict[str, Any]]:
        result = []
        for i, datastore in enumerate(self.items(item, "datastores", at)):
            where = f"{at}.datastores[{i}]"
            if not self.keys(
                datastore, where, {"name", "capacity"}, {"type", "hosts", "local", "read_rate", "write_rate"}
            ):
                continue
            capacity = self.size(datastore["capacity"], f"{where}.capacity")
            kind = datastore.get("type", "VMFS")
            if kind not in ("VMFS", "NFS", "NFS41"):
                self.mistakes.append(f"{where}.type: {kind!r} is none of VMFS, NFS, NFS41")
            common = {"type": kind, "capacity": capacity}
            for key in ("read_rate", "write_rate"):  # bytes per second; 0: unlimited
                common[key] = self.size(datastore.get(key, 0), f"{where}.{key}")
            mounts = self.chosen(datastore, where, hosts)
            if not datastore.get("local"):
                result.append({"name": str(datastore["name"]), "hosts": mounts, **common})
                continue
            name = str(datastore["name"])
            if "{host}" not in name and len(mounts) > 1:
                self.mistakes.append(f"{where}.name: a local datastore of several hosts needs {{host}} in its name")
            for host in mounts:
                short = host.split(".", 1)[0]
                result.append({"name": name.replace("{host}", short), "hosts": [host], **common})
        self.unique([datastore["name"] for datastore in result], f"{at}.datastores")
        return result

    def port_groups(self, item: dict[str, Any], at: str, hosts: list[str], kind: Any) -> list[dict[str, Any]]:
        result = []
        for i, group in enumerate(self.items(item, "port_groups", at)):
            where = f"{at}.port_groups[{i}]"
            if not self.keys(group, where, {"name"}, {"kind", "vlan", "hosts"}):
                continue
            form = group.get("kind", "standard")
            if form not in ("standard", "distributed") or (form == "distributed" and kind == "esxi"):
                self.mistakes.append(f"{where}.kind: {form!r}; standard, or distributed on a vcenter")
            vlan = self.number(group.get("vlan", 0), f"{where}.vlan", 0, 4094)
            mounts = self.chosen(group, where, hosts) if form == "standard" else []
            result += [
                {"name": name, "kind": form, "vlan": vlan, "hosts": mounts}
                for name in self.expand(group["name"], f"{where}.name")
            ]
        for form in ("standard", "distributed"):  # a vCenter may have one of each with the same name
            self.unique([group["name"] for group in result if group["kind"] == form], f"{at}.port_groups")
        return result

    def storage_policies(
        self, item: dict[str, Any], at: str, datastores: list[dict[str, Any]], kind: Any
    ) -> list[dict[str, Any]]:
        known = [datastore["name"] for datastore in datastores]
        result = []
        for i, policy in enumerate(self.items(item, "storage_policies", at)):
            where = f"{at}.storage_policies[{i}]"
            if not self.keys(policy, where, {"name", "datastores"}, set()):
                continue
            if kind == "esxi":
                self.mistakes.append(f"{where}: an esxi endpoint has no storage policies")
            wanted = [
                name
                for given in self.items(policy, "datastores", where)
                for name in self.expand(given, f"{where}.datastores")
            ]
            self.mistakes += [
                f"{where}.datastores: there is no datastore {name}" for name in wanted if name not in known
            ]
            result.append({"name": str(policy["name"]), "datastores": wanted})
        self.unique([policy["name"] for policy in result], f"{at}.storage_policies")
        return result

    def chosen(self, item: dict[str, Any], at: str, hosts: list[str]) -> list[str]:
        """The hosts an item names, all of them without the key hosts."""
        if "hosts" not in item:
            return list(hosts)
        wanted = [name for given in self.items(item, "hosts", at) for name in self.expand(given, f"{at}.hosts")]
        self.mistakes += [f"{at}.hosts: there is no host {name}" for name in wanted if name not in hosts]
        return [name for name in wanted if name in hosts]

    def items(self, item: Any, key: str, at: str) -> list[Any]:
        value = item.get(key) or [] if isinstance(item, dict) else []
        if not isinstance(value, list):
            self.mistakes.append(f"{at}.{key}".lstrip(".") + ": has to be a list")
            return []
        return value

    def keys(self, item: Any, at: str, required: set[str], optional: set[str]) -> bool:
        if not isinstance(item, dict):
            self.mistakes.append(f"{at}: has to be a mapping")
            return False
        known = required | optional
        for key in item:
            if key not in known:
                self.mistakes.append(f"{at}.{key}: no such key; known are {', '.join(sorted(known))}")
        missing = sorted(required - set(item))
        self.mistakes += [f"{at}.{key}: is missing" for key in missing]
        return not missing

    def number(self, value: Any, at: str, low: int, high: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.mistakes.append(f"{at}: {value!r} has to be a number from {low} to {high}")
            return low
        return value

    def size(self, value: Any, at: str) -> int:
        try:
            return size(value)
        except ValueError as error:
            self.mistakes.append(f"{at}: {error}")
            return 1

    def expand(self, name: Any, at: str) -> list[str]:
        try:
            return expand(str(name))
        except ValueError as error:
            self.mistakes.append(f"{at}: {error}")
            return []

    def unique(self, names: list[Any], at: str) -> None:
        for name in sorted({str(name) for name in names if names.count(name) > 1}):
            self.mistakes.append(f"{at}: {name} is there more than once")
