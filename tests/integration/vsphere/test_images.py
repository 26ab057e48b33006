# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images on a real endpoint: imported through the lease, copied, taken as parents, removed; and how it goes wrong."""

from __future__ import annotations

import os
import uuid

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import (
    DiskSpec,
    TemplateSpec,
    connect,
    copy_image,
    create_vm,
    delete_template,
    destroy,
    imagefile,
    images,
    import_image,
    inspect_image,
    read_inventory,
    run_jobs,
)

from tests.support import diskimages

ENDPOINTS = pytest.mark.parametrize("name", ["vc", "esx"])
CONTENT = os.urandom(3 << 20)


@pytest.fixture(scope="module")
def ova(tmp_path_factory):
    return str(diskimages.ova(tmp_path_factory.mktemp("images") / "image.ova", CONTENT))


@pytest.fixture
def template_spec(bench):
    """Build the TemplateSpec of a file on a datastore of an endpoint."""

    def build(name, path, datastore=None, image_id="image-1"):
        seen = bench.inventory(name)
        store = next(row for row in seen.datastores.values() if datastore in (None, row.name))
        facts = inspect_image(path)
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{image_id}/{name}/{store.name}"))
        host = min((row for row in seen.hosts.values() if store.moid in row.datastores), key=lambda row: row.moid)
        return TemplateSpec(
            uuid=identity,
            name=f"image-{store.name}",
            site="test",
            store="store-1",
            document_id=image_id,
            sha256=facts["sha256"],
            capacity=facts["size"],
            host=host,
            datastore=store,
            folder=host.vm_folder,
            directory=f"photon-image-{identity}",
        )

    return build


def import_file(session, path, spec):
    return import_image(session, imagefile.DiskReader(imagefile.open_image(path), spec.sha256), spec)


def only(jobs):
    ((_job, outcome),) = jobs
    return outcome


def refused(call, *args):
    with pytest.raises(PhotonError) as caught:
        call(*args)
    return caught.value


@ENDPOINTS
@pytest.mark.parametrize("kind", ["ova", "vmdk"])
def test_import_and_boot_disk(bench, vm_spec, template_spec, tmp_path, ova, name, kind):
    path = ova
    if kind == "vmdk":
        path = str(tmp_path / "disk.vmdk")
        (tmp_path / "disk.vmdk").write_bytes(diskimages.stream_optimized(CONTENT))
    spec = template_spec(name, path)
    with connect(bench.spec(name)) as session:
        template = import_file(session, path, spec)
        assert template.path.startswith(f"[{spec.datastore.name}] {spec.directory}/")
        row = read_inventory(session, {spec.uuid: None}).vm(spec.uuid)
        assert (row.moid, row.template, row.disks[0].capacity) == (template.moid, name == "vc", spec.capacity)
        assert row.extra_config["photon.id"] == spec.document_id
        assert row.extra_config["photon.image"] == spec.sha256

        imports = bench.calls(name)["ImportVApp"]
        assert import_file(session, path, spec) == template
        assert bench.calls(name)["ImportVApp"] == imports

        child = vm_spec(name, "child", datastore=spec.datastore.name)
        child.disks = [DiskSpec("boot", spec.capacity, parent=template.path), DiskSpec("data", 1 << 20)]
        assert isinstance(only(run_jobs(session, [create_vm(child)])), str)
        assert read_inventory(session, {child.uuid: None}).vm(child.uuid).disks[0].files[1] == template.path
        in_use = only(run_jobs(session, [delete_template(template.moid, spec.name, spec.uuid)]))
        assert in_use.code == "StateError"

        child_row = read_inventory(session).vm(child.uuid)
        assert only(run_jobs(session, [destroy(child_row.moid, "child", child.uuid)])) is None
        removed = run_jobs(session, [delete_template(template.moid, spec.name, spec.uuid)])
        assert [outcome for _job, outcome in removed] == [None, None]
        assert not read_inventory(session).vms


def test_what_was_uploaded_is_what_is_there(bench, template_spec, ova):
    spec = template_spec("vc", ova)
    with connect(bench.spec("vc")) as session:
        template = import_file(session, ova, spec)
    content = bench.download("vc", template.path.replace(".vmdk", "-flat.vmdk"))
    assert content[: len(CONTENT)] == CONTENT


TWO_DATASTORES = pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("vc", "shared", "local1"),
        ("esx", "datastore1", "datastore2"),
    ],
)


