# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster out of one file: its hosts are a bare Debian, and reach nothing but each other and the controller."""

from __future__ import annotations

import shutil
import time

import pytest

from lab.kubernetes import build, cache, packages, service
from lab.kubernetes.versions import NEWER as NEW
from lab.kubernetes.versions import OLDER as OLD
from tests.support.kubernetes_lab import WORKLOAD, Cluster

# What the distribution has of a node, and is not on its bare hosts; apt adds what these depend on.
DISTRIBUTION = ("containerd", "containernetworking-plugins", "conntrack", "ethtool", "socat")
STATE = "dpkg-query -W; find /etc /var/lib/photon /var/lib/containerd -printf '%p %T@\\n' 2>/dev/null | sort; true"


@pytest.fixture(name="collected", scope="module")
def fixture_collected(tmp_path_factory):
    """Folders of packages and images, as an administrator collects them on a host that reaches the internet."""
    folder = tmp_path_factory.mktemp("collected")
    with Cluster("bun-collect", folder / "lab", 1, 0, base="plain") as cluster:
        cluster.on(
            "cp1",
            "apt-get -qq update && mkdir -p /srv/debs/partial && apt-get -qq install --yes --download-only "
            f"-o Dir::Cache::archives=/srv/debs {' '.join(DISTRIBUTION)} && chmod -R a+r /srv/debs",
        )
        distribution = folder / "distribution"
        distribution.mkdir()
        for path in (cluster.lab.directory / "hosts/cp1/root/srv/debs").glob("*.deb"):
            shutil.copy(path, distribution)
    return {
        "photon_bundle_packages": [str(distribution), str(packages.repository())],
        "photon_bundle_images": [str(cache.folder() / "images")],
    }


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(make):
    """Bare hosts without a way out, and without the lab's server of packages and images."""
    cluster = make(1, 1, create=False, base="plain", version=OLD, runtime={"registries": []})
    service.stop(cluster.lab.directory)
    for host in ("cp1", "w1"):
        cluster.on(host, "rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/* /var/lib/apt/lists/*")
        cluster.on(host, "rm -f /etc/apt/apt.conf.d/01lab-proxy")
        for way in (
            "command -v containerd kubeadm",
            "getent hosts registry.k8s.io",
            f"curl -s --max-time 5 http://{cluster.lab.subnet.replace('.0/24', '.1')}:{service.PORT}/packages/Packages",
        ):
            assert cluster.lab.run(host, ["sh", "-c", way], check=False).returncode != 0, way
    return cluster


@pytest.fixture(name="bundle", scope="module")
def fixture_bundle(cluster, collected):
    """A bundle of both versions."""
    path = cluster.folder / "bundle.tar"
    started = time.monotonic()
    cluster.play("cluster_bundle", photon_bundle=str(path), photon_bundle_versions=[NEW, OLD], **collected)
    cluster.bundle_seconds = time.monotonic() - started
    declare(cluster, path)
    return path


def declare(cluster, path):
    cluster.declared["packages"] = {"source": "bundle", "bundle": str(path), "repository": None}


def test_a_second_run_writes_nothing(cluster, bundle, collected):
    before = bundle.stat().st_ino, bundle.stat().st_mtime_ns
    output = cluster.play("cluster_bundle", photon_bundle=str(bundle), photon_bundle_versions=[NEW, OLD], **collected)
    assert "changed=0" in output
    assert (bundle.stat().st_ino, bundle.stat().st_mtime_ns) == before


def test_a_version_that_is_not_collected_is_refused(cluster, bundle, collected):
    output = cluster.play(
        "cluster_bundle", photon_bundle=str(bundle), photon_bundle_versions=["1.37.9"], fails=True, **collected
    )
    assert "packages are missing: kubeadm 1.37.9, kubectl 1.37.9, kubelet 1.37.9" in output
    assert "PackageNotFound" in output


def test_an_image_that_is_not_collected_is_refused(cluster, bundle, collected, tmp_path):
    some = [str(build.archive(name)) for name in build.image_names(NEW) if "etcd" not in name]
    output = cluster.play(
        "cluster_bundle",
        fails=True,
        photon_bundle=str(tmp_path / "b.tar"),
        photon_bundle_versions=[NEW],
        **{**collected, "photon_bundle_images": some},
    )
    assert "images are missing: registry.k8s.io/etcd:" in output
    assert "ImageNotFound" in output
    assert not (tmp_path / "b.tar").exists()


