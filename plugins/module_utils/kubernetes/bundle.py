# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle: everything that clusters need without internet, in one tar with digests. For both sides.

::

    manifest.json    {format, versions: ["1.37.2"], files: {"packages/Packages": {sha256, bytes}, ...}}; always first
    packages/        a flat apt repository
    images/          image archives, which `ctr -n k8s.io images import` takes
    manifests/       objects of add-ons
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from typing import IO, Any

from ..model.errors import PhotonError

MANIFEST = "manifest.json"
FORMAT = 1
FOLDERS = ("packages", "images", "manifests")
_PIECE = 1 << 20


def write(path: str, versions: Iterable[str], files: Mapping[str, str]) -> dict[str, Any]:
    """Make the bundle at ``path``, whole or not at all, of ``files`` {name within: file}; its manifest.

    Raises SpecInvalid for a name outside of the folders.
    """
    for name in files:
        if name.partition("/")[0] not in FOLDERS or ".." in name.split("/"):
            raise PhotonError("SpecInvalid", f"{name!r} has no place in a bundle: put it below {', '.join(FOLDERS)}")
    entries = {}
    for name, source in sorted(files.items()):
        with open(source, "rb") as handle:
            entries[name] = {"sha256": _digest(handle), "bytes": os.path.getsize(source)}
    manifest = {"format": FORMAT, "versions": sorted(versions), "files": entries}
    text = json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"
    part = f"{path}.part"
    with tarfile.open(part, "w") as archive:
        _add(archive, MANIFEST, len(text), io.BytesIO(text))
        for name, entry in entries.items():
            with open(files[name], "rb") as handle:
                _add(archive, name, entry["bytes"], handle)
    os.replace(part, path)
    return manifest


def read_manifest(path: str) -> dict[str, Any]:
    """The manifest alone, in no time; raises ManifestNotFound."""
    try:
        with tarfile.open(path, "r:") as archive:
            first = archive.next()
            handle = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
            if handle is None:
                raise _invalid(path, f"it does not begin with {MANIFEST}")
            manifest = json.load(handle)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise _invalid(path, getattr(error, "strerror", None) or str(error)) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _invalid(path, f"its format is not {FORMAT}")
    return manifest


def verify(path: str) -> dict[str, Any]:
    """The manifest of a bundle that holds exactly what it says; raises ManifestNotFound with what differs."""
    manifest = read_manifest(path)
    left = dict(manifest["files"])
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.name == MANIFEST:
                    continue
                entry, handle = left.pop(member.name, None), archive.extractfile(member)
                if entry is None or handle is None:
                    raise _invalid(path, f"{member.name} is in it and not in its manifest")
                if _digest(handle) != entry["sha256"]:
                    raise _invalid(path, f"{member.name} has a wrong checksum")
    except (OSError, tarfile.TarError) as error:
        raise _invalid(path, str(error)) from error
    if left:
        raise _invalid(path, f"{', '.join(sorted(left))} is missing")
    return manifest


def _invalid(path: str, why: str) -> PhotonError:
    return PhotonError(
        "ManifestNotFound", f"{path} is no bundle: {why}; make one with playbook cluster_bundle", {"path": path}
    )


def _digest(handle: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := handle.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _add(archive: tarfile.TarFile, name: str, size: int, handle: IO[bytes]) -> None:
    """Equal files make equal bundles: no owner, no time."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, handle)
