# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collecting a bundle: everything of its versions, nothing of others, and missing parts are reported."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import (
    bundle,
    bundle_sources,
    debian_packages,
    image_archives,
)
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.plans import bundle as plans
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support import bundles
from tests.support.clusters import one

NEW, OLD = "1.37.2", "1.36.3"


@pytest.fixture(name="folders")
def fixture_folders(tmp_path):
    return bundles.sources(tmp_path, (OLD, NEW))


def collect(folders, *versions, **more):
    packages, images = folders
    return bundle_sources.collect(versions, [str(packages)], [str(images)], more.pop("manifests", []), **more)


def test_all_versions_are_collected_by_default(folders):
    assert collect(folders).versions == [OLD, NEW]


def test_other_versions_are_omitted(folders):
    contents = collect(folders, NEW)
    assert not [name for name in contents.files if OLD in name]
    assert contents.about["packages"] == {
        "conntrack": ["1:1.4.8-2"], "kubeadm": [f"{NEW}-1.1"], "kubectl": [f"{NEW}-1.1"], "kubelet": [f"{NEW}-1.1"],
    }  # fmt: skip
    assert set(contents.about["images"]) == set(bundles.image_names(NEW))


def test_index_matches_the_packages(folders, tmp_path):
    """Compare every entry with the fields that dpkg-deb prints."""
    contents = collect(folders)
    text = contents.files["packages/Packages"].decode()
    entries = [dict(line.split(": ", 1) for line in entry.splitlines()) for entry in text.split("\n\n")]
    names = [entry["Package"] for entry in entries]
    assert names == ["conntrack", *(name for name in bundle_sources.PROGRAMS for _version in (OLD, NEW))]
    for entry in entries:
        path = contents.files[f"packages/{entry['Filename'][2:]}"]
        shown = subprocess.run(["dpkg-deb", "--field", path], check=True, capture_output=True, text=True).stdout
        assert shown.strip().splitlines() == [f"{key}: {entry[key]}" for key in list(entry)[:-3]]
        with open(path, "rb") as handle:
            assert entry["SHA256"] == bundle.digest(handle)
            assert int(entry["Size"]) == handle.tell()
    assert entries[0]["Filename"] == "./conntrack_1.4.8-2_amd64.deb", "a URL must not contain an epoch"


@pytest.mark.parametrize("compression", ["", "gz", "xz"])
def test_file_is_extracted_from_a_package(tmp_path, compression):
    path = bundles.deb(tmp_path, "kubeadm", f"{NEW}-1.1", compression, kubeadm=b"program")
    assert debian_packages.read(str(path)).version == f"{NEW}-1.1"
    assert debian_packages.extract(str(path), "usr/bin/kubeadm", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"program"
    assert not debian_packages.extract(str(path), "usr/bin/other", str(tmp_path / "other"))


def test_package_with_zstd_is_read_with_dpkg(tmp_path):
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: kubeadm\nVersion: 2:1.37.2-3\nArchitecture: all\nMaintainer: nobody\nDescription: d\n"
    )
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/kubeadm").write_bytes(b"program" * 100_000)
    (tree / "usr/bin/later").write_bytes(b"later" * 100_000)
    path = str(tmp_path / "kubeadm.deb")
    words = ["dpkg-deb", "-Zzstd", "--build", str(tree), path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this dpkg-deb has no zstd: {done.stderr}")
    assert debian_packages.read(path).filename == "kubeadm_1.37.2-3_all.deb"
    assert bundle_sources.upstream(debian_packages.read(path).version) == NEW
    assert debian_packages.extract(path, "usr/bin/kubeadm", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"program" * 100_000


def test_kubeadm_lists_the_images(tmp_path):
    script = b'#!/bin/sh\necho "$5/etcd:9.9-0"\n'
    path = bundles.deb(tmp_path, "kubeadm", f"{NEW}-1.1", kubeadm=script.replace(b"$5", b"${5#*=}"))
    package = debian_packages.read(str(path))
    assert bundle_sources.kubeadm_images([NEW], [package], "r.example/k8s") == {NEW: ["r.example/k8s/etcd:9.9-0"]}


def test_image_required_by_kubeadm_is_not_replaced_by_another_tag(folders):
    packages, _images = folders
    bundles.deb(packages, "kubeadm", f"{NEW}-1.1", kubeadm=b"#!/bin/sh\necho registry.k8s.io/etcd:9.9-0\n")
    with pytest.raises(PhotonError, match=r"missing: registry\.k8s\.io/etcd:9\.9-0 \(of 1\.37\.2\)") as caught:
        collect(folders, NEW)
    assert caught.value.code == "ImageNotFound"


def test_all_missing_parts_are_reported_at_once(folders):
    packages, images = folders
    (packages / f"kubelet_{NEW}-1.1_amd64.deb").unlink()
    (packages / f"kubectl_{OLD}-1.1_amd64.deb").unlink()
    with pytest.raises(PhotonError, match=f"missing: kubectl {OLD}, kubelet {NEW}") as caught:
        collect(folders)
    assert caught.value.code == "PackageNotFound"
    for path in images.glob("*kube-proxy*"):
        path.unlink()
    with pytest.raises(PhotonError, match=rf"missing: kube-proxy:v{NEW} \(of {NEW}\)"):
        bundle_sources._check_images([NEW], {}, [n for n in bundles.image_names(NEW) if "proxy" not in n])


@pytest.mark.parametrize(("name", "content"), [("x.deb", b"text"), ("x.deb", b"!<arch>\n"), ("x.tar", b"text")])
def test_invalid_file_is_named(folders, name, content):
    packages, images = folders
    (packages if name.endswith("deb") else images).joinpath(name).write_bytes(content)
    with pytest.raises(PhotonError, match=rf"{name} is not") as caught:
        collect(folders)
    assert caught.value.code == "SpecInvalid"


def test_missing_folder_is_named(folders):
    with pytest.raises(PhotonError, match="/nowhere does not exist"):
        collect(folders, manifests=["/nowhere"])


def test_manifests_are_collected_and_duplicate_names_refused(folders, tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "calico.yml").write_text("kind: x")
    assert collect(folders, manifests=[str(tmp_path / "one")]).files["manifests/calico.yml"].endswith("one/calico.yml")
    with pytest.raises(PhotonError, match="have the same name"):
        collect(folders, manifests=[str(tmp_path / "one"), str(tmp_path / "two/calico.yml")])


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause:3.10.2"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("calico/node:v3", "docker.io/calico/node:v3"),
        ("localhost:5000/own", "localhost:5000/own:latest"),
    ],
)
@pytest.mark.parametrize("form", ["oci", "docker"])
def test_image_names_are_expanded_as_by_containerd(tmp_path, given, known, form):
    found = image_archives.read(str(bundles.image(tmp_path, given, form)))
    assert list(found) == [known]
    assert found[known].startswith("sha256:") if form == "oci" else found[known] == ""


