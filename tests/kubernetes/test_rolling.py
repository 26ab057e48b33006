# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change that restarts containerd reaches one member after the other, and none after one that fails."""

from __future__ import annotations

import re

import pytest

from lab.kubernetes.versions import NEWER as NEW

MEMBERS = ["cp1", "w1", "w2"]
DROP_IN = "/etc/systemd/system/containerd.service.d/proxy.conf"


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    return make(1, 2, version=NEW)


def runtimes(cluster):
    """Member -> the process of its containerd."""
    return {name: cluster.on(name, "systemctl show containerd -p MainPID --value").strip() for name in MEMBERS}


def test_a_member_that_fails_ends_the_run_before_the_next_one(cluster):
    before = runtimes(cluster)
    cluster.on("w1", f"mkdir -p {DROP_IN}/in-the-way")  # a directory where the file belongs
    cluster.declared["runtime"] = {"proxy": {"https": "http://192.0.2.1:3128"}}
    cluster.play("cluster_create", fails=True)
    after = runtimes(cluster)
    assert {name for name in MEMBERS if before[name] != after[name]} == {"cp1"}
    assert cluster.whole()


def test_members_follow_one_by_one_and_each_is_ready_before_the_next(cluster):
    cluster.on("w1", f"rm -r {DROP_IN}")
    before = runtimes(cluster)
    said = cluster.play("cluster_create", "-v")
    after = runtimes(cluster)
    assert {name for name in MEMBERS if before[name] != after[name]} == {"w1", "w2"}
    steps = re.findall(r"TASK \[.* : (Change the member|Wait until its node is Ready)\]", said)
    assert steps == ["Change the member", "Wait until its node is Ready"] * 2
    for name in MEMBERS:
        assert "192.0.2.1:3128" in cluster.on(name, "systemctl show containerd -p Environment")
    assert cluster.idle("cluster_create")


def test_a_proxy_that_is_no_longer_declared_leaves_all_members(cluster):
    del cluster.declared["runtime"]
    cluster.play("cluster_create")
    for name in MEMBERS:
        assert "3128" not in cluster.on(name, f"systemctl show containerd -p Environment; ls {DROP_IN} || true")
    assert cluster.whole()
    assert cluster.idle("cluster_create")


def test_a_worker_that_joins_restarts_nothing_on_the_others(cluster):
    before = runtimes(cluster)
    cluster.make("w3")
    cluster.groups["prod_workers"].append("w3")
    cluster.play("cluster_resize")
    assert cluster.whole()
    assert runtimes(cluster) == before
