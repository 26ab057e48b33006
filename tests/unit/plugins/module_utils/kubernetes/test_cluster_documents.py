# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents for kubeadm, the API server and the cluster."""

from __future__ import annotations

import base64
import json
import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.photon.platform.plugins.filter.kubernetes_configuration import kubernetes_configuration
from ansible_collections.photon.platform.plugins.filter.kubernetes_manifests import kubernetes_manifests
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.documents import (
    addons,
    apiserver,
    host,
    kubeadm,
    namespaces,
    network,
)

from tests.support.clusters import GROUPS, SECRET, cluster, one, read

MATERIAL = {"token": "abcdef.0123456789abcdef", "ca_hashes": ["sha256:" + "0" * 64], "certificate_key": "1" * 64}
ISSUER = {"issuer": "https://idp.example.com/t", "audiences": ["kubernetes"]}
NAMESPACE = {
    "name": "web", "project": "web", "quota": {"pods": 5, "requests.cpu": "2"}, "container_defaults": {"cpu": "500m"},
    "admin": ["photon\\web-admins"], "view": ["photon\\all", "photon\\guests"],
}  # fmt: skip


def documents(text):
    """Return kind -> document of a kubeadm text."""
    return {item["kind"]: item for item in map(json.loads, text.split("---\n"))}


def flags(entries):
    return {entry["name"]: entry["value"] for entry in entries}


def named(objects):
    """Return (kind, name) -> object, and check that there are no duplicates."""
    found = {(item["kind"], item["metadata"]["name"]): item for item in objects}
    assert len(found) == len(objects)
    return found


def test_init_configures_the_complete_cluster():
    found = documents(kubernetes_configuration(one(), "c1", "init"))
    assert set(found) == {
        "InitConfiguration", "ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration",
    }  # fmt: skip
    shared = found["ClusterConfiguration"]
    assert shared["controlPlaneEndpoint"] == "api.prod.example.com:6443"
    assert shared["apiServer"]["certSANs"] == ["api.prod.example.com", "10.0.0.10"]
    assert shared["kubernetesVersion"] == "v1.37.2"
    assert found["InitConfiguration"]["localAPIEndpoint"]["advertiseAddress"] == "10.0.0.20"
    assert found["InitConfiguration"]["nodeRegistration"]["kubeletExtraArgs"] == [
        {"name": "node-ip", "value": "10.0.0.20"}
    ]


def test_documented_flags_are_set():
    shared = documents(kubernetes_configuration(one(), "c1", "init"))["ClusterConfiguration"]
    server = flags(shared["apiServer"]["extraArgs"])
    assert server["profiling"] == "false"
    assert server["enable-admission-plugins"] == "NodeRestriction"
    assert server["kubelet-certificate-authority"] == "/etc/kubernetes/pki/ca.crt"
    assert {"audit-policy-file", "audit-log-path", "encryption-provider-config", "authentication-config"} <= set(server)
    assert "anonymous-auth" not in server, "the authentication configuration sets it"
    assert flags(shared["controllerManager"]["extraArgs"])["profiling"] == "false"
    assert flags(shared["scheduler"]["extraArgs"]) == {"profiling": "false"}
    mounted = {volume["hostPath"] for volume in shared["apiServer"]["extraVolumes"]}
    read_by_it = [
        value for value in server.values() if value.startswith("/") and not value.startswith("/etc/kubernetes/pki")
    ]
    assert all(any(value.startswith(folder + "/") for folder in mounted) for value in read_by_it)


def test_declared_flags_take_precedence_and_are_merged():
    given = {
        "api_server": {"--profiling": True, "max-requests-inflight": 800},
        "etcd": {"quota-backend-bytes": 4294967296},
    }
    shared = documents(kubernetes_configuration(one(kubeadm={"arguments": given}), "c1", "init"))[
        "ClusterConfiguration"
    ]
    server = flags(shared["apiServer"]["extraArgs"])
    assert (server["profiling"], server["max-requests-inflight"]) == ("true", "800")
    assert flags(shared["etcd"]["local"]["extraArgs"]) == {"quota-backend-bytes": "4294967296"}


