# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download an image to the controller: over HTTPS, with the digest that the declaration gives, resumed after breaks."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from ...model.errors import PhotonError
from ...model.libraries import missing_library

CACHE = "PHOTON_IMAGE_CACHE"  # the environment variable with the folder of downloaded images
_CHUNK = 1 << 16  # what a break may lose
_TIMEOUT = (10.0, 60.0)  # seconds to connect, and without a byte
_ATTEMPTS = 5  # in a row that bring nothing new
PAUSE = 2.0  # seconds before the second of them, each later one that much longer
_LOOK_EVERY = 0.5
_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Download:
    """An image's file by its address and digest; ``path`` is where it is kept."""

    url: str
    sha256: str
    path: str
    ca_file: str | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any], ca_file: str | None) -> Download:
        """That of a declared image; ``ca_file`` is its path."""
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        folder = os.environ.get(CACHE) or os.path.join(home, "photon", "images")
        sha256 = item["checksum"].removeprefix("sha256:")
        return cls(item["url"], sha256, os.path.join(folder, f"{sha256}.{item['file_type'].lower()}"), ca_file)

    @property
    def name(self) -> str:
        """The last part of the address."""
        return urlsplit(self.url).path.rpartition("/")[2]

    def bring(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Download it unless it is there. Raises ImageUploadError, and Interrupted once ``stopped`` says so."""
        fetch(self.url, self.sha256, self.path, self.ca_file, stopped)


def fetch(
    url: str, sha256: str, path: str, ca_file: str | None = None, stopped: Callable[[], bool] = lambda: False
) -> None:
    """Bring the content of ``url`` to the file ``path``, unless it is there already.

    The bytes of an interrupted download stay in ``path`` + ``.part`` and the next one goes on from there (RFC 9110,
    Range). Two runs download once: the second waits. Redirects are followed on the same host, by HTTPS alone.
    Raises ImageUploadError with the next step, and Interrupted; nothing is at ``path`` then.
    """
    if os.path.exists(path):
        return
    if ca_file and not os.path.isfile(ca_file):
        raise _error(url, f"its ca_file {ca_file} does not exist: correct the path")
    part = f"{path}.part"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with _locked(f"{path}.lock", stopped):
            if os.path.exists(path):
                return
            _download(url, part, ca_file, stopped)
            actual = _digest(part)
            if not hmac.compare_digest(actual, sha256):
                os.unlink(part)
                raise _error(url, f"its SHA-256 is {actual}, not {sha256}: correct the checksum or the file")
            with open(part, "rb") as stream:
                os.fsync(stream.fileno())
            os.replace(part, path)
    except OSError as error:  # of the file; requests has its own
        raise _error(url, f"{path} cannot be written ({error.strerror or error}): free space, or set "
                          f"{CACHE} to another folder") from error  # fmt: skip


def _download(url: str, part: str, ca_file: str | None, stopped: Callable[[], bool]) -> None:
    """Append what is missing to ``part``, again and again while that brings something."""
    try:
        import requests
    except ImportError as error:
        raise missing_library("requests", error) from error
    failures, most = 0, _size(part)
    with requests.Session() as session:
        while True:
            try:
                reason = _append(session, url, part, ca_file, stopped)
            except requests.exceptions.SSLError as error:
                raise _error(url, f"its certificate is not trusted ({_words(error)}): set ca_file") from error
            except requests.RequestException as error:
                reason = _words(error)
            if not reason:
                return
            failures = 0 if _size(part) > most else failures + 1
            most = max(most, _size(part))
            if failures == _ATTEMPTS:
                raise _error(url, f"the download breaks off after {_size(part)} bytes ({reason}): run again to go on")
            _pause(failures * PAUSE, stopped)


def _append(session: Any, url: str, part: str, ca_file: str | None, stopped: Callable[[], bool]) -> str:
    """One request; returns why ``part`` is not complete after it, or nothing."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    response = _answer(session, url, headers, ca_file)
    with response:
        if response.status_code == 416 and have:  # nothing is left; what is there is compared with the checksum
            return ""
        said = f"the server answers {response.status_code} {response.reason}"
        if response.status_code == 429 or response.status_code >= 500:
            return said
        if response.status_code not in (200, 206):
            raise _error(url, f"{said}: correct the URL")
        if response.status_code == 206 and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise _error(url, "the server answers with another range than was asked for: serve the file from elsewhere")
        fresh = response.status_code == 200  # without ranges: from the beginning
        length = response.headers.get("Content-Length")
        wanted = (0 if fresh else have) + int(length) if length and length.isdigit() else None
        with open(part, "wb" if fresh else "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
            for chunk in response.iter_content(_CHUNK):
                stream.write(chunk)
                _check(stopped)
    return "" if wanted is None or _size(part) == wanted else "it ended early"


def _answer(session: Any, url: str, headers: dict[str, str], ca_file: str | None) -> Any:
    """Follow redirects to the first other answer; refuse those to another host or away from HTTPS."""
    at = url
    for _hop in range(_REDIRECTS + 1):
        # Of a session's own ``verify`` the environment's REQUESTS_CA_BUNDLE would be used instead.
        response = session.get(
            at, headers=headers, stream=True, timeout=_TIMEOUT, allow_redirects=False, verify=ca_file or True
        )
        if not response.is_redirect:
            return response
        target = urljoin(at, response.headers["Location"])
        response.close()
        if (urlsplit(target).scheme, urlsplit(target).netloc) != ("https", urlsplit(url).netloc):
            raise _error(url, f"it redirects to {target}: only redirects on the same host by HTTPS are followed; "
                              "declare that URL itself if you trust it")  # fmt: skip
        at = target
    raise _error(url, f"it redirects more than {_REDIRECTS} times: declare the URL of the file itself")


@contextlib.contextmanager
def _locked(path: str, stopped: Callable[[], bool]) -> Iterator[None]:
    with open(path, "w", encoding="ascii") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:  # another run downloads it
                _pause(_LOOK_EVERY, stopped)
        yield


def _pause(seconds: float, stopped: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        _check(stopped)
        time.sleep(min(_LOOK_EVERY, left))


def _check(stopped: Callable[[], bool]) -> None:
    if stopped():
        raise PhotonError("Interrupted", "the run was interrupted while it downloaded an image; run again to go on")


def _digest(path: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _error(url: str, message: str) -> PhotonError:
    return PhotonError("ImageUploadError", f"the image at {url} cannot be used: {message}", {"url": url})
