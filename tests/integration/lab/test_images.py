# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: what the maker writes, and their import through a lease."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import threading
import time
import urllib.parse

import pytest
import requests
from pyVmomi import vim, vmodl

from lab import images

CHUNK = 1 << 16


@pytest.fixture
def ova(tmp_path):
    return images.make_ova(tmp_path / "image.ova", name="image", size_mib=8)


class Import:
    """An import like a product's: descriptor to a specification, lease, upload."""

    def __init__(self, client, ova, datastore="shared", folder=None, name="image"):
        self.client = client
        with tarfile.open(ova) as archive:
            members = {member.name: archive.extractfile(member).read() for member in archive}
        self.disk = next(content for file, content in members.items() if file.endswith(".vmdk"))
        descriptor = next(content for file, content in members.items() if file.endswith(".ovf")).decode()
        network = vim.OvfManager.NetworkMapping(name="VM Network", network=client.host.network[0])
        parameters = vim.OvfManager.CreateImportSpecParams(
            entityName=name, diskProvisioning="thin", networkMapping=[network]
        )
        self.spec = client.content.ovfManager.CreateImportSpec(
            descriptor, client.pool(), client.datastore(datastore), parameters
        )
        assert not self.spec.error
        self.lease = client.pool().ImportVApp(self.spec.importSpec, folder or client.folder, client.host)

    def ready(self):
        deadline = time.monotonic() + 10
        while (state := self.lease.state) == "initializing":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if state == "error":
            raise self.lease.error
        return self.lease.info

    def upload(self, content=None, method="POST"):
        target = urllib.parse.urlsplit(self.ready().deviceUrl[0].url)
        endpoint = self.client.endpoint
        if target.hostname == "*":  # an ESXi host leaves its address to the client
            target = target._replace(netloc=f"{endpoint.address}:{endpoint.port}")
        return requests.request(
            method, target.geturl(), data=self.disk if content is None else content, verify=endpoint.ca_file, timeout=20
        )

    def complete(self):
        self.lease.HttpNfcLeaseComplete()
        return self.client.state("image")["disks"][0]["file"]


def flat_content(client, file, datastore="shared"):
    path = file.split("] ")[1].replace(".vmdk", "-flat.vmdk")
    return client.http("GET", client.url(path, datastore)).content


def test_an_imported_image_is_a_disk_with_the_image_s_bytes(either, ova):
    work = Import(either, ova)
    answer = work.upload(method="PUT")
    assert answer.status_code == 201
    work.lease.HttpNfcLeaseProgress(100)
    manifest = work.lease.HttpNfcLeaseGetManifest()
    assert [(entry.sha1, entry.size) for entry in manifest] == [(hashlib.sha1(work.disk).hexdigest(), len(work.disk))]
    file = work.complete()
    assert flat_content(either, file) == images.raw_bytes(name="image", size_mib=8)
    assert either.state("image")["disks"][0]["capacity"] == 8 << 20
    written = 3 * images.GRAIN
    assert either.free() == either.datastore().summary.capacity - written
    assert either.lab.control.state(either.name)["leases"] == []


def test_children_and_copies_of_an_imported_image(either, ova):
    work = Import(either, ova)
    work.upload()
    file = work.complete()
    child = either.create(either.spec("child", devices=[either.disk(1, parent=file)]))
    disk = either.state("child")["disks"][0]
    assert (disk["parent"], disk["capacity"]) == (file, 8 << 20)
    either.result(child.PowerOnVM_Task())
    either.make_folder("images/image", "second")
    either.result(
        either.content.virtualDiskManager.CopyVirtualDisk_Task(
            file, either.datacenter, "[second] images/image/image.vmdk", either.datacenter, None, False
        )
    )
    assert flat_content(either, "[second] images/image/image.vmdk", "second") == images.raw_bytes(
        name="image", size_mib=8
    )
    spec = either.spec(
        "far", datastore="second", devices=[either.disk(1, file="[second]", parent="[second] images/image/image.vmdk")]
    )
    either.create(spec)
    assert either.state("far")["disks"][0]["parent"] == "[second] images/image/image.vmdk"
    with pytest.raises(vim.fault.FileLocked):
        either.result(either.folder.childEntity[0].Destroy_Task())


def test_the_files_of_an_imported_disk_can_be_copied_one_by_one(either, ova):
    work = Import(either, ova)
    work.upload()
    file = work.complete()
    either.make_folder("copies", "second")
    for source, target in (
        (file, "image.vmdk"),
        (file.replace(".vmdk", "-flat.vmdk"), f"{file.rsplit('/', 1)[1][:-5]}-flat.vmdk"),
    ):
        either.result(
            either.content.fileManager.CopyDatastoreFile_Task(
                source, either.datacenter, f"[second] copies/{target}", either.datacenter, False
            )
        )
    either.create(
        either.spec(datastore="second", devices=[either.disk(1, file="[second]", parent="[second] copies/image.vmdk")])
    )


def test_a_template_can_be_the_parent(vc, ova):
    work = Import(vc, ova)
    work.upload()
    file = work.complete()
    vc.folder.childEntity[0].MarkAsTemplate()
    vc.create(vc.spec("child", devices=[vc.disk(1, parent=file)]))
    assert vc.state("image")["template"]


def test_the_upload_decides_the_disk_s_size(vc, ova, tmp_path):
    larger = images.make_vmdk(tmp_path / "larger.vmdk", name="larger", size_mib=24)
    work = Import(vc, ova)
    assert work.upload(larger.read_bytes()).status_code == 201
    work.complete()
    assert vc.state("image")["disks"][0]["capacity"] == 24 << 20


