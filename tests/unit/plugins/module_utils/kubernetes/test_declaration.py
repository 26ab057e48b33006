# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""photon_clusters: all mistakes are reported at once with their key paths before any host is contacted."""

from __future__ import annotations

import base64
import json

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import declaration, encryption
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.documents import kubeadm, namespaces
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.schema import CLUSTER
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bundles import manifest
from tests.support.clusters import GROUPS, HOSTVARS, SECRET, cluster, one, read

ROOT = "photon_clusters[0]"


def mistakes(*clusters, **inventory):
    """Return path -> message of each mistake."""
    with pytest.raises(PhotonError) as caught:
        read(*clusters, **inventory)
    assert caught.value.code == "SpecInvalid"
    return {item["path"]: item["message"] for item in caught.value.data["mistakes"]}


def test_defaults_make_a_complete_cluster():
    found = one()
    assert (found["version"], found["minor"], found["first"]) == ("1.37.2", "1.37", "c1")
    assert found["control_plane"] == ["c1", "c2", "c3"]
    assert found["workers"] == ["w1", "w2"]
    assert found["endpoint"]["port"] == found["endpoint"]["bind_port"] == 6443
    assert found["networks"]["dns"] == "10.96.0.10"
    assert found["runtime"]["cni_bin_dir"] == "/usr/lib/cni"
    assert found["runtime"]["sandbox_image"].endswith("/pause:3.10.2")
    assert found["packages"]["repository"]["url"] == "http://packages.example.com/1.37"
    assert found["packages"]["repository"]["key"].startswith("-----BEGIN PGP")
    assert found["addons"]["metrics_server"]["enabled"] is True
    assert [member["role"] for member in found["members"]] == ["control_plane"] * 3 + ["worker"] * 2
    assert found["members"][0]["taints"] == [
        {"key": "node-role.kubernetes.io/control-plane", "value": None, "effect": "NoSchedule"}
    ]
    assert "path" not in json.dumps(found["namespaces"])


def test_single_member_is_its_own_endpoint_and_runs_pods():
    groups = {"small_control_plane": ["c1"]}
    found = read(cluster(name="small", endpoint={"port": 8443}), groups=groups)[0]
    assert found["endpoint"]["host"] == found["endpoint"]["address"] == "10.0.0.20"
    assert found["endpoint"]["bind_port"] == 8443
    assert found["members"][0]["taints"] == []


def test_name_with_dashes_has_groups_with_underscores():
    groups = {"my_prod_control_plane": ["c1"], "my_prod_workers": ["w1"]}
    assert read(cluster(name="my-prod"), groups=groups)[0]["workers"] == ["w1"]


def test_node_settings_come_from_the_declaration_and_the_host():
    nodes = {"w1": {"labels": {"disk": "ssd", "rack": "a"}, "kubelet": {"maxPods": 50, "podPidsLimit": 10}}}
    taint = {"key": "gpu", "effect": "NoSchedule"}
    own = {"kubernetes_labels": {"rack": "b"}, "kubernetes_taints": [taint], "kubernetes_kubelet": {"maxPods": 60}}
    found = read(cluster(nodes=nodes), hostvars={**HOSTVARS, "w1": {**HOSTVARS["w1"], **own}})[0]
    member = next(member for member in found["members"] if member["name"] == "w1")
    assert member["labels"] == {"disk": "ssd", "rack": "b"}
    assert member["kubelet"] == {"maxPods": 60, "podPidsLimit": 10}
    assert member["taints"] == [{**taint, "value": None}]


def test_normal_form_contains_no_secrets():
    declared = cluster(encryption={"keys": [{"name": "k1", "secret": SECRET}]})
    found = read(declared)
    assert SECRET not in json.dumps(found)
    assert found[0]["encryption"]["keys"] == [{"name": "k1", "label": encryption.label("secretbox", "k1", SECRET)}]
    assert declaration.secrets_of([declared], "prod") == [{"name": "k1", "secret": SECRET}]
    assert declaration.secrets_of([declared], "other") == []
    assert declared["encryption"]["keys"][0]["secret"] == SECRET, "the declaration itself must not change"


