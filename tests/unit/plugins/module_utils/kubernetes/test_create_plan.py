# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of cluster_create: nothing starts while there is any obstacle."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes import declaration
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.plans import create, delete, status
from ansible_collections.photon.platform.plugins.module_utils.model.errors import PhotonError

OURS, OTHERS = "sha256:aa", "sha256:bb"
ADDRESSES = {"cp1": "10.0.0.11", "cp2": "10.0.0.12", "cp3": "10.0.0.13", "w1": "10.0.0.21", "w2": "10.0.0.22"}


def cluster(control_plane=("cp1",), workers=("w1",)):
    declared = [{"name": "prod", "version": "1.37.2", "packages": {"source": "installed"}}]
    if len(control_plane) > 1:
        declared[0]["endpoint"] = {"address": "10.0.0.5"}
    groups = {"prod_control_plane": list(control_plane), "prod_workers": list(workers)}
    hostvars = {name: {"kubernetes_address": address} for name, address in ADDRESSES.items()}
    return declaration.read_clusters(declared, groups, hostvars, lambda _name: "")[0]


def host(state="member", role="control_plane", **more):
    found = {
        "state": state, "role": "" if state == "clean" else role, "cluster_id": None if state == "clean" else OURS,
        "cluster_name": "prod" if state != "clean" and role == "control_plane" else None, "kubeadm_version": "1.37.2",
        "kubelet_version": "1.37.2", "kubelet_active": state == "member", "serving_certificate": state == "member",
        "encryption": {"enabled": None, "layout": None if state == "clean" else {"keys": ["secretbox:made:1"]}},
        "addresses": [], "etcd_data": state != "clean" and role == "control_plane", "missing": [],
        "drift": [], "stale": [], "error": "", "server": None,
    }  # fmt: skip
    return {"host": {**found, **more}, "linux": {"changed": False, "changes": [], "packages": {}, "error": ""}}


def node(name, version="1.37.2"):
    return {
        "name": name, "version": version, "ready": True, "reason": "", "addresses": [ADDRESSES[name]], "labels": {},
        "taints": [], "unschedulable": False, "roles": [], "pod_network": None,
    }  # fmt: skip


def voter(name, **more):
    address = ADDRESSES[name]
    return {
        "id": name, "name": name, "peer_urls": [f"https://{address}:2380"], "client_urls": [], "learner": False,
        "started": True, "healthy": True, "alarms": [], "size": 30_000_000, "in_use": 20_000_000,
        "quota": 8_000_000_000, **more,
    }  # fmt: skip


def member(name, nodes, voters, **more):
    """Return a control-plane member whose API answers."""
    there = {
        "reachable": True, "error": "", "version": "1.37.2", "declared_version": "1.37.2", "cluster_name": "prod",
        "cluster_id": OURS, "nodes": nodes, "missing": [], "pending_certificates": [], "addons": [],
    }  # fmt: skip
    return {
        **host(**more), "cluster": there, "etcd": {"members": voters, "quorum": 1, "healthy_voters": 1, "error": ""},
        "objects": {"changes": [], "error": ""}, "nodes": {"changes": [], "not_ready": [], "error": ""},
    }  # fmt: skip


def settled():
    return {
        "cp1": member("cp1", [node("cp1"), node("w1")], [voter("cp1")]),
        "w1": host(role="worker"),
    }


def test_clean_hosts_are_initialized_and_joined():
    plan = create.plan(cluster(), {"cp1": host("clean"), "w1": host("clean")})
    assert plan["initialize"] == "cp1"
    assert plan["join"] == {"control_plane": [], "worker": ["w1"]}
    assert plan["state"] == "CREATING"
    assert not plan["exists"]


def test_settled_cluster_is_ready_without_actions():
    plan = create.plan(cluster(), settled())
    assert plan["state"] == "READY"
    assert plan["actions"] == []