def test_an_aborted_lease_leaves_nothing(either, ova):
    work = Import(either, ova)
    work.upload()
    work.lease.HttpNfcLeaseAbort()
    state = either.lab.control.state(either.name)
    assert (state["vms"], state["leases"]) == ([], [])
    assert either.files() == []
    assert either.free() == either.datastore().summary.capacity


def test_an_idle_lease_ends(either, ova):
    work = Import(either, ova)
    work.ready()
    deadline = time.monotonic() + 15
    while (either.lab.control.state(either.name)["vms"] or either.files()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert either.files() == []
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        work.lease.HttpNfcLeaseComplete()


def test_an_upload_in_progress_shows_and_keeps_the_lease(vc, ova):
    work = Import(vc, ova)
    work.ready()
    half = threading.Event()

    def slowly():
        yield work.disk[:CHUNK]
        half.wait(10)
        yield work.disk[CHUNK:]

    upload = threading.Thread(target=work.upload, args=(slowly(),))
    upload.start()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lease = vc.lab.control.state("vc")["leases"][0]
        if lease["uploading"] and sum(lease["received"].values()) >= CHUNK:
            break
        time.sleep(0.01)
    assert (lease["vm"], lease["state"], lease["uploading"]) == ("image", "ready", 1)
    half.set()
    upload.join()
    work.complete()


@pytest.mark.parametrize("damage", ["truncated", "monolithicSparse", "text"])
def test_a_broken_upload_ends_the_lease_in_error(either, ova, tmp_path, damage):
    work = Import(either, ova)
    content = {
        "truncated": lambda: work.disk[: len(work.disk) // 2],
        "monolithicSparse": lambda: images.make_vmdk(
            tmp_path / "s.vmdk", size_mib=8, form="monolithicSparse"
        ).read_bytes(),
        "text": lambda: b"this is no disk\n" * 1000,
    }[damage]()
    assert work.upload(content).status_code == 500
    assert work.lease.state == "error"
    with pytest.raises(vim.fault.InvalidState):
        work.lease.HttpNfcLeaseComplete()
    work.lease.HttpNfcLeaseAbort()
    assert either.lab.control.state(either.name)["vms"] == []


def test_an_import_into_a_full_datastore_fails(either, ova):
    assert either.http("PUT", either.url("filler", "tiny"), data=b"x" * ((8 << 20) - images.GRAIN)).status_code == 201
    work = Import(either, ova, datastore="tiny")
    assert work.upload().status_code == 500
    assert isinstance(work.lease.error, vim.fault.NoDiskSpace)
    work.lease.HttpNfcLeaseAbort()
    assert either.files("tiny") == ["filler"]


def test_an_import_with_a_taken_name_ends_in_error(either, ova):
    either.create(either.spec("image"))
    with pytest.raises(vim.fault.DuplicateName):
        Import(either, ova).ready()


def test_a_stranger_cannot_upload(vc, ova):
    work = Import(vc, ova)
    url = work.ready().deviceUrl[0].url
    stranger = url.replace(url.split("/")[-2], "httpnfclease-999")
    assert requests.put(stranger, data=work.disk, verify=vc.endpoint.ca_file, timeout=20).status_code == 404
    work.lease.HttpNfcLeaseAbort()


@pytest.mark.parametrize("size_mib", [1, 3, 40])
def test_written_images_unpack_to_what_they_say(vc, tmp_path, size_mib):
    ova = images.make_ova(tmp_path / "x.ova", name="x", size_mib=size_mib)
    work = Import(vc, ova)
    assert work.upload().status_code == 201
    assert flat_content(vc, work.complete()) == images.raw_bytes(name="x", size_mib=size_mib)


@pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="qemu-img, a second reader of the format, is not installed"
)
@pytest.mark.parametrize("form", ["streamOptimized", "monolithicSparse", "flat"])
def test_qemu_reads_the_images(tmp_path, form):
    image = images.make_vmdk(tmp_path / "x.vmdk", name="x", size_mib=40, form=form)
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, tmp_path / "raw"], check=True)
    assert (tmp_path / "raw").read_bytes() == images.raw_bytes(name="x", size_mib=40)


def test_two_images_differ_and_one_is_the_same_each_time(tmp_path):
    first, again, other = (images.make_ova(tmp_path / f"{i}.ova", name=name) for i, name in enumerate(("a", "a", "b")))
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_the_broken_variants_are_broken_in_their_way(tmp_path):
    def read(variant):
        with tarfile.open(images.make_ova(tmp_path / "x.ova", name="x", size_mib=2, variant=variant)) as archive:
            return {member.name: archive.extractfile(member).read() for member in archive}

    def matches(files):
        digest = hashlib.sha256(files["x-disk1.vmdk"]).hexdigest()
        return f"SHA256(x-disk1.vmdk)= {digest}\n".encode() in files["x.mf"]

    good = read("good")
    assert list(good) == ["x.ovf", "x.mf", "x-disk1.vmdk"]
    assert matches(good)
    assert not matches(read("wrong-checksum"))
    assert good["x-disk1.vmdk"].startswith(read("truncated")["x-disk1.vmdk"])
    assert "x.ovf" not in read("no-descriptor")
    assert not read("not-a-disk")["x-disk1.vmdk"].startswith(b"KDMV")
