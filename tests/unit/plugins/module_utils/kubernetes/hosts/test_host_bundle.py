# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's part of a bundle: the changes and the files that must be sent for them."""

from __future__ import annotations

from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import bundle
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.bundle import Image

LISTED = """\
REF                          TYPE                                       DIGEST          SIZE    PLATFORMS   LABELS
registry.k8s.io/pause:3.10.2 application/vnd.oci.image.manifest.v1+json sha256:75562da7 1.5 MiB linux/amd64 \
io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned,photon.platform/bundle=present
sha256:38d888ec              application/vnd.oci.image.manifest.v1+json sha256:43579ba7 77 MiB  linux/amd64 \
io.cri-containerd.image=managed,io.cri-containerd.pinned=pinned
example.test/hello:1         application/vnd.oci.image.index.v1+json    sha256:bb99f56f 6 MiB   linux/amd64,linux/arm -
"""
PARTS = {
    "packages": {"packages/a.deb": {"sha256": "1", "bytes": 1}, "packages/Packages": {"sha256": "2", "bytes": 1}},
    "images": {
        "images/x.tar": {"sha256": "3", "bytes": 1, "names": {"r/x:1": "sha256:aa", "r/y:1": ""}},
        "images/z.tar": {"sha256": "4", "bytes": 1, "names": {"r/z:1": "sha256:cc"}},
    },
}
FILES = {"packages/a.deb": "1", "packages/Packages": "2"}
IMAGES = {"r/x:1": Image("sha256:aa", True), "r/y:1": Image("sha256:bb", True), "r/z:1": Image("sha256:cc", True)}


def compare(files=None, images=None):
    changes, missing = bundle._compare(PARTS, FILES if files is None else files, images)
    return [tuple(change.values()) for change in changes], missing


def test_list_of_images_is_parsed():
    assert bundle.parse_images(LISTED) == {
        "registry.k8s.io/pause:3.10.2": Image("sha256:75562da7", True),
        "sha256:38d888ec": Image("sha256:43579ba7", False),
        "example.test/hello:1": Image("sha256:bb99f56f", False),
    }


def test_complete_host_is_not_changed():
    assert compare(images=IMAGES) == ([], [])


def test_empty_host_receives_everything_in_two_visits():
    changes, missing = compare(files={}, images=None)
    assert missing == ["packages/a.deb", "packages/Packages"]
    assert [change[:2] for change in changes] == [("package", "packages/a.deb"), ("package", "packages/Packages")]
    changes, missing = compare(images={})
    assert missing == ["images/x.tar", "images/z.tar"]
    assert [change[1] for change in changes] == ["r/x:1", "r/y:1", "r/z:1"]


def test_changed_content_is_sent_again():
    images = {**IMAGES, "r/z:1": Image("sha256:other", True)}
    changes, missing = compare(files={**FILES, "packages/a.deb": "other"}, images=images)
    assert missing == ["packages/a.deb", "images/z.tar"]
    assert changes == [("package", "packages/a.deb", "other", "present"), ("image", "r/z:1", "other", "present")]


def test_archive_with_two_images_is_sent_for_either():
    changes, missing = compare(images={name: image for name, image in IMAGES.items() if name != "r/y:1"})
    assert (missing, changes) == (["images/x.tar"], [("image", "r/y:1", "absent", "present")])


def test_pins_change_without_sending_files():
    images = {**IMAGES, "r/z:1": Image("sha256:cc", False), "r/old:1": Image("sha256:dd", True)}
    changes, missing = compare(images=images)
    assert missing == []
    assert changes == [("image", "r/z:1", "not pinned", "pinned"), ("image", "r/old:1", "pinned", "not pinned")]


def test_old_packages_are_removed():
    changes, missing = compare({**FILES, "packages/old.deb": "9"}, IMAGES)
    assert (changes, missing) == ([("package", "packages/old.deb", "present", "absent")], [])
