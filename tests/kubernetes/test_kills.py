# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Creation and resizing, killed in each play: the next run finishes what was begun."""

from __future__ import annotations

import pytest

from lab.kubernetes.versions import NEWER as NEW


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


def test_a_new_control_plane_member_is_known_to_the_balancers(cluster):
    said = cluster.on("lb1", "echo 'show stat' | socat - /run/haproxy/admin.sock || cat /etc/haproxy/haproxy.cfg")
    assert all(cluster.address(name) in said or name in said for name in ("cp1", "cp2", "cp3"))


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
