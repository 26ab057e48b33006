# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect an image's file on the controller: its kind, its integrity, and its disk's bytes as they are sent.

Nothing here uses an endpoint.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import PhotonError
from . import ova, vmdk
from .rows import CONTROLLERS

CHUNK = 1 << 20
_ISO_MARK = (0x8001, b"CD001")  # ISO 9660: where the volume descriptors begin, and what they begin with


@dataclass(slots=True)
class ImageFile:
    """``capacity``: the disk's virtual bytes. ``offset`` and ``length``: where its stream lies in the file.

    ``settings``: virtual hardware by VMX names (``scsi0.virtualDev``, ``ethernet0.virtualDev``, ``guestOS``,
    ``firmware``, ``virtualHW.version``, ``uefi.secureBoot.enabled``, ``vtpm.present``). ``digests``: a manifest,
    ``{(offset, size): (member, algorithm, hex)}``. ``parts``: the files that are read one after another as if they were
    one: the file itself, or an OVF descriptor and the files it refers to.
    """

    path: str
    file_type: str
    capacity: int
    offset: int
    length: int
    settings: dict[str, str] = field(default_factory=dict)
    digests: dict[tuple[int, int], tuple[str, str, str]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.parts = self.parts or (self.path,)


def inspect_image(path: str) -> dict[str, Any]:
    """Check a file: ``{file_type, size, sha256, settings}``, size being the disk's virtual size in bytes.

    Reads the file once. Raises ImageUploadError (not readable), UnsupportedImageFileType, InvalidVmdkFormat,
    InvalidOva or UnsupportedDiskController.
    """
    image = open_image(path)
    reader = DiskReader(image)
    for _chunk in reader:
        pass
    return {
        "file_type": image.file_type,
        "size": image.capacity,
        "sha256": reader.sha256,
        "settings": dict(image.settings),
    }


def stat_image(path: str) -> list[int] | None:
    """Size and time of an image's file, of an OVF those of all its files; None where they cannot be read."""
    try:
        parts = [path]
        if path.lower().endswith(".ovf"):
            parts = [os.path.join(os.path.dirname(path), name) for name in ova.read_folder(path).members]
        found = [os.stat(part) for part in parts]
    except (OSError, PhotonError):
        return None
    return [number for status in found for number in (status.st_size, status.st_mtime_ns)]


def open_image(path: str) -> ImageFile:
    """Read the structure of an OVA, an OVF descriptor with its disk next to it, or a VMDK, recognised by their content.

    Their bytes are checked by DiskReader.
    """
    name = path.rpartition("/")[2]
    try:
        with open(path, "rb") as stream:
            head = stream.read(1024)
            stream.seek(0, 2)
            size = stream.tell()
            if head[257:262] == b"ustar":
                archive = ova.read(stream, name)
                offset, length = archive.members[archive.disk]
                disk = vmdk.read(stream, offset, length, f"{archive.disk} in {name}")
                return _from_ovf(path, "OVA", archive, disk)
            if head.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith((b"<?xml", b"<Envelope", b"<ovf:Envelope")):
                return _from_folder(path)
            stream.seek(_ISO_MARK[0])
            if stream.read(len(_ISO_MARK[1])) == _ISO_MARK[1]:
                raise PhotonError(
                    "InvalidEntity",
                    f"{name} is an ISO image, which makes no boot disk: install a VM from it, and declare the OVA or "
                    "VMDK that is exported from that VM",
                    {"file": name},
                )
            disk = vmdk.read(stream, 0, size, name)
    except OSError as error:
        raise PhotonError(
            "ImageUploadError",
            f"the image file {path} cannot be read: {error.strerror or error}; check the path and its rights",
            {"file": path},
        ) from error
    controller = disk.adapter or "lsilogic"
    if controller not in CONTROLLERS:
        raise PhotonError(
            "UnsupportedDiskController",
            f"{name} was made for the disk controller {disk.adapter!r}; "
            "convert it "
            "with 'qemu-img convert -O vmdk -o subformat=streamOptimized,adapter_type=lsilogic SOURCE "
            "TARGET'",
            {"file": name, "controller": disk.adapter},
        )
    return ImageFile(path, "VMDK", disk.capacity, 0, size, {"scsi0.virtualDev": controller})


class DiskReader:
    """Iterate over the bytes of the disk's stream; the complete file is read and hashed, 1 MiB at a time.

    At the end ``sha256`` is the file's; a member that does not match the OVA's manifest raises InvalidOva, a file whose
    digest is not ``expected`` ImageUploadError: it changed since it was looked at.
    """

    def __init__(self, image: ImageFile, expected: str | None = None) -> None:
        self.image = image
        self.expected = expected
        self.sha256 = ""

    def __iter__(self) -> Iterator[bytes]:
        image = self.image
        whole = hashlib.sha256()
        members = {
            where: hashlib.new(algorithm, usedforsecurity=False)
            for where, (_member, algorithm, _digest) in image.digests.items()
        }
        at, end = 0, image.offset + image.length
        held = b""
        try:
            for chunk in self._chunks():
                whole.update(chunk)
                for (offset, size), digest in members.items():
                    digest.update(chunk[max(0, offset - at) : max(0, offset + size - at)])
                if held:
                    yield held
                held = chunk[max(0, image.offset - at) : max(0, end - at)]
                at += len(chunk)
        except OSError as error:
            raise PhotonError(
                "ImageUploadError",
                f"the image file {image.path} cannot be read to its end: {error}",
                {"file": image.path},
            ) from error
        self._check(members, whole.hexdigest())
        if held:  # the last bytes go out only after everything was found in order
            yield held

    def _chunks(self) -> Iterator[bytes]:
        for path in self.image.parts:
            with open(path, "rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk

    def _check(self, members: dict[tuple[int, int], Any], actual: str) -> None:
        for where, (member, algorithm, wanted) in self.image.digests.items():
            if not hmac.compare_digest(members[where].hexdigest(), wanted):
                raise PhotonError(
                    "InvalidOva",
                    f"{self.image.path} is not a valid {self.image.file_type}: the {algorithm.upper()} of "
                    f"{member} is not the one in its manifest; copy the file again",
                    {"file": self.image.path, "member": member},
                )
        if self.expected and not hmac.compare_digest(actual, self.expected):
            raise PhotonError(
                "ImageUploadError",
                f"{self.image.path} changed while the run was under way: its "
                f"SHA-256 is {actual}, not {self.expected}; run again",
                {"file": self.image.path},
            )
        self.sha256 = actual


def _from_folder(path: str) -> ImageFile:
    """An OVF descriptor; the files it refers to lie in its folder."""
    package = ova.read_folder(path)
    parts = {member: os.path.join(os.path.dirname(path), member) for member in package.members}
    with open(parts[package.disk], "rb") as stream:
        disk = vmdk.read(stream, 0, package.members[package.disk][1], package.disk)
    return _from_ovf(path, "OVF", package, disk, tuple(parts.values()))


def _from_ovf(path: str, file_type: str, package: ova.Ova, disk: Any, parts: tuple[str, ...] = ()) -> ImageFile:
    offset, length = package.members[package.disk]
    digests = {package.members[member]: (member, *each) for member, each in package.digests.items()}
    return ImageFile(path, file_type, disk.capacity, offset, length, package.settings, digests, parts)
