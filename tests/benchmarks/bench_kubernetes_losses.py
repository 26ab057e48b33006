"""Three control-plane members: DNS while each of them is lost in turn, and recovery from a full database of etcd.

On real hosts of the lab (root, Debian), whose builds of Kubernetes are made where missing. A lost member is cut
off its network, so that its packets vanish as those of a host without power do.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab.kubernetes import build, versions
from tests.support import dns_probe
from tests.support.kubernetes_lab import Cluster, until

NAME = "kubernetes.default.svc.cluster.local"
LOST_SECONDS = 75  # longer than Kubernetes takes to notice
QUOTA = 64 * 1024 * 1024
WORDS = 900_000  # bytes of a ConfigMap, of which it may have a million


def run(context: Any) -> dict[str, float]:
    """The figures; a table of them is printed on the way."""
    build.build([versions.NEWER])
    arguments = {"etcd": {"quota-backend-bytes": str(QUOTA)}}
    with Cluster("bench-losses", context.work / "cluster", 3, 1, kubeadm={"arguments": arguments}) as cluster:
        cluster.play("load_balancer", haproxy_group="prod_balancers")
        cluster.play("cluster_create")
        figures = dns(cluster) | nospace(cluster)
    context.table(["figure", "value"], sorted(figures.items()))
    return figures


def dns(cluster: Cluster) -> dict[str, float]:
    """The longest time without any answer, seen from a worker, and the share of queries without one."""
    server = cluster.kubectl("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    silent, lost, sent = {}, 0, 0
    for member in cluster.groups["prod_control_plane"]:
        until(lambda: dns_probe.longest_loss(probe(cluster, server, 1)) == 0)
        with ThreadPoolExecutor() as pool:
            found = pool.submit(probe, cluster, server, LOST_SECONDS)
            time.sleep(2)
            cluster.lab.cut(member)
            queries = found.result()
        cluster.lab.heal(member)
        silent[member] = dns_probe.longest_silence(queries)
        lost += sum(answered is None for _sent, answered in queries)
        sent += len(queries)
        until(lambda: all(ready for ready, _version in cluster.nodes("cp1").values()), 300)
    print("seconds without an answer while a member was lost:", silent, flush=True)
    return {"k8s_dns_outage_s": max(silent.values()), "k8s_dns_lost_pct": 100 * lost / sent}


def nospace(cluster: Cluster) -> dict[str, float]:
    """Seconds from the start of cluster_maintain until the API takes changes again, after etcd's database was full."""
    text = "x" * WORDS
    for turn in range(400):
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "filler"}, "data": {f"k{turn % 7}": text}}
        verb = "create" if turn == 0 else "replace"
        said = cluster.lab.run("cp1", kubectl(verb, "-f", "-"), input=json.dumps(item), check=False)
        if "database space exceeded" in said.stderr:
            break
    else:
        raise RuntimeError("etcd's database was never full")
    if "NOSPACE" not in cluster.play("cluster_status"):
        raise RuntimeError("the status does not show the alarm")
    started = time.monotonic()
    cluster.play("cluster_maintain")
    until(lambda: cluster.lab.run("cp1", kubectl("create", "configmap", "again"), check=False).returncode == 0, 60)
    return {"etcd_nospace_recovery_s": time.monotonic() - started}


def kubectl(*words: str) -> list[str]:
    return ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=20s", *words]


def probe(cluster: Cluster, server: str, seconds: float) -> list[list[float | None]]:
    """Ask the cluster's DNS from the worker for some seconds."""
    words = ["python3", "-", server, NAME, str(seconds)]
    return json.loads(cluster.lab.run("w1", words, input=Path(dns_probe.__file__).read_text(encoding="utf-8")).stdout)
