# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse the URL of a CloudStore, and refuse SQLite files in places where they would be lost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..model.errors import PhotonError

SQLITE, POSTGRESQL = "sqlite", "postgresql"
# File locks and the shared memory of the write-ahead log do not work across machines.
NETWORK_FILE_SYSTEMS = frozenset(
    "nfs nfs4 cifs smb3 smbfs ncpfs afs 9p virtiofs ceph lustre gpfs beegfs orangefs glusterfs gfs2 ocfs2 vboxsf "
    "fuse.sshfs fuse.glusterfs fuse.ceph fuse.s3fs fuse.rclone fuse.gcsfuse fuse.vmhgfs-fuse fuse.davfs "
    "fuse.juicefs".split()
)
LOST_FILE_SYSTEMS = frozenset(("overlay", "aufs", "tmpfs", "ramfs", "rootfs"))
# Where AWX and ansible-runner unpack the private copy of a project for one job.
_JOB_COPY = re.compile(r"^/runner(/|$)|/awx_\d+_[^/]*(/|$)")


@dataclass(frozen=True, slots=True)
class Location:
    """Location of a CloudStore: a file's path for SQLite, libpq's own URL for PostgreSQL. ``shown`` has no password."""

    dialect: str
    target: str
    shown: str


def parse(url: str) -> Location:
    """Read ``sqlite:////absolute/path.db`` or ``postgresql+psycopg://user@host1,host2/database``.

    Everything after ``postgresql+psycopg://`` is libpq's: several hosts, ``?target_session_attrs=``, ``?sslmode=``,
    ``?service=`` ... Raises CloudStoreUnavailable.
    """
    scheme, found, rest = (url or "").partition("://")
    if found and scheme == SQLITE:
        if not rest.startswith("//") or rest.startswith("///") or rest.endswith("/") or "?" in rest:
            raise PhotonError(
                "CloudStoreUnavailable",
                f"{url!r} cannot be used as a CloudStore: SQLite needs a file's absolute path "
                "with four slashes and nothing after it, for example sqlite:////var/lib/photon/cloudstore.db",
            )
        path = os.path.normpath(rest[1:])
        return Location(SQLITE, path, f"sqlite:///{path}")
    if found and scheme in ("postgresql", "postgresql+psycopg", "postgres"):
        return Location(POSTGRESQL, f"postgresql://{rest}", f"postgresql+psycopg://{_without_password(rest)}")
    raise PhotonError(
        "CloudStoreUnavailable",
        f"{_without_password(url)!r} is not a CloudStore URL: write "
        "sqlite:////absolute/path.db or postgresql+psycopg://user@host/database",
    )


def refuse_ephemeral(path: str) -> None:
    """Raise EphemeralCloudStore when the file would be lost with a container, a job or a reboot, or is on a network."""
    reason = ephemeral_reason(path, _mounts())
    if reason:
        raise PhotonError(
            "EphemeralCloudStore",
            f"the CloudStore {path} {reason}: use a persistent folder, or PostgreSQL (AWX jobs always "
            "do: photon_cloudstore_url: postgresql+psycopg://user@host/database); set "
            "photon_cloudstore_allow_ephemeral: true only where losing it does not matter",
            {"file": path},
        )


def ephemeral_reason(path: str, mounts: Iterable[tuple[str, str]]) -> str | None:
    """Return the reason why a file at ``path`` would be lost, or None.

    ``mounts``: ``(mount point, file system type)`` pairs.
    """
    real = os.path.realpath(path)
    if _JOB_COPY.search(path) or _JOB_COPY.search(real):
        return "is in a job's private copy of the project, which is removed with the job"
    kind = _file_system(real, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        return f"is on a network file system ({kind}), where SQLite's locks do not work"
    if kind in LOST_FILE_SYSTEMS:
        return f"is on {kind}, which is lost when the container or the machine restarts"
    return None


def _file_system(path: str, mounts: Iterable[tuple[str, str]]) -> str | None:
    best, kind = "", None
    for point, found in mounts:
        inside = path == point or path.startswith(point if point.endswith("/") else f"{point}/")
        if inside and len(point) >= len(best):  # the last of several mounts on one point is the visible one
            best, kind = point, found
    return kind


def _mounts() -> list[tuple[str, str]]:
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split(" ") for line in file]
    except OSError:
        return []  # not Linux: the file systems are unknown
    return [(_unescape(row[1]), row[2]) for row in rows if len(row) > 2]


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _without_password(text: str) -> str:
    hidden = re.sub(r"(?P<user>(?:^|//)[^:@/?]*):[^@/]*@", r"\g<user>:***@", text or "")
    return re.sub(r"(?i)(password=)[^&]*", r"\1***", hidden)
