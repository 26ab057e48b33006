# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observation of members: certificates in DER, traces of an incomplete init, drift, etcd members, taints."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import (
    api,
    cluster,
    etcd_client,
    member,
    nodes,
    objects,
    observe,
    serving,
    x509,
)

cryptography = pytest.importorskip("cryptography", reason="creates the test's certificates")
from cryptography import x509 as made  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from tests.support.requests_of_kubelets import alternatives, request, subject  # noqa: E402


def certificate(ends, key=None):
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = made.CertificateBuilder().subject_name(subject("cp1")).issuer_name(subject("ca"))
    builder = builder.public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(datetime.datetime(2020, 1, 1)).not_valid_after(ends)
    builder = builder.add_extension(alternatives(["cp1"], ["10.0.0.11", "fd00::1"]), critical=False)
    return builder.sign(key, hashes.SHA256())


@pytest.mark.parametrize("year", [2030, 2060])  # the latter has another type of time in DER
def test_certificate_is_parsed(year):
    key = ec.generate_private_key(ec.SECP256R1())
    one = certificate(datetime.datetime(year, 5, 6, 7, 8, 9), key)
    found = x509.read("noise\n" + one.public_bytes(serialization.Encoding.PEM).decode())
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    assert found.key_hash == f"sha256:{digest.finalize().hex()}"
    assert found.not_after == datetime.datetime(year, 5, 6, 7, 8, 9, tzinfo=datetime.UTC).timestamp()
    assert found.common_name == "cp1"
    assert found.names.dns == ("cp1",)
    assert found.names.addresses == ("10.0.0.11", "fd00::1")


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "-----BEGIN"])
def test_invalid_certificate_is_an_error(text):
    with pytest.raises(x509.CertificateError):
        x509.read(text)


W1 = [{"name": "w1", "addresses": ["10.0.0.21"]}]


def test_kubelet_gets_a_certificate_only_for_its_own_names():
    assert serving.refusal(request(), W1) == ""
    assert serving.refusal(request(username="system:node:w2"), W1) is None
    for bad in (
        request(dns=("w1", "api.example.com")),
        request(addresses=("10.0.0.21", "10.0.0.11")),
        request(common="system:node:w2"),
        request(organization="system:masters"),
        request(dns=(), addresses=()),
        request(usages=["digital signature", "client auth"]),
        request(groups=["system:authenticated"]),
        request(request=base64.b64encode(b"nothing").decode()),
    ):
        assert serving.refusal(bad, W1)


def traces(**changes):
    whole = observe.Traces(
        files=frozenset(observe.KUBECONFIGS), manifests=frozenset(observe.STATIC_PODS), pairs=frozenset(observe.PAIRS),
        authority=True, etcd_data=True, client_valid=True,
    )  # fmt: skip
    return whole._replace(**changes)


NONE = observe.Traces(frozenset(), frozenset(), frozenset(), False, False, False)


@pytest.mark.parametrize(
    ("found", "state", "role"),
    [
        (NONE, "clean", ""),
        (traces(), "member", "control_plane"),
        (NONE._replace(pairs=frozenset({"ca"}), authority=True), "partial", "control_plane"),
        (traces(etcd_data=False), "partial", "control_plane"),
        (traces(client_valid=False), "partial", "control_plane"),
        (NONE._replace(files=frozenset({"bootstrap-kubelet.conf"}), authority=True), "partial", "worker"),
        (NONE._replace(files=frozenset({"kubelet.conf"}), authority=True, client_valid=True), "member", "worker"),
        (NONE._replace(files=frozenset({"kubelet.conf"}), authority=True), "partial", "worker"),
    ],
)
def test_host_is_classified_by_its_traces(found, state, role):
    assert observe.recognise(found) == {"state": state, "role": role}


def test_missing_files_of_a_member_are_listed():
    assert observe.missing(traces(), "control_plane") == []
    lost = traces(manifests=frozenset({"etcd"}), pairs=frozenset(observe.PAIRS) - {"etcd-peer"})
    assert "/etc/kubernetes/manifests/kube-apiserver.yaml" in observe.missing(lost, "control_plane")
    assert "/etc/kubernetes/pki/etcd/peer.crt" in observe.missing(lost, "control_plane")


ETCD = """spec:
  command:
    - etcd
    - --data-dir=/x
    - --initial-cluster=cp1=https://10.0.0.11:2380
    - --name=cp1
"""


def test_flags_that_etcd_reads_once_are_not_drift():
    joined = ETCD.replace("11:2380", "11:2380,cp2=https://10.0.0.12:2380\n    - --initial-cluster-state=existing")
    path = "/etc/kubernetes/manifests/etcd.yaml"
    assert observe.as_it_would_be(path, joined, ETCD) == joined
    edited = joined.replace("/x", "/y")
    mended = observe.as_it_would_be(path, edited, ETCD)
    assert mended == joined
    assert observe.as_it_would_be(path, "", ETCD) == ETCD


