# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validate a host document, the desired state of a host as plain data, and convert it to typed values.

::

    name: kubernetes                    # names modules-load.d/NAME.conf and sysctl.d/90-NAME.conf
    repositories:
      - {name: kubernetes, url: "http://...", suite: "./", components: [], key: "-----BEGIN PGP ...", trusted: false}
    only_repositories: false            # install packages from these repositories only
    packages: {containerd: present, kubelet: "1.37.2-*", ntp: absent}
    hold: [kubelet]
    directories: [{path: /etc/kubernetes, mode: "0700", owner: root, group: root, exclusive: false, restarts: []}]
    files: [{path, content, mode: "0644", owner: root, group: root, restarts: [containerd], secret: false}]
    absent_files: [/etc/cni/net.d/10-old.conf]
    kernel_modules: [overlay, {name: br_netfilter, optional: true}]
    sysctls: {net.ipv4.ip_forward: 1}
    units: {containerd: {enabled: true, state: started, restart_after: [/usr/bin/containerd]}}
    swap: ignore                        # or off
    preflight: {disk: {/var/lib: 2000000000}, memory: 1700000000, ports: {"6443": [kube-apiserver]}, when: changes}

A unit is restarted when a file that lists it in ``restarts`` is newer than the unit's start, so an interrupted run is
completed by the next one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..model.errors import PhotonError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*\Z")
_MODE = re.compile(r"0?[0-7]{3,4}\Z")


class Repository(NamedTuple):
    """A package repository; a ``suite`` ending in ``/`` denotes a flat repository without components."""

    name: str
    url: str
    suite: str
    components: tuple[str, ...]
    key: str
    trusted: bool


class Directory(NamedTuple):
    """A directory. An ``exclusive`` one contains nothing but the document's files and directories; the rest is removed.

    ``restarts`` lists the units that read all of its files when they start.
    """

    path: str
    mode: int
    owner: str
    group: str
    exclusive: bool
    restarts: tuple[str, ...]


class File(NamedTuple):
    """A file with its complete content; ``restarts`` lists the units that read it when they start."""

    path: str
    content: str
    mode: int
    owner: str
    group: str
    restarts: tuple[str, ...]
    secret: bool


class KernelModule(NamedTuple):
    """A kernel module; a missing ``optional`` module is skipped with a warning."""

    name: str
    optional: bool


class Unit(NamedTuple):
    """A unit; None means unmanaged. ``restart_after``: paths whose replacement requires a restart."""

    enabled: bool | None
    state: str | None
    restart_after: tuple[str, ...]


class Preflight(NamedTuple):
    """Conditions checked before the first change. ``ports``: port -> processes that are allowed to listen there."""

    disk: dict[str, int]
    memory: int
    ports: dict[int, tuple[str, ...]]
    always: bool


class Document(NamedTuple):
    """The merged desired state. ``modules`` and ``sysctls`` are kept per document name, like their files."""

    repositories: tuple[Repository, ...]
    only_repositories: bool
    packages: dict[str, str]
    hold: tuple[str, ...]
    directories: tuple[Directory, ...]
    files: tuple[File, ...]
    absent_files: tuple[str, ...]
    modules: dict[str, tuple[KernelModule, ...]]
    sysctls: dict[str, dict[str, str]]
    units: dict[str, Unit]
    swap_off: bool
    preflight: Preflight


def read_documents(documents: Sequence[Mapping[str, Any]]) -> Document:
    """Merge several documents into one; PhotonError SpecInvalid lists every mistake with its key path."""
    reader = _Reader()
    parts = [
        reader.document(f"documents[{index}]" if len(documents) > 1 else "document", document)
        for index, document in enumerate(documents)
    ]
    merged = reader.merge(parts)
    if reader.mistakes:
        raise PhotonError(
            "SpecInvalid",
            "the document for this host is invalid: " + "; ".join(reader.mistakes),
            {"mistakes": reader.mistakes},
        )
    return merged


