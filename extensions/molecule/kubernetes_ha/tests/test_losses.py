"""The cluster as clients see it behind the virtual address, while members and balancers are lost."""

from __future__ import annotations

import json
import os
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.hosts import Lab
from tests.support import dns_probe

testinfra_hosts = ["ansible://cp1"]
MEMBERS = ["cp1", "cp2", "cp3"]
Result = namedtuple("Result", "rc stdout stderr")
PATIENCE = 60  # seconds; a member's lease in etcd and the balancers' checks take some


@pytest.fixture(name="lab", scope="module")
def fixture_lab():
    return Lab(os.environ["LAB_NAME"])


@pytest.fixture(name="lost")
def fixture_lost(lab):
    """lost(name) cuts a host off its network until the test is over."""
    names = []

    def cut(name):
        lab.cut(name)
        names.append(name)

    yield cut
    for name in names:
        lab.heal(name)


@pytest.fixture(name="kubectl")
def fixture_kubectl(host):
    """kubectl on the first member, by way of the virtual address: kubectl(words) -> testinfra's result."""
    vip = host.backend.get_variables()["lab_subnet"].replace(".0/24", ".200")
    assert f"https://{vip}:6443" in host.file("/etc/kubernetes/admin.conf").content_string

    def run(words):
        return host.run(f"kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=5s {words}")

    return run


def until(run, words):
    """Run kubectl again until it succeeds; the test fails when it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while (result := run(words)).rc != 0:
        assert time.monotonic() < deadline, result.stderr
        time.sleep(0.5)
    return result.stdout


def writes(run, word):
    """Write and read, each again until it succeeds: before the balancers notice a loss some requests meet it."""
    until(run, f"annotate --overwrite namespace shop lost={word}")
    assert until(run, "get namespace shop -o jsonpath='{.metadata.annotations.lost}'") == word


def test_etcd_has_three_members(kubectl):
    pods = kubectl("-n kube-system get pods -l component=etcd -o jsonpath='{.items[*].spec.nodeName}'").stdout
    assert sorted(pods.split()) == MEMBERS
    certificates = "--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt"
    asked = f"etcdctl {certificates} --key /etc/kubernetes/pki/etcd/server.key endpoint health --cluster"
    said = kubectl(f"-n kube-system exec etcd-cp1 -- {asked}")
    assert (said.stdout + said.stderr).count("is healthy") == 3


def test_dns_is_served_by_one_replica_on_each_member(kubectl):
    pods = json.loads(kubectl("-n kube-system get pods -l k8s-app=kube-dns -o json").stdout)["items"]
    nodes = [pod["spec"]["nodeName"] for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    assert len(nodes) == len(set(nodes)) == len(MEMBERS)


def asked(lab, seconds):
    """What became of DNS queries for a name of the cluster that w1 sent."""
    server = lab.run("w1", ["sh", "-c", "grep -A1 ^clusterDNS: /var/lib/kubelet/config.yaml | tail -n 1"]).stdout
    words = ["python3", "-", server.strip(" -\n"), "kubernetes.default.svc.cluster.local", str(seconds)]
    return json.loads(lab.run("w1", words, input=Path(dns_probe.__file__).read_text(encoding="utf-8")).stdout)


@pytest.mark.parametrize("member", MEMBERS)
def test_writes_and_names_go_on_without_a_member(lab, lost, member):
    """Before Kubernetes notices the loss some queries meet the lost replica, but never many in a row."""
    until_served(lab)
    with ThreadPoolExecutor() as pool:
        found = pool.submit(asked, lab, 12)
        time.sleep(2)
        lost(member)
        member_left = next(name for name in MEMBERS if name != member)
        writes(lambda words: on_member(lab, member_left, words), member)
    queries = found.result()
    assert len(queries) > 30
    assert dns_probe.longest_loss(queries) < 10


def until_served(lab):
    """Wait until all replicas answer again, as a member was lost before."""
    deadline = time.monotonic() + PATIENCE
    while dns_probe.longest_loss(asked(lab, 1)):
        assert time.monotonic() < deadline, "DNS does not recover"


def on_member(lab, member, words):
    """kubectl on one member, by way of the virtual address."""
    command = f"kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout=5s {words}"
    done = lab.run(member, ["sh", "-c", command], check=False)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("balancer", ["lb1", "lb2"])
def test_writes_go_on_without_a_balancer(kubectl, lost, balancer):
    lost(balancer)
    writes(kubectl, balancer)


def test_all_is_well_again(kubectl):
    until(kubectl, "wait --for=condition=Ready node --all --timeout=4s")
