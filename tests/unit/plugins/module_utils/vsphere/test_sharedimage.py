# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One read of an image file for many uploads: each gets all bytes, none waits for one that gave up."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.vsphere import sharedimage
from ansible_collections.photon.platform.plugins.module_utils.vsphere.sharedimage import SharedImage

from tests.support import diskimages

CONTENT = os.urandom(12 << 20)


@pytest.fixture
def image(tmp_path):
    """``(path, SHA-256 of the file, bytes of its disk)``."""
    path = diskimages.ova(tmp_path / "image.ova", CONTENT)
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest(), diskimages.stream_optimized(CONTENT)


@pytest.fixture
def reads(monkeypatch):
    """The number of times that the file was read from its beginning."""
    began = []
    real = sharedimage.DiskReader.__iter__
    monkeypatch.setattr(sharedimage.DiskReader, "__iter__", lambda reader: (began.append(1), real(reader))[1])
    return began


def test_all_readers_get_all_bytes_of_one_read(image, reads) -> None:
    path, sha256, stream = image
    names = [f"vc{n}" for n in range(5)]
    with SharedImage(lambda: path, sha256, names, digesting=True) as shared, ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda name: b"".join(shared.reader(name)), names))
    assert found == [stream] * 5
    assert len(reads) == 1
    assert shared.raw_digests == [hashlib.sha256(CONTENT).hexdigest()]


def test_a_slow_reader_bounds_what_is_kept(image) -> None:
    path, sha256, stream = image
    with SharedImage(lambda: path, sha256, ["fast", "slow"]) as shared, ThreadPoolExecutor(2) as pool:
        fast = pool.submit(lambda: b"".join(shared.reader("fast")))
        slow = iter(shared.reader("slow"))
        first = next(slow)
        time.sleep(0.3)
        assert not fast.done()
        assert all(len(kept) <= 4 for kept in shared._pieces.values())
        assert first + b"".join(slow) == stream
        assert fast.result(30) == stream


def test_a_reader_that_leaves_keeps_nobody_waiting(image, reads) -> None:
    """Before it began, in the middle; and it can start over by itself."""
    path, sha256, stream = image
    with SharedImage(lambda: path, sha256, ["good", "never", "failing"]) as shared, ThreadPoolExecutor(1) as pool:
        good = pool.submit(lambda: b"".join(shared.reader("good")))
        failing = iter(shared.reader("failing"))
        next(failing)
        failing.close()
        shared.leave("never")
        assert good.result(30) == stream
        assert b"".join(shared.reader("failing")) == stream
    assert len(reads) == 2


def test_a_file_that_changed_ends_all_before_their_last_bytes(image) -> None:
    path, _sha256, stream = image
    got: dict[str, int] = {}

    def read(shared: SharedImage, name: str) -> str:
        got[name] = 0
        try:
            for piece in shared.reader(name):
                got[name] += len(piece)
        except PhotonError as error:
            return error.code
        return ""

    with SharedImage(lambda: path, "0" * 64, ["a", "b"], digesting=True) as shared, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda name: read(shared, name), ["a", "b"])) == ["ImageUploadError"] * 2
    assert all(number < len(stream) for number in got.values())
    assert shared.raw_digests == []


def test_nothing_is_left_when_nobody_reads(image) -> None:
    path, sha256, _stream = image
    before = threading.active_count()
    with SharedImage(lambda: path, sha256, ["a"], digesting=True):
        pass
    with SharedImage(lambda: path, sha256, ["a", "b"], digesting=True) as shared:
        next(iter(shared.reader("a")))
    assert threading.active_count() == before


def test_errors_of_the_file_come_with_the_reader(tmp_path) -> None:
    (tmp_path / "text.vmdk").write_bytes(b"text" * 1000)
    text = str(tmp_path / "text.vmdk")
    for locate, code in ((None, "ImageUploadError"), (lambda: text, "UnsupportedImageFileType")):
        with SharedImage(locate, "", ["a"]) as shared, pytest.raises(PhotonError) as caught:
            shared.reader("a")
        assert caught.value.code == code
