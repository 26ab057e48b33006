# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creation and resizing, killed in each play: the next run finishes what was begun."""

from __future__ import annotations

import pytest

from lab.kubernetes.versions import NEWER as NEW
from tests.support.kubernetes_lab import until


@pytest.mark.parametrize(
    "step",
    [
        "Group its hosts",
        "Look at the host",
        "Prepare new hosts",
        "Make the first member",
        "Deploy the network",
        "Make what joins",
        "Join as a worker",
        "Settle labels, taints and serving certificates",
        "Deploy add-ons and namespaces",
    ],
)
def test_a_creation_that_is_killed_is_finished_by_the_next_run(make, step):
    cluster = make(1, 1, create=False, version=NEW)
    try:
        cluster.play_killed("cluster_create", step, seconds=4 if "first" in step or "Join" in step else 1)
        cluster.play("cluster_create")
        assert cluster.whole()
        assert cluster.idle("cluster_create")
    finally:
        cluster.lab.destroy()


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    """Three members of etcd, so that taking one out matters."""
    cluster = make(3, 1, version=NEW)
    cluster.keep("resize")
    return cluster


@pytest.mark.parametrize(
    "step",
    [
        "Ask the control plane",
        "Prepare new hosts",
        "Make what joins",
        "Join as a worker",
        "Settle labels, taints and serving certificates",
    ],
)
def test_a_worker_that_joins_by_a_run_that_is_killed(cluster, step):
    cluster.make("w2")
    cluster.groups["prod_workers"] = ["w1", "w2"]
    cluster.play_killed("cluster_resize", step)
    cluster.play("cluster_resize")
    assert cluster.whole()
    cluster.groups["prod_workers"] = ["w1"]
    cluster.play("cluster_resize")
    assert cluster.whole()
    assert cluster.idle("cluster_resize")
    cluster.lab.destroy(["w2"])


@pytest.mark.parametrize("step", ["Move its pods away", "Take it out of etcd", "Reset the host", "Delete its node"])
def test_members_that_leave_by_a_run_that_is_killed(cluster, step):
    """From three control-plane members to one and back: etcd answers all the time, and all of it at the end."""
    cluster.groups["prod_control_plane"] = ["cp1"]
    cluster.play_killed("cluster_resize", step)
    assert cluster.kept("resize")
    cluster.play("cluster_resize")
    assert (cluster.etcd(), cluster.whole()) == (["cp1"], True)
    cluster.groups["prod_control_plane"] = ["cp1", "cp2", "cp3"]
    cluster.play("cluster_resize")
    assert (cluster.etcd(), cluster.whole()) == (["cp1", "cp2", "cp3"], True)
    assert cluster.kept("resize")


STATISTICS = """
python3 - <<'END'
import socket
one = socket.socket(socket.AF_UNIX)
one.connect("/run/haproxy/admin.sock")
one.sendall(b"show stat\\n")
print(b"".join(iter(lambda: one.recv(65536), b"")).decode())
END
"""


def servers(cluster, balancer):
    """Member -> what the balancer's own check of its API server says."""
    rows = [line.split(",") for line in cluster.on(balancer, STATISTICS).splitlines() if line.count(",") > 17]
    return {row[1]: row[17] for row in rows if row[1].startswith("cp")}


def test_the_balancers_send_requests_to_the_members_that_there_are(cluster):
    everybody = dict.fromkeys(("cp1", "cp2", "cp3"), "UP")
    for balancer in ("lb1", "lb2"):
        until(lambda balancer=balancer: servers(cluster, balancer) == everybody)
    cluster.groups["prod_control_plane"] = ["cp1"]
    cluster.play("cluster_resize")
    assert [servers(cluster, balancer) for balancer in ("lb1", "lb2")] == [{"cp1": "UP"}] * 2
    cluster.groups["prod_control_plane"] = ["cp1", "cp2", "cp3"]
    cluster.play("cluster_resize")
    for balancer in ("lb1", "lb2"):
        until(lambda balancer=balancer: servers(cluster, balancer) == everybody)


def test_a_majority_does_not_leave(cluster):
    """With one of three down, another one cannot be taken out: nothing is changed."""
    cluster.lab.cut("cp3")
    try:
        cluster.groups["prod_control_plane"] = ["cp1", "cp3", "cp4"]
        cluster.make("cp4")
        said = cluster.play("cluster_resize", fails=True)
        assert "cluster_repair" in said
        assert cluster.etcd("cp1") == ["cp1", "cp2", "cp3"]
    finally:
        cluster.groups["prod_control_plane"] = ["cp1", "cp2", "cp3"]
        cluster.lab.heal("cp3")
        cluster.lab.destroy(["cp4"])
