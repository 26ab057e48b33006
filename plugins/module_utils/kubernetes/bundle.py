# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write bundles: one tar file with digests of everything that clusters need without internet access.

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
IN_BUNDLE = "bundle:"  # prefix of the names of manifests in the bundle
UNPACKED = "/var/lib/photon/bundle"  # folder with a bundle's packages on a host
_PIECE = 1 << 20


def manifest_of(
    versions: Iterable[str], files: Mapping[str, str | bytes], about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the manifest of a bundle of ``files`` {name in the bundle: path or content}, extended by ``about``.

    Raise SpecInvalid for a name outside the bundle's folders.
    """
    for name in files:
        if name.partition("/")[0] not in FOLDERS or ".." in name.split("/"):
            raise PhotonError(
                "SpecInvalid", f"{name!r} is outside the folders of a bundle. Put it into {', '.join(FOLDERS)}."
            )
    entries = {}
    for name, source in sorted(files.items()):
        with _opened(source) as handle:
            entries[name] = {"sha256": digest(handle), "bytes": handle.tell()}
    return {"format": FORMAT, "versions": sorted(versions), "files": entries, **(about or {})}


def write(
    path: str, versions: Iterable[str], files: Mapping[str, str | bytes], about: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the bundle to ``path`` atomically; return its manifest as manifest_of does."""
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
    """Return only the manifest, without reading the bundle; raise ManifestNotFound."""
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
    """Verify a bundle's content and return its manifest; raise ManifestNotFound with the difference."""
    manifest = read_manifest(path)
    left = dict(manifest["files"])
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.name == MANIFEST:
                    continue
                entry, handle = left.pop(member.name, None), archive.extractfile(member)
                if entry is None or handle is None:
                    raise _invalid(path, f"{member.name} is not listed in its manifest")
                if digest(handle) != entry["sha256"]:
                    raise _invalid(path, f"{member.name} has a wrong checksum")
    except (OSError, tarfile.TarError) as error:
        raise _invalid(path, str(error)) from error
    if left:
        raise _invalid(path, f"{', '.join(sorted(left))} is missing")
    return manifest


def extract(path: str, name: str, target: str) -> None:
    """Extract a file to ``target``; raise ManifestNotFound when it does not match the manifest."""
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
    """Return the text of a small file of the bundle; raise ManifestNotFound as extract does."""
    with tempfile.TemporaryDirectory() as folder:
        extract(path, name, f"{folder}/file")
        with open(f"{folder}/file", encoding="utf-8") as handle:
            return handle.read()


def manifest_text(name: str, path: str, read_file: Callable[[str], str]) -> str:
    """Return the text of a file on the controller, or for ``bundle:NAME`` of a manifest in the bundle at ``path``."""
    if not name.startswith(IN_BUNDLE):
        return read_file(name)
    if not path:
        raise PhotonError("ManifestNotFound", f"{name}: set packages.bundle to the bundle's file")
    return read_text(os.path.expanduser(path), f"manifests/{name[len(IN_BUNDLE) :]}")


def digest(handle: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of a file in hex."""
    hashed = hashlib.sha256()
    while piece := handle.read(_PIECE):
        hashed.update(piece)
    return hashed.hexdigest()


def _invalid(path: str, why: str) -> PhotonError:
    return PhotonError(
        "ManifestNotFound",
        f"{path} is not a valid bundle: {why}. Create one with playbook cluster_bundle.",
        {"path": path},
    )


def _opened(source: str | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _text(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n"


def _add(archive: tarfile.TarFile, name: str, size: int, handle: IO[bytes]) -> None:
    """Add a file without owner and time, so that bundles are reproducible."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    archive.addfile(member, handle)
