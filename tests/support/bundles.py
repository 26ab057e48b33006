# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What small bundles are made of: packages and image archives of the real formats, with nothing in them."""

from __future__ import annotations

import hashlib
import io
import json
import pathlib
import tarfile
from collections.abc import Callable, Iterable, Mapping
from typing import Any

FLANNEL = ("ghcr.io/flannel-io/flannel:v0.28.10", "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3")
METRICS = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"


def image_names(version: str) -> list[str]:
    """What a cluster with flannel and metrics-server runs."""
    own = [f"kube-{part}:v{version}" for part in ("apiserver", "controller-manager", "scheduler", "proxy")]
    own += ["etcd:3.7.0-0", "coredns/coredns:v1.14.6", "pause:3.10.2"]
    return [*(f"registry.k8s.io/{name}" for name in own), *FLANNEL, METRICS]


def manifest(version: str, *without: str) -> Callable[[str], dict[str, Any]]:
    """A reader of a bundle's manifest; images whose names have one of ``without`` in them are not in it."""
    names = [name for name in image_names(version) if not any(f"/{word}" in name for word in without)]
    images = {name: {"file": f"images/{index}.tar", "digest": ""} for index, name in enumerate(names)}
    files = {entry["file"]: {"sha256": "0" * 64, "bytes": 1} for entry in images.values()}
    return lambda _path: {"versions": [version], "files": files, "images": images, "kubeadm_images": {}}


def deb(folder: pathlib.Path, name: str, version: str, compression: str = "gz", **files: bytes) -> pathlib.Path:
    """A package as dpkg-deb would make it; ``files``: name within usr/bin -> content."""
    fields = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: nobody\nDescription: {name}\n"
    suffix = f".{compression}" if compression else ""
    members = {
        "debian-binary": b"2.0\n",
        f"control.tar{suffix}": _tar({"./control": fields.encode()}, compression),
        f"data.tar{suffix}": _tar({f"./usr/bin/{path}": content for path, content in files.items()}, compression),
    }
    content = b"!<arch>\n"
    for member, body in members.items():
        content += f"{member:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode()
        content += body + b"\n" * (len(body) % 2)
    path = folder / f"{name}_{version}_amd64.deb"
    path.write_bytes(content)
    return path


def image(folder: pathlib.Path, name: str, form: str = "oci") -> pathlib.Path:
    """An archive of an image without layers; ``form``: oci (ctr images export) or docker (docker save of old)."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _sha(config), "size": len(config)}
    body = json.dumps({"schemaVersion": 2, "config": described, "layers": []}).encode()
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": _sha(body), "size": len(body)}
    entry["annotations"] = {"io.containerd.image.name": name}  # type: ignore[assignment]
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    files = {"manifest.json": json.dumps([{"Config": "c.json", "RepoTags": [name], "Layers": []}]).encode()}
    if form == "oci":
        blobs = {f"blobs/sha256/{_sha(one)[7:]}": one for one in (body, config)}
        files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **blobs}
    path = folder / f"{name.replace('/', '_').replace(':', '_')}.tar"
    path.write_bytes(_tar(files, ""))
    return path


def sources(folder: pathlib.Path, versions: Iterable[str] = ("1.37.2",)) -> tuple[pathlib.Path, pathlib.Path]:
    """Folders with the packages and the images of these versions."""
    packages, images = folder / "packages", folder / "images"
    packages.mkdir()
    images.mkdir()
    for version in versions:
        for name in ("kubeadm", "kubectl", "kubelet"):
            deb(packages, name, f"{version}-1.1")
        for name in image_names(version):
            image(images, name)
    deb(packages, "conntrack", "1:1.4.8-2")
    return packages, images


def _tar(files: Mapping[str, bytes], compression: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def _sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
