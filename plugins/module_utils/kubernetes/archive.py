# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write and verify cluster backups: a tar file with an etcd snapshot, the authorities' keys and digests."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Mapping
from typing import Any

from ..model.errors import PhotonError

MANIFEST, SNAPSHOT = "manifest.json", "snapshot.db"
FORMAT = 1
_PIECE = 1 << 20


def write(path: str, snapshot: str, files: Mapping[str, bytes], about: Mapping[str, Any]) -> dict[str, Any]:
    """Write an archive of a snapshot file and small ``files`` to ``path`` atomically (mode 0600); return its manifest.

    ``about`` is added to the manifest: cluster, cluster_id, version, members, made (ISO 8601).
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    digests[SNAPSHOT] = digest(snapshot)
    manifest = {"format": FORMAT, **about, "snapshot_bytes": os.path.getsize(snapshot), "sha256": digests}
    part = f"{path}.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        with tarfile.open(fileobj=handle, mode="w") as archive:
            _add(archive, MANIFEST, json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n")
            for name in sorted(files):
                _add(archive, name, files[name])
            archive.add(snapshot, SNAPSHOT, filter=_private)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(part, path)
    return manifest


def verify(path: str) -> dict[str, Any]:
    """Verify the digests of an archive and return its manifest; PhotonError BackupInvalid."""
    try:
        with tarfile.open(path, mode="r:") as archive:
            manifest = json.loads(_content(archive, MANIFEST))
            if manifest.get("format") != FORMAT:
                raise invalid(path, f"its format is {manifest.get('format')!r}, not {FORMAT}")
            digests = manifest["sha256"]
            names = sorted(name for name in archive.getnames() if name != MANIFEST)
            if names != sorted(digests):
                raise invalid(path, f"it contains {', '.join(names)} but should contain {', '.join(sorted(digests))}")
            for name, wanted in digests.items():
                if _digest_of(archive, name) != wanted:
                    raise invalid(path, f"{name} does not match its digest")
            with archive.extractfile(SNAPSHOT) as handle:  # type: ignore[union-attr]
                check_snapshot(handle, path)
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError, EOFError) as error:
        raise invalid(path, str(error)) from error
    return manifest


def extract(path: str, snapshot: str) -> dict[str, bytes]:
    """Extract the snapshot of a verified archive to ``snapshot`` (mode 0600); return the other files' contents."""
    files = {}
    with tarfile.open(path, mode="r:") as archive:
        for name in archive.getnames():
            if name == SNAPSHOT:
                source = archive.extractfile(name)
                with open(os.open(snapshot, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
                    while piece := source.read(_PIECE):  # type: ignore[union-attr]
                        target.write(piece)
            elif name != MANIFEST:
                files[name] = _content(archive, name)
    return files


def digest(path: str) -> str:
    """Return the SHA-256 of a file in hex."""
    with open(path, "rb") as handle:
        return _sum(handle)


def check_snapshot(handle: Any, name: str) -> int:
    """Verify a snapshot from etcd, whose last 32 bytes are the SHA-256 of the rest; return its size. BackupInvalid."""
    total, tail = hashlib.sha256(), b""
    size = 0
    while piece := handle.read(_PIECE):
        size += len(piece)
        tail += piece
        total.update(tail[:-32])
        tail = tail[-32:]
    # bbolt writes whole pages, so only a snapshot with a digest is not a multiple of 512 bytes.
    if size % 512 != 32 or total.digest() != tail:
        raise invalid(name, "the etcd snapshot in it is truncated or damaged")
    return size


def invalid(path: str, reason: str) -> PhotonError:
    """Return the error of a backup that cannot be used."""
    return PhotonError("BackupInvalid", f"{path} is not a usable backup: {reason}. Use another one.", {"path": path})


def superseded(names: Iterable[str], cluster: str, keep: int) -> list[str]:
    """Return the files to remove so that the ``keep`` newest backups of a cluster stay (pure); 0 keeps all.

    Files are recognized by their names, CLUSTER-20261125T031500Z.tar, whose order is that of their times; all others
    stay.
    """
    pattern = re.compile(rf"{re.escape(cluster)}-\d{{8}}T\d{{6}}Z\.tar")
    found = sorted((name for name in names if pattern.fullmatch(os.path.basename(name))), key=os.path.basename)
    return found[:-keep] if keep > 0 else []


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def _private(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mode, entry.uid, entry.gid, entry.uname, entry.gname = 0o600, 0, 0, "", ""
    return entry


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    handle = archive.extractfile(name)
    if handle is None:
        raise KeyError(f"{name} is not a file")
    return handle.read()


def _digest_of(archive: tarfile.TarFile, name: str) -> str:
    handle = archive.extractfile(name)
    if handle is None:
        raise KeyError(f"{name} is not a file")
    return _sum(handle)


def _sum(handle: Any) -> str:
    total = hashlib.sha256()
    while piece := handle.read(_PIECE):
        total.update(piece)
    return total.hexdigest()