def test_bundle_is_written_once_and_restored(folders, tmp_path):
    path = str(tmp_path / "made" / "b.tar")
    contents = collect(folders)
    planned = bundle_sources.make(path, contents, check=True)
    assert planned["changed"]
    assert not (tmp_path / "made").exists()
    assert "packages/Packages" in planned["diff"]["after"]
    made = bundle_sources.make(path, contents, check=False)
    assert made == planned
    assert bundle.verify(path) == made["manifest"]
    again = bundle_sources.make(path, contents, check=False)
    assert again == {"changed": False, "manifest": made["manifest"], "diff": {}}
    with open(path, "r+b") as handle:
        handle.seek(-20_000, 2)
        handle.write(b"x" * 100)
    restored = bundle_sources.make(path, contents, check=False)
    assert restored["changed"]
    assert "is not a valid bundle" in restored["diff"]["before"]
    assert bundle.verify(path) == made["manifest"]


def test_host_receives_the_parts_it_runs(folders, tmp_path):
    contents = collect(folders)
    manifest = bundle.manifest_of(contents.versions, contents.files, contents.about)
    worker, member = plans.parts(manifest, NEW, "worker"), plans.parts(manifest, NEW, "control_plane")
    assert set(worker["packages"]) == {
        "packages/Packages", "packages/Release", "packages/conntrack_1.4.8-2_amd64.deb",
        *(f"packages/{name}_{NEW}-1.1_amd64.deb" for name in ("kubeadm", "kubectl", "kubelet")),
    }  # fmt: skip
    words = ("apiserver", "controller", "scheduler", "etcd")
    control_plane = {name for name in bundles.image_names(NEW) if any(word in name for word in words)}
    assert names(member) == set(bundles.image_names(NEW))
    assert names(worker) == set(bundles.image_names(NEW)) - control_plane
    assert all(entry["bytes"] > 0 and len(entry["sha256"]) == 64 for entry in worker["images"].values())


def test_host_receives_the_images_of_its_version():
    manifest = bundles.manifest(NEW)("")
    other = {"registry.k8s.io/etcd:3.6.8-0": {"file": "images/0.tar", "digest": ""}}
    manifest["images"] |= other
    manifest["kubeadm_images"] = {
        NEW: [name for name in bundles.image_names(NEW) if "k8s.io" in name and "metrics" not in name],
        OLD: list(other),
    }
    assert "registry.k8s.io/etcd:3.6.8-0" not in names(plans.parts(manifest, NEW, "control_plane"))
    assert bundles.METRICS in names(plans.parts(manifest, NEW, "control_plane"))


def test_missing_images_follow_the_declaration():
    manifest = bundles.manifest(NEW, "flannel", "metrics-server")("")
    assert plans.lacking(one(), manifest) == [*reversed(bundles.FLANNEL), bundles.METRICS]
    routed = one(networks={"plugin": "routed", "hosts": "10.0.0.0/24"}, addons={"metrics_server": False})
    assert plans.lacking(routed, manifest) == []
    own = one(kubeadm={"image_repository": "r.example/k8s"}, networks={"plugin": "routed", "hosts": "10.0.0.0/24"},
              addons={"metrics_server": False})  # fmt: skip
    manifest["kubeadm_images"] = {NEW: ["registry.k8s.io/etcd:1"]}
    assert plans.lacking(own, manifest) == ["r.example/k8s/pause:3.10.2"]


def names(parts):
    return {name for entry in parts["images"].values() for name in entry["names"]}
