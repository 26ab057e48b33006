# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle: everything that clusters need without internet, in one tar with digests. For both sides.

::

    manifest.json    always first: {format, versions: ["1.37.2"], files: {"packages/Packages": {sha256, bytes}, ...}},
                     and packages {name: versions}, images {name: {file, digest}}, kubeadm_images {version: names}
    packages/        a flat apt repository
    images/          image archives, which `ctr -n k8s.io images import` takes
    manifests/       objects of add-ons and networks
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from ..model.errors import PhotonError

MANIFEST = "manifest.json"
FORMAT = 1
FOLDERS = ("packages", "images", "manifests")
IN_BUNDLE = "bundle:"  # in front of the name of a manifest that is in the bundle
UNPACKED = "/var/lib/photon/bundle"  # where a bundle's packages are on a host
_PIECE = 1 << 20


def manifest_of(
    versions: Iterable[str], files: Mapping[str, str | bytes], about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The manifest of a bundle of ``files`` {name within: file, or its content}; ``about`` is added to it.

    Raises SpecInvalid for a name outside of the folders.
    """
    for name in files:
        if name.partition("/")[0] not in FOLDERS or ".." in name.split("/"):
            raise PhotonError("SpecInvalid", f"{name!r} has no place in a bundle: put it below {', '.join(FOLDERS)}")
    entries = {}
    for name, source in sorted(files.items()):
        with _opened(source) as handle:
            entries[name] = {"sha256": digest(handle), "bytes": handle.tell()}
    return {"format": FORMAT, "versions": sorted(versions), "files": entries, **(about or {})}


def write(
    path: str, versions: Iterable[str], files: Mapping[str, str | bytes], about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Make the bundle at ``path``, whole or not at all; its manifest, as manifest_of."""
    manifest = manifest_of(versions, files, about)
    text = _text(manifest)
    part = f"{path}.part"
    try:
        with tarfile.open(part, "w") as archive:
            _add(archive, MANIFEST, len(text), io.BytesIO(text))
            for name, entry in manifest["files"].items():
                with _opened(files[name]) as handle:
                    _add(archive, name, entry["bytes"], handle)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
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
                if digest(handle) != entry["sha256"]:
                    raise _invalid(path, f"{member.name} has a wrong checksum")
    except (OSError, tarfile.TarError) as error:
        raise _invalid(path, str(error)) from error
    if left:
        raise _invalid(path, f"{', '.join(sorted(left))} is missing")
    return manifest


def extract(path: str, name: str, target: str) -> None:
    """Write a file of the bundle to ``target``; raises ManifestNotFound when it is not what the manifest says."""
    wanted = read_manifest(path)["files"].get(name)
    try:
        with tarfile.open(path, "r:") as archive:
            handle = archive.extractfile(name) if wanted else None
            if handle is None:
                raise _invalid(path, f"{name} is missing")
            hashed = hashlib.sha256()
            with open(target, "wb") as output:
                while piece := handle.read(_PIECE):
                    hashed.update(piece)
                    output.write(piece)
    except (KeyError, tarfile.TarError) as error:
        raise _invalid(path, f"{name}: {error}") from error
    if hashed.hexdigest() != wanted["sha256"]:
        raise _invalid(path, f"{name} has a wrong checksum")


def read_text(path: str, name: str) -> str:
    """The text of a small file of the bundle; raises ManifestNotFound as extract."""
    with tempfile.TemporaryDirectory() as folder:
        extract(path, name, f"{folder}/file")
        with open(f"{folder}/file", encoding="utf-8") as handle:
            return handle.read()


def manifest_text(name: str, path: str, read_file: Callable[[str], str]) -> str:
    """The text of a file on the controller, or for ``bundle:NAME`` that of a manifest in the bundle at ``path``."""
    if not name.startswith(IN_BUNDLE):
        return read_file(name)
    if not path:
        raise PhotonError("ManifestNotFound", f"{name}: name the bundle's file in packages.bundle")
    return read_text(os.path.expanduser(path), f"manifests/{name[len(IN_BUNDLE) :]}")


def digest(handle: IO[bytes]) -> str:
    """SHA-256 of what is left of a file, in hex."""
    hashed = hashlib.sha256()
    while piece := handle.read(_PIECE):
        hashed.update(piece)
    return hashed.hexdigest()


def _invalid(path: str, why: str) -> PhotonError:
    return PhotonError(
        "ManifestNotFound", f"{path} is no bundle: {why}; make one with playbook cluster_bundle", {"path": path}
    )


def _opened(source: str | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _text(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"


def _add(archive: tarfile.TarFile, name: str, size: int, handle: IO[bytes]) -> None:
    """Equal files make equal bundles: no owner, no time."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, handle)