def damaged(bundle, folder, how):
    """A bundle with one byte that is another, or without its end."""
    path = folder / "bad.tar"
    shutil.copy(bundle, path)
    with open(path, "r+b") as handle:
        handle.seek(path.stat().st_size // 2)
        if how == "truncated":
            handle.truncate()
        else:
            byte = handle.read(1)
            handle.seek(-1, 1)
            handle.write(bytes([byte[0] ^ 1]))
    return path


@pytest.mark.parametrize(("how", "why"), [("changed", "has a wrong checksum"), ("truncated", "unexpected end of data")])
def test_a_bundle_that_is_damaged_touches_no_host(cluster, bundle, tmp_path, how, why):
    declare(cluster, damaged(bundle, tmp_path, how))
    refused(cluster, "ManifestNotFound", why, "make one with playbook cluster_bundle")
    declare(cluster, bundle)


def test_a_version_that_the_bundle_lacks_touches_no_host(cluster, bundle):
    cluster.declared["version"] = "1.36.2"
    refused(cluster, f"photon_clusters[0].version: is not in the bundle {bundle}, which has {OLD}, {NEW}")
    cluster.declared["version"] = OLD


def test_an_image_that_the_bundle_lacks_touches_no_host(cluster, bundle):
    cluster.declared["addons"] = {"metrics_server": {"image": "example.test/metrics:1"}}
    refused(cluster, f"{bundle} lacks the images example.test/metrics:1", "with playbook cluster_bundle")
    del cluster.declared["addons"]


def refused(cluster, *words):
    before = [cluster.on(host, STATE) for host in ("cp1", "w1")]
    output = " ".join(cluster.play("cluster_create", fails=True).split())
    for word in words:
        assert word in output
    assert "changed: [" not in output
    assert [cluster.on(host, STATE) for host in ("cp1", "w1")] == before


def test_a_run_that_was_killed_while_it_sent_is_gone_on_with(cluster, bundle):
    cluster.play_killed("cluster_create", "Bring what the host lacks of the bundle", seconds=5)


def test_a_cluster_comes_out_of_the_bundle_alone(cluster, bundle, figures):
    started = time.monotonic()
    cluster.play("cluster_create")
    figures(
        bundle_bytes=bundle.stat().st_size,
        bundle_written_s=round(cluster.bundle_seconds, 1),
        bundle_create_s=round(time.monotonic() - started, 1),
    )
    assert cluster.whole()
    # Its image came along. Without its disruption budget, which the only worker could not keep while it is drained.
    cluster.apply([item for item in WORKLOAD if item["kind"] != "PodDisruptionBudget"])
    cluster.kubectl("rollout", "status", "deployment/hello", "--timeout=120s")


def test_a_host_gets_what_it_runs(cluster):
    control_plane, worker = images(cluster, "cp1"), images(cluster, "w1")
    assert {f"registry.k8s.io/kube-proxy:v{OLD}", f"registry.k8s.io/kube-apiserver:v{OLD}"} <= control_plane
    assert not [name for name in control_plane if f":v{NEW}" in name]
    assert f"registry.k8s.io/kube-proxy:v{OLD}" in worker
    assert not [name for name in worker if "kube-apiserver" in name or "etcd" in name]


def test_a_second_create_changes_nothing(cluster, figures):
    started = time.monotonic()
    output = cluster.play("cluster_create")
    figures(bundle_noop_s=round(time.monotonic() - started, 1))
    assert output.count("changed=0") == 3, output[-1500:]


def test_what_was_taken_away_comes_back(cluster):
    name = f"registry.k8s.io/kube-proxy:v{OLD}"
    cluster.on("w1", f"ctr -n k8s.io images rm {name}; rm /var/lib/photon/bundle/packages/kubelet_*.deb")
    cluster.on("cp1", f"ctr -n k8s.io images label {name} io.cri-containerd.pinned=")
    assert name not in images(cluster, "w1")
    output = cluster.play("cluster_create")
    assert output.count("changed=1") == 2, output[-1500:]
    assert name in images(cluster, "w1")
    assert "changed=0" in cluster.play("cluster_create")


def test_an_upgrade_comes_out_of_the_bundle(cluster):
    cluster.declared["version"] = NEW
    cluster.play("cluster_upgrade", photon_backup_directory=str(cluster.folder / "backups"))
    assert {version for _ready, version in cluster.nodes().values()} == {NEW}
    assert cluster.whole()
    held = cluster.on("w1", "ctr -n k8s.io images ls | grep io.cri-containerd.pinned=pinned | awk '{print $1}'").split()
    assert f"registry.k8s.io/kube-proxy:v{NEW}" in held
    assert f"registry.k8s.io/kube-proxy:v{OLD}" not in held, "kubelet may make room"
    assert cluster.play("cluster_create").count("changed=0") == 3


def images(cluster, host):
    return set(cluster.on(host, "ctr -n k8s.io images ls -q").split())
