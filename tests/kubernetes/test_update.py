# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hosts_update: packages and reboots of balancers and members in turn, stopped and resumed, under load."""

from __future__ import annotations

import json

import pytest

from lab.kubernetes.versions import NEWER as NEW
from tests.support.kubernetes_updates import boots, outdate, publish, update_under_load, version

HOSTS = ["lb1", "lb2", "cp1", "cp2", "cp3", "w1", "w2"]


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    cluster = make(3, 2, version=NEW)
    publish(cluster)
    return cluster


def cordoned(cluster):
    items = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    return [item["metadata"]["name"] for item in items if item["spec"].get("unschedulable")]


def test_all_hosts_are_updated_and_rebooted_and_no_request_fails(cluster, figures):
    outdate(cluster, HOSTS)
    before = boots(cluster, HOSTS)
    said = cluster.play("hosts_update", "--check")
    assert "1 packages have updates" in said
    assert (boots(cluster, HOSTS), version(cluster, "w1")) == (before, "1")
    sent, failures, seconds = update_under_load(cluster)
    figures(hosts_update_s=round(seconds), hosts_update_requests=sent, hosts_update_lost_requests=len(failures))
    after = boots(cluster, HOSTS)
    assert {host: version(cluster, host) for host in HOSTS} == dict.fromkeys(HOSTS, "2")
    assert [host for host in HOSTS if before[host] == after[host]] == []
    assert cluster.etcd() == ["cp1", "cp2", "cp3"]
    assert cluster.whole()
    assert cordoned(cluster) == []
    assert failures == []
    assert cluster.idle("hosts_update")
    assert cluster.idle("cluster_create")


def test_the_first_failure_ends_the_run_and_the_next_one_resumes_there(cluster):
    outdate(cluster, ["w1", "w2"], postinst="exit 3")
    said = cluster.play("hosts_update", fails=True)
    assert "PackageInstallFailed" in said
    assert "photon-probe" in said
    assert (cordoned(cluster), version(cluster, "w2")) == (["w1"], "1")
    for host in ("w1", "w2"):
        cluster.on(host, "dpkg --purge --force-remove-reinstreq photon-probe")
    outdate(cluster, ["w1", "w2"])
    cluster.play("hosts_update")
    assert [version(cluster, host) for host in ("w1", "w2")] == ["2", "2"]
    assert cordoned(cluster) == []


@pytest.mark.parametrize("step", ["Move its pods away", "Reboot"])
def test_a_run_that_is_killed_is_finished_by_the_next_one(cluster, step):
    cluster.on("w1", "dpkg --purge photon-probe")
    outdate(cluster, ["w1"])
    before = boots(cluster, ["w1"])
    cluster.play_killed("hosts_update", step, seconds=3)
    cluster.settle("w1")
    cluster.play("hosts_update")
    assert version(cluster, "w1") == "2"
    assert boots(cluster, ["w1"]) != before
    assert (cordoned(cluster), cluster.whole()) == ([], True)
    assert cluster.idle("hosts_update")
