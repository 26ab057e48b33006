# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Select the parts of a bundle that a cluster and each of its hosts need (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import image_archives, versions
from ..bundle_sources import CONTROL_PLANE_IMAGES, PROGRAMS, belongs, missing_images, upstream

_CONTROL_PLANE = (*CONTROL_PLANE_IMAGES, "etcd")


def lacking(cluster: Mapping[str, Any], manifest: Mapping[str, Any]) -> list[str]:
    """Return the images of the declared cluster that the bundle of this manifest does not contain.

    Images of user-supplied manifests are not known here.
    """
    there = manifest.get("images") or {}
    version = cluster["version"].removeprefix("v")
    repository = cluster["kubeadm"]["image_repository"] or ""
    named = (manifest.get("kubeadm_images") or {}).get(version) or ()
    if repository and not all(name.startswith(f"{repository}/") for name in named):
        named = ()
    wanted = [cluster["runtime"]["sandbox_image"]] if cluster["runtime"]["sandbox_image"] else []
    if cluster["networks"]["plugin"] == "flannel":
        wanted += [cluster["networks"]["flannel"]["plugin_image"], cluster["networks"]["flannel"]["image"]]
    metrics = cluster["addons"]["metrics_server"]
    if metrics and metrics["enabled"]:
        wanted.append(metrics["image"])
    lacks = missing_images(version, named, there)
    return lacks + [name for name in wanted if name not in there and name not in lacks]


def parts(manifest: Mapping[str, Any], version: str, role: str) -> dict[str, Any]:
    """Return the parts for a host with this role ("control_plane" or "worker") in a cluster of this version.

    Return ``packages`` {name within the bundle: {sha256, bytes}} and ``images`` {name within the bundle: {sha256,
    bytes, names: {image: digest or ""}}}. Omit Kubernetes parts of other versions and, for workers, the images that
    run only on the control plane.
    """
    versions.parse(version)
    files = manifest["files"]
    named = manifest.get("kubeadm_images") or {}
    archives: dict[str, dict[str, str]] = {}
    for name, entry in (manifest.get("images") or {}).items():
        if belongs(name, version, named) and not (role != "control_plane" and _base(name) in _CONTROL_PLANE):
            archives.setdefault(entry["file"], {})[name] = entry["digest"]
    return {
        "packages": {
            name: entry for name, entry in files.items() if name.startswith("packages/") and _wanted(name, version)
        },
        "images": {name: {**files[name], "names": names} for name, names in sorted(archives.items())},
    }


def _base(image: str) -> str:
    return image_archives.split(image)[0].rpartition("/")[2]


def _wanted(name: str, version: str) -> bool:
    """Return whether a file is needed; packages are named NAME_VERSION_ARCHITECTURE.deb."""
    words = name.rpartition("/")[2].split("_")
    return words[0] not in PROGRAMS or upstream(words[1]) == version
