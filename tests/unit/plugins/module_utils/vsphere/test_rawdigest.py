# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw digests: what a stream-optimised VMDK unpacks to, chunk by chunk, whatever the pieces it arrives in."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import struct
import subprocess
import zlib

import pytest
from ansible_collections.photon.platform.plugins.module_utils.vsphere import rawdigest
from ansible_collections.photon.platform.plugins.module_utils.vsphere.rawdigest import RawDigests

from tests.support import diskimages

MIB = 1 << 20
GRAIN = 65536


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of 2 MiB instead of 64."""
    monkeypatch.setattr(rawdigest, "CHUNK", 2 * MIB)
    rawdigest._digest_of_zeros.cache_clear()
    yield 2 * MIB
    rawdigest._digest_of_zeros.cache_clear()


def digests_of(stream: bytes, capacity: int, pieces: int = MIB) -> list[str]:
    digests = RawDigests(capacity)
    for at in range(0, len(stream), pieces):
        digests.feed(stream[at : at + pieces])
    return digests.finish()


def expected(raw: bytes, chunk: int) -> list[str]:
    return [hashlib.sha256(raw[at : at + chunk]).hexdigest() for at in range(0, len(raw), chunk)]


@pytest.mark.parametrize("pieces", [1, 511, 70_000, 1 << 22])
def test_pieces_of_any_size_give_the_digests_of_the_raw_disk(small_chunks, pieces: int) -> None:
    raw = os.urandom(GRAIN) + bytes(3 * GRAIN) + os.urandom(5 * GRAIN) if pieces == 1 else os.urandom(5 * MIB)
    assert digests_of(diskimages.stream_optimized(raw), len(raw), pieces) == expected(raw, small_chunks)


def test_grains_that_are_not_there_are_zeros(small_chunks) -> None:
    """Before, between, after and across chunks, and a disk without any grain."""
    random.seed(13)
    for _turn in range(20):
        raw = b"".join(random.choice((bytes(GRAIN), os.urandom(GRAIN))) for _grain in range(random.randint(1, 100)))
        assert digests_of(diskimages.stream_optimized(raw), len(raw)) == expected(raw, small_chunks)
    empty = bytes(7 * MIB)
    assert digests_of(diskimages.stream_optimized(empty), len(empty)) == expected(empty, small_chunks)


def test_chunks_are_64_mib() -> None:
    raw = os.urandom(MIB) + bytes(99 * MIB) + os.urandom(MIB) + bytes(40 * MIB)
    found = digests_of(diskimages.stream_optimized(raw), len(raw))
    assert found == expected(raw, 64 * MIB)
    assert len(found) == 3


def test_one_changed_byte_changes_one_digest(small_chunks) -> None:
    raw = bytearray(os.urandom(6 * MIB))
    before = digests_of(diskimages.stream_optimized(bytes(raw)), len(raw))
    raw[3 * MIB] ^= 1
    after = digests_of(diskimages.stream_optimized(bytes(raw)), len(raw))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_what_qemu_img_wrote_is_digested_as_what_it_was_made_of(tmp_path) -> None:
    """An independent writer: a sparse disk of 150 MiB with data at odd places."""
    raw = tmp_path / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(150 * MIB)
        for at in (0, 5 * MIB + 512, 63 * MIB + 65_000, 149 * MIB):
            file.seek(at)
            file.write(os.urandom(MIB - 700))
    disk = tmp_path / "disk.vmdk"
    options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", *options, str(raw), str(disk)], check=True)
    assert digests_of(disk.read_bytes(), 150 * MIB) == expected(raw.read_bytes(), 64 * MIB)


def damaged_grain(stream: bytes) -> bytes:
    at = 128 * 512
    return stream[: at + 20] + b"\xff" * 8 + stream[at + 28 :]


def backwards(stream: bytes) -> bytes:
    """The second grain says that it is the first."""
    size = struct.unpack_from("<QI", stream, 128 * 512)[1]
    second = 128 * 512 + -(-(12 + size) // 512) * 512
    return stream[:second] + struct.pack("<Q", 0) + stream[second + 8 :]


@pytest.mark.parametrize("damage", [damaged_grain, backwards, lambda stream: stream[:-1024]])
def test_a_stream_that_cannot_be_digested_says_so(damage) -> None:
    raw = os.urandom(4 * GRAIN)
    with pytest.raises(ValueError, match=r"damaged|out of order|end marker"):
        digests_of(damage(diskimages.stream_optimized(raw)), len(raw))


def test_a_grain_cannot_unpack_to_more_than_its_size() -> None:
    """A crafted stream could otherwise take all memory."""
    good = diskimages.stream_optimized(os.urandom(GRAIN))
    at = 128 * 512
    position, size = struct.unpack_from("<QI", good, at)
    bomb = zlib.compress(bytes(64 * MIB), 9)[: size - 4]
    crafted = good[:at] + struct.pack("<QI", position, len(bomb)) + bomb + good[at + 12 + len(bomb) :]
    with pytest.raises(ValueError, match="too long"):
        digests_of(crafted, GRAIN)
    claims = good[:at] + struct.pack("<QI", position, 1 << 30) + good[at + 12 :]
    with pytest.raises(ValueError, match="claims 1073741824 bytes"):
        digests_of(claims, GRAIN)
