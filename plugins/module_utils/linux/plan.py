# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a document with a host's state and list the changes in the order in which they are applied (pure)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .document import Directory, Document, File
from .files import ABSENT, FileState, Listing, digest
from .kernel import FSTAB, without_swap
from .packages import NOT_INSTALLED, PackageState, matches
from .units import UnitState

_DROP_IN = re.compile(r"/etc/systemd/system/([^/]+)\.service\.d/[^/]+\Z")
_EMPTY = Listing({}, 0.0)
_NO_UNIT = UnitState(False, False, False, False, False, 0.0)


class HostState(NamedTuple):
    """The current state of a host. ``listings``: exclusive directories and those that units read -> their contents."""

    packages: dict[str, PackageState]
    files: dict[str, FileState]
    missing_modules: set[str]
    unavailable_modules: set[str]
    sysctls: dict[str, str | None]
    swap_devices: list[str]
    units: dict[str, UnitState]
    listings: Mapping[str, Listing] = {}


class Change(NamedTuple):
    """One difference.

    ``kind``: repository, package, hold, directory, file, kernel_module, sysctl, swap, unit or restart.
    """

    kind: str
    name: str
    before: Any
    after: Any


def changes(document: Document, repositories: Sequence[File], state: HostState) -> list[Change]:
    """Return all changes; ``repositories`` are the configuration files of the document's repositories."""
    found = [change for one in repositories for change in _file(one, state, "repository")]
    found += _packages(document, state)
    found += [change for one in document.directories for change in _directory(one, state)]
    found += [change for one in files(document) for change in _file(one, state, "file")]
    found += [
        Change("file", path, state.files[path].kind, "absent")
        for path in document.absent_files
        if state.files.get(path, ABSENT).kind != "absent"
    ]
    for one in document.directories:
        kinds = state.listings.get(one.path, _EMPTY).kinds
        found += [
            Change("directory" if kinds[path] == "directory" else "file", path, kinds[path], "absent")
            for path in unlisted(document, one, kinds)
            if path not in document.absent_files
        ]
    found += _kernel(document, state)
    found += unit_changes(document, state.units, restarts(document, state), state.files, state.listings)
    return found


def unlisted(document: Document, directory: Directory, there: Iterable[str]) -> list[str]:
    """Return the topmost of the paths below an exclusive directory that the document does not list."""
    if not directory.exclusive:
        return []
    kept = {directory.path}
    for path in (one.path for one in (*document.directories, *files(document))):
        while path.startswith(f"{directory.path}/"):
            kept.add(path)
            path = posixpath.dirname(path)
    # Below a removed directory nothing needs to be removed.
    return sorted(path for path in there if path not in kept and posixpath.dirname(path) in kept)


def listed_directories(document: Document) -> list[str]:
    """Return the directories whose contents are compared."""
    return [one.path for one in document.directories if one.exclusive or one.restarts]


def files(document: Document) -> list[File]:
    """Return the document's files and those that load its kernel modules and sysctls at boot."""
    made = list(document.files)
    for name, modules in document.modules.items():
        text = "".join(f"{module.name}\n" for module in modules)
        made.append(File(f"/etc/modules-load.d/{name}.conf", text, 0o644, "root", "root", (), False))
    for name, values in document.sysctls.items():
        text = "".join(f"{key} = {value}\n" for key, value in values.items())
        made.append(File(f"/etc/sysctl.d/90-{name}.conf", text, 0o644, "root", "root", (), False))
    return made


def restarts(document: Document, state: HostState) -> set[str]:
    """Return the units that read a file that is about to change."""
    changed = {
        unit
        for one in files(document)
        if one.restarts and _content_differs(one, state.files.get(one.path, ABSENT))
        for unit in one.restarts
    }
    for directory in document.directories:
        inside = [one for one in files(document) if one.path.startswith(f"{directory.path}/")]
        if (
            state.files.get(directory.path, ABSENT).kind != "directory"
            or unlisted(document, directory, state.listings.get(directory.path, _EMPTY).kinds)
            or any(_content_differs(one, state.files.get(one.path, ABSENT)) for one in inside)
        ):
            changed |= set(directory.restarts)
    for path in document.absent_files:
        if state.files.get(path, ABSENT).kind != "absent":
            changed |= {name for name in document.units if _drop_in_of(path, name)}
    return changed


def unit_changes(
    document: Document,
    units: Mapping[str, UnitState],
    changed: set[str],
    there: Mapping[str, FileState],
    listings: Mapping[str, Listing],
) -> list[Change]:
    """Return the unit changes; files of the units ``changed`` are about to change, ``there`` is the current state."""
    found = []
    for name in unit_names(document):
        wanted, unit = document.units.get(name), units.get(name, _NO_UNIT)
        if wanted and wanted.enabled is not None and wanted.enabled != unit.enabled:
            found.append(Change("unit", name, *_pair("enabled", "disabled", wanted.enabled)))
        if wanted and wanted.state and (wanted.state == "started") != unit.active:
            found.append(Change("unit", name, *_pair("started", "stopped", wanted.state == "started")))
        elif unit.active and not (wanted and wanted.state == "stopped"):
            reason = "a file changed" if name in changed else _newer(document, name, unit, there, listings)
            reason = reason or ("its unit file changed" if outdated(document, name, unit, there) else "")
            if reason:
                found.append(Change("restart", name, reason, "restarted"))
    return found


