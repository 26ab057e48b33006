"""Clusters: cluster_create against kubeadm by hand, a worker more beside one and beside four, a run with nothing to do.

On real hosts of the lab (root, Debian), whose builds of Kubernetes are made where they are missing.
PHOTON_BENCH_CLUSTERS (5) is how often each is done; the two sides of a ratio take turns.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from lab.kubernetes import build, versions
from tests.support.kubernetes_lab import Cluster, until

REPEAT = int(os.environ.get("PHOTON_BENCH_CLUSTERS", "5"))
OIDC = [{"issuer": "https://issuer.example", "audiences": ["kubernetes"]}]
READY = (
    "kubectl wait --for=condition=Ready node --all --timeout=120s && "
    "kubectl -n kube-system wait --for=condition=Available deployment/coredns --timeout=120s"
)
# What cluster_create leaves on a host, less the packages, the images and the files that were there before kubeadm.
RESET = """
kubeadm reset --force --cri-socket unix:///run/containerd/containerd.sock >/dev/null 2>&1
rm -rf /etc/cni/net.d/10-flannel.conflist /run/flannel /etc/kubernetes/admin.conf /root/.kube /var/lib/cni
ip link delete cni0 2>/dev/null || true
ip link delete flannel.1 2>/dev/null || true
nft flush ruleset
"""
INIT = """
kubeadm init --config /root/bench/init.yaml >/root/bench/init.log 2>&1
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl apply --server-side -f /root/bench/network.json >/dev/null
hash=$(openssl x509 -in /etc/kubernetes/pki/ca.crt -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum)
echo "sha256:${hash%% *} $(kubeadm token create --ttl 10m)"
"""
JOIN = """
sed -i "s/HASH/$1/; s/TOKEN/$2/" /root/bench/join.yaml
kubeadm join --config /root/bench/join.yaml >/root/bench/join.log 2>&1
"""
FINISH = f"""
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl apply --server-side --force-conflicts --validate=false -f /root/bench/addons.json >/dev/null
{READY} >/dev/null
"""


def run(context: Any) -> dict[str, float]:
    """The figures; a table of them is printed on the way."""
    build.build([versions.NEWER])
    figures: dict[str, float] = {}
    with Cluster("bench-kubernetes", context.work / "cluster", 1, 1, oidc=OIDC) as cluster:
        cluster.play("cluster_create")
        figures |= create(cluster)
        figures |= add_worker(cluster)
        figures |= noop(cluster)
    context.table(["figure", "value"], sorted(figures.items()))
    return figures


def create(cluster: Cluster) -> dict[str, float]:
    """1 + 1 from hosts with packages and images: the playbook, and a script with the same documents for kubeadm."""
    ours, bare, trips = [], [], 0
    for _ in range(REPEAT):
        reset(cluster)
        documents(cluster)
        bare.append(timed(lambda: by_hand(cluster)))
        expect_ready(cluster)
        reset(cluster)
        started = time.monotonic()
        output = cluster.play("cluster_create", "-v")
        ours.append(time.monotonic() - started)
        expect_ready(cluster)
        trips = max(tasks_of(output).values())
    print("created by the playbook", rounded(ours), "by hand", rounded(bare), flush=True)
    return {
        "k8s_create_s": statistics.median(ours),
        "k8s_create_bare_kubeadm_s": statistics.median(bare),
        "k8s_create_over_kubeadm": statistics.median(ours) / statistics.median(bare),
        "k8s_create_tasks_per_host": trips,
    }


def add_worker(cluster: Cluster) -> dict[str, float]:
    """A worker joins a cluster with one worker, and one with four: the time of cluster_resize, and its tasks."""
    one, tasks_one = joins(cluster, "w2")
    more = ["w2", "w3", "w4"]
    cluster.make(*more)
    cluster.groups["prod_workers"] += more
    cluster.play("cluster_resize")
    four, tasks_four = joins(cluster, "w5")
    print("a worker joined one", rounded(one), "four", rounded(four), flush=True)
    return {
        "k8s_add_worker_s": statistics.median(one),
        "k8s_add_worker_to_four_s": statistics.median(four),
        "k8s_add_worker_growth": statistics.median(four) / statistics.median(one),
        "k8s_add_worker_tasks": tasks_one,
        "k8s_add_worker_tasks_to_four": tasks_four,
    }


def joins(cluster: Cluster, name: str) -> tuple[list[float], int]:
    """Seconds of each time that a worker joined, and how many tasks ran on all hosts; in the end it is away again."""
    seconds, tasks = [], 0
    cluster.make(name)
    for turn in range(REPEAT + 1):  # the first time it takes packages and images besides
        cluster.groups["prod_workers"].append(name)
        started = time.monotonic()
        output = cluster.play("cluster_resize", "-v")
        if turn:
            seconds.append(time.monotonic() - started)
        expect_ready(cluster)
        tasks = sum(tasks_of(output).values())
        cluster.groups["prod_workers"].remove(name)
        cluster.play("cluster_resize")
        # A DaemonSet that still counts the node that left is a difference, which the next run would look into.
        until(lambda: all(one["wanted"] == one["available"] for one in daemons(cluster)))
    return seconds, tasks


def daemons(cluster: Cluster) -> list[dict[str, int]]:
    """How many pods each DaemonSet wants and has available."""
    items = json.loads(cluster.kubectl("get", "daemonsets", "-A", "-o", "json"))["items"]
    return [
        {
            "wanted": item["status"].get("desiredNumberScheduled", 0),
            "available": item["status"].get("numberAvailable", 0),
        }
        for item in items
    ]


def noop(cluster: Cluster) -> dict[str, float]:
    """A run with nothing to do over five hosts, a play that gathers facts of the same, and what the former sees."""
    facts = cluster.folder / "facts.yml"
    facts.write_text("[{hosts: 'prod_control_plane:prod_workers', gather_facts: true}]")
    ours, bare = [], []
    for _ in range(REPEAT):
        started = time.monotonic()
        output = cluster.play("cluster_create")
        ours.append(time.monotonic() - started)
        if re.search(r"changed=[1-9]", output):
            raise RuntimeError(f"a run with nothing to do changed something:\n{output[-3000:]}")
        bare.append(timed(lambda: playbook(cluster, str(facts))))
    hosts = sum(len(names) for names in cluster.groups.values())
    print(f"nothing to do on {hosts} hosts", rounded(ours), "facts alone", rounded(bare), flush=True)
    return {
        "k8s_noop_s": statistics.median(ours),
        "k8s_facts_s": statistics.median(bare),
        "k8s_noop_over_facts": statistics.median(ours) / statistics.median(bare),
        "k8s_noop_mended": mended(cluster),
    }


def mended(cluster: Cluster) -> int:
    """How many of three changes by hand one run found and mended: a file, a unit, a manifest."""
    cluster.on(
        "cp1", "cp /etc/kubernetes/apiserver/audit.json /root/audit; echo >> /etc/kubernetes/apiserver/audit.json"
    )
    cluster.on("cp1", "cp /etc/kubernetes/manifests/kube-scheduler.yaml /root; rm /etc/kubernetes/manifests/kube-sch*")
    cluster.on("w1", "systemctl stop kubelet")
    cluster.play("cluster_create")
    checks = {
        "cp1": [
            "cmp -s /root/audit /etc/kubernetes/apiserver/audit.json",
            "test -s /etc/kubernetes/manifests/kube-scheduler.yaml",
        ],
        "w1": ["systemctl is-active --quiet kubelet"],
    }
    found = [
        check
        for host, scripts in checks.items()
        for check in scripts
        if cluster.on(host, f"{check} && echo yes || true")
    ]
    expect_ready(cluster)
    return len(found)


def documents(cluster: Cluster) -> None:
    """Put the documents for the bare script on the hosts."""
    folder = cluster.folder / "documents"
    folder.mkdir(exist_ok=True)
    playbook(cluster, "tests/benchmarks/kubernetes_documents.yml", folder=str(folder))
    for name in ("network.json", "addons.json"):
        objects = json.loads((folder / name).read_text())["objects"]
        (folder / name).write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    for host in ("cp1", "w1"):
        cluster.on(host, "mkdir -p /root/bench")
        for path in folder.iterdir():
            cluster.lab.run(host, ["tee", f"/root/bench/{path.name}"], input=path.read_text())


def by_hand(cluster: Cluster) -> None:
    """kubeadm and kubectl by shell scripts, without SSH and Ansible, on hosts that are prepared."""
    known, token = cluster.on("cp1", INIT).split()[-2:]
    cluster.lab.run("w1", ["sh", "-ec", JOIN, "join", known, token])
    cluster.on("cp1", FINISH)


def reset(cluster: Cluster) -> None:
    """Members become hosts again that have what is not kubeadm's."""
    for host in ("w1", "cp1"):
        cluster.on(host, RESET)


