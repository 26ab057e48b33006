# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small disk images for tests: stream-optimised VMDKs and OVAs, whole or with one thing wrong."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

SECTOR, GRAIN = 512, 128 * 512
_AT_END = (1 << 64) - 1
_GRAINS_PER_TABLE = 512


def stream_optimized(
    content: bytes, *, adapter: str = "lsilogic", create_type: str = "streamOptimized", flags: int = 0x30001
) -> bytes:
    """A stream-optimised VMDK of ``content``, which is padded to whole grains of 64 KiB."""
    content += b"\0" * (-len(content) % GRAIN)
    capacity = len(content) // SECTOR
    text = (
        f'# Disk DescriptorFile\nversion=1\nCID=7e57da7a\nparentCID=ffffffff\ncreateType="{create_type}"\n'
        f'RDONLY {capacity} SPARSE "disk.vmdk"\nddb.adapterType = "{adapter}"\nddb.virtualHWVersion = "13"\n'
    )
    descriptor = text.encode().ljust(20 * SECTOR, b"\0")
    out = io.BytesIO()
    out.write(_header(capacity, flags, _AT_END) + descriptor)
    out.write(b"\0" * (128 * SECTOR - out.tell()))
    tables = []
    grains = [content[at : at + GRAIN] for at in range(0, len(content), GRAIN)]
    for first in range(0, len(grains), _GRAINS_PER_TABLE):
        entries = [_grain(out, first + at, grain) for at, grain in enumerate(grains[first : first + _GRAINS_PER_TABLE])]
        out.write(_marker(4, 1))
        tables.append(out.tell() // SECTOR)
        out.write(struct.pack(f"<{_GRAINS_PER_TABLE}I", *entries, *[0] * (_GRAINS_PER_TABLE - len(entries))))
    out.write(_marker(1, 2))
    directory = out.tell() // SECTOR
    out.write(struct.pack(f"<{len(tables)}I", *tables).ljust(SECTOR, b"\0"))
    out.write(_marker(1, 3) + _header(capacity, flags, directory) + b"\0" * SECTOR)
    return out.getvalue()


def descriptor(
    disk: str = "disk1.vmdk",
    size: int = 0,
    *,
    controller: str = "lsilogic",
    controller_type: int = 6,
    adapter: str = "VmxNet3",
    extra_disk: bool = False,
    file_ref: str = "file1",
) -> str:
    """An OVF descriptor of one VM; ``extra_disk`` adds a second disk."""
    second = '<Disk ovf:diskId="vmdisk2" ovf:capacity="1" ovf:fileRef="file1"/>' if extra_disk else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vmw="http://www.vmware.com/schema/ovf">
 <References><File ovf:id="file1" ovf:href="{disk}" ovf:size="{size}"/></References>
 <DiskSection><Info>Disks</Info><Disk ovf:diskId="vmdisk1" ovf:fileRef="{file_ref}" ovf:capacity="1"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>{second}</DiskSection>
 <VirtualSystem ovf:id="image"><Info>An image</Info>
  <OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest"><Info>Guest</Info></OperatingSystemSection>
  <VirtualHardwareSection><Info>Hardware</Info>
   <Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>{controller}</rasd:ResourceSubType>
    <rasd:ResourceType>{controller_type}</rasd:ResourceType></Item>
   <Item><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent>
    <rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>
   <Item><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceSubType>{adapter}</rasd:ResourceSubType>
    <rasd:ResourceType>10</rasd:ResourceType></Item>
   <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
  </VirtualHardwareSection></VirtualSystem>
</Envelope>
"""


def manifest(members: Mapping[str, bytes], algorithm: str = "sha256") -> str:
    """The manifest of these members."""
    return "".join(
        f"{algorithm.upper()}({name})= {hashlib.new(algorithm, data).hexdigest()}\n" for name, data in members.items()
    )


def pack(path: Path, members: Mapping[str, bytes]) -> Path:
    """A tar archive of these members in this order."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def ova(path: Path, content: bytes = b"boot", **options: object) -> Path:
    """A whole OVA with a manifest; ``options`` are those of ``descriptor``."""
    disk = stream_optimized(content)
    files = {"image.ovf": descriptor(size=len(disk), **options).encode(), "disk1.vmdk": disk}
    return pack(path, {"image.ovf": files["image.ovf"], "image.mf": manifest(files).encode(), "disk1.vmdk": disk})


def _header(capacity: int, flags: int, directory: int) -> bytes:
    compression = 1 if flags & 0x10000 else 0
    return struct.pack(
        "<4sIIQQQQIQQQB4sH",
        b"KDMV",
        3,
        flags,
        capacity,
        128,
        1,
        20,
        _GRAINS_PER_TABLE,
        0,
        directory,
        128,
        0,
        b"\n \r\n",
        compression,
    ).ljust(SECTOR, b"\0")


def _marker(sectors: int, kind: int) -> bytes:
    return struct.pack("<QII", sectors, 0, kind).ljust(SECTOR, b"\0")


def _grain(out: io.BytesIO, number: int, grain: bytes) -> int:
    """Write one compressed grain; its sector, or 0 for a grain of zeros, which is left out."""
    if not any(grain):
        return 0
    at = out.tell() // SECTOR
    packed = zlib.compress(grain)
    record = struct.pack("<QI", number * 128, len(packed)) + packed
    out.write(record + b"\0" * (-len(record) % SECTOR))
    return at
