# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One read of an image's file for several uploads at the same time, and for the digests of its raw disk.

The slowest upload sets the pace: no more than a few pieces are kept for it. One that fails leaves the others alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from ..model.errors import PhotonError
from .imagefile import DiskReader, ImageFile, open_image
from .rawdigest import RawDigests

_KEPT = 4  # pieces of 1 MiB per reader
_DIGEST = object()  # the reader that computes the raw digests


class DiskStream(Protocol):
    """The bytes of an image's disk, checked to their end."""

    image: ImageFile

    def __iter__(self) -> Iterator[bytes]: ...


class SharedImage:
    """Use as a context manager.

    ``locate`` returns the file's path; it is called when the first reader begins. ``readers`` are the names of those
    that will read; each must leave in the end. With ``digesting`` the digests of the raw disk are in ``raw_digests``
    afterwards, unless the stream cannot have any.
    """

    def __init__(
        self, locate: Callable[[], str] | None, sha256: str, readers: Iterable[str], *, digesting: bool = False
    ) -> None:
        self.raw_digests: list[str] = []
        self._locate, self._sha256, self._image = locate, sha256, None
        names: list[object] = list(readers)
        self._digesting = digesting and bool(names) and locate is not None
        self._state = threading.Condition()
        self._pieces: dict[object, deque[bytes]] = {name: deque() for name in [*names, *([_DIGEST] * self._digesting)]}
        self._joined: set[object] = set()
        self._ended, self._error = False, None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> SharedImage:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._state:
            names = [name for name in self._pieces if name is not _DIGEST or not self._ended]
        for name in names:
            self.leave(name)
        for thread in self._threads:
            thread.join()

    def reader(self, name: str) -> DiskStream:
        """The bytes for one reader: from the shared read the first time, from one of its own after a failure.

        Raises the errors of ``locate`` and ``open_image``, and ImageUploadError without a file.
        """
        if self._locate is None:
            raise PhotonError("ImageUploadError", "its file is not declared, so no copy can be uploaded: set file")
        with self._state:
            self._image = image = self._image or open_image(self._locate())
            if name not in self._pieces or name in self._joined:
                return DiskReader(image, self._sha256)
            self._joined.add(name)
            if not self._threads:
                self._start(image)
        return _Part(self, image, name)

    def leave(self, name: object) -> None:
        """Stop waiting for a reader; one that is not known has left already."""
        with self._state:
            self._pieces.pop(name, None)
            self._state.notify_all()

    def pieces(self, name: object) -> Iterator[bytes]:
        """Yield the bytes for one reader; raises what ended the read."""
        while True:
            with self._state:
                self._state.wait_for(lambda: name not in self._pieces or self._pieces[name] or self._ended)
                if not self._pieces.get(name):
                    break
                piece = self._pieces[name].popleft()
                self._state.notify_all()
            yield piece
        if self._error is not None:
            raise self._error

    def _start(self, image: ImageFile) -> None:
        self._threads = [threading.Thread(target=self._read, args=(image,), name="image-read", daemon=True)]
        if self._digesting:
            self._threads.append(threading.Thread(target=self._digest, args=(image,), name="image-digest", daemon=True))
        for thread in self._threads:
            thread.start()

    def _read(self, image: ImageFile) -> None:
        error: PhotonError | None = None
        try:
            for piece in DiskReader(image, self._sha256):
                with self._state:
                    self._state.wait_for(lambda: all(len(kept) < _KEPT for kept in self._pieces.values()))
                    if not self._pieces.keys() - {_DIGEST}:
                        return
                    for kept in self._pieces.values():
                        kept.append(piece)
                    self._state.notify_all()
        except PhotonError as failure:
            error = failure
        finally:
            with self._state:
                self._ended, self._error = True, error
                self._state.notify_all()

    def _digest(self, image: ImageFile) -> None:
        digests = RawDigests(image.capacity)
        try:
            for piece in self.pieces(_DIGEST):
                digests.feed(piece)
            self.raw_digests = digests.finish()
        except (PhotonError, ValueError):
            self.raw_digests = []
        finally:
            self.leave(_DIGEST)


class _Part:
    """What one reader gets of the shared read."""

    def __init__(self, shared: SharedImage, image: ImageFile, name: str) -> None:
        self.image = image
        self._shared, self._name = shared, name

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._shared.pieces(self._name)
        finally:
            self._shared.leave(self._name)