class _Reader:
    """Convert documents and collect mistakes."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def document(self, path: str, given: Any) -> Document:
        given = self._mapping(path, given)
        known = {"name", *Document._fields, "kernel_modules", "swap"} - {"modules", "swap_off"}
        self._unknown(path, given, known)
        name = self._text(f"{path}.name", given.get("name", "photon"), _NAME)
        packages = {
            self._text(f"{path}.packages", key, _PACKAGE): self._text(f"{path}.packages.{key}", version)
            for key, version in self._mapping(f"{path}.packages", given.get("packages")).items()
        }
        modules = tuple(
            self._module(f"{path}.kernel_modules[{index}]", item)
            for index, item in enumerate(self._list(f"{path}.kernel_modules", given.get("kernel_modules")))
        )
        sysctls = {
            str(key): _sysctl(value) for key, value in self._mapping(f"{path}.sysctls", given.get("sysctls")).items()
        }
        if given.get("swap", "ignore") not in ("off", "ignore", False):  # YAML reads a bare off as false
            self.mistakes.append(f"{path}.swap: must be one of off, ignore, got {given['swap']!r}")
        return Document(
            repositories=self._items(f"{path}.repositories", given.get("repositories"), self._repository),
            only_repositories=bool(given.get("only_repositories", False)),
            packages=packages,
            hold=self._names(f"{path}.hold", given.get("hold"), _PACKAGE),
            directories=self._items(f"{path}.directories", given.get("directories"), self._directory),
            files=self._items(f"{path}.files", given.get("files"), self._file),
            absent_files=tuple(
                self._path(f"{path}.absent_files", item)
                for item in self._list(f"{path}.absent_files", given.get("absent_files"))
            ),
            modules={name: modules} if modules else {},
            sysctls={name: sysctls} if sysctls else {},
            units={
                str(key): self._unit(f"{path}.units.{key}", value)
                for key, value in self._mapping(f"{path}.units", given.get("units")).items()
            },
            swap_off=given.get("swap", "ignore") in ("off", False),
            preflight=self._preflight(f"{path}.preflight", given.get("preflight")),
        )

    def merge(self, parts: Sequence[Document]) -> Document:
        for kind in ("repositories", "files", "directories"):
            self._same(kind, [item for part in parts for item in getattr(part, kind)])
        units: dict[str, Unit] = {}
        packages: dict[str, str] = {}
        for part in parts:
            for key, version in part.packages.items():
                before = packages.get(key, "present")
                if "present" not in (before, version) and before != version:
                    self.mistakes.append(f"packages.{key}: is declared as both {before} and {version}")
                packages[key] = version if before == "present" else before
            for key, unit in part.units.items():
                units[key] = _both(units[key], unit) if key in units else unit
        disk: dict[str, int] = {}
        ports: dict[int, tuple[str, ...]] = {}
        for part in parts:
            for path, size in part.preflight.disk.items():
                disk[path] = disk.get(path, 0) + size
            ports.update(part.preflight.ports)
        files = tuple(dict.fromkeys(item for part in parts for item in part.files))
        absent = tuple(dict.fromkeys(item for part in parts for item in part.absent_files))
        self.mistakes += [f"absent_files: {item.path} is also listed in files" for item in files if item.path in absent]
        return Document(
            repositories=tuple(dict.fromkeys(item for part in parts for item in part.repositories)),
            only_repositories=any(part.only_repositories for part in parts),
            packages=packages,
            hold=tuple(dict.fromkeys(item for part in parts for item in part.hold)),
            directories=tuple(dict.fromkeys(item for part in parts for item in part.directories)),
            files=files,
            absent_files=absent,
            modules=_joined(part.modules for part in parts),
            sysctls=_joined(part.sysctls for part in parts),
            units=units,
            swap_off=any(part.swap_off for part in parts),
            preflight=Preflight(
                disk,
                max((part.preflight.memory for part in parts), default=0),
                ports,
                any(part.preflight.always for part in parts),
            ),
        )

    def _repository(self, path: str, given: Mapping[str, Any]) -> Repository:
        self._unknown(path, given, set(Repository._fields))
        suite = str(given.get("suite", "./"))
        components = self._names(f"{path}.components", given.get("components"), None)
        if suite.endswith("/") and components:
            self.mistakes.append(f"{path}.components: must be empty for a flat repository (suite {suite})")
        key, trusted = str(given.get("key") or ""), bool(given.get("trusted", False))
        if not key and not trusted:
            self.mistakes.append(f"{path}: key (an armored public key) or trusted: true is required")
        if key and "-----BEGIN PGP PUBLIC KEY BLOCK-----" not in key:
            self.mistakes.append(f"{path}.key: must be an armored public key")
        return Repository(
            self._text(f"{path}.name", given.get("name", ""), _NAME),
            self._text(f"{path}.url", given.get("url", ""), re.compile(r"(https?|file)://?\S+\Z|file:/\S+\Z")),
            suite,
            components,
            key,
            trusted,
        )

    def _directory(self, path: str, given: Mapping[str, Any]) -> Directory:
        self._unknown(path, given, set(Directory._fields))
        return Directory(
            self._path(f"{path}.path", given.get("path", "")),
            self._mode(path, given, "0755"),
            str(given.get("owner", "root")),
            str(given.get("group", "root")),
            bool(given.get("exclusive", False)),
            self._names(f"{path}.restarts", given.get("restarts"), None),
        )

    def _file(self, path: str, given: Mapping[str, Any]) -> File:
        self._unknown(path, given, set(File._fields))
        if not isinstance(given.get("content"), str):
            self.mistakes.append(f"{path}.content: must be a string")
        secret = bool(given.get("secret", False))
        return File(
            self._path(f"{path}.path", given.get("path", "")),
            str(given.get("content", "")),
            self._mode(path, given, "0600" if secret else "0644"),
            str(given.get("owner", "root")),
            str(given.get("group", "root")),
            self._names(f"{path}.restarts", given.get("restarts"), None),
            secret,
        )

    def _module(self, path: str, given: Any) -> KernelModule:
        if isinstance(given, str):
            given = {"name": given}
        given = self._mapping(path, given)
        self._unknown(path, given, set(KernelModule._fields))
        return KernelModule(
            self._text(f"{path}.name", given.get("name", ""), _PACKAGE), bool(given.get("optional", False))
        )

    def _unit(self, path: str, given: Any) -> Unit:
        given = self._mapping(path, given)
        self._unknown(path, given, set(Unit._fields))
        state = given.get("state")
        if state not in (None, "started", "stopped"):
            self.mistakes.append(f"{path}.state: must be one of started, stopped, got {state!r}")
        enabled = given.get("enabled")
        paths = tuple(self._path(f"{path}.restart_after", item) for item in given.get("restart_after") or ())
        return Unit(None if enabled is None else bool(enabled), state, paths)

    def _preflight(self, path: str, given: Any) -> Preflight:
        given = self._mapping(path, given)
        self._unknown(path, given, {"disk", "memory", "ports", "when"})
        if given.get("when", "changes") not in ("changes", "always"):
            self.mistakes.append(f"{path}.when: must be one of changes, always, got {given['when']!r}")
        disk = {
            self._path(f"{path}.disk", key): self._size(f"{path}.disk.{key}", value)
            for key, value in self._mapping(f"{path}.disk", given.get("disk")).items()
        }
        ports = {
            self._size(f"{path}.ports", key): (value,) if isinstance(value, str) else tuple(value or ())
            for key, value in self._mapping(f"{path}.ports", given.get("ports")).items()
        }
        memory = self._size(f"{path}.memory", given.get("memory", 0))
        return Preflight(disk, memory, ports, given.get("when") == "always")

    def _items(self, path: str, given: Any, read: Any) -> tuple[Any, ...]:
        return tuple(
            read(f"{path}[{index}]", self._mapping(f"{path}[{index}]", item))
            for index, item in enumerate(self._list(path, given))
        )

    def _mapping(self, path: str, given: Any) -> Mapping[str, Any]:
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            self.mistakes.append(f"{path}: must be a mapping")
            return {}
        return given

    def _list(self, path: str, given: Any) -> list[Any]:
        if given is None:
            return []
        if not isinstance(given, (list, tuple)):
            self.mistakes.append(f"{path}: must be a list")
            return []
        return list(given)

    def _names(self, path: str, given: Any, pattern: re.Pattern[str] | None) -> tuple[str, ...]:
        return tuple(self._text(path, item, pattern) for item in self._list(path, given))

    def _text(self, path: str, given: Any, pattern: re.Pattern[str] | None = None) -> str:
        text = str(given)
        if not text or (pattern and not pattern.match(text)):
            self.mistakes.append(f"{path}: {text!r} is not valid here")
        return text

    def _path(self, path: str, given: Any) -> str:
        text = str(given)
        if not text.startswith("/") or posixpath.normpath(text) != text:
            self.mistakes.append(f"{path}: must be a normalized absolute path, got {text!r}")
        return text

    def _mode(self, path: str, given: Mapping[str, Any], default: str) -> int:
        text = str(given.get("mode", default))
        if not isinstance(given.get("mode", default), str) or not _MODE.match(text):
            self.mistakes.append(f"{path}.mode: must be an octal string such as '0644', got {text!r}")
            return int(default, 8)
        return int(text, 8)

    def _size(self, path: str, given: Any) -> int:
        try:
            return int(given)
        except (TypeError, ValueError):
            self.mistakes.append(f"{path}: must be an integer, got {given!r}")
            return 0

    def _unknown(self, path: str, given: Mapping[str, Any], known: set[str]) -> None:
        self.mistakes += [f"{path}.{key}: unknown key" for key in given if key not in known]

    def _same(self, kind: str, items: Sequence[Any]) -> None:
        seen: dict[str, Any] = {}
        for item in items:
            if seen.setdefault(item[0], item) != item:
                self.mistakes.append(f"{kind}: {item[0]} is declared twice with different values")


def _sysctl(value: Any) -> str:
    """Format a value as the kernel prints it, with list elements separated by one space."""
    return " ".join(str(int(value) if isinstance(value, bool) else value).split())


def _both(one: Unit, two: Unit) -> Unit:
    return Unit(
        one.enabled if two.enabled is None else two.enabled,
        one.state if two.state is None else two.state,
        tuple(dict.fromkeys(one.restart_after + two.restart_after)),
    )


def _joined(parts: Any) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, dict):
                joined[name] = {**joined.get(name, {}), **value}
            else:
                joined[name] = tuple(dict.fromkeys(joined.get(name, ()) + value))
    return joined
