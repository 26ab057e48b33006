# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check an OVA, a tar archive of the OVF descriptor, first, its manifest and exactly the files it refers to; or a
descriptor with these files next to it.

Rules of DSP0243 (Open Virtualization Format Specification) where they matter to a boot image: one VM with one disk.
"""

from __future__ import annotations

import os
import re
import tarfile
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.etree import ElementTree

from ..model.errors import PhotonError
from .rows import ADAPTERS, CONTROLLERS

_OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"
_LARGEST_DESCRIPTOR = 4 << 20
_MANIFEST_LINE = re.compile(r"^(SHA1|SHA256|SHA512)\s*\(([^)]+)\)\s*=\s*([0-9a-fA-F]+)\s*$")
_SCSI = {"lsilogicsas": "lsisas1068", "virtualscsi": "pvscsi", **{name: name for name in CONTROLLERS}}
_CONTROLLER_TYPES = {"5": "IDE", "6": "SCSI", "20": "SATA"}
_SECURE_BOOT = "bootOptions.efiSecureBootEnabled"
_SCSI_TYPE, _NIC_TYPE, _DISK_TYPE = "6", "10", "17"


@dataclass(slots=True)
class Ova:
    """``digests``: ``{member: (algorithm, hex)}`` of the manifest; ``members``: ``{name: (offset, size)}``."""

    disk: str
    members: dict[str, tuple[int, int]]
    digests: dict[str, tuple[str, str]] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)


def read(stream: BinaryIO, name: str) -> Ova:
    """Read structure and descriptor of an OVA; the members' digests are compared later, when the file is read through.

    Raises InvalidOva, or UnsupportedDiskController when the boot disk is not on a SCSI controller.
    """
    members = _members(stream, name)
    first = next(iter(members), "")
    if not first.endswith(".ovf"):
        raise _invalid(
            name, f"its first member is {first or 'missing'}, not the .ovf descriptor; pack the descriptor first"
        )
    root = _descriptor(stream, members[first], name)
    files = {each.get(_OVF + "id"): each for each in root.iterfind(f"{_OVF}References/{_OVF}File")}
    disk = _only_disk(root, files, name)
    _check_files(files, members, first, name)
    lines = None
    if where := members.get(first.removesuffix(".ovf") + ".mf"):
        stream.seek(where[0])
        lines = stream.read(min(where[1], _LARGEST_DESCRIPTOR))
    return Ova(disk, members, _digests(lines, members, first, name), _settings(root, name))


def read_folder(path: str) -> Ova:
    """Read an OVF descriptor whose files lie next to it.

    Its ``members`` are the descriptor, the manifest where there is one, and the files that the descriptor refers to, as
    if they were one file. Raises as ``read`` does, and OSError.
    """
    folder, name = os.path.split(path)
    with open(path, "rb") as stream:
        root = _descriptor(stream, (0, stream.seek(0, 2)), name)
    files = {each.get(_OVF + "id"): each for each in root.iterfind(f"{_OVF}References/{_OVF}File")}
    disk = _only_disk(root, files, name)
    manifest = name.removesuffix(".ovf") + ".mf"
    members: dict[str, tuple[int, int]] = {}
    at = 0
    for member in dict.fromkeys([name, manifest, *(each.get(_OVF + "href", "") for each in files.values())]):
        if "/" in member or member in ("", ".", ".."):
            raise _invalid(name, f"its descriptor refers to {member!r}: only files in its own folder are read")
        if os.path.isfile(file := os.path.join(folder, member)):
            members[member] = (at, os.path.getsize(file))
            at += os.path.getsize(file)
    _check_files(files, members, name, name)
    lines = None
    if manifest in members:
        with open(os.path.join(folder, manifest), "rb") as stream:
            lines = stream.read(_LARGEST_DESCRIPTOR)
    return Ova(disk, members, _digests(lines, members, name, name), _settings(root, name))


def _members(stream: BinaryIO, name: str) -> dict[str, tuple[int, int]]:
    members: dict[str, tuple[int, int]] = {}
    stream.seek(0)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for each in archive:
                if not each.isfile() or "/" in each.name or each.name in members:
                    raise _invalid(
                        name, f"its member {each.name!r} must be a plain file at the top of the archive, and unique"
                    )
                members[each.name] = (each.offset_data, each.size)
    except (tarfile.TarError, EOFError) as error:
        raise _invalid(name, f"it is not a complete tar archive ({error}); copy the file again") from error
    stream.seek(0, 2)
    end = stream.tell()
    incomplete = next((member for member, (offset, size) in members.items() if offset + size > end), None)
    if incomplete:
        raise _invalid(name, f"it ends inside {incomplete}; copy the file again")
    return members


def _descriptor(stream: BinaryIO, where: tuple[int, int], name: str) -> ElementTree.Element:
    offset, size = where
    if size > _LARGEST_DESCRIPTOR:
        raise _invalid(name, f"its descriptor has {size} bytes, which is more than any real one")
    stream.seek(offset)
    text = stream.read(size)
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise _invalid(name, "its descriptor declares XML entities, which must not occur in an OVF descriptor")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise _invalid(name, f"its descriptor is not well-formed XML: {error}") from error
    if root.tag != _OVF + "Envelope":
        raise _invalid(name, f"its descriptor must be an OVF 1.x envelope, not {root.tag}")
    return root


def _only_disk(root: ElementTree.Element, files: dict[str | None, ElementTree.Element], name: str) -> str:
    """The file name of the one disk."""
    systems = root.findall(f"{_OVF}VirtualSystem")
    if len(systems) != 1 or root.find(f"{_OVF}VirtualSystemCollection") is not None:
        raise _invalid(name, "its descriptor must have exactly one VirtualSystem: an image is one VM")
    disks = root.findall(f"{_OVF}DiskSection/{_OVF}Disk")
    if len(disks) != 1:
        raise _invalid(name, f"its descriptor has {len(disks)} disks: an image is one boot disk")
    reference = disks[0].get(_OVF + "fileRef")
    if disks[0].get(_OVF + "parentRef"):
        raise _invalid(name, "its disk is the child of another disk; export a full copy")
    if reference not in files:
        raise _invalid(name, f"its disk points to the file {reference!r}, which the References do not list")
    form = disks[0].get(_OVF + "format", "")
    if form and "streamoptimized" not in form.lower():
        raise PhotonError(
            "InvalidVmdkFormat",
            f"{name} has a disk of the format {form}; only stream-optimised VMDK can be imported",
            {"file": name},
        )
    return files[reference].get(_OVF + "href", "")


def _check_files(
    files: dict[str | None, ElementTree.Element], members: dict[str, tuple[int, int]], first: str, name: str
) -> None:
    """Check that the archive holds the files that the descriptor refers to, its manifest and certificate, and no
    others.
    """
    for each in files.values():
        href, size = each.get(_OVF + "href", ""), each.get(_OVF + "size")
        if each.get(_OVF + "compression", "identity") not in ("", "identity") or each.get(_OVF + "chunkSize"):
            raise _invalid(name, f"{href} is compressed or cut into chunks; pack it as it is")
        if href not in members:
            raise _invalid(name, f"its descriptor refers to {href}, which is missing")
        if size and (not size.isdigit() or int(size) != members[href][1]):
            raise _invalid(name, f"{href} has {members[href][1]} bytes, not {size} as its descriptor says")
    stem = first.removesuffix(".ovf")
    expected = {each.get(_OVF + "href", "") for each in files.values()} | {first, f"{stem}.mf", f"{stem}.cert"}
    if unexpected := sorted(set(members) - expected):
        raise _invalid(name, f"it holds {unexpected[0]}, which its descriptor does not refer to")


def _digests(
    manifest: bytes | None, members: dict[str, tuple[int, int]], first: str, name: str
) -> dict[str, tuple[str, str]]:
    if manifest is None:  # optional in the standard; the platform keeps a digest of the file anyway
        return {}
    digests: dict[str, tuple[str, str]] = {}
    for line in manifest.decode("utf-8", "replace").splitlines():
        match = _MANIFEST_LINE.match(line)
        if not match and line.strip():
            raise _invalid(name, f"its manifest has the line {line.strip()[:80]!r}, which is not a digest")
        if match:
            digests[match[2]] = (match[1].lower(), match[3].lower())
    if absent := sorted(set(digests) - set(members)):
        raise _invalid(name, f"its manifest lists {absent[0]}, which is missing")
    stem = first.removesuffix(".ovf")
    if missing := sorted(set(members) - set(digests) - {f"{stem}.cert", f"{stem}.mf"}):
        raise _invalid(name, f"its manifest has no digest of {missing[0]}")
    return digests


def _settings(root: ElementTree.Element, name: str) -> dict[str, str]:
    """Virtual hardware that VMs of this image take over, under the names of VMX files."""
    tags = (f"{_OVF}Item", f"{_OVF}StorageItem", f"{_OVF}EthernetPortItem")
    items = [_item(each) for each in root.iter() if each.tag in tags]
    by_id = {item.get("InstanceID", ""): item for item in items}
    disk = next((item for item in items if item.get("ResourceType") == _DISK_TYPE), None)
    if disk is None:
        raise _invalid(name, "its virtual hardware has no disk")
    controller = by_id.get(disk.get("Parent", ""), {})
    kind = controller.get("ResourceType", "")
    subtype = controller.get("ResourceSubType", "lsilogic").split()[0].lower() if kind == _SCSI_TYPE else ""
    if subtype not in _SCSI:
        family = _CONTROLLER_TYPES.get(kind, kind or "no")
        what = f"{family} controller {controller.get('ResourceSubType', '')}".rstrip()
        raise PhotonError(
            "UnsupportedDiskController",
            f"{name}: its disk is on {what}; export the VM with its "
            "disk on a SCSI "
            f"controller ({', '.join(sorted(set(_SCSI)))})",
            {"file": name, "controller": what},
        )
    settings = {"scsi0.virtualDev": _SCSI[subtype]}
    nic = next((item for item in items if item.get("ResourceType") == _NIC_TYPE), {})
    adapter = nic.get("ResourceSubType", "").split()
    if adapter and adapter[0].lower() in ADAPTERS:
        settings["ethernet0.virtualDev"] = adapter[0].lower()
    system = next((each for each in root.iter(f"{_OVF}OperatingSystemSection")), None)
    attributes = {key.rsplit("}", 1)[-1]: value for key, value in (system.attrib if system is not None else {}).items()}
    if attributes.get("osType", "").endswith("Guest"):
        settings["guestOS"] = attributes["osType"]
    settings |= _platform(root, items)
    return settings


def _platform(root: ElementTree.Element, items: list[dict[str, str]]) -> dict[str, str]:
    """Firmware, secure boot, hardware version and virtual TPM."""
    found: dict[str, str] = {}
    for each in root.iter():
        pairs = {key.rsplit("}", 1)[-1]: value for key, value in each.attrib.items()}
        if each.tag.endswith("}Config") and pairs.get("key") == "firmware" and pairs.get("value") in ("bios", "efi"):
            found["firmware"] = pairs["value"]
        if each.tag.endswith("}Config") and pairs.get("key") == _SECURE_BOOT and pairs.get("value") == "true":
            found["uefi.secureBoot.enabled"] = "true"
        if each.tag.endswith("}VirtualSystemType"):  # the newest of those that the exporter offers
            versions = re.findall(r"\bvmx-(\d+)\b", each.text or "")
            found |= {"virtualHW.version": str(max(map(int, versions)))} if versions else {}
    if any(item.get("ResourceSubType", "").lower() == "vmware.vtpm" for item in items):
        found["vtpm.present"] = "true"
    return found


def _item(element: ElementTree.Element) -> dict[str, str]:
    return {each.tag.rsplit("}", 1)[-1]: (each.text or "").strip() for each in element}


def _invalid(name: str, reason: str) -> PhotonError:
    return PhotonError("InvalidOva", f"{name} is not a valid OVA: {reason}", {"file": name})
