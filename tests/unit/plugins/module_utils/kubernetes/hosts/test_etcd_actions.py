# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd keeps its quorum and its data whatever is asked for (fake etcd)."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import archive
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import etcd
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

MB = 1_000_000


class FakeEtcd:
    """Members by name; each client of a URL asks its own member."""

    def __init__(self, members):
        self.members, self.calls, self.leader = members, [], "1"

    def observed(self):
        return {"error": "", "members": [dict(one) for one in self.members]}

    def client(self, url="https://127.0.0.1:2379", timeout=10):
        fake, own = self, next((one for one in self.members if url in one["client_urls"]), self.members[0])

        class Client:
            def status(self):
                return {**own, "leader": fake.leader, "revision": 7}

            def remove(self, identity):
                fake.calls.append(("remove", identity))

            def call(self, path, body):
                fake.calls.append((path.rpartition("/")[2], own["name"], body.get("memberID", "")))
                if path.endswith("defragment"):
                    own["size"] = own["in_use"]
                return {}

        return Client()


def one(number, healthy=True, learner=False, alarms=(), size=30 * MB, in_use=20 * MB, quota=8000 * MB):
    return {
        "id": str(number), "name": f"cp{number}", "peer_urls": [f"https://10.0.0.{number}:2380"],
        "client_urls": [f"https://10.0.0.{number}:2379"], "learner": learner, "started": True, "healthy": healthy,
        "alarms": list(alarms), "size": size, "in_use": in_use, "quota": quota,
    }  # fmt: skip


@pytest.fixture(name="fake")
def fixture_fake(monkeypatch):
    """fake(*members): etcd as this host sees it."""

    def make(*members):
        found = FakeEtcd(list(members))
        monkeypatch.setattr(etcd, "observed", found.observed)
        monkeypatch.setattr(etcd, "Etcd", found.client)
        return found

    return make


def test_a_member_that_the_quorum_needs_stays(fake):
    found = fake(one(1), one(2), one(3, healthy=False))
    with pytest.raises(PhotonError, match="cp2 cannot be removed from etcd") as error:
        etcd.leave("cp2", "10.0.0.2", check=False)
    assert (error.value.code, found.calls) == ("QuorumAtRisk", [])


@pytest.mark.parametrize(
    ("name", "address", "identity"), [("cp3", "10.0.0.3", "3"), ("", "10.0.0.2", "2"), ("cp1", "", "1")]
)
def test_a_member_leaves_by_its_address_or_its_name(fake, name, address, identity):
    found = fake(one(1), one(2), one(3))
    assert etcd.leave(name, address, check=True)
    assert found.calls == []
    assert etcd.leave(name, address, check=False)
    assert found.calls == [("remove", identity)]


def test_the_address_decides_when_the_name_is_another_members(fake):
    found = fake(one(1), one(2), one(3))
    etcd.leave("cp1", "10.0.0.3", check=False)
    assert found.calls == [("remove", "3")]


def test_an_unknown_member_is_absent_already(fake):
    found = fake(one(1), one(2), one(3))
    assert not etcd.leave("cp9", "10.0.0.9", check=False)
    assert found.calls == []


def test_the_leader_is_defragmented_last(fake):
    found = fake(one(1), one(2), one(3))
    found.leader = "1"
    etcd.maintain(check=False, always=True)
    assert [call[1] for call in found.calls if call[0] == "defragment"] == ["cp2", "cp3", "cp1"]


def test_only_members_with_much_unused_space_are_defragmented(fake):
    wasteful = one(2, size=500 * MB, in_use=100 * MB)
    found = fake(one(1, size=500 * MB, in_use=400 * MB), wasteful, one(3, size=120 * MB, in_use=30 * MB))
    assert etcd.maintain(check=True) == ["cp2 would be defragmented"]
    assert etcd.maintain(check=False) == [f"cp2 defragmented: {500 * MB} to {100 * MB} bytes"]
    assert [call[0] for call in found.calls] == ["defragment"]


def test_an_alarm_is_cleared_for_its_member_after_all_were_compacted(fake):
    found = fake(one(1), one(2, alarms=["NOSPACE"]), one(3))
    done = etcd.maintain(check=False)
    assert [call[0] for call in found.calls] == ["compaction", *["defragment"] * 3, "alarm"]
    assert found.calls[-1][2] == "2"
    assert done[-1] == "cp2: alarm NOSPACE cleared"


