# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the header of a VMDK: it must be stream-optimised, the only kind that a host imports over the network.

Layout as in VMware's "Virtual Disk Format 5.0": a sparse extent whose grains are compressed and preceded by markers,
the grain directory and a footer (a second header) at the end, then an end-of-stream marker.
"""

from __future__ import annotations

import re
import struct
from typing import BinaryIO, NamedTuple

from ..model.errors import PhotonError

SECTOR = 512
_HEADER = struct.Struct("<4sIIQQQQIQQQBccccH")
_MAGIC = b"KDMV"
_COMPRESSED, _MARKERS = 1 << 16, 1 << 17
_AT_END = (1 << 64) - 1  # the grain directory's offset is in the footer
_CONVERT = "convert it with 'qemu-img convert -O vmdk -o subformat=streamOptimized SOURCE TARGET'"
# Other files that are taken for images: magic bytes, their offset, their kind.
_OTHERS = (
    (b"QFI\xfb", 0, "a qcow2 image"),
    (b"conectix", 0, "a VHD image"),
    (b"vhdxfile", 0, "a VHDX image"),
    (b"<<< ", 0, "a VirtualBox VDI image"),
    (b"\x1f\x8b", 0, "a gzip file"),
    (b"PK\x03\x04", 0, "a ZIP file"),
    (b"COWD", 0, "an old ESX sparse VMDK"),
)


class Vmdk(NamedTuple):
    """``capacity`` in bytes; ``adapter`` as the disk's own descriptor says (``lsilogic``), empty when it does not."""

    capacity: int
    adapter: str


def read(stream: BinaryIO, start: int, size: int, name: str) -> Vmdk:
    """Check the VMDK in ``stream`` at ``start``, ``size`` bytes long.

    Raises InvalidVmdkFormat for another kind of VMDK or an incomplete one, UnsupportedImageFileType for other files.
    """
    stream.seek(start)
    head = stream.read(min(size, 0x9000))
    kind = recognize(head)
    if kind:
        code = "InvalidVmdkFormat" if "VMDK" in kind else "UnsupportedImageFileType"
        raise PhotonError(code, f"{name} is {kind}, not a stream-optimised VMDK: {_CONVERT}", {"file": name})
    header = _unpack(head[:SECTOR], name)
    descriptor = _descriptor(stream, start, size, header, name)
    if not header.flags & _COMPRESSED or not header.flags & _MARKERS or header.compression != 1:
        created = re.search(r'^createType="([^"]*)"', descriptor, re.M)
        raise PhotonError(
            "InvalidVmdkFormat",
            f"{name} is a VMDK of the kind {created[1] if created else 'sparse'}, not stream-optimised: {_CONVERT}",
            {"file": name},
        )
    if header.directory == _AT_END:
        _check_end(stream, start, size, header, name)
    if header.capacity == 0:
        raise PhotonError("InvalidVmdkFormat", f"{name} is a VMDK with a capacity of 0", {"file": name})
    adapter = re.search(r'^ddb\.adapterType\s*=\s*"([^"]*)"', descriptor, re.M)
    return Vmdk(header.capacity * SECTOR, adapter[1].lower() if adapter else "")


def recognize(head: bytes) -> str:
    """Return the kind of a file that is not a sparse VMDK (``a qcow2 image``); empty for a sparse VMDK."""
    if head.startswith(_MAGIC):
        return ""
    if head.lstrip().startswith(b"# Disk DescriptorFile"):
        return "the descriptor of a VMDK whose data is in another file"
    for magic, offset, what in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return what
    return "an empty file" if not head else "not a known disk image"


class _Header(NamedTuple):
    flags: int
    capacity: int
    descriptor_offset: int
    descriptor_size: int
    directory: int
    compression: int


def _unpack(block: bytes, name: str) -> _Header:
    if len(block) < SECTOR or not block.startswith(_MAGIC):
        raise PhotonError(
            "InvalidVmdkFormat",
            f"{name} is incomplete: its VMDK header ends early; copy the file again",
            {"file": name},
        )
    _magic, version, flags, capacity, _grain, offset, size, _entries, _redundant, directory, *_rest, compression = (
        _HEADER.unpack_from(block)
    )
    if version not in (1, 2, 3):
        raise PhotonError(
            "InvalidVmdkFormat", f"{name} has the unknown VMDK version {version}: {_CONVERT}", {"file": name}
        )
    return _Header(flags, capacity, offset, size, directory, compression)


def _descriptor(stream: BinaryIO, start: int, size: int, header: _Header, name: str) -> str:
    """Return the descriptor inside the extent, which names the disk's kind."""
    at, length = header.descriptor_offset * SECTOR, min(header.descriptor_size * SECTOR, 1 << 20)
    if not at or at + length > size:
        raise PhotonError(
            "InvalidVmdkFormat",
            f"{name} is incomplete or damaged: its descriptor lies outside the file",
            {"file": name},
        )
    stream.seek(start + at)
    return stream.read(length).rstrip(b"\0").decode("utf-8", "replace")


def _check_end(stream: BinaryIO, start: int, size: int, header: _Header, name: str) -> None:
    """Check that the file ends with the footer, which repeats the header, and the end-of-stream marker."""
    stream.seek(start + max(0, size - 2 * SECTOR))
    end = stream.read(2 * SECTOR)
    whole = size % SECTOR == 0 and len(end) == 2 * SECTOR and end.startswith(_MAGIC) and not any(end[SECTOR:])
    if not whole or _unpack(end[:SECTOR], name).capacity != header.capacity:
        raise PhotonError(
            "InvalidVmdkFormat",
            f"{name} is incomplete or damaged: it does not end with a footer; copy the file again",
            {"file": name},
        )
