"""Updates and reboots of seven hosts in turn: requests lost to an application with two replicas.

On real hosts of the lab (root, Debian), whose builds of Kubernetes are made where they are missing.
"""

from __future__ import annotations

from typing import Any

from lab.kubernetes import build, versions
from tests.support.kubernetes_lab import Cluster
from tests.support.kubernetes_updates import boots, outdate, publish, update_under_load


def run(context: Any) -> dict[str, float]:
    """The figures; what failed is printed."""
    build.build([versions.NEWER])
    with Cluster("bench-update", context.work / "cluster", 3, 2) as cluster:
        cluster.play("load_balancer", haproxy_group="prod_balancers")
        cluster.play("cluster_create")
        publish(cluster)
        hosts = [host for names in cluster.groups.values() for host in names]
        outdate(cluster, hosts)
        before = boots(cluster, hosts)
        sent, failures, seconds = update_under_load(cluster)
        after = boots(cluster, hosts)
    for failure in failures:
        print(failure)
    figures = {
        "hosts_update_s": seconds,
        "hosts_update_requests": sent,
        "hosts_update_lost_requests": len(failures),
        "hosts_update_rebooted": sum(before[host] != after[host] for host in hosts),
    }
    context.table(["figure", "value"], sorted(figures.items()))
    return figures