def test_disabled_features_have_no_flags():
    found = one(audit={"enabled": False}, encryption={"provider": "none"})
    shared = documents(kubernetes_configuration(found, "c1", "init"))["ClusterConfiguration"]
    names = set(flags(shared["apiServer"]["extraArgs"]))
    assert not [name for name in names if name.startswith(("audit", "encryption"))]
    assert [volume["name"] for volume in shared["apiServer"]["extraVolumes"]] == ["settings"]


def test_declared_kubelet_settings_override_the_role_s():
    own = {"failCgroupV1": False, "authentication": {"webhook": {"cacheTTL": "1m"}}}
    found = documents(kubernetes_configuration(one(kubelet=own), "c1", "init"))["KubeletConfiguration"]
    assert found["failCgroupV1"] is False
    assert found["authentication"] == {"anonymous": {"enabled": False}, "webhook": {"enabled": True, "cacheTTL": "1m"}}
    assert (found["readOnlyPort"], found["serverTLSBootstrap"], found["cgroupDriver"]) == (0, True, "systemd")


@pytest.mark.parametrize("plugin", ["flannel", "routed"])
def test_only_one_component_assigns_pod_networks(plugin):
    found = one(networks={"plugin": plugin, "hosts": "10.0.0.0/24", "node_mask": 25})
    shared = documents(kubernetes_configuration(found, "c1", "init"))["ClusterConfiguration"]
    manager = flags(shared["controllerManager"]["extraArgs"])
    assert manager.get("allocate-node-cidrs") == ("false" if plugin == "routed" else None)
    assert manager.get("node-cidr-mask-size") == (None if plugin == "routed" else "25")


def test_worker_joins_without_the_certificate_key_and_with_its_taints():
    found = one(nodes={"w1": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}})
    text = kubernetes_configuration(found, "w1", "join", MATERIAL)
    joined = documents(text)["JoinConfiguration"]
    assert "controlPlane" not in joined
    assert MATERIAL["certificate_key"] not in text
    assert joined["nodeRegistration"]["taints"] == [{"key": "gpu", "effect": "NoSchedule"}]
    assert joined["discovery"]["bootstrapToken"]["caCertHashes"] == MATERIAL["ca_hashes"]
    assert "unsafe" not in text


def test_control_plane_member_joins_with_the_certificate_key():
    joined = documents(kubernetes_configuration(one(), "c2", "join", MATERIAL))["JoinConfiguration"]
    assert joined["controlPlane"]["certificateKey"] == MATERIAL["certificate_key"]
    assert joined["controlPlane"]["localAPIEndpoint"] == {"advertiseAddress": "10.0.0.21", "bindPort": 6443}


def test_upgrade_ignores_the_same_checks_as_init():
    found = one(kubeadm={"ignore_preflight_errors": ["SystemVerification"]})
    upgrade = documents(kubernetes_configuration(found, "c1", "upgrade"))["UpgradeConfiguration"]
    assert upgrade["apply"]["kubernetesVersion"] == "v1.37.2"
    assert (
        upgrade["apply"]["ignorePreflightErrors"] == upgrade["node"]["ignorePreflightErrors"] == ["SystemVerification"]
    )


def test_unknown_host_or_verb_is_refused():
    with pytest.raises(AnsibleFilterError, match="x is not a member of cluster prod"):
        kubernetes_configuration(one(), "x", "init")
    with pytest.raises(AnsibleFilterError, match="one of init, join, upgrade"):
        kubernetes_configuration(one(), "c1", "reset")


