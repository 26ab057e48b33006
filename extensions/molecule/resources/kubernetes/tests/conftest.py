"""What the tests of a cluster have in common."""

from __future__ import annotations

import json
import pathlib
import shlex

import pytest

WORKLOAD = pathlib.Path(__file__).parents[1] / "workload.yml"


class Cluster:
    """kubectl of the administrator, on a control-plane member."""

    def __init__(self, host) -> None:
        self.host = host

    def run(self, *words, feed=""):
        """Run kubectl; returns testinfra's result."""
        command = shlex.join(["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", *words])
        return self.host.run(f"printf %s {shlex.quote(feed)} | {command}" if feed else command)

    def text(self, *words, feed=""):
        """What kubectl prints; the test fails when kubectl does."""
        result = self.run(*words, feed=feed)
        assert result.rc == 0, result.stderr
        return result.stdout.strip()

    def get(self, *words):
        """The objects, or the object."""
        found = json.loads(self.text("get", *words, "-o", "json"))
        return found["items"] if found["kind"] == "List" else found


@pytest.fixture(name="cluster", scope="module")
def fixture_cluster(host):
    """The cluster, with what tests talk to, on every node; it is there once for all modules."""
    cluster = Cluster(host)
    cluster.text("apply", "-f", "-", feed=WORKLOAD.read_text())
    cluster.text("-n", "shop", "rollout", "status", "daemonset/hello", "--timeout=90s")
    return cluster
