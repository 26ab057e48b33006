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

from tests.support.clusters import GROUPS, HOSTVARS, cluster

CONTENTS = {"packages/kubelet.deb": b"kubelet" * 1000, "images/pause.tar": b"pause", "manifests/a.yml": b""}


@pytest.fixture(name="made")
def fixture_made(tmp_path):
    sources = {}
    for number, (name, content) in enumerate(CONTENTS.items()):
        source = tmp_path / str(number)
        source.write_bytes(content)
        sources[name] = str(source)
    path = tmp_path / "b.tar"
    return path, bundle.write(str(path), ["1.37.2", "1.36.3"], sources), sources


def test_what_is_written_is_read_back(made):
    path, manifest, _sources = made
    assert bundle.read_manifest(str(path)) == bundle.verify(str(path)) == manifest
    assert manifest["versions"] == ["1.36.3", "1.37.2"]
    assert {name: entry["bytes"] for name, entry in manifest["files"].items()} == {
        name: len(content) for name, content in CONTENTS.items()
    }


def test_equal_files_are_an_equal_bundle(made, tmp_path):
    path, _manifest, sources = made
    bundle.write(str(tmp_path / "again.tar"), ["1.36.3", "1.37.2"], dict(reversed(sources.items())))
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


def test_a_version_that_the_bundle_lacks_is_told_before_any_host_is_touched(made):
    path, _manifest, _sources = made
    packages = {"source": "bundle", "bundle": str(path)}
    assert kubernetes_clusters([cluster(packages=packages)], GROUPS, HOSTVARS)
    with pytest.raises(AnsibleFilterError, match=r"photon_clusters\[0\]\.version: is not in the bundle"):
        kubernetes_clusters([cluster(packages=packages, version="1.37.1")], GROUPS, HOSTVARS)
