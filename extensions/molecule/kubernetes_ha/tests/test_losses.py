"""The cluster as clients see it behind the virtual address, while members and balancers are lost."""

from __future__ import annotations

import os
import time

import pytest

from lab.hosts import Lab

testinfra_hosts = ["ansible://cp1"]
MEMBERS = ["cp1", "cp2", "cp3"]
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


@pytest.mark.parametrize("member", ["cp2", "cp3"])
def test_writes_go_on_without_a_member(kubectl, lost, member):
    lost(member)
    writes(kubectl, member)


@pytest.mark.parametrize("balancer", ["lb1", "lb2"])
def test_writes_go_on_without_a_balancer(kubectl, lost, balancer):
    lost(balancer)
    writes(kubectl, balancer)


def test_all_is_well_again(kubectl):
    until(kubectl, "wait --for=condition=Ready node --all --timeout=4s")