@TWO_DATASTORES
def test_copy_to_another_datastore(bench, vm_spec, template_spec, ova, name, one, other):
    first, second = template_spec(name, ova, one), template_spec(name, ova, other)
    with connect(bench.spec(name)) as session:
        source = import_file(session, ova, first)
        copy = copy_image(session, source, first.host.datacenter, second)
        assert copy.path == f"[{other}] {second.directory}/{second.name}.vmdk"
        assert copy_image(session, source, first.host.datacenter, second) == copy
        assert bench.calls(name)["CopyVirtualDisk_Task"] == 1
        child = vm_spec(name, "child", datastore=other)
        child.disks = [DiskSpec("boot", second.capacity, parent=copy.path)]
        assert isinstance(only(run_jobs(session, [create_vm(child)])), str)
        seen = read_inventory(session)
        assert seen.vm(second.uuid).template == (name == "vc")
        assert [seen.datastores[moid].name for moid in seen.vm(second.uuid).datastores] == [other]
    assert bench.download(name, copy.path.replace(".vmdk", "-flat.vmdk"))[: len(CONTENT)] == CONTENT


@TWO_DATASTORES
@pytest.mark.parametrize(
    ("method", "where"),
    [("CreateVM_Task", "task"), ("CopyVirtualDisk_Task", "task"), ("CopyVirtualDisk_Task", "drop_after")],
)
def test_copy_that_was_cut_off_is_created_again(bench, template_spec, ova, name, one, other, method, where):
    first, second = template_spec(name, ova, one), template_spec(name, ova, other)
    with connect(bench.spec(name)) as session:
        source = import_file(session, ova, first)
        fault = "" if where == "drop_after" else "GenericVmConfigFault"
        rule = bench.rule(name, method, where, fault=fault, count=1)
        assert refused(copy_image, session, source, first.host.datacenter, second).code in (
            "VCenterRequestError",
            "EndpointUnreachable",
        )
        assert bench.hits(rule) == 1
        assert copy_image(session, source, first.host.datacenter, second).path.startswith(f"[{other}]")
        assert len(read_inventory(session).vms) == 2


class Killed(BaseException):
    """The process ended here: nothing cleans up."""


def killed_at(number):
    """A guard that ends the process at its n-th call."""
    calls = []

    def check():
        calls.append(1)
        if len(calls) == number:
            raise Killed

    return check


@TWO_DATASTORES
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_copy_whose_process_died_is_created_again(bench, template_spec, ova, name, one, other, number):
    first, second = template_spec(name, ova, one), template_spec(name, ova, other)
    with connect(bench.spec(name)) as session:
        source = import_file(session, ova, first)
        session.guard = killed_at(number)
        with pytest.raises(Killed):
            copy_image(session, source, first.host.datacenter, second)
        session.guard = None
        copy = copy_image(session, source, first.host.datacenter, second)
        assert {row.moid for row in read_inventory(session).vms.values()} == {source.moid, copy.moid}


@TWO_DATASTORES
def test_what_a_dead_process_left_goes_with_its_template(bench, template_spec, ova, name, one, other):
    first, second = template_spec(name, ova, one), template_spec(name, ova, other)
    with connect(bench.spec(name)) as session:
        source = import_file(session, ova, first)
        session.guard = killed_at(3)
        with pytest.raises(Killed):  # the disk is copied, but not attached
            copy_image(session, source, first.host.datacenter, second)
        session.guard = None
        row = read_inventory(session).vm(second.uuid)
        removed = run_jobs(session, [delete_template(row.moid, row.name, row.uuid)])
        assert [outcome for _job, outcome in removed] == [None, None]
    assert not [file for file in bench.files(name, other) if second.directory in file]


def test_progress_is_reported_to_the_lease(bench, template_spec, ova, monkeypatch):
    monkeypatch.setattr(images, "_PROGRESS_EVERY", 0.0)
    with connect(bench.spec("vc")) as session:
        import_file(session, ova, template_spec("vc", ova))
    assert bench.calls("vc")["HttpNfcLeaseProgress"] >= 2