def test_tokens_of_an_issuer_cannot_name_system_users():
    found = apiserver.authentication(one(oidc=[ISSUER])["oidc"])
    issuer = found["jwt"][0]
    assert issuer["claimMappings"]["username"] == {"claim": "sub", "prefix": "lightwave:"}
    assert issuer["claimMappings"]["groups"] == {"claim": "groups", "prefix": "lightwave:"}
    (claims,) = issuer["claimValidationRules"]
    assert claims["expression"] == "has(claims.iat) && claims.exp - claims.iat <= 3600"
    assert [rule["expression"] for rule in issuer["userValidationRules"]] == [
        "!user.username.startsWith('system:') && !user.username.startsWith('lightwave:system:')",
        "user.groups.all(group, !group.startsWith('system:') && !group.startsWith('lightwave:system:'))",
    ]
    assert {entry["path"] for entry in found["anonymous"]["conditions"]} == set(apiserver.ANONYMOUS_PATHS)


def test_prefix_with_quotes_is_escaped():
    found = apiserver.authentication(one(oidc=[{**ISSUER, "prefix": "o'r\\:"}])["oidc"])
    assert r"'o\'r\\:system:'" in found["jwt"][0]["userValidationRules"][0]["expression"]


def test_no_issuer_without_a_declaration():
    assert "jwt" not in apiserver.authentication([])


def test_newest_key_encrypts_and_plain_text_is_still_read():
    keys = [{"name": "new", "secret": SECRET}, {"name": "old", "secret": base64.b64encode(bytes(32)).decode()}]
    encryption = {"provider": "secretbox", "keys": keys}
    files = host.api_server_files(one(encryption=encryption), keys)
    (text,) = [item["content"] for item in files if item["path"].endswith("/encryption.json")]
    found = json.loads(text)["resources"][0]
    assert [key["name"] for key in found["providers"][0]["secretbox"]["keys"]] == ["new", "old"]
    assert found["providers"][-1] == {"identity": {}}


def test_audit_log_never_contains_secrets():
    rules = apiserver.audit_policy()["rules"]
    about = [rule for rule in rules if "secrets" in str(rule) and rule["level"] != "None"]
    assert [rule["level"] for rule in about] == ["Metadata"]
    first = about[0]
    silent = [rule for rule in rules[: rules.index(first)] if rule["level"] != "None"]
    assert silent == [], "no earlier rule logs more"


def test_custom_policy_replaces_the_shipped_one():
    assert apiserver.audit_policy({"rules": [{"level": "None"}]})["rules"] == [{"level": "None"}]


def test_pod_security_exempts_the_cluster_s_own_components():
    found = apiserver.admission(
        one(pod_security={"enforce": "restricted", "exempt_namespaces": ["longhorn"]})["pod_security"]
    )
    configuration = found["plugins"][0]["configuration"]
    assert configuration["defaults"]["enforce"] == "restricted"
    assert configuration["exemptions"]["namespaces"] == ["kube-flannel", "kube-system", "longhorn"]


