# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images as a plan: files, kinds, replication, use, and who may."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model import entities
from ansible_collections.photon.platform.plugins.module_utils.model.authorization import Actor
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import diskimages
from tests.support.datacenter import changes, failures

SITE = r"""
photon_endpoints: [{name: vc1, address: vc1.example.org}]
photon_zones: [{name: a}, {name: b}]
photon_hosts: [{name: esx01, endpoint: vc1, zone: a, tags: [gpu]}, {name: esx02, endpoint: vc1, zone: b}]
photon_images: [{name: debian, file: debian.ova, replication: EAGER}]
photon_flavors:
  - {name: on-local, kind: ephemeral-disk, cost: {storage.LOCAL_VMFS: 1}}
  - {name: on-moon, kind: ephemeral-disk, cost: {storage.moon: 1}}
photon_tenants:
  - name: acme
    security_groups: ['photon\acme-admins']
    projects:
      - name: web
        security_groups: ['photon\web']
        quota: {vm.count: 4}
"""
VM = {"flavor": "core-100", "image": "debian", "boot_disk_flavor": "core-100"}
USER = Actor("cat@photon", frozenset({r"photon\web"}))


@pytest.fixture
def cloud(datacenter):
    plan = datacenter.apply(SITE)
    assert failures(plan) == {}
    return datacenter


def declare(cloud, actor: Actor | None = None, **keys):
    """Plan and take as done one item of the module vm, new VMs with image and flavors."""
    item = {"name": "web-01", **keys}
    return cloud.items("vm", [item], *([actor] if actor else []))


def refused(plan) -> PhotonError:
    [failure] = plan.failures
    return failure.error


def image(cloud, actor: Actor | None = None, **keys):
    return cloud.items("image", [{"name": "own", **keys}], *([actor] if actor else []))


@pytest.mark.parametrize("replication", ["EAGER", "ON_DEMAND"])
@pytest.mark.parametrize("kind", ["OVA", "VMDK"])
def test_images_of_both_kinds_and_replications(cloud, kind: str, replication: str) -> None:
    file = cloud.directory / f"own.{kind.lower()}"
    if kind == "OVA":
        diskimages.ova(file)
    else:
        file.write_bytes(diskimages.stream_optimized(b"boot"))
    assert failures(image(cloud, file=file.name, replication=replication)) == {}
    document = cloud.find(entities.IMAGE, "own")
    assert (document.state, document.body["file_type"], document.body["replication"]) == ("READY", kind, replication)


def test_image_needs_its_replication(cloud) -> None:
    assert refused(image(cloud, file="debian.ova")).code == "InvalidImageReplicationType"


def test_image_needs_its_file(cloud) -> None:
    assert refused(image(cloud, replication="EAGER")).code == "ImageUploadError"
    assert refused(image(cloud, replication="EAGER", file="missing.ova")).code == "ImageUploadError"


def test_file_that_is_not_an_image(cloud) -> None:
    (cloud.directory / "own.vmdk").write_bytes(b"no disk" * 1000)
    assert refused(image(cloud, file="own.vmdk", replication="EAGER")).code == "UnsupportedImageFileType"


def test_disk_that_is_not_stream_optimised(cloud) -> None:
    (cloud.directory / "own.vmdk").write_bytes(
        diskimages.stream_optimized(b"boot", flags=3, create_type="monolithicSparse")
    )
    assert refused(image(cloud, file="own.vmdk", replication="EAGER")).code == "InvalidVmdkFormat"


def test_ova_without_a_descriptor(cloud) -> None:
    diskimages.pack(cloud.directory / "own.ova", {"readme.txt": b"hello"})
    assert refused(image(cloud, file="own.ova", replication="EAGER")).code == "InvalidOva"


def test_ova_with_an_ide_disk(cloud) -> None:
    diskimages.ova(cloud.directory / "own.ova", controller="PIIX4", controller_type=5)
    assert refused(image(cloud, file="own.ova", replication="EAGER")).code == "UnsupportedDiskController"


def test_settings_of_the_ovf_are_kept(cloud) -> None:
    assert "scsi0.virtualDev" in cloud.find(entities.IMAGE, "debian").body["settings"]


@pytest.mark.parametrize("power", ["poweredOn", "poweredOff", "suspended"])
def test_image_in_use_is_pending_and_goes_with_its_last_vm(cloud, power: str) -> None:
    declare(cloud, **VM)
    cloud.row("acme/web/web-01").power_state = power
    gone = {"name": "debian", "state": "absent"}
    assert changes(cloud.items("image", [gone])) == [("update", "debian")]
    assert cloud.find(entities.IMAGE, "debian").state == "PENDING_DELETE"
    assert refused(cloud.items("vm", [{"name": "web-02", **VM}])).code == "InvalidImageState"
    assert failures(declare(cloud, **VM)) == {}  # who has it keeps it
    assert changes(declare(cloud, state="absent", force=True)) == [
        ("delete", "acme/web/web-01"),
        ("delete", "debian/vc1/shared"),
        ("delete", "debian/vc1/local"),
        ("delete", "debian"),
    ]


def test_a_pending_image_can_be_declared_again(cloud) -> None:
    declare(cloud, **VM)
    cloud.items("image", [{"name": "debian", "state": "absent"}])
    again = {"name": "debian", "file": "debian.ova", "replication": "EAGER"}
    plan = cloud.items("image", [again])
    assert (failures(plan), changes(plan)) == ({}, [("update", "debian")])
    assert cloud.find(entities.IMAGE, "debian").state == "READY"
    assert changes(cloud.items("image", [again])) == []
    assert failures(cloud.items("vm", [{"name": "web-02", **VM}])) == {}


def test_unused_image_is_deleted(cloud) -> None:
    gone = changes(cloud.items("image", [{"name": "debian", "state": "absent"}]))
    assert gone == [("delete", "debian/vc1/shared"), ("delete", "debian/vc1/local"), ("delete", "debian")]


def test_images_of_everybody_are_the_administrators(cloud) -> None:
    assert refused(image(cloud, USER, file="debian.ova", replication="EAGER")).code == "AccessForbidden"
    assert refused(cloud.items("image", [{"name": "debian", "state": "absent"}], USER)).code == "AccessForbidden"


def test_images_of_a_project_are_its_users(cloud) -> None:
    text = SITE + "        images: [{name: own, file: debian.ova, replication: ON_DEMAND}]\n"
    assert failures(cloud.apply(text, USER)).get("own") is None
    assert cloud.find(entities.IMAGE, "acme/web/own").state == "READY"