def test_reading_does_not_change_its_input():
    declared = cluster(nodes={"w1": {"labels": {"a": "b"}}})
    before = json.dumps(declared)
    read(declared)
    assert json.dumps(declared) == before


def test_routed_pod_network_is_derived_from_the_address_only():
    networks = {"plugin": "routed", "hosts": "10.0.0.0/24"}
    five = one(networks=networks)
    fewer = read(cluster(networks=networks), groups={**GROUPS, "prod_workers": ["w2"]})[0]
    parts = {member["name"]: member["pod_network"] for member in five["members"]}
    assert parts["w2"] == "10.244.24.0/24"
    assert {member["name"]: member["pod_network"] for member in fewer["members"]}.items() <= parts.items()


def test_pod_network_of_a_host_takes_precedence():
    own = {**HOSTVARS, "w2": {**HOSTVARS["w2"], "kubernetes_pod_network": "10.244.200.0/24"}}
    found = read(cluster(networks={"plugin": "routed", "hosts": "10.0.0.0/24"}), hostvars=own)[0]
    assert found["members"][-1]["pod_network"] == "10.244.200.0/24"


KEYS = {
    "unknown key": (cluster(verison="1.37.2"), f"{ROOT}.verison", "did you mean 'version'"),
    "unknown key within": (cluster(networks={"pod": "10.1.0.0/16"}), f"{ROOT}.networks.pod", "did you mean 'pods'"),
    "wrong choice": (cluster(networks={"plugin": "flanel"}), f"{ROOT}.networks.plugin", "did you mean 'flannel'"),
    "no cluster name": ({**cluster(), "name": None}, f"{ROOT}.name", "missing"),
    "bad cluster name": (cluster(name="Prod"), f"{ROOT}.name", "lowercase"),
    "no version": (cluster(version="1.37"), f"{ROOT}.version", "all three numbers"),
    "a version as a number": (cluster(version=1.37), f"{ROOT}.version", "all three numbers"),
    "old version": (cluster(version="1.29.1"), f"{ROOT}.version", "is not supported"),
    "overlap of pods and services": (
        cluster(networks={"pods": "10.96.0.0/12"}), f"{ROOT}.networks.pods", "services 10.96.0.0/16 overlap"),
    "overlap with hosts": (
        cluster(networks={"hosts": "10.0.0.0/8"}), f"{ROOT}.networks.pods", "hosts 10.0.0.0/8 overlap"),
    "host bits": (cluster(networks={"services": "10.96.0.1/16"}), f"{ROOT}.networks.services", "Write 10.96.0.0/16"),
    "services too small": (cluster(networks={"services": "10.96.0.0/30"}), f"{ROOT}.networks.services", "12 and 28"),
    "pods too small": (cluster(networks={"pods": "10.244.0.0/22"}), f"{ROOT}.networks.pods", "4 parts of /24 for 5"),
    "node_mask": (
        cluster(networks={"node_mask": 16, "pods": "10.244.0.0/20"}), f"{ROOT}.networks.node_mask", "must be a part"),
    "routed without hosts": (cluster(networks={"plugin": "routed"}), f"{ROOT}.networks.hosts", "required"),
    "routed without room": (
        cluster(networks={"plugin": "routed", "hosts": "10.0.0.0/24", "pods": "10.244.0.0/20"}),
        f"{ROOT}.members.c1.pod_network", "kubernetes_pod_network"),
    "manifest without a file": (cluster(networks={"plugin": "manifest"}), f"{ROOT}.networks.manifest", "required"),
    "manifest that does not exist": (
        cluster(networks={"plugin": "manifest", "manifest": "no.yml"}), f"{ROOT}.networks.manifest", "cannot be read"),
    "manifest for nothing": (
        cluster(networks={"manifest": "calico.yml"}), f"{ROOT}.networks.manifest", "plugin: manifest"),
    "no endpoint": (cluster(endpoint={}), f"{ROOT}.endpoint.address", "required for 3 members"),
    "endpoint is a member": (cluster(endpoint={"address": "10.0.0.21"}), f"{ROOT}.endpoint.address", "address of c2"),
    "endpoint among pods": (cluster(endpoint={"address": "10.244.0.9"}), f"{ROOT}.endpoint.address", "networks.pods"),
    "endpoint is a name": (cluster(endpoint={"address": "vip"}), f"{ROOT}.endpoint.address", "valid IPv4 address"),
    "port": (cluster(endpoint={"address": "10.0.0.10", "port": 70000}), f"{ROOT}.endpoint.port", "out of range"),
    "issuer without https": (
        cluster(oidc=[{"issuer": "http://idp", "audiences": ["k"]}]), f"{ROOT}.oidc[0].issuer", "https URL"),
    "issuer without audience": (cluster(oidc=[{"issuer": "https://idp"}]), f"{ROOT}.oidc[0].audiences", "missing"),
    "issuer twice": (
        cluster(oidc=[{"issuer": "https://idp", "audiences": ["k"]}] * 2), f"{ROOT}.oidc[1].issuer", "defined twice"),
    "reserved prefix": (
        cluster(oidc=[{"issuer": "https://idp", "audiences": ["k"], "prefix": "system:"}]),
        f"{ROOT}.oidc[0].prefix", "must not be system:"),
    "invalid authority": (
        cluster(oidc=[{"issuer": "https://idp", "audiences": ["k"], "certificate_authority": "key.asc"}]),
        f"{ROOT}.oidc[0].certificate_authority", "does not contain the line -----BEGIN CERTIFICATE"),
    "short secret": (
        cluster(encryption={"keys": [{"name": "k", "secret": base64.b64encode(b"short").decode()}]}),
        f"{ROOT}.encryption.keys[0].secret", "must have 32 bytes, got 5"),
    "secret that is not base64": (
        cluster(encryption={"keys": [{"name": "k", "secret": "%%%"}]}),
        f"{ROOT}.encryption.keys[0].secret", "not valid base64"),
    "key name": (
        cluster(encryption={"keys": [{"name": "a:b", "secret": SECRET}]}),
        f"{ROOT}.encryption.keys[0].name", "letters"),
    "keys for nothing": (
        cluster(encryption={"provider": "none", "keys": [{"name": "k", "secret": SECRET}]}),
        f"{ROOT}.encryption.keys", "not used"),
    "namespace twice": (cluster(namespaces=[{"name": "web"}, {"name": "web"}]), f"{ROOT}.namespaces[1].name", "twice"),
    "reserved namespace": (cluster(namespaces=[{"name": "kube-system"}]), f"{ROOT}.namespaces[0].name", "reserved"),
    "group with the prefix": (
        cluster(oidc=[{"issuer": "https://idp", "audiences": ["k"]}],
                namespaces=[{"name": "web", "admin": ["lightwave:photon\\web"]}]),
        f"{ROOT}.namespaces[0].admin[0]", "did you mean 'photon\\\\web'"),
    "system group": (
        cluster(namespaces=[{"name": "web", "view": ["system:masters"]}]),
        f"{ROOT}.namespaces[0].view[0]", "not allowed"),
    "unknown node": (cluster(nodes={"w11": {}}), f"{ROOT}.nodes.w11", "did you mean 'w1'"),
    "taint": (
        cluster(nodes={"w1": {"taints": [{"key": "a", "effect": "NoSchedul"}]}}),
        f"{ROOT}.nodes.w1.taints[0].effect", "did you mean 'NoSchedule'"),
    "kubelet key of the role": (
        cluster(kubelet={"cgroupDriver": "x"}), f"{ROOT}.kubelet.cgroupDriver", "runtime.cgroup_driver"),
    "kube-proxy key of the role": (cluster(kube_proxy={"mode": "x"}), f"{ROOT}.kube_proxy.mode", "networks.proxy_mode"),
    "argument of nothing": (
        cluster(kubeadm={"arguments": {"apiserver": {}}}),
        f"{ROOT}.kubeadm.arguments.apiserver", "did you mean 'api_server'"),
    "no repository": (cluster(packages={}), f"{ROOT}.packages.repository", "required"),
    "unsigned repository": (
        cluster(packages={"repository": {"url": "http://a"}}), f"{ROOT}.packages.repository.key", "trusted: true"),
    "no bundle": (cluster(packages={"source": "bundle"}), f"{ROOT}.packages.bundle", "cluster_bundle"),
    "mirror": (
        cluster(runtime={"registries": [{"host": "_default", "mirrors": ["mirror:5000"]}]}),
        f"{ROOT}.runtime.registries[0].mirrors[0]", "is not a valid URL"),
    "only mirrors, none named": (
        cluster(runtime={"registries": [{"host": "a", "only_mirrors": True}]}),
        f"{ROOT}.runtime.registries[0].mirrors", "required"),
    **{
        f"address {address}": (
            cluster(endpoint={"address": address}), f"{ROOT}.endpoint.address", reason)
        for address, reason in (
            ("127.0.0.1", "is a loopback address"), ("0.0.0.0", "is no address"),
            ("224.0.0.1", "is a multicast address"), ("255.255.255.255", "is a reserved or broadcast address"),
            ("169.254.1.1", "is a link-local address"))
    },
    **{
        f"pods {network}": (cluster(networks={"pods": network}), f"{ROOT}.networks.pods", "Choose a private network")
        for network in ("127.0.0.0/16", "224.0.0.0/16", "169.254.0.0/16", "240.0.0.0/16")
    },
    "network address": (
        cluster(networks={"hosts": "10.0.0.20/31"}), f"{ROOT}.members.c3.address", "is not within"),
    "broadcast address": (
        cluster(networks={"hosts": "10.0.0.16/29"}), f"{ROOT}.members.w1.address",
        "is the broadcast address of networks.hosts 10.0.0.16/29"),
    "endpoint host": (cluster(endpoint={"host": "a..b", "address": "10.0.0.10"}), f"{ROOT}.endpoint.host", "'a..b'"),
    "endpoint host in capitals": (
        cluster(endpoint={"host": "API.example.com", "address": "10.0.0.10"}), f"{ROOT}.endpoint.host", "lowercase"),
    "certificate name": (
        cluster(endpoint={"address": "10.0.0.10", "certificate_names": ["*.example.com", "http://api"]}),
        f"{ROOT}.endpoint.certificate_names[1]", "neither a host name nor an address"),
    "domain": (cluster(networks={"domain": "Cluster Local"}), f"{ROOT}.networks.domain", "not a valid domain"),
    "image repository": (
        cluster(kubeadm={"image_repository": "https://registry.example.com"}), f"{ROOT}.kubeadm.image_repository",
        "without a scheme"),
    "certificates outlive authorities": (
        cluster(kubeadm={"certificate_days": 3650, "authority_days": 30}), f"{ROOT}.kubeadm.certificate_days",
        "not be more than authority_days"),
    "kubelet key": (cluster(kubelet={"maxpods": 50}), f"{ROOT}.kubelet.maxpods", "did you mean 'maxPods'"),
    "kubelet number": (
        cluster(nodes={"w1": {"kubelet": {"maxPods": "fifty"}}}), f"{ROOT}.members.w1.kubelet.maxPods", "a number"),
    "kubelet text": (
        cluster(kubelet={"systemReserved": {"cpu": 1}}), f"{ROOT}.kubelet.systemReserved", "cpu must be a text"),
    "kubelet duration": (
        cluster(kubelet={"shutdownGracePeriod": "1 minute"}), f"{ROOT}.kubelet.shutdownGracePeriod", "a duration"),
    "kubelet with swap": (
        cluster(kubelet={"failSwapOn": True}, host={"swap": "ignore"}), f"{ROOT}.kubelet.failSwapOn",
        "would not start"),
    "kubelet without certificates": (
        cluster(kubelet={"serverTLSBootstrap": False}), f"{ROOT}.kubelet.serverTLSBootstrap", "must stay true"),
    "kubelet domain": (cluster(kubelet={"clusterDomain": "foo"}), f"{ROOT}.kubelet.clusterDomain", "networks.domain"),
    "too many pods": (cluster(kubelet={"maxPods": 500}), f"{ROOT}.kubelet.maxPods", "addresses for 253 pods"),
    "label": (cluster(nodes={"w1": {"labels": {"a b": "x"}}}), f"{ROOT}.members.w1.labels.a b", "must consist of"),
    "label value": (
        cluster(nodes={"w1": {"labels": {"a": "x" * 64}}}), f"{ROOT}.members.w1.labels.a", "must consist of"),
    "label prefix": (
        cluster(nodes={"w1": {"labels": {"a_b/c": "x"}}}), f"{ROOT}.members.w1.labels.a_b/c", "not a valid domain"),
    "label of kubelet": (
        cluster(nodes={"w1": {"labels": {"kubernetes.io/os": "windows"}}}),
        f"{ROOT}.members.w1.labels.kubernetes.io/os", "is set by kubelet"),
    "taint of a node": (
        cluster(nodes={"w1": {"taints": [{"key": "a b", "effect": "NoSchedule"}]}}), f"{ROOT}.members.w1.taints.a b",
        "must consist of"),
    "taint twice": (
        cluster(nodes={"w1": {"taints": [{"key": "a", "value": v, "effect": "NoSchedule"} for v in "xy"]}}),
        f"{ROOT}.members.w1.taints.a", "defined twice"),
    **{
        f"flag {flag}": (
            cluster(kubeadm={"arguments": {part: {flag: value}}}), f"{ROOT}.kubeadm.arguments.{part}.{flag}", reason)
        for part, flag, value, reason in (
            ("api_server", "anonymous-auth", False, "is set by the role. Use oidc"),
            ("api_server", "oidc-issuer-url", "https://idp", "Use oidc"),
            ("api_server", "authorization-mode", "AlwaysAllow", "all rights"),
            ("api_server", "v", None, "has no value"),
            ("kubelet", "node-ip", "10.0.0.1", "kubernetes_address"),
            ("scheduler", "a flag", 1, "not a valid flag"))
    },
    "flag twice": (
        cluster(kubeadm={"arguments": {"scheduler": {"profiling": True, "--profiling": False}}}),
        f"{ROOT}.kubeadm.arguments.scheduler.--profiling", "given twice"),
    "flag of a node": (
        cluster(nodes={"w1": {"kubelet_arguments": {"config": "/x"}}}), f"{ROOT}.members.w1.kubelet_arguments.config",
        "is set by the role"),
    **{
        f"forward {server}": (
            cluster(addons={"coredns": {"forward": [server]}}), f"{ROOT}.addons.coredns.forward[0]", reason)
        for server, reason in (
            ("127.0.0.53", "CoreDNS itself"), ("not an ip", "must be an address"), ("10.96.0.10", "Services"),
            ("10.0.0.53:99999", "not a valid port"))
    },
    **{
        f"zone {zone}": (
            cluster(addons={"coredns": {"zones": {zone: ["10.0.0.53"]}}}),
            f"{ROOT}.addons.coredns.zones.{zone}", reason)
        for zone, reason in ((".", "forward has the servers"), ("bad zone", "not a valid domain"),
                             ("cluster.local", "own domain"), ("x.cluster.local", "own domain"))
    },
    "zone with a bad server": (
        cluster(addons={"coredns": {"zones": {"corp": ["x y"]}}}), f"{ROOT}.addons.coredns.zones.corp[0]",
        "must be an address"),
    "mode of a proxy that is left out": (
        cluster(networks={"proxy_mode": "none"}, kube_proxy={"conntrack": {"min": 0}}), f"{ROOT}.kube_proxy", "none"),
    "prefix twice": (
        cluster(oidc=[{"issuer": f"https://idp{n}", "audiences": ["k"]} for n in "ab"]), f"{ROOT}.oidc[1].prefix",
        "'lightwave:' is also the prefix of https://idpa"),
    "secret with a line break": (
        cluster(encryption={"keys": [{"name": "k", "secret": SECRET + "\n"}]}), f"{ROOT}.encryption.keys[0].secret",
        "line break"),
    "mirror with a user": (
        cluster(runtime={"registries": [{"host": "quay.io", "mirrors": ["https://user:pw@host"]}]}),
        f"{ROOT}.runtime.registries[0].mirrors[0]", "must not contain a user"),
    "registry outside its folder": (
        cluster(runtime={"registries": [{"host": ".."}]}), f"{ROOT}.runtime.registries[0].host", "must be a host name"),
    "proxy": (cluster(runtime={"proxy": {"https": "proxy:3128"}}), f"{ROOT}.runtime.proxy.https", "not a valid URL"),
    "swap": (cluster(host={"swap": True}), f"{ROOT}.host.swap", "must be text"),
    "registry with a path": (
        cluster(runtime={"registries": [{"host": "https://a/b"}]}),
        f"{ROOT}.runtime.registries[0].host", "without scheme and path"),
    "zone without servers": (
        cluster(addons={"coredns": {"zones": {"corp": "10.0.0.53"}}}), f"{ROOT}.addons.coredns.zones.corp", "a list"),
    "invalid section": (cluster(networks=5), f"{ROOT}.networks", "must be a mapping"),
    "metrics_server": (cluster(addons={"metrics_server": "yes"}), f"{ROOT}.addons.metrics_server", "must be a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("case", KEYS)
def test_mistake_is_reported_with_its_key_path(case):
    declared, path, said = KEYS[case]
    found = mistakes(declared, groups={**GROUPS, "Prod_control_plane": ["c1"]})
    assert path in found
    assert said in found[path]


@pytest.mark.parametrize("count", [0, 2, 4])
def test_even_number_of_members_is_refused(count):
    hosts = [f"m{number}" for number in range(count)]
    hostvars = {name: {"kubernetes_address": f"10.0.0.{30 + place}"} for place, name in enumerate(hosts)}
    found = mistakes(cluster(), groups={"prod_control_plane": hosts}, hostvars=hostvars)
    assert "1, 3 or 5" in found[f"{ROOT}.control_plane"]


def test_missing_or_duplicate_addresses_of_members():
    hostvars = {**HOSTVARS, "w1": {"ansible_host": "10.0.0.23"}, "w2": {"kubernetes_address": "10.0.0.20"}}
    found = mistakes(cluster(), hostvars=hostvars)
    assert "no variable kubernetes_address" in found[f"{ROOT}.members.w1.address"]
    assert "also the address of c1" in found[f"{ROOT}.members.w2.address"]


def test_member_outside_the_hosts_network():
    found = mistakes(cluster(networks={"hosts": "10.0.1.0/24"}))
    assert "is not within networks.hosts" in found[f"{ROOT}.members.c1.address"]


def test_invalid_node_name():
    hostvars = {**HOSTVARS, "W_1": {"kubernetes_address": "10.0.0.40"}}
    found = mistakes(cluster(), groups={**GROUPS, "prod_workers": ["W_1"]}, hostvars=hostvars)
    assert "Rename the host" in found[f"{ROOT}.members.W_1"]


def test_host_in_both_groups_or_in_two_clusters():
    groups = {**GROUPS, "prod_workers": ["w1", "c1"], "test_control_plane": ["w1"]}
    found = mistakes(cluster(), cluster(name="test", endpoint={}), groups=groups)
    assert "prod_control_plane and prod_workers" in found[f"{ROOT}.members.c1"]
    assert "prod_workers and test_control_plane" in found["photon_clusters[1].members.w1"]


def test_two_clusters_with_one_name_or_the_same_groups():
    groups = {"a_b_control_plane": ["c1"]}
    found = mistakes(cluster(name="a-b", endpoint={}), cluster(name="a-b", endpoint={}), groups=groups)
    assert "same inventory groups as photon_clusters[0]" in found["photon_clusters[1].name"]


def test_version_missing_in_the_bundle():
    packages = {"source": "bundle", "bundle": "b.tar"}
    assert read(cluster(packages=packages), bundle=manifest("1.37.2"))[0]["packages"]["bundle"] == "b.tar"
    found = mistakes(cluster(packages=packages), bundle=manifest("1.36.3"))
    assert "is not in the bundle b.tar, which contains 1.36.3" in found[f"{ROOT}.version"]


def test_image_missing_in_the_bundle():
    packages = {"source": "bundle", "bundle": "b.tar"}
    found = mistakes(cluster(packages=packages), bundle=manifest("1.37.2", "flannel:", "etcd"))
    assert found[f"{ROOT}.packages.bundle"] == (
        "b.tar lacks the images etcd, ghcr.io/flannel-io/flannel:v0.28.10. Add them with playbook cluster_bundle."
    )


def test_bundle_for_hosts_with_dnf():
    packages = {"source": "bundle", "bundle": "b.tar", "manager": "dnf"}
    found = mistakes(cluster(packages=packages), bundle=manifest("1.37.2"))
    assert "packages for apt only" in found[f"{ROOT}.packages.source"]


def test_unreadable_bundle_is_a_mistake_too():
    def broken(name):
        raise PhotonError("ManifestNotFound", f"{name} has no manifest")

    found = mistakes(cluster(packages={"source": "bundle", "bundle": "b.tar"}), bundle=broken)
    assert found[f"{ROOT}.packages.bundle"] == "b.tar has no manifest"


def test_all_mistakes_of_all_clusters_are_reported_at_once():
    found = mistakes(
        cluster(version="2", networks={"pods": "10.96.0.0/12"}, nodes={"x": {}}, unknown=1, endpoint={"port": "x"}),
        cluster(name="other", oidc=[{"issuer": "ftp://x", "audiences": ["k"]}]),
    )
    assert {
        f"{ROOT}.version", f"{ROOT}.networks.pods", f"{ROOT}.nodes.x", f"{ROOT}.unknown", f"{ROOT}.endpoint.port",
        "photon_clusters[1].control_plane", "photon_clusters[1].oidc[0].issuer",
    } <= set(found)  # fmt: skip


def test_secret_is_never_printed():
    found = mistakes(cluster(encryption={"keys": [{"name": "k", "secret": "c2VjcmV0LXRleHQ="}]}, version="x"))
    assert "c2VjcmV0" not in json.dumps(found)


def test_cluster_is_selected_by_name():
    clusters = [{"name": "prod"}, {"name": "test"}]
    assert declaration.select(clusters, "test")["name"] == "test"
    assert declaration.select(clusters[:1], "")["name"] == "prod"
    with pytest.raises(PhotonError, match="did you mean 'prod'"):
        declaration.select(clusters, "prd")
    with pytest.raises(PhotonError, match="photon_cluster=NAME"):
        declaration.select(clusters, "")


@pytest.mark.parametrize(
    ("resources", "reason"),
    [
        (["secrets", "Deployments"], "[1]: 'Deployments': must be such as"),
        (["secrets/status"], "[0]: 'secrets/status': must be such as"),
        (["*"], "[0]: '*': must be such as"),
        (["secrets", "*."], "[0]: 'secrets' is covered by another"),
        (["*.apps", "deployments.apps"], "[1]: 'deployments.apps' is covered"),
        (["secrets", "secrets"], "[0]: 'secrets' is covered"),
        ([], "must not be empty"),
    ],
)
def test_resources_that_the_api_server_refuses_to_encrypt(resources, reason):
    with pytest.raises(PhotonError) as error:
        one(encryption={"resources": resources})
    assert reason in error.value.message


@pytest.mark.parametrize("resources", [["secrets", "deployments.apps"], ["*.*"], ["*.", "*.apps", "x.example.com"]])
def test_resources_to_encrypt(resources):
    assert one(encryption={"resources": resources})["encryption"]["resources"] == resources


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(sorted(CLUSTER)) | st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(CLUSTER)), VALUES, max_size=5))
def test_any_input_gives_clusters_or_a_list_of_mistakes(changes):
    found, told = [], []
    try:
        found = read({**cluster(), **changes})
    except PhotonError as error:
        told = error.data["mistakes"]
    assert bool(found) != bool(told)
    assert all(item["path"].startswith("photon_clusters") for item in told)
    assert all(item["members"] for item in found)


