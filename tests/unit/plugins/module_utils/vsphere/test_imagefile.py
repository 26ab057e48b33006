# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image files: what is accepted, what is refused with which code, and the digests on the way out."""

from __future__ import annotations

import hashlib
import os

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import imagefile, inspect_image

from tests.support import diskimages

CONTENT = os.urandom(200_000)


@pytest.fixture
def write(tmp_path):
    def write(data, name="disk.vmdk"):
        path = tmp_path / name
        path.write_bytes(data)
        return str(path)

    return write


def code_of(path):
    with pytest.raises(PhotonError) as caught:
        inspect_image(str(path))
    return caught.value.code, caught.value.message


def test_vmdk_facts(write):
    data = diskimages.stream_optimized(CONTENT)
    facts = inspect_image(write(data))
    assert facts == {
        "file_type": "VMDK",
        "size": 4 * 65536,
        "sha256": hashlib.sha256(data).hexdigest(),
        "settings": {"scsi0.virtualDev": "lsilogic"},
    }


def test_ova_facts(tmp_path):
    path = diskimages.ova(tmp_path / "image.ova", CONTENT)
    facts = inspect_image(str(path))
    assert facts == {
        "file_type": "OVA",
        "size": 4 * 65536,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "settings": {
            "scsi0.virtualDev": "lsilogic",
            "ethernet0.virtualDev": "vmxnet3",
            "guestOS": "debian12_64Guest",
            "firmware": "efi",
        },
    }


def test_type_follows_from_content_not_from_the_name(write):
    assert inspect_image(write(diskimages.stream_optimized(CONTENT), "disk.img"))["file_type"] == "VMDK"


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"QFI\xfb" + bytes(600), "qcow2"),
        (b"conectix" + bytes(600), "VHD"),
        (b"\x1f\x8b" + bytes(600), "gzip"),
        (bytes(600), "not a known disk image"),
        (b"", "empty"),
    ],
)
def test_other_file_types(write, head, what):
    code, message = code_of(write(head))
    assert code == "UnsupportedImageFileType"
    assert what in message
    assert "qemu-img convert" in message


@pytest.mark.parametrize(
    "data",
    [
        diskimages.stream_optimized(CONTENT, flags=3, create_type="monolithicSparse"),
        b'# Disk DescriptorFile\nversion=1\ncreateType="vmfs"\n' + bytes(600),
        b"COWD" + bytes(600),
    ],
)
def test_other_kinds_of_vmdk(write, data):
    code, message = code_of(write(data))
    assert code == "InvalidVmdkFormat"
    assert "streamOptimized" in message


def test_kind_of_vmdk_is_named(write):
    assert (
        "monolithicSparse"
        in code_of(write(diskimages.stream_optimized(CONTENT, flags=3, create_type="monolithicSparse")))[1]
    )


@pytest.mark.parametrize("keep", [4, 100, 600, 66_000, -512, -1])
def test_incomplete_vmdk(write, keep):
    assert code_of(write(diskimages.stream_optimized(CONTENT)[:keep]))[0] == "InvalidVmdkFormat"


def test_ide_disk(write):
    code, message = code_of(write(diskimages.stream_optimized(CONTENT, adapter="ide")))
    assert code == "UnsupportedDiskController"
    assert "adapter_type=lsilogic" in message


def test_missing_file(tmp_path):
    code, message = code_of(tmp_path / "nothing.ova")
    assert code == "ImageUploadError"
    assert "nothing.ova" in message


DISK = diskimages.stream_optimized(CONTENT)


def good():
    """The members of a whole OVA in order."""
    files = {"image.ovf": diskimages.descriptor(size=len(DISK)).encode(), "disk1.vmdk": DISK}
    return {"image.ovf": files["image.ovf"], "image.mf": diskimages.manifest(files).encode(), "disk1.vmdk": DISK}


def with_descriptor(text):
    files = {"image.ovf": text.encode() if isinstance(text, str) else text, "disk1.vmdk": DISK}
    return {"image.ovf": files["image.ovf"], "image.mf": diskimages.manifest(files).encode(), "disk1.vmdk": DISK}


def size():
    return len(DISK)