def test_flannel_follows_the_declaration():
    found = named(network.objects(one(networks={"pods": "10.200.0.0/16", "proxy_mode": "iptables", "mtu": 1400})))
    data = found["ConfigMap", "kube-flannel-cfg"]["data"]
    assert json.loads(data["net-conf.json"]) == {
        "Network": "10.200.0.0/16", "EnableNFTables": False, "Backend": {"Type": "vxlan"},
    }  # fmt: skip
    assert json.loads(data["cni-conf.json"])["plugins"][0]["delegate"]["mtu"] == 1400
    pod = found["DaemonSet", "kube-flannel-ds"]["spec"]["template"]["spec"]
    mounts = {mount["name"] for part in pod["initContainers"] + pod["containers"] for mount in part["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert any(volume.get("hostPath", {}).get("path") == "/usr/lib/cni" for volume in pod["volumes"])


@pytest.mark.parametrize(
    "networks", [{"plugin": "routed", "hosts": "10.0.0.0/24"}, {"plugin": "manifest", "manifest": "calico.yml"}]
)
def test_other_plugins_have_no_objects(networks):
    assert network.objects(one(networks=networks)) == []


def test_coredns_forwards_zones_to_their_servers():
    found = one(
        addons={"coredns": {"forward": ["10.0.0.53"], "zones": {"corp.example.com": ["10.1.0.53", "10.2.0.53"]}}}
    )
    text = addons.corefile(found)
    assert "forward . 10.0.0.53 {" in text
    assert re.search(
        r"^corp\.example\.com:53 \{\n(    .*\n)*    forward \. 10\.1\.0\.53 10\.2\.0\.53\n\}", text, re.MULTILINE
    )
    assert text.count("{") == text.count("}")


def test_coredns_is_patched_and_not_replaced():
    deployment = named(addons.coredns(one(addons={"coredns": {"replicas": 3}})))["Deployment", "coredns"]
    assert deployment["spec"] == {"replicas": 3}


def test_metrics_server_verifies_kubelets_with_the_cluster_s_authority():
    found = named(addons.metrics_server(one()))
    arguments = found["Deployment", "metrics-server"]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" in arguments
    assert not [argument for argument in arguments if "insecure" in argument]


def test_disabled_metrics_server_is_removed():
    on, off = one(), one(addons={"metrics_server": False})
    assert addons.metrics_server(off) == []
    assert set(named(addons.absent(off))) == set(named(addons.metrics_server(on)))
    assert addons.absent(on) == []


def test_groups_of_a_project_are_bound_to_predefined_roles():
    found = named(namespaces.objects(one(namespaces=[NAMESPACE], oidc=[ISSUER])))
    assert set(found) == {
        ("Namespace", "web"), ("ResourceQuota", "project-quota"), ("LimitRange", "project-limits"),
        ("RoleBinding", "project-admin"), ("RoleBinding", "project-view"),
    }  # fmt: skip
    view = found["RoleBinding", "project-view"]
    assert view["roleRef"]["name"] == "view"
    assert [subject["name"] for subject in view["subjects"]] == ["lightwave:photon\\all", "lightwave:photon\\guests"]
    assert found["ResourceQuota", "project-quota"]["spec"]["hard"] == {"pods": "5", "requests.cpu": "2"}
    assert found["Namespace", "web"]["metadata"]["labels"]["photon.platform/project"] == "web"


def test_role_bindings_use_the_prefix_of_the_issuer():
    found = named(namespaces.objects(one(namespaces=[NAMESPACE], oidc=[{**ISSUER, "prefix": "corp:"}])))
    assert found["RoleBinding", "project-admin"]["subjects"][0]["name"] == "corp:photon\\web-admins"


def test_objects_removed_from_a_namespace_are_deleted():
    gone = named(namespaces.absent(one(namespaces=[{"name": "web", "edit": ["photon\\web"]}])))
    assert set(gone) == {
        ("ResourceQuota", "project-quota"), ("LimitRange", "project-limits"),
        ("RoleBinding", "project-admin"), ("RoleBinding", "project-view"),
    }  # fmt: skip


def test_user_manifests_are_read_from_the_controller(tmp_path):
    path = tmp_path / "own.yml"
    path.write_text(
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n"
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n---\n"
    )
    found = one()
    found["addons"]["manifests"] = [str(path)]
    names = [item["metadata"]["name"] for item in kubernetes_manifests(found, "addons")["objects"]]
    assert names[-2:] == ["a", "b"]
    path.write_text("just text")
    with pytest.raises(AnsibleFilterError, match="document 1 is not a Kubernetes object"):
        kubernetes_manifests(found, "addons")
    with pytest.raises(AnsibleFilterError, match="one of network, addons, namespaces"):
        kubernetes_manifests(found, "everything")


def test_equal_declarations_give_equal_texts():
    again = read(cluster(), groups=dict(reversed(GROUPS.items())))[0]
    assert kubeadm.init(again, again["members"][0]) == kubeadm.init(one(), one()["members"][0])
