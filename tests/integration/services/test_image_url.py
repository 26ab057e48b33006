# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image that is declared with its address: downloaded once, by its checksum, and not again."""

from __future__ import annotations

import hashlib
import shutil

import pytest
from ansible_collections.photon.platform.plugins.module_utils.services.images import fetch

from tests.chaos.scene import tree
from tests.support import diskimages
from tests.support.fileserver import FileServer
from tests.support.site import Site


@pytest.fixture
def site(lab_factory, tmp_path):
    made = Site(lab_factory("small"), tmp_path)
    yield made
    made.close()


@pytest.fixture
def server(tmp_path, monkeypatch):
    content = diskimages.ova(tmp_path / "served.ova", b"from a server" * 50_000).read_bytes()
    monkeypatch.setenv("PHOTON_IMAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "PAUSE", 0.0)
    made = FileServer(tmp_path / "issuer", content)
    yield made
    made.close()


def declared(server, checksum=None):
    checksum = checksum or hashlib.sha256(server.content).hexdigest()
    image = {"name": "debian", "url": server.url, "checksum": f"sha256:{checksum}", "ca_file": server.ca_file}
    return {**tree(2), "photon_images": [{**image, "replication": "EAGER"}]}


def test_from_a_url_to_running_vms_and_no_further_request(site, server, tmp_path):
    site.settled(declared(server))
    assert len(server.asked) == 1
    image = site.named("image", "debian")
    assert (image.body["file"], image.body["file_type"]) == ("image.ova", "OVA")
    assert image.body["sha256"] == hashlib.sha256(server.content).hexdigest()
    shutil.rmtree(tmp_path / "cache")
    assert not site.good(declared(server))["changed"]
    assert len(server.asked) == 1


def test_a_plan_that_the_server_cannot_serve_touches_nothing(site, server):
    server.status = 503
    planned = site.run(declared(server), check=True)
    assert {row["error_code"] for row in planned["failures"]} == {"ImageUploadError", "DependencyFailed"}
    assert any("answers 503" in row["message"] for row in planned["failures"])
    server.status, server.cut = 200, 100_000
    site.settled(declared(server))  # in pieces


def test_another_checksum_is_another_image(site, server):
    site.settled(declared(server))
    server.content = diskimages.ova(site.directory / "other.ova", b"other").read_bytes()
    outcome = site.run(declared(server))
    assert [row["error_code"] for row in outcome["failures"]] == ["UpdateNotSupported"]


def test_the_file_of_the_same_content_is_the_same_image(site, server):
    site.settled(declared(server))
    shutil.copy(site.directory / "served.ova", site.directory / "debian.ova")
    site.settled(tree(2))


def test_a_damaged_file_in_the_cache_makes_no_image(site, server, tmp_path):
    (tmp_path / "cache").mkdir()
    kept = tmp_path / "cache" / f"{hashlib.sha256(server.content).hexdigest()}.ova"
    shutil.copy(site.directory / "debian.ova", kept)
    outcome = site.run(declared(server))
    assert "ImageUploadError" in {row["error_code"] for row in outcome["failures"]}
    assert [d for d in site.snapshot().documents if d.kind == "image"] == []
    assert not kept.exists()
    site.settled(declared(server))
