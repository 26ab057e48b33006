# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: they are written and read back, and damaged ones are refused."""

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


def test_written_bundle_is_read_back(made):
    path, manifest, _sources = made
    assert bundle.read_manifest(str(path)) == bundle.verify(str(path)) == manifest
    assert manifest["versions"] == ["1.36.3", "1.37.2"]
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        name: len(content) for name, content in CONTENTS.items()
    }


def test_bundle_is_reproducible(made, tmp_path):
    path, _manifest, sources = made
    bundle.write(str(tmp_path / "again.tar"), ["1.36.3", "1.37.2"], dict(reversed(sources.items())), {"images": IMAGES})
    assert (tmp_path / "again.tar").read_bytes() == path.read_bytes()


def test_changed_byte_is_a_wrong_checksum(made):
    path, _manifest, _sources = made
    path.write_bytes(path.read_bytes().replace(b"kubeletkubelet", b"kubeletKubelet", 1))
    assert bundle.read_manifest(str(path)), "only a complete read finds the change"
    with pytest.raises(PhotonError, match=r"packages/kubelet\.deb has a wrong checksum"):
        bundle.verify(str(path))


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_invalid_bundle_is_refused(tmp_path, content):
    path = tmp_path / "b.tar"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PhotonError, match="is not a valid bundle") as caught:
        bundle.verify(str(path))
    assert caught.value.code == "ManifestNotFound"


def test_truncated_bundle_is_refused(made):
    path, _manifest, _sources = made
    path.write_bytes(path.read_bytes()[:2600])
    with pytest.raises(PhotonError, match="is not a valid bundle"):
        bundle.verify(str(path))


@pytest.mark.parametrize("name", ["etc/passwd", "packages/../../x", "kubelet.deb"])
def test_file_outside_the_folders_is_refused(tmp_path, name):
    with pytest.raises(PhotonError, match="is outside the folders of a bundle"):
        bundle.write(str(tmp_path / "b.tar"), [], {name: str(tmp_path / "x")})
    assert not (tmp_path / "b.tar").exists()


def test_part_is_extracted_unchanged(made, tmp_path):
    path, _manifest, _sources = made
    bundle.extract(str(path), "packages/kubelet.deb", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == CONTENTS["packages/kubelet.deb"]
    with pytest.raises(PhotonError, match=r"packages/other\.deb is missing"):
        bundle.extract(str(path), "packages/other.deb", str(tmp_path / "other"))


def test_wrong_checksum_is_reported_on_extraction(made, tmp_path):
    path, _manifest, _sources = made
    path.write_bytes(path.read_bytes().replace(b"kubeletkubelet", b"kubeletKubelet", 1))
    with pytest.raises(PhotonError, match=r"packages/kubelet\.deb has a wrong checksum"):
        bundle.extract(str(path), "packages/kubelet.deb", str(tmp_path / "out"))


def test_failed_write_leaves_the_old_bundle(made, tmp_path):
    path, manifest, sources = made
    with pytest.raises(FileNotFoundError):
        bundle.write(str(path), ["1.37.2"], {**sources, "images/gone.tar": str(tmp_path / "gone")})
    assert bundle.verify(str(path)) == manifest
    assert not path.with_name("b.tar.part").exists()


def test_user_manifest_is_read_from_the_bundle(made):
    path, _manifest, _sources = made
    assert bundle.manifest_text("bundle:a.yml", str(path), lambda _name: "file") == ""
    assert bundle.manifest_text("a.yml", str(path), lambda _name: "file") == "file"
    with pytest.raises(PhotonError, match=r"manifests/b\.yml is missing"):
        bundle.manifest_text("bundle:b.yml", str(path), lambda _name: "file")
    with pytest.raises(PhotonError, match=r"packages\.bundle"):
        bundle.manifest_text("bundle:b.yml", "", lambda _name: "file")


def test_missing_version_is_reported_before_any_host_is_contacted(made):
    path, _manifest, _sources = made
    packages = {"source": "bundle", "bundle": str(path)}
    assert kubernetes_clusters([cluster(packages=packages)], GROUPS, HOSTVARS)
    with pytest.raises(AnsibleFilterError, match=r"photon_clusters\[0\]\.version: is not in the bundle"):
        kubernetes_clusters([cluster(packages=packages, version="1.37.1")], GROUPS, HOSTVARS)
