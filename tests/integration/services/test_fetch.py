# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images are downloaded from a real HTTPS server that cuts, forgets ranges, redirects and changes its file."""

from __future__ import annotations

import fcntl
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from ansible_collections.photon.platform.plugins.module_utils.services.images import fetch as fetching
from ansible_collections.photon.platform.plugins.module_utils.services.images.fetch import fetch

from tests.support.fileserver import FileServer

CONTENT = os.urandom(3_500_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "PAUSE", 0.0)
    made = FileServer(tmp_path / "issuer", CONTENT)
    yield made
    made.close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "image.ova"


def refused(server, target, **changes):
    arguments = {"url": server.url, "sha256": SHA256, "path": str(target), "ca_file": server.ca_file} | changes
    with pytest.raises(PhotonError) as caught:
        fetch(**arguments)
    assert caught.value.code == "ImageUploadError"
    assert not target.exists()
    return caught.value.message


def test_a_file_is_downloaded_once_and_readable_by_its_owner_alone(server, target):
    for _time in range(2):
        fetch(server.url, SHA256, str(target), server.ca_file)
        assert target.read_bytes() == CONTENT
    assert server.asked == [""]
    assert target.stat().st_mode & 0o777 == 0o600
    assert not target.with_name("image.ova.part").exists()


def test_a_server_that_cuts_is_asked_for_the_rest(server, target):
    server.cut = 1 << 20
    fetch(server.url, SHA256, str(target), server.ca_file)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["", "bytes=1048576-", "bytes=2097152-", "bytes=3145728-"]


def test_an_interrupted_download_goes_on_where_it_ended(server, target):
    target.parent.mkdir()
    target.with_name("image.ova.part").write_bytes(CONTENT[:2_000_000])
    fetch(server.url, SHA256, str(target), server.ca_file)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=2000000-"]


def test_a_complete_part_is_only_compared(server, target):
    target.parent.mkdir()
    target.with_name("image.ova.part").write_bytes(CONTENT)
    fetch(server.url, SHA256, str(target), server.ca_file)
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_begins_again(server, target):
    server.ranges = False
    target.parent.mkdir()
    target.with_name("image.ova.part").write_bytes(CONTENT[:2_000_000])
    fetch(server.url, SHA256, str(target), server.ca_file)
    assert target.read_bytes() == CONTENT


def test_what_was_kept_of_an_older_file_is_thrown_away(server, target):
    target.parent.mkdir()
    target.with_name("image.ova.part").write_bytes(b"older" * 100_000)
    assert "SHA-256 is" in refused(server, target)
    fetch(server.url, SHA256, str(target), server.ca_file)
    assert target.read_bytes() == CONTENT


def test_a_url_that_never_comes_to_its_end_says_where_it_broke_off(server, target):
    server.cut = 0
    said = refused(server, target)
    assert "breaks off after 0 bytes" in said
    assert "run again to go on" in said
    assert len(server.asked) == 5


def test_a_wrong_digest_names_both(server, target):
    said = refused(server, target, sha256="0" * 64)
    assert f"its SHA-256 is {SHA256}, not {'0' * 64}" in said
    assert not target.with_name("image.ova.part").exists()


def test_an_authority_that_is_not_trusted(server, target):
    assert "certificate is not trusted" in refused(server, target, ca_file=None)


def test_a_range_that_was_not_asked_for(server, target):
    server.lies = True
    target.parent.mkdir()
    target.with_name("image.ova.part").write_bytes(CONTENT[:2_000_000])
    assert "another range" in refused(server, target)


def test_an_answer_that_is_no_file(server, target):
    server.status = 404
    assert "answers 404" in refused(server, target)


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/image.ova", "https://localhost:1/image.ova", "ftp://127.0.0.1/x"])
def test_redirects_to_another_host_or_without_tls_are_not_followed(server, target, to):
    server.locations["/image.ova"] = to
    assert f"it redirects to {to}" in refused(server, target)


def test_redirects_on_the_same_host_are_followed_but_not_without_end(server, target):
    server.locations["/a"] = "/image.ova"
    fetch(server.url.replace("image.ova", "a"), SHA256, str(target), server.ca_file)
    assert target.read_bytes() == CONTENT
    target.unlink()
    server.locations["/image.ova"] = "/image.ova"
    assert "more than 5 times" in refused(server, target)


def test_two_at_once_download_once(server, target):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _n: fetch(server.url, SHA256, str(target), server.ca_file), range(2)))
    assert server.asked == [""]
    assert target.read_bytes() == CONTENT


def test_a_server_that_is_busy_for_a_while(server, target):
    server.failing = [503, 429, 500]
    fetch(server.url, SHA256, str(target), server.ca_file)
    assert target.read_bytes() == CONTENT
    target.unlink()
    server.failing = [503] * 5
    assert "breaks off after 0 bytes (the server answers 503" in refused(server, target)


def test_a_server_without_ranges_that_never_comes_further_ends_it(server, target):
    server.ranges, server.cut = False, 1 << 20
    assert "breaks off after 1048576 bytes" in refused(server, target)
    assert len(server.asked) == 6


def test_a_missing_ca_file_is_named(server, target, tmp_path):
    assert "ca_file" in refused(server, target, ca_file=str(tmp_path / "nowhere.pem"))
    assert server.asked == []


def test_an_interrupt_ends_a_download_and_keeps_what_came(server, target):
    part = target.with_name("image.ova.part")
    with pytest.raises(PhotonError) as caught:
        fetch(server.url, SHA256, str(target), server.ca_file, lambda: part.exists() and part.stat().st_size > 500_000)
    assert caught.value.code == "Interrupted"
    assert 500_000 < part.stat().st_size < len(CONTENT)
    fetch(server.url, SHA256, str(target), server.ca_file)
    assert server.asked[1].startswith("bytes=")


def test_an_interrupt_ends_the_wait_for_another_download(server, target):
    target.parent.mkdir()
    with open(f"{target}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(PhotonError) as caught:
            fetch(server.url, SHA256, str(target), server.ca_file, lambda: True)
    assert caught.value.code == "Interrupted"


def test_a_folder_that_cannot_be_made(server, target):
    target.parent.write_text("a file")
    assert "PHOTON_IMAGE_CACHE" in refused(server, target)
