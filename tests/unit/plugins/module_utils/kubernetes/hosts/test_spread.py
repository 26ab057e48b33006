# Copyright (c) 2026, Photon Platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss of one node never takes cluster DNS away: its replicas are not left on one node."""

from __future__ import annotations

import pytest
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts import spread
from ansible_collections.photon.platform.plugins.module_utils.kubernetes.hosts.api import Refused

CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
TOLERATIONS = [
    {"key": "CriticalAddonsOnly", "operator": "Exists"},
    {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
]


def pod(name, node, **metadata):
    return {
        "metadata": {"name": name, **metadata}, "spec": {"nodeName": node, "tolerations": TOLERATIONS},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


def node(name, ready="True", taints=(), **spec):
    return {
        "metadata": {"name": name}, "spec": {"taints": list(taints), **spec},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }  # fmt: skip


TWO = [pod("a", "cp1"), pod("b", "cp1")]


@pytest.mark.parametrize(
    ("pods", "nodes", "wanted"),
    [
        (TWO, [node("cp1"), node("w1")], "cp1"),
        (TWO, [node("cp1"), node("cp2", taints=[CONTROL_PLANE])], "cp1"),
        (TWO, [node("cp1"), node("w1", taints=[{"key": "gpu", "effect": "PreferNoSchedule"}])], "cp1"),
        (TWO, [node("cp1")], ""),
        (TWO, [node("cp1"), node("w1", unschedulable=True)], ""),
        (TWO, [node("cp1"), node("w1", ready="Unknown")], ""),
        (TWO, [node("cp1"), node("w1", taints=[{"key": "gpu", "value": "a", "effect": "NoSchedule"}])], ""),
        ([pod("a", "cp1"), pod("b", "w1")], [node("cp1"), node("w1"), node("w2")], ""),
        ([pod("a", "cp1")], [node("cp1"), node("w1")], ""),
        ([pod("a", None), pod("b", None)], [node("cp1"), node("w1")], ""),
    ],
)
def test_replicas_are_moved_only_where_that_helps(pods, nodes, wanted):
    assert spread.crowded_node(pods, nodes) == wanted


class Server:
    """An API whose scheduler places the successor of an evicted pod elsewhere."""

    def __init__(self, status=0):
        self.pods, self.nodes, self.evicted, self.status = list(TWO), [node("cp1"), node("w1")], [], status

    def items(self, path):
        return self.nodes if path.endswith("/nodes") else self.pods

    def post(self, path, body):
        if self.status:
            raise Refused(self.status, "not now", path)
        self.evicted.append(body["metadata"]["name"])
        self.pods = [pod("a", "cp1", deletionTimestamp="now"), pod("b", "cp1"), pod("c", "w1")]


def test_one_replica_is_moved_and_then_nothing_changes():
    server = Server()
    assert spread.spread(True, server)[0]["before"] == "all on cp1"
    assert server.evicted == []
    assert spread.spread(False, server)[0]["name"] == "coredns"
    assert server.evicted == ["a"]
    assert spread.spread(True, server) == []


def test_an_eviction_that_is_not_allowed_now_is_left_to_the_next_run():
    assert spread.spread(False, Server(429)) == []
    with pytest.raises(Refused):
        spread.spread(False, Server(403))