@pytest.mark.parametrize(
    ("where", "change", "expected"),
    [
        ("w1", {"kubelet_active": False}, "kubelet is not running"),
        ("cp1", {"missing": ["/etc/kubernetes/manifests/kube-scheduler.yaml"]}, "kube-scheduler.yaml is missing"),
        ("cp1", {"drift": [{"path": "/x", "missing": False, "lines": 2}]}, "/x differs in 2 lines"),
        ("cp1", {"stale": [{"pod": "kube-apiserver", "path": "/etc/kubernetes/apiserver/audit.json"}]}, "has not read"),
        ("cp1", {"encryption": {"enabled": True, "layout": None}}, "keys of encryption at rest"),
    ],
)
def test_differences_on_a_member_are_repaired(where, change, expected):
    observed = settled()
    observed[where]["host"].update(change)
    plan = create.plan(cluster(), observed)
    assert plan["settle"] == [where]
    assert any(expected in reason for reason in plan["actions"][0]["reasons"])


@pytest.mark.parametrize("state", ["clean", "member"])
def test_an_address_that_the_host_has_not_is_refused(state):
    observed = settled() | {"w1": host(state, role="worker", addresses=["10.0.0.22", "10.9.0.4"])}
    with pytest.raises(PhotonError, match=r"w1: has no interface with its kubernetes_address 10\.0\.0\.21") as error:
        create.plan(cluster(), observed)
    assert error.value.code == "SpecInvalid"
    observed["w1"]["host"]["addresses"].append("10.0.0.21")
    create.plan(cluster(), observed)


def test_a_containerd_that_the_configuration_does_not_fit_is_refused():
    observed = settled()
    observed["w1"]["containerd"] = "2.1.4"
    with pytest.raises(PhotonError, match=r"w1: has containerd 2\.1\.4 but its configuration is declared for 1.7"):
        create.plan(cluster(), observed)


@pytest.mark.parametrize(
    ("kind", "name", "rolling"),
    [
        ("restart", "containerd", ["cp1", "w1"]),
        ("restart", "kubelet", ["cp1", "w1"]),
        ("unit", "containerd", ["cp1", "w1"]),
        ("package", "containerd", ["cp1", "w1"]),
        ("restart", "photon-pod-routes.service", []),
        ("sysctl", "net.ipv4.ip_forward", []),
    ],
)
def test_members_whose_pods_may_notice_a_change_are_changed_one_by_one(kind, name, rolling):
    observed = settled() | {"w2": host("clean", role="worker")}
    for one in observed.values():
        one["linux"] |= {"changed": True, "changes": [{"kind": kind, "name": name}]}
    observed["cp1"]["cluster"]["nodes"][1]["ready"] = False
    plan = create.plan(cluster(workers=("w1", "w2")), observed)
    assert (plan["prepare"], plan["rolling"]) == (["cp1", "w1", "w2"], rolling)
    assert plan["ready"] == [one for one in rolling if one == "cp1"]  # a node that was not Ready is not waited for


def test_lost_objects_of_kubeadm_are_re_created_by_the_source():
    observed = settled()
    observed["cp1"]["cluster"]["missing"] = ["coredns"]
    plan = create.plan(cluster(), observed)
    assert plan["lost"] == {"cp1": ["coredns"]}
    assert plan["settle"] == ["cp1"]


def test_missing_node_registers_again():
    observed = settled()
    observed["cp1"]["cluster"]["nodes"].pop()
    plan = create.plan(cluster(), observed)
    assert plan["lost"] == {"w1": ["node"]}


def test_changed_objects_and_nodes_are_detected():
    observed = settled()
    observed["cp1"]["objects"]["changes"] = [{"kind": "ConfigMap", "name": "x"}]
    observed["cp1"]["nodes"]["changes"] = [{"kind": "labels", "name": "w1"}]
    plan = create.plan(cluster(), observed)
    assert plan["objects"]
    assert plan["nodes"]
    assert plan["state"] == "CREATING"


