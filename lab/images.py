# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small disk images for tests and the demo: stream-optimised VMDK, OVA, and broken ones. Python alone makes them.

The disk has a master boot record, one partition and a few kilobytes of data that depend on the image's name, so that
two images differ; it does not boot. The format is that of VMware's "Virtual Disk Format 5.0".
"""

from __future__ import annotations

import hashlib
import io
import random
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

SECTOR = 512
GRAIN_SECTORS = 128
GRAIN = GRAIN_SECTORS * SECTOR
_TABLE_ENTRIES = 512  # of one grain table
_OVERHEAD = 128  # sectors before the first grain: header and descriptor

Variant = Literal["good", "wrong-checksum", "truncated", "no-descriptor", "not-a-disk"]


def make_ova(
    path: str | Path,
    *,
    name: str = "image",
    size_mib: int = 16,
    variant: Variant = "good",
    network: str = "VM Network",
    cpus: int = 1,
    memory_mib: int = 256,
) -> Path:
    """Writes an OVA (descriptor, manifest, disk) of a disk of size_mib MiB and answers its path.

    variant: "wrong-checksum" has a manifest that does not match, "truncated" a disk that ends in the middle,
    "no-descriptor" lacks the OVF, "not-a-disk" has text for a disk.
    """
    disk = b"".join(_stream(name, size_mib))
    true_size = len(disk)
    if variant == "truncated":
        disk = disk[: len(disk) // 2]
    elif variant == "not-a-disk":
        disk = b"this is no disk\n" * 64
    descriptor = _ovf(name, size_mib, true_size if variant == "truncated" else len(disk), network, cpus, memory_mib)
    files = {f"{name}.ovf": descriptor, f"{name}-disk1.vmdk": disk}
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    if variant == "wrong-checksum":
        sums[f"{name}-disk1.vmdk"] = hashlib.sha256(b"another disk").hexdigest()
    manifest = "".join(f"SHA256({file})= {digest}\n" for file, digest in sums.items()).encode()
    members = {f"{name}.ovf": descriptor, f"{name}.mf": manifest, f"{name}-disk1.vmdk": disk}
    if variant == "no-descriptor":
        del members[f"{name}.ovf"]
    target = Path(path)
    with tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as archive:
        for file, content in members.items():  # the descriptor has to be the first member
            info = tarfile.TarInfo(file)
            info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content))
    return target


def make_vmdk(
    path: str | Path,
    *,
    name: str = "image",
    size_mib: int = 16,
    form: Literal["streamOptimized", "monolithicSparse", "flat"] = "streamOptimized",
    truncated: bool = False,
) -> Path:
    """Writes a disk image and answers its path. "flat" makes a descriptor and, beside it, NAME-flat.vmdk."""
    target = Path(path)
    if form == "flat":
        extent = target.with_name(f"{target.stem}-flat.vmdk")
        with extent.open("wb") as out:
            out.truncate(size_mib << 20)
            for number, grain in _grains(name, size_mib):
                out.seek(number * GRAIN)
                out.write(grain)
        sectors = (size_mib << 20) // SECTOR
        target.write_bytes(_descriptor("monolithicFlat", name, sectors, f'RW {sectors} FLAT "{extent.name}" 0'))
        return target
    content = b"".join(_stream(name, size_mib) if form == "streamOptimized" else _sparse(name, size_mib, target.name))
    target.write_bytes(content[: len(content) // 2] if truncated else content)
    return target


def raw_bytes(*, name: str = "image", size_mib: int = 16) -> bytes:
    """The disk's content as the images of that name and size unpack to."""
    content = bytearray(size_mib << 20)
    for number, grain in _grains(name, size_mib):
        content[number * GRAIN : (number + 1) * GRAIN] = grain
    return bytes(content)


