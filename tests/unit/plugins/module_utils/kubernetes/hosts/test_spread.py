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
THREE = [*TWO, pod("c", "cp1")]


@pytest.mark.parametrize(
    ("pods", "nodes", "wanted"),
    [
        (TWO, [node("cp1"), node("w1")], ("a", "cp1")),
        (TWO, [node("cp1"), node("cp2", taints=[CONTROL_PLANE])], ("a", "cp1")),
        (TWO, [node("cp1"), node("w1", taints=[{"key": "gpu", "effect": "PreferNoSchedule"}])], ("a", "cp1")),
        ([pod("a", "w1"), pod("b", "cp1"), pod("c", "cp1")], [node("cp1"), node("w1"), node("w2")], ("b", "cp1")),
        (TWO, [node("cp1")], ("", "")),
        (TWO, [node("cp1"), node("w1", unschedulable=True)], ("", "")),
        (TWO, [node("cp1"), node("w1", ready="Unknown")], ("", "")),
        (TWO, [node("cp1"), node("w1", taints=[{"key": "gpu", "value": "a", "effect": "NoSchedule"}])], ("", "")),
        ([*TWO, pod("c", "w1")], [node("cp1"), node("w1")], ("", "")),
        ([pod("a", "cp1"), pod("b", "w1")], [node("cp1"), node("w1"), node("w2")], ("", "")),
        ([pod("a", "cp1")], [node("cp1"), node("w1")], ("", "")),
        ([pod("a", None), pod("b", None)], [node("cp1"), node("w1")], ("", "")),
        ([], [node("cp1"), node("w1")], ("", "")),
    ],
)
def test_replicas_are_moved_only_where_that_helps(pods, nodes, wanted):
    assert spread.surplus(pods, nodes) == wanted


class Server:
    """An API whose scheduler places the successor of an evicted pod on a node without replicas, where there is one."""

    def __init__(self, pods=(), status=0, forbidden_after=99):
        self.pods, self.status, self.forbidden_after = list(pods or TWO), status, forbidden_after
        self.nodes, self.evicted = [node("cp1"), node("w1"), node("w2")], []

    def items(self, path):
        return self.nodes if path.endswith("/nodes") else self.pods

    def post(self, path, body):
        if self.status and len(self.evicted) >= self.forbidden_after:
            raise Refused(self.status, "not now", path)
        name = body["metadata"]["name"]
        assert path.endswith(f"/pods/{name}/eviction")
        self.evicted.append(name)
        used = {one["spec"]["nodeName"] for one in self.pods}
        free = [one["metadata"]["name"] for one in self.nodes if one["metadata"]["name"] not in used]
        rest = [one for one in self.pods if one["metadata"]["name"] != name]
        leaving = next(one for one in self.pods if one["metadata"]["name"] == name)
        leaving["metadata"] = {**leaving["metadata"], "deletionTimestamp": "now"}
        self.pods = [leaving, *rest, pod(f"{name}2", free[0])]

    def places(self):
        return sorted(one["spec"]["nodeName"] for one in self.pods if "deletionTimestamp" not in one["metadata"])


@pytest.mark.parametrize("replicas", [TWO, THREE])
def test_replicas_end_on_as_many_nodes_as_there_are_replicas(replicas):
    server = Server([{**one, "metadata": dict(one["metadata"])} for one in replicas])
    assert spread.spread(True, server)[0]["before"] == "a on cp1"
    assert server.evicted == []
    assert len(spread.spread(False, server)) == len(replicas) - 1
    assert server.places() == ["cp1", "w1", "w2"][: len(replicas)]
    assert spread.spread(True, server) == []


def test_an_eviction_that_is_not_allowed_now_is_left_to_the_next_run():
    assert spread.spread(False, Server(status=429, forbidden_after=0)) == []
    begun = Server([{**one, "metadata": dict(one["metadata"])} for one in THREE], status=429, forbidden_after=1)
    assert len(spread.spread(False, begun)) == 1
    with pytest.raises(Refused):
        spread.spread(False, Server(status=403, forbidden_after=0))
