# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a host's files with owner and mode, and replace them atomically by rename."""

from __future__ import annotations

import contextlib
import errno
import grp
import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Iterable
from typing import NamedTuple

from ..model.errors import PhotonError


class Listing(NamedTuple):
    """All paths below a directory with their kinds, and the latest change of a directory there."""

    kinds: dict[str, str]
    modified: float


class FileState(NamedTuple):
    """The state of a path. ``kind``: absent, file, directory or other (links too: they are replaced, not followed)."""

    kind: str
    content: bytes
    mode: int
    owner: str
    group: str
    modified: float
    replaced: float


ABSENT = FileState("absent", b"", 0, "", "", 0.0, 0.0)


def read(path: str, content: bool = True) -> FileState:
    """Read the current state of a path."""
    try:
        there = os.lstat(path)
        kind = "file" if stat.S_ISREG(there.st_mode) else "directory" if stat.S_ISDIR(there.st_mode) else "other"
        data = b""
        if content and kind == "file":
            with open(path, "rb") as handle:
                data = handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    return FileState(
        kind,
        data,
        stat.S_IMODE(there.st_mode),
        _user(there.st_uid),
        _group(there.st_gid),
        there.st_mtime,
        there.st_ctime,
    )


def listing(path: str) -> Listing:
    """List everything below a directory without following links; empty when it is missing."""
    kinds: dict[str, str] = {}
    modified = 0.0
    for folder, directories, others in os.walk(path):
        modified = max(modified, read(folder, content=False).modified)
        kinds |= {one: read(one, content=False).kind for one in _joined(folder, [*directories, *others])}
    return Listing(kinds, modified)


def digest(content: bytes) -> str:
    """Return a short digest for reports."""
    return "sha256:" + hashlib.sha256(content).hexdigest()[:12]


def write(path: str, content: bytes, mode: int = 0o644, owner: str = "root", group: str = "root") -> None:
    """Replace a file atomically; PhotonError HostChangeFailed, or DiskFull."""
    part = f"{path}.photon-new"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            _own(path, descriptor, mode, owner, group)
            os.fsync(descriptor)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise failure(path, error) from error


def restore(path: str, before: FileState) -> None:
    """Put a file back as it was read, or remove one that did not exist; PhotonError as ``write``."""
    if before.kind == "absent":
        remove(path)
    elif before.kind == "file" and read(path).content != before.content:
        write(path, before.content, before.mode, before.owner, before.group)


def settle(path: str, mode: int, owner: str, group: str, directory: bool = False) -> None:
    """Set mode and owner, creating a missing directory when ``directory`` is set."""
    try:
        if directory:
            os.makedirs(path, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            _own(path, descriptor, mode, owner, group)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise failure(path, error) from error


def remove(path: str) -> None:
    """Remove a file, or a directory with its contents, if it exists."""
    try:
        with contextlib.suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
    except OSError as error:
        raise failure(path, error) from error


def failure(path: str, error: OSError) -> PhotonError:
    """Return the error for a path that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PhotonError(
            "DiskFull", f"{path} cannot be written because the disk is full. Free some space and run again."
        )
    return PhotonError("HostChangeFailed", f"{path} cannot be written: {error.strerror or error}", {"file": path})


def _own(path: str, descriptor: int, mode: int, owner: str, group: str) -> None:
    try:
        user, member = pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise PhotonError("HostChangeFailed", f"{path}: {error.args[0]} on this host", {"file": path}) from error
    os.fchown(descriptor, user, member)
    os.fchmod(descriptor, mode)


def _joined(folder: str, names: Iterable[str]) -> list[str]:
    return [os.path.join(folder, name) for name in names]


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
