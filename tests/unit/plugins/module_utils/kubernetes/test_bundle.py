# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: what is written is read back, and a bundle that is not what it says is refused."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.photon.platform.plugins.filter.kubernetes_clusters import kubernetes_clusters
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import bundle
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

from tests.support.bundles import image_names
from tests.support.clusters import GROUPS, HOSTVARS, cluster

CONTENTS = {"packages/kubelet.deb": b"kubelet" * 1000, "images/pause.tar": b"pause", "manifests/a.yml": b""}

IMAGES = {name: {"file": "images/pause.tar", "digest": ""} for name in image_names("1.37.2")}


@pytest.fixture(name="made")
def fixture_made(tmp_path):
    sources = {}
    for number, (name, content) in enumerate(CONTENTS.items()):
        source = tmp_path / str(number)
        source.write_bytes(content)
        sources[name] = str(source)
    path = tmp_path / "b.tar"
    return path, bundle.write(str(path), ["1.37.2", "1.36.3"], sources, {"images": IMAGES}), sources


def test_what_is_written_is_read_back(made):
    path, manifest, _sources = made
    assert bundle.read_manifest(str(path)) == bundle.verify(str(path)) == manifest
    assert manifest["versions"] == ["1.36.3", "1.37.2"]
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        name: len(content) for name, content in CONTENTS.items()
    }


def test_equal_files_are_an_equal_bundle(made, tmp_path):
    path, _manifest, sources = made
    bundle.write(str(tmp_path / "again.tar"), ["1.36.3", "1.37.2"], dict(reversed(sources.items())), {"images": IMAGES})
    assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()


def test_a_changed_byte_is_a_wrong_checksum(made):
    path, _manifest, _sources = made
    path.write_bytes(path.read_bytes().replace(b"kubeletkubelet", b"kubeletKubelet", 1))
    assert bundle.read_manifest(str(path)), "which only the whole reading finds"
    with pytest.raises(PhotonError, match=r"packages/kubelet\.deb has a wrong checksum"):
        bundle.verify(str(path))


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_what_is_no_bundle_is_told(tmp_path, content):
    path = tmp_path / "b.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PhotonError, match="is no bundle") as caught:
        bundle.verify(str(path))
    assert caught.value.code == "ManifestNotFound"


def test_a_bundle_that_was_cut_off_is_told(made):
    path, _manifest, _sources = made
    path.write_bytes(path.read_bytes()[:2600])
    with pytest.raises(PhotonError, match="is no bundle"):
        bundle.verify(str(path))


@pytest.mark.parametrize("name", ["etc/passwd", "packages/../../x", "kubelet.deb"])
def test_a_file_that_has_no_place_is_refused(tmp_path, name):
    with pytest.raises(PhotonError, match="has no place in a bundle"):
        bundle.write(str(tmp_path / "b.tar"), [], {name: str(tmp_path / "x")})
    assert not (tmp_path / "b.tar").exists()


def test_a_part_comes_out_as_it_is(made, tmp_path):
    path, _manifest, _sources = made
    bundle.extract(str(path), "packages/kubelet.deb", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == CONTENTS["packages/kubelet.deb"]
    with pytest.raises(PhotonError, match=r"packages/other\.deb is missing"):
        bundle.extract(str(path), "packages/other.deb", str(tmp_path / "other"))


def test_a_part_with_a_wrong_checksum_is_told_when_it_comes_out(made, tmp_path):
    path, _manifest, _sources = made
    path.write_bytes(path.read_bytes().replace(b"kubeletkubelet", b"kubeletKubelet", 1))
    with pytest.raises(PhotonError, match=r"packages/kubelet\.deb has a wrong checksum"):
        bundle.extract(str(path), "packages/kubelet.deb", str(tmp_path / "out"))


def test_a_bundle_that_cannot_be_written_leaves_the_old_one(made, tmp_path):
    path, manifest, sources = made
    with pytest.raises(FileNotFoundError):
        bundle.write(str(path), ["1.37.2"], {**sources, "images/gone.tar": str(tmp_path / "gone")})
    assert bundle.verify(str(path)) == manifest
    assert not path.with_name("b.tar.part").exists()


def test_a_manifest_of_the_user_comes_from_the_bundle(made):
    path, _manifest, _sources = made
    assert bundle.manifest_text("bundle:a.yml", str(path), lambda _name: "file") == ""
    assert bundle.manifest_text("a.yml", str(path), lambda _name: "file") == "file"
    with pytest.raises(PhotonError, match=r"manifests/b\.yml is missing"):
        bundle.manifest_text("bundle:b.yml", str(path), lambda _name: "file")
    with pytest.raises(PhotonError, match=r"packages\.bundle"):
        bundle.manifest_text("bundle:b.yml", "", lambda _name: "file")


def test_a_version_that_the_bundle_lacks_is_told_before_any_host_is_touched(made):
    path, _manifest, _sources = made
    packages = {"source": "bundle", "bundle": str(path)}
    assert kubernetes_clusters([cluster(packages=packages)], GROUPS, HOSTVARS)
    with pytest.raises(AnsibleFilterError, match=r"photon_clusters\[0\]\.version: is not in the bundle"):
        kubernetes_clusters([cluster(packages=packages, version="1.37.1")], GROUPS, HOSTVARS)
