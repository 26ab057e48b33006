# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images with one layer, out of static programs and of Debian programs with their libraries.

An archive is an OCI image layout in a tar file, with what `docker load` reads besides. Everything in it is fixed, so
that the same programs give the same digests.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..hosts.paths import LabError, run

_OCI = "application/vnd.oci.image."
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The kernel's struct vfs_cap_data, revision 2: effective, and capability 10 permitted.
_NET_BIND_SERVICE = "\x01\0\0\x02" + "\0\x04\0\0" + "\0" * 12
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
    # nft prints numbers where it finds no names here, and kube-proxy then takes its own entries for strange ones.
    "etc/protocols": "icmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n",
}


@dataclass(frozen=True)
class Image:
    """``name`` with its tag. ``files``: path inside to path here, the first is the entry point; ``debian``: programs
    and plug-ins taken out of ``system``, a Debian root, with the libraries they load."""

    name: str
    files: Mapping[str, Path]
    user: str = ""
    debian: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()  # of ``system``, whole
    system: Path | None = None
    environment: tuple[str, ...] = field(default=(_PATH,))
    binds_low_ports: bool = False  # the entry point may, whoever runs it

    def recipe(self) -> str:
        """What tells this image from an older one of its name."""
        sources = [(inside, str(path), path.stat().st_mtime_ns, path.stat().st_size) for inside, path in self._files()]
        return repr((self.name, sources, self.user, self.environment, self.binds_low_ports, sorted(_TEXTS.items())))

    def write(self, target: Path) -> None:
        """Write the archive."""
        with tempfile.TemporaryFile(dir=target.parent) as layer:
            self._write_layer(layer)
            size = layer.tell()
            digest = _digest(layer)
            config = {
                "architecture": _architecture(), "os": "linux",
                "config": {"Env": list(self.environment), "Entrypoint": [f"/{next(iter(self.files)).lstrip('/')}"]}
                | ({"User": self.user} if self.user else {}),
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                "history": [{"created_by": "lab"}],
            }  # fmt: skip
            configuration = json.dumps(config).encode()
            manifest = json.dumps({
                "schemaVersion": 2, "mediaType": f"{_OCI}manifest.v1+json",
                "config": _descriptor("config.v1+json", configuration),
                "layers": [{"mediaType": f"{_OCI}layer.v1.tar", "digest": f"sha256:{digest}", "size": size}],
            }).encode()  # fmt: skip
            names = {"io.containerd.image.name": self.name, "org.opencontainers.image.ref.name": self.name}
            index = {
                "schemaVersion": 2, "mediaType": f"{_OCI}index.v1+json",
                "manifests": [_descriptor("manifest.v1+json", manifest) | {"annotations": names}],
            }  # fmt: skip
            docker = [{"Config": _blob(configuration), "RepoTags": [self.name], "Layers": [f"blobs/sha256/{digest}"]}]
            with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
                _put(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
                _put(archive, "index.json", json.dumps(index).encode())
                _put(archive, "manifest.json", json.dumps(docker).encode())
                _put(archive, _blob(manifest), manifest)
                _put(archive, _blob(configuration), configuration)
                entry = tarfile.TarInfo(f"blobs/sha256/{digest}")
                entry.size = size
                layer.seek(0)
                archive.addfile(entry, layer)

    def _write_layer(self, handle: io.BufferedRandom) -> None:
        seen: set[str] = set()
        with tarfile.open(fileobj=handle, mode="w", format=tarfile.PAX_FORMAT) as archive:
            _directory(archive, "tmp", seen, 0o1777)
            for inside, path in self._files():
                _parents(archive, inside, seen)
                entry = tarfile.TarInfo(inside)
                entry.size = path.stat().st_size
                if self.binds_low_ports and inside == next(iter(self.files)):
                    entry.pax_headers = {"SCHILY.xattr.security.capability": _NET_BIND_SERVICE}
                entry.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
                with path.open("rb") as content:
                    archive.addfile(entry, content)
            for inside, text in _TEXTS.items():
                _parents(archive, inside, seen)
                _put(archive, inside, text.encode())

    def _files(self) -> list[tuple[str, Path]]:
        found = {inside.strip("/"): path for inside, path in self.files.items()}
        if (self.debian or self.directories) and self.system is None:
            raise LabError(f"image {self.name}: no Debian root to take programs from")
        for directory in self.directories:
            for path in sorted((self.system / directory.strip("/")).iterdir()):
                found[f"{directory.strip('/')}/{path.name}"] = path.resolve()
        for inside in _closure(self.system, self.debian) if self.debian else ():
            found.setdefault(inside.strip("/"), _resolved(self.system, inside))
        return list(found.items())


def read_index(archive: Path) -> list[tuple[str, str]]:
    """The images of an archive: (name with tag, digest of the manifest)."""
    with tarfile.open(archive) as opened:
        index = json.loads(opened.extractfile("index.json").read())
    return [(item["annotations"]["io.containerd.image.name"], item["digest"]) for item in index["manifests"]]


def _closure(system: Path, programs: Iterable[str]) -> list[str]:
    """The programs, and the libraries that the loader finds for them, as paths inside ``system``."""
    found: dict[str, None] = {}
    for program in programs:
        found[program] = None
        told = run(["chroot", str(system), "ldd", program]).stdout
        found.update(dict.fromkeys(re.findall(r"(/\S+) \(0x", told)))
    return list(found)


def _resolved(system: Path, inside: str) -> Path:
    return system / run(["chroot", str(system), "readlink", "-f", inside]).stdout.strip().lstrip("/")


def _architecture() -> str:
    return run(["dpkg", "--print-architecture"]).stdout.strip()


def _digest(handle: io.BufferedRandom) -> str:
    handle.seek(0)
    return hashlib.file_digest(handle, "sha256").hexdigest()


def _descriptor(kind: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {"mediaType": f"{_OCI}{kind}", "digest": f"sha256:{digest}", "size": len(content)}


def _blob(content: bytes) -> str:
    return f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def _put(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _parents(archive: tarfile.TarFile, inside: str, seen: set[str]) -> None:
    for parent in reversed(Path(inside).parents):
        if str(parent) != ".":
            _directory(archive, str(parent), seen)


def _directory(archive: tarfile.TarFile, inside: str, seen: set[str], mode: int = 0o755) -> None:
    if inside not in seen:
        seen.add(inside)
        entry = tarfile.TarInfo(inside)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        archive.addfile(entry)
