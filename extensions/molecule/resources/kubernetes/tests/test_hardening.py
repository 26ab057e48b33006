"""Points of the CIS Kubernetes Benchmark that the roles claim, by their numbers."""

from __future__ import annotations

import base64
import datetime
import json
import time

import pytest

testinfra_hosts = ["ansible://cp1"]
KUBERNETES = "/etc/kubernetes"


def flags_of(host, name):
    """The flags of a control-plane program as its static pod has them."""
    (process,) = host.process.filter(comm=name)
    words = host.run(f"tr '\\0' '\\n' < /proc/{process.pid}/cmdline").stdout.split("\n")
    return dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))


@pytest.mark.parametrize(
    ("point", "pattern", "mode"),
    [
        ("1.1.1-1.1.8", f"{KUBERNETES}/manifests/*.yaml", 0o600),
        ("1.1.13-1.1.18", f"{KUBERNETES}/*.conf", 0o600),
        ("1.1.20", f"{KUBERNETES}/pki/*.crt {KUBERNETES}/pki/etcd/*.crt", 0o644),
        ("1.1.21", f"{KUBERNETES}/pki/*.key {KUBERNETES}/pki/etcd/*.key", 0o600),
        ("1.1.11", "/var/lib/etcd", 0o700),
        ("1.2.16-1.2.28", f"{KUBERNETES}/apiserver/*.json", 0o600),
        ("4.1.1", "/usr/lib/systemd/system/kubelet.service.d/*.conf", 0o644),
        ("4.1.9", "/var/lib/kubelet/config.yaml", 0o644),
    ],
)
def test_files_are_closed_to_others(host, point, pattern, mode):
    said = host.run(f"stat -c '%a %U %n' {pattern}")
    assert said.rc == 0, f"{point}: {said.stderr}"
    for line in said.stdout.splitlines():
        found, owner, path = line.split(" ", 2)
        assert (int(found, 8) & ~mode, owner) == (0, "root"), f"{point}: {path} is {found}, of {owner}"


@pytest.mark.parametrize(
    ("point", "program", "flag", "wanted"),
    [
        ("1.2.5", "kube-apiserver", "kubelet-certificate-authority", f"{KUBERNETES}/pki/ca.crt"),
        ("1.2.6-1.2.8", "kube-apiserver", "authorization-mode", "Node,RBAC"),
        ("1.2.15", "kube-apiserver", "profiling", "false"),
        ("1.2.16", "kube-apiserver", "audit-log-path", "/var/log/kubernetes/audit/audit.log"),
        ("1.2.17", "kube-apiserver", "audit-log-maxage", "30"),
        ("1.2.18", "kube-apiserver", "audit-log-maxbackup", "10"),
        ("1.2.19", "kube-apiserver", "audit-log-maxsize", "100"),
        ("1.2.28", "kube-apiserver", "tls-min-version", "VersionTLS12"),
        ("1.3.2", "kube-controller", "profiling", "false"),
        ("1.3.7", "kube-controller", "bind-address", "127.0.0.1"),
        ("1.4.1", "kube-scheduler", "profiling", "false"),
        ("1.4.2", "kube-scheduler", "bind-address", "127.0.0.1"),
        ("2.2", "etcd", "client-cert-auth", "true"),
        ("2.5", "etcd", "peer-client-cert-auth", "true"),
    ],
)
def test_programs_run_with_the_flags_that_are_claimed(host, point, program, flag, wanted):
    assert flags_of(host, program).get(flag) == wanted, point


def test_nodes_are_held_to_their_own_objects(host):
    flags = flags_of(host, "kube-apiserver")
    assert "NodeRestriction" in flags["enable-admission-plugins"]  # 1.2.14
    assert not {"token-auth-file", "insecure-port", "basic-auth-file"} & set(flags)  # 1.2.2


def test_what_is_done_is_written_down(host):
    said = host.run("tail -n 200 /var/log/kubernetes/audit/audit.log")
    events = [json.loads(line) for line in said.stdout.splitlines()]
    assert events
    assert {"verb", "user", "objectRef"} <= set().union(*events)


