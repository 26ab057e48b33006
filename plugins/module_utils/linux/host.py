# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reconcile a host in one visit: read its state, compare, check the preconditions, apply changes in a safe order.

An interrupted run is safe at every step: the next run reads the host again and applies the remaining changes. Pending
restarts are derived from the modification times of a unit's files and the unit's start time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..model.errors import PhotonError
from ..model.units import show
from . import files, kernel, plan, units
from .document import Document, File, read_documents
from .packages import Manager, manager


def visit(documents: Sequence[Mapping[str, Any]], check: bool) -> dict[str, Any]:
    """Reconcile this host with the documents, or with ``check`` only report the differences.

    Return ``changed``, ``changes`` (dicts of kind, name, before, after; the same list in both cases), ``diff``,
    ``packages`` (name -> installed version or None) and ``warnings``. Raise PhotonError SpecInvalid, PreflightFailed or
    InvalidHostState before the first change; PackageNotFound, PackageInstallFailed, DiskFull, KernelModuleMissing,
    SysctlFailed, UnitFailed or HostChangeFailed later.
    """
    return Visit(read_documents(documents)).result(check)


def secrets(documents: Sequence[Any]) -> set[str]:
    """Return the contents of secret files, so that they can be masked; accepts invalid documents."""
    listed = [item for document in documents if isinstance(document, Mapping) for item in document.get("files") or ()]
    return {
        item["content"]
        for item in listed
        if isinstance(item, Mapping) and item.get("secret") and isinstance(item.get("content"), str) and item["content"]
    }


def preflight(document: Document) -> list[str]:
    """Describe the preconditions that this host does not meet."""
    wrong = []
    for path, size in document.preflight.disk.items():
        free = kernel.free_bytes(path)
        if free < size:
            wrong.append(f"{path} has {show(free)} free and needs {show(size)}. Free some space.")
    memory = kernel.total_memory()
    if memory < document.preflight.memory:
        wrong.append(f"the host has {show(memory)} of memory and needs {show(document.preflight.memory)}")
    for port, process in sorted(kernel.listeners(document.preflight.ports).items()):
        if process not in document.preflight.ports[port]:
            wrong.append(f"port {port} is used by {process or 'another program'}. Stop it or move it to another port.")
    return wrong


