# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that every kubeadm which the lab builds has to pass, and kubeadm itself."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
from ansible_collections.photon.platform.plugins.filter.kubernetes_configuration import kubernetes_configuration
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import versions as product

from lab.kubernetes import cache
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
DECLARATIONS = pytest.mark.parametrize("declared", [{}, DECLARED], ids=["defaults", "much declared"])
VERBS = pytest.mark.parametrize(("host", "verb"), [("c1", "init"), ("c2", "join"), ("w1", "join"), ("c1", "upgrade")])


def kubeadm(version: str, *words: str, check: bool = True) -> str:
    """Return the output of the program of ``version``, standard error included."""
    program = cache.programs("kubernetes", version) / "kubeadm"
    if not program.exists():
        pytest.skip(f"Kubernetes {version} is not built for the lab: make kubernetes-cache")
    run = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0 or not check, run.stdout + run.stderr
    return run.stdout + run.stderr


def check_configuration(folder: pathlib.Path, version: str, declared: dict, host: str, verb: str) -> None:
    """Check that kubeadm accepts what is rendered for a host without a warning."""
    path = folder / "configuration.yaml"
    path.write_text(kubernetes_configuration(one(version=version, **declared), host, verb, MATERIAL))
    assert kubeadm(version, "config", "validate", "--config", str(path)).strip() == "ok"


def check_sandbox_image(version: str) -> None:
    """Check that the sandbox image is the one that kubeadm lists, in a minor version that the product supports."""
    images = kubeadm(version, "config", "images", "list", "--kubernetes-version", version).split()
    assert one(version=version)["runtime"]["sandbox_image"] in images
    assert product.parse(version).minor in product.SUPPORTED_MINORS