def test_registration_taints_are_not_drift():
    path = "/var/lib/kubelet/kubeadm-flags.env"
    now = 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --register-with-taints=a=b:NoSchedule"\n'
    assert observe.as_it_would_be(path, now, 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1"\n') == now
    assert observe.as_it_would_be(path, now, 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.2"\n') != now


def test_foreign_taints_are_kept():
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    own, old = {"key": "a", "value": None, "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}
    found = nodes.wanted_taints([cordon, old], ["b:NoExecute"], [own])
    assert found == [{"key": "a", "effect": "NoSchedule"}, cordon]


def etcd_member(identity, healthy=True, learner=False):
    return {
        "id": identity,
        "name": identity,
        "healthy": healthy,
        "learner": learner,
        "peer_urls": [f"https://10.0.0.{identity}:2380"],
    }


@pytest.mark.parametrize(
    ("members", "leaving", "allowed"),
    [
        ([etcd_member("1"), etcd_member("2", learner=True)], 1, True),
        ([etcd_member("1"), etcd_member("2")], 1, True),
        ([etcd_member("1"), etcd_member("2", healthy=False)], 1, False),  # both must agree
        ([etcd_member("1"), etcd_member("2"), etcd_member("3", healthy=False)], 2, True),
        ([etcd_member("1"), etcd_member("2"), etcd_member("3", healthy=False)], 1, False),
        ([etcd_member("1"), etcd_member("2", False), etcd_member("3", False)], 2, False),
    ],
)
def test_etcd_never_loses_its_quorum(members, leaving, allowed):
    assert (etcd_client.removal_refused(members, members[leaving]) == "") is allowed


def test_etcd_member_is_found_by_its_address():
    listed = etcd_client.read_members(
        {"members": [{"ID": "18446744073709551615", "peerURLs": ["https://10.0.0.1:2380"]}]}
    )
    assert etcd_client.of_address(listed, "10.0.0.1") == listed[0]
    assert not listed[0]["started"]
    assert etcd_client.of_address(listed, "10.0.0.10") is None


def test_kubeconfigs_are_parsed():
    text = "clusters:\n- cluster:\n    certificate-authority-data: QQ==\n    server: https://h:6443\n  name: prod\n"
    text += "contexts:\n- context:\n    cluster: prod\n    user: x\n  name: x@prod\ncurrent-context: x@prod\n"
    found = api.parse_kubeconfig(text)
    assert (found["server"], found["cluster"], found["current-context"]) == ("https://h:6443", "prod", "x@prod")
    assert api.decoded(found, "certificate-authority-data") == "A"
    assert api.own_address("- --advertise-address=10.0.0.1\n- --secure-port=6443\n") == ("10.0.0.1", 6443)
    assert api.own_address("") is None


def test_join_secrets_are_inserted_on_the_host():
    text = json.dumps(
        {"kind": "JoinConfiguration", "discovery": {"bootstrapToken": {}}, "controlPlane": {"certificateKey": ""}}
    )
    found = json.loads(member.with_material(text, {"token": "a.b", "certificate_key": "key"}, "/run/known"))
    assert found["discovery"] == {"file": {"kubeConfigPath": "/run/known"}, "tlsBootstrapToken": "a.b"}
    assert found["controlPlane"]["certificateKey"] == "key"
    known = json.loads(member.discovery("h:6443", "PEM"))
    assert known["clusters"][0]["cluster"]["server"] == "https://h:6443"
    assert known["users"] == []


SAVED = """*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:DOCKER - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -j DOCKER
-A POSTROUTING -s 10.244.0.0/16 -j FLANNEL-POSTRTG
-A MY-KUBE-RULES -j ACCEPT
COMMIT
"""


def test_a_reset_removes_the_chains_of_kubernetes_alone():
    left = member.without_chains(SAVED)
    assert [line for line in SAVED.splitlines() if line not in left.splitlines()] == [
        ":KUBE-SERVICES - [0:0]",
        ":CNI-HOSTPORT-DNAT - [0:0]",
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "-A POSTROUTING -s 10.244.0.0/16 -j FLANNEL-POSTRTG",
    ]


@pytest.mark.parametrize(
    ("there", "ignored"),
    [(None, []), ([], []), (["lost+found"], ["DirAvailable--var-lib-etcd"]), (["lost+found", "member"], [])],
)
def test_a_new_file_system_for_etcd_is_as_good_as_an_empty_folder(tmp_path, monkeypatch, there, ignored):
    monkeypatch.setattr(observe, "ETCD_DATA", str(tmp_path / "etcd" / "member"))
    for name in there or ():
        (tmp_path / "etcd" / name).mkdir(parents=True)
    if there == []:
        (tmp_path / "etcd").mkdir()
    assert member._of_new_disk() == ignored


def test_generated_encryption_keys_differ():
    settings = {"provider": "secretbox", "resources": ["secrets"]}
    first, second = member.new_encryption(settings), member.new_encryption(settings)
    key = json.loads(first)["resources"][0]["providers"][0]["secretbox"]["keys"][0]
    assert len(base64.b64decode(key["secret"])) == 32
    assert first != second


def test_server_managed_fields_are_ignored():
    one = {"metadata": {"name": "a", "resourceVersion": "1", "managedFields": []}, "data": {"x": "1"}, "status": {}}
    two = {"metadata": {"name": "a", "resourceVersion": "2"}, "data": {"x": "1"}}
    assert objects.same(one, two)
    assert not objects.same(one, {**two, "data": {"x": "2"}})
    kinds = [
        item["kind"] for item in objects.ordered([{"kind": "Deployment"}, {"kind": "Role"}, {"kind": "Namespace"}])
    ]
    assert kinds == ["Namespace", "Role", "Deployment"]


def test_workload_is_current_after_its_controller_observed_it():
    item = {
        "metadata": {"namespace": "a", "name": "b", "generation": 2},
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "availableReplicas": 2, "updatedReplicas": 2},
    }
    assert not cluster.workload("Deployment", item)["current"]
    item["status"]["observedGeneration"] = 2
    assert cluster.workload("Deployment", item)["current"]