class Visit:
    """One visit of this host: ``read``, ``plan.changes``, then ``write`` and ``remove`` as far as the caller wants."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.manager: Manager | None = None
        self.repositories: list[File] = []
        if document.packages or document.repositories or document.hold:
            self.manager = manager()
            self.repositories = self.manager.repository_files(document.repositories, document.hold)

    def result(self, check: bool) -> dict[str, Any]:
        before = self.read()
        found = self.changes(before)
        if found or self.document.preflight.always:
            wrong = preflight(self.document)
            if wrong:
                raise PhotonError(
                    "PreflightFailed",
                    "this host does not meet the preconditions and was not changed: " + "; ".join(wrong),
                    {"reasons": wrong},
                )
        diff = plan.diff(self.document, self.repositories, before)
        versions = {name: state.version for name, state in before.packages.items()}
        if found and not check:
            self._apply(found, before)
            versions = {name: state.version for name, state in self._packages().items()}
        skipped = sorted(before.missing_modules & before.unavailable_modules & self._optional())
        return {
            "changed": bool(found),
            "changes": [change._asdict() for change in found],
            "diff": diff,
            "packages": versions,
            "warnings": [f"skipped optional kernel module {name}: not available in this kernel" for name in skipped],
        }

    def read(self) -> plan.HostState:
        """Read everything that the document names."""
        document = self.document
        missing = kernel.missing_modules(module.name for group in document.modules.values() for module in group)
        return plan.HostState(
            packages=self._packages(),
            files=self._files(),
            missing_modules=missing,
            unavailable_modules={name for name in missing & self._optional() if not kernel.loadable(name)},
            sysctls={key: kernel.read_sysctl(key) for values in document.sysctls.values() for key in values},
            swap_devices=kernel.swap_devices() if document.swap_off else [],
            units=units.read_units(plan.unit_names(document)),
            listings=self._listings(),
        )

    def changes(self, before: plan.HostState) -> list[plan.Change]:
        """Compare the document with a state that was read."""
        return plan.changes(self.document, self.repositories, before)

    def write(self, found: Sequence[plan.Change], before: plan.HostState) -> None:
        """Write the changed directories and files; units and what must be absent are left alone."""
        named = {(change.kind, change.name) for change in found}
        for one in self.document.directories:
            if ("directory", one.path) in named:
                files.settle(one.path, one.mode, one.owner, one.group, directory=True)
        self._write([one for one in plan.files(self.document) if ("file", one.path) in named], before)

    def remove(self, found: Sequence[plan.Change]) -> None:
        """Remove the files that must be absent and what exclusive directories do not list."""
        for change in found:
            if change.kind in ("file", "directory") and change.after == "absent":
                files.remove(change.name)

    def _packages(self) -> dict[str, Any]:
        if self.manager is None:
            return {}
        return self.manager.read(dict.fromkeys([*self.document.packages, *self.document.hold]))

    def _files(self) -> dict[str, files.FileState]:
        there = {path: files.read(path) for path in plan.paths(self.document, self.repositories)}
        watched = {path for unit in self.document.units.values() for path in unit.restart_after} - there.keys()
        return {**there, **{path: files.read(path, content=False) for path in watched}}

    def _listings(self) -> dict[str, files.Listing]:
        return {path: files.listing(path) for path in plan.listed_directories(self.document)}

    def _optional(self) -> set[str]:
        return {module.name for group in self.document.modules.values() for module in group if module.optional}

    def _apply(self, found: Sequence[plan.Change], before: plan.HostState) -> None:
        named = {kind: [change.name for change in found if change.kind == kind] for kind in {c.kind for c in found}}
        self._write([one for one in self.repositories if one.path in named.get("repository", ())], before)
        self._install(named.get("package", []), refresh="repository" in named)
        self._hold()
        self.write(found, before)
        self.remove(found)
        self._kernel(named, before)
        self._units()

    def _write(self, wanted: Sequence[File], before: plan.HostState) -> None:
        for one in wanted:
            there = before.files[one.path]
            if there.kind == "file" and there.content == one.content.encode():
                files.settle(
                    one.path, one.mode, one.owner, one.group
                )  # keeps the modification time, so no unit restarts
            else:
                files.write(one.path, one.content.encode(), one.mode, one.owner, one.group)

    def _install(self, names: Sequence[str], refresh: bool) -> None:
        document = self.document
        removed = [name for name in names if document.packages[name] == "absent"]
        wanted = {name: document.packages[name] for name in names if name not in removed}
        if self.manager is None or not names:
            return
        self.manager.repair()
        if removed:
            self.manager.remove(removed)
        if wanted:
            self.manager.install(wanted, document.repositories if document.only_repositories else None, refresh)

    def _hold(self) -> None:
        """Hold packages according to a fresh read, as an installation may have released a hold."""
        if self.manager is None or not self.document.hold:
            return
        there = self.manager.read(self.document.hold)
        loose = [name for name in self.document.hold if not there[name].held]
        if loose:
            self.manager.hold(loose)

    def _kernel(self, named: Mapping[str, Sequence[str]], before: plan.HostState) -> None:
        # Read again: a package may have installed modprobe.
        wanted = {module.name: module for group in self.document.modules.values() for module in group}
        for name in kernel.missing_modules(wanted):
            if not wanted[name].optional or kernel.loadable(name):
                kernel.load_module(name)
        for values in self.document.sysctls.values():
            for key, value in values.items():
                if kernel.read_sysctl(key) != value:
                    kernel.write_sysctl(key, value)
        if "devices" in named.get("swap", ()):
            kernel.stop_swap()
        if kernel.FSTAB in named.get("swap", ()):
            fstab = before.files[kernel.FSTAB]
            text = kernel.without_swap(fstab.content.decode("utf-8", "surrogateescape"))
            files.write(kernel.FSTAB, text.encode("utf-8", "surrogateescape"), fstab.mode, fstab.owner, fstab.group)

    def _units(self) -> None:
        """Apply unit changes according to a fresh read, as packages start units with the previous files."""
        names = plan.unit_names(self.document)
        if not names:
            return
        there = self._files()
        for one in self.document.files:  # a file from the future must not restart the unit on every run
            if one.restarts and there[one.path].modified > time.time():
                with contextlib.suppress(OSError):
                    os.utime(one.path)
        listings = self._listings()
        state = units.read_units(names)
        stale = {name for name, unit in state.items() if plan.outdated(self.document, name, unit, there)}
        if stale or not all(unit.there for unit in state.values()):
            units.reload_definitions()
            state = units.read_units(names)
        todo = plan.unit_changes(self.document, state, stale, there, listings)
        for verb, after, kind in (
            ("stop", "stopped", "unit"),
            ("enable", "enabled", "unit"),
            ("disable", "disabled", "unit"),
            ("restart", "restarted", "restart"),
            ("restart", "started", "unit"),  # also starts a unit that reached its start limit
        ):
            units.change(verb, [change.name for change in todo if (change.kind, change.after) == (kind, after)])
        units.settled([change.name for change in todo if change.after in ("started", "restarted")])