def test_a_member_that_stays_full_keeps_its_alarm(fake):
    found = fake(one(1, alarms=["NOSPACE"], size=8000 * MB, in_use=7900 * MB))
    with pytest.raises(PhotonError, match="accepts no changes"):
        etcd.maintain(check=False)
    assert "alarm" not in [call[0] for call in found.calls]


@pytest.mark.parametrize(
    ("members", "wanted", "reason"),
    [
        ([one(1), one(2, healthy=False), one(3)], 3, "cp2 does not answer"),
        ([one(1), one(2)], 3, "3 voters are required"),
        ([one(1), one(2), one(3), one(4, learner=True)], 3, "cp4 is a learner"),
    ],
)
def test_etcd_is_healthy_when_all_members_are_voters_that_answer(fake, members, wanted, reason):
    fake(*members)
    with pytest.raises(PhotonError, match=reason) as error:
        etcd.wait_healthy(0, wanted)
    assert error.value.code == "EtcdUnhealthy"
    fake(one(1), one(2), one(3))
    assert len(etcd.wait_healthy(0, wanted)["members"]) == 3


@pytest.fixture(name="backup")
def fixture_backup(tmp_path, monkeypatch):
    """A backup, and a host whose etcdutl only notes its command line and creates the data."""
    pages = bytes(range(256)) * 64
    (tmp_path / "s.db").write_bytes(pages + hashlib.sha256(pages).digest())
    path = tmp_path / "prod.tar"
    about = {"cluster": "prod", "cluster_id": "sha256:1", "version": "1.37.2", "made": "2026-11-25T03:00:00Z"}
    archive.write(str(path), str(tmp_path / "s.db"), {"pki/ca.crt": b"c", "pki/ca.key": b"k"}, about)
    ran = []

    def must(*words, **_options):
        ran.append(words)
        data = tmp_path / "etcd" / ".restore" / "data" / "member"
        data.mkdir(parents=True, exist_ok=True)
        (data / "db").write_text("restored")

    class Programs:
        def __init__(self, _configuration):
            pass

        def __enter__(self):
            return "/bin"

        def __exit__(self, *_error):
            pass

    monkeypatch.setattr(etcd, "must", must)
    monkeypatch.setattr(etcd, "programs", Programs)
    monkeypatch.setattr(etcd.observe, "ETCD_DATA", str(tmp_path / "etcd" / "member"))
    monkeypatch.setattr(etcd.observe, "RESTORED", str(tmp_path / "etcd" / ".restored-from"))
    monkeypatch.setattr(etcd.observe, "FOLDER", str(tmp_path / "kubernetes"))
    return path, ran, tmp_path


def restore(backup):
    return etcd.restore(str(backup), "{}", "cp1", "10.0.0.1")


def test_a_restore_makes_this_host_the_only_member_and_leaves_all_watchers_behind(backup):
    path, ran, folder = backup
    assert restore(path) == ["snapshot of 2026-11-25T03:00:00Z restored"]
    (words,) = ran
    options = dict(zip(words[4::2], words[5::2], strict=False))
    assert options["--initial-cluster"] == "cp1=https://10.0.0.1:2380"
    assert int(options.get("--bump-revision", 0)) >= 1_000_000_000
    assert "--mark-compacted" in words
    assert (folder / "etcd" / "member" / "db").read_text() == "restored"
    assert (folder / "kubernetes" / "pki" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert (folder / "kubernetes" / "pki" / "ca.crt").stat().st_mode & 0o777 == 0o644
    assert not (folder / "etcd" / ".restore").exists()


def test_a_restore_is_resumed_and_other_data_are_kept(backup):
    path, ran, folder = backup
    restore(path)
    assert (restore(path), len(ran)) == ([], 1)
    (folder / "etcd" / ".restored-from").write_text("another\n")
    with pytest.raises(PhotonError, match="not from this backup") as error:
        restore(path)
    assert (error.value.code, len(ran)) == ("InvalidHostState", 1)
    assert (folder / "etcd" / "member" / "db").read_text() == "restored"


def test_a_damaged_backup_touches_nothing(backup):
    path, ran, folder = backup
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(PhotonError) as error:
        restore(path)
    assert (error.value.code, ran) == ("BackupInvalid", [])
    assert not (folder / "etcd").exists()


def test_the_end_of_a_restore_is_noted_once(backup):
    path, _ran, folder = backup
    restore(path)
    assert etcd.end_restore(check=True) == ["restore completed"]
    assert (folder / "etcd" / ".restored-from").exists()
    assert etcd.end_restore(check=False) == ["restore completed"]
    assert etcd.end_restore(check=False) == []