@pytest.mark.parametrize("value", [None, {}, "prod", 5])
def test_declaration_that_is_not_a_list_is_refused(value):
    with pytest.raises(PhotonError, match="must be a list"):
        declaration.read_clusters(value, GROUPS, HOSTVARS, str)


def test_off_without_quotes_is_off():
    assert one(host={"swap": False})["host"]["swap"] == "off"


def test_a_node_has_not_more_pods_than_addresses():
    assert kubeadm.kubelet(one())["maxPods"] == 110
    assert kubeadm.kubelet(one(networks={"node_mask": 28}))["maxPods"] == 13


@pytest.mark.parametrize("name", ["cp1..example.com", "cp1.-x", "c" * 64, "Cp1"])
def test_names_that_no_node_can_have(name):
    with pytest.raises(PhotonError, match="a node's name must consist of"):
        read(
            cluster(endpoint={}),
            groups={"prod_control_plane": [name]},
            hostvars={name: {"kubernetes_address": "10.0.0.20"}},
        )


def test_a_single_member_s_endpoint_is_not_a_worker_and_its_port_is_free():
    groups = {"prod_control_plane": ["c1"], "prod_workers": ["w1"]}
    for endpoint, reason in (({"address": "10.0.0.23"}, "is the address of w1"), ({"port": 10250}, "used by kubelet")):
        with pytest.raises(PhotonError, match=reason):
            read(cluster(endpoint=endpoint), groups=groups)