def test_interrupted_init_is_completed():
    observed = {"cp1": host("partial"), "w1": host("clean")}
    assert create.plan(cluster(), observed)["initialize"] == "cp1"
    begun = member("cp1", [node("cp1")], [voter("cp1")])
    begun["cluster"]["missing"] = ["kubelet-config", "cluster-info", "coredns", "kube-proxy"]
    assert create.plan(cluster(), {"cp1": begun, "w1": host("clean")})["initialize"] == "cp1"


def test_worker_with_an_incomplete_join_rejoins():
    observed = settled()
    observed["w1"] = host("partial", role="worker")
    plan = create.plan(cluster(), observed)
    assert plan["join"]["worker"] == ["w1"]
    assert plan["restart"] == ["w1"]


@pytest.mark.parametrize("half", [None, {"learner": True}, {"started": False}])
def test_control_plane_member_without_a_vote_rejoins(half):
    voters = [voter("cp1"), voter("cp2")] + ([voter("cp3", **half)] if half else [])
    nodes = [node(name) for name in ADDRESSES]
    observed = {name: member(name, nodes, voters) for name in ("cp1", "cp2", "cp3")} | {"w1": host(role="worker")}
    observed["cp3"]["cluster"] = {"reachable": False}
    plan = create.plan(cluster(("cp1", "cp2", "cp3")), observed)
    assert plan["join"]["control_plane"] == ["cp3"]
    assert plan["initialize"] is None


def test_voting_member_is_never_reset():
    voters = [voter(name) for name in ("cp1", "cp2", "cp3")]
    nodes = [node(name) for name in ADDRESSES]
    observed = {name: member(name, nodes, voters) for name in ("cp1", "cp2", "cp3")} | {"w1": host(role="worker")}
    observed["cp3"]["host"] = {
        **observed["cp3"]["host"],
        "state": "partial",
        "missing": ["/etc/kubernetes/kubelet.conf"],
    }
    plan = create.plan(cluster(("cp1", "cp2", "cp3")), observed)
    assert plan["join"]["control_plane"] == []
    assert plan["settle"] == ["cp3"]


def test_first_member_joins_when_the_cluster_exists_on_others():
    voters, nodes = [voter("cp2"), voter("cp3")], [node(name) for name in ("cp2", "cp3", "w1")]
    observed = {name: member(name, nodes, voters) for name in ("cp2", "cp3")}
    observed |= {"cp1": host("clean"), "w1": host(role="worker")}
    plan = create.plan(cluster(("cp1", "cp2", "cp3")), observed)
    assert plan["initialize"] is None
    assert plan["source"] == "cp2"
    assert plan["join"]["control_plane"] == ["cp1"]


def refused(observed, wanted=None):
    with pytest.raises(PhotonError) as caught:
        create.plan(wanted or cluster(), observed)
    return caught.value


def test_data_of_others_is_never_overwritten_while_no_member_answers():
    observed = {"cp1": host("clean"), "cp2": host(), "cp3": host(), "w1": host(role="worker")}
    error = refused(observed, cluster(("cp1", "cp2", "cp3")))
    assert error.code == "InvalidHostState"
    assert "cluster_repair" in error.message


def test_all_obstacles_are_reported_at_once():
    full = host("clean")
    full["linux"] |= {"error": "no room on /var/lib", "error_code": "PreflightFailed"}
    error = refused({"cp1": full, "w1": None})
    assert {reason["code"] for reason in error.data["reasons"]} == {"PreflightFailed", "HostUnreachable"}
    assert "no room on /var/lib" in error.message


@pytest.mark.parametrize(
    "change",
    [{"cluster_id": OTHERS}, {"cluster_name": "other", "role": "worker"}],
)
def test_a_host_of_another_cluster_is_refused(change):
    observed = settled()
    observed["w1"]["host"].update(change)
    assert refused(observed).code == "HostOfAnotherCluster"


def test_worker_of_an_undeclared_cluster_is_refused():
    assert refused({"cp1": host("clean"), "w1": host(role="worker")}).code == "HostOfAnotherCluster"


