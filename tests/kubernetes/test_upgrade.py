# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The upgrade over one minor of a whole cluster that serves, and what a kill leaves of it."""

from __future__ import annotations

import json
import time

import pytest

from lab.kubernetes.versions import NEWER as NEW
from lab.kubernetes.versions import OLDER as OLD
from tests.support.kubernetes_lab import WORKLOAD, until

# The steps of one member; a run that is killed in one is gone on with by the next, which is killed in the one after.
STEPS = [
    "Write the backup",
    "Upgrade kubeadm",
    "Upgrade what kubeadm runs",
    "Move its pods away",
    "Upgrade kubelet",
    "Wait until it is Ready",
    "Let pods in again",
]


def test_an_upgrade_under_load_fails_no_request_of_an_application(make, figures):
    cluster = make(3, 2, version=OLD)
    cluster.apply(WORKLOAD)
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=180s")
    cluster.keep("before")
    cluster.declared["version"] = NEW
    begun = time.monotonic()
    with cluster.api_load() as api, cluster.service_load() as service:
        time.sleep(2)
        cluster.play("cluster_upgrade", photon_backup_directory=str(cluster.folder / "backups"))
        time.sleep(2)
    (cluster.folder / "failures.json").write_text(json.dumps([*api.failures, *service.failures], indent=1))
    figures(
        k8s_upgrade_s=round(time.monotonic() - begun),
        k8s_upgrade_app_requests=service.sent,
        k8s_upgrade_failed_app_requests=len(service.failures),
        k8s_upgrade_api_requests=api.sent,
        k8s_upgrade_failed_api_requests=len(api.failures),
    )
    assert cluster.nodes() == dict.fromkeys(("cp1", "cp2", "cp3", "w1", "w2"), (True, NEW))
    assert cluster.etcd() == ["cp1", "cp2", "cp3"]
    assert cluster.kept("before")
    assert [path.stat().st_mode & 0o777 for path in (cluster.folder / "backups").iterdir()] == [0o600]
    assert service.failures == []
    # A connection to a member whose API server stops may be cut, a second one goes to another member.
    assert len(api.failures) <= api.sent * 0.002, api.failures[:20]
    assert cluster.idle("cluster_upgrade")


@pytest.fixture(name="small", scope="module")
def fixture_small(make):
    cluster = make(1, 1, version=OLD)
    cluster.keep("small")
    return cluster


def test_an_older_version_is_refused_before_anything_changes(small):
    small.declared["version"] = "1.34.4"
    said = small.play("cluster_upgrade", fails=True)
    assert "Kubernetes cannot be downgraded" in said
    assert {version for _ready, version in small.nodes().values()} == {OLD}


def test_a_kubelet_that_somebody_upgraded_is_told(small):
    """No kubelet is newer than the API server; nothing is begun beside one that is."""
    install = "apt-get install -y -q --allow-change-held-packages --allow-downgrades kubelet={} >/dev/null"
    install += "; systemctl restart kubelet"
    small.on("w1", install.format(f"{NEW}-1.1"))
    until(lambda: small.nodes()["w1"] == (True, NEW), 300)
    small.declared["version"] = NEW
    said = " ".join(small.play("cluster_upgrade", fails=True).split())
    assert f"w1: kubelet {NEW} is newer than the API server {OLD}" in said
    assert small.nodes()["cp1"] == (True, OLD)
    small.on("w1", install.format(f"{OLD}-1.1") + "; apt-mark hold kubelet")
    until(lambda: small.nodes()["w1"] == (True, OLD), 300)


@pytest.mark.parametrize("step", STEPS)
def test_an_upgrade_that_is_killed_keeps_what_serves(small, step):
    small.declared["version"] = NEW
    small.play_killed("cluster_upgrade", step, photon_backup_directory=str(small.folder / "backups"))
    # What a killed run began on the host goes on there, and the only API server starts anew with its kubelet.
    until(lambda: all(answers(small) for _time in range(5)), 300)
    assert small.kept("small")
    if step == "Move its pods away":
        no_worker_joins(small)


def answers(small):
    """Does the API answer, 2 seconds from now?"""
    time.sleep(2)
    command = ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=5s", "get", "ns"]
    return small.lab.run("cp1", command, check=False).returncode == 0


def no_worker_joins(small):
    """While an upgrade is half-way: its kubelet would be newer than an API server may be."""
    small.make("w2")
    small.groups["prod_workers"] = ["w1", "w2"]
    try:  # its API may start anew just then
        wanted = "Complete cluster_upgrade first"
        until(lambda: wanted in " ".join(small.play("cluster_resize", fails=True).split()), 300)
        assert "kubelet" not in small.on("w2", "dpkg-query -W -f '${Package} '").split()
    finally:
        small.groups["prod_workers"] = ["w1"]
        small.lab.destroy(["w2"])


def test_the_next_run_finishes_it(small):
    small.play("cluster_upgrade", photon_backup_directory=str(small.folder / "backups"))
    assert small.nodes() == {"cp1": (True, NEW), "w1": (True, NEW)}
    assert small.kept("small")
    assert "unschedulable" not in small.kubectl("get", "nodes", "-o", "json")