BROKEN = {
    "descriptor not first": (lambda: dict(reversed(good().items())), "not the .ovf descriptor"),
    "no descriptor": (lambda: {"disk1.vmdk": DISK}, "not the .ovf descriptor"),
    "directories": (lambda: {"a/image.ovf": b"", **good()}, "must be a plain file"),
    "disk missing": (lambda: {"image.ovf": good()["image.ovf"]}, "disk1.vmdk, which is missing"),
    "unexpected member": (lambda: {**good(), "other.vmdk": b"x"}, "does not refer to"),
    "wrong size": (lambda: with_descriptor(diskimages.descriptor(size=7)), "not 7 as its descriptor says"),
    "two disks": (lambda: with_descriptor(diskimages.descriptor(size=size(), extra_disk=True)), "2 disks"),
    "dangling reference": (lambda: with_descriptor(diskimages.descriptor(size=size(), file_ref="file9")), "file9"),
    "not XML": (lambda: with_descriptor("<Envelope"), "well-formed"),
    "another XML": (lambda: with_descriptor("<html/>"), "must be an OVF 1.x envelope"),
    "entities": (lambda: with_descriptor('<!DOCTYPE a [<!ENTITY b "c">]><a/>'), "entities"),
    "manifest without the disk": (
        lambda: {**good(), "image.mf": diskimages.manifest({"image.ovf": good()["image.ovf"]}).encode()},
        "no digest of disk1.vmdk",
    ),
    "manifest of more": (lambda: {**good(), "image.mf": good()["image.mf"] + b"SHA1(x.iso)= 00\n"}, "x.iso"),
    "manifest of nonsense": (lambda: {**good(), "image.mf": b"hello\n"}, "not a digest"),
    "wrong digest": (
        lambda: {
            **good(),
            "image.mf": diskimages.manifest({"image.ovf": good()["image.ovf"], "disk1.vmdk": b"other"}).encode(),
        },
        "not the one in its manifest",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_ova(tmp_path, case):
    members, reason = BROKEN[case]
    code, message = code_of(diskimages.pack(tmp_path / "broken.ova", members()))
    assert code == "InvalidOva"
    assert reason in message


def test_incomplete_ova(tmp_path):
    path = diskimages.pack(tmp_path / "image.ova", good())
    path.write_bytes(path.read_bytes()[: len(DISK) // 2])
    assert code_of(path)[0] == "InvalidOva"


def test_ova_without_manifest_is_allowed(tmp_path):
    members = good()
    del members["image.mf"]
    assert inspect_image(str(diskimages.pack(tmp_path / "image.ova", members)))["size"] == 4 * 65536


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_manifest_algorithms(tmp_path, algorithm):
    members = good()
    listed = {name: members[name] for name in ("image.ovf", "disk1.vmdk")}
    members["image.mf"] = diskimages.manifest(listed, algorithm).encode()
    assert inspect_image(str(diskimages.pack(tmp_path / "image.ova", members)))["file_type"] == "OVA"


@pytest.mark.parametrize(
    ("controller", "kind", "expected"),
    [
        ("VirtualSCSI", 6, "pvscsi"),
        ("lsilogicsas", 6, "lsisas1068"),
        ("buslogic", 6, "buslogic"),
    ],
)
def test_controllers(tmp_path, controller, kind, expected):
    members = with_descriptor(diskimages.descriptor(size=size(), controller=controller, controller_type=kind))
    facts = inspect_image(str(diskimages.pack(tmp_path / "image.ova", members)))
    assert facts["settings"]["scsi0.virtualDev"] == expected


@pytest.mark.parametrize(("controller", "kind"), [("PIIX4", 5), ("vmware.sata.ahci", 20), ("unheard-of", 6)])
def test_unsupported_controllers(tmp_path, controller, kind):
    members = with_descriptor(diskimages.descriptor(size=size(), controller=controller, controller_type=kind))
    code, message = code_of(diskimages.pack(tmp_path / "image.ova", members))
    assert code == "UnsupportedDiskController"
    assert controller in message


def test_not_stream_optimized_inside_ova(tmp_path):
    disk = diskimages.stream_optimized(CONTENT, flags=3, create_type="monolithicSparse")
    members = {"image.ovf": diskimages.descriptor(size=len(disk)).encode(), "disk1.vmdk": disk}
    assert code_of(diskimages.pack(tmp_path / "image.ova", members))[0] == "InvalidVmdkFormat"


def test_reader_yields_exactly_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(imagefile, "CHUNK", 1000)  # members begin and end inside chunks
    path = diskimages.pack(tmp_path / "image.ova", good())
    reader = imagefile.DiskReader(imagefile.open_image(str(path)))
    assert b"".join(reader) == DISK
    assert reader.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_reader_withholds_the_end_of_a_changed_file(tmp_path):
    path = diskimages.pack(tmp_path / "image.ova", good())
    sent = []
    with pytest.raises(PhotonError) as caught:
        sent += list(imagefile.DiskReader(imagefile.open_image(str(path)), expected="0" * 64))
    assert caught.value.code == "ImageUploadError"
    assert len(b"".join(sent)) < len(DISK)


# -- an OVF descriptor with its disk beside it ---------------------------------------------------------------------


def unpacked(folder, **changes):
    """The members of an OVA as files; ``changes`` are other contents by name without suffix, None for no such file."""
    disk = diskimages.stream_optimized(CONTENT)
    files = {"image.ovf": diskimages.descriptor(size=len(disk)).encode(), "disk1.vmdk": disk}
    files["image.mf"] = diskimages.manifest(files).encode()
    names = {name.partition(".")[0] if name != "image.mf" else "manifest": name for name in files}
    for key, content in changes.items():
        files[names[key]] = content
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return folder / "image.ovf"


def test_ovf_facts_and_its_disk(tmp_path):
    path = unpacked(tmp_path)
    facts = inspect_image(str(path))
    parts = [(tmp_path / name).read_bytes() for name in ("image.ovf", "image.mf", "disk1.vmdk")]
    assert (facts["file_type"], facts["size"]) == ("OVF", 4 * 65536)
    assert facts["sha256"] == hashlib.sha256(b"".join(parts)).hexdigest()
    assert facts["settings"]["firmware"] == "efi"
    assert b"".join(imagefile.DiskReader(imagefile.open_image(str(path)))) == parts[2]


def test_an_ovf_without_a_manifest(tmp_path):
    path = unpacked(tmp_path, manifest=None)
    assert b"".join(imagefile.DiskReader(imagefile.open_image(str(path)))) == (tmp_path / "disk1.vmdk").read_bytes()


@pytest.mark.parametrize("elsewhere", ["../disk1.vmdk", "/etc/passwd", "sub/disk1.vmdk", ".."])
def test_an_ovf_reads_nothing_outside_its_folder(tmp_path, elsewhere):
    path = unpacked(tmp_path, image=diskimages.descriptor(elsewhere).encode(), manifest=None)
    code, message = code_of(path)
    assert code == "InvalidOva"
    assert "only files in its own folder" in message


def test_an_ovf_whose_disk_is_missing_or_damaged(tmp_path):
    code, message = code_of(unpacked(tmp_path, disk1=None))
    assert (code, "refers to disk1.vmdk, which is missing" in message) == ("InvalidOva", True)
    disk = bytearray(diskimages.stream_optimized(CONTENT))
    disk[-5000] ^= 1
    code, message = code_of(unpacked(tmp_path, disk1=bytes(disk)))
    assert (code, "the SHA256 of disk1.vmdk is not the one in its manifest" in message) == ("InvalidOva", True)


def test_an_iso_makes_no_boot_disk(write):
    code, message = code_of(write(bytes(0x8001) + b"CD001" + bytes(4096), "debian.iso"))
    assert (code, "makes no boot disk" in message) == ("InvalidEntity", True)


def test_hardware_version_secure_boot_and_tpm_are_carried_over(tmp_path):
    text = diskimages.descriptor(size=len(diskimages.stream_optimized(CONTENT)))
    text = text.replace(
        '<vmw:Config ovf:required="false" vmw:key="firmware"',
        "<System><vssd:VirtualSystemType "
        'xmlns:vssd="urn:vssd">vmx-13 vmx-19</vssd:VirtualSystemType></System>\n'
        "   <Item><rasd:InstanceID>6</rasd:InstanceID><rasd:ResourceSubType>vmware.vtpm</rasd:ResourceSubType>"
        "<rasd:ResourceType>1</rasd:ResourceType></Item>\n"
        '   <vmw:Config vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="true"/>\n'
        '   <vmw:Config ovf:required="false" vmw:key="firmware"',
    )
    settings = inspect_image(str(unpacked(tmp_path, image=text.encode(), manifest=None)))["settings"]
    assert settings["virtualHW.version"] == "19"
    assert settings["uefi.secureBoot.enabled"] == "true"
    assert settings["vtpm.present"] == "true"