def test_create_never_upgrades():
    observed = settled()
    observed["cp1"]["cluster"]["declared_version"] = "1.36.3"
    error = refused(observed)
    assert error.code == "UpgradeNeeded"
    assert "cluster_upgrade" in error.message
    observed = settled()
    observed["cp1"]["cluster"]["nodes"][1]["version"] = "1.36.3"
    assert refused(observed).code == "UpgradeNeeded"


def test_worker_newer_than_an_api_server_does_not_join():
    """Test an incomplete control-plane upgrade, after kubeadm's record has the new version already."""
    names = ("cp1", "cp2", "cp3")
    nodes, voters = [node(name) for name in names], [voter(name) for name in names]
    observed = {name: member(name, copy.deepcopy(nodes), copy.deepcopy(voters)) for name in names}
    observed["w1"] = host("clean")
    declared = cluster(names)
    assert create.plan(declared, observed)["join"]["worker"] == ["w1"]
    observed["cp3"]["cluster"]["version"] = "1.36.3"
    error = refused(observed, declared)
    assert error.code == "UpgradeNeeded"
    assert "w1: kubelet 1.37.2 is newer than the API server 1.36.3" in error.message


def test_request_for_foreign_names_is_reported_before_any_change():
    observed = settled()
    observed["w1"]["host"]["kubelet_active"] = False
    observed["cp1"]["nodes"] |= {"error": "the request csr-1 of w1 is not approved: it names evil"}
    observed["cp1"]["nodes"] |= {"error_code": "CertificateRefused"}
    error = refused(observed)
    assert error.code == "CertificateRefused"
    assert "nothing was changed" in error.message
    assert "csr-1" in error.message


def test_delete_resets_members_and_refuses_others():
    observed = settled()
    assert delete.plan(cluster(), observed)["reset"] == ["cp1", "w1"]
    assert delete.plan(cluster(), {"cp1": host("clean"), "w1": host("clean")})["reset"] == []
    foreign = copy.deepcopy(observed)
    foreign["w1"]["host"]["cluster_id"] = OTHERS
    with pytest.raises(PhotonError, match="another cluster's authority"):
        delete.plan(cluster(), foreign)
    lone = {"cp1": host("clean"), "w1": host(role="worker", server="https://10.9.9.9:6443")}
    with pytest.raises(PhotonError, match=r"10\.9\.9\.9"):
        delete.plan(cluster(), lone)


def test_status_shows_every_host_and_its_earliest_expiry():
    observed = settled()
    observed["cp1"]["certificates"] = [
        {"path": "/a/late.crt", "subject": "x", "not_after": "2027-01-01T00:00:00Z", "days_left": 300},
        {"path": "/a/soon.crt", "subject": "x", "not_after": "2026-12-01T00:00:00Z", "days_left": 6},
    ]
    observed["w1"] = None
    found = status.status(cluster(), observed)
    text = "\n".join(status.table(found))
    assert "soon.crt" in text
    assert found["nodes"][0]["etcd"] == "healthy"
    observed["cp1"]["cluster"]["pending_certificates"] = [
        {"name": "csr-1", "node": "w1", "reason": ""},
        {"name": "csr-2", "node": "w1", "reason": "it names evil"},
    ]
    text = "\n".join(status.table(status.status(cluster(), observed)))
    assert "w1: its kubelet waits for a serving certificate (csr-1), granted within a minute" in text
    assert "(csr-2), refused: it names evil. Check the host" in text
    assert "1 of 1 members answer, 1 are needed; database 30 of 8000 MB, 20 in use\n" in text + "\n"
    observed["cp1"]["etcd"]["members"][0]["alarms"] = ["NOSPACE"]
    assert "20 in use; cp1 has the alarm NOSPACE" in "\n".join(status.table(status.status(cluster(), observed)))
    assert {one["name"] for one in found["nodes"]} == {"cp1", "w1"}
    assert found["state"] == "RECOVERABLE_ERROR"
