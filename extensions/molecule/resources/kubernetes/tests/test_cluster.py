"""What runs in the cluster, asked on its first member."""

from __future__ import annotations

import json

import pytest

testinfra_hosts = ["ansible://cp1"]


def nodes_of(cluster):
    return {node["metadata"]["name"]: node for node in cluster.get("nodes")}


def conditions(thing):
    return {condition["type"]: condition["status"] for condition in thing["status"]["conditions"]}


def pods_of(cluster):
    pods = cluster.get("-n", "shop", "pods", "-l", "app=hello")
    return {pod["spec"]["nodeName"]: pod for pod in pods}


def test_every_host_is_a_ready_node_under_its_own_name_and_address(cluster, host):
    nodes = nodes_of(cluster)
    assert {"cp1", "w1"} <= set(nodes)
    for node in nodes.values():
        assert conditions(node)["Ready"] == "True"
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v1.37.2"
    addresses = {entry["type"]: entry["address"] for entry in nodes["cp1"]["status"]["addresses"]}
    assert addresses["InternalIP"] == host.backend.get_variables()["lab_ip"]
    assert nodes["w1"]["metadata"]["labels"]["example.test/rack"] == "r1"


def test_control_plane_members_take_no_work_unasked(cluster):
    taints = [taint["key"] for taint in nodes_of(cluster)["cp1"]["spec"].get("taints", [])]
    assert "node-role.kubernetes.io/control-plane" in taints


@pytest.mark.parametrize("name", ["coredns", "metrics-server"])
def test_addons_are_available(cluster, name):
    assert conditions(cluster.get("-n", "kube-system", f"deployment/{name}"))["Available"] == "True"


def test_nothing_restarts_again_and_again(cluster):
    for pod in cluster.get("pods", "--all-namespaces"):
        for container in pod["status"].get("containerStatuses", []):
            assert container["restartCount"] < 4, f"{pod['metadata']['name']} {container['name']}"


def test_pods_reach_pods_on_every_node(cluster):
    pods = pods_of(cluster)
    assert len(pods) == len(nodes_of(cluster))
    for pod in pods.values():
        for node, other in pods.items():
            url = f"http://{other['status']['podIP']}:8080"
            said = cluster.text("-n", "shop", "exec", pod["metadata"]["name"], "--", "/hello", "get", url)
            assert said.split()[:2] == [other["metadata"]["name"], node]


def test_a_service_is_found_by_name_and_reaches_all_its_pods(cluster):
    pods = pods_of(cluster)
    name = pods["w1"]["metadata"]["name"]
    url = "http://hello.shop.svc.cluster.local"
    asked = ["-n", "shop", "exec", name, "--", "/hello", "get", url]
    answered = {cluster.text(*asked).split()[1] for _turn in range(12 * len(pods))}
    assert answered == set(pods)


def test_dns_answers_for_the_cluster(cluster):
    name = pods_of(cluster)["w1"]["metadata"]["name"]
    service = cluster.get("-n", "shop", "service/hello")["spec"]["clusterIP"]
    for asked, wanted in (("hello", service), ("kubernetes.default.svc.cluster.local", "10.96.0.1")):
        assert cluster.text("-n", "shop", "exec", name, "--", "/hello", "resolve", asked) == wanted
    assert cluster.run("-n", "shop", "exec", name, "--", "/hello", "resolve", "absent.shop").rc != 0


def test_logs_and_usage_come_from_every_node(cluster):
    for pod in pods_of(cluster).values():
        assert "hello from" in cluster.text("-n", "shop", "logs", pod["metadata"]["name"])
    used = cluster.text("top", "nodes", "--no-headers")
    assert {line.split()[0] for line in used.splitlines()} >= set(nodes_of(cluster))


def test_secrets_are_encrypted_in_etcd(cluster):
    (pod,) = cluster.get("-n", "kube-system", "pods", "-l", "component=etcd", "--field-selector=spec.nodeName=cp1")
    certificates = [f"--{name}=/etc/kubernetes/pki/etcd/{file}" for name, file in
                    (("cacert", "ca.crt"), ("cert", "server.crt"), ("key", "server.key"))]  # fmt: skip
    asked = ["etcdctl", *certificates, "get", "/registry/secrets/shop/probe", "--print-value-only", "--hex"]
    stored = cluster.text("-n", "kube-system", "exec", pod["metadata"]["name"], "--", *asked)
    raw = bytes.fromhex(stored.replace("\\x", ""))
    assert raw.startswith(b"k8s:enc:secretbox:v1:")
    assert b"nobody-reads-this" not in raw
    assert cluster.text("-n", "shop", "get", "secret/probe", "-o", "jsonpath={.data.word}")


def test_a_project_is_held_to_its_quota_and_its_pods_to_baseline(cluster):
    assert cluster.get("-n", "shop", "resourcequota/project-quota")["status"]["hard"]["pods"] == "20"
    pod = next(iter(pods_of(cluster).values()))
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "64Mi"
    container = {"name": "a", "image": "example.test/hello:1", "securityContext": {"privileged": True}}
    overrides = json.dumps({"spec": {"containers": [container]}})
    refused = cluster.run("-n", "shop", "run", "a", "--image=example.test/hello:1", f"--overrides={overrides}")
    assert refused.rc != 0
    assert 'violates PodSecurity "baseline' in refused.stderr


def test_memory_limits_of_pods_reach_the_kernel(cluster, host):
    container = pods_of(cluster)["cp1"]["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    files = "\\( -name memory.limit_in_bytes -o -name memory.max \\)"
    found = host.run(f"cat $(find /sys/fs/cgroup -path '*{container}*' {files} | head -1)")
    assert found.stdout.strip() == str(64 << 20)
