# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups are read back unchanged, and damaged ones are refused."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import archive
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import rehearsal
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PAGES = bytes(range(256)) * 64
SNAPSHOT = PAGES + hashlib.sha256(PAGES).digest()
FILES = {"pki/ca.crt": b"certificate", "pki/ca.key": b"key", "encryption.json": b"{}"}
ABOUT = {"cluster": "prod", "cluster_id": "sha256:1", "version": "1.37.2", "made": "2026-11-25T03:00:00Z"}


@pytest.fixture(name="backup")
def fixture_backup(tmp_path):
    (tmp_path / "db").write_bytes(SNAPSHOT)
    archive.write(str(tmp_path / "prod.tar"), str(tmp_path / "db"), FILES, ABOUT)
    return tmp_path / "prod.tar"


def test_written_backup_is_read_back(backup, tmp_path):
    manifest = archive.verify(str(backup))
    assert ABOUT.items() <= manifest.items()
    assert manifest["snapshot_bytes"] == len(SNAPSHOT)
    assert archive.extract(str(backup), str(tmp_path / "out")) == FILES
    assert (tmp_path / "out").read_bytes() == SNAPSHOT


def test_only_the_owner_can_read_it(backup, tmp_path):
    archive.extract(str(backup), str(tmp_path / "out"))
    assert backup.stat().st_mode & 0o777 == (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    with tarfile.open(backup) as found:
        assert {entry.mode for entry in found} == {0o600}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_changed_byte_is_detected(backup, tmp_path, data):
    content = bytearray(backup.read_bytes())
    with tarfile.open(backup) as found:
        entry = data.draw(st.sampled_from([one for one in found if one.name != archive.MANIFEST]))
    content[entry.offset_data + data.draw(st.integers(0, entry.size - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "bad.tar").write_bytes(content)
    with pytest.raises(PhotonError, match="not a usable backup") as caught:
        archive.verify(str(tmp_path / "bad.tar"))
    assert caught.value.code == "BackupInvalid"


@pytest.mark.parametrize("size", [0, 1000, 15000])
def test_truncated_file_is_refused(backup, tmp_path, size):
    (tmp_path / "bad.tar").write_bytes(backup.read_bytes()[:size])
    with pytest.raises(PhotonError, match="not a usable backup"):
        archive.verify(str(tmp_path / "bad.tar"))


def test_truncated_snapshot_with_a_matching_digest_is_refused(tmp_path):
    (tmp_path / "db").write_bytes(PAGES)
    archive.write(str(tmp_path / "prod.tar"), str(tmp_path / "db"), FILES, ABOUT)
    with pytest.raises(PhotonError, match="truncated or damaged"):
        archive.verify(str(tmp_path / "prod.tar"))


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(PhotonError, match="No such file"):
        archive.verify(str(tmp_path / "none.tar"))


@pytest.mark.parametrize(
    ("keep", "removed"),
    [(0, []), (1, ["20261101T000000Z", "20261231T235959Z"]), (2, ["20261101T000000Z"]), (3, []), (9, [])],
)
def test_only_older_backups_of_the_same_cluster_are_superseded(keep, removed):
    stamps = ["20261231T235959Z", "20270101T000000Z", "20261101T000000Z"]
    others = ["/b/prod-2-20261101T000000Z.tar", "/b/prod-20261101T000000Z.tar.part", "/b/prod-old.tar", "/b/prod.tar"]
    found = archive.superseded([*others, *(f"/b/prod-{stamp}.tar" for stamp in stamps)], "prod", keep)
    assert found == [f"/b/prod-{stamp}.tar" for stamp in removed]


def test_a_rehearsal_misses_what_the_manifest_names():
    found = {"objects": 300, "system": 1, "nodes": ["cp1", "w1"]}
    assert rehearsal.checked(found, {"nodes": ["w1", "cp1"]}, "b.tar") == {"objects": 300, "nodes": 2}
    with pytest.raises(PhotonError, match="restored data lack node w2") as error:
        rehearsal.checked(found, {"nodes": ["cp1", "w1", "w2"]}, "b.tar")
    assert error.value.code == "BackupInvalid"
    with pytest.raises(PhotonError, match="lack namespace kube-system"):
        rehearsal.checked({**found, "system": 0}, {"nodes": []}, "b.tar")


@pytest.mark.parametrize("damage", [b"", b"x"])
def test_a_snapshot_is_judged_by_the_digest_that_etcd_gave_it(damage):
    changed = damage + SNAPSHOT[len(damage) :]
    if not damage:
        assert archive.check_snapshot(io.BytesIO(changed), "s.db") == len(SNAPSHOT)
        return
    with pytest.raises(PhotonError, match="truncated or damaged"):
        archive.check_snapshot(io.BytesIO(changed), "s.db")
