# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What administrators do on an ordinary day must not lose data: one cluster from its check mode to its end."""

from __future__ import annotations

import base64
import json

import pytest

from lab.kubernetes.versions import NEWER as NEW

KEYS = [
    {"name": name, "secret": base64.b64encode(bytes(range(first, first + 32))).decode()}
    for first, name in enumerate(("k1", "k2"))
]
# A foreign process of the same name, chains of iptables as kubelet leaves them, another network's CNI configuration.
STRANGE = """
cp /bin/sleep /usr/local/bin/etcd
systemd-run --unit=own-etcd /usr/local/bin/etcd infinity
iptables -t nat -N KUBE-SERVICES
iptables -t nat -A PREROUTING -j KUBE-SERVICES
iptables -t nat -N MINE
echo '{}' > /etc/cni/net.d/10-calico.conflist
"""


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    cluster = make(1, 1, create=False, version=NEW, encryption={"keys": KEYS[:1]})
    cluster.on("cp1", "mkdir -p /var/lib/etcd/lost+found")  # as on a new disk
    said = cluster.play("cluster_create", "--check")
    assert "Make the first member" in said
    assert cluster.on("cp1", "ls /etc/kubernetes 2>/dev/null || true") == ""
    cluster.play("cluster_create")
    cluster.keep("safe")
    cluster.kubectl("create", "deployment", "safe", "--image=example.test/hello:1", "--replicas=0")
    return cluster


def test_dns_runs_on_both_nodes(cluster):
    words = ["-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "json"]
    pods = json.loads(cluster.kubectl(*words))["items"]
    assert sorted(pod["spec"]["nodeName"] for pod in pods) == ["cp1", "w1"]
    assert cluster.idle("cluster_create")


def stored(cluster, key):
    """The beginning of a value in etcd."""
    found = json.loads(cluster.etcdctl("get", f"/registry/{key}", "-w", "json"))
    return base64.b64decode(found["kvs"][0]["value"])[:40]


STEPS = {
    "a new key": {"keys": KEYS[::-1]},
    "without the old key": {"keys": KEYS[1:]},
    "every resource": {"keys": KEYS[1:], "resources": ["*.*"]},
    "another provider": {"provider": "aescbc", "keys": KEYS[:1], "resources": ["*.*"]},
    "fewer resources": {"provider": "aescbc", "keys": KEYS[:1], "resources": ["secrets"]},
    "plain text": {"provider": "none", "keys": []},
    "a generated key": {"keys": [], "resources": ["secrets", "deployments.apps"]},
}


@pytest.mark.parametrize("step", STEPS)
def test_encryption_changes_by_a_rotation_alone(cluster, step):
    cluster.declared["encryption"] = wanted = STEPS[step]
    assert "RotationNeeded" in cluster.play("cluster_create", fails=True)
    cluster.play("cluster_rotate")
    assert cluster.kept("safe")
    assert "safe" in cluster.kubectl("get", "deployments")
    provider = wanted.get("provider", "secretbox")
    name = wanted["keys"][0]["name"] if wanted["keys"] else "made-"
    prefix = f"k8s:enc:{provider}:v1:{name}".encode()
    resources = wanted.get("resources", ["secrets"])
    assert stored(cluster, "secrets/default/kept-safe").startswith(prefix) is (provider != "none")
    assert stored(cluster, "deployments/default/safe").startswith(prefix) is (resources != ["secrets"])
    cluster.play("cluster_create")
    assert cluster.idle("cluster_create")
    assert cluster.idle("cluster_rotate")


def test_a_restore_onto_the_running_cluster_is_refused(cluster):
    folder = cluster.folder / "backups"
    cluster.play("cluster_backup", photon_backup_directory=str(folder))
    (path,) = folder.iterdir()
    cluster.kubectl("create", "configmap", "newer")
    assert "kubernetes_restore_reset=true" in cluster.play("cluster_restore", fails=True, photon_backup=str(path))
    assert "newer" in cluster.kubectl("get", "configmaps")
    cluster.play("cluster_restore", photon_backup=str(path), kubernetes_restore_reset=True)
    assert "newer" not in cluster.kubectl("get", "configmaps")
    assert cluster.kept("safe")
    assert cluster.on("cp1", "test ! -e /var/lib/etcd/.restored-from && echo gone").strip() == "gone"


def test_etcd_is_maintained_where_that_is_needed(cluster):
    assert cluster.idle("cluster_maintain")
    assert "cp1 defragmented" in cluster.play("cluster_maintain", kubernetes_maintain_always=True)
    assert "of 8000 MB" in cluster.play("cluster_status") or "in use" in cluster.play("cluster_status")
    assert cluster.kept("safe")


def test_a_deleted_cluster_leaves_nothing_and_ends_nothing_else(cluster):
    cluster.on("cp1", STRANGE)
    cluster.play("cluster_rotate", kubernetes_rotate_days=5000)  # restarts etcd and the API server
    assert cluster.on("cp1", "systemctl is-active own-etcd").strip() == "active"
    cluster.play("cluster_delete", kubernetes_delete="prod")
    left = cluster.on("cp1", "ls /etc/cni/net.d; iptables-save -t nat; nft list tables")
    assert "MINE" in left
    for word in ("calico", "KUBE-", "flannel", "kube-proxy"):
        assert word not in left
    assert cluster.on("cp1", "ls /var/lib/etcd").split() == ["lost+found"]
    assert cluster.on("cp1", "systemctl is-active own-etcd").strip() == "active"