def test_every_issuer_s_users_have_their_groups_rights():
    issuers = [{"issuer": f"https://{n}", "audiences": ["k"], "prefix": f"{n}:"} for n in "ab"]
    found = namespaces.objects(one(oidc=issuers, namespaces=[{"name": "web", "admin": ["admins"]}]))
    (binding,) = [item for item in found if item["kind"] == "RoleBinding"]
    assert [subject["name"] for subject in binding["subjects"]] == ["a:admins", "b:admins"]


def test_a_network_of_one_s_own_finds_its_plugins_and_may_replace_kube_proxy():
    networks = {"plugin": "manifest", "manifest": "calico.yml", "proxy_mode": "none"}
    arguments = {"arguments": {"kubelet": {"cloud-provider": "external"}}}
    found = one(networks=networks, kubeadm=arguments, nodes={"w1": {"kubelet_arguments": {"v": 4}}})
    assert found["runtime"]["cni_bin_dir"] == "/opt/cni/bin"
    documents = {
        part["kind"]: part for part in map(json.loads, kubeadm.init(found, found["members"][3]).split("---\n"))
    }
    assert documents["ClusterConfiguration"]["proxy"] == {"disabled": True}
    assert "KubeProxyConfiguration" not in documents
    flags = documents["InitConfiguration"]["nodeRegistration"]["kubeletExtraArgs"]
    assert [(flag["name"], flag["value"]) for flag in flags] == [
        ("cloud-provider", "external"), ("node-ip", "10.0.0.23"), ("v", "4"),
    ]  # fmt: skip


def test_balancers_may_run_on_control_plane_members_with_a_port_of_their_own():
    groups = {**GROUPS, "prod_balancers": GROUPS["prod_control_plane"]}
    declared = cluster(endpoint={"address": "10.0.0.5", "port": 8443})
    found = read(declared, groups=groups)[0]
    assert found["balancers"] == found["control_plane"]
    assert (found["endpoint"]["port"], found["endpoint"]["bind_port"]) == (8443, 6443)
    found = mistakes(cluster(endpoint={"address": "10.0.0.5"}), groups=groups)
    assert "must not be 6443" in found[f"{ROOT}.endpoint.port"]
    found = mistakes(declared, groups={**GROUPS, "prod_balancers": GROUPS["prod_workers"]})
    assert "is in the inventory groups prod_workers and prod_balancers" in found[f"{ROOT}.members.w1"]
