# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup, the loss of everything, and the cluster again; keys and certificates that change."""

from __future__ import annotations

import base64
import json
import tarfile

import pytest

from lab.kubernetes.versions import NEWER as NEW


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    cluster = make(3, 1, version=NEW)
    cluster.keep("backup")
    return cluster


@pytest.fixture(name="backup", scope="module")
def fixture_backup(cluster):
    """The file of a backup of three members."""
    folder = cluster.folder / "backups"
    cluster.play("cluster_backup", photon_backup_directory=str(folder))
    (path,) = folder.iterdir()
    return path


def test_a_backup_is_for_its_owner_alone(backup):
    assert backup.stat().st_mode & 0o777 == 0o600
    assert backup.parent.stat().st_mode & 0o777 == 0o700


def test_a_backup_that_is_damaged_is_refused(cluster, backup, tmp_path):
    bad = tmp_path / "bad.tar"
    content = bytearray(backup.read_bytes())
    with tarfile.open(backup) as archive:
        place = archive.getmember("snapshot.db").offset_data + 5000
    content[place] ^= 1
    bad.write_bytes(content)
    assert "is not a usable backup" in cluster.play("cluster_restore", fails=True, photon_backup=str(bad))


def test_a_restore_onto_the_running_cluster_is_refused(cluster, backup):
    """What was written after the backup stays: neither is it lost, nor is a restore reported that did nothing."""
    cluster.keep("later")
    told = cluster.play("cluster_restore", fails=True, photon_backup=str(backup))
    assert "cp1 is a control-plane member of cluster prod with data" in told
    assert "kubernetes_restore_reset=true" in told
    assert cluster.whole()
    assert cluster.kept("later")


@pytest.mark.parametrize(
    "step", ["Prepare new hosts", "Restore the data", "Make the first member", "Join the control plane"]
)
def test_all_hosts_are_new_and_the_restore_is_killed(cluster, backup, step):
    cluster.wipe("cp1", "cp2", "cp3", "w1")
    cluster.play_killed("cluster_restore", step, seconds=3, photon_backup=str(backup))
    cluster.play("cluster_restore", photon_backup=str(backup))
    assert cluster.whole()
    assert cluster.etcd() == ["cp1", "cp2", "cp3"]
    assert cluster.kept("backup")
    assert "kept-later" not in cluster.kubectl("get", "configmaps")


def test_keys_of_encryption_change_and_all_is_readable(cluster):
    before = names(cluster)
    cluster.play("cluster_rotate", kubernetes_rotate_encryption=True)
    after = names(cluster)
    assert len(after["cp1"]) == 1
    assert after["cp1"] != before["cp1"]
    assert after["cp1"] == after["cp2"] == after["cp3"]
    assert cluster.kept("backup")
    assert written_with(cluster) == set(after["cp1"])
    assert cluster.idle("cluster_rotate")


SERVED = """
for port in 6443 2379 10257 10259; do
  openssl s_client -connect 127.0.0.1:$port -cert /etc/kubernetes/pki/apiserver-etcd-client.crt \
    -key /etc/kubernetes/pki/apiserver-etcd-client.key </dev/null 2>/dev/null | openssl x509 -noout -serial
done
"""


def test_certificates_are_renewed_when_asked(cluster):
    """On all members, and what each program presents, not only what is in a file."""
    members = ("cp1", "cp2", "cp3")
    before = {name: cluster.on(name, SERVED).split() for name in members}
    cluster.play("cluster_rotate", kubernetes_rotate_days=5000)
    after = {name: cluster.on(name, SERVED).split() for name in members}
    for name in members:
        assert len(after[name]) == len(before[name]) == 4
        api, etcd = (after[name][place] != before[name][place] for place in (0, 1))
        assert (api, etcd) == (True, True), f"{name} presents an old certificate"
    assert cluster.whole()
    assert cluster.kept("backup")


def test_nothing_is_left_to_join_by(cluster):
    secrets = json.loads(cluster.kubectl("-n", "kube-system", "get", "secrets", "-o", "json"))["items"]
    assert not [one for one in secrets if one["type"] == "bootstrap.kubernetes.io/token"]


def names(cluster):
    """Member -> names of the keys in its file."""
    found = {}
    for member in ("cp1", "cp2", "cp3"):
        settings = json.loads(cluster.on(member, "cat /etc/kubernetes/apiserver/encryption.json"))
        providers = settings["resources"][0]["providers"]
        found[member] = [
            key["name"] for one in providers for part in one.values() for key in (part or {}).get("keys") or ()
        ]
    return found


def written_with(cluster):
    """The keys that Secrets in etcd are written with."""
    found = json.loads(cluster.etcdctl("get", "/registry/secrets/", "--prefix", "-w", "json"))
    values = [base64.b64decode(one["value"]) for one in found["kvs"]]
    return {value.split(b":")[4].decode() for value in values}
