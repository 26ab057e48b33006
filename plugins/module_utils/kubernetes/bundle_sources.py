# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collect packages, image archives and manifests for a bundle and check that its versions are complete."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..model.errors import PhotonError
from . import bundle, debian_packages, image_archives
from .debian_packages import Package

PROGRAMS = ("kubeadm", "kubectl", "kubelet")
CONTROL_PLANE_IMAGES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
IMAGES = (*CONTROL_PLANE_IMAGES, "kube-proxy")
OTHER_IMAGES = ("coredns", "etcd", "pause")  # with tags of their own
_UPSTREAM = "registry.k8s.io"


class Contents(NamedTuple):
    """``versions`` of Kubernetes, ``files`` {name in the bundle: path or content}, and ``about`` for the manifest."""

    versions: list[str]
    files: dict[str, str | bytes]
    about: dict[str, Any]


def collect(
    versions: Iterable[str],
    packages: Sequence[str],
    images: Sequence[str],
    manifests: Sequence[str],
    image_repository: str = "",
) -> Contents:
    """Collect what clusters of these versions need from the paths, which are files or folders.

    Without ``versions``, use those whose kubeadm is among the packages. Omit packages and images of other Kubernetes
    versions and include everything else. Raise SpecInvalid for a missing or invalid path, PackageNotFound and
    ImageNotFound with everything that a version lacks.
    """
    debs = [debian_packages.read(path) for path in _files(packages, ".deb")]
    wanted = sorted(set(versions) or {upstream(one.version) for one in debs if one.name == "kubeadm"})
    if not wanted:
        raise PhotonError(
            "PackageNotFound",
            f"package kubeadm was not found in {', '.join(packages) or 'any folder'}. Download it first.",
        )
    debs = [one for one in debs if one.name not in PROGRAMS or upstream(one.version) in wanted]
    _check_packages(wanted, debs)
    named = kubeadm_images(wanted, debs, image_repository or _UPSTREAM)
    archives = {path: image_archives.read(path) for path in _files(images, ".tar", ".tar.gz", ".tgz")}
    archives = {path: names for path, names in archives.items() if any(_belongs(name, wanted, named) for name in names)}
    _check_images(wanted, named, {name for names in archives.values() for name in names})
    text = debian_packages.index(debs)
    files: dict[str, str | bytes] = {
        "packages/Packages": text.encode(),
        "packages/Release": debian_packages.release(debs, text).encode(),
    }
    places = [(one.path, f"packages/{one.filename}") for one in debs]
    places += [(path, f"images/{os.path.basename(path)}") for path in archives]
    places += [(path, f"manifests/{os.path.basename(path)}") for path in _files(manifests, ".yml", ".yaml", ".json")]
    for path, name in places:
        if name in files and files[name] != path:
            raise PhotonError("SpecInvalid", f"{path} and {files[name]!r} have the same name. Rename one of them.")
        files[name] = path
    about = {
        "packages": {
            name: sorted({one.version for one in debs if one.name == name})
            for name in sorted({one.name for one in debs})
        },
        "images": {
            name: {"file": f"images/{os.path.basename(path)}", "digest": digest}
            for path, names in archives.items()
            for name, digest in names.items()
        },
        "kubeadm_images": named,
    }
    return Contents(wanted, files, about)


def make(path: str, contents: Contents, check: bool) -> dict[str, Any]:
    """Write the bundle unless it is up to date; return ``changed``, ``manifest`` and ``diff``."""
    try:
        there = bundle.verify(path)
    except PhotonError as error:
        there = {"files": {}, "damaged": error.message} if os.path.exists(path) else {}
    manifest = bundle.manifest_of(contents.versions, contents.files, contents.about)
    changed = there != manifest
    if changed and not check:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        bundle.write(path, contents.versions, contents.files, contents.about)
    diff = {"before_header": path, "before": _listing(there), "after_header": path, "after": _listing(manifest)}
    return {"changed": changed, "manifest": manifest, "diff": diff if changed else {}}