def _grains(name: str, size_mib: int) -> Iterator[tuple[int, bytes]]:
    """The parts of the disk that are not all zero: (number of the grain, its bytes)."""
    if size_mib < 1:
        raise ValueError("an image is at least 1 MiB")
    sectors = (size_mib << 20) // SECTOR
    first = min(2048, sectors // 2)
    signature = zlib.crc32(name.encode())
    partition = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", first, sectors - first)
    record = bytes(440) + struct.pack("<IH", signature, 0) + partition + bytes(48) + b"\x55\xaa"
    yield 0, record + bytes(GRAIN - len(record))
    yield first * SECTOR // GRAIN, random.Random(name).randbytes(GRAIN)
    yield (size_mib << 20) // GRAIN - 1, (f"the end of {name}\n".encode() * GRAIN)[:GRAIN]


def _stream(name: str, size_mib: int) -> Iterator[bytes]:
    """A stream-optimised disk: compressed grains with markers, their tables behind them, the directory at the end."""
    sectors = (size_mib << 20) // SECTOR
    embedded = _descriptor("streamOptimized", name, sectors, f'RW {sectors} SPARSE "{name}.vmdk"')
    header = _header(sectors, flags=0x30001, version=3, directory=0xFFFFFFFFFFFFFFFF, overhead=_OVERHEAD, compression=1)
    yield header + embedded.ljust((_OVERHEAD - 1) * SECTOR, b"\0")
    at = _OVERHEAD
    tables: dict[int, list[int]] = {}
    for number, grain in _grains(name, size_mib):
        packed = zlib.compress(grain)
        marker = _padded(struct.pack("<QI", number * GRAIN_SECTORS, len(packed)) + packed)
        tables.setdefault(number // _TABLE_ENTRIES, [0] * _TABLE_ENTRIES)[number % _TABLE_ENTRIES] = at
        yield marker
        at += len(marker) // SECTOR
    directory = [0] * (-(-sectors // (GRAIN_SECTORS * _TABLE_ENTRIES)))
    for index, entries in sorted(tables.items()):
        table = struct.pack(f"<{_TABLE_ENTRIES}I", *entries)
        yield _marker(len(table) // SECTOR, kind=1) + table
        directory[index] = at + 1
        at += 1 + len(table) // SECTOR
    packed_directory = _padded(struct.pack(f"<{len(directory)}I", *directory))
    yield _marker(len(packed_directory) // SECTOR, kind=2) + packed_directory
    footer = _header(sectors, flags=0x30001, version=3, directory=at + 1, overhead=_OVERHEAD, compression=1)
    yield _marker(1, kind=3) + footer
    yield _marker(0, kind=0)


def _sparse(name: str, size_mib: int, file: str) -> Iterator[bytes]:
    """A hosted sparse disk, which ESXi cannot use."""
    sectors = (size_mib << 20) // SECTOR
    count = -(-sectors // (GRAIN_SECTORS * _TABLE_ENTRIES))
    directory_sectors = -(-count * 4 // SECTOR)
    tables_at = 21 + directory_sectors
    data_at = -(-(tables_at + count * _TABLE_ENTRIES * 4 // SECTOR) // GRAIN_SECTORS) * GRAIN_SECTORS
    tables = [0] * (count * _TABLE_ENTRIES)
    grains = dict(_grains(name, size_mib))
    for position, number in enumerate(grains):
        tables[number] = data_at + position * GRAIN_SECTORS
    head = _header(sectors, flags=0x3, version=1, directory=21, overhead=data_at, compression=0)
    head += _descriptor("monolithicSparse", name, sectors, f'RW {sectors} SPARSE "{file}"').ljust(20 * SECTOR, b"\0")
    per_table = _TABLE_ENTRIES * 4 // SECTOR
    head += _padded(struct.pack(f"<{count}I", *(tables_at + i * per_table for i in range(count))))
    yield (head + struct.pack(f"<{len(tables)}I", *tables)).ljust(data_at * SECTOR, b"\0")
    yield from grains.values()


def _header(sectors: int, *, flags: int, version: int, directory: int, overhead: int, compression: int) -> bytes:
    size = overhead - 1 if compression else 20
    packed = struct.pack(
        "<4sIIQQQQIQQQB4sH",
        b"KDMV",
        version,
        flags,
        sectors,
        GRAIN_SECTORS,
        1,
        size,
        _TABLE_ENTRIES,
        0,
        directory,
        overhead,
        0,
        b"\n \r\n",
        compression,
    )
    return packed.ljust(SECTOR, b"\0")


def _marker(value: int, *, kind: int) -> bytes:
    return struct.pack("<QII", value, 0, kind).ljust(SECTOR, b"\0")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % SECTOR)


def _descriptor(form: str, name: str, sectors: int, extent: str) -> bytes:
    return (
        f"# Disk DescriptorFile\nversion=1\nCID={zlib.crc32(name.encode()):08x}\nparentCID=ffffffff\n"
        f'createType="{form}"\n\n'
        f"# Extent description\n{extent}\n\n# The Disk Data Base\n#DDB\n\n"
        f'ddb.virtualHWVersion = "13"\nddb.geometry.cylinders = "{max(1, sectors // (63 * 255))}"\n'
        f'ddb.geometry.heads = "255"\nddb.geometry.sectors = "63"\nddb.adapterType = "lsilogic"\n'
    ).encode()


def _item(kind: int, number: int, title: str, **more: str) -> str:
    """One device of the OVF; the schema wants its elements in alphabetical order."""
    fields = {"ElementName": escape(title), "InstanceID": str(number), "ResourceType": str(kind), **more}
    return "<Item>" + "".join(f"<rasd:{key}>{value}</rasd:{key}>" for key, value in sorted(fields.items())) + "</Item>"


def _ovf(name: str, size_mib: int, file_size: int, network: str, cpus: int, memory_mib: int) -> bytes:
    wire = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2"
    hardware = "".join(
        (
            _item(3, 1, f"{cpus} virtual CPUs", VirtualQuantity=str(cpus)),
            _item(4, 2, f"{memory_mib} MB of memory", VirtualQuantity=str(memory_mib), AllocationUnits="byte * 2^20"),
            _item(6, 3, "SCSI controller 0", Address="0", ResourceSubType="lsilogic"),
            _item(17, 4, "Hard disk 1", AddressOnParent="0", HostResource="ovf:/disk/vmdisk1", Parent="3"),
            _item(
                10,
                5,
                "Network adapter 1",
                AddressOnParent="7",
                AutomaticAllocation="true",
                Connection=escape(network),
                ResourceSubType="VmxNet3",
            ),
        )
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="{wire}/CIM_ResourceAllocationSettingData" xmlns:vssd="{wire}/CIM_VirtualSystemSettingData">
<References><File ovf:id="file1" ovf:href={quoteattr(f"{name}-disk1.vmdk")} ovf:size="{file_size}"/></References>
<DiskSection><Info>Disks</Info><Disk ovf:diskId="vmdisk1" ovf:fileRef="file1" ovf:capacity="{size_mib}"
  ovf:capacityAllocationUnits="byte * 2^20"
  ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
<NetworkSection><Info>Networks</Info>
<Network ovf:name={quoteattr(network)}><Description>A network</Description></Network></NetworkSection>
<VirtualSystem ovf:id={quoteattr(name)}><Info>A small image for tests</Info><Name>{escape(name)}</Name>
<OperatingSystemSection ovf:id="101"><Info>Guest</Info><Description>Other Linux (64-bit)</Description>
</OperatingSystemSection>
<VirtualHardwareSection><Info>Hardware</Info><System><vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
<vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemIdentifier>{escape(name)}</vssd:VirtualSystemIdentifier>
<vssd:VirtualSystemType>vmx-13</vssd:VirtualSystemType></System>{hardware}</VirtualHardwareSection></VirtualSystem>
</Envelope>
""".encode()