def expect_ready(cluster: Cluster) -> None:
    cluster.on("cp1", f"export KUBECONFIG=/etc/kubernetes/admin.conf; {READY}")
    if not cluster.whole():
        raise RuntimeError(f"the cluster is not what was declared: {cluster.nodes()}")


def playbook(cluster: Cluster, path: str, **variables: Any) -> str:
    """Run a playbook that is none of the product's with the cluster's inventory."""
    program = str(pathlib.Path(sys.executable).with_name("ansible-playbook"))
    command = [program, "-i", str(cluster.lab.inventory_file), "-i", str(cluster.folder / "inventory")]
    command += ["-e", json.dumps(variables), path]
    # No facts from an earlier play: gathering them is what is measured.
    environment = {**os.environ, "ANSIBLE_CACHE_PLUGIN": "memory"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{path} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def tasks_of(output: str) -> dict[str, int]:
    """Host -> tasks that ran on it, each a round trip or more, by the recap of a play."""
    found = re.findall(r"^(\S+)\s+: ok=(\d+)", output, re.MULTILINE)
    return {host: int(number) for host, number in found if host != "localhost"}


def rounded(seconds: list[float]) -> list[float]:
    return [round(value, 1) for value in seconds]


def timed(action: Callable[[], Any]) -> float:
    """Seconds that an action took."""
    started = time.monotonic()
    action()
    return time.monotonic() - started
