# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values in the documents that nothing else notices: hardening, expiry, availability during changes."""

from __future__ import annotations

import json

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.documents import (
    addons,
    apiserver,
    host,
    kubeadm,
    network,
)

from tests.support.clusters import cluster, one, read


def parts(text):
    """Kind -> document of a configuration for kubeadm."""
    return {item["kind"]: item for item in map(json.loads, text.split("---\n"))}


def init(**declared):
    found = one(**declared)
    return parts(kubeadm.init(found, found["members"][0]))


def test_a_bootstrap_token_ends():
    (token,) = init()["InitConfiguration"]["bootstrapTokens"]
    assert token["ttl"] == "1h0m0s"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("authentication", {"anonymous": {"enabled": False}, "webhook": {"enabled": True}}),
        ("authorization", {"mode": "Webhook"}),
        ("readOnlyPort", 0),
        ("protectKernelDefaults", True),
        ("rotateCertificates", True),
        ("serverTLSBootstrap", True),
        ("seccompDefault", True),
        ("tlsMinVersion", "VersionTLS12"),
        ("shutdownGracePeriod", "60s"),
        ("shutdownGracePeriodCriticalPods", "20s"),
        ("maxPods", 110),
    ],
)
def test_kubelet_is_configured_as_documented(key, value):
    assert init()["KubeletConfiguration"][key] == value


def test_kubelet_accepts_swap_only_where_that_is_declared():
    assert "failSwapOn" not in init()["KubeletConfiguration"]
    assert init(host={"swap": "ignore"})["KubeletConfiguration"]["failSwapOn"] is False


def test_no_cipher_without_forward_secrecy_or_authentication_is_offered():
    ciphers = init()["KubeletConfiguration"]["tlsCipherSuites"]
    assert len(ciphers) > 3
    for name in ciphers:
        assert name.startswith("TLS_ECDHE_")
        assert "GCM" in name or "CHACHA20_POLY1305" in name


@pytest.mark.parametrize("verb", ["apply", "node"])
def test_an_upgrade_renews_certificates_and_etcd_on_every_member(verb):
    settings = parts(kubeadm.upgrade(one()))["UpgradeConfiguration"][verb]
    assert (settings["certificateRenewal"], settings["etcdUpgrade"]) == (True, True)
    assert settings["patches"] == {"directory": "/etc/kubernetes/patches"}


@pytest.mark.parametrize(
    ("component", "flag", "value"),
    [
        ("apiServer", "profiling", "false"),
        ("apiServer", "enable-admission-plugins", "NodeRestriction"),
        ("apiServer", "kubelet-certificate-authority", "/etc/kubernetes/pki/ca.crt"),
        ("apiServer", "encryption-provider-config-automatic-reload", "true"),
        ("apiServer", "audit-log-maxage", "30"),
        ("apiServer", "tls-min-version", "VersionTLS12"),
        ("apiServer", "tls-cipher-suites", ",".join(kubeadm.CIPHERS)),
        ("controllerManager", "terminated-pod-gc-threshold", "1000"),
        ("controllerManager", "profiling", "false"),
        ("scheduler", "profiling", "false"),
    ],
)
def test_flags_of_the_control_plane(component, flag, value):
    arguments = init()["ClusterConfiguration"][component]["extraArgs"]
    assert {"name": flag, "value": value} in arguments


def test_etcd_has_room_for_8_gib():
    arguments = init()["ClusterConfiguration"]["etcd"]["local"]["extraArgs"]
    assert arguments == [{"name": "quota-backend-bytes", "value": "8589934592"}]


def test_secrets_and_data_of_members_are_closed_to_others():
    document = host.documents(one())["c1"]
    modes = {item["path"]: item["mode"] for item in document["directories"]}
    assert modes["/etc/kubernetes/apiserver"] == "0700"
    assert modes["/var/log/kubernetes/audit"] == "0700"
    assert modes["/var/lib/etcd"] == "0700"
    settings = [item for item in document["files"] if item["path"].startswith("/etc/kubernetes/apiserver/")]
    assert {item["mode"] for item in settings} == {"0600"}
    assert len(settings) >= 3


def test_kernel_settings_of_every_host():
    sysctls = host.documents(one())["w1"]["sysctls"]
    assert sysctls == {
        "net.ipv4.ip_forward": "1",
        "net.bridge.bridge-nf-call-iptables": "1",
        "net.bridge.bridge-nf-call-ip6tables": "1",
        "kernel.keys.root_maxbytes": "25000000",
        "kernel.keys.root_maxkeys": "1000000",
        "kernel.panic": "10",
        "kernel.panic_on_oops": "1",
        "vm.overcommit_memory": "1",
        "vm.panic_on_oom": "0",
    }


def test_swap_and_room_are_checked_as_declared():
    document = host.documents(one())["c1"]
    assert document["swap"] == "off"
    assert document["preflight"]["disk"] == {"/var/lib": 4_000_000_000, "/var/lib/etcd": 1_000_000_000}
    assert "/var/lib/etcd" not in host.documents(one())["w1"]["preflight"]["disk"]
    assert host.documents(one(host={"swap": "ignore"}))["c1"]["swap"] == "ignore"


def test_flannel_uses_the_nodes_own_address_and_changes_node_by_node():
    objects = {(item["kind"], item["metadata"]["name"]): item for item in network.objects(one())}
    daemon = next(item for (kind, _name), item in objects.items() if kind == "DaemonSet")["spec"]
    (container,) = daemon["template"]["spec"]["containers"]
    assert "--iface=$(HOST_ADDRESS)" in container["args"]
    assert {"name": "HOST_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}} in container["env"]
    assert daemon["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1}
    assert container["securityContext"]["privileged"] is False
    assert daemon["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]


@pytest.mark.parametrize(("members", "replicas"), [(1, 2), (3, 3), (5, 3)])
def test_dns_has_a_replica_per_member_up_to_three_and_loses_one_at_a_time(members, replicas):
    names = [f"c{number + 1}" for number in range(members)]
    hostvars = {name: {"kubernetes_address": f"10.0.0.{30 + place}"} for place, name in enumerate([*names, "w1"])}
    groups = {"prod_control_plane": names, "prod_workers": ["w1"]}
    deployment, budget = addons.coredns(read(cluster(), groups=groups, hostvars=hostvars)[0])[1:]
    assert deployment["spec"]["replicas"] == replicas
    assert budget["spec"] == {"maxUnavailable": 1, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}}


def test_metrics_are_served_while_their_server_changes():
    objects = addons.metrics_server(one())
    spec = next(item["spec"] for item in objects if item["kind"] == "Deployment")
    assert spec["strategy"] == {"rollingUpdate": {"maxUnavailable": 0}}
    (container,) = spec["template"]["spec"]["containers"]
    assert container["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_anonymous_requests_are_answered_on_four_paths():
    anonymous = apiserver.authentication([])["anonymous"]
    paths = {item["path"] for item in anonymous["conditions"]}
    assert paths == {
        "/livez", "/readyz", "/healthz", "/api/v1/namespaces/kube-public/configmaps/cluster-info",
    }  # fmt: skip


def test_pod_security_is_enforced_by_default():
    configuration = apiserver.admission(one()["pod_security"])["plugins"][0]["configuration"]
    assert configuration["defaults"].get("enforce") == "baseline"
    assert configuration["defaults"]["warn"] == "restricted"
