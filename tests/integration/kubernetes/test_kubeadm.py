# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm itself reads what is rendered for it, in each version that the lab builds."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.photon.platform.plugins.filter.kubernetes_configuration import kubernetes_configuration
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import versions as product

from lab.kubernetes import cache, versions
from tests.support.clusters import one

MATERIAL = {"token": "abcdef.0123456789abcdef", "ca_hashes": ["sha256:" + "0" * 64], "certificate_key": "1" * 64}
DECLARED = {
    "networks": {"plugin": "routed", "hosts": "10.0.0.0/24", "proxy_mode": "iptables", "node_mask": 25},
    "kubeadm": {"ignore_preflight_errors": ["Swap"], "image_repository": "registry.example.com/k8s",
                "arguments": {"etcd": {"quota-backend-bytes": 4294967296}}},
    "kubelet": {"failSwapOn": False, "evictionHard": {"memory.available": "200Mi"}},
    "kube_proxy": {"conntrack": {"maxPerCore": 0}},
    "nodes": {"w1": {"taints": [{"key": "gpu", "value": "a", "effect": "NoSchedule"}]}},
}  # fmt: skip


def kubeadm(version, *words, check=True):
    """What the program says, standard error included."""
    program = cache.programs("kubernetes", version) / "kubeadm"
    if not program.exists():
        pytest.skip(f"Kubernetes {version} is not built for the lab: make kubernetes-cache")
    run = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0 or not check, run.stdout + run.stderr
    return run.stdout + run.stderr


@pytest.mark.parametrize("version", versions.KUBERNETES)
@pytest.mark.parametrize("declared", [{}, DECLARED], ids=["defaults", "much declared"])
@pytest.mark.parametrize(("host", "verb"), [("c1", "init"), ("c2", "join"), ("w1", "join"), ("c1", "upgrade")])
def test_kubeadm_takes_it_without_a_complaint(tmp_path, version, declared, host, verb):
    path = tmp_path / "configuration.yaml"
    path.write_text(kubernetes_configuration(one(version=version, **declared), host, verb, MATERIAL))
    assert kubeadm(version, "config", "validate", "--config", str(path)).strip() == "ok"


def test_kubeadm_would_tell_an_unknown_key(tmp_path):
    path = tmp_path / "configuration.yaml"
    text = kubernetes_configuration(one(), "c1", "init").replace('"certSANs"', '"certSAN"')
    path.write_text(text)
    assert "certSAN" in kubeadm(versions.NEWER, "config", "validate", "--config", str(path), check=False)


@pytest.mark.parametrize("version", versions.KUBERNETES)
def test_the_sandbox_image_is_kubeadm_s_own(version):
    images = kubeadm(version, "config", "images", "list", "--kubernetes-version", version).split()
    assert one(version=version)["runtime"]["sandbox_image"] in images
    assert product.parse(version).minor in product.SUPPORTED_MINORS