@ENDPOINTS
@pytest.mark.parametrize(
    ("method", "where", "code"),
    [
        ("NfcPost", "drop_before", "ImageUploadError"),
        ("NfcPost", "drop_after", "ImageUploadError"),
        ("NfcPost", "status", "ImageUploadError"),
        ("HttpNfcLeaseComplete", "call", "StateError"),
        ("ImportVApp", "call", "StateError"),
        ("ReconfigVM_Task", "task", "StateError"),
    ],
)
def test_a_failed_import_is_repeated(bench, template_spec, ova, name, method, where, code):
    spec = template_spec(name, ova)
    rule = bench.rule(name, method, where, fault="InvalidState" if where in ("call", "task") else "", code=500, count=1)
    with connect(bench.spec(name)) as session:
        assert refused(import_file, session, ova, spec).code == code
        assert bench.hits(rule) == 1
        if method != "ReconfigVM_Task":  # the import itself failed: nothing stays
            assert not read_inventory(session).vms
        template = import_file(session, ova, spec)
        assert [row.moid for row in read_inventory(session).vms.values()] == [template.moid]


def test_an_import_whose_process_died_is_repeated(bench, template_spec, ova, monkeypatch):
    spec = template_spec("vc", ova)

    def die(_reader):
        yield b"KDMV"
        raise Killed

    with connect(bench.spec("vc")) as session:
        with monkeypatch.context() as patch:
            patch.setattr(imagefile.DiskReader, "__iter__", die)
            with pytest.raises(Killed):
                import_file(session, ova, spec)
        assert read_inventory(session).vm(spec.uuid) is not None
        template = import_file(session, ova, spec)
        assert [row.moid for row in read_inventory(session).vms.values()] == [template.moid]


def test_a_lost_lease_ends_an_upload(bench, template_spec, ova):
    spec, calls = template_spec("vc", ova), []

    def lost():
        calls.append(bench.calls("vc")["ImportVApp"])
        if len(calls) >= 3:
            raise PhotonError("LeaseLost", "another controller took over")

    with connect(bench.spec("vc")) as session:
        session.guard = lost
        with pytest.raises(PhotonError, match="took over"):
            import_file(session, ova, spec)
        assert calls[:3] == [0, 1, 1]  # the import, two pieces of the upload
        assert bench.calls("vc")["HttpNfcLeaseAbort"] == 0
    with connect(bench.spec("vc")) as session:
        template = import_file(session, ova, spec)
        assert [row.moid for row in read_inventory(session).vms.values()] == [template.moid]


def test_full_datastore(bench, template_spec, tmp_path):
    path = str(diskimages.ova(tmp_path / "large.ova", os.urandom(24 << 20)))
    spec = template_spec("vc", path, "tiny")
    with connect(bench.spec("vc")) as session:
        assert refused(import_file, session, path, spec).code == "NotEnoughDatastoreCapacity"
        assert not read_inventory(session).vms


def test_file_that_changes_after_the_plan(bench, template_spec, tmp_path):
    path = diskimages.ova(tmp_path / "image.ova", CONTENT)
    spec = template_spec("vc", str(path))
    diskimages.ova(path, CONTENT[::-1])
    with connect(bench.spec("vc")) as session:
        assert refused(import_file, session, str(path), spec).code == "ImageUploadError"
        assert not read_inventory(session).vms


def test_another_file_under_the_same_identity(bench, template_spec, tmp_path, ova):
    spec = template_spec("vc", ova)
    with connect(bench.spec("vc")) as session:
        import_file(session, ova, spec)
        other = str(diskimages.ova(tmp_path / "other.ova", b"other"))
        spec.sha256 = inspect_image(other)["sha256"]
        assert refused(import_file, session, other, spec).code == "InvalidImageState"
        assert read_inventory(session).vm(spec.uuid) is not None


def test_broken_file_is_refused_before_anything_is_asked(bench, template_spec, tmp_path, ova):
    spec = template_spec("vc", ova)
    broken = tmp_path / "broken.vmdk"
    broken.write_bytes(diskimages.stream_optimized(CONTENT)[:-700])
    bench.reset_calls()
    with connect(bench.spec("vc")) as session:
        assert refused(import_file, session, str(broken), spec).code == "InvalidVmdkFormat"
    assert "ImportVApp" not in bench.calls("vc")


def test_lease_check_comes_before_the_import(bench, template_spec, ova):
    spec = template_spec("vc", ova)

    def lost():
        raise PhotonError("LeaseLost", "another controller took over")

    with connect(bench.spec("vc")) as session:
        session.guard = lost
        with pytest.raises(PhotonError, match="took over"):
            import_file(session, ova, spec)
    assert "ImportVApp" not in bench.calls("vc")