def test_the_audit_log_says_who_touched_a_secret_and_never_what_is_in_it(cluster, host):
    """The Secret is written and read now, so that its events are there to be looked at."""
    cluster.text("-n", "shop", "annotate", "--overwrite", "secret/probe", "looked=at")
    assert cluster.text("-n", "shop", "get", "secret/probe", "-o", "jsonpath={.data.word}")
    said = host.run("cat /var/log/kubernetes/audit/*.log")
    assert said.rc == 0
    events = [json.loads(line) for line in said.stdout.splitlines()]
    about = [one for one in events if (one.get("objectRef") or {}).get("resource") == "secrets"]
    named = [one for one in about if one["objectRef"].get("name") == "probe"]
    assert {"get", "patch"} <= {one["verb"] for one in named}
    assert {one["level"] for one in about} == {"Metadata"}
    for text in ("bm9ib2R5LXJlYWRz", "nobody-reads-this"):
        assert text not in said.stdout


@pytest.mark.parametrize("node", ["cp1", "w1"])
def test_kubelets_take_orders_from_the_cluster_alone(cluster, node):
    settings = json.loads(cluster.text("get", "--raw", f"/api/v1/nodes/{node}/proxy/configz"))["kubeletconfig"]
    assert settings["authentication"]["anonymous"]["enabled"] is False  # 4.2.1
    assert settings["authorization"]["mode"] == "Webhook"  # 4.2.2
    assert settings.get("readOnlyPort", 0) == 0  # 4.2.4
    assert settings["protectKernelDefaults"] is True  # 4.2.6
    assert settings["rotateCertificates"] is True  # 4.2.10
    assert settings["serverTLSBootstrap"] is True  # 4.2.11
    assert settings["tlsMinVersion"] == "VersionTLS12"  # 4.2.13
    assert settings["seccompDefault"] is True


@pytest.mark.parametrize("node", ["cp1", "w1"])
def test_the_certificates_of_kubelets_are_the_clusters(cluster, host, node):
    addresses = {entry["type"]: entry["address"] for entry in cluster.get(f"node/{node}")["status"]["addresses"]}
    where = f"{addresses['InternalIP']}:10250"
    checked = f"-CAfile {KUBERNETES}/pki/ca.crt -verify_return_error -verify_ip {addresses['InternalIP']}"
    said = host.run(f"openssl s_client -connect {where} {checked} < /dev/null")
    assert "Verify return code: 0 (ok)" in said.stdout


def test_a_new_serving_certificate_needs_no_playbook(cluster, host):
    """As a kubelet whose certificate ends soon: it requests one, and the approver of a member grants it."""
    deadline = time.monotonic() + 60
    while "infinity" in (timer := shown_of_timer(host)):  # while its service runs
        assert time.monotonic() < deadline, timer
        time.sleep(1)
    assert "ActiveState=active" in timer
    before = served(host)
    assert host.run("rm /var/lib/kubelet/pki/kubelet-server* && systemctl restart kubelet").rc == 0
    deadline = time.monotonic() + 120
    while served(host) in ("", before):
        assert time.monotonic() < deadline, cluster.text("get", "csr")
        time.sleep(1)


def shown_of_timer(host):
    return host.run("systemctl show photon-serving-approver.timer -p ActiveState -p NextElapseUSecMonotonic").stdout


def served(host):
    """The certificate that cp1's kubelet presents, "" when the cluster's authority did not sign it."""
    where = f"{host.backend.get_variables()['lab_ip']}:10250"
    shown = host.run(f"openssl s_client -connect {where} -CAfile {KUBERNETES}/pki/ca.crt < /dev/null").stdout
    if "Verify return code: 0 (ok)" not in shown:
        return ""
    return shown.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]


def test_old_tls_is_refused(host):
    address = host.backend.get_variables()["lab_ip"]
    assert host.run(f"curl -sk --tls-max 1.1 https://{address}:6443/readyz").rc != 0
    assert host.run(f"curl -sk --tls-max 1.2 https://{address}:6443/readyz").stdout == "ok"


def test_join_tokens_end_within_the_hour(cluster):
    """Those of kubeadm init and of each join are gone, or about to end."""
    tokens = cluster.get("-n", "kube-system", "secrets", "--field-selector=type=bootstrap.kubernetes.io/token")
    for token in tokens:
        end = base64.b64decode(token["data"]["expiration"]).decode().replace("Z", "+00:00")
        left = datetime.datetime.fromisoformat(end) - datetime.datetime.now(datetime.UTC)
        assert left < datetime.timedelta(hours=1), token["metadata"]["name"]
    roles = cluster.get("-n", "kube-public", "configmap/cluster-info")["data"]
    signed = [key.removeprefix("jws-kubeconfig-") for key in roles if key.startswith("jws-kubeconfig-")]
    known = [base64.b64decode(token["data"]["token-id"]).decode() for token in tokens]
    assert set(signed) <= set(known), "a token signs the discovery of the cluster and is not listed"
