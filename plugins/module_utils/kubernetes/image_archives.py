# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the images in archives written by `ctr images export`, `docker save` and similar tools.

Like containerd, prefer the OCI image layout (index.json with annotations) to docker's manifest.json.
"""

from __future__ import annotations

import json
import re
import tarfile
from typing import Any

from ..model.errors import PhotonError

_NAME, _REFERENCE = "io.containerd.image.name", "org.opencontainers.image.ref.name"


def read(path: str) -> dict[str, str]:
    """Return full image name with tag -> digest ("" when containerd computes it); raise SpecInvalid."""
    try:
        with tarfile.open(path) as archive:
            found = _of_index(_json(archive, "index.json")) or _of_docker(_json(archive, "manifest.json"))
    except (OSError, tarfile.TarError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _invalid(path, str(error)) from error
    if not found:
        raise _invalid(path, "it contains no named image")
    return found


def split(name: str) -> tuple[str, str]:
    """Split an image's name into (repository, tag)."""
    repository, _colon, tag = name.partition("@")[0].rpartition(":")
    return (repository, tag) if repository and "/" not in tag else (name, "latest")


def _of_index(index: Any) -> dict[str, str]:
    found = {}
    for entry in (index or {}).get("manifests") or ():
        notes = entry.get("annotations") or {}
        name = notes.get(_NAME) or notes.get(_REFERENCE) or ""
        if _NAME in notes or re.search(r"/.*:", name):  # a bare reference may be only a tag
            found[_whole(name)] = entry["digest"]
    return found


def _of_docker(entries: Any) -> dict[str, str]:
    return {_whole(tag): "" for entry in entries or () for tag in entry.get("RepoTags") or ()}


def _whole(name: str) -> str:
    """Expand a short name to docker's default registry, as containerd does."""
    first, slash, _rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not re.search(r"[.:]", first) and first != "localhost":
        name = f"docker.io/{name}"
    return name if split(name)[0] != name or "@" in name else f"{name}:latest"


def _json(archive: tarfile.TarFile, name: str) -> Any:
    try:
        handle = archive.extractfile(name)
    except KeyError:
        return None
    return json.load(handle) if handle else None


def _invalid(path: str, why: str) -> PhotonError:
    return PhotonError(
        "SpecInvalid",
        f"{path} is not an importable image archive ({why}). Create it with ctr images export or docker save.",
        {"path": path},
    )
