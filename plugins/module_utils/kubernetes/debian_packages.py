# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read Debian package files, index them and extract single files.

Only packages compressed with zstd, which Python cannot read, need dpkg-deb. deb(5) describes the format: an ar archive
of debian-binary, control.tar and data.tar.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from typing import IO, NamedTuple, cast

from ..model.errors import PhotonError
from .bundle import digest

_MAGIC, _HEADER = b"!<arch>\n", 60
_DATE = "Sat, 01 Jan 2000 00:00:00 UTC"  # required by apt, and constant so that indexes are reproducible


class Package(NamedTuple):
    """A package file and its control fields as text."""

    path: str
    name: str
    version: str
    architecture: str
    fields: str

    @property
    def filename(self) -> str:
        """Return the file name in a repository, without the epoch, which is not allowed in URLs."""
        return f"{self.name}_{self.version.rpartition(':')[2]}_{self.architecture}.deb"


def read(path: str) -> Package:
    """Read a package's control fields; raise SpecInvalid when the file is not a package."""
    try:
        with open(path, "rb") as handle, tarfile.open(fileobj=io.BytesIO(_control(handle, path))) as control:
            member = next(one for one in control if one.name.lstrip("./") == "control")
            fields = control.extractfile(member).read().decode().strip()  # type: ignore[union-attr]
        name, version, architecture = (_field(fields, key) for key in ("Package", "Version", "Architecture"))
    except (OSError, tarfile.TarError, StopIteration, ValueError) as error:
        raise PhotonError(
            "SpecInvalid", f"{path} is not a readable Debian package ({error}). Download it again.", {"path": path}
        ) from error
    return Package(path, name, version, architecture, fields)


def index(packages: Iterable[Package]) -> str:
    """Return the text of Packages for a flat repository with these files."""
    entries = []
    for package in sorted(packages, key=lambda one: (one.name, one.version, one.path)):
        with open(package.path, "rb") as handle:
            hashed = digest(handle)
        size = os.path.getsize(package.path)
        place = f"Filename: ./{package.filename}\nSize: {size}\nSHA256: {hashed}\n"
        entries.append(f"{package.fields}\n{place}")
    return "\n".join(entries)


def release(packages: Iterable[Package], text: str) -> str:
    """Return the text of Release for the index ``text``."""
    architectures = sorted({package.architecture for package in packages} - {"all"})
    content = text.encode()
    return (
        f"Origin: Photon Platform bundle\nSuite: bundle\nDate: {_DATE}\nArchitectures: {' '.join(architectures)}\n"
        f"SHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} Packages\n"
    )


def extract(path: str, inside: str, target: str) -> bool:
    """Extract the file ``inside`` (``usr/bin/kubeadm``) to ``target``; return False when this is not possible."""
    try:
        with open(path, "rb") as handle:
            name, size = _seek(handle, "data.tar")
            if name.endswith(".zst"):
                return _extract_with_dpkg(path, inside, target)
            with tarfile.open(fileobj=_Section(handle, size), mode="r|*") as data:
                return _write_member(data, inside, target)
    except (OSError, tarfile.TarError, ValueError):
        return False


def _control(handle: IO[bytes], path: str) -> bytes:
    name, size = _seek(handle, "control.tar")
    if not name.endswith(".zst"):
        return handle.read(size)
    if not shutil.which("dpkg-deb"):
        raise ValueError("it is compressed with zstd, which requires dpkg-deb on this machine")
    return subprocess.run(["dpkg-deb", "--ctrl-tarfile", path], capture_output=True, check=False).stdout


def _extract_with_dpkg(path: str, inside: str, target: str) -> bool:
    if not shutil.which("dpkg-deb"):
        return False
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", path], stdout=subprocess.PIPE) as process:
        stdout = cast("IO[bytes]", process.stdout)
        with tarfile.open(fileobj=stdout, mode="r|") as data:
            found = _write_member(data, inside, target)
        stdout.read()  # dpkg-deb exits only when its output is consumed
    return found


def _write_member(data: tarfile.TarFile, inside: str, target: str) -> bool:
    for member in data:
        if member.isfile() and member.name.removeprefix("./") == inside:
            source = data.extractfile(member)
            with open(target, "wb") as output:
                shutil.copyfileobj(source, output)  # type: ignore[type-var]
            return True
    return False


def _seek(handle: IO[bytes], wanted: str) -> tuple[str, int]:
    """Seek to the content of the ar member whose name starts with ``wanted``; return its name and size."""
    if handle.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is not an ar archive")
    while len(header := handle.read(_HEADER)) == _HEADER:
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(header[48:58])
        if name.startswith(wanted):
            return name, size
        handle.seek(size + size % 2, os.SEEK_CUR)
    raise ValueError(f"it has no {wanted}")


def _field(fields: str, name: str) -> str:
    found = re.search(rf"^{name}:[ \t]*(\S+)[ \t]*$", fields, re.MULTILINE)
    if not found:
        raise ValueError(f"its control file has no {name}")
    return found[1]


class _Section(io.RawIOBase):
    """A view of the next ``size`` bytes of a file."""

    def __init__(self, handle: IO[bytes], size: int) -> None:
        super().__init__()
        self._handle, self._left = handle, size

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes."""
        piece = self._handle.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(piece)
        return piece