def outdated(document: Document, name: str, unit: UnitState, there: Mapping[str, FileState]) -> bool:
    """Return whether systemd has not yet read the unit's files."""
    return unit.stale or any(
        path not in unit.drop_ins and there.get(path, ABSENT).kind == "file" and _drop_in_of(path, name)
        for path in (one.path for one in document.files)
    )


def unit_names(document: Document) -> list[str]:
    """Return all units that the document refers to."""
    readers = [unit for one in (*document.files, *document.directories) for unit in one.restarts]
    return list(dict.fromkeys([*document.units, *readers]))


def paths(document: Document, repositories: Sequence[File]) -> list[str]:
    """Return all paths whose content is compared."""
    more = [FSTAB] if document.swap_off else []
    return list(
        dict.fromkeys(
            [
                *(one.path for one in repositories),
                *(one.path for one in document.directories),
                *(one.path for one in files(document)),
                *document.absent_files,
                *more,
            ]
        )
    )


def diff(document: Document, repositories: Sequence[File], state: HostState, limit: int = 50) -> list[dict[str, str]]:
    """Return Ansible's diff of the changed files, with secrets masked."""
    texts = []
    for one in [*repositories, *files(document)]:
        before = state.files.get(one.path, ABSENT)
        if not _file_differs(one, before):
            continue
        old = before.content.decode("utf-8", "replace")
        pair = (old, one.content) if not one.secret else ("(secret)\n" if old else "", "(another secret)\n")
        if one.secret and not _content_differs(one, before):
            pair = ("(secret)\n", "(secret)\n")
        texts.append(
            {
                "before_header": f"{one.path} {_described(before)}",
                "before": pair[0],
                "after_header": f"{one.path} {one.mode:04o} {one.owner}:{one.group}",
                "after": pair[1],
            }
        )
    rest = len(texts) - limit
    return texts[:limit] + ([{"prepared": f"and {rest} more files\n"}] if rest > 0 else [])


def _drop_in_of(path: str, name: str) -> bool:
    drop_in = _DROP_IN.match(path)
    return drop_in is not None and name in (drop_in[1], f"{drop_in[1]}.service")


def _packages(document: Document, state: HostState) -> Iterator[Change]:
    for name, wanted in document.packages.items():
        there = state.packages.get(name, NOT_INSTALLED)
        if not matches(there.version, wanted) or not there.whole:
            before = there.version if there.whole else f"{there.version}, half installed"
            yield Change("package", name, before, wanted)
    for name in document.hold:
        if not state.packages.get(name, NOT_INSTALLED).held:
            yield Change("hold", name, False, True)


def _directory(one: Directory, state: HostState) -> Iterator[Change]:
    there = state.files.get(one.path, ABSENT)
    wanted = f"directory {one.mode:04o} {one.owner}:{one.group}"
    if there.kind != "directory" or (there.mode, there.owner, there.group) != one[1:4]:
        before = there.kind if there.kind != "directory" else f"directory {_described(there)}"
        yield Change("directory", one.path, before, wanted)


def _file(one: File, state: HostState, kind: str) -> Iterator[Change]:
    there = state.files.get(one.path, ABSENT)
    if not _file_differs(one, there):
        return
    after = f"{one.mode:04o} {one.owner}:{one.group}"
    if not _content_differs(one, there):
        yield Change(kind, one.path, _described(there), after)
    elif one.secret:
        yield Change(kind, one.path, there.kind if there.kind != "file" else "a secret", f"another secret, {after}")
    else:
        before = there.kind if there.kind != "file" else digest(there.content)
        yield Change(kind, one.path, before, digest(one.content.encode()))


def _kernel(document: Document, state: HostState) -> Iterator[Change]:
    for modules in document.modules.values():
        for module in modules:
            if module.name in state.missing_modules and not (
                module.optional and module.name in state.unavailable_modules
            ):
                yield Change("kernel_module", module.name, "not loaded", "loaded")
    for values in document.sysctls.values():
        for key, value in values.items():
            if state.sysctls.get(key) != value:
                yield Change("sysctl", key, state.sysctls.get(key), value)
    if document.swap_off:
        fstab = state.files.get(FSTAB, ABSENT).content.decode("utf-8", "replace")
        if state.swap_devices:
            yield Change("swap", "devices", state.swap_devices, [])
        if without_swap(fstab) != fstab:
            yield Change("swap", FSTAB, "swap is mounted at boot", "none")


def _newer(
    document: Document,
    name: str,
    unit: UnitState,
    there: Mapping[str, FileState],
    listings: Mapping[str, Listing],
) -> str:
    """Name a file that is newer than the unit's start, or return "" when the unit is up to date."""
    for one in document.files:
        if name in one.restarts and there.get(one.path, ABSENT).modified > unit.started:
            return f"{one.path} is newer"
    for directory in document.directories:
        if name in directory.restarts and listings.get(directory.path, _EMPTY).modified > unit.started:
            return f"{directory.path} is newer"
    for path in document.units[name].restart_after if name in document.units else ():
        if there.get(path, ABSENT).replaced > unit.started:
            return f"{path} is newer"
    return ""


def _file_differs(one: File, there: FileState) -> bool:
    return _content_differs(one, there) or (there.mode, there.owner, there.group) != (one.mode, one.owner, one.group)


def _content_differs(one: File, there: FileState) -> bool:
    return there.kind != "file" or there.content != one.content.encode()


def _described(there: FileState) -> str:
    return "absent" if there.kind == "absent" else f"{there.mode:04o} {there.owner}:{there.group}"


def _pair(yes: str, no: str, wanted: bool) -> tuple[str, str]:
    return (no, yes) if wanted else (yes, no)