def upstream(version: str) -> str:
    """Return a package's upstream version, without the packaging revision."""
    return version.rpartition(":")[2].partition("-")[0]


def kubeadm_images(versions: Iterable[str], packages: Sequence[Package], repository: str) -> dict[str, list[str]]:
    """Return version -> images listed by its kubeadm, for versions that this machine can run."""
    found = {}
    for version in versions:
        path = next(one.path for one in packages if one.name == "kubeadm" and upstream(one.version) == version)
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/kubeadm"
            if not debian_packages.extract(path, "usr/bin/kubeadm", program):
                continue
            os.chmod(program, 0o700)
            words = [program, "config", "images", "list", f"--kubernetes-version=v{version}"]
            words.append(f"--image-repository={repository}")
            try:
                done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
            except (OSError, subprocess.TimeoutExpired):  # built for another system or processor
                continue
        names = done.stdout.split()
        if done.returncode == 0 and names:
            found[version] = sorted(names)
    return found


def missing_images(version: str, named: Sequence[str], there: Iterable[str]) -> list[str]:
    """Return the missing images of a version, by kubeadm's list, or by well-known names without one."""
    if named:
        return sorted(set(named) - set(there))
    have = [(os.path.basename(repository), tag) for repository, tag in map(image_archives.split, there)]
    lacking = [f"{name}:v{version}" for name in IMAGES if (name, f"v{version}") not in have]
    return lacking + [name for name in OTHER_IMAGES if name not in [one for one, _tag in have]]


def belongs(name: str, version: str, named: Mapping[str, Sequence[str]]) -> bool:
    """Return whether an image belongs to this version or is not a Kubernetes image of another version."""
    repository, tag = image_archives.split(name)
    own = named.get(version)
    if os.path.basename(repository) in IMAGES:
        return tag == f"v{version}"
    if own and name not in own:
        repositories = {image_archives.split(one)[0] for names in named.values() for one in names}
        return repository not in repositories
    return True


def _listing(manifest: Mapping[str, Any]) -> str:
    lines = [f"{name} {entry['sha256']}\n" for name, entry in sorted((manifest.get("files") or {}).items())]
    return "".join([f"{manifest['damaged']}\n" if "damaged" in manifest else "", *lines])


def _belongs(name: str, versions: Iterable[str], named: Mapping[str, Sequence[str]]) -> bool:
    return any(belongs(name, version, named) for version in versions)


def _check_packages(versions: Iterable[str], packages: Sequence[Package]) -> None:
    have = {(one.name, upstream(one.version)) for one in packages}
    lacking = [f"{name} {version}" for version in versions for name in PROGRAMS if (name, version) not in have]
    if lacking:
        raise PhotonError(
            "PackageNotFound",
            f"packages are missing: {', '.join(lacking)}. Add them, or omit the version.",
            {"packages": lacking},
        )


def _check_images(versions: Iterable[str], named: Mapping[str, Sequence[str]], there: Iterable[str]) -> None:
    there = list(there)
    lacking = [
        f"{name} (of {version})"
        for version in versions
        for name in missing_images(version, named.get(version, ()), there)
    ]
    if lacking:
        raise PhotonError(
            "ImageNotFound",
            f"images are missing: {', '.join(lacking)}. Add their archives, or omit the version.",
            {"images": lacking},
        )


def _files(paths: Iterable[str], *endings: str) -> list[str]:
    """Return the given files and the files with these endings in the given folders, without duplicates."""
    return list(dict.fromkeys(found for path in paths for found in _of(path, endings)))


def _of(path: str, endings: Sequence[str]) -> Iterator[str]:
    if os.path.isdir(path):
        for name in sorted(os.listdir(path)):
            if re.search(rf"({'|'.join(map(re.escape, endings))})\Z", name) and not name.startswith("."):
                yield os.path.join(path, name)
    elif os.path.isfile(path):
        yield path
    else:
        raise PhotonError("SpecInvalid", f"{path} does not exist. Specify a file or a folder.", {"path": path})
