# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What forbids to begin, on real hosts: it is told before anything changes anywhere."""

from __future__ import annotations

import json

import pytest

from lab.kubernetes.versions import NEWER as NEW
from lab.kubernetes.versions import OLDER as OLD

# What the playbooks would change: packages, settings, units that run, containers of a member.
STATE = r"""
dpkg-query -W -f '${Package} ${Version} ${Status}\n' | sha256sum
find /etc/kubernetes /etc/containerd /etc/apt /etc/sysctl.d /var/lib/kubelet/config.yaml /var/lib/kubelet/pki -type f \
  -exec stat -c '%n %Y %s' {} + 2>/dev/null | sort | sha256sum
systemctl is-active containerd kubelet || true
pgrep -x kube-apiserver || true
"""
FOREIGN_REQUEST = """
cd /run
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout foreign.key \\
  -subj '/O=system:nodes/CN=system:node:w1' -addext 'subjectAltName=DNS:bank.example' -out foreign.csr 2>/dev/null
printf '%s' '{"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
 "metadata": {"name": "foreign"}, "spec": {"signerName": "kubernetes.io/kubelet-serving",
 "usages": ["digital signature", "server auth"], "request": "'"$(base64 -w0 foreign.csr)"'"}}' > foreign.json
kubectl --kubeconfig /etc/kubernetes/kubelet.conf create -f foreign.json
"""


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    """A member and a worker; w2 is there, empty, for each test to declare it."""
    cluster = make(1, 1, version=NEW)
    cluster.make("w2")
    return cluster


@pytest.fixture(name="refused")
def fixture_refused(cluster):
    """refused(playbook, *words): it fails with these words, and all hosts and nodes are as before."""
    before = dict(cluster.groups), dict(cluster.declared)

    def refused(playbook, *words, **variables):
        hosts = sorted(cluster.lab.hosts())
        there = {host: cluster.on(host, STATE) for host in hosts}
        nodes = labels(cluster)
        said = " ".join(cluster.play(playbook, fails=True, **variables).split())
        assert {host: cluster.on(host, STATE) for host in hosts} == there
        assert labels(cluster) == nodes
        for word in words:
            assert word.lower() in said.lower(), said[-3000:]

    yield refused
    cluster.groups, cluster.declared = before


def labels(cluster):
    """Node -> its labels, taints and whether it is cordoned."""
    items = json.loads(cluster.kubectl("get", "nodes", "-o", "json", member="cp1"))["items"]
    return {item["metadata"]["name"]: (item["metadata"]["labels"], item["spec"]) for item in items}


@pytest.mark.parametrize("playbook", ["cluster_create", "cluster_resize"])
def test_a_host_that_is_gone(cluster, refused, playbook):
    cluster.make("w3")
    cluster.lab.destroy(["w3"])
    cluster.groups["prod_workers"] = ["w1", "w2", "w3"]
    refused(playbook, "w3", "is unreachable", "nothing was changed")


@pytest.mark.parametrize("playbook", ["cluster_create", "cluster_resize"])
def test_a_host_whose_disk_is_full(cluster, refused, playbook):
    cluster.make("w3")
    cluster.on(
        "w3",
        "cp -a /var/lib /run/kept && size=$(du -sm /run/kept | cut -f1) && "
        "mount -t tmpfs -o mode=755,size=$((size + 40))m tmpfs /var/lib && cp -a /run/kept/. /var/lib/",
    )
    cluster.groups["prod_workers"] = ["w1", "w2", "w3"]
    try:
        refused(playbook, "w3", "/var/lib", "free", "nothing was changed")
    finally:
        cluster.lab.destroy(["w3"])


def test_a_host_of_another_cluster(cluster, refused, make):
    """A worker, and a member of the control plane, of a cluster of the same name that is another one."""
    cluster.make("cp2")
    cluster.groups |= {"prod_control_plane": ["cp2"], "prod_workers": ["w2"]}
    cluster.play("cluster_create")
    cluster.groups |= {"prod_control_plane": ["cp1"], "prod_workers": ["w1", "w2"]}
    refused("cluster_create", "w2", "trusts another cluster's authority", "nothing was changed")
    refused("cluster_resize", "w2", "trusts another cluster's authority", "nothing was changed")
    cluster.groups["prod_workers"] = ["w1", "cp2"]
    refused("cluster_create", "cp2", "is a control-plane member but declared as worker", "nothing was changed")
    cluster.lab.destroy(["cp2", "w2"])
    cluster.make("w2")


def test_an_even_number_of_members(cluster, refused):
    cluster.make("cp2")
    cluster.groups["prod_control_plane"] = ["cp1", "cp2"]
    refused("cluster_create", "2")
    cluster.lab.destroy(["cp2"])


@pytest.mark.parametrize(
    ("version", "words"),
    [(OLD, ["cluster_upgrade"]), ("1.37.99", ["cluster_upgrade"]), ("1.99.0", ["not supported"]), ("new", ["'new'"])],
)
def test_another_version(cluster, refused, version, words):
    cluster.declared["version"] = version
    refused("cluster_create", *words)


def test_a_request_for_a_certificate_with_names_of_others(cluster, refused):
    """It comes from a member itself, whose label changes in the same run: nothing of it is done."""
    cluster.on("w1", FOREIGN_REQUEST)
    cluster.declared["nodes"] = {"w1": {"labels": {"example.test/rack": "r9"}}}
    refused("cluster_create", "CertificateRefused", "foreign", "bank.example", "nothing was changed")
    assert "Approved" not in cluster.kubectl("get", "csr", "foreign", "-o", "yaml")
    cluster.kubectl("delete", "csr", "foreign")
    cluster.play("cluster_create")
    assert labels(cluster)["w1"][0]["example.test/rack"] == "r9"


def test_all_of_that_left_the_cluster_whole(cluster):
    assert cluster.whole()
    cluster.declared["nodes"] = {}
    cluster.play("cluster_create")
    assert cluster.idle("cluster_create")
