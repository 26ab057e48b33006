# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Digest the raw disk that a stream-optimised VMDK unpacks to, while its bytes pass by.

The raw disk is cut into chunks of 64 MiB, the last one shorter, each with its own SHA-256. A copy of the image can be
compared with them wherever vSphere converted it, and in parts.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from functools import lru_cache

from .vmdk import SECTOR

CHUNK = 64 << 20
_GRAIN = struct.Struct("<QI")  # position in sectors, bytes of compressed data
_ZEROS = bytes(1 << 20)
_LARGEST_GRAIN = 8 << 20


class RawDigests:
    """Takes a stream in pieces of any size; ``finish`` returns the digests of ``capacity`` bytes.

    Grains that are not in the stream are zeros. A stream whose grains are not in order, or which is damaged, raises
    ValueError: it has no digests.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held = bytearray()
        self._grain = 0  # bytes of a grain
        self._skip = -1  # bytes to pass over; below 0 the header was not read yet
        self._ended = False
        self._at = 0  # bytes of the raw disk so far
        self._chunk = hashlib.sha256()
        self._digests: list[str] = []

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the stream."""
        if self._ended:
            return
        self._held += piece
        at = 0
        while (step := self._take(at)) > 0:
            at += step
        del self._held[:at]

    def finish(self) -> list[str]:
        """The digest of each chunk in hex."""
        if not self._ended:
            raise ValueError("the stream ended without its end marker")
        self._zeros(self.capacity)
        return self._digests

    def _take(self, at: int) -> int:
        """Take what begins at a place of the held bytes; returns its length, 0 where more bytes are needed."""
        left = len(self._held) - at
        if self._skip > 0:
            step = min(self._skip, left)
            self._skip -= step
            return step
        if left < SECTOR or self._ended:
            return 0
        if self._skip < 0:
            # The header tells how many sectors lie before the first marker.
            self._skip = struct.unpack_from("<Q", self._held, at + 64)[0] * SECTOR - SECTOR
            self._grain = min(struct.unpack_from("<Q", self._held, at + 20)[0] * SECTOR, _LARGEST_GRAIN)
            return SECTOR
        position, size = _GRAIN.unpack_from(self._held, at)
        if size == 0:
            kind = struct.unpack_from("<I", self._held, at + _GRAIN.size)[0]
            self._ended = kind == 0
            self._skip = position * SECTOR
            return SECTOR
        if size > 2 * self._grain + SECTOR:
            raise ValueError(f"the grain at sector {position} claims {size} bytes")
        length = -(-(_GRAIN.size + size) // SECTOR) * SECTOR
        if left < length:
            return 0
        start = at + _GRAIN.size
        try:
            grain = self._unpacked(bytes(memoryview(self._held)[start : start + size]))
        except zlib.error as error:
            raise ValueError(f"the grain at sector {position} is damaged: {error}") from error
        self._write(position * SECTOR, grain)
        return length

    def _unpacked(self, data: bytes) -> bytes:
        """A grain's bytes, never more than its size: a crafted stream could unpack to any amount."""
        unpack = zlib.decompressobj()
        grain = unpack.decompress(data, self._grain)
        more = unpack.decompress(unpack.unconsumed_tail, 1)
        if more or not unpack.eof:
            raise zlib.error("too long" if more else "incomplete")
        return grain

    def _write(self, position: int, grain: bytes) -> None:
        if position < self._at or position >= self.capacity:
            raise ValueError(f"the grain at byte {position} is out of order")
        self._zeros(position)
        self._update(grain[: self.capacity - position])

    def _zeros(self, until: int) -> None:
        while self._at < until:
            room = CHUNK - self._at % CHUNK
            if room == CHUNK and until - self._at >= CHUNK:  # a whole chunk of zeros
                self._at += CHUNK
                self._digests.append(_digest_of_zeros())
            else:
                self._update(_ZEROS[: min(len(_ZEROS), room, until - self._at)])

    def _update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            part = view[: CHUNK - self._at % CHUNK]
            self._chunk.update(part)
            self._at += len(part)
            if self._at % CHUNK == 0 or self._at == self.capacity:
                self._digests.append(self._chunk.hexdigest())
                self._chunk = hashlib.sha256()
            view = view[len(part) :]


@lru_cache(maxsize=1)
def _digest_of_zeros() -> str:
    digest = hashlib.sha256()
    for _part in range(CHUNK // len(_ZEROS)):
        digest.update(_ZEROS)
    return digest.hexdigest()
