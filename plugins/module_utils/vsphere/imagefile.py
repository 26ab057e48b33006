# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inspect an image's file on the controller: its kind, its integrity, and its disk's bytes as they are sent.

Nothing here uses an endpoint.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ..model.errors import PhotonError
from . import ova, vmdk
from .rows import CONTROLLERS

CHUNK = 1 << 20


@dataclass(slots=True)
class ImageFile:
    """``capacity``: the disk's virtual bytes. ``offset`` and ``length``: where its stream lies in the file.

    ``settings``: virtual hardware by VMX names (``scsi0.virtualDev``, ``ethernet0.virtualDev``, ``guestOS``,
    ``firmware``). ``digests``: an OVA's manifest, ``{(offset, size): (member, algorithm, hex)}``.
    """

    path: str
    file_type: str
    capacity: int
    offset: int
    length: int
    settings: dict[str, str] = field(default_factory=dict)
    digests: dict[tuple[int, int], tuple[str, str, str]] = field(default_factory=dict)


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


def open_image(path: str) -> ImageFile:
    """Read the structure of an OVA or VMDK, recognised by its content; its bytes are checked by DiskReader."""
    name = path.rpartition("/")[2]
    try:
        with open(path, "rb") as stream:
            head = stream.read(1024)
            stream.seek(0, 2)
            size = stream.tell()
            if head[257:262] == b"ustar":
                return _from_ova(path, name, ova.read(stream, name), stream)
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
            with open(image.path, "rb") as stream:
                while chunk := stream.read(CHUNK):
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

    def _check(self, members: dict[tuple[int, int], Any], actual: str) -> None:
        for where, (member, algorithm, wanted) in self.image.digests.items():
            if not hmac.compare_digest(members[where].hexdigest(), wanted):
                raise PhotonError(
                    "InvalidOva",
                    f"{self.image.path} is not a valid OVA: the {algorithm.upper()} of "
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


def _from_ova(path: str, name: str, archive: ova.Ova, stream: Any) -> ImageFile:
    offset, size = archive.members[archive.disk]
    disk = vmdk.read(stream, offset, size, f"{archive.disk} in {name}")
    digests = {archive.members[member]: (member, *each) for member, each in archive.digests.items()}
    return ImageFile(path, "OVA", disk.capacity, offset, size, archive.settings, digests)
